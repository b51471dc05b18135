import { expect, test } from '@jest/globals'
import { FaultScene } from '../support/faults.ts'
import { killAtRandom } from '../support/kills.ts'

/** KILLS and SEED ask for others. */
const kills = Number(process.env.KILLS ?? 50)
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)

test(`${kills} kills at random moments of every command (seed ${seed}) leave nothing, and the next run does the work`, async () => {
  const scene = await FaultScene.start()
  try {
    const { landed, faults } = await killAtRandom(scene, kills, seed, (line) =>
      process.stderr.write(`${line}\n`),
    )
    expect(faults).toEqual([])
    expect(landed).toBe(kills)
  } finally {
    await scene.stop()
  }
})
