import type pg from 'pg'
import { serverVersion } from '../../postgres/connection.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { endsWait } from '../../postgres/sqlstates.ts'
import { together } from '../../postgres/together.ts'
import { firstNormalOid } from '../restore/plan/target-facts.ts'

/** A table, or a materialized view, whose query the target runs again. */
export interface SizedTable {
  schema: string
  name: string
  isView: boolean
  /** Of its own storage and that of its long values, without indexes. */
  bytes: number
  /** Of that, what its long values take (TOAST), compressed or not. */
  longBytes: number
  /** As the last VACUUM or ANALYZE counted them, for the size of today; null where none has. */
  rows: number | null
  columns: number
  /** Policies decide who reads which rows, and they are code of the database. */
  secured: boolean
  indexes: { method: string; bytes: number }[]
  foreignKeys: number
}

/** What the catalogs of a database tell of its size. */
export interface DatabaseSizes {
  name: string
  /** Of the whole database, with what no dump carries: indexes and free space. */
  bytes: number
  tables: SizedTable[]
  /** Of the whole schema: tables, views, sequences, indexes, functions, constraints, triggers. */
  objects: number
  largeObjects: { count: number; bytes: number }
}

/** Bytes of a large object's page (PostgreSQL, "pg_largeobject": LOBLKSIZE is a fourth of a block). */
const largeObjectPage = 2048

/**
 * Reads the sizes of everything that a dump carries. Sizes are exact, unless somebody keeps a table locked: then they are those
 * of the last VACUUM or ANALYZE.
 *
 * @param client a read-only session in the database, whose statement_timeout is set
 * @param patience milliseconds for the exact sizes: each waits for whoever has the table locked (pg_relation_size opens it)
 */
export async function readSizes(
  client: pg.Client,
  database: { name: string; bytes: number },
  patience = 5000,
): Promise<DatabaseSizes> {
  const { number } = await serverVersion(client)
  try {
    const [, sizes] = await together(client, [
      () => client.query(`SET statement_timeout = ${patience}`),
      () => read(client, database, number, true),
    ])
    return sizes
  } catch (error) {
    // 57014: statement_timeout; 55P03: lock_timeout
    if (!endsWait(sqlstateOf(error) ?? '')) throw error
    return await read(client, database, number, false)
  }
}

async function read(
  client: pg.Client,
  database: { name: string; bytes: number },
  number: number,
  exact: boolean,
): Promise<DatabaseSizes> {
  const block = `pg_catalog.current_setting('block_size')::pg_catalog.int8`
  const size = (relation: string) =>
    exact ? `pg_catalog.pg_relation_size(${relation}.oid)` : `(${relation}.relpages * ${block})`
  const lasting = (relation: string) =>
    number >= 90_100 ? `${relation}.relpersistence <> 't'` : `NOT ${relation}.relistemp`
  // what belongs to an extension comes with it
  const carried = `${lasting('c')} AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
                      WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid AND e.deptype = 'e')`
  const { rows: tables } = await client.query<{
    oid: string
    schema: string
    name: string
    kind: string
    bytes: string
    long: string
    rows: number | null
    columns: number
    secured: boolean
    keys: string
  }>(`
    SELECT c.oid::pg_catalog.text AS oid, n.nspname AS schema, c.relname AS name, c.relkind::pg_catalog.text AS kind,
           (${size('c')} + COALESCE(${size('t')}, 0))::pg_catalog.text AS bytes, COALESCE(${size('t')}, 0)::pg_catalog.text AS long,
           CASE WHEN c.relpages > 0 AND c.reltuples >= 0
                THEN c.reltuples::pg_catalog.float8 / c.relpages * (${size('c')} / ${block}) END AS rows,
           c.relnatts::pg_catalog.int4 AS columns, ${number >= 90_500 ? 'c.relrowsecurity' : 'false'} AS secured,
           (SELECT pg_catalog.count(*) FROM pg_catalog.pg_constraint k
             WHERE k.conrelid = c.oid AND k.contype = 'f')::pg_catalog.text AS keys
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
     WHERE c.relkind IN ('r', 'm') AND ${carried}`)
  const { rows: indexes } = await client.query<{ table: string; method: string; bytes: string }>(`
    SELECT i.indrelid::pg_catalog.text AS table, a.amname AS method, ${size('x')}::pg_catalog.text AS bytes
      FROM pg_catalog.pg_index i
      JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid JOIN pg_catalog.pg_am a ON a.oid = x.relam
      JOIN pg_catalog.pg_class c ON c.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE x.relkind = 'i' AND c.relkind IN ('r', 'm') AND ${carried}`)
  const since = `WHERE oid >= ${firstNormalOid}`
  const { rows: others } = await client.query<{ objects: string; large: string; count: string }>(`
    SELECT ((SELECT pg_catalog.count(*) FROM pg_catalog.pg_class ${since} AND relkind <> 't')
            + (SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc ${since})
            + (SELECT pg_catalog.count(*) FROM pg_catalog.pg_constraint ${since})
            + (SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger ${since}))::pg_catalog.text AS objects,
           pg_catalog.pg_relation_size('pg_catalog.pg_largeobject'::pg_catalog.regclass)::pg_catalog.text AS large,
           ${number >= 90_000 ? '(SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata)::pg_catalog.text' : 'NULL'} AS count`)
  const [other] = others
  const large = Number(other?.large ?? 0)
  const ofTable = new Map<string, SizedTable['indexes']>()
  for (const { table, method, bytes } of indexes) {
    const list = ofTable.get(table) ?? []
    list.push({ method, bytes: Number(bytes) })
    ofTable.set(table, list)
  }
  return {
    name: database.name,
    bytes: database.bytes,
    tables: tables
      .map((table) => ({
        schema: table.schema,
        name: table.name,
        isView: table.kind === 'm',
        bytes: Number(table.bytes),
        longBytes: Number(table.long),
        rows: table.rows === null ? null : Math.round(table.rows),
        columns: table.columns,
        secured: table.secured,
        indexes: ofTable.get(table.oid) ?? [],
        foreignKeys: Number(table.keys),
      }))
      .sort((a, b) => b.bytes - a.bytes),
    objects: Number(other?.objects ?? 0),
    largeObjects: {
      // before 9.0 nothing but their pages tells of them
      count: Number(other?.count ?? Math.ceil(large / largeObjectPage)),
      bytes: large,
    },
  }
}
