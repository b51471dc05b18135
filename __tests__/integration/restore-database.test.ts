import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { analyzeDatabase } from '../../src/migration/analyze.ts'
import { refusedCollations } from '../../src/migration/restore/database/locales.ts'
import { markSchema } from '../../src/migration/restore/database/mark.ts'
import { planRestore } from '../../src/migration/restore/plan-restore.ts'
import type { Archive } from '../../src/postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../src/postgres/archive/entry.ts'
import { failureOf } from '../support/failure.ts'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import {
  createRoles,
  type Dump,
  Harness,
  membershipsOf,
  type RestoreTarget,
  restoreDatabase,
} from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

type Target = RestoreTarget & { stop(): Promise<void> }

let source: TestServer
let plain15: Target
let plain16: Target
let polar: Target
let harness: Harness
/** With a setting that takes a superuser, and without it. */
let lossy: Dump
let dump: Dump

const roles = ['boss', 'app_owner', 'reader', 'granter']

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  source = await TestServer.start(15)
  plain15 = await startPlainTarget(15, { systemRoles: true })
  plain16 = await startPlainTarget(16)
  polar = await PolarStandIn.start({ major: 15 })
  for (const role of roles) await source.sql(`CREATE ROLE ${role}`)
  for (const target of [plain15, plain16, polar]) await createRoles(target, roles)
  await source.sql('CREATE DATABASE shop OWNER boss')
  await source.sql(
    `ALTER DATABASE shop SET search_path TO 'app', '$user', 'odd, one';
     ALTER DATABASE shop SET log_statement TO 'all';
     ALTER DATABASE shop SET work_mem TO '9MB';
     ALTER ROLE reader IN DATABASE shop SET statement_timeout TO '9s';
     ALTER DATABASE shop CONNECTION LIMIT 77;
     COMMENT ON DATABASE shop IS 'it''s a shop';
     REVOKE ALL ON DATABASE shop FROM PUBLIC; GRANT CONNECT ON DATABASE shop TO granter WITH GRANT OPTION;
     CREATE SCHEMA app AUTHORIZATION app_owner;
     CREATE TABLE app.t (id int); INSERT INTO app.t SELECT generate_series(1, 100); ALTER TABLE app.t OWNER TO app_owner;`,
    'shop',
  )
  await source.sql('SET ROLE granter; GRANT CONNECT ON DATABASE shop TO reader')
  lossy = await harness.dump(source, 'shop')
  const settings = lossy.properties.settings.filter(({ name }) => name !== 'log_statement')
  dump = { ...lossy, properties: { ...lossy.properties, settings } }
})

afterAll(async () => {
  await harness?.close()
  await source?.stop()
  for (const target of [plain15, plain16, polar]) await target?.stop()
})

const properties = `
  SELECT d.datname, pg_get_userbyid(d.datdba) AS owner, pg_encoding_to_char(d.encoding) AS encoding, d.datcollate, d.datctype,
         d.datconnlimit, shobj_description(d.oid, 'pg_database') AS comment,
         (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(d.datacl) x) AS acl,
         (SELECT array_agg(coalesce(r.rolname, '-') || ' ' || c ORDER BY 1) FROM pg_db_role_setting s
            LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c WHERE s.setdatabase = d.oid) AS settings
    FROM pg_database d WHERE d.datname = $1`

async function propertiesOf(server: TestServer, name: string): Promise<Record<string, unknown>> {
  const client = await server.connect()
  try {
    return (await client.query(properties, [name])).rows[0]
  } finally {
    await client.end()
  }
}

describe('the database itself', () => {
  test.each([
    ['a plain 15', () => plain15],
    ['a plain 16, where CREATEROLE is no longer enough', () => plain16],
    ['a stand-in for PolarDB', () => polar],
  ])('gets its owner, privileges, settings, limit and comment on %s', async (_, target) => {
    const refused = await failureOf(
      harness.restore(lossy, target(), { targetName: 'moved', allowMissing: ['SETTING work_mem'] }),
    )
    expect(refused.message).toContain('cannot take 1 object')
    expect(refused.why).toContain(
      'SETTING log_statement: the target refuses: permission denied to set parameter "log_statement"',
    )
    expect(await propertiesOf(target().backend, 'moved')).toBeUndefined()
    const { result } = await harness.restore(lossy, target(), {
      targetName: 'moved',
      allowMissing: ['SETTING log_statement'],
    })
    const expected = await propertiesOf(source, 'shop')
    const found = await propertiesOf(target().backend, 'moved')
    const settings = (expected.settings as string[]).filter(
      (line) => !line.includes('log_statement'),
    )
    expect(found).toEqual({ ...expected, datname: 'moved', settings })
    expect(result.skipped).toContainEqual({
      entry: 'SETTING log_statement',
      reason: 'the target refuses: permission denied to set parameter "log_statement"',
    })
    expect(await membershipsOf(target())).toEqual([])
  })

  test('is not created when create-database is false', async () => {
    const failure = await failureOf(
      harness.restore(dump, plain15, { targetName: 'absent', createDatabase: false }),
    )
    expect(failure.message).toBe('The target has no database "absent"')
  })

  test('with a locale that the target lacks is refused with those that it has', async () => {
    const failure = await failureOf(
      harness.restore(
        { ...dump, properties: { ...dump.properties, collate: 'C.nope', ctype: 'C.nope' } },
        plain15,
        { targetName: 'nolocale' },
      ),
    )
    expect(failure.message).toBe('The database "nolocale" cannot be created as it is on the source')
    expect(failure.why).toContain('C.nope')
    // before the first byte, and so before the roles
    const options = await harness.options(
      { ...dump, properties: { ...dump.properties, collate: 'C.nope', ctype: 'C.nope' } },
      plain15,
      { targetName: 'nolocale' },
    )
    await expect(planRestore(options, harness.context)).rejects.toThrow(failure.message)
    expect(failure.remedy).toMatch(/C\.utf-?8/i)
  })
})

test('collations are asked about that the system of the target may lack', async () => {
  const collation = (tag: string, options: string) =>
    ({
      desc: 'COLLATION',
      tag,
      definition: `CREATE COLLATION app.${tag} (${options});\n`,
    }) as ArchiveEntry
  const entries = [
    collation('there', `provider = libc, locale = 'C.UTF-8'`),
    collation('icu', `provider = icu, locale = 'de-u-co-phonebk'`),
    collation('old', `lc_collate = 'C', lc_ctype = 'C'`),
    collation('lacking', `provider = libc, locale = 'xx_XX.utf8'`),
    collation('half', `provider = libc, lc_collate = 'C', lc_ctype = 'it''s'`),
    collation('planted', `provider = libc, locale = 'C'); DROP TABLE app.t; --`),
  ]
  const archive = { entries, standardStrings: true } as unknown as Archive
  const client = await plain15.connect('postgres')
  try {
    const refused = await refusedCollations(client, [archive], 'UTF8')
    expect([...refused.keys()].map(({ tag }) => tag)).toEqual(['lacking', 'half'])
    expect([...refused.values()][0]).toContain('could not create locale')
    // of another encoding nothing can be said here
    expect(await refusedCollations(client, [archive], 'LATIN1')).toEqual(new Map())
  } finally {
    await client.end()
  }
})

describe('a target that is not empty', () => {
  test('in which the account may create nothing is refused at once', async () => {
    await plain15.backend.sql('CREATE DATABASE closed')
    const failure = await failureOf(harness.restore(dump, plain15, { targetName: 'closed' }))
    expect(failure.message).toBe('The account may not create anything in the database "closed"')
    expect(failure.remedy).toContain('GRANT CREATE ON DATABASE "closed"')
  })

  test('is refused by default, with what it holds', async () => {
    await plain15.backend.sql(`CREATE DATABASE taken OWNER ${plain15.account}`)
    await plain15.backend.sql('CREATE TABLE public.theirs (i int)', 'taken')
    const failure = await failureOf(harness.restore(dump, plain15, { targetName: 'taken' }))
    expect(failure.message).toBe('The target database "taken" is not empty')
    expect(failure.why).toBe('It holds 1 object (public.theirs)')
  })

  test('that no restore has left is not resumed', async () => {
    await plain15.backend.sql(`CREATE DATABASE foreign_one OWNER ${plain15.account}`)
    await plain15.backend.sql(
      'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$',
      'foreign_one',
    )
    const failure = await failureOf(
      harness.restore(dump, plain15, { targetName: 'foreign_one', ifNotEmpty: 'resume' }),
    )
    expect(failure.why).toContain('Nothing in it says that a restore was interrupted')
  })

  test('that another dump has begun is not resumed', async () => {
    const options = await harness.options(dump, plain15, { targetName: 'half' })
    const plan = await planRestore(options, harness.context)
    await restoreDatabase(options, plan, harness.context)
    await source.sql('CREATE DATABASE other')
    const other = await harness.dump(source, 'other')
    const failure = await failureOf(
      harness.restore(other, plain15, { targetName: 'half', ifNotEmpty: 'resume' }),
    )
    expect(failure.why).toBe('It was begun with another dump')
    await harness.restore(dump, plain15, { targetName: 'half', ifNotEmpty: 'resume' })
    expect(await membershipsOf(plain15)).toEqual([])
  })

  test('is dropped and made anew by replace, even after its owner was changed', async () => {
    await harness.restore(dump, plain16, { targetName: 'again' })
    await plain16.backend.sql('CREATE TABLE public.more (i int)', 'again')
    await harness.restore(dump, plain16, { targetName: 'again', ifNotEmpty: 'replace' })
    const { rows } = await plain16.backend.sql(
      `SELECT (SELECT count(*)::int FROM app.t) AS rows, to_regclass('public.more') AS more`,
      'again',
    )
    expect(rows).toEqual([{ rows: 100, more: null }])
    expect(await membershipsOf(plain16)).toEqual([])
  })

  test('is dropped by replace although a subscription is in it', async () => {
    const server = plain15.backend
    await server.sql(`CREATE DATABASE subscribed OWNER "${plain15.account}"`)
    await server.sql(
      `CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false, slot_name = 'far')`,
      'subscribed',
    )
    const bySuperuser: RestoreTarget = {
      account: server.superuser,
      backend: server,
      uri: (name) => server.uri(name),
      connect: (name) => server.connect(name),
    }
    await harness.restore(dump, bySuperuser, { targetName: 'subscribed', ifNotEmpty: 'replace' })
    const { rows } = await server.sql('SELECT count(*)::int AS n FROM pg_subscription')
    expect(rows).toEqual([{ n: 0 }])
  })

  test.each(['postgres', 'template1', 'polardb_admin'])(
    'is never dropped when it is the system database %s',
    async (name) => {
      const options = await harness.options(dump, plain15, {
        targetName: name,
        ifNotEmpty: 'replace',
      })
      await plain15.backend.sql('CREATE TABLE IF NOT EXISTS public.occupied (i int)', name)
      const failure = await failureOf(
        planRestore(options, harness.context).then((plan) =>
          restoreDatabase(options, plan, harness.context),
        ),
      )
      expect(failure.message).toMatch(/is never dropped|may not use the database/)
    },
  )

  test('whose drop somebody blocks is refused with who it is', async () => {
    await harness.restore(dump, plain15, { targetName: 'busy' })
    const session = await plain15.backend.connect('busy', { application_name: 'a report' })
    const failure = await failureOf(
      harness.restore(dump, plain15, { targetName: 'busy', ifNotEmpty: 'replace' }),
    )
    expect(failure.message).toBe('The database "busy" cannot be dropped')
    expect(failure.why).toContain('a report')
    await session.end()
  })
})

describe('what would be lost', () => {
  test('stops the restore before the first byte, with the whole list and a remedy for each', async () => {
    await source.sql('CREATE DATABASE losing')
    await source.sql(
      `CREATE EXTENSION dblink; CREATE EXTENSION postgres_fdw; CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw;
       CREATE FOREIGN TABLE ft (i int) SERVER s; CREATE VIEW over_there AS SELECT * FROM ft;
       CREATE FUNCTION c_function(cstring) RETURNS int LANGUAGE internal AS 'textlen';`,
      'losing',
    )
    const losing = await harness.dump(source, 'losing')
    const failure = await failureOf(harness.restore(losing, plain15))
    expect(failure.message).toBe(
      'The target cannot take 6 objects of the database "losing"; nothing was restored',
    )
    for (const name of [
      'EXTENSION dblink',
      'EXTENSION postgres_fdw',
      'SERVER s',
      'FOREIGN TABLE public.ft',
      'VIEW public.over_there',
      'FUNCTION public.c_function(cstring)',
    ]) {
      expect(failure.why).toContain(name)
    }
    const { rows } = await plain15.backend.sql(`SELECT FROM pg_database WHERE datname = 'losing'`)
    expect(rows).toEqual([])
    const checks = harness.context.report.checks.filter(({ id }) => id === 'losses')
    const named = new Set(checks.flatMap(({ objects }) => objects))
    named.delete('SETTING log_statement') // of the tests above
    expect(named.size).toBe(6)
    expect(checks.every(({ remedy }) => remedy !== '')).toBe(true)

    // the extension takes along what hangs on it, but for rows
    const { result } = await harness.restore(losing, plain15, {
      allowMissing: ['EXTENSION dblink', 'EXTENSION postgres_fdw', 'FUNCTION public.c_function(*'],
    })
    expect(result.skipped.map(({ entry }) => entry)).toContain('VIEW public.over_there')
  })

  test('shows when an extension that should be there turns out to be refused, and leaves no database', async () => {
    await source.sql('CREATE DATABASE picky')
    await source.sql('CREATE EXTENSION hstore', 'picky')
    const picky = await harness.dump(source, 'picky')
    // a hook of the cluster, as a provider might have it
    const options = await harness.options(picky, polar, { targetName: 'picky' })
    const plan = await planRestore(options, harness.context)
    const lying = {
      ...plan,
      database: {
        ...plan.database,
        extensions: [{ name: 'hstore', version: '1.4', schema: 'public' }],
      },
    }
    // a version that is announced and cannot be installed
    const available = new Map(lying.facts.available)
    available.set('hstore', {
      versions: new Set(['1.4', '0.1']),
      defaultVersion: '1.4',
      trusted: true,
      superuser: true,
    })
    lying.database.extensions = [{ name: 'hstore', version: '0.1', schema: 'public' }]
    const facts = { ...lying.facts, available }
    const failure = await failureOf(restoreDatabase(options, { ...lying, facts }, harness.context))
    expect(failure.why).toContain('EXTENSION hstore: the target refuses to create the extension')
    const { rows } = await polar.backend.sql(`SELECT FROM pg_database WHERE datname = 'picky'`)
    expect(rows).toEqual([])
  })
})

describe('after the restore', () => {
  test('every table is analyzed while the rights last, and the mark is gone when they are given back', async () => {
    const options = await harness.options(dump, plain16, { targetName: 'analyzed' })
    const plan = await planRestore(options, harness.context)
    const restored = await restoreDatabase(options, plan, harness.context)
    const marks = `SELECT FROM pg_namespace WHERE nspname = '${markSchema}'`
    expect((await plain16.backend.sql(marks, 'analyzed')).rowCount).toBe(1)
    const analyzed = await analyzeDatabase(
      { target: options.target, targetName: 'analyzed', jobs: 2 },
      harness.context,
    )
    expect(analyzed).toMatchObject({ tables: 1, refused: [] })
    await restored.release()
    expect((await plain16.backend.sql(marks, 'analyzed')).rowCount).toBe(0)
    const { rows } = await plain16.backend.sql(
      `SELECT reltuples::int AS rows FROM pg_class WHERE oid = 'app.t'::regclass`,
      'analyzed',
    )
    expect(rows).toEqual([{ rows: 100 }])
    // without the rights the account is told what it could not analyze
    await plain16.backend.sql('GRANT CONNECT ON DATABASE analyzed TO PUBLIC')
    expect(
      await analyzeDatabase(
        { target: options.target, targetName: 'analyzed', jobs: 1 },
        harness.context,
      ),
    ).toMatchObject({ tables: 0, refused: [{ table: '"app"."t"' }] })
  })
})
