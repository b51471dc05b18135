import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { FaultScene } from '../support/faults.ts'
import { killAtRandom } from '../support/kills.ts'
import { disturbAtRandom } from '../support/proxied.ts'

/**
 * A sample of what `npm run test:long` does at length; SEED asks for another. These kill replace, swap and verify, and disturb
 * a restore, by a stall, and a comparison.
 */
const seeds = { kills: Number(process.env.SEED ?? 9), network: Number(process.env.SEED ?? 3) }

// many runs in a row: what hangs is bounded in them, run by run
jest.setTimeout(900_000)

let scene: FaultScene
beforeAll(async () => {
  scene = await FaultScene.start()
})
afterAll(() => scene?.stop())

test(`runs that are killed at random moments (seed ${seeds.kills}) leave nothing, and the next ones do the work`, async () => {
  const { landed, faults } = await killAtRandom(scene, 3, seeds.kills, () => {})
  expect(faults).toEqual([])
  expect(landed).toBe(3)
})

test(`migrations through a bad network (seed ${seeds.network}) heal or give up with a clear error`, async () => {
  const { met, faults } = await disturbAtRandom(scene, 2, seeds.network, () => {})
  expect(faults).toEqual([])
  expect(met).toBe(2)
})
