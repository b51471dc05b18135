import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type pg from 'pg'
import { newContext } from '../__tests__/support/context.ts'
import type { TestServer } from '../__tests__/support/server.ts'
import { holdTables } from '../src/migration/dump/held-tables.ts'
import { readArchive } from '../src/postgres/archive/archive.ts'
import { type ArchiveEntry, entryName } from '../src/postgres/archive/entry.ts'
import { qualifiedName, quoteIdentifier } from '../src/postgres/identifiers.ts'
import type { Costed, EntryCost } from './modelled.ts'
import { cpuOf, ofServer } from './processors.ts'

const run = promisify(execFile)

/** Bytes of rows from which on what is done with a table is measured by itself. */
const large = 4e6

/** Seconds of a processor that the action takes for sending a megabyte of rows (bench/streams.ts). */
const sending = 0.0023

/** Of the processes that build a b-tree the session itself is one, and does as much of what is shared out as each other one. */
const shareOfLeader = 1.5

/** Runs a program to its end. @throws when it fails, with what it said */
export async function program(path: string, parameters: string[]): Promise<void> {
  await run(path, parameters, { maxBuffer: 64 * 1024 * 1024 })
}

/** Seconds of a processor. */
interface Took {
  source: number
  target: number
  program: number
}

/**
 * Measures what each part of a migration takes of a processor, one after the other: the clock plays no role, so it may be done beside
 * other work (what that takes of shared caches is in it).
 */
export class Measuring {
  private readonly source: TestServer
  private readonly target: TestServer
  private readonly programs: string
  private readonly directory: string
  private readonly name: string
  private readonly found: Record<string, EntryCost> = {}
  private dumps = 0

  /** @param place servers, client programs, a directory for dumps, and the database's name on both servers */
  constructor(place: {
    source: TestServer
    target: TestServer
    programs: string
    directory: string
    name: string
  }) {
    this.source = place.source
    this.target = place.target
    this.programs = place.programs
    this.directory = place.directory
    this.name = place.name
  }

  /** Restores the database once on the way; who called removes it. */
  async costs(): Promise<Costed> {
    const { source, target, name } = this
    const whole = await this.dump('-Z0')
    const { entries } = await readArchive(whole.path)
    const client = await source.connect(name)
    await client.query('BEGIN')
    const { rows: versions } = await client.query(
      "SELECT current_setting('server_version_num')::int AS server",
    )
    const held = { client, server: versions[0]?.server as number }
    const tables = await holdTables(held, newContext('dump'))
    if (!tables) throw new Error('the tables are held by somebody')
    await client.query('ROLLBACK')
    await client.end()
    const rows = entries.filter(({ desc }) => desc === 'TABLE DATA')
    const groups = [
      ...rows.filter(({ dataBytes }) => dataBytes >= large).map((one) => [one]),
      rows.filter(({ dataBytes }) => dataBytes < large),
    ].filter((group) => group.length > 0)
    const base = (await this.dump('--schema-only')).took
    await target.sql(`CREATE DATABASE ${name}`)
    const definitions = (await this.restore(whole.path, '--section=pre-data')).target
    rmSync(whole.path, { recursive: true })
    for (const group of groups) await this.rows(group, base)
    const session = await target.connect(name)
    await this.building(session, entries, rows)
    for (const group of groups) {
      const statements = group.map((one) => `ANALYZE ${tableOf(one)};`)
      const { target: seconds } = await this.taking(() => session.query(statements.join('')))
      for (const one of group) this.of(one).analyze = seconds / group.length
    }
    await session.end()
    const catalogs = { source: base.source, program: base.program }
    return { entries, tables, costs: this.found, catalogs, definitions }
  }

  private of(entry: ArchiveEntry): EntryCost {
    const name = entryName(entry)
    const known = this.found[name] ?? { target: 0 }
    this.found[name] = known
    return known
  }

  private async taking(work: () => Promise<unknown>): Promise<Took> {
    const look = () => [ofServer(this.source), ofServer(this.target), cpuOf(process.pid).children]
    const before = look()
    await work()
    // a session counts once the postmaster has seen its end
    await new Promise((resolve) => setTimeout(resolve, 50))
    const [source = 0, target = 0, program = 0] = look().map((one, at) => one - (before[at] ?? 0))
    return { source, target, program }
  }

  private async dump(...options: string[]): Promise<{ path: string; took: Took }> {
    const path = join(this.directory, `${this.name}-${++this.dumps}`)
    const parameters = ['-d', this.source.uri(this.name), '-Fd', '-f', path, ...options]
    const took = await this.taking(() => program(join(this.programs, 'pg_dump'), parameters))
    return { path, took }
  }

  private restore(path: string, ...options: string[]): Promise<Took> {
    const parameters = ['-d', this.target.uri(this.name), ...options, path]
    return this.taking(() => program(join(this.programs, 'pg_restore'), parameters))
  }

  /** Rows of some tables: read without compression and with what pg_dump does by default, and loaded. */
  private async rows(group: readonly ArchiveEntry[], base: Took): Promise<void> {
    const options = ['--section=data', ...group.map((one) => `--table=${tableOf(one)}`)]
    const plain = await this.dump(...options, '-Z0')
    const packed = await this.dump(...options)
    rmSync(packed.path, { recursive: true })
    const load = await this.restore(plain.path, '--data-only')
    rmSync(plain.path, { recursive: true })
    for (const entry of group) {
      const each = (seconds: number) => Math.max(0, seconds) / group.length
      Object.assign(this.of(entry), {
        target: each(load.target),
        program: each(load.program),
        ours: (entry.dataBytes / 1e6) * sending,
        source: each(plain.took.source - base.source),
        dump: each(plain.took.program - base.program),
        documentedDump: each(packed.took.program - base.program),
      })
    }
  }

  /** Indexes and keys in the order of the archive: by one process, and where several can build it by those as well. */
  private async building(
    session: pg.Client,
    entries: readonly ArchiveEntry[],
    rows: readonly ArchiveEntry[],
  ): Promise<void> {
    const small: ArchiveEntry[] = []
    for (const entry of entries.filter(({ section }) => section === 'post-data')) {
      const table = rows.find(({ dependencies: [id = -1] }) => entry.dependencies.includes(id))
      if (!table || table.dataBytes < large) {
        small.push(entry)
        continue
      }
      await session.query('SET max_parallel_maintenance_workers = 0')
      const alone = await this.taking(() => session.query(entry.definition))
      this.of(entry).target = alone.target
      if (isKey(entry) || / USING btree /.test(entry.definition))
        await this.buildTogether(session, entry, table)
    }
    const statements = small.map(({ definition }) => definition).join('\n')
    const took = await this.taking(() => session.query(statements))
    for (const entry of small) this.of(entry).target = took.target / small.length
  }

  private async buildTogether(
    session: pg.Client,
    entry: ArchiveEntry,
    table: ArchiveEntry,
  ): Promise<void> {
    const named = quoteIdentifier(entry.tag.replace(`${table.tag} `, ''))
    await session.query(
      isKey(entry)
        ? `ALTER TABLE ${tableOf(table)} DROP CONSTRAINT ${named}`
        : `DROP INDEX ${qualifiedName(entry.namespace, entry.tag)}`,
    )
    await session.query('RESET max_parallel_maintenance_workers')
    const { rows } = await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    const pid = rows[0]?.pid ?? 0
    const before = cpuOf(pid).own
    const { target } = await this.taking(() => session.query(entry.definition))
    const others = target - (cpuOf(pid).own - before)
    // below that the clock of the processor says nothing
    if (others < 0.02) return
    const parallel = Math.min(target, others * shareOfLeader)
    this.of(entry).shared = { parallel, alone: target - parallel }
  }
}

const tableOf = ({ namespace, tag }: ArchiveEntry) => qualifiedName(namespace, tag)

const isKey = ({ desc }: ArchiveEntry) => desc === 'CONSTRAINT'
