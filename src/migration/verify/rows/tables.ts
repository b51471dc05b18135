import type pg from 'pg'
import type * as v from 'valibot'
import { qualifiedName } from '../../../postgres/identifiers.ts'
import { isTable } from '../../../postgres/only-tables.ts'
import { fields, text } from '../../kept/schema.ts'
import { type ColumnType, isSent } from './digest.ts'

/** A table whose own rows are read: an ordinary table, a leaf partition, a materialized view. */
export interface TableInfo {
  oid: number
  schema: string
  name: string
  kind: 'table' | 'materialized view'
  /** False for a materialized view that holds nothing yet: reading it is an error. */
  populated: boolean
  owner: string
  /** With its TOAST: what orders and predicts the work. */
  bytes: number
  /** `relfilenode`: another one as soon as the table is written anew as a whole. */
  file: string
  /** Blocks of the table itself, and whether it is stored as a heap: then ranges of blocks can be read. */
  blocks: number
  heap: boolean
  /** An extension's configuration table: the condition of the rows that a dump carries; '' for all of them. */
  condition: string | null
  /** In their order, with their number in the catalog; a virtual generated column (18) is in no row. */
  columns: { name: string; type: number; number: number; isStored: boolean }[]
  /** Neither the account nor the owner may read it whole as things are: asked from version 11 on, else false. */
  barred: boolean
}

/** A range of blocks: the first, and the one after the last; null to the end. */
export interface Blocks {
  from: number
  to: number | null
}

/** All blocks of a table as so many ranges, the last of them without an end. */
export function cutBlocks(blocks: number, count: number): Blocks[] {
  const step = Math.ceil(blocks / count)
  return Array.from({ length: count }, (_, index) => ({
    from: index * step,
    to: index === count - 1 ? null : (index + 1) * step,
  }))
}

/** A relation that holds no rows here, and why it is not read. */
export const notRead = fields({ schema: text, name: text, reason: text })
export type NotRead = v.InferOutput<typeof notRead>

export interface TableList {
  tables: TableInfo[]
  notRead: NotRead[]
}

/** SQL: row-level security or a revoked privilege keeps the account from reading a table, and its owner as well. */
const barred = `(
    (pg_catalog.row_security_active(c.oid) AND c.relforcerowsecurity)
    OR NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') AND NOT pg_catalog.has_table_privilege(c.relowner, c.oid, 'SELECT')
    OR NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND NOT pg_catalog.has_schema_privilege(c.relowner, n.oid, 'USAGE'))`

/**
 * Lists the tables whose rows a dump carries: not those of the system, of extensions (but their configuration tables), nor
 * temporary ones. Works on every server from 8.4 on.
 *
 * @param server `server_version_num`
 * @param withColumns false leaves `columns` empty
 * @param only the one table that is wanted
 */
export async function listTables(
  client: pg.Client,
  server: number,
  withColumns: boolean,
  only?: { schema: string; name: string },
): Promise<TableList> {
  const extension =
    server >= 90_100
      ? {
          columns: `e.oid IS NOT NULL AS member,
           (SELECT x.condition FROM (SELECT pg_catalog.unnest(e.extconfig) AS relation,
                                            pg_catalog.unnest(e.extcondition) AS condition) x
             WHERE x.relation = c.oid) AS configuration`,
          joins: `
      LEFT JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e'
      LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid`,
        }
      : { columns: 'false AS member, NULL::pg_catalog.text AS configuration', joins: '' }
  // pg_table_size came with 9.0; with its indexes a table is larger, and in the same order
  const size = server >= 90_000 ? 'pg_table_size' : 'pg_total_relation_size'
  const { rows } = await client.query<{
    oid: string
    schema: string
    name: string
    kind: string
    populated: boolean
    owner: string
    bytes: string
    file: string
    blocks: string
    heap: boolean
    member: boolean
    configuration: string | null
    barred: boolean
  }>(
    `SELECT c.oid::pg_catalog.text, n.nspname AS schema, c.relname AS name, c.relkind::pg_catalog.text AS kind,
           ${server >= 90300 ? 'c.relispopulated' : 'true'} AS populated,
           pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text AS owner,
           COALESCE(pg_catalog.${size}(c.oid), 0)::pg_catalog.text AS bytes, c.relfilenode::pg_catalog.text AS file,
           (COALESCE(pg_catalog.pg_relation_size(c.oid), 0) / pg_catalog.current_setting('block_size')::int)::pg_catalog.text AS blocks,
           ${server >= 120000 ? "c.relam = (SELECT a.oid FROM pg_catalog.pg_am a WHERE a.amname = 'heap')" : 'true'} AS heap,
           ${extension.columns},
           ${server >= 110000 ? barred : 'false'} AS barred
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ${extension.joins}
     WHERE c.relkind IN ('r', 'm', 'f') AND c.oid >= 16384
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'${only ? ' AND n.nspname = $1 AND c.relname = $2' : ''}
     ORDER BY n.nspname, c.relname`,
    only ? [only.schema, only.name] : [],
  )
  const tables: TableInfo[] = []
  const notRead: NotRead[] = []
  for (const row of rows) {
    const { schema, name } = row
    if (row.member && row.configuration === null) continue
    if (row.kind === 'f') {
      notRead.push({ schema, name, reason: 'a foreign table: its rows are on another server' })
      continue
    }
    tables.push({
      oid: Number(row.oid),
      schema,
      name,
      kind: row.kind === 'm' ? 'materialized view' : 'table',
      populated: row.populated,
      owner: row.owner,
      bytes: Number(row.bytes),
      barred: row.barred,
      file: row.file,
      blocks: Number(row.blocks),
      heap: row.heap,
      condition: row.configuration,
      columns: [],
    })
  }
  if (withColumns) await addColumns(client, server, tables)
  return { tables, notRead }
}

/** A name of two parts as one map key, whatever characters are in it. */
export function keyOf({ schema, name }: { schema: string; name: string }): string {
  return JSON.stringify([schema, name])
}

/**
 * `FROM … WHERE …` with the rows that a dump carries, of the table itself and none of its children; the alias is `t`.
 *
 * @param server `server_version_num`
 * @param blocks a range of the table's
 */
export function fromClause(
  table: Pick<TableInfo, 'schema' | 'name' | 'condition'>,
  server: number,
  blocks: Blocks | null = null,
): string {
  const name = qualifiedName(table.schema, table.name)
  // the condition is the extension's own text, which pg_dump appends just so ("WHERE …")
  const rows = table.condition
    ? `(SELECT * FROM ONLY ${name} ${table.condition}) AS t`
    : `ONLY ${name} AS t`
  const range = blocks
    ? `t.ctid >= '(${blocks.from},0)'::pg_catalog.tid${blocks.to === null ? '' : ` AND t.ctid < '(${blocks.to},0)'::pg_catalog.tid`} AND `
    : ''
  return `FROM ${rows} WHERE ${range}${isTable(name, server)}`
}

/** A type, and what decides how the values that are stored of it are read. */
export interface ReadType extends ColumnType {
  /** Of a composite type its columns by number, of an enum its labels by OID: values hold these, and each of them may change. */
  parts: string[]
  /** False where the output says what other objects are called, as that of regclass and aclitem does. */
  speaksForItself: boolean
}

/** Reads the types that columns lead to: domains to their base, arrays to their element, composites to their columns. */
export async function readTypes(
  client: pg.Client,
  server: number,
  wanted: Iterable<number>,
): Promise<Map<number, ReadType>> {
  const types = new Map<number, ReadType>()
  let open = [...new Set(wanted)]
  const subtype =
    server < 90200
      ? '0'
      : `COALESCE((SELECT r.rngsubtype FROM pg_catalog.pg_range r
                    WHERE ${server >= 140000 ? 't.oid IN (r.rngtypid, r.rngmultitypid)' : 't.oid = r.rngtypid'}), 0)`
  while (open.length > 0) {
    const { rows } = await client.query<{
      oid: string
      schema: string
      name: string
      type: string
      base: string
      element: string
      subtype: string
      attributes: string[]
      parts: string[]
      fixed: boolean
    }>(
      `SELECT t.oid::pg_catalog.text, n.nspname AS schema, t.typname AS name, t.typtype::pg_catalog.text AS type, t.typbasetype::pg_catalog.text AS base,
              CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN t.typelem ELSE 0 END::pg_catalog.text AS element,
              ${subtype}::pg_catalog.text AS subtype,
              ARRAY(SELECT a.atttypid::pg_catalog.text FROM pg_catalog.pg_attribute a
                     WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS attributes,
              CASE t.typtype
                WHEN 'c' THEN ARRAY(SELECT a.attnum::pg_catalog.text || ':' || a.atttypid::pg_catalog.text FROM pg_catalog.pg_attribute a
                                     WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
                WHEN 'e' THEN ARRAY(SELECT e.oid::pg_catalog.text || ':' || e.enumlabel::pg_catalog.text FROM pg_catalog.pg_enum e
                                     WHERE e.enumtypid = t.oid ORDER BY e.oid)
                ELSE '{}' END AS parts,
              EXISTS (SELECT 1 FROM pg_catalog.pg_proc p WHERE p.oid = t.typoutput
                         AND (p.provolatile = 'i' OR p.oid = 'pg_catalog.array_out(anyarray)'::pg_catalog.regprocedure)) AS fixed
         FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
        WHERE t.oid = ANY ($1::pg_catalog.oid[])`,
      [open],
    )
    for (const row of rows) {
      types.set(Number(row.oid), {
        oid: Number(row.oid),
        schema: row.schema,
        name: row.name,
        type: row.type,
        base: Number(row.base),
        element: Number(row.element),
        subtype: Number(row.subtype),
        attributes: row.attributes.map(Number),
        parts: row.parts,
        // what is made of others is read as they are
        speaksForItself: row.fixed || row.type !== 'b' || isSent(row),
      })
    }
    const next = [...types.values()].flatMap((t) => [t.base, t.element, t.subtype, ...t.attributes])
    open = [...new Set(next)].filter((oid) => oid !== 0 && !types.has(oid))
    if (rows.length === 0) break
  }
  return types
}

async function addColumns(client: pg.Client, server: number, tables: TableInfo[]): Promise<void> {
  const byOid = new Map(tables.map((table) => [table.oid, table]))
  const { rows } = await client.query<{
    relation: string
    name: string
    type: string
    number: number
    stored: boolean
  }>(
    `SELECT a.attrelid::pg_catalog.text AS relation, a.attname AS name, a.atttypid::pg_catalog.text AS type, a.attnum AS number,
           ${server >= 180000 ? "a.attgenerated <> 'v'" : 'true'} AS stored
       FROM pg_catalog.pg_attribute a
      WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY ($1::pg_catalog.oid[])
      ORDER BY a.attrelid, a.attnum`,
    [tables.map((table) => table.oid)],
  )
  for (const { relation, name, type, number, stored: isStored } of rows) {
    byOid.get(Number(relation))?.columns.push({ name, type: Number(type), number, isStored })
  }
}
