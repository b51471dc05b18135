import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import { Cancelled } from '../../src/failure.ts'
import { withLock } from '../../src/postgres/programs/clients/lock.ts'

let directory: string
let path: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'lock-'))
  path = join(directory, 'below', 'x.lock')
})
afterEach(() => rmSync(directory, { recursive: true }))

const never = new AbortController().signal

test('works of several holders do not overlap', async () => {
  let inside = 0
  let most = 0
  const waits: number[] = []
  const work = async (index: number) =>
    await withLock(
      path,
      10_000,
      never,
      () => waits.push(index),
      async () => {
        most = Math.max(most, ++inside)
        // the first holds it until the others have met it
        while (waits.length < 2) await sleep(5)
        await sleep(20)
        inside--
      },
    )
  await Promise.all([1, 2, 3].map(work))
  expect(most).toBe(1)
  expect(readdirSync(join(directory, 'below'))).toEqual([])
})

test('the lock of a holder that died is taken over, and he does not get it back', async () => {
  let first: { held(): Promise<boolean> } | undefined
  await withLock(
    path,
    10_000,
    never,
    () => {},
    async (lock) => {
      first = lock
      // as a process that was stopped: its signs of life end, its file stays
      writeFileSync(path, 'somebody else')
      expect(await lock.held()).toBe(false)
    },
  )
  const held = await withLock(
    path,
    300,
    never,
    () => {},
    async (lock) => await lock.held(),
  )
  expect(held).toBe(true)
  expect(await first?.held()).toBe(false)
  expect(readdirSync(join(directory, 'below'))).toEqual([])
})

test('a holder that lives is waited for, however long its work takes', async () => {
  // the clock of whoever waits goes on with each sign of life, and all in all further than he would wait without one
  let now = 0
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => now)
  try {
    const order: string[] = []
    const { promise: started, resolve: start } = Promise.withResolvers<void>()
    const sign = () => statSync(path).mtimeMs
    const long = withLock(
      path,
      10_000,
      never,
      () => {},
      async () => {
        start()
        for (let signs = 0, last = sign(); signs < 3; await sleep(20)) {
          if (sign() === last) continue
          last = sign()
          signs++
          now += 4500
        }
        order.push('long')
      },
    )
    await started
    await withLock(
      path,
      10_000,
      never,
      () => {},
      async () => void order.push('second'),
    )
    await long
    expect(order).toEqual(['long', 'second'])
  } finally {
    clock.mockRestore()
  }
})

test('what the work throws comes through, and the lock is free again', async () => {
  const failing = withLock(
    path,
    10_000,
    never,
    () => {},
    async () => {
      throw new Error('no disk')
    },
  )
  await expect(failing).rejects.toThrow('no disk')
  expect(
    await withLock(
      path,
      10_000,
      never,
      () => {},
      async () => 'free',
    ),
  ).toBe('free')
})

test('a cancelled job stops waiting', async () => {
  const controller = new AbortController()
  await withLock(
    path,
    10_000,
    never,
    () => {},
    async () => {
      const waiting = withLock(
        path,
        10_000,
        controller.signal,
        () => controller.abort(),
        async () => 1,
      )
      await expect(waiting).rejects.toThrow(Cancelled)
    },
  )
})
