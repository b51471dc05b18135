import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Failure, messageOf } from '../../src/failure.ts'
import { sourceTexts } from '../../src/migration/checks/source/texts.ts'
import { answerOf } from '../support/check-scenarios.ts'
import { clientDirectory } from '../support/clients.ts'
import { runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { type Major, TestServer } from '../support/server.ts'
import { fingerprintOf } from '../support/verify-run.ts'

/** Statements in Latin-1, which no session of UTF-8 may send: made of bytes on the server. */
function latin(statements: string): string {
  const bytes = Buffer.from(statements, 'latin1').toString('hex')
  return `DO $do$ BEGIN EXECUTE pg_catalog.convert_from('\\x${bytes}', 'SQL_ASCII'); END $do$`
}

/** A text of every kind that is no UTF-8, and how the check names each. */
const everything: [statement: string, named: string[]][] = [
  ['CREATE TABLE "café" (i int)', ['the name of a relation (caf\\351)']],
  ['CREATE SCHEMA "sé"', ['the name of a schema (s\\351)']],
  ['CREATE TABLE a ("cé" int)', ['the name of a column of a (c\\351)']],
  ["COMMENT ON TABLE a IS 'café'", ['the comment on table ']],
  ["CREATE TABLE b (t text DEFAULT 'bé')", ["the default of a column of b ('b\\351'::text)"]],
  [
    "CREATE TABLE c (t text CONSTRAINT d CHECK (t <> 'dé'))",
    ["the constraint d (CHECK ((t <> 'd\\351'::text)))"],
  ],
  ["CREATE VIEW e AS SELECT 'eé'::text AS x", ['the view or rule of e (']],
  ["CREATE TYPE f AS ENUM ('fé')", ['a label of the type f (f\\351)']],
  [
    "CREATE FUNCTION g() RETURNS text LANGUAGE sql AS $$SELECT 'gé'::text$$",
    ["the body of the function g (SELECT 'g\\351'::text)"],
  ],
  [
    'CREATE FUNCTION h("hé" int) RETURNS int LANGUAGE sql AS $$SELECT 1$$',
    ['the arguments of the function h ('],
  ],
  ['CREATE INDEX i ON a (("cé"::text || \'ié\'))', ['the index i (']],
  ["CREATE DOMAIN j AS text DEFAULT 'jé'", ["the default of the type j ('j\\351'::text)"]],
  // what only names what is to be renamed is mended with it
  ['CREATE VIEW k AS SELECT * FROM "café"; CREATE INDEX l ON "café" (i)', []],
  ["COMMENT ON DATABASE everything IS 'mé'", ['the comment on the database (m\\351)']],
  [
    "ALTER DATABASE everything SET application_name = 'né'",
    ['a setting of the database (application_name=n\\351)'],
  ],
  [
    'CREATE ROLE "ré"; COMMENT ON ROLE "ré" IS \'é\'',
    ['the name of a role (r\\351)', 'the comment on the role r\\351 (\\351)'],
  ],
]
/** Those that are read whatever is compared. */
const always =
  /^(the name of a (relation|schema|role)|the comment on the (role|database)|a setting of)/

describe.each<Major>([10, 15])('a source of %i in SQL_ASCII', (major) => {
  let server: TestServer
  let target: PlainTarget

  beforeAll(async () => {
    ;[server, target] = await Promise.all([
      TestServer.start(major, { initdb: ['-E', 'SQL_ASCII', '--locale=C'] }),
      startPlainTarget(15),
    ])
    for (const name of ['sound', 'strange', 'everything'])
      await server.sql(`CREATE DATABASE ${name}`)
    for (const name of ['sound', 'strange']) {
      await server.sql(
        `CREATE TABLE t (id int, path text); COMMENT ON TABLE t IS 'Größe in C:\\dir'; INSERT INTO t VALUES (1, E'\\351')`,
        name,
      )
    }
    await server.sql(latin("COMMENT ON COLUMN t.id IS 'café'"), 'strange')
  })
  afterAll(() => Promise.all([server?.stop(), target?.stop()]))

  const look = (database: string, verify: 'data' | 'counts' = 'data') =>
    answerOf(sourceTexts, new Map([['source', server]]), database, { inputs: { verify } })

  test('is a blocker for a text that is no UTF-8, which is named', async () => {
    expect(await look('strange')).toMatchObject({
      ...{ id: 'source-texts', severity: 'blocker', status: 'failed' },
      message: expect.stringMatching(/^1 text in the catalogs/),
      objects: [expect.stringMatching(/^the comment on .*\(caf\\351\)$/)],
      remedy: expect.stringMatching(/verify: counts/),
    })
    expect(await look('strange', 'counts')).toMatchObject({ status: 'passed' })
  })

  test('is read whole where all texts are UTF-8, whatever bytes the rows hold', async () => {
    expect(await look('sound')).toMatchObject({ status: 'passed' })
    const { tables } = await fingerprintOf(server, 'sound')
    expect(tables).toMatchObject([{ name: 't', rows: 1 }])
  })

  test('says what is the matter where it is met in the comparison', async () => {
    const failed: unknown = await fingerprintOf(server, 'strange').catch((error: unknown) => error)
    expect((failed as Failure).line).toMatch(/is not UTF-8: invalid byte sequence.*verify: counts/)
  })

  test('and everything in it is told at once; what is renamed and left out of the comparison, is migrated', async () => {
    for (const [statement] of everything) await server.sql(latin(statement), 'everything')
    const expected = everything.flatMap(([, named]) => named)
    const objects = (await look('everything'))?.objects ?? []
    const found = (part: string) => objects.filter((object) => object.startsWith(part))
    expect(expected.filter((part) => found(part).length !== 1)).toEqual([])
    expect(objects).toHaveLength(expected.length)
    const counted = await look('everything', 'counts')
    expect(counted?.objects).toHaveLength(expected.filter((part) => always.test(part)).length)
    const client = await clientDirectory(major)
    if (client === undefined) return
    const inputs = {
      ...between(server, target, 'everything', { verify: 'counts', databases: 'everything' }),
      ...{ 'client-path': client, 'upload-dump': 'false', 'allow-writes': 'true' },
    }
    const refused = await runInProcess({ command: 'migrate', ...inputs })
    expect(messageOf(refused.error)).toMatch(
      /texts in the catalogs cannot be read.*Nothing was touched/,
    )
    // as docs/checks.md says
    for (const [rename, name, catalog] of [
      ['ALTER TABLE public.%I RENAME TO %I', 'relname', 'pg_class'],
      ['ALTER SCHEMA %I RENAME TO %I', 'nspname', 'pg_namespace'],
      ['ALTER ROLE %I RENAME TO %I', 'rolname', 'pg_roles'],
    ]) {
      await server.sql(
        `DO $do$ DECLARE old name; BEGIN
           FOR old IN SELECT ${name} FROM ${catalog} WHERE oid >= 16384 AND ${name} IN (E'caf\\351', E's\\351', E'r\\351') LOOP
             EXECUTE format('${rename}', old, convert_from(convert(convert_to(old::text, 'SQL_ASCII'), 'LATIN1', 'UTF8'), 'SQL_ASCII'));
           END LOOP; END $do$`,
        'everything',
      )
    }
    await server.sql(
      `COMMENT ON DATABASE everything IS 'mé'; ALTER DATABASE everything RESET application_name; COMMENT ON ROLE "ré" IS 'é'`,
      'everything',
    )
    const run = await runInProcess({ command: 'migrate', ...inputs })
    expect(run.error).toBeUndefined()
    const restored = `SELECT relname FROM pg_class WHERE relname = 'café'`
    expect((await target.backend.sql(restored, 'everything')).rows).toHaveLength(1)
  })
})

test('a role that another database has named in Latin-1 is told of', async () => {
  const server = await TestServer.start(15)
  try {
    await server.sql(
      `CREATE DATABASE old TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`,
    )
    await server.sql('CREATE ROLE "r\xe9"', 'old')
    const look = (inputs = {}) =>
      answerOf(sourceTexts, new Map([['source', server]]), 'postgres', { inputs })
    expect(await look()).toMatchObject({
      ...{ status: 'failed', objects: ['the name of a role (r\\351)'] },
    })
    expect(await look({ roles: 'skip' })).toMatchObject({ status: 'passed' })
  } finally {
    await server.stop()
  }
})

test('a database whose name is no text is told of before anything else is asked', async () => {
  const server = await TestServer.start(15, { initdb: ['-E', 'SQL_ASCII', '--locale=C'] })
  try {
    await server.sql('CREATE DATABASE old')
    await server.sql(latin('ALTER DATABASE old RENAME TO "\xe9"'))
    const { source, ...rest } = between(server, server, 'postgres')
    const { report } = await runInProcess({
      ...{ command: 'preflight', source: source ?? '' },
      'source-password': rest['source-password'] ?? '',
    })
    expect(report.checks.find(({ id }) => id === 'source-connection')).toMatchObject({
      status: 'failed',
      message: expect.stringMatching(/databases of the source cannot be listed: .*not UTF-8/),
      remedy: expect.stringMatching(/ALTER DATABASE … RENAME/),
    })
  } finally {
    await server.stop()
  }
})
