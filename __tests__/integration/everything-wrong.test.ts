import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type pg from 'pg'
import type { Failure } from '../../src/failure.ts'
import { isBlocker, type Severity } from '../../src/report/model.ts'
import { dumpCatalogs } from '../support/catalog-dump.ts'
import { clientDirectory } from '../support/clients.ts'
import { runInProcess } from '../support/in-process.ts'
import { TestServer } from '../support/server.ts'

/** A source and a target on which as much is wrong as fits on two servers at once. */
let source: TestServer
let target: TestServer
let client: string
const guests: pg.Client[] = []

const tomorrow = (role: string) =>
  `DO $$ BEGIN EXECUTE format('ALTER ROLE ${role} VALID UNTIL %L', now() + '36 h'); END $$`

/** Each string is one transaction. */
const wrongWithSource = [
  `CREATE TYPE mood AS ENUM ('good'); CREATE COLLATION german (provider = icu, locale = 'de');
   CREATE TABLE customers (id int PRIMARY KEY, name text COLLATE german UNIQUE);
   CREATE TABLE orders (id int PRIMARY KEY, customer int CONSTRAINT buyer REFERENCES customers, amount int,
     due timestamptz CONSTRAINT later CHECK (due > now()));
   CREATE TABLE moods (m mood[]) PARTITION BY HASH (m);
   CREATE TABLE parent (a int NOT NULL); CREATE TABLE child () INHERITS (parent);
   CREATE TABLE secrets (owner text); CREATE TABLE days (d date) PARTITION BY RANGE (d);
   CREATE EXTENSION hstore; CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pg_surgery`,
  `CREATE FOREIGN DATA WRAPPER w; CREATE SERVER near FOREIGN DATA WRAPPER w OPTIONS (host '127.0.0.1');
   CREATE USER MAPPING FOR PUBLIC SERVER near OPTIONS (password 'hidden');
   CREATE FOREIGN TABLE old_days PARTITION OF days FOR VALUES FROM ('2000-01-01') TO ('2001-01-01') SERVER near;
   CREATE FOREIGN TABLE far (a int) SERVER near; CREATE MATERIALIZED VIEW cached AS SELECT * FROM far WITH NO DATA`,
  `CREATE FUNCTION mine(int) RETURNS int LANGUAGE sql AS 'SELECT 1'`,
  'ALTER EXTENSION hstore ADD FUNCTION mine(int)',
  `CREATE FUNCTION has_ordered(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE
     AS 'BEGIN RETURN EXISTS (SELECT 1 FROM orders WHERE customer = $1); END';
   CREATE INDEX ON customers (has_ordered(id)); CREATE INDEX broken ON orders (amount);
   ALTER TABLE orders ADD CONSTRAINT positive CHECK (amount > 0) NOT VALID; ALTER TABLE orders DISABLE TRIGGER ALL;
   ALTER TABLE child ALTER a DROP NOT NULL; ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
   GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader; CREATE SEQUENCE numbers;
   CREATE PUBLICATION news FOR TABLE orders;
   CREATE FUNCTION raw(internal) RETURNS internal LANGUAGE internal AS 'array_subscript_handler';
   CREATE FUNCTION noticed() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
   CREATE EVENT TRIGGER noticing ON ddl_command_end EXECUTE FUNCTION noticed()`,
  // what only a server that has failed, or another library, would make
  `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass;
   UPDATE pg_collation SET collversion = '1' WHERE collname = 'german';
   UPDATE pg_class SET relispopulated = true WHERE relname = 'cached'`,
  `BEGIN; INSERT INTO orders VALUES (1); PREPARE TRANSACTION 'forgotten'`,
]

/** A database of which not even the definitions can be dumped. */
const wrongWithPrivate = `CREATE TABLE closed (a int); REVOKE ALL ON pg_subscription FROM PUBLIC;
  DO 'DECLARE c text; BEGIN FOR c IN SELECT attname FROM pg_attribute WHERE attrelid = ''pg_subscription''::regclass AND attnum > 0
    LOOP EXECUTE format(''REVOKE SELECT (%I) ON pg_subscription FROM PUBLIC'', c); END LOOP; END'`

const wrongWithTarget = [
  `CREATE ROLE mover LOGIN CREATEROLE PASSWORD 'p' IN ROLE pg_monitor; CREATE ROLE "migrate-to-polardb loader 0123456789abcdef"`,
  tomorrow('mover'),
  'CREATE DATABASE shop CONNECTION LIMIT 6',
]

/** What a preflight finds, by the check that names it. */
const expected: Record<string, Severity> = {
  'source-account-expiry': 'warning',
  'source-check-constraints': 'warning',
  'source-clients': 'info',
  'source-collations': 'warning',
  'source-consumers': 'warning',
  'source-disabled-foreign-keys': 'warning',
  'source-expression-functions': 'warning',
  'source-extension-members': 'warning',
  'source-foreign-materialized-views': 'warning',
  'source-foreign-partitions': 'warning',
  'source-foreign-servers': 'warning',
  'source-inherited-not-null': 'blocker',
  'source-invalid-indexes': 'warning',
  'source-partition-keys': 'warning',
  'source-prepared-transactions': 'warning',
  'source-privileges': 'blocker',
  'source-role-passwords': 'blocker',
  'source-row-security': 'blocker',
  'source-subscriptions': 'blocker',
  'source-unvalidated-constraints': 'info',
  'source-user-mappings': 'warning',
  'target-account-expiry': 'warning',
  'target-connections': 'blocker',
  'target-content': 'blocker',
  'target-extension-libraries': 'warning',
  'target-leftovers': 'info',
  'target-max-connections': 'info',
  'target-privileges': 'blocker',
  'target-publications': 'warning',
  'target-sessions': 'warning',
  'server-parameters': 'warning',
  'version-downgrade': 'warning',
  'plan-schema': 'blocker',
  losses: 'blocker',
  'losses-all': 'info',
}

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 cannot be had on this machine')
  client = found
  const settings = { autovacuum: 'off' } // what vacuum writes into the catalogs would look like a change of ours
  ;[source, target] = await Promise.all([
    TestServer.start(15, {
      settings: { ...settings, max_prepared_transactions: '2', bytea_output: 'escape' },
    }),
    TestServer.start(13, { settings: { ...settings, max_connections: '30' } }),
  ])
  await source.sql(
    `CREATE ROLE reader LOGIN PASSWORD 'p'; CREATE ROLE copier REPLICATION;
     SET password_encryption = md5; CREATE ROLE old_login LOGIN PASSWORD 'o';
     SELECT pg_create_physical_replication_slot('standby_1')`,
  )
  await source.sql(tomorrow('reader'))
  for (const name of ['shop', 'private']) await source.sql(`CREATE DATABASE ${name}`)
  for (const text of wrongWithSource) await source.sql(text, 'shop')
  await source.sql(wrongWithPrivate, 'private')
  for (const text of wrongWithTarget) await target.sql(text)
  await target.sql('CREATE TABLE someones (a int)', 'shop')
  for (const server of [source, target]) guests.push(await server.connect('shop'))
})
afterAll(async () => {
  for (const guest of guests) await guest.end()
  await source?.stop()
  await target?.stop()
})

/** Everything of both servers that a preflight could change. */
async function stateOfBoth() {
  const others = await source.sql(
    `SELECT (SELECT array_agg(gid) FROM pg_prepared_xacts) AS prepared, (SELECT array_agg(slot_name::text) FROM pg_replication_slots) AS slots`,
  )
  return [await Promise.all([source, target].map(dumpCatalogs)), others.rows]
}

test('a preflight of servers where everything is wrong reports all of it at once, and changes nothing', async () => {
  const before = await stateOfBoth()
  const outputs: Record<string, unknown> = {}
  const { report, error } = await runInProcess(
    {
      ...{ command: 'preflight', 'client-path': client, databases: 'all' },
      ...{
        source: source.uri('shop', 'reader', 'p'),
        target: target.uri('postgres', 'mover', 'p'),
      },
    },
    { setOutput: (name, value) => void Object.assign(outputs, { [name]: value }) },
  )
  expect(await stateOfBoth()).toEqual(before)
  for (const guest of guests) await guest.query('SELECT 1')

  const failed = report.checks.filter(({ status }) => status === 'failed')
  expect(Object.fromEntries(failed.map(({ id, severity }) => [id, severity]))).toMatchObject(
    expected,
  )
  expect(failed.filter(({ remedy }) => remedy === '')).toEqual([])

  const content = failed.find(({ id }) => id === 'target-content')
  expect(content?.message).toMatch(/may not create anything.*"shop".*"shop" is not empty/)
  expect(content?.paste).toBe('if-target-not-empty: swap')
  // what the plan cannot read was named by a check, with the lines against it
  const schema = failed.filter(({ id }) => id === 'plan-schema').map(({ paste }) => paste)
  expect(schema).toEqual([
    expect.stringMatching(
      /^-- in the database private\nGRANT SELECT ON TABLE "public"\."closed" TO "reader";/,
    ),
  ])

  // neither passwords that cannot be read nor a database that cannot be dumped keep the plan from being made
  const lost = failed.filter(({ id }) => id === 'losses').flatMap(({ objects }) => objects)
  expect(lost).toEqual(
    expect.arrayContaining([
      'ROLE copier REPLICATION',
      'EXTENSION pg_surgery',
      'EVENT TRIGGER noticing',
    ]),
  )
  // logins lose nothing by passwords that could not be read
  expect(lost.filter((entry) => entry.startsWith('LOGIN'))).toEqual([])
  // no blocker is missing where the run ends
  const blockers = new Set(failed.filter(isBlocker).map(({ id }) => id))
  const { line } = error as Failure
  expect(line).toMatch(/^Not ready to migrate: \d+ blockers/)
  expect([...blockers].filter((id) => !line.includes(id))).toEqual([])
  expect(outputs.ready).toBe(false)
})
