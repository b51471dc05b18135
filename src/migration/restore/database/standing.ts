import type pg from 'pg'
import { Failure } from '../../../failure.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { counted } from '../../../text/numbers.ts'
import { printable } from '../../../text/text.ts'
import type { RestoreOptions } from '../options.ts'
import { existingObjects, mayCreate } from './existing-objects.ts'
import { type Mark, notOurs, readMark } from './mark.ts'

/** Where the target database stands before its restore. */
export type Standing =
  /** It was just created, or is empty. */
  | 'empty'
  /** It holds what an interrupted restore of the same dump left. */
  | 'begun'
  /** It is to be resumed, and no restore says that it was interrupted in it: an earlier run may have come to the end. */
  | 'complete'

/** What a database holds before it is restored into. */
export interface ExistingDatabase {
  /** Names of its objects, at most mostObjects. */
  objects: string[]
  mark: Mark | null
  /** The account may create schemas and the like in it. */
  mayCreate: boolean
}

/**
 * How a database that exists stands before its restore; `full` where it is to be emptied or dropped first.
 *
 * @param dump identifies the dump; undefined where there is none yet
 * @throws Failure when it may not be restored into, as the options say
 */
export function standingOf(
  existing: ExistingDatabase,
  options: Pick<RestoreOptions, 'targetName' | 'ifNotEmpty' | 'inPlace'>,
  dump: string | undefined,
): Standing | 'full' {
  const [first] = obstaclesIn(existing, options, dump)
  if (first) throw first
  const { mark, objects } = existing
  if (objects.length === 0) return 'empty'
  if (options.ifNotEmpty !== 'resume') return 'full'
  // whoever owns the database by now may have been given it by the interrupted restore itself
  return !mark || mark.state?.complete ? 'complete' : 'begun'
}

/** All that is in the way of a restore into a database that exists; parameters as for standingOf(). */
export function obstaclesIn(
  { mark, objects, mayCreate }: ExistingDatabase,
  options: Pick<RestoreOptions, 'targetName' | 'ifNotEmpty' | 'inPlace'>,
  dump: string | undefined,
): Failure[] {
  const { targetName, ifNotEmpty, inPlace } = options
  if (mark && !mark.ours && ifNotEmpty !== 'replace') return [notOurs(mark)]
  if (ifNotEmpty === 'resume' && objects.length > 0) {
    if (!mark || dump === undefined || mark.state?.dump === dump) return []
    const why = mark.state
      ? 'It was begun with another dump'
      : 'The mark of its restore cannot be read'
    return [cannotResume(targetName, why)]
  }
  const isClosed = !mayCreate && (ifNotEmpty !== 'replace' || inPlace)
  const isFull = objects.length > 0 && ifNotEmpty !== 'replace'
  return [
    ...(isClosed ? [mayCreateNothing(targetName)] : []),
    ...(isFull
      ? [notEmpty(targetName, objects, dump !== undefined && mark?.state?.dump === dump)]
      : []),
  ]
}

function mayCreateNothing(name: string): Failure {
  return new Failure(
    `The account may not create anything in the database "${name}"`,
    'It lacks the privilege CREATE on it',
    name === 'postgres'
      ? 'Give what it holds another name (databases: postgres=other-name, one a line with the others), or leave it out of databases: on a cluster nobody may create anything in the maintenance database'
      : `As the owner of the database, run: GRANT CREATE ON DATABASE ${quoteIdentifier(name)} TO the account`,
    { sqlstate: '42501' },
  )
}

/** @param left whether an interrupted restore of the same dump has left what it holds */
function notEmpty(name: string, objects: readonly string[], left: boolean): Failure {
  const holds = `It holds ${counted(objects.length, 'object')} (${objects.slice(0, 5).map(printable).join(', ')}${objects.length > 5 ? ', …' : ''})`
  return new Failure(
    `The target database "${name}" is not empty`,
    left ? `${holds}, left by an interrupted restore of this dump` : holds,
    left
      ? 'Set if-target-not-empty to resume to go on with it'
      : 'Restore under another name (databases: name=other-name), or set if-target-not-empty to swap, which keeps it until the new one is verified (replace drops it first)',
    { paste: `if-target-not-empty: ${left ? 'resume' : 'swap'}` },
  )
}

/** The failure of a resume that has nothing to go on with. */
export function cannotResume(name: string, why: string): Failure {
  return new Failure(
    `The restore of the database "${name}" cannot be resumed`,
    why,
    'Resume with the dump that it was begun with, or set if-target-not-empty to swap, which builds beside it',
  )
}

/** What is in the database that a session is connected to. */
export async function readExisting(client: pg.Client): Promise<ExistingDatabase> {
  return {
    objects: await existingObjects(client),
    mark: await readMark(client),
    mayCreate: await mayCreate(client),
  }
}
