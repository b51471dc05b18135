import { expect, test } from '@jest/globals'
import { Ledger } from '../../src/migration/restore/database/ledger.ts'
import { noDump, parseMark, type RestoreState } from '../../src/migration/restore/database/mark.ts'
import { IdleJobs } from '../../src/migration/restore/run/idle-jobs.ts'
import type { Task } from '../../src/migration/restore/run/task.ts'

const newState = (): RestoreState => ({
  dump: noDump,
  memberships: [],
  schemaGrants: [],
  databaseGrants: [],
  loader: null,
  owners: false,
})

const [one, two] = [
  { schema: 'public', name: 'one' },
  { schema: 'public', name: 'two' },
]

test('a mark says which tables are being loaded, and nothing else of them', () => {
  const state: RestoreState = { ...newState(), loading: [one] }
  expect(parseMark(JSON.stringify(state))).toEqual(state)
  for (const loading of [
    'one',
    [{ schema: 'public' }],
    [{ ...one, sql: 'DROP TABLE x' }],
    [{ schema: 'public', name: 'x'.repeat(64) }],
    [{ schema: 'public', name: 'a\0b' }],
    Array.from({ length: 1001 }, () => one),
  ]) {
    expect(parseMark(JSON.stringify({ ...newState(), loading }))).toBeNull()
  }
})

test('what is written last is what was noted last, however long each takes', async () => {
  const marked = newState()
  const written: (readonly string[])[] = []
  const waits: (() => void)[] = []
  const ledger = new Ledger(marked, async () => {
    const names = (marked.loading ?? []).map(({ name }) => name)
    await new Promise<void>((resolve) => waits.push(resolve))
    written.push(names)
  })
  const all = [ledger.enter(one), ledger.enter(two), ledger.leave(one), ledger.leave(two)]
  for (let round = 0; round < all.length; round++) {
    while (waits.length === 0) await new Promise(setImmediate)
    expect(waits).toHaveLength(1)
    waits.pop()?.()
  }
  await Promise.all(all)
  expect(written.at(-1)).toEqual([])
  expect(marked).toEqual(newState())
})

test('a table is written down again although an earlier try to do so has failed', async () => {
  const marked = newState()
  let saved = 0
  const ledger = new Ledger(marked, async () => {
    if (++saved === 1) throw new Error('lost')
  })
  await expect(ledger.enter(one)).rejects.toThrow('lost')
  expect(ledger.has(one)).toBe(true)
  await ledger.enter(one)
  expect(saved).toBe(2)
  expect(marked.loading).toEqual([one])
  await ledger.leave(two)
  expect(saved).toBe(2)
})

test('idle jobs are lent to the load with the longest chain, for as long as they are idle', () => {
  const jobs = new IdleJobs()
  const task = (chain: number) => ({ chain }) as Task
  const [long, short, same] = [task(10), task(5), task(10)]
  expect(jobs.lentTo(long)).toBe(0)
  jobs.waits()
  jobs.waits()
  expect(jobs.lentTo(long)).toBe(2)
  expect(jobs.lentTo(short)).toBe(0)
  expect(jobs.lentTo(same)).toBe(0)
  jobs.giveBack(long)
  expect(jobs.lentTo(short)).toBe(0)
  expect(jobs.lentTo(same)).toBe(2)
  jobs.works()
  jobs.works()
  expect(jobs.lentTo(same)).toBe(0)
})
