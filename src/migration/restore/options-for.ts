import { join } from 'node:path'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { qualifiedName } from '../../postgres/identifiers.ts'
import type { ClientPrograms } from '../../postgres/programs/programs.ts'
import type { Inputs } from '../inputs.ts'
import { autoJobs } from '../jobs.ts'
import type { DumpedDatabase } from '../kept/manifest.ts'
import type { Run } from '../run.ts'
import { parseFingerprint } from '../verify/kept-fingerprint.ts'
import type { DatabaseFingerprint } from '../verify/model.ts'
import { ownLimit } from './database/own-limit.ts'
import { withRoleNames } from './database/properties.ts'
import type { Destination } from './destinations.ts'
import type { RestoreOptions } from './options.ts'
import type { Swap } from './swap/exchange.ts'

/**
 * How a database of a dump is restored, by the inputs of a run.
 *
 * @param dump.isSchema it is only to be decided about
 * @param passwordFile holds the target's password
 * @param swap where it is built beside the one whose name it is to have
 */
export function optionsFor(
  destination: Destination,
  dump: { proven: boolean; client: ClientPrograms | null; isSchema: boolean },
  connection: ConnectionParameters,
  passwordFile: string,
  run: Run,
  swap?: Swap,
): RestoreOptions {
  const { inputs } = run
  if (!dump.client) throw new TypeError('a database is restored without client programs')
  const fingerprint = fingerprintIn(destination.dumped)
  const expectedRows = fingerprint && rowsOf(fingerprint)
  return {
    archives: destination.archives,
    proven: dump.proven,
    database: withRoleNames(
      {
        ...destination.properties,
        // a library that the target lacks would lock the role out: the roles' own phase tries it before it sets it
        settings: destination.properties.settings.filter(
          ({ role, name }) => role === null || !/_preload_libraries$/.test(name),
        ),
      },
      run.roleNames,
    ),
    target: connection,
    roleNames: run.roleNames,
    targetName: swap?.building ?? destination.target,
    passwordFile,
    client: dump.client,
    analyze: inputs.analyze,
    jobs: inputs.restoreJobs === 'auto' ? autoJobs(run.processors) : inputs.restoreJobs,
    patience: run.patience,
    streams: run.streamSizes,
    timed: (step, table, time) => destination.record.ran(step, table, time),
    createDatabase: inputs.createDatabase,
    isRehearsal: run.rehearsal !== undefined,
    ...wayInto(inputs.ifTargetNotEmpty, swap, dump.isSchema),
    allowMissing: inputs.allowMissing,
    extraOptions: inputs.restoreOptions,
    ...(expectedRows && { expectedRows }),
    ...readAheadOf(inputs.verify, fingerprint),
    logFile: join(
      run.reportDirectory,
      `pg_restore-${destination.archives[0]?.split('/').at(-2)}.log`,
    ),
  }
}

/** How many rows each table of a dump has, by quoted name; undefined where nobody counted them. */
export function rowsIn(dumped: DumpedDatabase): Map<string, number> | undefined {
  const fingerprint = fingerprintIn(dumped)
  return fingerprint && rowsOf(fingerprint)
}

function fingerprintIn({ fingerprint }: DumpedDatabase): DatabaseFingerprint | undefined {
  return fingerprint === undefined ? undefined : parseFingerprint(fingerprint)
}

function rowsOf({ level, tables }: DatabaseFingerprint): Map<string, number> | undefined {
  if (level === 'none') return undefined
  return new Map(tables.map(({ schema, name, rows }) => [qualifiedName(schema, name), rows]))
}

/** Rows are read ahead where they will be compared, as far as that is known by now. */
function readAheadOf(
  level: Inputs['verify'],
  fingerprint: DatabaseFingerprint | undefined,
): Pick<RestoreOptions, 'readAhead'> {
  if (level !== 'data' || (fingerprint && fingerprint.level !== 'data')) return {}
  return { readAhead: fingerprint ? { facts: fingerprint } : {} }
}

/** What is built for an exchange goes into a database of its own, whose name only this dump can have given it. */
function wayInto(
  wanted: Inputs['ifTargetNotEmpty'],
  swap: Swap | undefined,
  ahead: boolean,
): Pick<RestoreOptions, 'ifNotEmpty' | 'keepMark' | 'createdLimit'> {
  if (swap) {
    const ifNotEmpty = swap.begun ? 'resume' : 'replace'
    return { ifNotEmpty, keepMark: true, createdLimit: ownLimit('swap', swap.building) }
  }
  // what is built beside the old database finds nothing, as what takes its place does
  if (ahead && wanted === 'swap') return { ifNotEmpty: 'replace' }
  return { ifNotEmpty: wanted === 'swap' ? 'fail' : wanted }
}
