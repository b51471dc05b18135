import { expect, test } from '@jest/globals'
import { Cancelled } from '../../src/failure.ts'
import { inPool } from '../../src/migration/pool.ts'

const { signal } = new AbortController()

test('results keep the order of the tasks, and no more run at once than there are workers', async () => {
  const gates = [1, 2, 3, 4].map(() => Promise.withResolvers<void>())
  let [running, most] = [0, 0]
  const all = inPool(gates, { workers: 3, signal }, async (gate, _, index) => {
    most = Math.max(most, ++running)
    await gate.promise
    running--
    return index
  })
  for (const gate of gates.toReversed()) gate.resolve()
  expect(await all).toEqual([0, 1, 2, 3])
  expect(most).toBe(3)
})

test('the first error stops the others, and is what is thrown', async () => {
  const begun: string[] = []
  const ended: string[] = []
  const all = inPool(
    ['bad', 'slow', 'late'],
    { workers: 2, signal },
    async (task, _, __, signal) => {
      begun.push(task)
      if (task === 'bad') throw new Error('bad')
      await new Promise((stopped) => signal.addEventListener('abort', stopped))
      ended.push(task)
      throw new Error('also')
    },
  )
  await expect(all).rejects.toThrow('bad')
  expect([begun, ended]).toEqual([['bad', 'slow'], ['slow']])
})

test('the caller may choose among the errors', async () => {
  const pool = { workers: 2, signal, choose: (errors: readonly unknown[]) => errors.at(-1) }
  const all = inPool(['first', 'second'], pool, async (task) => {
    throw new Error(task)
  })
  await expect(all).rejects.toThrow('second')
})

test('each worker keeps one resource, which is closed also after an error', async () => {
  const log: string[] = []
  const pool = {
    workers: 2,
    signal,
    open: (worker: number) => `session ${worker}`,
    close: async (session: string) => void log.push(`close ${session}`),
  }
  const failing = async (task: number, session: string) => {
    log.push(`${task} in ${session}`)
    await Promise.resolve()
    if (task === 1) throw new Error('no')
  }
  await expect(inPool([0, 1], pool, failing)).rejects.toThrow('no')
  expect(log.toSorted()).toEqual([
    '0 in session 0',
    '1 in session 1',
    'close session 0',
    'close session 1',
  ])
})

test('a cancelled job begins nothing more, whatever else failed', async () => {
  const job = new AbortController()
  const begun: number[] = []
  const all = inPool([0, 1, 2], { workers: 1, signal: job.signal }, async (task) => {
    begun.push(task)
    job.abort()
    throw new Error('lost on the way')
  })
  await expect(all).rejects.toThrow(Cancelled)
  expect(begun).toEqual([0])
})

test('tasks may be added to a queue while others run', async () => {
  const tasks = [1]
  const done: number[] = []
  await inPool({ next: () => tasks.shift() }, { workers: 1, signal }, async (task) => {
    done.push(task)
    if (task < 3) tasks.push(task + 1)
  })
  expect(done).toEqual([1, 2, 3])
})

test('an error closes the queue, so that workers who wait for a task end', async () => {
  const wake = Promise.withResolvers<undefined>()
  const tasks = ['bad']
  const queue = { next: () => tasks.shift() ?? wake.promise, close: () => wake.resolve(undefined) }
  const all = inPool(queue, { workers: 2, signal }, async (task) => {
    throw new Error(task)
  })
  await expect(all).rejects.toThrow('bad')
})
