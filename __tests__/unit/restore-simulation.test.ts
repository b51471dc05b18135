import { expect, test } from '@jest/globals'
import { simulateRestore } from '../support/restore-simulation.ts'

/** Restores in which somebody waited although there was something to do, and others. */
const seeds = [195, 6704, 7147, 8795, ...Array.from({ length: 500 }, (_, at) => at)]

test('every task of a restore is done once, in its turn, and nobody waits for ever', async () => {
  let ended = 0
  for (const seed of seeds) ended += (await simulateRestore(seed)).ended
  expect(ended).toBeGreaterThan(20 * seeds.length)
})
