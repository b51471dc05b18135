import { expect, test } from '@jest/globals'
import type pg from 'pg'
import { readDatabaseProperties } from '../../src/migration/restore/database/properties.ts'
import { readCatalog } from '../../src/migration/verify/catalog/catalog.ts'
import { listTables } from '../../src/migration/verify/rows/tables.ts'
import { exportFrom } from '../../src/migration/verify/snapshot.ts'
import { readRoleCatalog } from '../../src/postgres/roles/catalog.ts'
import { recoveryOf } from '../../src/postgres/startup.ts'

/** What a version brought, by the `server_version_num` that has it first (the release notes of each), as masked SQL shows it. */
const features: readonly { since: number; name: string; sql: RegExp }[] = [
  {
    since: 90_000,
    name: 'functions of 9.0',
    sql: /\b(?:pg_is_in_recovery|aclexplode|string_agg)\s*\(/,
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
    sql: /\b(?:reloftype|conexclop|tgqual|tgconstrindid)\b/,
  },
  {
    since: 90_100,
    name: 'catalogs of 9.1',
    sql: /\b(?:pg_extension|pg_collation|pg_foreign_table|pg_seclabels?)\b/,
  },
  {
    since: 90_100,
    name: 'columns of 9.1',
    sql: /\b(?:rolreplication|attcollation|typcollation|indcollation|relpersistence|convalidated|extconfig|amoppurpose|amopsortfamily)\b/,
  },
  {
    since: 90_100,
    name: 'functions of 9.1',
    sql: /\bpg_catalog\.(?:format|concat|concat_ws|left|right)\s*\(/,
  },
  {
    since: 90_200,
    name: 'what 9.2 brought',
    sql: /\b(?:pg_shseclabel|pg_range|pg_export_snapshot|attfdwoptions|connoinherit|proleakproof)\b/,
  },
  {
    since: 90_300,
    name: 'what 9.3 brought',
    sql: /\b(?:LATERAL|pg_event_trigger|relispopulated)\b/,
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
    sql: /\b(?:pg_init_privs|pg_control_system|amhandler|proparallel|aggcombinefn)\b|\bcurrent_setting\([^()]*,/,
  },
  {
    since: 100_000,
    name: 'what 10 brought',
    sql: /\b(?:pg_sequence|pg_publication\w*|pg_subscription\w*|pg_partitioned_table|pg_statistic_ext|attidentity|relispartition|partbound|collprovider|pg_hba_file_rules)\b/,
  },
]

/** SQL without its strings, whose words mean nothing; quoted names stay. */
const masked = (sql: string) => sql.replace(/'(?:[^']|'')*'/g, "''")

const tooNew = (sql: string, server: number) =>
  features
    .filter(({ since, sql: shape }) => server < since && shape.test(masked(sql)))
    .map(({ name }) => name)

/** A session that pretends to be of a version, and keeps every statement. */
function pretend(server: number): { client: pg.Client; statements: string[] } {
  const statements: string[] = []
  const query = async (text: string) => {
    statements.push(text)
    if (text.includes("'server_version_num'")) {
      return { rows: [{ version: '0.0', number: String(server) }], rowCount: 1 }
    }
    if (/AS connection_limit/.test(text)) {
      return { rows: [{ oid: '16384', name: 'shop', comment: null }], rowCount: 1 }
    }
    if (/AS may$/.test(text)) return { rows: [{ may: true }], rowCount: 1 }
    return { rows: [], rowCount: 0 }
  }
  return { client: { query } as unknown as pg.Client, statements }
}

test.each([90_100, 90_200, 90_300, 90_400, 90_500, 90_600])(
  'a source of %i is asked nothing that a newer version brought',
  async (server) => {
    const { client, statements } = pretend(server)
    await readRoleCatalog(client)
    await readDatabaseProperties(client)
    await exportFrom(client, server)
    await readCatalog(client, server)
    await listTables(client, server, true)
    statements.push(`SELECT ${recoveryOf(server)}`)
    expect(statements.length).toBeGreaterThan(20)
    const found = statements.flatMap((sql) => tooNew(sql, server).map((name) => ({ name, sql })))
    expect(found).toEqual([])
  },
)

test.each([80_400, 90_000])(
  'the roles of a source of %i are read with what it has',
  async (server) => {
    const { client, statements } = pretend(server)
    await readRoleCatalog(client)
    await exportFrom(client, server)
    statements.push(`SELECT ${recoveryOf(server)}`)
    expect(statements.flatMap((sql) => tooNew(sql, server))).toEqual([])
  },
)

test.each([
  ['SELECT 1 FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a', 90_200],
  ['SELECT pg_catalog.pg_is_in_recovery()', 80_400],
  ['SELECT EXISTS (SELECT FROM pg_catalog.pg_class)', 90_300],
  ["SELECT pg_catalog.current_setting('x', true)", 90_500],
])('what is too new is seen: %s on %i', (sql, server) => {
  expect(tooNew(sql, server)).not.toEqual([])
})
