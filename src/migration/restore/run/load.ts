import { createWriteStream } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Cancelled, Failure, messageOf } from '../../../failure.ts'
import { entryName } from '../../../postgres/archive/entry.ts'
import { openProbe } from '../../../postgres/connection.ts'
import { conninfo } from '../../../postgres/connection-string.ts'
import { qualifiedName } from '../../../postgres/identifiers.ts'
import { aborted, sqlstateOfMessage } from '../../../postgres/programs/messages.ts'
import { runProgram } from '../../../postgres/programs/process.ts'
import {
  clientMajor,
  programEnvironment,
  programPath,
} from '../../../postgres/programs/programs.ts'
import { isContextOfCode, ProgramLines, shownLine } from '../../../postgres/server-message.ts'
import { endsSession, isTransient } from '../../../postgres/sqlstates.ts'
import { SilentPeer, standingOf } from '../../../postgres/watchdog.ts'
import { isFull, temporaryFull } from '../../free-space.ts'
import type { RestoreOptions } from '../options.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import type { TargetSession } from './target-session.ts'

/** Rows that one run of pg_restore loads: entries of one archive, loaded one after the other. */
export interface Load {
  items: PlannedEntry[]
  /** Bytes on disk. */
  bytes: number
  /** Partitions whose rows go through their root belong together: the root is what is emptied before a second try. */
  root: string | null
}

/** Below this (bytes), tables share a run of pg_restore, up to so many. */
const shared = 8 * 1024 * 1024
const mostShared = 200

/** Puts the data entries of a plan together into loads, the largest first. */
export function makeLoads(items: readonly PlannedEntry[]): Load[] {
  const loads: Load[] = []
  const byRoot = new Map<string, Load>()
  // what the account loads goes apart from what the loader does
  const open = new Map<object, Load>()
  const data = new Set(items.map(({ archive, entry }) => `${archive.directory}\0${entry.dumpId}`))
  for (const item of [...items].sort((a, b) => b.entry.dataBytes - a.entry.dataBytes)) {
    const bytes = item.entry.dataBytes
    const root = rootOf(item)
    const known = root === null ? undefined : byRoot.get(root)
    if (known) {
      known.items.push(item)
      known.bytes += bytes
      continue
    }
    // rows that must come after others go alone: two loads could otherwise wait for each other
    const small =
      root === null &&
      bytes < shared &&
      !item.entry.dependencies.some((id) => data.has(`${item.archive.directory}\0${id}`))
    const key = item.byAccount ? item.archive.entries : item.archive
    const gathering = open.get(key)
    if (small && gathering) {
      gathering.items.push(item)
      gathering.bytes += bytes
      if (gathering.bytes >= shared || gathering.items.length >= mostShared) open.delete(key)
      continue
    }
    const load: Load = { items: [item], bytes, root }
    loads.push(load)
    if (root !== null) byRoot.set(root, load)
    else if (small) open.set(key, load)
  }
  return loads
}

/** The quoted table that rows are copied into when that is not the entry's own (pg_dump --load-via-partition-root). */
function rootOf({ entry }: PlannedEntry): string | null {
  return /^-- load via partition root (.*\S)/s.exec(entry.definition)?.[1] ?? null
}

/** The quoted name of the table that an entry's rows belong to. */
export function tableOf({ entry }: PlannedEntry): string {
  return qualifiedName(entry.namespace, entry.tag)
}

/** What pg_restore said of one error. */
export interface LoadError {
  /** The entry it was working on, where it said so. */
  dumpId: number | null
  /** The first line, without the program's name, as far as it may be shown. */
  message: string
  sqlstate: string | null
}

/** pg_restore did not load what it was given. */
export class LoadFailure extends Error {
  override readonly name = 'LoadFailure'
  readonly errors: LoadError[]
  /** Trying again may help: a lost connection, a killed program. */
  readonly transient: boolean

  constructor(message: string, errors: LoadError[], transient: boolean) {
    super(message)
    this.errors = errors
    this.transient = transient
  }
}

/**
 * Loads the rows of some entries with pg_restore. Each table is one COPY, and so all or nothing.
 *
 * @param name the application_name of its session
 * @param onItem called when pg_restore begins the next table, with how many it has begun
 * @throws LoadFailure with every error that pg_restore reported; Failure when it cannot be started; Cancelled
 */
export async function load(
  options: RestoreOptions,
  items: readonly PlannedEntry[],
  name: string,
  directory: string,
  signal: AbortSignal,
  onItem: (begun: number) => void,
): Promise<void> {
  const [first] = items
  if (!first) return
  const list = join(directory, `${name.replace(/[^\w-]/g, '-')}.list`)
  await writeFile(list, items.map(({ entry }) => `${entry.dumpId};\n`).join(''), { mode: 0o600 })
  const reader = new ErrorReader()
  const log = createWriteStream(options.logFile, { flags: 'a', mode: 0o600 })
  // without its log the program is not let run on
  const stop = new AbortController()
  let logFailed: NodeJS.ErrnoException | undefined
  log.on('error', (error) => {
    logFailed = error
    stop.abort()
  })
  log.write(`# pg_restore of ${items.map(({ entry }) => entryName(entry)).join(', ')}\n`)
  const lines = new ProgramLines('pg_restore', (line) => log.write(`${line}\n`))
  let begun = 0
  try {
    const result = await runProgram(
      programPath(options.client, 'pg_restore'),
      loadArguments(options, list, first.archive.directory),
      {
        env: {
          ...programEnvironment(options.passwordFile, options.client.libraryPath),
          PGAPPNAME: name,
        },
        signal: AbortSignal.any([signal, stop.signal]),
        watch: {
          look: () =>
            standingOf({ application: name }, () =>
              openProbe(options.target, { database: options.targetName, role: 'target' }),
            ),
          patience: options.patience,
        },
        onErrorLine: (line) => {
          lines.read(line)
          reader.read(line)
          if (
            /^pg_restore: (\[[^\]]*\] )?(processing data for table|restoring large object OID)/.test(
              line,
            )
          ) {
            onItem(++begun)
          }
        },
      },
    )
    const errors = reader.errors.filter((error) => !isExpected(error, options))
    if (result.code === 0 && errors.length === 0) return
    if (result.code === 1 && errors.length === 0 && reader.ignored === reader.errors.length) return
    if (result.killedBy || (result.code ?? 0) > 128) {
      throw new LoadFailure(
        `pg_restore was killed by ${result.killedBy ?? 'a signal'}`,
        errors,
        true,
      )
    }
    const told = errors.find(({ sqlstate }) => sqlstate !== aborted) ?? errors[0]
    const message = told?.message ?? `pg_restore ended with ${result.code} ${reader.place}`
    throw new LoadFailure(message, errors, mayAllPass(errors))
  } catch (error) {
    if (signal.aborted) throw new Cancelled()
    if (isFull(logFailed)) throw temporaryFull(options.logFile)
    if (logFailed) {
      throw new Failure(
        'The log of pg_restore cannot be written',
        messageOf(logFailed),
        'Check the disk and the directory where RUNNER_TEMP is, the temporary directory of the runner (TMPDIR on a command line), then run again',
        { cause: logFailed },
      )
    }
    if (error instanceof LoadFailure || error instanceof Cancelled) throw error
    if (error instanceof SilentPeer) {
      throw new LoadFailure(`pg_restore had no answer: ${error.message}`, [], true)
    }
    throw new Failure(
      'pg_restore could not be run',
      messageOf(error),
      'Check the client programs: client-path, or let the action install them',
      { cause: error },
    )
  } finally {
    lines.end()
    await new Promise<void>((resolve) => log.end(resolve))
    await rm(list, { force: true })
  }
}

/** The arguments of pg_restore for some data entries of one archive (PostgreSQL, "pg_restore"). */
export function loadArguments(options: RestoreOptions, list: string, archive: string): string[] {
  return [
    '--format=directory',
    '--verbose',
    '--no-password',
    `--dbname=${conninfo(options.target, 'write', options.targetName, clientMajor(options.client))}`,
    `--use-list=${list}`,
    '--no-owner',
    '--no-privileges',
    '--no-tablespaces',
    ...(clientMajor(options.client) >= 15 ? ['--no-table-access-method'] : []),
    ...options.extraOptions,
    archive,
  ]
}

/**
 * Lines of pg_restore's stderr, put together to errors. Before version 12 it writes `[archiver (db)] ` before messages, and
 * no `error: `.
 */
export class ErrorReader {
  readonly errors: LoadError[] = []
  /** What pg_restore itself counted at its end. */
  ignored = 0
  private dumpId: number | null = null
  private last = ''

  read(line: string): void {
    const text = /^pg_restore: (?:\[[^\]]*\] )?(.*)$/.exec(line)?.[1]
    if (text === undefined) {
      const last = this.errors.at(-1)
      if (last && isContextOfCode(line)) last.message = shownLine(last.message, true)
      return
    }
    this.last = shownLine(text)
    const entry = /^(?:Error )?from TOC entry (\d+); /.exec(text)?.[1]
    const ignored = /^(?:warning|WARNING): errors ignored on restore: (\d+)/i.exec(text)?.[1]
    if (entry !== undefined) this.dumpId = Number(entry)
    else if (ignored !== undefined) this.ignored = Number(ignored)
    else if (/^processing data for table/.test(text)) this.dumpId = null
    else if (
      /^(error|fatal): |^(COPY failed|could not |connection to |query failed|error returned by |lost synchronization)/.test(
        text,
      )
    ) {
      const message = text.replace(/^(error|fatal): /, '')
      const sqlstate = sqlstateOfMessage(message)
      this.errors.push({ dumpId: this.dumpId, message: shownLine(message), sqlstate })
    }
  }

  /** Where it was when it ended without an error of its own. */
  get place(): string {
    return this.last ? `after it said: ${this.last}` : 'and no message'
  }
}

/**
 * A client of 17 or later sets a parameter that older servers do not know. It does so for every session and goes on:
 * the one error that is allowed.
 */
function isExpected({ message }: LoadError, options: RestoreOptions): boolean {
  return (
    clientMajor(options.client) >= 17 &&
    message.includes('unrecognized configuration parameter "transaction_timeout"')
  )
}

/**
 * Whether another try may end better. Everything that pg_restore says after its connection is lost follows from that: it goes
 * on through the large objects without one. Before version 15 it does not say why a large object could not be written.
 */
export function mayAllPass(errors: readonly LoadError[]): boolean {
  const lost = errors.findIndex(({ sqlstate }) => endsSession(sqlstate ?? ''))
  const causes = lost < 0 ? errors : errors.slice(0, lost + 1)
  return (
    causes.length > 0 &&
    causes.every(
      ({ message, sqlstate }) =>
        (sqlstate !== null && isTransient(sqlstate, message)) ||
        (lost >= 0 && /^could not write to large object( \(result: .*)?$/.test(message)),
    )
  )
}

/** Whether a table that may have been loaded before holds exactly the rows of the dump. */
export async function isLoaded(
  session: TargetSession,
  item: PlannedEntry,
  expected: number | undefined,
): Promise<boolean> {
  if (item.entry.desc !== 'TABLE DATA') return false
  const { rows: security } = await session.query<{ on: boolean }>(
    'SELECT relrowsecurity AS on FROM pg_catalog.pg_class WHERE oid = $1::pg_catalog.regclass',
    [tableOf(item)],
  )
  // row security is switched on after the rows are in, and then might hide them from us
  if (security[0]?.on) return true
  // neither INSERT statements nor a partition filled from elsewhere are all or nothing
  if (expected === undefined && (item.entry.copyStatement === null || rootOf(item) !== null)) {
    return false
  }
  return hasAllRows(session, item, expected)
}

/** The same of a table that may be counted. Without a count from the dump any row says that its COPY was done. */
export async function hasAllRows(
  session: TargetSession,
  item: PlannedEntry,
  expected: number | undefined,
): Promise<boolean> {
  const table = tableOf(item)
  if (expected === undefined) {
    const { rows } = await session.query<{ some: boolean }>(
      `SELECT EXISTS (SELECT FROM ONLY ${table}) AS some`,
    )
    return rows[0]?.some ?? false
  }
  const { rows } = await session.query<{ count: string }>(
    `SELECT pg_catalog.count(*) AS count FROM ONLY ${table}`,
  )
  return Number(rows[0]?.count) === expected
}

/** Empties what is loaded again. It waits for whoever still writes to it, and so comes after whatever they committed. */
export async function empty(
  session: TargetSession,
  load: Load,
  items: readonly PlannedEntry[],
): Promise<void> {
  const tables =
    load.root === null
      ? items
          .filter(({ entry }) => entry.desc === 'TABLE DATA')
          .map((item) => `ONLY ${tableOf(item)}`)
      : [load.root]
  if (tables.length > 0) await session.query(`TRUNCATE ${tables.join(', ')}`)
}
