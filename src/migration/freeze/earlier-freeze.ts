import type { FreezeResult } from '../../report/model.ts'
import { printable } from '../../text/text.ts'
import type { Source } from '../checks/preflight.ts'
import type { Run } from '../run.ts'
import { frozenDatabases, thawOne } from './frozen-source.ts'

/**
 * Looks for freezes that earlier runs have left: one for a dump that can still be restored stays and is told, any other is undone,
 * unless this run freezes as well.
 *
 * @returns whether one stays in force that this run takes over
 * @throws Failure where another run has frozen the source and is at work; Cancelled
 */
export async function meetEarlierFreeze(source: Source, run: Run): Promise<boolean> {
  const found = await frozenDatabases(source, run)
  if (found.length === 0 || run.inputs.freezeSource) return found.length > 0
  for (const { database, frozen } of found) {
    const name = printable(database)
    if (frozen.dump !== null) {
      run.warn(
        `"${name}" is frozen since ${frozen.at}, for the dump ${frozen.dump}, and stays so: command: unfreeze gives it its writes back`,
      )
      continue
    }
    const isThawed = await thawOne(source, database, run, run.signal, frozen)
    run.warn(
      isThawed
        ? `"${name}" was left frozen at ${frozen.at} by a run that did not come to its end: its settings are what they were before, and it takes writes again`
        : `"${name}" was left frozen at ${frozen.at}, and another run has taken it over meanwhile: it is read-only`,
    )
  }
  const still = found.filter(({ frozen }) => frozen.dump !== null)
  const [first] = still
  if (first) {
    run.record.freeze({
      ...nothingFrozen(source, run),
      frozen: true,
      since: first.frozen.at,
      databases: still.map(({ database }) => database),
      next: 'The source was frozen before this run and stays so. command: unfreeze gives it its writes back',
    })
  }
  return false
}

/** What the report says of a source before this run has frozen anything. */
export function nothingFrozen(source: Source, run: Run): FreezeResult {
  return {
    frozen: false,
    since: null,
    databases: source.databases.map((database) => database.source),
    ended: 0,
    spared: run.inputs.freezeExcept,
    written: false,
    next: '',
  }
}
