import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Cancelled } from '../../src/failure.ts'
import type { DatabaseFingerprint } from '../../src/migration/verify/model.ts'
import type { MayAlter } from '../../src/migration/verify/read-session.ts'
import { startPlainTarget } from '../support/polardb-standin.ts'
import { compareWithDump, tryAwkward, tryExpressions, undecidedIn } from '../support/rebuild.ts'
import { type Dump, Harness, type RestoreTarget } from '../support/restore-harness.ts'
import { differencesIn, fingerprintOf, testContext } from '../support/verify-run.ts'

let harness: Harness
// source and target are databases of one server: a dump and a restore is all it takes for another text
let target: RestoreTarget & { stop(): Promise<void> }

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  target = await startPlainTarget(15, { settings: { wal_level: 'logical' } })
})

const scratchDatabases = async () => {
  const { rows } = await target.backend.sql(
    `SELECT datname FROM pg_database WHERE datname LIKE 'migrate_to_polardb_scratch%' ORDER BY 1`,
  )
  return rows.map(({ datname }) => datname as string)
}

afterEach(async () => {
  expect(await scratchDatabases()).toEqual([])
  const roles = `SELECT FROM pg_roles WHERE rolname LIKE 'migrate-to-polardb%'`
  expect((await target.backend.sql(roles)).rowCount).toBe(0)
})

afterAll(async () => {
  await harness?.close()
  await target?.stop()
})

/** SEED asks for other expressions; the long test has many. */
const seed = Number(process.env.SEED ?? 1)
test(`generated expressions compare equal after dump and restore, and each that is changed is named (seed ${seed})`, async () => {
  const found = await tryExpressions(harness, target.backend, target, { seed, count: 60 })
  expect(found.before).toEqual([])
  expect(found.after).toEqual(found.changed)
  expect(found.accepted).toBeGreaterThan(45)
  expect(found.printedDifferently).toBeGreaterThan(0)
})

test('what servers print in unusual ways compares equal after dump and restore', async () => {
  const { found, printedDifferently } = await tryAwkward(harness, target.backend, target)
  expect(found).toEqual([])
  expect(printedDifferently).toBeGreaterThan(20)
})

describe('a database whose definitions are printed differently after its restore', () => {
  const name = 'odd "name"; x'
  const quoted = '"odd ""name""; x"'
  const copy = 'copy_of_it'
  let fingerprint: DatabaseFingerprint
  let dump: Dump

  beforeAll(async () => {
    const { backend } = target
    await backend.sql('CREATE ROLE app_owner; GRANT app_owner TO gctest')
    await backend.sql(`CREATE DATABASE ${quoted} TEMPLATE template0 OWNER app_owner`)
    await backend.sql(
      `SET ROLE app_owner;
       CREATE SCHEMA app;
       CREATE TABLE app.t (id int PRIMARY KEY, v varchar(9), n int, CONSTRAINT k CHECK (v IN ('a', 'b')));
       INSERT INTO app.t VALUES (1, 'a', 1);
       CREATE TABLE app.u (id int, w varchar(9) DEFAULT 'x', n int);
       CREATE VIEW app.one AS SELECT t.id FROM app.t, app.u WHERE t.v IN ('a', 'b');
       CREATE DOMAIN app.d AS varchar(9) CONSTRAINT first CHECK (VALUE IN ('a', 'b'));
       ALTER DOMAIN app.d ADD CONSTRAINT second CHECK (VALUE <> 'a') NOT VALID;
       CREATE VIEW app.circle AS SELECT 1 AS a, 'x'::varchar(5) AS v;
       CREATE FUNCTION app.of_circle() RETURNS SETOF app.circle LANGUAGE sql AS 'SELECT 1, ''x''::varchar(5)';
       CREATE OR REPLACE VIEW app.circle AS SELECT a, v FROM app.of_circle() WHERE v IN ('a', 'b');
       -- pg_dump does not know that one function needs the other
       CREATE FUNCTION app.inner(varchar) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
       CREATE FUNCTION app.outer(varchar) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT app.inner($1)';
       CREATE INDEX i ON app.t ((app.outer(v))) WHERE v IN ('a', 'b');
       -- computed when the index is made, as whoever makes it
       CREATE FUNCTION app.spy(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
         $$ BEGIN IF session_user = 'gctest' AND current_database() LIKE 'migrate%' THEN RAISE 'code of the dump runs as the account'; END IF; RETURN $1; END $$;
       CREATE INDEX spied ON app.u ((w || app.spy('x'))) WHERE w IN ('a', 'b')`,
      name,
    )
    fingerprint = await fingerprintOf(backend, name, { targetMajor: 15 })
    dump = await harness.dump(backend, name)
    await harness.restore(dump, target, { targetName: copy })
    // what the restore lends itself for this
    await backend.sql('GRANT app_owner TO gctest')
  })

  afterAll(async () => {
    await target.backend.sql(`DROP DATABASE IF EXISTS ${copy}`)
    await target.backend.sql(`DROP DATABASE ${quoted}`)
  })

  const printedDifferently = [
    'constraint app.t k: definition',
    'domain app.d: constraints',
    'index app.i: definition',
    'index app.spied: definition',
    'view app.circle: query',
    'view app.one: query',
  ]
  const compare = (context = testContext()) =>
    compareWithDump(fingerprint, dump, target, copy, [], [], context)

  test('compares equal', async () => {
    const comparison = await compare()
    expect(differencesIn(comparison)).toEqual([])
    expect(undecidedIn(comparison)).toEqual([])
    expect(comparison).toMatchObject({
      equal: true,
      verified: true,
      printedDifferently: printedDifferently.length,
    })
    expect(comparison.objects.flatMap(({ explained = [] }) => explained)).toEqual([])
  })

  describe('where the account may create no database', () => {
    const inside = (mayAlter: MayAlter = true) =>
      compareWithDump(fingerprint, dump, target, copy, [], [], testContext(), mayAlter)
    const schemas = async () =>
      (await target.backend.sql('SELECT oid, nspname FROM pg_namespace ORDER BY oid', copy)).rows
    let before: unknown[]

    beforeAll(async () => {
      await target.backend.sql('ALTER ROLE gctest NOCREATEDB')
      before = await schemas()
    })
    afterEach(async () => expect(await schemas()).toEqual(before))
    afterAll(() => target.backend.sql('ALTER ROLE gctest CREATEDB'))

    test('a transaction in the database decides, and is rolled back', async () => {
      const comparison = await inside()
      expect(differencesIn(comparison)).toEqual([])
      expect(undecidedIn(comparison)).toEqual([])
      expect(comparison).toMatchObject({
        verified: true,
        printedDifferently: printedDifferently.length,
      })
    })

    test('what is not as the dump says is a difference there as well', async () => {
      const define = (word: string) =>
        target.backend.sql(
          `SET ROLE app_owner; ALTER TABLE app.t DROP CONSTRAINT k, ADD CONSTRAINT k CHECK (v IN ('a', '${word}'))`,
          copy,
        )
      await define('c')
      try {
        expect(differencesIn(await inside())).toEqual(['constraint app.t k: definition'])
      } finally {
        await define('b')
      }
    })

    test.each([
      ['others use the database', 'if unused', /other sessions use the database/],
      ['it may not be altered', false, /other sessions use the database/],
      ['event triggers would run', true, /event triggers of the database would run/],
    ] as const)('it is not proven where %s', async (why, mayAlter, reason) => {
      const other = await target.backend.connect(copy)
      try {
        if (why.startsWith('event')) {
          await other.query(
            `CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.e()`,
          )
        }
        const comparison = await inside(mayAlter)
        expect(comparison.verified).toBe(false)
        const undecided = undecidedIn(comparison)
        expect(undecided).toHaveLength(comparison.printedDifferently)
        expect(undecided[0]).toMatch(/permission denied to create database/)
        expect(undecided[0]).toMatch(reason)
      } finally {
        await other.query('DROP EVENT TRIGGER IF EXISTS e; DROP FUNCTION IF EXISTS public.e()')
        await other.end()
      }
    })
  })

  test('is not proven where an entry cannot be rebuilt', async () => {
    const options = ['--schema-only', '--exclude-table=app.u']
    const broken = await harness.dump(target.backend, name, options)
    const comparison = await compareWithDump(fingerprint, broken, target, copy)
    expect(comparison).toMatchObject({ equal: true, verified: false })
    expect(undecidedIn(comparison)).toEqual([
      'index app.spied: definition: the dump has no entry for it',
      expect.stringMatching(
        /^view app\.one: query: VIEW app\.one could not be rebuilt: relation "app\.u" does not exist/,
      ),
    ])
  })

  test.each([
    {
      name: 'a constraint with another constant',
      sql: `ALTER TABLE app.t DROP CONSTRAINT k, ADD CONSTRAINT k CHECK (v IN ('a', 'c'))`,
      undo: `ALTER TABLE app.t DROP CONSTRAINT k, ADD CONSTRAINT k CHECK (v IN ('a', 'b'))`,
      found: ['constraint app.t k: definition'],
      texts: [/'b'::character varying/, /'c'::character varying/],
    },
    {
      name: 'the second constraint of a domain lost',
      sql: 'ALTER DOMAIN app.d DROP CONSTRAINT second',
      undo: `ALTER DOMAIN app.d ADD CONSTRAINT second CHECK (VALUE <> 'a') NOT VALID`,
      found: ['domain app.d: constraints'],
      texts: [/second/, /^first CHECK(?!.*second)/s],
    },
    {
      name: 'a view that was left as pg_dump makes it first',
      sql: 'CREATE OR REPLACE VIEW app.circle AS SELECT NULL::integer AS a, NULL::character varying(5) AS v',
      undo: `CREATE OR REPLACE VIEW app.circle AS SELECT a, v FROM app.of_circle() WHERE v::text = ANY (ARRAY['a'::varchar::text, 'b'::varchar::text])`,
      found: ['view app.circle: query'],
      texts: [/of_circle/, /NULL::integer/],
    },
    {
      name: 'a view of the same words with another table before a column',
      sql: `CREATE OR REPLACE VIEW app.one AS SELECT u.id FROM app.t, app.u WHERE t.v IN ('a', 'b')`,
      undo: `CREATE OR REPLACE VIEW app.one AS SELECT t.id FROM app.t, app.u WHERE t.v IN ('a', 'b')`,
      found: ['view app.one: query'],
      texts: [/SELECT t\.id/, /SELECT u\.id/],
    },
    {
      name: 'a lost default',
      sql: 'ALTER TABLE app.u ALTER w DROP DEFAULT',
      undo: `ALTER TABLE app.u ALTER w SET DEFAULT 'x'`,
      found: ['table app.u: default of w'],
      texts: [/'x'::character varying/, null],
    },
    {
      name: 'the body of a function',
      sql: `CREATE OR REPLACE FUNCTION app.inner(varchar) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false'`,
      undo: `CREATE OR REPLACE FUNCTION app.inner(varchar) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'`,
      found: ['function app.inner(character varying): body'],
      texts: [/^SELECT true$/, /^SELECT false$/],
    },
  ])('$name is still a difference, with both sides', async ({ sql, undo, found, texts }) => {
    await target.backend.sql(`SET ROLE app_owner; ${sql}`, copy)
    try {
      const comparison = await compare()
      expect(differencesIn(comparison)).toEqual(found)
      expect(undecidedIn(comparison)).toEqual([])
      const [definition, ...more] = comparison.objects.flatMap(
        ({ definitions = [] }) => definitions,
      )
      expect(more).toEqual([])
      const [source, now] = texts
      expect(definition?.source).toMatch(source ?? /^$/)
      if (now) expect(definition?.target).toMatch(now)
      else expect(definition?.target).toBeNull()
    } finally {
      await target.backend.sql(`SET ROLE app_owner; ${undo}`, copy)
    }
  })

  test('a cancelled rebuild ends as cancelled and leaves no database', async () => {
    const controller = new AbortController()
    const context = testContext(controller.signal)
    const blocker = await target.backend.connect(copy)
    try {
      // creating a database waits for whoever looks at the template
      await blocker.query('BEGIN; LOCK TABLE pg_catalog.pg_database IN SHARE MODE')
      const running = compare(context)
      const waiting = async () =>
        (
          await target.backend.sql(
            `SELECT 1 FROM pg_stat_activity WHERE usename = 'gctest' AND wait_event_type = 'Lock'`,
          )
        ).rows.length > 0
      while (!(await waiting())) await new Promise((resolve) => setImmediate(resolve))
      controller.abort()
      await blocker.query('COMMIT')
      await expect(running).rejects.toThrow(Cancelled)
    } finally {
      await blocker.end()
    }
  })

  test('what a run that died has left is dropped, what another may be using is not', async () => {
    const seconds = Math.floor(Date.now() / 1000)
    const dead = `migrate_to_polardb_scratch_${seconds - 1000}_0123456789ab`
    const young = `migrate_to_polardb_scratch_${seconds}_0123456789ab`
    const used = `migrate_to_polardb_scratch_${seconds - 1000}_abcdefabcdef`
    const somebodys = `migrate_to_polardb_scratch_${seconds - 1000}_111111111111`
    const client = await target.connect('postgres')
    for (const database of [dead, young, used]) await client.query(`CREATE DATABASE ${database}`)
    await client.end()
    await target.backend.sql(`CREATE DATABASE ${somebodys}`)
    const user = await target.connect(used)
    try {
      expect((await compare()).verified).toBe(true)
      expect(await scratchDatabases()).toEqual([young, used, somebodys].sort())
    } finally {
      await user.end()
      for (const database of [young, used, somebodys]) {
        await target.backend.sql(`DROP DATABASE ${database} WITH (FORCE)`)
      }
    }
  })
})
