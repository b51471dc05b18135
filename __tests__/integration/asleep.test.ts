import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { messageOf } from '../../src/failure.ts'
import { runInProcess } from '../support/in-process.ts'
import { Harness } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: TestServer
let harness: Harness
let extensions: string

/** The tables of pg_cron 1.6 without its library (citusdata/pg_cron, pg_cron.sql and its updates). */
async function imitateCron(directory: string): Promise<void> {
  await mkdir(directory)
  await writeFile(
    join(directory, 'pg_cron.control'),
    "default_version = '1.6'\nrelocatable = false\n",
  )
  await writeFile(
    join(directory, 'pg_cron--1.6.sql'),
    `CREATE SCHEMA cron; CREATE SEQUENCE cron.jobid_seq;
     CREATE TABLE cron.job (jobid bigint PRIMARY KEY DEFAULT nextval('cron.jobid_seq'), schedule text NOT NULL, command text NOT NULL,
       nodename text NOT NULL DEFAULT 'localhost', nodeport int NOT NULL DEFAULT 5432, database text NOT NULL DEFAULT current_database(),
       username text NOT NULL DEFAULT current_user, active boolean NOT NULL DEFAULT true, jobname text);
     GRANT SELECT ON cron.job TO PUBLIC; ALTER TABLE cron.job ENABLE ROW LEVEL SECURITY;
     CREATE POLICY cron_job_policy ON cron.job USING (username = current_user);
     CREATE FUNCTION cron.schedule_in_database(job_name text, schedule text, command text, database text, username text, active boolean)
       RETURNS bigint LANGUAGE sql AS 'INSERT INTO cron.job (jobname, schedule, command, database, username, active) VALUES ($1, $2, $3, $4, $5, $6) RETURNING jobid';
     SELECT pg_catalog.pg_extension_config_dump('cron.job', ''); SELECT pg_catalog.pg_extension_config_dump('cron.jobid_seq', '');`,
  )
}

beforeAll(async () => {
  const opened = await Harness.open(13)
  if (!opened) throw new Error('the client programs of 13 cannot be had on this machine')
  harness = opened
  source = await TestServer.start(13)
  extensions = await mkdtemp(join(tmpdir(), 'extensions-'))
  await chmod(extensions, 0o755)
  await imitateCron(join(extensions, 'extension'))
  target = await TestServer.start(18, {
    settings: { extension_control_path: `'${extensions}:$system'` },
  })
})
afterAll(async () => {
  await harness?.close()
  await source?.stop()
  await target?.stop()
  await rm(extensions, { recursive: true, force: true })
})

async function value(server: TestServer, sql: string): Promise<unknown> {
  const { rows } = await server.sql(sql, 'watched')
  return Object.values(rows[0] ?? {})[0]
}

const states = `SELECT pg_catalog.string_agg(evtname || ' ' || evtenabled::text, ', ' ORDER BY evtname) FROM pg_catalog.pg_event_trigger`

test('event triggers act on nothing before the cutover, and the checklist wakes them as they were', async () => {
  await source.sql('CREATE DATABASE watched')
  await source.sql(
    `CREATE TABLE seen (tag text);
     CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (tg_tag); END $$;
     CREATE EVENT TRIGGER "a 'quoted'" ON ddl_command_end EXECUTE FUNCTION note();
     CREATE EVENT TRIGGER b ON ddl_command_end EXECUTE FUNCTION note(); ALTER EVENT TRIGGER b ENABLE ALWAYS;
     CREATE EVENT TRIGGER c ON ddl_command_end EXECUTE FUNCTION note(); ALTER EVENT TRIGGER c ENABLE REPLICA;
     CREATE EVENT TRIGGER d ON ddl_command_end EXECUTE FUNCTION note(); ALTER EVENT TRIGGER d DISABLE;
     TRUNCATE seen`,
    'watched',
  )
  const common = {
    source: source.uri('watched'),
    target: target.uri('postgres'),
    'client-path': harness.client.directory,
    'upload-dump': 'false',
    roles: 'skip',
  }
  const moved = await runInProcess({ ...common, command: 'migrate' })
  expect(moved.error).toBeUndefined()
  expect(moved.report.verified).toBe(true)
  expect(moved.report.losses).toEqual([])
  await target.sql('CREATE TABLE by_a_user ()', 'watched')
  expect(await value(target, 'SELECT count(*)::int FROM seen')).toBe(0)
  expect(await value(target, states)).toBe(`a 'quoted' D, b D, c D, d D`)
  await target.sql('DROP TABLE by_a_user', 'watched')

  const [item, ...others] = moved.report.checklist
  expect(others).toEqual([])
  expect(item).toMatchObject({ side: 'target', database: 'watched' })
  for (const line of item?.lines ?? []) await target.sql(line, 'watched')
  expect(await value(target, states)).toBe(await value(source, states))
  const verified = await runInProcess({ ...common, command: 'verify' })
  expect(verified.error).toBeUndefined()
  expect(verified.report.verified).toBe(true)
})

test('jobs of pg_cron stay behind, by name alone, and the checklist has the query that writes them', async () => {
  const client = await Harness.open(18)
  if (!client) throw new Error('the client programs of 18 cannot be had on this machine')
  const job = `SELECT jobname, schedule, command, database, username, active FROM cron.job ORDER BY jobid`
  try {
    for (const [database, sql] of [
      ['idle', 'CREATE EXTENSION pg_cron'],
      [
        'busy',
        `CREATE EXTENSION pg_cron; SELECT cron.schedule_in_database('it''s', '0 3 * * *', 'VACUUM', 'busy', 'postgres', true);
         SELECT cron.schedule_in_database('off', '0 4 * * *', 'SELECT 1', 'busy', 'postgres', false)`,
      ],
    ] as const) {
      await target.sql(`CREATE DATABASE ${database}`)
      await target.sql(sql, database)
    }
    const migrate = (database: string, allowMissing = '') =>
      runInProcess({
        command: 'migrate',
        source: target.uri(database),
        target: target.uri('postgres'),
        databases: `${database}=${database}_2`,
        'client-path': client.client.directory,
        'upload-dump': 'false',
        roles: 'skip',
        // the imitation has no library, which a check would miss
        'allow-missing': `EXTENSION pg_cron\n${allowMissing}`,
      })
    const idle = await migrate('idle')
    expect(idle.error).toBeUndefined()
    expect(idle.report).toMatchObject({ verified: true, losses: [] })

    const refused = await migrate('busy')
    expect(messageOf(refused.error)).toContain('TABLE DATA cron.job')
    const { report, error } = await migrate('busy', 'TABLE DATA cron.job')
    expect(error).toBeUndefined()
    expect(report).toMatchObject({ verified: true, losses: [{ entry: 'TABLE DATA cron.job' }] })
    expect((await target.sql(job, 'busy_2')).rows).toEqual([])
    const [item] = report.checklist
    expect(item).toMatchObject({ side: 'source', database: 'busy' })
    const { rows } = await target.sql(item?.lines[0] ?? '', 'busy')
    for (const line of rows) await target.sql(Object.values(line).join(), 'busy_2')
    expect((await target.sql(job, 'busy_2')).rows).toEqual((await target.sql(job, 'busy')).rows)
  } finally {
    await client.close()
  }
})

test('nothing acts in the copy of a rehearsal, which goes without pg_cron, and all of it is removed', async () => {
  const client = await Harness.open(18)
  if (!client) throw new Error('the client programs of 18 cannot be had on this machine')
  await target.sql('CREATE DATABASE acting')
  await target.sql(
    `CREATE EXTENSION pg_cron; CREATE TABLE seen (tag text);
     SELECT cron.schedule_in_database('nightly', '0 3 * * *', 'VACUUM', 'acting', 'postgres', true);
     CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (tg_tag); END $$;
     CREATE FUNCTION jobs() RETURNS SETOF cron.job LANGUAGE sql AS 'SELECT * FROM cron.job';
     CREATE EVENT TRIGGER a ON ddl_command_end EXECUTE FUNCTION note(); CREATE PUBLICATION p FOR TABLE seen;
     CREATE SUBSCRIPTION s CONNECTION 'host=192.0.2.1 dbname=x password=secret' PUBLICATION p WITH (connect = false)`,
    'acting',
  )
  const rehearse = (more: Record<string, string>) =>
    runInProcess({
      command: 'rehearse',
      source: target.uri('acting'),
      target: target.uri('postgres'),
      'client-path': client.client.directory,
      ...more,
    })
  const databases = `SELECT datname FROM pg_database WHERE datname LIKE 'rehearsal%' ORDER BY 1`
  try {
    // a migration would lose the jobs, so a rehearsal asks for that as well
    const library = 'EXTENSION pg_cron' // the imitation has none, which a check would miss
    const accepted = { 'allow-missing': `${library}\nTABLE DATA cron.job` }
    const refused = await rehearse({ 'allow-missing': library })
    expect(messageOf(refused.error)).toContain('TABLE DATA cron.job')
    const { error, report } = await rehearse({ ...accepted, 'keep-rehearsal': 'true' })
    if (error) throw error
    expect(report).toMatchObject({ verified: true, losses: [{ entry: 'TABLE DATA cron.job' }] })
    const skipped = report.databases[0]?.restore?.skipped ?? []
    expect(skipped.find(({ entry }) => entry === 'EXTENSION pg_cron')?.reason).toContain(
      'a rehearsal goes without pg_cron',
    )
    const copy = `${report.rehearsal?.name}_1`
    const inCopy = async (sql: string) => (await target.sql(sql, copy)).rows
    expect(await inCopy('SELECT extname FROM pg_extension')).toEqual([{ extname: 'plpgsql' }])
    expect(await inCopy('SELECT evtname, evtenabled FROM pg_event_trigger')).toEqual([
      { evtname: 'a', evtenabled: 'D' },
    ])
    expect(await inCopy('SELECT pubname FROM pg_publication')).toEqual([{ pubname: 'p' }])
    expect(
      await inCopy(
        `SELECT subenabled FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      ),
    ).toEqual([{ subenabled: false }])
    const next = await rehearse({ ...accepted, 'rehearsal-age': '1s' })
    expect(next.error).toBeUndefined()
    expect((await target.sql(databases)).rows).toEqual([])
    expect((await target.sql('SELECT subname FROM pg_subscription')).rows).toEqual([
      { subname: 's' },
    ])
  } finally {
    await client.close()
  }
})
