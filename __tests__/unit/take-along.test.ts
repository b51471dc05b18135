import { expect, test } from '@jest/globals'
import {
  leaveOut,
  lossOf,
  type PlannedEntry,
} from '../../src/migration/restore/plan/planned-entry.ts'
import { Dependants, takeAlong } from '../../src/migration/restore/plan/take-along.ts'
import type { Archive } from '../../src/postgres/archive/archive.ts'
import { archiveEntry } from '../support/archive-entry.ts'
import { randomIntegers } from '../support/random.ts'

const kinds = ['TABLE', 'TABLE DATA', 'INDEX', 'ACL', 'COMMENT', 'EXTENSION', 'STATISTICS'].concat([
  'ACCESS METHOD',
  'CONSTRAINT',
  'FK CONSTRAINT',
  'SCHEMA',
  'VIEW',
])

/** Entries of two archives that hang on one another as it happens, in circles as well. */
function planned(seed: number): PlannedEntry[] {
  const below = randomIntegers(seed)
  const archives = ['/a', '/b'].map((directory) => ({ directory, entries: [] })) as unknown as [
    Archive,
    Archive,
  ]
  const entries = Array.from({ length: 2 + below(25) }, (_, at): PlannedEntry => {
    const archive = archives[below(4) === 0 ? 1 : 0]
    const entry = archiveEntry({
      // both archives number theirs alike
      dumpId: 1 + Math.floor(at / 2) * 2 + (archive === archives[1] ? 0 : at % 2),
      ...{ desc: kinds[below(kinds.length)] ?? '', tag: `e${below(5)}` },
      accessMethod: `e${below(5)}`,
      dependencies: Array.from({ length: below(3) }, () => 1 + below(26)),
    })
    return { archive, entry, name: `${at}`, decision: { kind: 'restore' } }
  })
  for (const one of entries) {
    const other = entries[below(entries.length)]
    if (other && below(5) === 0) one.needs = [other.entry]
    if (below(8) > 0) continue
    const gone = leaveOut('it is gone', 'Bring it back', lossOf(one.entry))
    one.decision = below(3) === 0 ? { ...gone, there: true } : gone
  }
  takeAlong(entries)
  return entries
}

test('what hangs on one that failed is the same, looked up among the dependants of all or anew', () => {
  let sum = 0
  for (let seed = 0; seed < 400; seed++) {
    const [kept, anew] = [planned(seed), planned(seed)]
    const dependants = new Dependants(kept)
    const below = randomIntegers(seed)
    for (let failures = 3; failures > 0; failures--) {
      const at = below(kept.length)
      const [item, same] = [kept[at], anew[at]]
      if (!item || !same || item.decision.kind === 'leave-out') continue
      const taken = dependants.takeAlong([fail(item)])
      sum += taken.length
      fail(same)
      takeAlong(anew)
      expect(decisionsOf(kept)).toEqual(decisionsOf(anew))
      const along = anew.filter(({ decision }) => isAlong(decision, same)).map(({ name }) => name)
      expect(taken.map(({ name }) => name).toSorted()).toEqual(along.toSorted())
    }
  }
  expect(sum).toBeGreaterThan(300)
})

const isAlong = (decision: PlannedEntry['decision'], cause: PlannedEntry) =>
  decision.kind === 'leave-out' && decision.along === cause

function fail(item: PlannedEntry): PlannedEntry {
  item.decision = { ...leaveOut('it failed', '', lossOf(item.entry)), failed: true }
  return item
}

const decisionsOf = (entries: readonly PlannedEntry[]) =>
  entries.map(({ decision }) =>
    decision.kind === 'leave-out' ? { ...decision, along: decision.along?.name } : decision,
  )
