import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { planRestore } from '../../src/migration/restore/plan-restore.ts'
import { twoStepsOf } from '../../src/migration/restore/run/two-steps.ts'
import { readArchive } from '../../src/postgres/archive/archive.ts'
import { entryName } from '../../src/postgres/archive/entry.ts'
import { type PlainTarget, PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy } from '../support/proxy.ts'
import {
  behind,
  type Dump,
  Harness,
  type RestoreTarget,
  restoreDatabase,
} from '../support/restore-harness.ts'
import { hasServer, type Major, TestServer } from '../support/server.ts'

/** Keys of every kind that pg_dump writes, by the version that brought them. */
function schemaOf(major: number): string {
  return `
    CREATE SCHEMA "O""dd; name";
    CREATE TABLE plain (id int PRIMARY KEY, a text, b int NOT NULL, c varchar(7) COLLATE "C", UNIQUE (a), CONSTRAINT "Mixed ""c" UNIQUE (b, c) WITH (fillfactor = 70));
    CREATE TABLE "O""dd; name"."t (x); --" ("select" int, "a, b" text COLLATE "C", "quote'd" char(3), PRIMARY KEY ("select", "a, b"), UNIQUE ("quote'd") DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE "O""dd; name".child (id bigint PRIMARY KEY DEFERRABLE, s int, t text, u int NOT NULL UNIQUE,
      CONSTRAINT "r (1)" FOREIGN KEY (s, t) REFERENCES "O""dd; name"."t (x); --" MATCH FULL ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
      FOREIGN KEY (u) REFERENCES plain ON DELETE RESTRICT ON UPDATE SET DEFAULT, FOREIGN KEY (u) REFERENCES "O""dd; name".child (u));
    ALTER TABLE plain CLUSTER ON plain_pkey; ALTER TABLE "O""dd; name".child REPLICA IDENTITY USING INDEX child_u_key;
    CREATE TABLE heir (x int) INHERITS (plain); ALTER TABLE heir ADD PRIMARY KEY (id);
    ALTER TABLE heir ADD FOREIGN KEY (b) REFERENCES plain, ADD CONSTRAINT unchecked FOREIGN KEY (x) REFERENCES plain NOT VALID;
    CREATE TABLE excluding (r int4range PRIMARY KEY, EXCLUDE USING gist (r WITH &&));
    COMMENT ON CONSTRAINT plain_pkey ON plain IS 'a comment'; COMMENT ON INDEX plain_a_key IS 'another';
    CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY, p int REFERENCES plain);
    ${
      major >= 11
        ? `CREATE TABLE covering (id int, v text, w text, CONSTRAINT covering_pk PRIMARY KEY (id) INCLUDE (v, w), UNIQUE (w) INCLUDE (id) WITH (fillfactor = 50));
           CREATE TABLE parted (k int, v int REFERENCES plain, PRIMARY KEY (k)) PARTITION BY RANGE (k);
           CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (9); ALTER TABLE parted_1 ADD UNIQUE (v), ADD FOREIGN KEY (k) REFERENCES plain;`
        : ''
    }
    ${major >= 12 ? `CREATE TABLE toparted (k int REFERENCES parted, c int REFERENCES parted_1);` : ''}
    ${major >= 15 ? 'CREATE TABLE nulls (a int, b int, UNIQUE NULLS NOT DISTINCT (a) WITH (fillfactor = 60), UNIQUE NULLS NOT DISTINCT (b) INCLUDE (a) DEFERRABLE); CREATE TABLE pair (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE setting (a int, b int, FOREIGN KEY (a, b) REFERENCES pair ON DELETE SET NULL (b));' : ''}
    ${
      major >= 18
        ? `CREATE TABLE named (id int CONSTRAINT "not null of id" NOT NULL, PRIMARY KEY (id)); CREATE TABLE noinherit (id int CONSTRAINT n NOT NULL NO INHERIT);
           CREATE EXTENSION btree_gist; CREATE TABLE temporal (id int4range, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS));
           CREATE TABLE during (id int4range, at daterange, FOREIGN KEY (id, PERIOD at) REFERENCES temporal (id, PERIOD at));
           CREATE TABLE unenforced (id int, p int, FOREIGN KEY (p) REFERENCES plain NOT ENFORCED);`
        : ''
    }`
}

/** The constraints among them that are made in two steps. */
function splitOf(major: number): string[] {
  return [
    ...['child child_pkey', 'child child_u_fkey', 'child child_u_key', 'child r (1)'],
    ...['excluding excluding_pkey', 'heir heir_b_fkey', 'plain Mixed "c', 'plain plain_a_key'],
    ...['plain plain_pkey', 't (x); -- t (x); --_pkey', "t (x); -- t (x); --_quote'd_key"],
    ...['unlogged unlogged_p_fkey', 'unlogged unlogged_pkey'],
    ...(major >= 11
      ? ['covering covering_pk', 'covering covering_w_id_key', 'parted_1 parted_1_v_key']
      : []),
    ...(major >= 15
      ? ['nulls nulls_a_key', 'nulls nulls_b_a_key', 'pair pair_pkey', 'setting setting_a_b_fkey']
      : []),
    ...(major >= 18 ? ['named named_pkey'] : []),
  ]
}

/** All that the catalogs say of keys and their indexes, without object identifiers. */
async function catalogsOf(server: TestServer, database: string): Promise<string[]> {
  const client = await server.connect(database)
  const oids = new Map<string, string>()
  const { rows: named } = await client.query(
    `SELECT c.oid, c.oid::regclass::text AS name FROM pg_class c UNION ALL SELECT oid, 'constraint ' || conrelid::regclass::text || ' ' || conname FROM pg_constraint`,
  )
  for (const { oid, name } of named) oids.set(String(oid), name)
  const told: string[] = []
  for (const query of [
    `SELECT to_jsonb(k) - 'conbin' - 'conexclop' AS row, pg_get_constraintdef(k.oid) AS text FROM pg_constraint k WHERE conrelid <> 0`,
    `SELECT to_jsonb(x) - 'indexprs' - 'indpred' AS row, pg_get_indexdef(indexrelid) AS text FROM pg_index x WHERE indrelid >= 16384`,
    `SELECT to_jsonb(a) - 'attacl' - 'atttypid' - 'attcacheoff' - 'attmissingval' AS row FROM pg_attribute a WHERE attrelid >= 16384`,
    `SELECT to_jsonb(c) - 'relfilenode' - 'relfrozenxid' - 'relminmxid' - 'reltype' - 'relpartbound' - 'relpages' - 'reltuples' - 'relallvisible' - 'relallfrozen' AS row FROM pg_class c WHERE oid >= 16384 AND relkind IN ('r', 'p', 'i', 'I')`,
    `SELECT (to_jsonb(t) - 'tgname') || jsonb_build_object('tgfoid', tgfoid::regproc::text) AS row FROM pg_trigger t`,
    `SELECT to_jsonb(d) AS row FROM pg_depend d WHERE classid IN ('pg_class'::regclass, 'pg_constraint'::regclass) AND refclassid IN ('pg_class'::regclass, 'pg_constraint'::regclass) AND objid >= 16384`,
    `SELECT objoid, classoid, description FROM pg_description WHERE objoid >= 16384`,
  ]) {
    const { rows } = await client.query(query)
    for (const row of rows) {
      const text = JSON.stringify(row).replace(/(?<!\d)\d{5,}(?!\d)/g, (oid) =>
        /^(16|17|18|19|2)\d{3}$/.test(oid) ? (oids.get(oid)?.replaceAll('"', '') ?? '?') : oid,
      )
      told.push(text.replace(/"oid":"?\d+"?/, ''))
    }
  }
  await client.end()
  // its tables of long values have numbers in their names
  return told.filter((text) => !text.includes('pg_toast')).sort()
}

describe.each([10, 13, 15, 18] as Major[])('on PostgreSQL %i, two steps', (major) => {
  const maybe = hasServer(major) ? test : test.skip
  maybe('say in the catalogs what the one statement says', async () => {
    const harness = (await Harness.open(major)) ?? (await Harness.open(15))
    if (!harness) throw new Error('client programs are missing')
    const server = await TestServer.start(major)
    try {
      await server.sql('CREATE DATABASE source')
      await server.sql(schemaOf(major), 'source')
      const { directory } = await harness.dump(server, 'source', ['--schema-only'])
      const archive = await readArchive(directory)
      const split: string[] = []
      for (const name of ['whole', 'steps']) {
        await server.sql(`CREATE DATABASE ${name}`)
        const client = await server.connect(name)
        for (const entry of archive.entries) {
          if (/^(ENCODING|STDSTRINGS|SEARCHPATH|DATABASE.*)$/.test(entry.desc)) continue
          if (entry.desc === 'SCHEMA' && entry.tag === 'public') continue
          const steps = twoStepsOf({
            ...{ archive, entry, name: entryName(entry) },
            decision: { kind: 'restore' },
          })
          if (steps && name === 'steps') {
            split.push(entry.tag)
            await client.query(steps.first)
            await client.query(steps.second)
          } else if (entry.definition) await client.query(entry.definition)
        }
        await client.end()
      }
      expect(await catalogsOf(server, 'steps')).toEqual(await catalogsOf(server, 'whole'))
      expect(split.sort()).toEqual(splitOf(major).sort())
    } finally {
      await server.stop()
      await harness.close()
    }
  })
})

describe('a restore in which keys are made in two steps', () => {
  let source: TestServer
  let target: PlainTarget
  let proxy: TcpProxy
  let far: RestoreTarget
  let harness: Harness
  let dump: Dump
  /** Entries that are restored when every one is made at once. */
  let whole: number

  beforeAll(async () => {
    const opened = await Harness.open(15)
    if (!opened) throw new Error('the client programs of 15 are missing')
    harness = opened
    source = await TestServer.start(15)
    target = await startPlainTarget(15)
    proxy = await TcpProxy.start(target.port)
    far = behind(proxy, target)
    await source.sql('CREATE DATABASE keys')
    await source.sql(
      `CREATE TABLE parent (id int PRIMARY KEY WITH (fillfactor = 80), t text UNIQUE DEFERRABLE);
       INSERT INTO parent SELECT g, md5(g::text) FROM generate_series(1, 100000) g;
       CREATE INDEX other ON parent (t);
       CREATE TABLE one (id int PRIMARY KEY, p int REFERENCES parent ON DELETE CASCADE);
       CREATE TABLE two (id int PRIMARY KEY, p int, CONSTRAINT "to ""parent""" FOREIGN KEY (p) REFERENCES parent DEFERRABLE);
       CREATE TABLE tiny (id int PRIMARY KEY);
       CREATE TABLE small (id int PRIMARY KEY, s int REFERENCES tiny, UNIQUE (s, id));
       INSERT INTO one SELECT g, g FROM generate_series(1, 100) g; INSERT INTO two TABLE one;
       INSERT INTO tiny SELECT generate_series(1, 100); INSERT INTO small SELECT g, g FROM generate_series(1, 100) g;
       ALTER TABLE parent CLUSTER ON parent_pkey; COMMENT ON CONSTRAINT parent_pkey ON parent IS 'key';`,
      'keys',
    )
    dump = await harness.dump(source, 'keys')
    const schema = await harness.dump(source, 'keys', ['--schema-only'])
    // without rows nothing is large
    whole = (await harness.restore(schema, target, { targetName: 'whole' })).result.restored
  })

  afterEach(() => proxy.calm())

  afterAll(async () => {
    await proxy?.stop()
    await harness?.close()
    await source?.stop()
    await target?.stop()
  })

  async function expectWhole(name: string): Promise<void> {
    const differences = await harness.differences(source, 'keys', target.backend, name)
    expect(differences.filter(({ what }) => what !== 'owner')).toEqual([])
    const { rows } = await target.backend.sql(
      `SELECT (SELECT count(*)::int FROM pg_constraint WHERE contype = 'f' AND convalidated) AS keys,
              (SELECT count(*)::int FROM pg_index WHERE indrelid = 'parent'::regclass AND indisvalid) AS indexes`,
      name,
    )
    expect(rows).toEqual([{ keys: 3, indexes: 3 }])
    await target.backend.sql(`DROP DATABASE "${name}"`)
  }

  /** A restore whose job dies before it hears of a statement that the server has carried out. */
  async function die(name: string, at: RegExp, done: string): Promise<void> {
    const died = await Harness.open(15)
    if (!died) throw new Error('the client programs of 15 are missing')
    const options = await harness.options(dump, far, { targetName: name })
    const plan = await planRestore(options, died.context)
    const met = proxy.when(at, 'stall')
    const running = restoreDatabase(options, plan, died.context)
    await Promise.race([met, running])
    while ((await target.backend.sql(done, name)).rowCount === 0) await sleep(20)
    died.context.controller.abort()
    await expect(running).rejects.toThrow('cancelled')
    proxy.closeStalled()
    await died.close()
    const atWork = `SELECT FROM pg_stat_activity WHERE datname = '${name}' AND state <> 'idle'`
    while ((await target.backend.sql(atWork)).rowCount !== 0) await sleep(20)
  }

  const afterIndex = (name: string) =>
    die(
      name,
      /CREATE UNIQUE INDEX parent_pkey/,
      `SELECT FROM pg_class WHERE relname = 'parent_pkey'`,
    )
  const afterKey = (name: string) =>
    die(name, /NOT VALID/, `SELECT FROM pg_constraint WHERE contype = 'f' AND NOT convalidated`)

  const resume = (name: string) =>
    harness.restore(dump, target, { targetName: name, ifNotEmpty: 'resume' })

  test.each([
    ['index', /CREATE UNIQUE INDEX parent_pkey/],
    ['constraint', /PRIMARY KEY USING INDEX parent_pkey/],
    ['key', /NOT VALID/],
    ['validation', /VALIDATE CONSTRAINT/],
  ])(
    'counts each entry once, also when the answer about its %s is lost',
    async (what, statement) => {
      const name = `lost_${what}`
      const lost = proxy.when(statement, 'swallow')
      const { result } = await harness.restore(dump, far, { targetName: name })
      await lost
      expect(result).toMatchObject({ restored: whole + 5, failed: [] })
      expect(result.attempts).toBeGreaterThan(1)
      await expectWhole(name)
    },
  )

  test.each([
    ['kept', ''],
    [
      'invalid',
      `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'parent_pkey'::regclass`,
    ],
    ['another', 'DROP INDEX parent_pkey; CREATE INDEX parent_pkey ON parent (t)'],
    [
      'otherwise',
      'DROP INDEX parent_pkey; CREATE UNIQUE INDEX parent_pkey ON parent (t) WITH (fillfactor = 80)',
    ],
  ])('is resumed between the two steps of an index: %s', async (what, change) => {
    const name = `index_${what}`
    await afterIndex(name)
    const state = `SELECT 'parent_pkey'::regclass::oid AS oid, (SELECT count(*)::int FROM pg_constraint WHERE conname = 'parent_pkey') AS keys`
    const before = (await target.backend.sql(state, name)).rows[0]
    expect(before).toMatchObject({ keys: 0 })
    if (change) await target.backend.sql(change, name)
    await resume(name)
    const after = (await target.backend.sql(state, name)).rows[0]
    // what is as it should be is not built again
    if (!change) expect(after).toEqual({ ...before, keys: 1 })
    await expectWhole(name)
  })

  test('does not take an index of that name on another table for its own', async () => {
    const name = 'index_elsewhere'
    await afterIndex(name)
    await target.backend.sql('DROP INDEX parent_pkey; CREATE INDEX parent_pkey ON one (p)', name)
    const { result } = await resume(name)
    expect(result.failed[0]).toMatchObject({
      entry: 'CONSTRAINT public.parent parent_pkey',
      sqlstate: '42P07',
    })
    await target.backend.sql('DROP INDEX parent_pkey', name)
    await resume(name)
    await expectWhole(name)
  })

  test.each([
    ['left', ''],
    // of a table so small that its key is made at once
    [
      'at_once',
      `ALTER TABLE small DROP CONSTRAINT IF EXISTS small_s_fkey; ALTER TABLE tiny DROP CONSTRAINT IF EXISTS tiny_pkey;
       ALTER TABLE tiny ADD PRIMARY KEY (id); ALTER TABLE small ADD FOREIGN KEY (s) REFERENCES tiny NOT VALID`,
    ],
  ])('takes no key that is not valid for done: %s', async (what, change) => {
    const name = `key_${what}`
    await afterKey(name)
    if (change) await target.backend.sql(change, name)
    await resume(name)
    await expectWhole(name)
  })

  test('comes out the same on PolarDB 11', async () => {
    const polar = await PolarStandIn.start({ major: 11 })
    try {
      const { result } = await harness.restore(dump, polar, { targetName: 'keys11' })
      expect(result.failed).toEqual([])
      const made = `
        SELECT conrelid::regclass::text || ' ' || conname AS name, convalidated, pg_get_constraintdef(oid) AS definition,
               pg_get_indexdef(conindid) AS index, obj_description(oid) AS comment
          FROM pg_constraint WHERE conrelid <> 0 AND connamespace = 'public'::regnamespace ORDER BY 1`
      const { rows } = await source.sql(made, 'keys')
      expect(rows.length).toBeGreaterThan(8)
      expect((await polar.backend.sql(made, 'keys11')).rows).toEqual(rows)
    } finally {
      await polar.stop()
    }
  })

  describe('that the rows violate', () => {
    beforeAll(async () => {
      await source.sql('CREATE DATABASE wrong TEMPLATE keys')
      await source.sql('CREATE DATABASE twice TEMPLATE keys')
      await source.sql(
        'SET session_replication_role = replica; INSERT INTO one VALUES (0, -7)',
        'wrong',
      )
      await source.sql(
        `UPDATE pg_index SET indisready = false, indislive = false WHERE indexrelid = 'parent_pkey'::regclass`,
        'twice',
      )
      await source.sql(`INSERT INTO parent VALUES (1, 'twice')`, 'twice')
      await source.sql(
        `UPDATE pg_index SET indisready = true, indislive = true WHERE indexrelid = 'parent_pkey'::regclass`,
        'twice',
      )
    })

    const left = (name: string) =>
      target.backend.sql(
        `SELECT conname AS name FROM pg_constraint WHERE contype = 'f'
         UNION ALL SELECT relname FROM pg_class WHERE relname ~ '^parent_' ORDER BY 1`,
        name,
      )

    test('leaves nothing of an index, and is named with both statements', async () => {
      const { result } = await harness.restore(await harness.dump(source, 'twice'), target)
      expect(result.failed[0]).toMatchObject({
        entry: 'CONSTRAINT public.parent parent_pkey',
        sqlstate: '23505',
        reason: expect.stringContaining('could not create unique index "parent_pkey"'),
        statement: expect.stringMatching(
          /CREATE UNIQUE INDEX parent_pkey .*; ALTER TABLE .* USING INDEX/,
        ),
      })
      const { rows } = await left('twice')
      expect(rows).toEqual([{ name: 'parent_t_key' }, { name: 'small_s_fkey' }])
    })

    test('leaves nothing of a reference, and a resume tries it again', async () => {
      const wrong = await harness.dump(source, 'wrong')
      const { result } = await harness.restore(wrong, target)
      expect(result.failed).toMatchObject([
        {
          entry: 'FK CONSTRAINT public.one one_p_fkey',
          sqlstate: '23503',
          reason: expect.stringContaining('violates foreign key constraint "one_p_fkey"'),
          statement: expect.stringMatching(
            /NOT VALID; ALTER TABLE ONLY public\.one VALIDATE CONSTRAINT/,
          ),
        },
      ])
      const others = ['parent_pkey', 'parent_t_key', 'small_s_fkey', 'to "parent"']
      expect((await left('wrong')).rows).toEqual(others.map((name) => ({ name })))
      // its row came late
      await target.backend.sql(`INSERT INTO parent VALUES (-7, 'late')`, 'wrong')
      const expectedRows = new Map(
        [...wrong.expectedRows].map(([table, rows]) => [table, rows === 100000 ? rows + 1 : rows]),
      )
      const again = await harness.restore(wrong, target, { ifNotEmpty: 'resume', expectedRows })
      expect(again.result.failed).toEqual([])
      expect((await left('wrong')).rows).toHaveLength(5)
    })

    test('leaves nothing of a reference that may be missing', async () => {
      const { result } = await harness.restore(await harness.dump(source, 'wrong'), target, {
        targetName: 'missing',
        allowMissing: ['FK CONSTRAINT public.one one_p_fkey'],
      })
      expect(result.failed).toEqual([])
      expect((await left('missing')).rows).toHaveLength(4)
    })
  })
})
