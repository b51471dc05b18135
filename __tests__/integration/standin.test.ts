// The stand-in for PolarDB 11, row by row of what was observed on the real one (docs/polardb.md).
import { describe, expect, test } from '@jest/globals'
import { PolarStandIn } from '../support/polardb-standin.ts'
import { attempt, denied, useStandIn } from '../support/polardb-standin-bench.ts'
import { hasServer } from '../support/server.ts'

interface Row {
  sql: string
  /** What the superuser does first; a role `p` is there already. */
  before?: string
  /** Who tries it: the polar_superuser, or an account with CREATEROLE and CREATEDB alone. */
  as?: 'polar' | 'creator'
  error?: [string, string]
  notices?: [string, string][]
  /** What a query of the superuser's gives afterwards: the first column of the first row. */
  after?: [string, unknown]
}

const created = denied('a polar_superusers is created instead of superuser')
const altered = denied('role is altered to polar_superusers instead of superuser')
const notMember: [string, string] = [
  '01000',
  'role "p" is not a member of role "pg_polar_superuser"',
]
const conflict: [string, string] = ['42601', 'conflicting or redundant options']
const noReplication = denied('must be superuser to create replication users')
const alterReplication = denied('must be superuser to alter replication users')
const noBypass = denied('must be superuser to change bypassrls attribute')
const alterSuperuser = denied('must be superuser to alter superusers')

/** super, polar, CREATEROLE, REPLICATION, BYPASSRLS, comment */
const look = (role: string) => `
  SELECT concat_ws(' ', CASE WHEN rolsuper THEN 'super' END,
    CASE WHEN pg_has_role(oid, 'pg_polar_superuser', 'MEMBER') AND NOT rolsuper THEN 'polar' END,
    CASE WHEN rolcreaterole THEN 'createrole' END, CASE WHEN rolreplication THEN 'replication' END,
    CASE WHEN rolbypassrls THEN 'bypassrls' END, shobj_description(oid, 'pg_authid'))
  FROM pg_roles WHERE rolname = '${role}'`
const is = (role: string, value: string): [string, unknown] => [look(role), value]

const create: Row[] = [
  { sql: 'CREATE ROLE n SUPERUSER', notices: [created], after: is('n', 'polar polar_superuser') },
  { sql: 'CREATE ROLE n NOSUPERUSER', after: is('n', '') },
  { sql: 'CREATE ROLE n POLAR_SUPERUSER', after: is('n', 'polar polar_superuser') },
  { sql: 'CREATE USER n WITH polar_Superuser', after: is('n', 'polar polar_superuser') },
  { sql: 'CREATE ROLE n "polar_superuser"', after: is('n', 'polar polar_superuser') },
  {
    sql: 'CREATE ROLE n "POLAR_SUPERUSER"',
    error: ['42601', 'unrecognized role option "POLAR_SUPERUSER"'],
  },
  { sql: 'CREATE ROLE n NOPOLAR_SUPERUSER', after: is('n', '') },
  { sql: 'CREATE ROLE n SUPERUSER POLAR_SUPERUSER', error: conflict },
  { sql: 'CREATE ROLE n NOSUPERUSER NOPOLAR_SUPERUSER', error: conflict },
  { sql: 'CREATE ROLE n REPLICATION', error: noReplication },
  { sql: 'CREATE ROLE n BYPASSRLS', error: noBypass },
  { sql: 'CREATE ROLE n NOSUPERUSER NOREPLICATION NOBYPASSRLS', after: is('n', '') },
  { sql: 'CREATE ROLE n NOSUPERUSER REPLICATION', error: noReplication },
  { sql: 'CREATE ROLE n NOSUPERUSER BYPASSRLS', error: noBypass },
  { sql: 'CREATE ROLE n NOPOLAR_SUPERUSER REPLICATION BYPASSRLS', error: noReplication },
  {
    sql: 'CREATE ROLE n POLAR_SUPERUSER REPLICATION BYPASSRLS',
    after: is('n', 'polar replication bypassrls polar_superuser'),
  },
  {
    sql: 'CREATE ROLE n SUPERUSER REPLICATION BYPASSRLS',
    notices: [created],
    after: is('n', 'polar replication bypassrls polar_superuser'),
  },
  {
    sql: `CREATE ROLE n CREATEROLE NOCREATEDB NOINHERIT LOGIN CONNECTION LIMIT 5 VALID UNTIL 'infinity' PASSWORD NULL`,
    after: is('n', 'createrole'),
  },
  {
    sql: `CREATE ROLE "my SUPERUSER role" LOGIN PASSWORD 'POLAR_SUPERUSER'`,
    after: is('my SUPERUSER role', ''),
  },
  { sql: 'CREATE ROLE p', error: ['42710', 'role "p" already exists'] },
  { sql: 'CREATE ROLE pg_x', error: ['42939', 'role name "pg_x" is reserved'] },
  {
    sql: 'CREATE ROLE "pg_polar_superuser"',
    error: ['42939', 'role name "pg_polar_superuser" is reserved'],
  },
  { sql: 'CREATE ROLE polar_superuser', after: is('polar_superuser', '') },
  {
    sql: 'CREATE ROLE n IN ROLE pg_polar_superuser',
    error: ['42939', 'pg_polar_superuser role could not be used in statement.'],
  },
  {
    sql: 'CREATE ROLE n POLAR_SUPERUSER IN ROLE postgres',
    error: alterSuperuser,
    after: [`SELECT count(*) FROM pg_roles WHERE rolname = 'n'`, '0'],
  },
]

const alter: Row[] = [
  { sql: 'ALTER ROLE p SUPERUSER', notices: [altered], after: is('p', 'polar polar_superuser') },
  { sql: 'ALTER ROLE p NOSUPERUSER', notices: [altered, notMember], after: is('p', '') },
  { sql: 'ALTER USER p POLAR_SUPERUSER', after: is('p', 'polar polar_superuser') },
  {
    sql: 'ALTER ROLE p POLAR_SUPERUSER',
    before: 'GRANT pg_polar_superuser TO p',
    notices: [['00000', 'role "p" is already a member of role "pg_polar_superuser"']],
    after: is('p', 'polar polar_superuser'),
  },
  { sql: 'ALTER ROLE p NOPOLAR_SUPERUSER', notices: [notMember], after: is('p', '') },
  {
    sql: 'ALTER ROLE p NOPOLAR_SUPERUSER',
    before: `GRANT pg_polar_superuser TO p; COMMENT ON ROLE p IS 'the owner'`,
    after: is('p', ''),
  },
  {
    sql: 'ALTER ROLE p NOSUPERUSER',
    before: `COMMENT ON ROLE p IS 'the owner'`,
    notices: [altered, notMember],
    after: is('p', ''),
  },
  {
    sql: 'ALTER ROLE p POLAR_SUPERUSER',
    before: `COMMENT ON ROLE p IS 'the owner'`,
    after: is('p', 'polar polar_superuser'),
  },
  { sql: 'ALTER ROLE p LOGIN', before: `COMMENT ON ROLE p IS 'kept'`, after: is('p', 'kept') },
  { sql: 'ALTER ROLE p NOSUPERUSER POLAR_SUPERUSER', error: conflict },
  { sql: 'ALTER ROLE p REPLICATION', error: alterReplication },
  { sql: 'ALTER ROLE p NOREPLICATION', error: alterReplication },
  { sql: 'ALTER ROLE p BYPASSRLS', error: noBypass },
  { sql: 'ALTER ROLE p NOBYPASSRLS', error: noBypass },
  {
    sql: `ALTER ROLE p WITH CREATEROLE CREATEDB NOINHERIT LOGIN CONNECTION LIMIT 5 VALID UNTIL '2020-01-01' PASSWORD 'md5d0b2a4ad4ec9bfb0b2a4ad4ec9bfb0b2'`,
    after: is('p', 'createrole'),
  },
  {
    sql: 'ALTER ROLE p WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS',
    notices: [altered, notMember],
    after: is('p', ''),
  },
  {
    sql: 'ALTER ROLE p NOSUPERUSER REPLICATION',
    notices: [altered, notMember],
    after: is('p', 'replication'),
  },
  {
    sql: 'ALTER ROLE p NOPOLAR_SUPERUSER REPLICATION BYPASSRLS',
    notices: [notMember],
    after: is('p', 'replication bypassrls'),
  },
  {
    sql: 'ALTER ROLE p POLAR_SUPERUSER REPLICATION BYPASSRLS',
    after: is('p', 'polar replication bypassrls polar_superuser'),
  },
  { sql: 'ALTER ROLE p LOGIN', before: 'ALTER ROLE p REPLICATION', error: alterReplication },
  {
    sql: 'ALTER ROLE p NOPOLAR_SUPERUSER LOGIN',
    before: 'ALTER ROLE p REPLICATION',
    notices: [notMember],
  },
  { sql: `ALTER ROLE p PASSWORD 'x'`, before: 'ALTER ROLE p BYPASSRLS', error: noBypass },
  { sql: 'ALTER ROLE postgres LOGIN', error: alterSuperuser },
  { sql: 'ALTER ROLE aurora NOREPLICATION', error: alterSuperuser },
  { sql: 'ALTER ROLE replicator POLAR_SUPERUSER', error: alterSuperuser },
  {
    sql: 'ALTER ROLE polardb_admin NOPOLAR_SUPERUSER',
    error: denied('can not alter superuser to nopolar_superusers'),
  },
]

const creator: Row[] = [
  { sql: 'CREATE ROLE n SUPERUSER', error: denied('must be superuser to create superusers') },
  { sql: 'CREATE ROLE n NOSUPERUSER', after: is('n', '') },
  {
    sql: 'CREATE ROLE n POLAR_SUPERUSER',
    error: denied('must be superuser or polar_superuser to create polar_superusers'),
  },
  { sql: 'CREATE ROLE n NOPOLAR_SUPERUSER', after: is('n', '') },
  { sql: 'CREATE ROLE n REPLICATION', error: noReplication },
  { sql: 'CREATE ROLE n NOREPLICATION NOBYPASSRLS LOGIN', after: is('n', '') },
  { sql: 'ALTER ROLE p SUPERUSER', error: alterSuperuser },
  { sql: 'ALTER ROLE p NOSUPERUSER', error: alterSuperuser },
  {
    sql: 'ALTER ROLE p POLAR_SUPERUSER',
    error: denied('must be superuser or polar_superuser to alter polar_superusers'),
  },
  {
    sql: 'ALTER ROLE p NOPOLAR_SUPERUSER',
    error: denied('must be superuser or polar_superuser to alter polar_superusers'),
  },
  { sql: 'ALTER ROLE p NOREPLICATION', error: alterReplication },
  { sql: 'ALTER ROLE p NOBYPASSRLS', error: noBypass },
  { sql: 'ALTER ROLE p LOGIN CREATEDB' },
  { sql: 'SET ROLE p', error: denied('permission denied to set role "p"') },
  { sql: 'CREATE DATABASE d OWNER p', error: denied('must be member of role "p"') },
  {
    sql: 'ALTER ROLE ALL SET work_mem = 64',
    error: denied('must be superuser to alter settings globally'),
  },
  {
    sql: `CREATE TABLESPACE ts LOCATION '/nowhere'`,
    error: denied('permission denied to create tablespace "ts"'),
  },
].map((row) => ({ ...(row as Row), as: 'creator' as const }))

const count = (from: string) => `SELECT count(*) FROM ${from}`

const other: Row[] = [
  { sql: 'GRANT q TO p GRANTED BY r', error: denied('must be superuser to set grantor') },
  {
    sql: 'GRANT q TO p GRANTED BY gctest',
    after: [count("pg_auth_members WHERE member = 'p'::regrole"), '1'],
  },
  { sql: 'GRANT q TO p WITH ADMIN OPTION GRANTED BY CURRENT_USER' },
  {
    sql: 'GRANT q TO p',
    before: 'GRANT q TO p',
    notices: [['00000', 'role "p" is already a member of role "q"']],
  },
  { sql: 'GRANT postgres TO p', error: alterSuperuser },
  { sql: 'GRANT p TO postgres' },
  { sql: 'GRANT pg_polar_superuser TO p WITH ADMIN OPTION', after: is('p', 'polar') },
  {
    sql: 'REVOKE pg_polar_superuser FROM p',
    before: 'GRANT pg_polar_superuser TO p',
    after: is('p', ''),
  },
  { sql: 'GRANT pg_read_all_stats, pg_stat_scan_tables, pg_signal_backend TO p' },
  ...[
    'pg_monitor',
    'pg_read_all_settings',
    'pg_read_server_files',
    'pg_write_server_files',
    'pg_execute_server_program',
  ].map(
    (name): Row => ({
      sql: `GRANT ${name} TO p`,
      error: denied(`must have admin option on role "${name}"`),
    }),
  ),
  { sql: 'GRANT q TO p WITH INHERIT TRUE', error: ['42601', 'syntax error at or near "INHERIT"'] },
  { sql: 'GRANT q TO p WITH SET FALSE', error: ['42601', 'syntax error at or near "SET"'] },
  {
    sql: 'GRANT q TO p WITH ADMIN OPTION, INHERIT TRUE',
    error: ['42601', 'syntax error at or near ","'],
  },
  {
    sql: 'GRANT SET ON PARAMETER log_min_duration_statement TO p',
    error: ['42601', 'syntax error at or near "log_min_duration_statement"'],
  },
  {
    sql: `SECURITY LABEL FOR dummy ON ROLE p IS 'x'`,
    error: ['22023', 'security label provider "dummy" is not loaded'],
  },
  ...['log_statement', 'log_min_duration_statement', 'track_functions', 'myapp.flag'].map(
    (name): Row => ({
      sql: `ALTER ROLE p SET ${name} = 'none'`,
      error: denied(`permission denied to set parameter "${name}"`),
    }),
  ),
  { sql: `ALTER ROLE p SET session_replication_role = 'replica'` },
  { sql: 'ALTER ROLE p SET temp_file_limit = 1000' },
  {
    sql: `ALTER ROLE p SET session_preload_libraries = 'auto_explain'`,
    error: ['22023', 'invalid value for parameter "session_preload_libraries": "auto_explain"'],
  },
  {
    sql: `ALTER ROLE p SET no_such_setting = 'x'`,
    error: ['42704', 'unrecognized configuration parameter "no_such_setting"'],
  },
  {
    sql: `ALTER ROLE p SET max_connections = '10'`,
    error: ['55P02', 'parameter "max_connections" cannot be changed without restarting the server'],
  },
  { sql: `ALTER ROLE postgres SET work_mem = '64'`, error: alterSuperuser },
  {
    sql: `ALTER ROLE ALL SET work_mem = '1234'`,
    after: [
      count(
        `pg_db_role_setting WHERE setrole = 0 AND setdatabase = 0 AND setconfig = '{work_mem=1234}'`,
      ),
      '1',
    ],
  },
  {
    sql: `ALTER ROLE ALL SET log_statement = 'all'`,
    error: denied('permission denied to set parameter "log_statement"'),
  },
  {
    sql: `ALTER ROLE p IN DATABASE mine SET work_mem = '64'`,
    after: [count(`pg_db_role_setting WHERE setrole = 'p'::regrole AND setdatabase <> 0`), '1'],
  },
  { sql: `COMMENT ON ROLE postgres IS 'x'`, error: denied('must be superuser') },
  {
    sql: `COMMENT ON ROLE p IS 'POLAR_SUPERUSER; GRANTED BY x;'`,
    after: is('p', 'POLAR_SUPERUSER; GRANTED BY x;'),
  },
  { sql: 'SELECT FROM pg_authid', error: denied('permission denied for table pg_authid') },
  {
    sql: 'SHOW polar_enable_polar_superuser',
    error: denied(
      'must be superuser or a member of pg_read_all_settings to examine "polar_enable_polar_superuser"',
    ),
  },
  { sql: 'SET ROLE postgres', error: denied('permission denied to set role "postgres"') },
  { sql: 'DROP ROLE p', after: [count(`pg_roles WHERE rolname = 'p'`), '0'] },

  {
    sql: 'CREATE DATABASE d OWNER p',
    after: [`SELECT datdba::regrole::text FROM pg_database WHERE datname = 'd'`, 'p'],
  },
  {
    sql: 'CREATE DATABASE d TABLESPACE pg_default',
    after: [`SELECT datdba::regrole::text FROM pg_database WHERE datname = 'd'`, 'gctest'],
  },
  { sql: 'CREATE DATABASE d OWNER postgres', error: denied('must be member of role "postgres"') },
  {
    sql: 'CREATE DATABASE d TEMPLATE polardb_admin',
    error: denied('permission denied to copy database "polardb_admin"'),
  },
  {
    sql: 'CREATE DATABASE d ENCODING = UTF8 LOCALE_PROVIDER = libc',
    error: ['42601', 'option "locale_provider" not recognized'],
  },
  {
    sql: 'CREATE DATABASE polardb_admin',
    error: ['42P04', 'database "polardb_admin" already exists'],
  },
  {
    sql: 'ALTER DATABASE mine OWNER TO p',
    after: [`SELECT datdba::regrole::text FROM pg_database WHERE datname = 'mine'`, 'p'],
  },
  { sql: `CREATE TABLESPACE ts LOCATION '/nowhere'`, after: [count('pg_tablespace'), '2'] },
  {
    sql: 'CREATE TABLE t (i int) TABLESPACE ts',
    notices: [
      [
        '0A000',
        'User defined tablespace is not supported, The tablespace set by the user will be ignored',
      ],
    ],
  },
  {
    sql: 'SET default_tablespace = ts',
    error: ['22023', 'invalid value for parameter "default_tablespace": "ts"'],
  },

  { sql: 'CREATE EXTENSION dblink', error: ['22023', 'invalid extension name: "dblink"'] },
  {
    sql: 'CREATE EXTENSION IF NOT EXISTS "no such"',
    error: ['22023', 'invalid extension name: "no such"'],
  },
  { sql: 'CREATE EXTENSION IF NOT EXISTS "uuid-ossp"' },
  { sql: 'CREATE EXTENSION hstore' },
  {
    sql: 'CREATE EXTENSION vector',
    error: [
      '58P01',
      'could not open extension control file "vector.control": No such file or directory',
    ],
  },
  { sql: 'CREATE TEXT SEARCH TEMPLATE t (LEXIZE = dsimple_lexize)' },
  { sql: 'CREATE EXTENSION pg_stat_statements' },
  {
    sql: `CREATE FOREIGN DATA WRAPPER w`,
    error: denied('permission denied to create foreign-data wrapper "w"'),
  },
]

const suite = hasServer(11) && hasServer(15) ? describe : describe.skip
suite.each([11, 15] as const)('the stand-in on PostgreSQL %i', (major) => {
  const bench = useStandIn(major)

  const label = ({ sql, before }: Row) => (before ? `${sql}  (following ${before})` : sql)
  const table = (rows: Row[]): [string, Row][] => rows.map((row) => [label(row), row])

  async function check(row: Row): Promise<void> {
    if (row.before) await bench.admin.query(row.before)
    const client = row.as === 'creator' ? await bench.creator() : bench.client
    const outcome = await attempt(client, row.sql)
    expect(outcome.error).toEqual(row.error)
    expect(outcome.notices).toEqual(row.notices ?? [])
    if (row.error === undefined) expect(outcome.commands).toEqual([row.sql.split(' ')[0]])
    if (!row.after) return
    const [query, expected] = row.after
    const { rows } = await bench.admin.query(query)
    expect(Object.values(rows[0] ?? {})[0]).toEqual(expected)
  }

  describe('creates roles as PolarDB 11 does', () => {
    test.each(table(create))('%s', (_, row) => check(row))
  })

  describe('alters roles as PolarDB 11 does', () => {
    test.each(table(alter))('%s', (_, row) => check(row))
  })

  describe('treats a mere CREATEROLE CREATEDB account as PolarDB 11 does', () => {
    test.each(table(creator))('%s', (_, row) => check(row))
  })

  describe('treats other statements as PolarDB 11 does', () => {
    test.each(table(other))('%s', (_, row) => check(row))
  })
})

suite.each([11, 15] as const)('the defaults of PolarDB 11, on PostgreSQL %i', (major) => {
  test('make tables with full replica identity, and UNLOGGED ones permanent unless the session objects', async () => {
    const target = await PolarStandIn.start({ major, tableDefaults: true })
    try {
      const client = await target.connect()
      await client.query('CREATE DATABASE d')
      await client.end()
      const session = await target.connect('d')
      const made = await session.query(`
        CREATE TABLE t (a int PRIMARY KEY); CREATE UNLOGGED TABLE u (a int); CREATE TABLE x AS SELECT 1 AS a;
        CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; CREATE VIEW v AS SELECT 1 AS a`)
      expect((made as unknown as { command: string }[]).map(({ command }) => command)).toEqual([
        ...['CREATE', 'CREATE', 'SELECT', 'SELECT', 'CREATE'],
      ])
      await session.query('SET polar_force_unlogged_to_logged_table = off')
      await session.query('CREATE UNLOGGED TABLE w (a int)')
      await session.query('ALTER TABLE t REPLICA IDENTITY DEFAULT')
      const { rows } = await session.query(`
        SELECT relname || ' ' || relreplident::text || ' ' || relpersistence::text AS made FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm', 'v') ORDER BY relname`)
      expect(rows.map((row: { made: string }) => row.made)).toEqual([
        ...['m f p', 't d p', 'u f p', 'v n p', 'w f u', 'x f p'],
      ])
      const { rows: shown } = await session.query('SHOW polar_force_unlogged_to_logged_table')
      expect(shown).toEqual([{ polar_force_unlogged_to_logged_table: 'off' }])
      await session.end()
    } finally {
      await target.stop()
    }
  })

  test('refuse an imported snapshot, or take it for an older moment', async () => {
    const target = await PolarStandIn.start({ major, snapshots: 'refused' })
    try {
      const [exporter, importer] = [await target.connect(), await target.connect()]
      await target.backend.sql('CREATE TABLE t (a int); GRANT ALL ON t TO gctest')
      await exporter.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      const { rows } = await exporter.query('SELECT pg_export_snapshot() AS id')
      await importer.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      const misread = importer.query(`SET TRANSACTION SNAPSHOT '${rows[0].id}'`)
      await expect(misread).rejects.toThrow('invalid snapshot data')
      await importer.query('ROLLBACK')
      await exporter.query('ROLLBACK')

      await target.misread('postgres')
      await exporter.query('INSERT INTO t VALUES (1)')
      await exporter.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      const later = await exporter.query('SELECT pg_export_snapshot() AS id')
      await importer.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      await importer.query(`SET TRANSACTION SNAPSHOT '${later.rows[0].id}'`)
      expect((await importer.query('SELECT count(*)::int AS rows FROM t')).rows).toEqual([
        { rows: 0 },
      ])
      expect((await exporter.query('SELECT count(*)::int AS rows FROM t')).rows).toEqual([
        { rows: 1 },
      ])
      await exporter.end()
      await importer.end()
    } finally {
      await target.stop()
    }
  })
})
