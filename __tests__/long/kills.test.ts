import { expect, test } from '@jest/globals'
import { killAtRandom } from '../support/kills.ts'

/** KILLS and SEED ask for others. */
const kills = Number(process.env.KILLS ?? 50)
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)

test(`${kills} kills at random moments of every command (seed ${seed}) leave nothing, and the next run does the work`, async () => {
  const { landed, faults } = await killAtRandom(kills, seed, (line) =>
    process.stderr.write(`${line}\n`),
  )
  expect(faults).toEqual([])
  expect(landed).toBe(kills)
})
