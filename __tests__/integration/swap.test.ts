import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type pg from 'pg'
import { Cancelled } from '../../src/failure.ts'
import type { Context } from '../../src/migration/context.ts'
import { giveBack } from '../../src/migration/restore/database/drop.ts'
import { markSchema } from '../../src/migration/restore/database/mark.ts'
import { ownLimit } from '../../src/migration/restore/database/own-limit.ts'
import { dropKept, exchange, nameWith } from '../../src/migration/restore/swap/exchange.ts'
import type { Run } from '../../src/migration/run.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { clientDirectory } from '../support/clients.ts'
import { newContext } from '../support/context.ts'
import { runInProcess } from '../support/in-process.ts'
import { startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { createRoles, Harness, membershipsOf } from '../support/restore-harness.ts'
import { QuietContext } from '../support/sample-dump.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: Awaited<ReturnType<typeof startPlainTarget>>
let client: string

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 are missing')
  client = found
  source = await TestServer.start(15)
  // where CREATEROLE is no longer enough to act as everybody
  target = await startPlainTarget(16)
  await source.sql(`CREATE ROLE app LOGIN PASSWORD 'app secret'; CREATE ROLE reader`)
  for (const name of ['shop', 'stock']) {
    await source.sql(`CREATE DATABASE ${name} OWNER app`)
    await source.sql(
      `ALTER DATABASE ${name} SET work_mem TO '7MB'; GRANT CONNECT ON DATABASE ${name} TO reader;
       COMMENT ON DATABASE ${name} IS 'the ${name}';
       CREATE TABLE t (version int PRIMARY KEY); INSERT INTO t VALUES (1); ALTER TABLE t OWNER TO app; GRANT SELECT ON t TO reader`,
      name,
    )
  }
})

afterAll(async () => {
  await source?.stop()
  await target?.stop()
})

const migrate = (more: Record<string, string> = {}, changes: Partial<Run> = {}) =>
  runInProcess(
    {
      command: 'migrate',
      source: source.uri(),
      target: target.uri(),
      databases: 'shop,stock',
      'client-path': client,
      'allow-missing': '*',
      'upload-dump': 'false',
      ...more,
    },
    changes,
  )

const versions = async (name: string) =>
  (await target.backend.sql('SELECT version FROM t ORDER BY 1', name)).rows.map((r) => r.version)

const databases = async (pattern: string) =>
  (
    await target.backend.sql(
      `SELECT datname FROM pg_database WHERE datname LIKE '${pattern}' ORDER BY 1`,
    )
  ).rows.map(({ datname }) => datname as string)

const oidOf = async (name: string) =>
  (await target.backend.sql(`SELECT oid FROM pg_database WHERE datname = '${name}'`)).rows[0]?.oid

const propertiesOf = async (name: string) =>
  (
    await target.backend.sql(
      `SELECT pg_get_userbyid(datdba) AS owner, datacl::text[], datallowconn, datconnlimit, shobj_description(oid, 'pg_database') AS comment,
              (SELECT array_agg(setconfig::text) FROM pg_db_role_setting WHERE setdatabase = d.oid) AS settings
         FROM pg_database d WHERE datname = '${name}'`,
    )
  ).rows[0]

async function markIn(name: string): Promise<boolean> {
  const { rowCount } = await target.backend.sql(
    `SELECT FROM pg_namespace WHERE nspname = '${markSchema}'`,
    name,
  )
  return rowCount === 1
}

/** Somebody who asks the database again and again, by a new session whenever his is ended. */
function someoneIn(name: string) {
  const answers = new Set<number>()
  const errors: string[] = []
  let going = true
  const done = (async () => {
    let session: pg.Client | undefined
    while (going) {
      try {
        session ??= await target.connect(name, { user: 'app', password: 'app secret' })
        const { rows } = await session.query('SELECT version FROM t')
        for (const { version } of rows) answers.add(version)
      } catch (error) {
        errors.push((error as Error).message)
        await session?.end().catch(() => {})
        session = undefined
      }
    }
    await session?.end().catch(() => {})
  })()
  return {
    answers,
    errors,
    end: async () => {
      going = false
      await done
    },
  }
}

describe('swap', () => {
  test('keeps the old databases answering until the new ones are verified', async () => {
    const first = await migrate({ 'if-target-not-empty': 'swap' })
    expect(first.error).toBeUndefined()
    expect(first.report.phases.map(({ name }) => name)).not.toContain('swap')
    const before = await propertiesOf('shop')
    await source.sql('UPDATE t SET version = 2', 'shop')
    await source.sql('UPDATE t SET version = 2', 'stock')
    const somebody = someoneIn('shop')
    const { error, report } = await migrate({ 'if-target-not-empty': 'swap' })
    const exchanged = report.phases.filter(({ name }) => name === 'swap')
    await somebody.end()
    if (error) throw error
    expect(report.verified).toBe(true)
    expect(exchanged.map(({ database, status }) => [database, status])).toEqual([
      ['shop', 'succeeded'],
      ['stock', 'succeeded'],
    ])
    // at no time was there neither the one nor the other
    expect(somebody.answers).toContain(1)
    expect(somebody.errors.filter((text) => /^relation|permission/.test(text))).toEqual([])
    expect(await versions('shop')).toEqual([2])
    expect(await versions('stock')).toEqual([2])
    expect(await propertiesOf('shop')).toEqual(before)
    const kept = await databases('shop_before_%')
    expect(kept).toHaveLength(1)
    expect(await versions(kept[0] ?? '')).toEqual([1])
    expect(report.databases.map(({ swapped }) => swapped?.kept)).toEqual([
      kept[0],
      (await databases('stock_before_%'))[0],
    ])
    expect(report.warnings).toContainEqual(
      expect.stringContaining(`The old database shop is kept as ${kept[0]}`),
    )
    expect(await databases('%_new_%')).toEqual([])
    expect(await markIn('shop')).toBe(false)
    expect(await membershipsOf(target)).toEqual([])
  })

  test('exchanges none when one of them is not what it should be, and the next run takes what is left away', async () => {
    await source.sql('UPDATE t SET version = 3', 'shop')
    await source.sql(
      `UPDATE t SET version = 3; CREATE TABLE a (i int);
       CREATE FUNCTION writes(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.a VALUES (1); RETURN true; END $$;
       CREATE TABLE b (i int CHECK (public.writes(i)));
       INSERT INTO b VALUES (1)`,
      'stock',
    )
    const before = [await oidOf('shop'), await oidOf('stock')]
    const { error, report } = await migrate({ 'if-target-not-empty': 'swap' })
    expect(String(error)).toContain('stock')
    expect(report.verified).toBe(false)
    expect(report.databases.map(({ swapped }) => swapped)).toEqual([undefined, undefined])
    expect([await oidOf('shop'), await oidOf('stock')]).toEqual(before)
    expect(await versions('shop')).toEqual([2])
    expect(await databases('shop_new_%')).toHaveLength(1)
    expect(JSON.stringify(report.error ?? String(error))).not.toContain('replace')

    await source.sql('DROP TABLE b; DROP FUNCTION writes; DROP TABLE a', 'stock')
    const again = await migrate({ 'if-target-not-empty': 'swap', 'drop-swapped': 'true' })
    expect(again.error).toBeUndefined()
    expect(await versions('shop')).toEqual([3])
    expect(await databases('%_new_%')).toEqual([])
    // those of the first exchange are not ours to drop
    expect(await databases('%_before_%')).toHaveLength(2)
    expect(again.report.databases.map(({ swapped }) => swapped)).toEqual([
      { kept: null },
      { kept: null },
    ])
    expect(await membershipsOf(target)).toEqual([])
  })

  test('removes what a run has left that ended before it wrote the mark, and nothing that only looks like it', async () => {
    const proxy = await TcpProxy.start(target.port)
    const cancel = new AbortController()
    const inputs = { databases: 'shop', 'if-target-not-empty': 'swap', 'drop-swapped': 'true' }
    // its name is a day's as well as a dump's digits
    const planted = {
      none: 'shop_new_20261129',
      theirs: 'shop_new_20261130',
      full: 'shop_new_20261201',
    }
    try {
      // the server goes on with what was asked, and the run does not wait for it
      const met = proxy.when(/CREATE DATABASE "shop_new_/, 'none').then(() => {
        cancel.abort(new Cancelled())
      })
      const cancelled = await migrate(
        { ...inputs, target: through(proxy, target.uri()) },
        { signal: cancel.signal },
      )
      await met
      expect(cancelled.error).toBeInstanceOf(Cancelled)
      while ((await databases('shop_new_%')).length === 0) await setTimeout(20)
      const [left, ...more] = await databases('shop_new_%')
      expect(more).toEqual([])
      expect(await markIn(left ?? '')).toBe(false)
      const make = async (name: string, limit: number, owner = target.account) => {
        await target.backend.sql(`CREATE DATABASE ${name} OWNER ${owner} CONNECTION LIMIT ${limit}`)
        return name
      }
      await make(planted.none, -1)
      await make(planted.theirs, ownLimit('swap', planted.theirs), 'app')
      await make(planted.full, ownLimit('swap', planted.full))
      await target.backend.sql('CREATE TABLE theirs ()', planted.full)
      const { error, report, lines } = await migrate(inputs)
      expect(error).toBeUndefined()
      expect(lines).toContain(`Dropped ${left}, which an earlier run had begun to build`)
      expect(await databases('shop_new_%')).toEqual(Object.values(planted))
      for (const name of Object.values(planted))
        expect(report.warnings.join('\n')).toContain(`The database "${name}" looks as if`)
      expect(await propertiesOf('shop')).toMatchObject({ datconnlimit: -1 })
    } finally {
      await proxy.stop()
      for (const name of Object.values(planted))
        await target.backend.sql(`DROP DATABASE IF EXISTS ${name}`)
    }
  })

  test('refuses a database that the account may not rename before anything is dumped', async () => {
    await source.sql('CREATE ROLE newcomer')
    await target.backend.sql('CREATE DATABASE theirs')
    await target.backend.sql('CREATE TABLE t (version int)', 'theirs')
    const wish = { databases: 'shop=theirs', 'if-target-not-empty': 'swap' }
    const { error, report } = await migrate(wish)
    expect(String(error)).toContain('The database "theirs" cannot be exchanged')
    expect(report.phases.map(({ name }) => name)).not.toContain('dump')
    const ahead = await migrate({ ...wish, command: 'preflight' })
    expect(
      ahead.report.checks.filter(({ id, status }) => id === 'plan' && status === 'failed'),
    ).toEqual([
      expect.objectContaining({ message: expect.stringMatching(/"theirs" cannot be exchanged/) }),
    ])
    expect((error as { remedy?: string }).remedy).toContain('console')
    const { rowCount } = await target.backend.sql(`SELECT FROM pg_roles WHERE rolname = 'newcomer'`)
    expect(rowCount).toBe(0)
  })

  test('leaves everything as it is while somebody uses the old database whom the account cannot end', async () => {
    const harness = await Harness.open(15)
    if (!harness) throw new Error('the client programs of 15 are missing')
    const superuser = await target.backend.connect('shop')
    try {
      await target.backend.sql(`CREATE DATABASE other OWNER ${target.account}`)
      const before = await oidOf('shop')
      const place = { target: parseConnectionString(target.uri()), targetName: 'shop' }
      await expect(
        exchange(place, { name: 'shop', building: 'other', begun: false }, harness.context, 1),
      ).rejects.toMatchObject({
        why: expect.stringContaining('it is used by postgres'),
        remedy: expect.stringContaining('The old database answers as before'),
      })
      expect(await oidOf('shop')).toBe(before)
      expect(await membershipsOf(target)).toEqual([])
    } finally {
      await superuser.end()
      await harness.close()
    }
  })

  test.each([
    ['the answer to its end', /COMMIT/, 'swallow'],
    ['the way to the server in its middle', /RENAME TO "exchanged"/, 'cut'],
  ] as const)('knows whether it was done when a connection loses %s', async (_, when, how) => {
    const { account, backend } = target
    const proxy = await TcpProxy.start(Number(new URL(target.uri()).port))
    const kept = 'exchanged_before_01234567'
    const swap = { name: 'exchanged', building: 'exchanged_new_01234567', begun: false }
    try {
      for (const name of [swap.name, swap.building])
        await backend.sql(`CREATE DATABASE ${name} OWNER ${account}`)
      const [old, fresh] = [await oidOf(swap.name), await oidOf(swap.building)]
      const uri = through(proxy, target.uri())
      const met = proxy
        .when(/RENAME TO "exchanged_before_01234567"/, 'none')
        .then(() => proxy.when(when, how))
      const context = newContext('migrate', { pauses: [0.1, 0.1, 0.1] })
      const place = { target: parseConnectionString(uri), targetName: swap.name }
      expect(await exchange(place, swap, context)).toBe(kept)
      await met
      expect([await oidOf(kept), await oidOf(swap.name)]).toEqual([old, fresh])
      expect(context.warnings).toEqual([])
    } finally {
      await proxy.stop()
      for (const name of [swap.name, swap.building, kept])
        await backend.sql(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    }
  })

  test('leaves the owner also when it is cancelled while the old database is being dropped', async () => {
    await target.backend.sql('CREATE DATABASE aside OWNER app')
    const superuser = await target.backend.connect('aside')
    const stop = new AbortController()
    const context = newContext('migrate', { signal: stop.signal })
    try {
      const place = { target: parseConnectionString(target.uri()), targetName: 'shop' }
      const dropping = dropKept(place, 'aside', context)
      const dropped = dropping.catch((error: unknown) => error)
      const asked = `SELECT FROM pg_stat_activity WHERE query = 'DROP DATABASE "aside"' AND state = 'active'`
      while ((await target.backend.sql(asked)).rowCount === 0) await setTimeout(20)
      stop.abort(new Cancelled())
      expect(await dropped).toBeInstanceOf(Cancelled)
      expect(context.warnings).toEqual([])
      expect(await membershipsOf(target)).toEqual([])
    } finally {
      await superuser.end()
      await target.backend.sql('DROP DATABASE IF EXISTS aside WITH (FORCE)').catch(() => {})
    }
  })

  test('finds names that a server keeps whole', () => {
    const long = 'ü'.repeat(31)
    expect(Buffer.byteLength(nameWith(long, '_new_01234567'))).toBeLessThanOrEqual(63)
    expect(nameWith('shop', '_new_01234567')).toBe('shop_new_01234567')
  })
})

describe('replace', () => {
  test('says what it drops, and gives back what an interrupted restore had lent', async () => {
    const given = await migrate({ databases: 'stock', 'if-target-not-empty': 'replace' })
    expect(given.error).toBeUndefined()
    await target.backend.sql(`GRANT app TO ${target.account}`)
    await target.backend.sql(
      `CREATE SCHEMA "${markSchema}" AUTHORIZATION ${target.account};
       COMMENT ON SCHEMA "${markSchema}" IS '{"dump":"${'0'.repeat(64)}","memberships":["app"],"schemaGrants":[],"databaseGrants":[],"loader":null,"owners":false}'`,
      'stock',
    )
    const { error, report, lines } = await migrate({
      databases: 'stock',
      'if-target-not-empty': 'replace',
    })
    expect(error).toBeUndefined()
    expect(lines).toContainEqual(
      expect.stringMatching(/^replace drops the database "stock": .*1 object.*rows written since/),
    )
    expect(report.checks.map(({ id }) => id)).toContain('database-replaced')
    expect(await membershipsOf(target)).toEqual([])
  })

  test('does not wait for ever for a server that does not let it give back', async () => {
    await createRoles(target, ['held_owner'])
    await target.backend.sql(`GRANT held_owner TO ${target.account}`)
    const [client, holder] = [await target.connect('postgres'), await target.backend.connect()]
    const state = {
      dump: '0'.repeat(64),
      memberships: ['held_owner'],
      schemaGrants: [],
      databaseGrants: [],
      loader: null,
      owners: false,
    }
    client.on('error', () => {})
    try {
      await holder.query('BEGIN; LOCK TABLE pg_catalog.pg_auth_members IN ACCESS EXCLUSIVE MODE')
      const given = giveBack(client, state, new QuietContext() as unknown as Context, 1)
      await expect(given).rejects.toMatchObject({
        why: 'The target did not answer within 1 s',
        remedy: expect.stringContaining('nothing was dropped'),
      })
    } finally {
      await holder.query('ROLLBACK')
      await holder.end()
      await client.end()
      await target.backend.sql(`REVOKE held_owner FROM ${target.account}`)
    }
  })

  test('empties a database that belongs to the cluster, and refuses one with objects that do', async () => {
    await target.backend.sql('CREATE ROLE aurora SUPERUSER')
    await createRoles(target, ['owner_before'])
    await target.backend.sql('CREATE DATABASE console OWNER aurora')
    await target.backend.sql(`GRANT CREATE ON DATABASE console TO ${target.account}`)
    await target.backend.sql(
      `GRANT ALL ON SCHEMA public TO ${target.account}; CREATE EXTENSION hstore;
       CREATE SCHEMA app AUTHORIZATION ${target.account}; CREATE TABLE app.t (i int); CREATE TYPE app.mood AS ENUM ('a');
       CREATE TABLE public.theirs (id serial PRIMARY KEY, h hstore); CREATE VIEW public.v AS SELECT id FROM public.theirs;
       CREATE FUNCTION public."odd ""name"(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
       ALTER FUNCTION public."odd ""name"(int) OWNER TO owner_before;
       ALTER TABLE public.theirs OWNER TO owner_before; ALTER VIEW public.v OWNER TO owner_before; ALTER TYPE app.mood OWNER TO owner_before;
       ALTER TABLE app.t OWNER TO owner_before;
       ALTER DEFAULT PRIVILEGES FOR ROLE owner_before GRANT SELECT ON TABLES TO PUBLIC;
       ALTER DEFAULT PRIVILEGES FOR ROLE owner_before REVOKE ALL ON FUNCTIONS FROM PUBLIC;
       ALTER DEFAULT PRIVILEGES FOR ROLE owner_before REVOKE ALL ON TYPES FROM PUBLIC, owner_before;
       ALTER DEFAULT PRIVILEGES FOR ROLE ${target.account} IN SCHEMA public GRANT INSERT ON TABLES TO owner_before;
       ALTER DEFAULT PRIVILEGES FOR ROLE aurora GRANT SELECT ON TABLES TO aurora;
       ALTER DEFAULT PRIVILEGES FOR ROLE aurora IN SCHEMA public GRANT SELECT ON TABLES TO owner_before;
       CREATE TABLE public.clusters (i int)`,
      'console',
    )
    const oid = await oidOf('console')
    const wanted = { databases: 'shop=console', 'if-target-not-empty': 'replace' }
    const refused = await migrate(wanted)
    expect(String(refused.error)).toContain('The database "console" cannot be replaced')
    expect((refused.error as { why?: string }).why).toContain('public.clusters (of the server)')
    expect(refused.report.phases.map(({ name, status }) => [name, status])).not.toContainEqual([
      'restore-roles',
      'succeeded',
    ])
    await target.backend.sql('DROP TABLE public.clusters', 'console')
    // the owner of the database is not the source's, and the account cannot change that
    const { error, report } = await migrate(wanted)
    expect(report.databases[0]?.restore?.failed).toEqual([])
    expect(String(error ?? '')).not.toMatch(/emptied|dropped/)
    expect(await oidOf('console')).toBe(oid)
    const expected = await source.sql('SELECT version FROM t', 'shop')
    expect(await versions('console')).toEqual(expected.rows.map((r) => r.version))
    const { rows } = await target.backend.sql(
      `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S') ORDER BY 1`,
      'console',
    )
    expect(rows).toEqual([{ relname: 't' }])
    const left = await target.backend.sql(
      'SELECT defaclrole::regrole::text AS role FROM pg_default_acl',
      'console',
    )
    expect(left.rows).toEqual([{ role: 'aurora' }])
    expect(report.warnings).toContainEqual(
      expect.stringMatching(/^Default privileges of aurora on TABLES in public stay/),
    )
    expect(await membershipsOf(target)).toEqual([])
    const swap = await migrate({ databases: 'shop=console', 'if-target-not-empty': 'swap' })
    expect((swap.error as { remedy?: string }).remedy).toContain('console of the cluster')
  })
})
