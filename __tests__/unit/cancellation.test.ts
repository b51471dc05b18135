import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { Cancelled } from '../../src/failure.ts'
import { doStill, endsBy, timeLeftUntil } from '../../src/migration/cancellation.ts'
import { cancelTime, goodbye } from '../../src/postgres/connection.ts'
import { grace } from '../../src/postgres/programs/process.ts'

test('what a cancelled job still does fits into the ten seconds of the runner', () => {
  // meanwhile the server is asked to cancel queries
  expect(cancelTime).toBeLessThanOrEqual(grace)
  // programs end, then the sessions of the workers and the one of the steps, before rights are given back
  expect(grace + 2 * goodbye).toBeLessThan(endsBy.rights)
  // the session that gives them back is closed, and something is left for the upload
  expect(endsBy.rights + goodbye).toBeLessThan(endsBy.report)
  expect(endsBy.report).toBeLessThan(10_000)
})

test('time is counted from the cancellation on', () => {
  const reason = new Cancelled()
  const moment = reason.at
  expect(timeLeftUntil(performance.now() - moment, AbortSignal.abort(reason))).toBe(1)
  const far = 1_000_000 + (performance.now() - moment)
  const left = timeLeftUntil(far, AbortSignal.abort(reason))
  expect(left).toBeGreaterThan(1)
  expect(left).toBeLessThanOrEqual(far)
  // a signal that does not say when it fired
  expect(timeLeftUntil(7000, AbortSignal.abort())).toBe(7000)
})

/** A cancellation so long ago that its time is up. */
function longAgo(): Cancelled {
  const reason = new Cancelled()
  return Object.assign(reason, { at: reason.at - 60_000 })
}

const untilEnded = (limit: AbortSignal) => sleep(60_000, 'never', { signal: limit })

test('work after a cancellation ends when its time is up', async () => {
  await expect(doStill(AbortSignal.abort(longAgo()), 60_000, untilEnded)).rejects.toThrow('aborted')
})

test('work is hurried when the job is cancelled meanwhile, and has its own limit otherwise', async () => {
  const stop = new AbortController()
  const work = doStill(stop.signal, 60_000, untilEnded)
  stop.abort(longAgo())
  await expect(work).rejects.toThrow('aborted')
  await expect(doStill(new AbortController().signal, 1, untilEnded)).rejects.toThrow('aborted')
  expect(await doStill(AbortSignal.abort(), 1, async (limit) => limit.aborted)).toBe(false)
})
