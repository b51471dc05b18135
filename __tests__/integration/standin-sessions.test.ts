// Sessions with the stand-in for PolarDB 11: what takes more than one statement to see.
import { createHash } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import type pg from 'pg'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { attempt, denied, useStandIn } from '../support/polardb-standin-bench.ts'
import { frame } from '../support/polardb-standin-messages.ts'
import { hasServer } from '../support/server.ts'

interface PipelinedConnection {
  stream: Socket
  on: (event: string, listener: (message: { text: string }) => void) => void
}

const count = (from: string) => `SELECT count(*) FROM ${from}`

const suite = hasServer(11) && hasServer(15) ? describe : describe.skip
suite.each([11, 15] as const)('a session with the stand-in on PostgreSQL %i', (major) => {
  const bench = useStandIn(major)

  const value = async (sql: string, from = bench.client): Promise<unknown> => {
    const { rows } = await from.query(sql)
    return Object.values(rows[0] ?? {})[0]
  }

  test('is detected as PolarDB 11 by an account without privileges', async () => {
    const anybody = await bench.creator()
    expect(await value(`SELECT current_setting('polar_version', true)`, anybody)).toBe('1.1.20')
    const { rows: shown } = await anybody.query('SHOW polar_version')
    expect(shown).toEqual([{ polar_version: '1.1.20' }])
    const list = await value('SHOW polar_supported_extensions', anybody)
    expect(String(list).split('\n')).toEqual(expect.arrayContaining(['hstore', '"uuid-ossp"']))
    const { rows } = await anybody.query(
      `SELECT r.rolname FROM pg_roles r, pg_roles p WHERE p.rolname = 'pg_polar_superuser' AND r.rolname !~ '^pg_'
         AND NOT r.rolsuper AND pg_has_role(r.oid, p.oid, 'MEMBER')`,
    )
    expect(rows).toEqual([{ rolname: 'gctest' }])
    expect(await value('SHOW is_superuser')).toBe('off')
  })

  test('makes a member of a polar_superuser one too, without INHERIT and without the attributes', async () => {
    await bench.client.query(`CREATE ROLE first POLAR_SUPERUSER;
      CREATE ROLE second NOINHERIT LOGIN PASSWORD 'x'; GRANT first TO second`)
    const second = await bench.server.connect('mine', { user: 'second', password: 'x' })
    try {
      await second.query('CREATE ROLE third')
      await second.query('GRANT third TO p; DROP ROLE q')
      await second.query('CREATE DATABASE d')
      const sql = `SELECT rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = 'second'`
      expect((await second.query(sql)).rows).toEqual([{ rolcreaterole: false, rolcreatedb: false }])
      await bench.client.query('REVOKE first FROM second')
      expect((await attempt(second, 'CREATE ROLE fourth')).error).toEqual(
        denied('permission denied to create role'),
      )
    } finally {
      await second.end()
    }
  })

  test('lets a polar_superuser become anybody but a superuser, and leaves no membership behind', async () => {
    await bench.client.query('SET ROLE p')
    expect(await value('SELECT current_user')).toBe('p')
    expect((await attempt(bench.client, 'CREATE ROLE n')).error).toEqual(
      denied('permission denied to create role'),
    )
    await bench.client.query('RESET ROLE; BEGIN; SET LOCAL ROLE p; COMMIT')
    expect(await value('SELECT current_user')).toBe('gctest')
    await bench.client.query(
      'CREATE SCHEMA s; CREATE TABLE s.t (i int); GRANT ALL ON SCHEMA s TO p; ALTER TABLE s.t OWNER TO p',
    )
    await bench.client.query(
      `SET SESSION AUTHORIZATION p; GRANT SELECT ON s.t TO q; RESET SESSION AUTHORIZATION`,
    )
    expect(await value(`SELECT relacl::text FROM pg_class WHERE relname = 't'`)).toContain('q=r/p')
    expect(await value('SELECT current_user')).toBe('gctest')
    const error = await attempt(bench.client, 'SET SESSION AUTHORIZATION postgres')
    expect(error.error?.[0]).toBe('42501')
    expect(await value(count(`pg_auth_members WHERE member = 'gctest'::regrole`))).toBe('1')
  })

  test('changes owners without membership, under the rules of any new owner', async () => {
    await bench.client.query(
      'CREATE SCHEMA s; CREATE TABLE s.t (i int); CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$',
    )
    expect((await attempt(bench.client, 'ALTER TABLE s.t OWNER TO p')).error).toEqual(
      denied('permission denied for schema s'),
    )
    expect((await attempt(bench.client, 'ALTER TABLE s.t OWNER TO postgres')).error).toEqual(
      denied('must be member of role "postgres"'),
    )
    await bench.client.query('GRANT CREATE ON SCHEMA s TO p')
    await bench.client.query(
      'BEGIN; ALTER TABLE s.t OWNER TO p; ALTER FUNCTION s.f() OWNER TO p; ALTER SCHEMA s OWNER TO p; COMMIT',
    )
    expect(await value(`SELECT relowner::regrole::text FROM pg_class WHERE relname = 't'`)).toBe(
      'p',
    )
    expect((await attempt(bench.client, 'ALTER TABLE s.t OWNER TO q')).error?.[0]).toBe('42501')
    await bench.client.query(
      'CREATE SCHEMA z AUTHORIZATION p; ALTER DEFAULT PRIVILEGES FOR ROLE p GRANT SELECT ON TABLES TO q',
    )
    expect(
      (
        await attempt(
          bench.client,
          'ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT SELECT ON TABLES TO q',
        )
      ).error,
    ).toEqual(denied('must be member of role "postgres"'))
  })

  test('gives a polar_superuser what ordinary roles own or may, without a membership to be seen', async () => {
    const { client, server } = bench
    await client.query('CREATE SCHEMA s AUTHORIZATION p')
    await client.query('CREATE TABLE s.t AS SELECT 1 AS i')
    await client.query(
      'ALTER TABLE s.t OWNER TO p; GRANT SELECT ON s.t TO q; CREATE INDEX ON s.t (i)',
    )
    expect(await value('SELECT i FROM s.t')).toBe(1)
    expect(await value(`SELECT relacl::text FROM pg_class WHERE relname = 't'`)).toContain('q=r/p')
    await server.backend.sql('CREATE SCHEMA z; CREATE TABLE z.t ()', 'mine')
    const past = await server.backend.connect('mine', { port: server.backend.port })
    await past.query('CREATE ROLE behind; CREATE ROLE aside')
    await past.end()
    await client.query('SET ROLE aside; RESET ROLE')
    expect((await attempt(client, 'TABLE z.t')).error).toEqual(
      denied('permission denied for schema z'),
    )
    expect(await value(`SELECT pg_has_role('behind', 'MEMBER')`)).toBe(false)
    const later = await server.connect('mine')
    expect(await value(`SELECT pg_has_role('behind', 'MEMBER')`, later)).toBe(true)
    await later.end()
    const rows = count(
      'pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE rolname !~ $$^pg_$$',
    )
    expect(await value(rows)).toBe('1')
    const { rows: seen } = await server.backend.sql(rows)
    expect(seen).toEqual([{ count: '1' }])
  })

  test('grants the account, and polar_superusers, as if those memberships were not there', async () => {
    const { client } = bench
    const members = `
      SELECT string_agg(pair, ' ' ORDER BY pair) FROM (
        SELECT pg_get_userbyid(roleid) || '>' || pg_get_userbyid(member) AS pair FROM pg_auth_members) m
       WHERE pair !~ '^pg_'`
    await client.query('GRANT gctest TO p; GRANT q TO gctest; CREATE ROLE n POLAR_SUPERUSER')
    expect(await attempt(client, 'GRANT n TO r')).toMatchObject({ notices: [] })
    expect(await value(members)).toBe('gctest>p n>r q>gctest')
    const polar = (role: string) =>
      value(`SELECT pg_has_role('${role}', 'pg_polar_superuser', 'MEMBER')`)
    expect([await polar('p'), await polar('r'), await polar('q')]).toEqual([true, true, false])
    await client.query(
      'REVOKE gctest FROM p; REVOKE n FROM r; REVOKE q FROM gctest; ALTER ROLE n NOPOLAR_SUPERUSER',
    )
    expect([await polar('p'), await polar('r'), await polar('n')]).toEqual([false, false, false])
    expect(await value(members)).toBeNull()
    expect(await attempt(client, 'REVOKE q FROM gctest')).toMatchObject({
      notices: [['01000', 'role "gctest" is not a member of role "q"']],
    })
    expect(await value(`SELECT pg_has_role('q', 'USAGE')`)).toBe(true)
    await bench.admin.query('ALTER ROLE q SUPERUSER')
    expect(await value(`SELECT pg_has_role('q', 'USAGE')`)).toBe(false)
  })

  test('lets a polar_superuser make event triggers, lose them, and publish all tables', async () => {
    await bench.client.query('CREATE SCHEMA s')
    await bench.client.query(
      'CREATE FUNCTION s.e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$',
    )
    await bench.client.query(
      'CREATE EVENT TRIGGER et1 ON ddl_command_start EXECUTE PROCEDURE s.e()',
    )
    expect(await value('SELECT evtowner::regrole::text FROM pg_event_trigger')).toBe('gctest')
    await bench.client.query('ALTER EVENT TRIGGER et1 OWNER TO postgres')
    expect((await attempt(bench.client, `COMMENT ON EVENT TRIGGER et1 IS 'x'`)).error).toEqual(
      denied('must be owner of event trigger et1'),
    )
    expect((await attempt(bench.client, 'ALTER EVENT TRIGGER et1 OWNER TO gctest')).error).toEqual(
      denied('must be owner of event trigger et1'),
    )
    await bench.client.query(
      'CREATE PUBLICATION everything FOR ALL TABLES; CREATE PUBLICATION part',
    )
    await bench.client.query('ALTER PUBLICATION part OWNER TO p')
    expect(await value(`SELECT rolsuper FROM pg_roles WHERE rolname = 'gctest'`)).toBe(false)
  })

  test('lets a polar_superuser disable system triggers, but not on what superusers own', async () => {
    await bench.client.query(
      'CREATE SCHEMA s; CREATE TABLE s.a (i int PRIMARY KEY); CREATE TABLE s.b (i int REFERENCES s.a)',
    )
    await bench.client.query(
      'ALTER TABLE s.b DISABLE TRIGGER ALL; INSERT INTO s.b VALUES (1); ALTER TABLE s.b ENABLE TRIGGER ALL',
    )
    await bench.client.query(`SET session_replication_role = 'replica'`)
    await bench.client.query('GRANT CREATE ON SCHEMA s TO p; ALTER TABLE s.b OWNER TO p')
    await bench.client.query('ALTER TABLE s.b DISABLE TRIGGER ALL')
    await bench.server.backend.sql('ALTER TABLE s.b OWNER TO postgres', 'mine')
    expect((await attempt(bench.client, 'ALTER TABLE s.b DISABLE TRIGGER ALL')).error).toEqual(
      denied('must be owner of table b'),
    )
  })

  test('refuses the database polardb_admin to the account', async () => {
    await expect(bench.server.connect('polardb_admin')).rejects.toMatchObject({
      code: '42501',
      message: 'permission denied for database "polardb_admin"',
      detail: 'User does not have CONNECT privilege.',
    })
  })

  test('hashes plain passwords as md5', async () => {
    await bench.client.query(`ALTER ROLE p PASSWORD 'x'`)
    const { rows } = await bench.server.backend.sql(
      `SELECT left(rolpassword, 3) AS hash FROM pg_authid WHERE rolname = 'p'`,
    )
    expect(rows).toEqual([{ hash: 'md5' }])
  })

  test('leaves nothing of its own in a new database', async () => {
    await bench.client.query('CREATE DATABASE d TEMPLATE template0')
    const { rows } = await bench.server.backend.sql(
      `SELECT (SELECT count(*) FROM pg_class WHERE oid >= 16384) + (SELECT count(*) FROM pg_proc WHERE oid >= 16384)
            + (SELECT count(*) FROM pg_namespace WHERE oid >= 16384) AS count`,
      'd',
    )
    expect(rows).toEqual([{ count: '0' }])
  })

  test('undoes with the transaction what it did in it', async () => {
    await bench.client.query('BEGIN')
    await bench.client.query('CREATE ROLE zz NOPOLAR_SUPERUSER')
    await bench.client.query('ALTER ROLE zz POLAR_SUPERUSER REPLICATION')
    await bench.client.query('ROLLBACK')
    expect(await value(count(`pg_roles WHERE rolname = 'zz'`))).toBe('0')
    const outcome = await attempt(
      bench.client,
      'BEGIN; SELECT 1; CREATE ROLE zz POLAR_SUPERUSER; SELECT 2; ROLLBACK',
    )
    expect(outcome).toEqual({
      notices: [],
      commands: ['BEGIN', 'SELECT', 'CREATE', 'SELECT', 'ROLLBACK'],
    })
  })

  test('reports an error where it is in the text that the client wrote', async () => {
    const sql = `SELECT 'é'; CREATE ROLE zz POLAR_SUPERUSER nonsense`
    const error = await bench.client.query(sql).catch((reason: pg.DatabaseError) => reason)
    expect(error).toMatchObject({ code: '42601', position: String(sql.indexOf('nonsense') + 1) })
    expect(error).not.toHaveProperty('where', expect.anything())
    const next = 'GRANT q TO p; SELECT nothing'
    await expect(bench.client.query(next)).rejects.toMatchObject({
      position: String(next.indexOf('nothing') + 1),
    })
  })

  test('refuses in the extended protocol what it would have to change, and passes the rest', async () => {
    const query = { text: 'SET ROLE p', queryMode: 'extended' }
    await expect(bench.client.query(query)).rejects.toMatchObject({ code: '0A000' })
    const { rows } = await bench.client.query(`SELECT current_setting('polar_version', $1) AS v`, [
      true,
    ])
    expect(rows).toEqual([{ v: '1.1.20' }])
  })

  test('keeps answers apart when a client sends on without waiting', async () => {
    const client = await bench.server.connect('mine') // answers to nobody's query are its end
    const { connection } = client as unknown as { connection: PipelinedConnection }
    const tags: string[] = []
    const done = new Promise<void>((resolve) => {
      let ready = 0
      connection.on('commandComplete', ({ text }) => tags.push(text))
      connection.on('readyForQuery', () => ++ready === 2 && resolve())
    })
    const zeros = Buffer.alloc(8)
    connection.stream.write(
      Buffer.concat([
        frame('P', Buffer.concat([Buffer.from('\0SELECT 1\0'), zeros.subarray(0, 2)])),
        frame('B', zeros),
        frame('E', zeros.subarray(0, 5)),
        frame('S', Buffer.alloc(0)),
        frame('Q', 'CREATE ROLE n POLAR_SUPERUSER; SELECT 2'),
      ]),
    )
    await done
    await client.end()
    expect(tags).toEqual(['SELECT 1', 'CREATE ROLE', 'SELECT 1'])
  })

  test('passes a cancel request on', async () => {
    const { processID, secretKey } = bench.client as unknown as Record<string, number>
    const sleeping = bench.client.query('SELECT pg_sleep(1000)')
    const outcome = expect(sleeping).rejects.toMatchObject({ code: '57014' })
    const request = Buffer.alloc(16)
    for (const [at, word] of [16, 80_877_102, processID ?? 0, secretKey ?? 0].entries())
      request.writeInt32BE(word, at * 4)
    while (
      !(
        await bench.server.backend.sql(
          `SELECT FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'`,
        )
      ).rowCount
    );
    connect(bench.server.port, '127.0.0.1').end(request)
    await outcome
  })

  test('has no TLS, and says so', async () => {
    await expect(bench.server.connect('mine', { ssl: true })).rejects.toThrow(
      'does not support SSL',
    )
  })

  test('carries long values and long queries through unchanged', async () => {
    const long = 'é'.repeat(3_000_000)
    const md5 = createHash('md5').update(long).digest('hex')
    const rows: unknown[] = []
    for (const sql of [`SELECT md5('${long}')`, 'SHOW polar_version'])
      rows.push((await bench.client.query(sql)).rows[0])
    rows.push((await bench.client.query('SELECT md5($1), $1 AS long', [long])).rows[0])
    expect(rows).toEqual([{ md5 }, { polar_version: '1.1.20' }, { md5, long }])
  })
})

const modern = [13, 16, 17, 18] as const
const all = modern.every(hasServer) ? describe : describe.skip
all.each(modern)('the stand-in on PostgreSQL %i', (major) => {
  const bench = useStandIn(major)

  test('knows POLAR_SUPERUSER, and refuses what is never allowed', async () => {
    const { client } = bench
    await client.query(
      'CREATE ROLE n SUPERUSER LOGIN REPLICATION BYPASSRLS; CREATE ROLE m POLAR_SUPERUSER',
    )
    await client.query('ALTER ROLE m NOPOLAR_SUPERUSER')
    const { rows } = await client.query(
      `SELECT rolname, rolsuper, rolreplication, pg_has_role(oid, 'pg_polar_superuser', 'MEMBER') AS polar
         FROM pg_roles WHERE rolname IN ('m', 'n') ORDER BY 1`,
    )
    expect(rows).toEqual([
      { rolname: 'm', rolsuper: false, rolreplication: false, polar: false },
      { rolname: 'n', rolsuper: false, rolreplication: true, polar: true },
    ])
    expect((await attempt(client, 'ALTER ROLE aurora LOGIN')).error).toEqual(
      denied('must be superuser to alter superusers'),
    )
    expect((await attempt(client, 'CREATE EXTENSION dblink')).error).toEqual([
      '22023',
      'invalid extension name: "dblink"',
    ])
    await client.query('CREATE EXTENSION pg_stat_statements')
    await client.query('CREATE DATABASE d')
    expect((await client.query('SHOW polar_version')).rows).toHaveLength(1)
  })

  test(`${major < 16 ? 'needs no' : 'needs a'} membership to give things away`, async () => {
    const { client } = bench
    await client.query('CREATE ROLE n')
    const outcome = await attempt(client, 'CREATE DATABASE d OWNER n')
    if (major < 16) return expect(outcome.error).toBeUndefined()
    expect(outcome.error).toEqual(denied('must be able to SET ROLE "n"'))
    await client.query('GRANT n TO gctest WITH INHERIT FALSE, SET TRUE')
    await client.query('CREATE DATABASE d OWNER n')
  })
})

const one = hasServer(15) ? describe : describe.skip
one('a server without manners', () => {
  test('knows nothing of PolarDB and treats its account as stock PostgreSQL does', async () => {
    const target = await startPlainTarget(15, { systemRoles: true, featureUtils: true })
    try {
      const client = await target.connect()
      expect(await attempt(client, 'CREATE ROLE n POLAR_SUPERUSER')).toMatchObject({
        error: ['42601', 'unrecognized role option "polar_superuser"'],
      })
      await client.query('CREATE ROLE n; CREATE ROLE m; GRANT n TO m')
      await client.query('CREATE DATABASE d')
      const version = await client.query(`SELECT current_setting('polar_version', true) AS version`)
      expect(version.rows).toEqual([{ version: null }])
      await client.end()
      const { rows } = await target.backend.sql(
        `SELECT oid < 16384 AS initial FROM pg_namespace WHERE nspname = 'polar_feature_utils'`,
        'd',
      )
      expect(rows).toEqual([{ initial: true }])
    } finally {
      await target.stop()
    }
  })

  test('follows a wish for other manners and more superusers', async () => {
    const server = await PolarStandIn.start({ major: 15, manners: 11, superusers: ['admin é'] })
    try {
      const { rows } = await server.backend.sql(
        'SELECT rolname FROM pg_roles WHERE rolsuper ORDER BY 1',
      )
      expect(rows.map(({ rolname }) => rolname)).toEqual([
        ...['admin é', 'aurora', 'polardb_admin', 'postgres', 'replicator'],
      ])
    } finally {
      await server.stop()
    }
  })
})
