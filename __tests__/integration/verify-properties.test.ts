import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Comparison } from '../../src/migration/verify/compare/fingerprints.ts'
import type { DatabaseFingerprint } from '../../src/migration/verify/model.ts'
import { rowExpression } from '../../src/migration/verify/rows/digest.ts'
import { clientDirectory } from '../support/clients.ts'
import { TestServer } from '../support/server.ts'
import { compareWith, differencesIn, fingerprintOf } from '../support/verify-run.ts'

const run = promisify(execFile)

let server: TestServer
let programs: string | undefined
let directory: string
let databases = 0

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'verify-properties-'))
  programs = await clientDirectory(15)
  server = await TestServer.start(15)
  await server.sql(`CREATE ROLE smith; CREATE ROLE reader; CREATE ROLE other`)
})

afterAll(async () => {
  await server?.stop()
  await rm(directory, { recursive: true, force: true })
})

/** Makes a database, dumps it, and restores the dump by the stock programs into another of the same server. */
async function migrated(
  sql: string,
): Promise<{ source: DatabaseFingerprint; target: string } | undefined> {
  if (programs === undefined) {
    console.warn('skipped: no client programs of PostgreSQL 15 on this machine')
    return undefined
  }
  const number = ++databases
  const [from, target] = [`source_${number}`, `target_${number}`]
  await server.sql(`CREATE DATABASE ${from} TEMPLATE template0`)
  await server.sql(`CREATE DATABASE ${target} TEMPLATE template0`)
  await server.sql(sql, from)
  const source = await fingerprintOf(server, from, { targetMajor: 15 })
  const file = join(directory, `${from}.sql`)
  await run(join(programs, 'pg_dump'), ['-f', file, '-d', server.uri(from)])
  await run(join(programs, 'psql'), ['-Xqo/dev/null', '-d', server.uri(target), '-f', file])
  return { source, target }
}

function explainedIn({ objects }: Comparison): string[] {
  return objects.flatMap(({ kind, explained = [] }) =>
    explained.map(({ entry }) => `${kind} ${entry}`),
  )
}

describe('what no dump carries is no difference', () => {
  test.each([
    [
      'an option that the server notes at a column by itself',
      `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a');
       UPDATE pg_attribute SET attoptions = '{pg_attver=22939120}' WHERE attrelid = 't'::regclass AND attnum > 0`,
    ],
    [
      'the compression of the columns of an index',
      `CREATE TABLE doc (id int PRIMARY KEY, body jsonb);
       CREATE INDEX doc_body ON doc USING gin (body jsonb_path_ops);
       ALTER TABLE doc ALTER body SET COMPRESSION pglz`,
    ],
    [
      'the owner of an operator that is only named',
      `GRANT CREATE ON SCHEMA public TO smith; SET ROLE smith;
       CREATE FUNCTION same(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';
       CREATE OPERATOR <=?> (leftarg = int, rightarg = int, function = same, negator = <!>); RESET ROLE;
       CREATE OPERATOR <=?? (leftarg = int, rightarg = int, function = same, commutator = ??=>)`,
    ],
    [
      "a member of a list setting's blanks and quotation marks",
      `CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
       SELECT set_config('search_path', 'public,"pg_temp"', false); ALTER FUNCTION public.f() SET search_path FROM CURRENT`,
    ],
  ])('%s', async (_, sql) => {
    const made = await migrated(sql)
    if (!made) return
    const comparison = await compareWith(made.source, server, made.target)
    expect(differencesIn(comparison)).toEqual([])
    expect(explainedIn(comparison)).toEqual([])
    expect(comparison).toMatchObject({ equal: true, verified: true })
  })

  test('but an option that a dump carries is one', async () => {
    const made = await migrated(
      'CREATE TABLE t (v text); ALTER TABLE t ALTER v SET (n_distinct = 5), SET (fillfactor = 70)',
    )
    if (!made) return
    await server.sql(
      `UPDATE pg_attribute SET attoptions = '{pg_attver=1,n_distinct=5}' WHERE attrelid = 't'::regclass AND attname = 'v'`,
      made.target,
    )
    expect(differencesIn(await compareWith(made.source, server, made.target))).toEqual([])
    await server.sql(
      `UPDATE pg_attribute SET attoptions = '{pg_attver=1,n_distinct=6}' WHERE attrelid = 't'::regclass AND attname = 'v';
       ALTER TABLE t SET (fillfactor = 71)`,
      made.target,
    )
    expect(differencesIn(await compareWith(made.source, server, made.target))).toEqual([
      'table public.t: options of v, options',
    ])
  })
})

describe('the order of columns of a child of inheritance', () => {
  test('that no dump can keep is named and explained, in every generation', async () => {
    const made = await migrated(
      `CREATE TABLE root (a int, b int); CREATE TABLE leaf (own int, a int, b int); ALTER TABLE leaf INHERIT root;
       CREATE TABLE below () INHERITS (leaf); INSERT INTO leaf VALUES (1, 2, 3)`,
    )
    if (!made) return
    const comparison = await compareWith(made.source, server, made.target)
    expect(differencesIn(comparison)).toEqual([])
    expect(explainedIn(comparison)).toEqual([
      'table public.below: column order (own, a, b on the source, a, b, own on the target)',
      'table public.leaf: column order (own, a, b on the source, a, b, own on the target)',
    ])
  })

  test('that a dump keeps is compared', async () => {
    const made = await migrated(
      `CREATE TABLE root (a int, b int); CREATE TABLE leaf (own int) INHERITS (root);
       CREATE TABLE parts (a int, b int) PARTITION BY LIST (a); CREATE TABLE part (b int, a int);
       ALTER TABLE parts ATTACH PARTITION part FOR VALUES IN (1)`,
    )
    if (!made) return
    expect(explainedIn(await compareWith(made.source, server, made.target))).toEqual([])
    await server.sql(
      'DROP TABLE leaf; CREATE TABLE leaf (own int, b int, a int); ALTER TABLE leaf INHERIT root',
      made.target,
    )
    expect(differencesIn(await compareWith(made.source, server, made.target))).toEqual([
      'table public.leaf: column order (a, b, own on the source, own, b, a on the target)',
    ])
  })
})

describe('what belongs to an extension', () => {
  const crypto = `CREATE EXTENSION pgcrypto; REVOKE EXECUTE ON FUNCTION pgp_sym_decrypt(bytea, text) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION pgp_sym_decrypt(bytea, text) TO reader WITH GRANT OPTION`

  test('is compared by the grants that were made since', async () => {
    const made = await migrated(crypto)
    if (!made) return
    expect(differencesIn(await compareWith(made.source, server, made.target))).toEqual([])
    await server.sql(
      `GRANT EXECUTE ON FUNCTION pgp_sym_decrypt(bytea, text) TO PUBLIC;
       REVOKE ALL ON FUNCTION pgp_sym_decrypt(bytea, text) FROM reader; GRANT EXECUTE ON FUNCTION armor(bytea) TO other`,
      made.target,
    )
    const comparison = await compareWith(made.source, server, made.target)
    expect(differencesIn(comparison)).toEqual([
      'member of an extension FUNCTION public.armor(bytea): grants (gained: EXECUTE to other)',
      'member of an extension FUNCTION public.pgp_sym_decrypt(bytea, text): grants (lost: EXECUTE* to reader), grants (gained: EXECUTE to PUBLIC)',
    ])
    const expected = [
      { entry: 'ACL FUNCTION public.pgp_sym_decrypt(bytea, text)', reason: 'refused' },
      { entry: 'ACL FUNCTION public.armor(bytea)', reason: 'refused' },
    ]
    const explained = await compareWith(made.source, server, made.target, expected)
    expect(differencesIn(explained)).toEqual([])
    expect(explainedIn(explained)).toHaveLength(3)
  })

  test('is missed where somebody added it by hand', async () => {
    const made = await migrated(
      `CREATE EXTENSION pgcrypto; CREATE TABLE jobs (id int PRIMARY KEY); CREATE VIEW v AS SELECT 1 AS one;
       CREATE FUNCTION helper(int) RETURNS int LANGUAGE sql AS 'SELECT $1'; ALTER EXTENSION pgcrypto ADD TABLE jobs;
       ALTER EXTENSION pgcrypto ADD VIEW v; ALTER EXTENSION pgcrypto ADD FUNCTION helper(int)`,
    )
    if (!made) return
    expect(differencesIn(await compareWith(made.source, server, made.target))).toEqual([
      'member of an extension FUNCTION public.helper(integer)',
      'member of an extension TABLE public.jobs',
      'member of an extension VIEW public.v',
    ])
    const accepted = ['TABLE public.jobs', 'VIEW public.v', 'FUNCTION public.helper(integer)']
    const expected = accepted.map((entry) => ({ entry, reason: 'accepted' }))
    expect(differencesIn(await compareWith(made.source, server, made.target, expected))).toEqual([])
  })

  test('is not missed where the extension is of another version, or is left out as a whole', async () => {
    const made = await migrated(crypto)
    if (!made) return
    await server.sql(
      `ALTER EXTENSION pgcrypto DROP FUNCTION pgp_sym_decrypt(bytea, text); DROP FUNCTION pgp_sym_decrypt(bytea, text)`,
      made.target,
    )
    expect(differencesIn(await compareWith(made.source, server, made.target))).toEqual([
      'member of an extension FUNCTION public.pgp_sym_decrypt(bytea, text)',
    ])
    await server.sql(
      `UPDATE pg_extension SET extversion = '9' WHERE extname = 'pgcrypto'`,
      made.target,
    )
    expect(differencesIn(await compareWith(made.source, server, made.target))).toEqual([])
    await server.sql('DROP EXTENSION pgcrypto', made.target)
    const expected = [{ entry: 'EXTENSION pgcrypto', reason: 'the target does not have it' }]
    expect(differencesIn(await compareWith(made.source, server, made.target, expected))).toEqual([])
  })
})

test('a point that is no number reads the same as a server before 9.6 prints it', async () => {
  const digest = rowExpression([['p', 'floats:point_send']], 'hash', 't')
  const old = digest.replaceAll('pg_catalog.concat("t"."p")', `'(nan,inf)'::text`)
  expect(old).not.toBe(digest)
  const { rows } = await server.sql(
    `SELECT ${digest} = ${old} AS same FROM (SELECT point 'NaN,Infinity' AS p) AS t`,
  )
  expect(rows).toEqual([{ same: true }])
})
