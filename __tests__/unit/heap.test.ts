import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'

const module = join(import.meta.dirname, '..', '..', 'src', 'heap.ts')

/** Runs JavaScript in a process of its own, and reads the JSON that it prints. */
function inNode(script: string): Record<string, number> {
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', script]
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }))
}

/** A hundred megabytes of objects, all of them kept, and what V8 then says of its heap, in bytes. */
const fill = `
  const kept = Array.from({ length: 1_000_000 }, (_, at) => ({ at, text: 'entry ' + at, list: [at] }))
  const spaces = new Map(v8.getHeapSpaceStatistics().map((one) => [one.space_name, one.space_size]))
  const { heap_size_limit: limit, used_heap_size: used } = v8.getHeapStatistics()
  console.log(JSON.stringify({ limit, used, young: spaces.get('new_space'), kept: kept.length }))`

test('the heap is kept near to what is in use, and may grow as far as ever', () => {
  const plain = inNode(`import v8 from 'node:v8'; ${fill}`)
  const small = inNode(
    `import v8 from 'node:v8'; import { keepHeapSmall } from ${JSON.stringify(module)}; keepHeapSmall(); ${fill}`,
  )
  expect(small.kept).toBe(plain.kept)
  expect(small.limit).toBe(plain.limit)
  // what is new does not get 16 MB and more, as it does else
  expect(plain.young).toBeGreaterThan(16e6)
  expect(small.young).toBeLessThan(9e6)
  // and more than the megabyte with which it begins
  expect(small.young).toBeGreaterThan(2e6)
})

test('what nobody holds any more is collected between two pieces of work, where it is much', () => {
  const { before, after } = inNode(`
    import { keepHeapSmall, tidyHeap } from ${JSON.stringify(module)}
    const used = () => process.memoryUsage().heapUsed
    keepHeapSmall()
    tidyHeap()
    let kept = Array.from({ length: 400_000 }, (_, at) => ({ at, text: 'entry ' + at }))
    kept = kept.slice(0, 1000)
    const before = used()
    tidyHeap()
    console.log(JSON.stringify({ before, after: used(), kept: kept.length }))`)
  expect(before).toBeGreaterThan(25e6)
  expect(after).toBeLessThan(15e6)
})
