import { openProbe } from '../../../postgres/connection.ts'
import { conninfo } from '../../../postgres/connection-string.ts'
import { qualifiedName } from '../../../postgres/identifiers.ts'
import { clientMajor } from '../../../postgres/programs/programs.ts'
import { standingOf } from '../../../postgres/watchdog.ts'
import type { RestoreOptions } from '../options.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { runPgRestore } from './pg-restore.ts'
import type { TargetSession } from './target-session.ts'

/** Rows that one run of pg_restore loads: entries of one archive, loaded one after the other. */
export interface Load {
  items: PlannedEntry[]
  /** Bytes on disk. */
  bytes: number
  /** Partitions whose rows go through their root belong together: the root is what is emptied before a second try. */
  root: string | null
}

/** Below this (bytes), tables share a run of pg_restore. */
const shared = 8 * 1024 * 1024

/**
 * So many share one, or the twentieth part of them where there are more: every run reads the whole table of contents, and twenty
 * runs are enough for all jobs.
 */
const mostShared = (tables: number) => Math.max(200, Math.ceil(tables / 20))

/** Puts the data entries of a plan together into loads, the largest first. */
export function makeLoads(items: readonly PlannedEntry[]): Load[] {
  const loads: Load[] = []
  const byRoot = new Map<string, Load>()
  // what the account loads goes apart from what the loader does
  const open = new Map<object, Load>()
  const data = new Set(items.map(({ archive, entry }) => `${archive.directory}\0${entry.dumpId}`))
  const most = mostShared(items.length)
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
      if (gathering.bytes >= shared || gathering.items.length >= most) open.delete(key)
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
export function rootOf({ entry }: PlannedEntry): string | null {
  return /^-- load via partition root (.*\S)/s.exec(entry.definition)?.[1] ?? null
}

/** The quoted name of the table that an entry's rows belong to. */
export function tableOf({ entry }: PlannedEntry): string {
  return qualifiedName(entry.namespace, entry.tag)
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
  let begun = 0
  await runPgRestore(options, items, directory, signal, {
    name,
    arguments: (list) => loadArguments(options, list, first.archive.directory),
    watch: {
      look: () =>
        standingOf({ application: name }, () =>
          openProbe(options.target, { database: options.targetName, role: 'target' }),
        ),
      patience: options.patience,
    },
    onErrorLine: (line) => {
      if (
        /^pg_restore: (\[[^\]]*\] )?(processing data for table|restoring large object OID)/.test(
          line,
        )
      ) {
        onItem(++begun)
      }
    },
  })
}

/** The arguments of pg_restore for some data entries of one archive (PostgreSQL, "pg_restore"). */
export function loadArguments(options: RestoreOptions, list: string, archive: string): string[] {
  return [
    '--no-password',
    `--dbname=${conninfo(options.target, 'write', options.targetName, clientMajor(options.client))}`,
    ...commonArguments(options, list, archive),
  ]
}

/**
 * The arguments with which pg_restore writes the rows of an entry to stdout: without a file it does so before version 12, and asks
 * for one from then on.
 */
export function scriptArguments(options: RestoreOptions, list: string, archive: string): string[] {
  return [
    ...(clientMajor(options.client) >= 12 ? ['--file=-'] : []),
    ...commonArguments(options, list, archive),
  ]
}

function commonArguments(options: RestoreOptions, list: string, archive: string): string[] {
  return [
    '--format=directory',
    '--verbose',
    `--use-list=${list}`,
    '--no-owner',
    '--no-privileges',
    '--no-tablespaces',
    ...(clientMajor(options.client) >= 15 ? ['--no-table-access-method'] : []),
    ...options.extraOptions,
    archive,
  ]
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
