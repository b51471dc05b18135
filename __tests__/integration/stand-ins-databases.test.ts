import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Failure } from '../../src/failure.ts'
import { removeStandIns } from '../../src/migration/roles/remove-stand-ins.ts'
import { compareFingerprints } from '../../src/migration/verify/compare/fingerprints.ts'
import { fingerprintDatabase } from '../../src/migration/verify/fingerprint.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { type RoleNames, renamedRoles } from '../../src/postgres/roles/role-names.ts'
import { runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { Harness } from '../support/restore-harness.ts'
import { createRichDatabase } from '../support/rich-database.ts'
import { fixtureStatements } from '../support/roles-fixture.ts'
import { type Major, TestServer } from '../support/server.ts'
import { differencesIn, fingerprintOf, testContext } from '../support/verify-run.ts'

const prefix = 'rehearsal_202611290230_1f2e3d4c'

/** Names and settings that a careless renaming would take for roles, or miss. */
const awkward = `
  SET check_function_bodies = off;
  SET ROLE app_owner;
  CREATE TABLE app.app_ro (app_rw text, "TO app_ro" text DEFAULT 'GRANT x TO app_ro', who name DEFAULT 'app_ro');
  GRANT SELECT (app_rw) ON app.app_ro TO app_rw;
  GRANT UPDATE ("TO app_ro") ON app.app_ro TO "Odd ""Role""", "line
break", "$$dollar$$", "with'apostrophe", "GRANTED BY x;";
  ALTER TABLE app.app_ro ENABLE ROW LEVEL SECURITY;
  CREATE POLICY app_ro ON app.app_ro TO app_ro, "Odd ""Role""", "with""quote", app_rw USING (who = 'app_ro');
  CREATE FUNCTION app.app_rw() RETURNS text LANGUAGE sql SET role TO 'app_rw' AS $f$ SELECT 'SET ROLE app_rw; GRANT app_ro TO app_rw' $f$;
  CREATE TABLE app.holders (regrole text, who regrole, "aclitem" aclitem[]);
  INSERT INTO app.holders VALUES ('app_ro', 'app_rw', '{app_rw=r/app_owner}');
  ALTER TABLE app.holders ADD COLUMN id integer PRIMARY KEY DEFAULT 1;
  CREATE TABLE app.points_there (id integer CONSTRAINT there REFERENCES app.holders);
  INSERT INTO app.points_there VALUES (1);
  CREATE DOMAIN app.role_domain AS regrole;
  CREATE TYPE app.role_pair AS (n integer, role app.role_domain);
  CREATE TABLE app.holders_child () INHERITS (app.holders);
  CREATE TABLE app.holders_typed OF app.role_pair;
  CREATE TABLE app.holders_domain (roles app.role_domain);
  CREATE TABLE app.holders_pair (n integer, pairs app.role_pair[]);
  CREATE TABLE app.holders_empty (who regrole);
  INSERT INTO app.holders_child VALUES ('app_ro', 'app_rw', NULL, 2);
  INSERT INTO app.holders_typed VALUES (1, 'app_rw');
  INSERT INTO app.holders_domain VALUES ('app_rw');
  INSERT INTO app.holders_pair VALUES (1, ARRAY[(1, 'app_rw')::app.role_pair]);
  CREATE TABLE app.no_holders (regrole text DEFAULT 'x regrole,', "a regrole" text);
  INSERT INTO app.no_holders VALUES ('app_ro', 'app_rw');
  CREATE VIEW app.who AS SELECT 'app_ro'::text AS text;
  RESET ROLE;
  GRANT EXECUTE ON FUNCTION ext.akeys(ext.hstore) TO app_ro, "with""quote";
  REVOKE EXECUTE ON FUNCTION ext.avals(ext.hstore) FROM PUBLIC;
  SET ROLE app_owner;
  GRANT EXECUTE ON FUNCTION app.app_rw() TO app_ro WITH GRANT OPTION;
  SET ROLE app_ro;
  GRANT EXECUTE ON FUNCTION app.app_rw() TO "Mixed Case";
  RESET ROLE;
  ALTER DEFAULT PRIVILEGES FOR ROLE "Odd ""Role""" GRANT ALL ON TABLES TO "line
break";
  SELECT pg_catalog.lo_from_bytea(7003, 'x');
  ALTER LARGE OBJECT 7003 OWNER TO "Odd ""Role""";
  ALTER DATABASE rich OWNER TO "Odd ""Role""";
  ALTER ROLE "line
break" IN DATABASE rich SET role TO 'app_rw';
  ALTER DATABASE rich SET role TO 'none';`

/** A server whose superuser is the account. */
async function startForSuperuser(major: Major) {
  const backend = await TestServer.start(major, { settings: { wal_level: 'logical' } })
  return {
    backend,
    account: backend.superuser,
    password: backend.password,
    uri: (database?: string) => backend.uri(database),
    connect: (database?: string) => backend.connect(database),
    stop: () => backend.stop(),
  }
}

/** Everything that a cluster knows of roles and databases, row by row and column by column. */
async function readRows(server: TestServer): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {}
  for (const catalog of [
    'pg_authid',
    'pg_auth_members',
    'pg_db_role_setting',
    'pg_shdescription',
    'pg_shdepend',
    'pg_shseclabel',
  ]) {
    const { rows } = await server.sql(`SELECT t::text AS row FROM ${catalog} t ORDER BY 1`)
    found[catalog] = rows.map(({ row }) => row)
  }
  const { rows } = await server.sql('SELECT datname, datacl::text FROM pg_database ORDER BY 1')
  return { ...found, databases: rows.map((row) => JSON.stringify(row)) }
}

describe.each([
  [13, '15, for its superuser', () => startForSuperuser(15)],
  [13, '11 of PolarDB', () => PolarStandIn.start({ major: 11 })],
  [18, 'a stock 18', () => startPlainTarget(18)],
] as const)('a database of %i with stand-ins for its roles on %s', (major, _, start) => {
  let source: TestServer
  let target: Awaited<ReturnType<typeof start>>
  let harness: Harness | undefined
  beforeAll(async () => {
    harness = await Harness.open(major)
    source = await TestServer.start(major as Major)
    const client = await source.connect()
    for (const statement of fixtureStatements(major)) await client.query(statement)
    await client.end()
    await createRichDatabase(source)
    await source.sql(awkward, 'rich')
    target = await start()
    // the target's own, called as roles of the source
    await target.backend.sql(
      `CREATE ROLE app_owner LOGIN PASSWORD 'its own'; CREATE ROLE "Odd ""Role"""`,
    )
  })
  afterAll(async () => {
    await source?.stop()
    await target?.stop()
    await harness?.close()
  })

  const compare = async (names: RoleNames) => {
    const recipe = await fingerprintOf(source, 'rich', { targetMajor: target.backend.major })
    const there = await fingerprintDatabase(
      {
        connection: parseConnectionString(target.backend.uri()),
        ...{ database: 'rehearsal_rich', level: 'data', jobs: 2, recipe, roleNames: names },
      },
      testContext(),
    )
    return differencesIn(compareFingerprints(recipe, there, []))
  }

  test('arrives equal; what really differs is found; nothing is left', async () => {
    if (!harness) return console.warn(`skipped: no client programs of ${major} here`)
    const { backend } = target
    const before = await readRows(backend)
    const names = renamedRoles(prefix, [])
    const { report, error, lines } = await runInProcess(
      {
        command: 'migrate',
        ...between(source, target, 'rich', { databases: 'rich=rehearsal_rich' }),
        'client-path': harness.client.directory,
        'allow-missing': '*\n* *',
        'upload-dump': 'false',
      },
      { roleNames: names },
    )
    const [database] = report.databases
    expect({ error: error && [error, (error as Failure).why], lines: error ? lines : [] }).toEqual({
      error: undefined,
      lines: [],
    })
    expect(report.roles).toMatchObject({ existing: 0, verified: true })
    expect(database).toMatchObject({ verified: true })
    // what a superuser of the source owns stays with the account, since the target has a superuser of that name
    const skipped = database?.restore?.skipped.filter(({ entry }) => entry.startsWith('OWNER '))
    expect(skipped?.filter(({ entry }) => entry === 'OWNER postgres')).toEqual(
      target.account === backend.superuser
        ? []
        : [
            {
              entry: 'OWNER postgres',
              reason: expect.stringMatching(
                /stay with "gctest": "postgres" is a superuser on the target, and the account is none/,
              ),
            },
          ],
    )
    // rows that are names of roles cannot be loaded where these are called otherwise
    const left = database?.tables.filter(({ match, name }) => !match && /holders/.test(name))
    const reason = 'its rows name roles (regrole or aclitem), which have other names in a rehearsal'
    const lost = ['holders', ...['child', 'domain', 'pair', 'typed'].map((one) => `holders_${one}`)]
    expect(left?.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual(
      lost.map((name) =>
        expect.objectContaining({
          ...{ schema: 'app', name, sourceRows: 1, targetRows: 0, explained: reason },
        }),
      ),
    )
    const key = {
      entry: 'FK CONSTRAINT app.points_there there',
      reason:
        'it references app.holders, whose rows name roles (regrole or aclitem) and are left out of a rehearsal',
    }
    const gone = [key, ...lost.map((name) => ({ entry: `TABLE DATA app.${name}`, reason }))]
    const told = report.losses.filter(({ entry }) => gone.some((one) => one.entry === entry))
    expect(told.map(({ entry, reason }) => ({ entry, reason }))).toEqual(
      expect.arrayContaining(gone),
    )
    expect(database?.notCompared).toEqual(
      expect.arrayContaining(gone.map(({ entry, reason }) => `${entry}: ${reason}`)),
    )
    // and what a function becomes is compared in the source's names
    const functions = database?.objects.find(({ kind }) => kind === 'function')
    expect(functions?.explained?.filter(({ entry }) => /app_rw/.test(entry)) ?? []).toEqual([])
    const said = JSON.stringify(report).match(new RegExp(`.{200}${prefix}.{60}`, 'g'))
    expect(said).toBeNull()

    // nothing of the database is anybody's but of the run and of who was there
    const during = await readRows(backend)
    expect(during.pg_authid).toEqual(expect.arrayContaining(before.pg_authid ?? []))
    const { rows: given } = await backend.sql(
      `SELECT r.rolname FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid AND d.refclassid = 'pg_authid'::regclass
         JOIN pg_database b ON b.oid = d.dbid WHERE b.datname = 'rehearsal_rich' AND r.rolname IN ('app_owner', 'Odd "Role"')`,
    )
    expect(given).toEqual([])

    const equal = await compare(names)
    const owner = names.onTarget('app_rw')
    await backend.sql(`ALTER TABLE app.parent OWNER TO ${owner}`, 'rehearsal_rich')
    await backend.sql(
      `GRANT DELETE ON app.parent TO ${names.onTarget('Odd "Role"')}`,
      'rehearsal_rich',
    )
    // the target's own role is not the source's of the same name
    await backend.sql('ALTER TABLE app.child OWNER TO app_owner', 'rehearsal_rich')
    await backend.sql('GRANT DELETE ON audit.log TO app_owner', 'rehearsal_rich')
    const found = (await compare(names)).filter((one) => !equal.includes(one))
    expect(found.join('\n')).toMatch(
      /table app\.child: owner \(app_owner on the source, app_owner \(of the target\) on the target\)/,
    )
    expect(found.join('\n')).toMatch(
      /table app\.parent: owner \(app_owner on the source, app_rw on the target\), .*grants \(gained: DELETE to Odd "Role"\)/,
    )
    expect(found.join('\n')).toMatch(
      /table audit\.log: grants \(gained: DELETE to app_owner \(of the target\)\)/,
    )

    const client = await target.connect()
    try {
      const kept = await removeStandIns(client, prefix)
      expect(kept.map(({ reason }) => reason).join()).toMatch(/depend on it/)
      const { rows: subscriptions } = await backend.sql('SELECT subname FROM pg_subscription')
      if (subscriptions.length > 0)
        await backend.sql(
          'ALTER SUBSCRIPTION remote SET (slot_name = NONE); DROP SUBSCRIPTION remote',
          'rehearsal_rich',
        )
      await client
        .query('DROP DATABASE rehearsal_rich')
        .catch(() => backend.sql('DROP DATABASE rehearsal_rich'))
      expect(await removeStandIns(client, prefix)).toEqual([])
    } finally {
      await client.end()
    }
    expect(await readRows(backend)).toEqual(before)
  })
})
