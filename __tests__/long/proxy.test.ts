import { expect, test } from '@jest/globals'
import { FaultScene } from '../support/faults.ts'
import { disturbAtRandom } from '../support/proxied.ts'

/** RUNS and SEED ask for others. */
const runs = Number(process.env.RUNS ?? 30)
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)

test(`${runs} migrations through a bad network (seed ${seed}) heal or give up with a clear error, and lose nothing`, async () => {
  const scene = await FaultScene.start()
  try {
    const { met, faults } = await disturbAtRandom(scene, runs, seed, (line) =>
      process.stderr.write(`${line}\n`),
    )
    expect(faults).toEqual([])
    expect(met).toBe(runs)
  } finally {
    await scene.stop()
  }
})
