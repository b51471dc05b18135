import { afterAll, beforeAll, expect, test } from '@jest/globals'
import {
  addedMembers,
  extensionChecks,
  extensionLibraries,
} from '../../src/migration/checks/extensions.ts'
import { runnerChecks } from '../../src/migration/checks/runner.ts'
import { serverParameters, settingChecks } from '../../src/migration/checks/settings.ts'
import {
  clientsOfSource,
  consumersOfSource,
  publicationsOfSource,
  sourceClients,
} from '../../src/migration/checks/source/clients.ts'
import {
  foreignServersOfSource,
  inheritedNotNull,
  sourceObjects,
  sqlIdentifiersOfSource,
  userMappingsOfSource,
} from '../../src/migration/checks/source/objects.ts'
import { refusedChecks } from '../../src/migration/checks/source/refused.ts'
import {
  connectionLimit,
  leftBehind,
  otherSessions,
  targetRoom,
} from '../../src/migration/checks/target/room.ts'
import { answerOf, describeScenarios, type Scenario } from '../support/check-scenarios.ts'
import { TestServer } from '../support/server.ts'

const refusedCheck = (id: string) => {
  const found = refusedChecks.find((one) => one.id === id)
  if (!found) throw new Error(`there is no check ${id}`)
  return found
}

const wrapper = `CREATE FOREIGN DATA WRAPPER w; CREATE SERVER far FOREIGN DATA WRAPPER w OPTIONS (host 'db.example.org')`

const refused: Scenario[] = [
  {
    name: 'a child that generates what its parent does not',
    check: refusedCheck('source-generated-children'),
    prepare: {
      source:
        'CREATE TABLE p (a int, "B" int); CREATE TABLE q (a int, b int GENERATED ALWAYS AS (1) STORED); CREATE TABLE r () INHERITS (q); CREATE TABLE lost (a int, "B" int GENERATED ALWAYS AS (a) STORED) INHERITS (p)',
    },
    inputs: { 'allow-missing': 'TABLE public.lo*' },
    trip: { source: 'CREATE TABLE c (a int, "B" int GENERATED ALWAYS AS (a) STORED) INHERITS (p)' },
    expected: { objects: ['"public"."c"."B"'] },
    remedy: {
      source:
        'ALTER TABLE c NO INHERIT p; ALTER TABLE c ALTER COLUMN "B" DROP EXPRESSION; ALTER TABLE c INHERIT p',
    },
  },
  {
    name: 'a foreign key of two collations',
    check: refusedCheck('source-collated-foreign-keys'),
    prepare: {
      source: `CREATE TABLE p (a text COLLATE "C" PRIMARY KEY); CREATE TABLE q (a text COLLATE "POSIX" REFERENCES p);
        CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE lost (a text COLLATE ci CONSTRAINT lost REFERENCES p)`,
    },
    inputs: { 'allow-missing': 'FK CONSTRAINT public.lost lost' },
    trip: { source: 'CREATE TABLE c (a text COLLATE ci CONSTRAINT "K" REFERENCES p)' },
    expected: { objects: ['"public"."c"."K"'] },
    remedy: { paste: 'source' },
  },
]

const objects: Scenario[] = [
  {
    name: 'a child that takes NULL where its parent does not',
    check: inheritedNotNull,
    on: ({ source }) => source < 18,
    prepare: {
      source:
        'CREATE TABLE "Parent" ("A" int NOT NULL, b int); CREATE TABLE "child\n" () INHERITS ("Parent")',
    },
    trip: { source: 'ALTER TABLE "child\n" ALTER "A" DROP NOT NULL' },
    expected: { objects: ['"public".U&"child\\+00000a"."A"'] },
    remedy: { paste: 'source' },
  },
  {
    name: 'a column of sql_identifier',
    check: sqlIdentifiersOfSource,
    on: ({ source, target }) => source < 12 && target >= 12,
    trip: { source: 'CREATE TABLE t (a information_schema.sql_identifier, b text)' },
    expected: { objects: ['"public"."t"."a"'] },
    remedy: { paste: 'source' },
  },
  {
    name: 'a foreign server on the machine of the source',
    check: foreignServersOfSource,
    prepare: { source: wrapper },
    trip: {
      source: `CREATE SERVER "near" FOREIGN DATA WRAPPER w OPTIONS (host '127.0.0.1', port '5432')`,
    },
    expected: { objects: ['"near" (w)'] },
    remedy: { source: `ALTER SERVER "near" OPTIONS (SET host 'db.example.org')` },
  },
  {
    name: 'user mappings whose options the account may not see',
    check: userMappingsOfSource,
    prepare: { source: `CREATE ROLE reader LOGIN PASSWORD 'p'; ${wrapper}` },
    account: { source: 'reader' },
    trip: {
      source: `CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (password 'secret'); CREATE USER MAPPING FOR postgres SERVER far OPTIONS (password 'secret')`,
    },
    expected: {
      message: /"reader" may not see the options of 2 user mappings/,
      objects: ['USER MAPPING FOR "postgres" SERVER "far"', 'USER MAPPING FOR PUBLIC SERVER "far"'],
    },
    remedy: { source: 'ALTER ROLE reader SUPERUSER' },
    clean: { source: 'DROP ROLE reader' },
  },
  {
    name: 'objects that were added to an extension by hand',
    check: addedMembers,
    prepare: {
      source: [
        'CREATE FUNCTION mine(a int, "B" text) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$; CREATE VIEW "my view" AS SELECT 1 AS a',
        'CREATE EXTENSION hstore',
      ],
    },
    trip: {
      source: [
        'ALTER EXTENSION hstore ADD FUNCTION mine(int, text)',
        'ALTER EXTENSION hstore ADD VIEW "my view"',
      ],
    },
    expected: {
      objects: ['function public.mine(integer,pg_catalog.text)', 'view public."my view"'],
    },
    remedy: { paste: 'source' },
  },
  {
    name: 'a replication slot',
    check: consumersOfSource,
    trip: { source: `SELECT pg_create_physical_replication_slot('standby_1')` },
    expected: { objects: ['"standby_1", physical slot, not connected'] },
    remedy: { paste: 'source' },
  },
]

const pairs: Scenario[] = [
  {
    name: 'an extension whose library the target has not loaded',
    check: extensionLibraries,
    trip: { source: 'CREATE EXTENSION pg_stat_statements' },
    expected: { severity: 'warning', objects: ['"pg_stat_statements"'] },
    remedy: { source: 'DROP EXTENSION pg_stat_statements' },
  },
  {
    name: 'a publication, and a target without logical decoding',
    check: publicationsOfSource,
    trip: { source: 'CREATE PUBLICATION p' },
    expected: { objects: ['"p"'] },
    remedy: { source: 'DROP PUBLICATION p' },
  },
  {
    name: 'parameters of the server that no database has',
    check: serverParameters,
    trip: {
      source: [
        `ALTER SYSTEM SET "TimeZone" = 'Asia/Tokyo'`,
        `ALTER SYSTEM SET bytea_output = 'escape'`,
        'SELECT pg_reload_conf(), pg_sleep(0.3)',
      ],
    },
    expected: {
      severity: 'warning',
      objects: [
        expect.stringMatching(/^TimeZone: Asia\/Tokyo on the source, /),
        'bytea_output: escape on the source, hex on the target (how bytea is shown)',
      ] as string[],
    },
    remedy: { paste: 'source' },
    clean: {
      source: ['ALTER SYSTEM RESET ALL', 'SELECT pg_reload_conf()'],
    },
  },
  {
    name: 'a role that a run has left',
    check: leftBehind,
    trip: {
      target: `CREATE ROLE "migrate-to-polardb loader 0123456789abcdef"; CREATE ROLE "migrate-to-polardb loader of mine"`,
    },
    expected: { objects: ['role "migrate-to-polardb loader 0123456789abcdef"'] },
    remedy: { paste: 'target' },
    clean: { target: 'DROP ROLE "migrate-to-polardb loader of mine"' },
  },
  {
    name: 'the notes of an interrupted restore',
    check: leftBehind,
    trip: { target: 'CREATE SCHEMA "migrate-to-polardb"' },
    expected: { message: /interrupted restore/ },
    remedy: { target: 'DROP SCHEMA "migrate-to-polardb"' },
  },
]

describeScenarios(
  [
    { source: 10, target: 18 },
    { source: 17, target: 11 },
  ],
  [...objects, ...pairs],
)
/** The same, found so. */
const as = (severity: 'blocker' | 'warning') =>
  refused.map((one) => ({ ...one, expected: { ...one.expected, severity } }))

describeScenarios([{ source: 15, target: 18 }], as('blocker'))
// the target of a dump may be older than that
describeScenarios([{ source: 15 }], as('warning'))

let source: TestServer
let target: TestServer

beforeAll(async () => {
  source = await TestServer.start(15)
  target = await TestServer.start(15, { settings: { max_connections: '30' } })
  for (const server of [source, target]) await server.sql('CREATE DATABASE shop')
})
afterAll(async () => {
  await source?.stop()
  await target?.stop()
})

const servers = () =>
  new Map([
    ['source', source],
    ['target', target],
  ] as const)

test('who is connected is named on either side, and gone when they are', async () => {
  for (const check of [clientsOfSource, otherSessions]) {
    expect(await answerOf(check, servers(), 'shop')).toMatchObject({ status: 'passed' })
  }
  const guests = [await source.connect('shop'), await target.connect('shop')]
  for (const guest of guests) await guest.query(`SET application_name = 'web'`)
  const named = { status: 'failed', objects: [expect.stringContaining('"postgres" (web)')] }
  expect(await answerOf(clientsOfSource, servers(), 'shop')).toMatchObject({
    ...named,
    severity: 'info',
  })
  const there = await answerOf(otherSessions, servers(), 'shop')
  expect(there).toMatchObject(named)
  for (const guest of guests) guest.on('error', () => {})
  await target.sql(there?.paste ?? '')
  expect(await answerOf(otherSessions, servers(), 'shop')).toMatchObject({ status: 'passed' })
  for (const guest of guests) await guest.end().catch(() => {})
})

test('a target that lets in fewer is told, and warned of where that is too few now', async () => {
  expect(await answerOf(connectionLimit, servers(), 'shop')).toMatchObject({
    status: 'failed',
    severity: 'info',
    message: expect.stringMatching(/lets in 30 sessions, the source 100, of which \d+ are in use/),
  })
})

test('a setting that the account may not read makes a check skipped, not passed', async () => {
  await source.sql('CREATE EXTENSION pg_stat_statements', 'shop')
  await target.sql(`CREATE ROLE plain LOGIN CREATEDB CREATEROLE PASSWORD 'p'`)
  const account = { target: 'plain' }
  expect(await answerOf(extensionLibraries, servers(), 'shop', { account })).toMatchObject({
    status: 'skipped',
    message: expect.stringContaining('42501'),
  })
  await source.sql('DROP EXTENSION pg_stat_statements', 'shop')
})

test('a plain server gives no cause for any of the checks', async () => {
  const all = [...sourceObjects, ...extensionChecks, ...settingChecks, ...sourceClients]
  const wanted = [...all, ...targetRoom, ...runnerChecks].filter(
    ({ id }) => id !== 'target-max-connections',
  )
  for (const check of wanted) {
    const answer = await answerOf(check, servers(), 'shop')
    expect([check.id, answer?.status, answer?.message]).toEqual([
      check.id,
      'passed',
      expect.any(String),
    ])
  }
})
