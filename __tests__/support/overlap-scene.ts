/** A source and a target behind networks that do what they are told, for migrations that restore while they dump. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { markSchema } from '../../src/migration/restore/database/mark.ts'
import { temporaryRole } from '../../src/migration/restore/owners/login-role.ts'
import type { Run } from '../../src/migration/run.ts'
import { clientDirectory } from './clients.ts'
import { tinyParts } from './dump-in-parts.ts'
import { type CommandResult, runInProcess } from './in-process.ts'
import { type PlainTarget, startPlainTarget } from './polardb-standin.ts'
import { TcpProxy, through } from './proxy.ts'
import { membershipsOf, rowsOf } from './restore-harness.ts'
import { TestServer } from './server.ts'

export class OverlapScene {
  readonly source: TestServer
  readonly target: PlainTarget
  /** Before the source. */
  readonly near: TcpProxy
  /** Before the target. */
  readonly far: TcpProxy
  readonly client: string
  /** For dumps that a test keeps. */
  readonly directory: string
  private readonly databases: readonly string[]

  private constructor(
    servers: readonly [TestServer, PlainTarget],
    proxies: readonly [TcpProxy, TcpProxy],
    client: string,
    directory: string,
    databases: readonly string[],
  ) {
    ;[this.source, this.target] = servers
    ;[this.near, this.far] = proxies
    this.client = client
    this.directory = directory
    this.databases = databases
  }

  /** @param databases SQL of each database, of which every one belongs to the role `app` */
  static async start(databases: Readonly<Record<string, string>>): Promise<OverlapScene> {
    const client = await clientDirectory(15)
    if (!client) throw new Error('the client programs of 15 are missing')
    const servers = await Promise.all([TestServer.start(15), startPlainTarget(15)])
    const [source, target] = servers
    const proxies = await Promise.all([TcpProxy.start(source.port), TcpProxy.start(target.port)])
    await source.sql(`CREATE ROLE app LOGIN PASSWORD 'app secret'; CREATE ROLE reader`)
    for (const [name, sql] of Object.entries(databases)) {
      await source.sql(`CREATE DATABASE ${name} OWNER app`)
      await source.sql(sql, name)
    }
    const directory = await mkdtemp(join(tmpdir(), 'overlap-'))
    return new OverlapScene(servers, proxies, client, directory, Object.keys(databases))
  }

  async stop(): Promise<void> {
    await Promise.all([this.near.stop(), this.far.stop()])
    await Promise.all([this.source.stop(), this.target.stop()])
    await rm(this.directory, { recursive: true, force: true })
  }

  /** Both networks are in order again, and the target has nothing of what runs have begun. */
  async clear(): Promise<void> {
    for (const proxy of [this.near, this.far]) {
      proxy.calm()
      proxy.close()
    }
    for (const name of this.databases)
      await this.target.backend.sql(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    // what is half restored belongs to the role that loaded it
    const { rows } = await this.target.backend.sql(
      `SELECT rolname AS name FROM pg_roles WHERE left(rolname, ${temporaryRole.length}) = '${temporaryRole}'`,
    )
    for (const { name } of rows) await this.target.backend.sql(`DROP ROLE "${name}"`)
  }

  /** Migrates the first of the databases, unless the inputs name others; every table is large enough for a part of its own. */
  migrate(more: Record<string, string> = {}, changes: Partial<Run> = {}): Promise<CommandResult> {
    return runInProcess(
      {
        command: 'migrate',
        source: through(this.near, this.source.uri()),
        target: through(this.far, this.target.uri()),
        databases: this.databases[0] ?? '',
        'client-path': this.client,
        'allow-missing': '*',
        'upload-dump': 'false',
        ...more,
      },
      {
        partSizes: tinyParts,
        pauses: [0.2, 0.2, 0.2],
        ...changes,
      },
    )
  }

  /** Keeps the dump where the test finds it. */
  kept(name: string): Record<string, string> {
    return { 'dump-directory': join(this.directory, name), 'keep-dump': 'true' }
  }

  /** Goes on with a dump that was kept. */
  restore(name: string, more: Record<string, string> = {}): Promise<CommandResult> {
    return runInProcess({
      command: 'restore',
      target: this.target.uri(),
      'client-path': this.client,
      'allow-missing': '*',
      'if-target-not-empty': 'resume',
      ...this.kept(name),
      ...more,
    })
  }

  /** The target has every row, nothing of ours is left in it or in force, and the run says that it is verified. */
  async expectWhole({ error, report }: CommandResult, ...databases: string[]): Promise<void> {
    if (error) throw error instanceof Failure ? new Error(error.line) : error
    expect(report.verified).toBe(true)
    for (const database of databases) {
      const expected = await rowsOf(this.source, database)
      expect(await rowsOf(this.target.backend, database)).toEqual(expected)
      expect(await this.marksIn(database)).toEqual([])
    }
    await this.expectNothingLent()
  }

  /** No right that was lent is in force, nobody can log in by a role of ours, and no session of ours stays. */
  async expectNothingLent(): Promise<void> {
    expect(await membershipsOf(this.target)).toEqual([])
    const logins = `SELECT rolname FROM pg_roles WHERE rolname LIKE 'migrate_to_polardb%' AND rolcanlogin`
    expect((await this.target.backend.sql(logins)).rows).toEqual([])
    // the server takes a moment to end those whose connections are closed
    const left = `SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'migrate-to-polardb%'`
    while ((await this.target.backend.sql(left)).rowCount) await sleep(10)
  }

  async marksIn(database: string): Promise<unknown[]> {
    const { rows } = await this.target.backend.sql(
      `SELECT nspname FROM pg_namespace WHERE nspname = '${markSchema}'`,
      database,
    )
    return rows
  }

  /** Which of the databases the target has. */
  async targets(): Promise<string[]> {
    const { rows } = await this.target.backend.sql(
      'SELECT datname AS name FROM pg_database ORDER BY 1',
    )
    return rows.map(({ name }) => String(name)).filter((name) => this.databases.includes(name))
  }

  /** What somebody has made for the data to go to. */
  async createEmpty(name: string): Promise<void> {
    await this.target.backend.sql(`CREATE DATABASE ${name} OWNER "${this.target.account}"`)
  }
}
