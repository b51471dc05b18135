/**
 * A source and a target for runs that are disturbed, and what has to be true after each: the source is as it was, nothing
 * of ours is in force on either side or lies on the runner, and the target has every row.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { markSchema } from '../../src/migration/restore/database/mark.ts'
import { temporaryRole } from '../../src/migration/restore/owners/login-role.ts'
import { between, demoLosses, readEverything, runJob } from './migration.ts'
import { type PlainTarget, startPlainTarget } from './polardb-standin.ts'
import { type Disturbance, TcpProxy, through } from './proxy.ts'
import { membershipsOf } from './restore-harness.ts'
import type { ActionResult } from './runner.ts'
import { guard, TestServer } from './server.ts'

/** What the cluster and the database of a source say about everything a migration could leave behind or change. */
const cluster = [
  'SELECT a::text FROM pg_authid a',
  'SELECT m::text FROM pg_auth_members m',
  'SELECT s::text FROM pg_db_role_setting s',
  'SELECT s::text FROM pg_replication_slots s',
  'SELECT gid FROM pg_prepared_xacts',
  `SELECT (oid, datname, datdba, datacl, datallowconn, datconnlimit)::text FROM pg_database`,
]
const content = [
  'SELECT (oid, nspname, nspowner, nspacl)::text FROM pg_namespace',
  'SELECT (oid, relname, relnamespace, relowner, relkind, relacl, reloptions, relhastriggers, relforcerowsecurity)::text FROM pg_class',
  'SELECT (oid, proname, proowner, proacl, proconfig)::text FROM pg_proc',
  'SELECT (oid, conname, contype, convalidated)::text FROM pg_constraint',
  'SELECT d::text FROM pg_default_acl d',
  'SELECT d::text FROM pg_description d',
  'SELECT t::text FROM pg_trigger t',
  'SELECT l::text FROM pg_largeobject_metadata l',
]

/** The same in names, for a target: databases, roles, memberships and settings get new OIDs with every migration. */
const inNames = [
  `SELECT ('role', rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolconnlimit)::text FROM pg_roles`,
  `SELECT ('member', roleid::regrole, member::regrole, admin_option)::text FROM pg_auth_members`,
  `SELECT ('setting', datname, setrole::regrole, setconfig)::text FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase`,
  `SELECT ('database', datname, datdba::regrole, datacl, datallowconn, datconnlimit)::text FROM pg_database`,
]

async function lines(server: TestServer, queries: string[], database?: string): Promise<string[]> {
  const { rows } = await server.sql(
    queries.map((query) => `SELECT x::text AS line FROM (${query}) AS q(x)`).join(' UNION ALL '),
    database,
  )
  return rows.map(({ line }) => String(line)).sort()
}

/** A statement of each phase that has any, for blows that fall at one. */
const statements: Readonly<Record<string, ['source' | 'target', RegExp]>> = {
  preflight: ['source', /pg_stat_activity/],
  'dump-roles': ['source', /pg_authid|pg_roles/],
  'dump shop': ['source', /COPY shop\./],
  schema: ['target', /pg_available_extension/],
  'restore-roles': ['target', /pg_auth_members/],
  'restore shop': ['target', /COPY shop\.|CREATE INDEX|ADD CONSTRAINT/],
  'analyze shop': ['target', /ANALYZE/],
  'verify shop': ['target', /SELECT 0 AS i/],
  'swap shop': ['target', /ALTER DATABASE/],
}

/** Proxies before both servers of a scene. */
export class Proxies {
  readonly source: TcpProxy
  readonly target: TcpProxy

  private constructor(source: TcpProxy, target: TcpProxy) {
    this.source = source
    this.target = target
  }

  static async start(scene: FaultScene): Promise<Proxies> {
    return new Proxies(
      await TcpProxy.start(scene.source.port),
      await TcpProxy.start(scene.target.port),
    )
  }

  /** The same inputs with both servers behind their proxies, as far as they are given. */
  between(inputs: Record<string, string>): Record<string, string> {
    const changed = { ...inputs }
    for (const side of ['source', 'target'] as const)
      if (inputs[side] !== undefined) changed[side] = through(this[side], inputs[side])
    return changed
  }

  /**
   * Waits for a statement of a phase, and does something to its connection. What comes before the first phase that has
   * statements is taken for that phase.
   *
   * @param share which of the first three of its kind, from 0 up to 1
   */
  async statementOf(
    phase: string,
    share: number,
    disturbance: Disturbance = 'none',
    given?: 'source' | 'target',
  ): Promise<void> {
    const [side, statement] = statements[phase] ?? ['source', /pg_stat_activity/]
    const proxy = this[given ?? side]
    await proxy.nth(Math.floor(share * 3) + 1, statement, disturbance)
  }

  /** Closes every connection, and waits for nothing any more. */
  clear(): void {
    for (const proxy of [this.source, this.target]) {
      proxy.calm()
      proxy.close()
    }
  }

  async stop(): Promise<void> {
    await Promise.all([this.source.stop(), this.target.stop()])
  }
}

/** The two servers of a test of faults, with the demo's database on the source. */
export class FaultScene {
  readonly source: TestServer
  readonly target: PlainTarget
  private readonly dump = mkdtempSync(join(tmpdir(), 'faults-dump-'))
  /** Where dumps are written that are killed. */
  readonly scratch = mkdtempSync(join(tmpdir(), 'faults-scratch-'))
  /** Removes both directories, also when the test is killed. */
  private readonly dismissGuard = guard(this.dump, this.scratch)
  private untouched: unknown
  private settledTarget: string[] = []
  /** What each phase took in the last run that nothing disturbed; '' is what comes before the first. */
  readonly seconds = new Map<string, number>()

  private constructor(source: TestServer, target: PlainTarget) {
    this.source = source
    this.target = target
  }

  /**
   * Starts both, and migrates once without any fault: what later states are measured against.
   *
   * @param shop SQL of the source, by default the whole demo's
   */
  static async start(shop = readFileSync('scripts/demo-source.sql', 'utf8')): Promise<FaultScene> {
    const [source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
    const scene = new FaultScene(source, target)
    await source.sql('CREATE DATABASE shop')
    await source.sql(shop, 'shop')
    await source.sql(
      'CREATE TABLE public.run (number int); INSERT INTO public.run VALUES (0)',
      'shop',
    )
    scene.untouched = await scene.sourceState()
    try {
      await scene.mustSucceed({ 'if-target-not-empty': 'replace' })
    } catch (error) {
      await scene.stop()
      throw error
    }
    scene.settledTarget = await lines(target.backend, inNames)
    return scene
  }

  async stop(): Promise<void> {
    await Promise.all([this.source.stop(), this.target.stop()])
    for (const path of [this.dump, this.scratch]) rmSync(path, { recursive: true, force: true })
    await this.dismissGuard()
  }

  /** A dump that was sealed before its run was killed is whole and stays, and no other may be written over it: so it is moved away. */
  removeWholeDump(): void {
    if (readdirSync(this.scratch).includes('manifest.json')) this.emptyScratch()
  }

  /** A directory with a dump of the source, made when it is first asked for: what `restore` is given. */
  async wholeDump(): Promise<string> {
    if (readdirSync(this.dump).length === 0)
      await this.mustSucceed({
        command: 'dump',
        'dump-directory': this.dump,
        'keep-dump': 'true',
      })
    return this.dump
  }

  private async mustSucceed(more: Record<string, string>): Promise<void> {
    const wrong = await this.succeed(this.inputs(more))
    if (wrong.length > 0) throw new Error(`the scene is not as it should be: ${wrong.join('; ')}`)
  }

  emptyScratch(): void {
    for (const name of readdirSync(this.scratch))
      rmSync(join(this.scratch, name), { recursive: true, force: true })
  }

  inputs(more: Record<string, string>): Record<string, string> {
    const all = between(this.source, this.target, 'shop', {
      'upload-dump': 'false',
      'allow-missing': demoLosses,
      ...more,
    })
    // a dump asks no target, a restore no source
    const needless = {
      dump: ['target', 'target-password', 'allow-missing'],
      restore: ['source', 'source-password'],
    }
    for (const name of needless[more.command as 'dump' | 'restore'] ?? []) delete all[name]
    return all
  }

  /** The databases that answer, with the number that the test wrote into each. */
  async runIn(database = 'shop'): Promise<number | undefined> {
    const { rows } = await this.target.backend.sql('SELECT number FROM public.run', database)
    return rows[0]?.number
  }

  private async sourceState(): Promise<unknown> {
    const client = await this.source.connect('shop')
    try {
      return {
        rows: await readEverything(client),
        cluster: await lines(this.source, cluster),
        content: await lines(this.source, content, 'shop'),
      }
    } finally {
      await client.end()
    }
  }

  /** Sessions of ours on either side. */
  private async sessions(): Promise<string[]> {
    const query = [
      `SELECT application_name || ' ' || coalesce(state, '') || ' ' || left(query, 200) FROM pg_stat_activity WHERE application_name ~ '^migrate-to-polardb'`,
    ]
    return [...(await lines(this.source, query)), ...(await lines(this.target.backend, query))]
  }

  /** Waits, boundedly, until a dead run has no process and no session any more. @returns what stays */
  async settle(run: ActionResult): Promise<string[]> {
    let left: string[] = []
    for (let tries = 0; tries < 300; tries++) {
      left = [
        ...run.orphans().map(({ command }) => `process ${command}`),
        ...(await this.sessions()),
      ]
      if (left.length === 0) break
      await setTimeout(100)
    }
    return left
  }

  /** What a run, whatever happened to it, may not have done to the source. @returns what differs */
  async sourceChanges(): Promise<string[]> {
    const flat = (state: unknown) =>
      Object.entries(state as Record<string, unknown>).flatMap(([part, value]) =>
        Array.isArray(value)
          ? value.map((line) => `${part} ${line}`)
          : Object.entries(value as object).map((entry) => `${part} ${JSON.stringify(entry)}`),
      )
    const [before, after] = [flat(this.untouched), flat(await this.sourceState())]
    return [
      ...before.filter((line) => !after.includes(line)).map((line) => `gone: ${line}`),
      ...after.filter((line) => !before.includes(line)).map((line) => `new: ${line}`),
    ]
  }

  /** Files on the runner beside the report, which is kept. */
  files(run: ActionResult): string[] {
    return [run.temp, run.workspace, join(run.directory, 'home')]
      .flatMap((path) => readdirSync(path).map((name) => join(path, name)))
      .filter((path) => !/\/temp\/polardb-report-[^/]*$/.test(path))
  }

  /** Runs a job that nothing disturbs and that has to succeed, verified where it verifies. @returns what is wrong */
  async succeed(inputs: Record<string, string>, directory?: string): Promise<string[]> {
    const began = Date.now()
    let beginning: number | undefined
    const run = await runJob({
      inputs,
      ...(directory === undefined ? {} : { directory }),
      onLog: (text) => {
        if (text.includes('▶')) beginning ??= (Date.now() - began) / 1000
      },
    })
    if (beginning !== undefined) this.seconds.set('', beginning)
    for (const { name, database, seconds } of run.report.phases)
      this.seconds.set(database === undefined ? name : `${name} ${database}`, seconds)
    const wrong: string[] = []
    if (run.report.error)
      wrong.push(
        `failed: ${run.report.error.message} ${run.report.error.cause} ${run.report.error.remedy}`,
      )
    if (inputs.command !== 'dump' && run.outputs.verified !== 'true') wrong.push('not verified')
    wrong.push(...(await this.settle(run)), ...this.files(run).map((path) => `file ${path}`))
    run.cleanUp()
    return wrong
  }

  /** What is wrong with the target after a run that succeeded. */
  async targetFaults(): Promise<string[]> {
    const { backend } = this.target
    const [here, there] = [await this.source.connect('shop'), await backend.connect('shop')]
    const [expected, found] = [await readEverything(here), await readEverything(there)]
    await Promise.all([here.end(), there.end()])
    const now = await lines(backend, inNames)
    const { rows: marks } = await backend.sql(
      `SELECT nspname AS name FROM pg_namespace WHERE nspname = '${markSchema}'`,
      'shop',
    )
    return [
      ...(JSON.stringify(expected) === JSON.stringify(found) ? [] : ['rows differ']),
      ...this.settledTarget.filter((line) => !now.includes(line)).map((line) => `gone: ${line}`),
      ...now.filter((line) => !this.settledTarget.includes(line)).map((line) => `new: ${line}`),
      ...marks.map(({ name }) => `mark ${name}`),
    ]
  }

  /** Rights and roles of ours that are in force on the target. */
  async rights(retired: 'allowed' | 'gone' = 'gone'): Promise<string[]> {
    const { rows } = await this.target.backend.sql(
      `SELECT rolname AS name FROM pg_roles
        WHERE left(rolname, ${temporaryRole.length}) = '${temporaryRole}'${retired === 'allowed' ? ' AND rolcanlogin' : ''}`,
    )
    return [...(await membershipsOf(this.target)), ...rows.map(({ name }) => String(name))]
  }
}
