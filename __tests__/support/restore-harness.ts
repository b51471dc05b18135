import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type pg from 'pg'
import type { Context } from '../../src/migration/context.ts'
import { limitConnections } from '../../src/migration/restore/database/connection-limit.ts'
import {
  type DatabaseProperties,
  readDatabaseProperties,
} from '../../src/migration/restore/database/properties.ts'
import type { RestoreOptions } from '../../src/migration/restore/options.ts'
import type { RestorePlan } from '../../src/migration/restore/plan/plan.ts'
import { planRestore } from '../../src/migration/restore/plan-restore.ts'
import { beginRestore, type Restored } from '../../src/migration/restore/restore-database.ts'
import { readArchive } from '../../src/postgres/archive/archive.ts'
import { entryName } from '../../src/postgres/archive/entry.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { qualifiedName } from '../../src/postgres/identifiers.ts'
import { type ClientPrograms, writePasswordFile } from '../../src/postgres/programs/programs.ts'
import type { RestoreResult } from '../../src/report/model.ts'
import { clientDirectory } from './clients.ts'
import { newContext, type TestContext } from './context.ts'
import { type TcpProxy, through } from './proxy.ts'
import type { TestServer } from './server.ts'

const run = promisify(execFile)

/** Carries a plan out, as the action does. */
export async function restoreDatabase(
  options: RestoreOptions,
  plan: RestorePlan,
  context: Context,
): Promise<Restored> {
  const restore = await beginRestore(options, plan, context)
  return await restore.carryOut()
}

/** With RESTORE_STREAMS=1 the rows of every table go through several sessions, whatever its size. */
const inStreams: Partial<RestoreOptions> =
  process.env.RESTORE_STREAMS === '1' ? { jobs: 6, streams: { from: 1, most: 6, piece: 8192 } } : {}

/** Where a restore goes: a stand-in, a plain server, or a TestServer with an account made for it. */
export interface RestoreTarget {
  account: string
  backend: TestServer
  uri(database?: string): string
  connect(database?: string): Promise<pg.Client>
}

/** A directory of its own for one test, a context in it, and dumps and restores between servers. */
export class Harness {
  readonly directory: string
  readonly client: ClientPrograms
  readonly context: TestContext

  private constructor(directory: string, client: ClientPrograms) {
    this.directory = directory
    this.client = client
    this.context = testContext(directory)
  }

  /** @param major of the client programs; undefined is returned where the machine cannot have them */
  static async open(major: number): Promise<Harness | undefined> {
    const programs = await clientDirectory(major)
    if (programs === undefined) return undefined
    const { stdout } = await run(join(programs, 'pg_restore'), ['--version'])
    const version = /\(PostgreSQL\) (\S+)/.exec(stdout)?.[1] ?? String(major)
    const directory = await mkdtemp(join(tmpdir(), 'restore-test-'))
    return new Harness(directory, {
      majorName: String(major),
      version,
      directory: programs,
      origin: 'test',
      warnings: [],
    })
  }

  async close(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true })
  }

  /** Dumps a database as the action does. */
  async dump(source: TestServer, database: string, options: string[] = []): Promise<Dump> {
    const directory = join(this.directory, `dump-${Math.random().toString(36).slice(2)}`)
    const client = await source.connect(database)
    try {
      const properties = await readDatabaseProperties(client)
      const expectedRows = await countRows(client)
      await run(join(this.client.directory, 'pg_dump'), [
        '--format=directory',
        '--jobs=2',
        `--file=${directory}`,
        `--dbname=${source.uri(database)}`,
        ...options,
      ])
      return { directory, properties, expectedRows }
    } finally {
      await client.end()
    }
  }

  async options(
    dump: Dump,
    target: RestoreTarget,
    changes: Partial<RestoreOptions> = {},
  ): Promise<RestoreOptions> {
    const connection = parseConnectionString(target.uri('postgres'))
    return {
      archives: [dump.directory],
      database: dump.properties,
      target: connection,
      targetName: dump.properties.name,
      passwordFile: await writePasswordFile(this.directory, 'target', connection),
      client: this.client,
      jobs: 2,
      createDatabase: true,
      ifNotEmpty: 'fail',
      allowMissing: [],
      extraOptions: [],
      expectedRows: dump.expectedRows,
      logFile: join(this.directory, 'pg_restore.log'),
      ...inStreams,
      ...changes,
    }
  }

  /** Plans and restores; the temporary rights are given back. */
  async restore(
    dump: Dump,
    target: RestoreTarget,
    changes: Partial<RestoreOptions> = {},
    context: Context = this.context,
  ): Promise<Restored> {
    const options = await this.options(dump, target, changes)
    const plan = await planRestore(options, context)
    const restored = await restoreDatabase(options, plan, context)
    await restored.release()
    await limitConnections(options, context)
    return restored
  }

  /** What differs between the schemas of two databases, seen by the same pg_dump: one line a difference. */
  async differences(
    source: TestServer,
    sourceName: string,
    target: TestServer,
    targetName: string,
  ): Promise<Difference[]> {
    const [left, right] = await Promise.all([
      this.entriesOf(source, sourceName),
      this.entriesOf(target, targetName),
    ])
    const found: Difference[] = []
    for (const [name, entry] of left) {
      const other = right.get(name)
      if (!other) found.push({ entry: name, what: 'missing' })
      else {
        if (entry.definition !== other.definition) {
          found.push({
            entry: name,
            what: 'definition',
            source: entry.definition,
            target: other.definition,
          })
        }
        if (entry.owner !== other.owner) {
          found.push({ entry: name, what: 'owner', source: entry.owner, target: other.owner })
        }
      }
    }
    for (const name of right.keys()) if (!left.has(name)) found.push({ entry: name, what: 'extra' })
    return found
  }

  private async entriesOf(server: TestServer, database: string): Promise<Map<string, Entry>> {
    const directory = join(this.directory, `schema-${Math.random().toString(36).slice(2)}`)
    await run(join(this.client.directory, 'pg_dump'), [
      '--format=directory',
      '--schema-only',
      `--file=${directory}`,
      `--dbname=${server.uri(database)}`,
    ])
    const { entries } = await readArchive(directory)
    const result = new Map<string, Entry>()
    for (const entry of entries) {
      if (/^(ENCODING|STDSTRINGS|SEARCHPATH)$/.test(entry.desc)) continue
      const name = entryName(entry).replaceAll(` ${database}`, ' (database)')
      const definition = entry.definition.replaceAll(` ${database}`, ' (database)')
      result.set(name, { definition, owner: entry.owner })
    }
    return result
  }
}

interface Entry {
  definition: string
  owner: string
}

export interface Difference {
  entry: string
  what: 'missing' | 'extra' | 'definition' | 'owner'
  source?: string
  target?: string
}

export interface Dump {
  directory: string
  properties: DatabaseProperties
  expectedRows: Map<string, number>
}

/** Exact rows of every table, by quoted name. */
export async function countRows(client: pg.Client): Promise<Map<string, number>> {
  const { rows } = await client.query<{ schema: string; name: string }>(`
    SELECT n.nspname AS schema, c.relname AS name
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')`)
  const counts = new Map<string, number>()
  for (const { schema, name } of rows) {
    const table = qualifiedName(schema, name)
    const { rows: found } = await client.query(
      `SELECT pg_catalog.count(*)::int AS n FROM ONLY ${table}`,
    )
    counts.set(table, found[0]?.n)
  }
  return counts
}

/** A digest of every table's rows, by quoted name: equal when the rows are, in whatever order. */
export async function digestRows(client: pg.Client): Promise<Map<string, string>> {
  const digests = new Map<string, string>()
  for (const table of (await countRows(client)).keys()) {
    const { rows } = await client.query(
      `SELECT pg_catalog.md5(pg_catalog.string_agg(t::text, E'\\n' ORDER BY t::text COLLATE "C")) AS digest FROM ONLY ${table} t`,
    )
    digests.set(table, rows[0]?.digest)
  }
  return digests
}

/** Creates the roles of the source on a target, as its account. */
export async function createRoles(target: RestoreTarget, roles: readonly string[]): Promise<void> {
  const client = await target.connect()
  try {
    for (const role of roles) await client.query(`CREATE ROLE "${role.replaceAll('"', '""')}"`)
  } finally {
    await client.end()
  }
}

/** The account's memberships in other roles, without those that only administer: what a restore must not leave behind. */
export async function membershipsOf(target: RestoreTarget): Promise<string[]> {
  const options = target.backend.major >= 16 ? 'AND (m.set_option OR m.inherit_option)' : ''
  const { rows } = await target.backend.sql(`
    SELECT r.rolname AS role FROM pg_catalog.pg_auth_members m
      JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles a ON a.oid = m.member
     WHERE a.rolname = '${target.account}' AND r.rolname !~ '^pg_' ${options} ORDER BY 1`)
  return rows.map(({ role }) => role)
}

/** The context of a restore, which tries again soon. */
export function testContext(directory: string): TestContext {
  const pauses = [0.1, 0.2, 0.4, 0.8, 1, 2, 4]
  return newContext('restore', { pauses, temporaryDirectory: directory })
}

/** Names of the entries that a result says something of, with OWNER and ACL lines among them. */
export function explained(result: RestoreResult): Set<string> {
  return new Set(result.skipped.map(({ entry }) => entry))
}

/** Sends a signal to every client program of a name that this process has started; false when none runs. */
export function signalProgram(name: string, signal: NodeJS.Signals): boolean {
  let isSent = false
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const [, command, state, parent] =
        /\((.*)\) (\S+) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? []
      if (command !== name || state === 'Z' || Number(parent) !== process.pid) continue
      process.kill(Number(pid), signal)
      isSent = true
    } catch {
      // it ended meanwhile
    }
  }
  return isSent
}

export const signalPgRestore = (signal: NodeJS.Signals) => signalProgram('pg_restore', signal)

export const killPgRestore = () => signalPgRestore('SIGKILL')

/** The rows of a whole database, as digestRows() has them. */
export async function rowsOf(server: TestServer, database: string): Promise<Map<string, string>> {
  const client = await server.connect(database)
  try {
    return await digestRows(client)
  } finally {
    await client.end()
  }
}

/** The same target behind a proxy, through which alone a restore reaches it. */
export function behind(proxy: TcpProxy, target: RestoreTarget): RestoreTarget {
  return {
    account: target.account,
    backend: target.backend,
    uri: (database) => through(proxy, target.uri(database)),
    connect: (database) => target.connect(database),
  }
}
