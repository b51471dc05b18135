import { expect, test } from '@jest/globals'
import { allChecks } from '../../src/migration/checks/all.ts'
import { ask } from '../../src/migration/checks/ask.ts'
import { inspectSource } from '../../src/migration/checks/preflight.ts'
import { refuseSameServer } from '../../src/migration/checks/same-server.ts'
import type { Context } from '../../src/migration/context.ts'
import { readTableSizes } from '../../src/migration/dump/progress.ts'
import { readSizes } from '../../src/migration/estimate/sizes.ts'
import { readFreezeMark, readReadOnlySettings } from '../../src/migration/freeze/mark.ts'
import { holderOf, isAlive, otherSessions } from '../../src/migration/freeze/sessions.ts'
import { openWriters, readBypasses, readWrites } from '../../src/migration/freeze/writes.ts'
import { parseInputs } from '../../src/migration/inputs.ts'
import { readDatabaseProperties } from '../../src/migration/restore/database/properties.ts'
import { fingerprintDatabase, rereadSequences } from '../../src/migration/verify/fingerprint.ts'
import { explainDifferences } from '../../src/migration/verify/rows/drill.ts'
import { exportSnapshot } from '../../src/migration/verify/snapshot.ts'
import { withConnection } from '../../src/postgres/connection.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { readRoleCatalog } from '../../src/postgres/roles/catalog.ts'
import { newReport, wordsOfAnyRun } from '../../src/report/model.ts'
import { ReportWriter } from '../../src/report/writer.ts'
import { type Answer, OldServer } from '../support/old-server.ts'

/** What a version brought, by the `server_version_num` that has it first (the release notes of each), as masked SQL shows it. */
const features: readonly { since: number; name: string; sql: RegExp }[] = [
  {
    since: 90_000,
    name: 'functions of 9.0',
    sql: /\b(?:pg_is_in_recovery|aclexplode|string_agg|pg_table_size|pg_indexes_size|pg_relation_filenode)\s*\(/,
  },
  { since: 90_000, name: 'ORDER BY in an aggregate', sql: /\barray_agg\s*\([^()]*\bORDER BY\b/ },
  {
    since: 90_000,
    name: 'catalogs of 9.0',
    sql: /\b(?:pg_db_role_setting|pg_default_acl|pg_largeobject_metadata)\b/,
  },
  {
    since: 90_000,
    name: 'columns of 9.0',
    sql: /\b(?:reloftype|conexclop|conindid|tgqual|tgisinternal|tgconstrindid|attoptions|laninline)\b/,
  },
  {
    since: 90_000,
    name: 'what a session is called, from 9.0 on',
    sql: /\ba\.application_name\b/,
  },
  {
    since: 90_000,
    name: 'settings of 9.0',
    sql: /^SET (?:bytea_output|application_name)\b/,
  },
  {
    since: 90_100,
    name: 'settings of 9.1',
    sql: /^SET (?:quote_all_identifiers|default_transaction_deferrable|exit_on_error)\b/,
  },
  { since: 90_300, name: 'settings of 9.3', sql: /^SET lock_timeout\b/ },
  { since: 90_500, name: 'settings of 9.5', sql: /^SET row_security\b/ },
  {
    since: 90_600,
    name: 'settings of 9.6',
    sql: /^SET (?:idle_in_transaction|max_parallel_workers)/,
  },
  {
    since: 90_100,
    name: 'catalogs of 9.1',
    sql: /\b(?:pg_extension|pg_collation|pg_foreign_table|pg_seclabels?)\b/,
  },
  {
    since: 90_100,
    name: 'columns of 9.1',
    sql: /\b(?:rolreplication|attcollation|typcollation|indcollation|relpersistence|convalidated|extconfig|fdwhandler|enumsortorder|amoppurpose|amopsortfamily)\b/,
  },
  {
    since: 90_100,
    name: 'functions of 9.1',
    sql: /\bpg_catalog\.(?:format|concat|concat_ws|left|right|pg_advisory_xact_lock)\s*\(/,
  },
  {
    since: 90_200,
    name: 'what 9.2 brought',
    sql: /\b(?:a\.pid|a\.query|pg_shseclabel|pg_range|pg_export_snapshot|attfdwoptions|typacl|connoinherit|proleakproof)\b/,
  },
  {
    since: 90_300,
    name: 'what 9.3 brought',
    sql: /\b(?:LATERAL|pg_event_trigger|relispopulated|lo_lseek64)\b/,
  },
  {
    since: 90_300,
    name: 'an implicit LATERAL',
    sql: /\bFROM\s+[\w.]+\s+(?:AS\s+)?(\w+)\s*,\s*[\w.]+\(\s*\1\./,
  },
  {
    since: 90_400,
    name: 'what 9.4 brought',
    sql: /\bFILTER\s*\(|\bROWS FROM\b|\bWITH ORDINALITY\b|\bSELECT\s+FROM\b|\b(?:relreplident|to_regclass)\b/,
  },
  {
    since: 90_500,
    name: 'what 9.5 brought',
    sql: /\b(?:rolbypassrls|relrowsecurity|relforcerowsecurity|pg_policy|pg_transform|row_security_active)\b/,
  },
  {
    since: 90_600,
    name: 'what 9.6 brought',
    sql: /\b(?:pg_init_privs|pg_control_system|amhandler|pg_signal_backend|proparallel|aggcombinefn)\b|\bcurrent_setting\([^()]*,/,
  },
  {
    since: 100_000,
    name: 'what 10 brought',
    sql: /\b(?:pg_sequence|pg_publication\w*|pg_subscription\w*|pg_partitioned_table|pg_statistic_ext|attidentity|relispartition|partbound|collprovider|pg_hba_file_rules|backend_type)\b/,
  },
]

/** SQL without its strings, whose words mean nothing; quoted names stay. */
const masked = (sql: string) => sql.replace(/'(?:[^']|'')*'/g, "''")

const tooNew = (sql: string, server: number) =>
  features
    .filter(({ since, sql: shape }) => server < since && shape.test(masked(sql)))
    .map(({ name }) => name)

/** What the pretended database holds: enough for every statement that a source sees to be made. */
const answers: Answer[] = [
  ...(
    [
      ['search_path', 'pg_catalog, pg_temp'],
      ['role', 'none'],
      ['default_transaction_read_only', 'on'],
      ['standard_conforming_strings', 'on'],
      ['statement_timeout', '0'],
      ['row_security', 'off'],
    ] as const
  ).map(([name, value]) => ({
    statement: new RegExp(`^SHOW ${name}$`),
    rows: () => [{ [name]: value }],
  })),
  {
    statement: /AS connectable/,
    rows: () => ['postgres', 'shop'].map((name) => ({ name, bytes: '1', connectable: 't' })),
  },
  {
    statement: /rolsuper AS superuser/,
    rows: () => [{ superuser: 't', standby: null, free: '9' }],
  },
  {
    statement: /AS connection_limit/,
    rows: () => [{ oid: '16384', name: 'shop', comment: null, owner: 'o', has_acl: 't' }],
  },
  { statement: /AS may$/, rows: () => [{ may: 't' }] },
  {
    statement: /txid_current_snapshot/,
    rows: () => [{ oldest: '5', next: '5', rows: '0', inserted: '0' }],
  },
  { statement: /AS began FROM/, rows: () => [{ pid: '7', began: '20261128000000000000' }] },
  { statement: /'server_encoding'/, rows: () => [{ encoding: 'UTF8' }] },
  { statement: /pg_export_snapshot\(\)/, rows: () => [{ id: '00000003-1' }] },
  { statement: /'polar_version'/, rows: () => [{ value: null }] },
  { statement: /AS recovery/, rows: () => [{ recovery: null }] },
  {
    statement: /AS configuration/,
    rows: () => [
      { ...table, oid: '20000', name: 'orders', kind: 'r' },
      { ...table, oid: '20001', name: 'totals', kind: 'm' },
    ],
  },
  {
    statement: /AS relation, a.attname/,
    rows: () =>
      ['23', '25', '701', '600', '1022', '30000'].map((type, index) => ({
        relation: '20000',
        name: `c${index}`,
        type,
      })),
  },
  {
    statement: /t\.typtype::pg_catalog.text AS type/,
    rows: () => [
      { ...type, oid: '23', name: 'int4' },
      { ...type, oid: '25', name: 'text' },
      { ...type, oid: '701', name: 'float8' },
      { ...type, oid: '600', name: 'point' },
      { ...type, oid: '1022', name: '_float8', element: '701' },
      { ...type, oid: '30000', name: 'own', schema: 'app' },
    ],
  },
  { statement: /indisprimary DESC/, rows: () => [{ columns: '{c5}' }] },
  {
    statement: /AS i, pg_catalog.count/,
    rows: (sql) =>
      sql.split('UNION ALL').map((_, i) => ({ i: `${i}`, rows: '1', digest: '1', fate: null })),
  },
  {
    statement: /x\.relkind = 'S'[\s\S]*re\.deptype/,
    rows: (sql) => (/quote_ident/.test(sql) ? [{ oid: '20002', name: 'app.numbers' }] : []),
  },
  {
    statement: /c\.relkind = 'S'/,
    rows: () => [{ schema: 'app', name: 'numbers', owner: 'o' }],
  },
  { statement: /last_value/, rows: () => [{ i: '0', last: '1', called: 't' }] },
  {
    statement: /lomacl/,
    rows: () => [{ oid: '4711', owner: 'o', acl: null, comment: null }],
  },
  { statement: /lo_open/, rows: () => [{ oid: '4711', digest: '1' }] },
  { statement: /pg_relation_size\('pg_catalog.pg_largeobject'/, rows: () => [{ bytes: '1' }] },
]
const table = {
  schema: 'app',
  populated: 't',
  owner: 'o',
  bytes: '8192',
  blocks: '1',
  heap: 't',
  file: '1',
}
const type = {
  schema: 'pg_catalog',
  type: 'b',
  base: '0',
  element: '0',
  subtype: '0',
  attributes: '{}',
}

/** Everything that asks the source, as a migration does, but for pg_dump itself. */
async function askEverything(server: OldServer): Promise<void> {
  const connection = parseConnectionString(server.uri())
  const context = quietContext()
  const source = await inspectSource(connection, 'all', context)
  const inputs = parseInputs(
    (name) => ({ source: server.uri() })[name] ?? '',
    [{ name: 'dump', needs: ['source'], dump: 'written' }],
  )
  await ask({ source, inputs, runner }, allChecks, context)
  const place = { source: connection, target: connection, databases: [], writes: true } as const
  await refuseSameServer({ ...place, ifTargetNotEmpty: 'fail', sameServer: 'no' }, context)
  await withConnection(connection, { role: 'source', readOnly: true }, async (client) => {
    await readRoleCatalog(client)
    await readDatabaseProperties(client)
    await readTableSizes(client)
    await readSizes(client, { name: 'shop', bytes: 1 })
    await readWrites(client)
    await openWriters(client)
    await readBypasses(client)
    await readFreezeMark(client)
    await readReadOnlySettings(client)
    await otherSessions(client, ['shop'], ['replica'])
    await isAlive(client, await holderOf(client))
  })
  const snapshot = await exportSnapshot(connection, 'shop')
  const options = { connection, database: 'shop', snapshot, level: 'data', jobs: 2 } as const
  const fingerprint = await fingerprintDatabase(options, context)
  await rereadSequences(fingerprint, options, context)
  const side = { connection, database: 'shop' }
  const differing = { schema: 'app', name: 'orders', sourceRows: 1, targetRows: 2, match: false }
  await explainDifferences(
    { source: side, target: side, snapshot, fingerprint, tables: [differing], showKeys: false },
    { differingRows: () => {} },
    context,
  )
  await snapshot.close()
}

const runner = {
  ...{ dumpDirectory: '/nonexistent', free: undefined, processors: 1, canUpload: false },
  environment: {},
}

const quietContext = (record = new ReportWriter(newReport('dump', wordsOfAnyRun))): Context => ({
  log: { debug() {}, info() {}, warning() {} },
  progress: { update() {} },
  signal: new AbortController().signal,
  pauses: [],
  temporaryDirectory: '/nonexistent',
  record,
  report: record.report,
  warn() {},
})

const versions = [80_422, 90_023, 90_124, 90_224, 90_325, 90_426, 90_525, 90_624]

test.each(versions)(
  'a source of %i is asked nothing that a newer version brought',
  async (number) => {
    const server = await OldServer.start(number, answers)
    try {
      await askEverything(server)
    } finally {
      await server.stop()
    }
    const asked = server.statements
    // one of each kind, so that nothing is left out without being seen here
    for (const part of [
      'AS connectable',
      'row_security_active|AS denied',
      'pg_largeobject',
      'AS configuration',
      'lo_open',
      'pg_stat_user_tables',
      'pg_locks',
      'pg_prepared_xacts',
      'backend_start',
      'pg_advisory',
      'relpages',
      'AS keys',
      'last_value',
      'start_value',
      'indisprimary DESC',
      'AS bucket',
      'pg_rewrite',
      'pg_opfamily',
    ]) {
      expect({ part, asked: asked.some((sql) => new RegExp(part).test(sql)) }).toEqual({
        part,
        asked: true,
      })
    }
    const found = asked.flatMap((sql) => tooNew(sql, number).map((name) => ({ name, sql })))
    expect(found).toEqual([])
  },
)

test('a server that knows no name of a session is told none', async () => {
  const server = await OldServer.start(80_422, answers)
  try {
    const connection = parseConnectionString(server.uri())
    await withConnection(connection, { readOnly: true }, (client) => client.query('SELECT 1'))
    const tries = server.startup.length
    await withConnection(connection, { readOnly: true }, (client) => client.query('SELECT 1'))
    // what was learned is not tried again, and the settings go with the packet all the same
    expect(server.startup.slice(tries)).toEqual([
      expect.not.stringMatching(/application_name|event_triggers/),
    ])
    expect(server.startup.at(-1)).toContain('search_path=pg_catalog,pg_temp')
  } finally {
    await server.stop()
  }
})

test.each([
  ['SET lock_timeout = 1', 90_200],
  ['SELECT pg_catalog.pg_table_size(1)', 80_400],
  ['SELECT 1 FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a', 90_200],
  ['SELECT pg_catalog.pg_is_in_recovery()', 80_400],
  ['SELECT EXISTS (SELECT FROM pg_catalog.pg_class)', 90_300],
  ["SELECT pg_catalog.current_setting('x', true)", 90_500],
])('what is too new is seen: %s on %i', (sql, server) => {
  expect(tooNew(sql, server)).not.toEqual([])
})
