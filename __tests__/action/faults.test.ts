import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { FaultScene } from '../support/faults.ts'
import { killAtRandom } from '../support/kills.ts'
import { smallShop } from '../support/migration.ts'
import { disturbAtRandom } from '../support/proxied.ts'

/**
 * A sample of what `npm run test:long` does at length and at random moments, of a small shop and at statements; SEED asks for
 * another. Here a restore is cut off.
 */
const seeds = { kills: Number(process.env.SEED ?? 9), network: Number(process.env.SEED ?? 8) }

// many runs in a row: what hangs is bounded in them, run by run
jest.setTimeout(900_000)

let scene: FaultScene
beforeAll(async () => {
  scene = await FaultScene.start(smallShop())
})
afterAll(() => scene?.stop())

test(`runs that are killed at statements (seed ${seeds.kills}) leave nothing, and the next ones do the work`, async () => {
  const { landed, faults } = await killAtRandom(scene, 2, seeds.kills, () => {}, 'statements')
  expect(faults).toEqual([])
  expect(landed).toBe(2)
})

test(`migrations through a bad network (seed ${seeds.network}) heal or give up with a clear error`, async () => {
  const { met, faults } = await disturbAtRandom(scene, 1, seeds.network, () => {}, 0, 'statements')
  expect(faults).toEqual([])
  expect(met).toBe(1)
})
