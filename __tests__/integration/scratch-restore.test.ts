import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Cancelled } from '../../src/failure.ts'
import { inspectSource, inspectTarget } from '../../src/migration/checks/preflight.ts'
import { withSchemas } from '../../src/migration/dump/schemas.ts'
import { openDumpSource } from '../../src/migration/dump/source.ts'
import { required } from '../../src/migration/inputs.ts'
import { scratchRestore } from '../../src/migration/restore/scratch-restore.ts'
import type { Run } from '../../src/migration/run.ts'
import type { CheckResult } from '../../src/report/model.ts'
import { clientDirectory } from '../support/clients.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { createRichDatabase } from '../support/rich-database.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: PlainTarget
let programs: string

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 are missing')
  programs = found
  source = await TestServer.start(15)
  target = await startPlainTarget(15)
  await createRichDatabase(source)
  await source.sql('CREATE DATABASE hostile')
  await source.sql(
    `CREATE FUNCTION public.here(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
       $$ BEGIN IF pg_catalog.current_database() <> 'hostile' THEN RAISE EXCEPTION 'not here'; END IF; RETURN $1; END $$;
     CREATE TABLE public.fine (id int PRIMARY KEY);
     CREATE INDEX "constant
value" ON public.fine ((public.here(1)));
     CREATE INDEX good ON public.fine (id);
     CREATE FUNCTION public.a_clock() RETURNS timestamptz LANGUAGE sql SET timezone = 'UTC' AS 'SELECT now()';
     CREATE VIEW public.on_it AS SELECT public.a_clock();
     UPDATE pg_catalog.pg_proc SET proconfig = '{TimeZone=Mars/Crater}' WHERE proname = 'a_clock'`,
    'hostile',
  )
  await source.sql('CREATE DATABASE slow')
  await source.sql(
    `CREATE FUNCTION public.for_ever(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
       $$ BEGIN IF pg_catalog.current_database() <> 'slow' THEN PERFORM pg_catalog.pg_sleep(600); END IF; RETURN $1; END $$;
     CREATE TABLE public.fine (id int);
     CREATE INDEX constants ON public.fine ((public.for_ever(1)))`,
    'slow',
  )
})

afterAll(async () => {
  await target?.stop()
  await source?.stop()
})

/** What would be left behind on the target: databases, roles, memberships. */
async function things(): Promise<string> {
  const { rows } = await target.backend.sql(
    `SELECT 'database ' || datname AS thing FROM pg_database
     UNION ALL SELECT 'role ' || rolname FROM pg_roles
     UNION ALL SELECT 'member ' || roleid::regrole || ' ' || member::regrole FROM pg_auth_members ORDER BY 1`,
  )
  return JSON.stringify(rows)
}

async function tryOut(
  database: string,
  changes: { inputs?: Record<string, string>; run?: Partial<Run> } = {},
): Promise<CommandResult & { checks: CheckResult[] }> {
  const inputs = {
    ...between(source, target, database),
    'client-path': programs,
    ...changes.inputs,
  }
  let checks: CheckResult[] = []
  const result = await runInProcess(inputs, changes.run, async (run) => {
    const there = await inspectTarget(required(run.inputs, 'target'), run.inputs, run)
    const from = await inspectSource(required(run.inputs, 'source'), run.inputs.databases, run)
    const dumpSource = await openDumpSource(from, run, there)
    checks = await withSchemas(from, dumpSource, run, async (dumping) =>
      scratchRestore(
        {
          source: from.connection,
          target: there.connection,
          mayCreate: there.account.superuser || there.account.createDatabase,
          schemas: await dumping,
          client: dumpSource.client,
        },
        run,
      ),
    )
  })
  return { ...result, checks }
}

const failedOf = (checks: readonly CheckResult[]) =>
  checks.filter(({ status }) => status === 'failed').map(({ id, objects }) => [id, ...objects])

test('a rich database goes through without its roles, and nothing of it stays', async () => {
  const before = await things()
  const { checks, error, report } = await tryOut('rich')
  expect(error).toBeUndefined()
  expect(failedOf(checks)).toEqual([])
  expect(checks.map(({ id, status }) => `${id} ${status}`)).toEqual([
    'scratch-restore passed',
    'scratch-differences passed',
    'scratch-definitions passed',
  ])
  expect(await things()).toBe(before)
  // nothing of it has happened to the migration
  expect([report.losses, report.warnings, report.databases]).toEqual([[], [], []])
})

test('what only the server can refuse is refused today, all of it, with its remedy', async () => {
  const before = await things()
  const { checks, error } = await tryOut('hostile')
  expect(error).toBeUndefined()
  expect(failedOf(checks)).toEqual([
    ['scratch-restore', 'FUNCTION public.a_clock()', 'VIEW public.on_it'],
    ['scratch-restore', 'INDEX public.constant\\nvalue'],
  ])
  for (const { remedy, severity } of checks.filter(({ status }) => status === 'failed')) {
    expect(severity).toBe('blocker')
    expect(remedy).toMatch(/allow-missing/)
  }
  expect(await things()).toBe(before)
})

test('what allow-missing gives up by name is no blocker', async () => {
  const patterns = 'FUNCTION public.a_clock()\nVIEW public.on_it\nINDEX public.constant*'
  const { checks } = await tryOut('hostile', { inputs: { 'allow-missing': patterns } })
  expect(failedOf(checks)).toEqual([])
  expect(checks[0]?.message).toMatch(/3 refused, as allow-missing allows/)
})

test('a cancelled run removes all of it, and a killed one leaves it to the next', async () => {
  const old = Math.floor(Date.now() / 1000) - 3600
  const left = `migrate_to_polardb_scratch_${old}_0123456789ab`
  const before = await things()
  await target.backend.sql(`CREATE DATABASE ${left} OWNER ${target.account}`)
  const controller = new AbortController()
  const cancelWhenBusy = async () => {
    for (;;) {
      const { rows } = await target.backend.sql(
        `SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%for_ever%' AND pid <> pg_backend_pid()`,
      )
      if (rows.length > 0) return controller.abort(new Cancelled())
      await new Promise((done) => setTimeout(done, 50))
    }
  }
  const [{ error }] = await Promise.all([
    tryOut('slow', { run: { signal: controller.signal } }),
    cancelWhenBusy(),
  ])
  expect(error).toBeInstanceOf(Cancelled)
  expect(await things()).toBe(before)
})

test('without CREATEDB it is skipped, with the reason', async () => {
  await target.backend.sql(`ALTER ROLE ${target.account} NOCREATEDB`)
  try {
    const { checks } = await tryOut('hostile')
    expect(checks.map(({ status, message }) => [status, /CREATEDB/.test(message)])).toEqual([
      ['skipped', true],
      ['skipped', true],
      ['skipped', true],
    ])
  } finally {
    await target.backend.sql(`ALTER ROLE ${target.account} CREATEDB`)
  }
})

test('code of the database gets none of the rights of the account, which has none for a preflight', async () => {
  await source.sql('CREATE DATABASE planted')
  await source.sql(
    `CREATE FUNCTION public.act() RETURNS void VOLATILE LANGUAGE plpgsql AS
       $$ BEGIN
            IF pg_catalog.current_database() <> 'planted' THEN ALTER DATABASE production SET work_mem = '64kB'; END IF;
          EXCEPTION WHEN OTHERS THEN NULL;
          END $$;
     CREATE FUNCTION public.planted(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
       $$ BEGIN PERFORM public.act(); RETURN $1; END $$;
     CREATE TABLE public.t (id int); CREATE INDEX ON public.t ((public.planted(1)))`,
    'planted',
  )
  await target.backend.sql(`CREATE ROLE maker LOGIN CREATEDB PASSWORD 'm'`)
  await target.backend.sql('CREATE DATABASE production OWNER maker')
  const settings = async () =>
    (
      await target.backend.sql(
        `SELECT setconfig FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = 'production'`,
      )
    ).rows
  try {
    const maker = target.uri('postgres').replace(/\/\/[^@]*@/, '//maker@')
    const inputs = { target: maker, 'target-password': 'm' }
    const { checks, error } = await tryOut('planted', { inputs })
    expect(error).toBeUndefined()
    expect(await settings()).toEqual([])
    expect(checks.map(({ status, message }) => [status, /CREATEROLE/.test(message)])).toEqual(
      Array(3).fill(['skipped', true]),
    )
    // with a role of its own for it, it is tried
    await target.backend.sql('ALTER ROLE maker CREATEROLE')
    const again = await tryOut('planted', { inputs })
    expect(failedOf(again.checks)).toEqual([])
    expect(again.checks[0]?.status).toBe('passed')
    expect(await settings()).toEqual([])
  } finally {
    await target.backend.sql('DROP DATABASE production')
    await target.backend.sql('DROP ROLE maker')
  }
})

test('a preflight asks for it, tells it in its report, and is not ready for it', async () => {
  const before = await things()
  const inputs = {
    ...between(source, target, 'hostile'),
    'client-path': programs,
    command: 'preflight',
    'preflight-restore': 'true',
  }
  const outputs: Record<string, unknown> = {}
  const { report, error } = await runInProcess(inputs, {
    setOutput: (name, value) => void Object.assign(outputs, { [name]: value }),
  })
  expect(failedOf(report.checks).filter(([id]) => id === 'scratch-restore')).toEqual([
    ['scratch-restore', 'FUNCTION public.a_clock()', 'VIEW public.on_it'],
    ['scratch-restore', 'INDEX public.constant\\nvalue'],
  ])
  expect(report.phases.map(({ name }) => name)).toContain('scratch-restore')
  expect(report.checks.map(({ id }) => id)).toEqual(
    expect.arrayContaining(['estimate-time', 'estimate-disk', 'estimate-artifacts']),
  )
  expect(error).toBeDefined()
  expect(outputs.ready).toBe(false)
  expect(await things()).toBe(before)
})
