import { expect, test } from '@jest/globals'
import { FaultScene } from '../support/faults.ts'
import { disturbAtRandom } from '../support/proxied.ts'

/** RUNS and SEED ask for others; with FIRST, RUNS of them are run behind the first so many. */
const runs = Number(process.env.RUNS ?? 30)
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
const first = Number(process.env.FIRST ?? 0)

test(`${runs} migrations through a bad network (seed ${seed}, behind the first ${first}) heal or give up with a clear error, and lose nothing`, async () => {
  const scene = await FaultScene.start()
  try {
    const say = (line: string) => process.stderr.write(`${line}\n`)
    const { met, early, faults } = await disturbAtRandom(scene, runs, seed, say, first)
    expect(faults).toEqual([])
    expect(met).toBe(runs)
    if (runs >= 10) expect(early).toBeGreaterThan(0)
  } finally {
    await scene.stop()
  }
})
