import { expect, test } from '@jest/globals'
import { Line } from '../../bench/far.ts'

/** 25,000 bytes a millisecond. */
const rate = 200e6

/** Sends as a socket does, a chunk after the other. @param late milliseconds that each timer fires late @returns when all is on its way */
function sendAll(line: Line, bytes: number, late: number): number {
  let [now, last] = [0, 0]
  for (let left = bytes; left > 0; left -= 65_536) {
    const { sent, pause } = line.send(Math.min(left, 65_536), now)
    last = sent
    if (pause >= 1) now += pause + late
  }
  return last
}

test.each([0, 1, 5, 15])('a sender that is woken %i ms late gets the whole rate', (late) => {
  expect(sendAll(new Line(rate), 25_000_000, late)).toBeCloseTo(1000)
})

test('a sender runs no further ahead of the line than its queue', () => {
  const line = new Line(rate)
  let now = 0
  for (let sent = 0; sent < 100; sent++) {
    const { sent: at, pause } = line.send(65_536, now)
    now += pause
    expect(at - now).toBeLessThanOrEqual(20)
  }
  expect(now).toBeGreaterThan(230)
})

test('several senders share the rate', () => {
  const line = new Line(rate)
  const ends = [1, 2, 3].map(() => line.send(25_000, 0).sent)
  expect(ends).toEqual([1, 2, 3])
  expect(line.send(25_000, 100).sent).toBe(101)
})
