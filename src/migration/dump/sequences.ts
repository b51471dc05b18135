import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { entriesOfKind } from '../../postgres/archive/archive.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import type { Run } from '../run.ts'
import { rereadSequences } from '../verify/fingerprint.ts'
import type { DatabaseFingerprint, SequenceFingerprint } from '../verify/model.ts'
import { keyOf } from '../verify/rows/tables.ts'

/** Where a sequence stands. */
type Standing = NonNullable<SequenceFingerprint['dumped']>[number]

/** As pg_dump ends what sets a sequence (PostgreSQL source, pg_dump.c, dumpSequenceData). */
const ofSequence = /, (-?\d{1,60}), (true|false)\);\s*$/

/**
 * Where sequences stand in the archives of a database. One may stand in several: pg_dump takes the sequences of a table's own
 * columns along with its rows, and again with all the others, and each time it looks anew.
 *
 * @param archives their directories
 * @returns by `keyOf`, each standing once
 */
export async function dumpedSequences(
  archives: readonly string[],
): Promise<Map<string, Standing[]>> {
  const found = new Map<string, Standing[]>()
  for (const directory of archives) {
    const content = await readFile(join(directory, 'toc.dat'))
    for (const { namespace, tag, definition } of entriesOfKind(
      content,
      directory,
      'SEQUENCE SET',
    )) {
      const [, last, called] = ofSequence.exec(definition) ?? []
      if (last === undefined) continue
      const key = keyOf({ schema: namespace, name: tag })
      const standings = found.get(key) ?? []
      const standing = { last, called: called === 'true' }
      if (!standings.some((one) => isSame(one, standing))) standings.push(standing)
      found.set(key, standings)
    }
  }
  return found
}

/**
 * Adds to a source's fingerprint where its sequences stand once the dump has ended and, as far as they moved, where they stand in the
 * dump. No snapshot holds a sequence still, so pg_dump may have met it anywhere on its way, which leads back to its beginning where it
 * cycles.
 *
 * @param archives the directories of the dump
 */
export async function noteSequences(
  fingerprint: DatabaseFingerprint,
  archives: readonly string[],
  place: { connection: ConnectionParameters; database: string },
  run: Run,
): Promise<void> {
  const { sequences } = fingerprint
  if (sequences.length === 0) return
  await rereadSequences(fingerprint, place, run)
  const found = await dumpedSequences(archives)
  for (const sequence of sequences) {
    const dumped = found.get(keyOf(sequence))
    if (!dumped || sequence.unreadable !== undefined) continue
    if (sequence.later === undefined && dumped.every((one) => isSame(one, sequence))) continue
    sequence.dumped = dumped
  }
}

function isSame(one: Standing, other: Standing): boolean {
  return one.last === other.last && one.called === other.called
}
