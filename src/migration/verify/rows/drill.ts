import type pg from 'pg'
import { serverVersion } from '../../../postgres/connection.ts'
import type { ConnectionParameters } from '../../../postgres/connection-string.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import type { TableResult } from '../../../report/model.ts'
import type { DatabaseRecord } from '../../../report/writer.ts'
import { printable, shorten } from '../../../text/text.ts'
import type { Context } from '../../context.ts'
import type { DatabaseFingerprint } from '../model.ts'
import { inTransaction, isUnused, type MayAlter, withSession } from '../read-session.ts'
import type { ExportedSnapshot } from '../snapshot.ts'
import { outputText, type Recipe, rowExpression } from './digest.ts'
import { prepareReader, type ReadPlan } from './readers.ts'
import { fromClause, keyOf, listTables, type TableInfo } from './tables.ts'

export interface DrillOptions {
  source: { connection: ConnectionParameters; database: string }
  target: { connection: ConnectionParameters; database: string }
  /** The moment that the source's fingerprint is of, while it can still be seen. */
  snapshot?: ExportedSnapshot
  fingerprint: DatabaseFingerprint
  /** The results of the comparison; those that differ without an explanation get their rows. */
  tables: readonly TableResult[]
  /** False shows no character of a key. */
  showKeys: boolean
  /** See FingerprintOptions. */
  mayAlter?: MayAlter
}

/** Together no more than a screenful. */
const mostTables = 20
const mostKeys = 40
const mostKeysOfTable = 10
/** Rows that are fetched of one table and side: all that is asked of them is a key and a digest. */
const mostRows = 20_000
const rowsPerBucket = 500
const mostBuckets = 262_144

/** A row, or several rows that are equal, as far as they matter here. */
interface RowDigest {
  digest: string
  count: number
  /** The values of the key columns, cut short. */
  key: string[]
}

/**
 * Finds which rows of the differing tables differ, and records it: keys, and how many rows are missing,
 * too many and changed, as far as that can be told without fetching more than a few thousand keys. Rows are matched by
 * the primary key or another unique one, otherwise by their digest. Values never leave the servers.
 *
 * @throws Failure when a table cannot be read any more; Cancelled
 */
export async function explainDifferences(
  options: DrillOptions,
  record: Pick<DatabaseRecord, 'differingRows'>,
  context: Context,
): Promise<void> {
  const differing = options.tables.filter(
    ({ match, explained, unreadable, targetRows }) =>
      !match && explained === undefined && unreadable === undefined && targetRows !== null,
  )
  if (differing.length === 0 || options.fingerprint.level !== 'data') return
  const { fingerprint, snapshot } = options
  const source = { ...options.source, role: 'source' as const }
  const target = { ...options.target, role: 'target' as const }
  await withSession(source, context.signal, (sourceClient) =>
    withSession(target, context.signal, async (targetClient) => {
      const here = await Side.open(sourceClient, source, fingerprint, snapshot?.id ?? null)
      const there = await Side.open(targetClient, target, fingerprint, null, options.mayAlter)
      let keys = mostKeys
      for (const result of differing.slice(0, mostTables)) {
        const table = fingerprint.tables.find((one) => keyOf(one) === keyOf(result))
        const recipe = fingerprint.recipes[table?.recipe ?? -1]
        if (!recipe) continue
        context.progress.update(`Looking for the rows that differ: ${result.schema}.${result.name}`)
        const found = await findRows(here, there, result, recipe)
        if (!found) continue
        const rows = describe(found, Math.min(keys, mostKeysOfTable), options.showKeys)
        record.differingRows(result, rows)
        keys -= rows.differingKeys.length
      }
    }),
  )
}

/** Reads one side of a comparison. */
class Side {
  readonly client: pg.Client
  readonly plan: ReadPlan
  readonly tables: ReadonlyMap<string, TableInfo>

  private constructor(client: pg.Client, plan: ReadPlan, tables: TableInfo[]) {
    this.client = client
    this.plan = plan
    this.tables = new Map(tables.map((table) => [keyOf(table), table]))
  }

  static async open(
    client: pg.Client,
    place: ReadPlan['place'],
    { encoding, floatDigits, method, server: source }: DatabaseFingerprint,
    snapshot: string | null,
    mayAlter: MayAlter = false,
  ): Promise<Side> {
    const { number: server } = await serverVersion(client)
    const { tables } = await listTables(client, server, true)
    const reading = { snapshot, jobs: 1, pieceBytes: Number.POSITIVE_INFINITY }
    const alters = mayAlter === 'if unused' ? await isUnused(client) : mayAlter
    const plan = {
      place,
      server,
      source,
      encoding,
      ...reading,
      floatDigits,
      method,
      mayAlter: alters,
    }
    await prepareReader(client, plan)
    return new Side(client, plan, tables)
  }

  query<R extends pg.QueryResultRow>(table: TableInfo, sql: string, values: unknown[]) {
    const { schema, name, owner, barred } = table
    const object = {
      what: `The table ${schema}.${name}`,
      grant: 'SELECT on the table',
      owner,
      ...(barred ? { barred: { schema, name } } : {}),
    }
    return inTransaction(this.client, this.plan, object, () => this.client.query<R>(sql, values))
  }

  /** Columns of the narrowest unique index that tells every row apart, the primary key first. */
  async keyColumns(table: TableInfo): Promise<string[]> {
    const { rows } = await this.client.query<{ columns: string[] }>(
      `SELECT ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a
                     WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::pg_catalog.int2[])) AS columns
         FROM pg_catalog.pg_index i
        WHERE i.indrelid = $1::pg_catalog.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
          AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
                           WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::pg_catalog.int2[]) AND NOT a.attnotnull)
        ORDER BY i.indisprimary DESC, i.indnatts, i.indexrelid LIMIT 1`,
      [table.oid],
    )
    return rows[0]?.columns ?? []
  }

  /** Rows and digests by bucket; what a bucket is, the key decides or else the row. */
  async buckets(table: TableInfo, sql: RowSql, count: number): Promise<Map<number, string>> {
    const { rows } = await this.query<{ bucket: number; sums: string }>(
      table,
      `SELECT b.bucket, pg_catalog.count(*) || ' ' || pg_catalog.sum(b.digest) AS sums
         FROM (SELECT (${sql.place} & ${count - 1})::int AS bucket, ${sql.digest} AS digest ${fromClause(table, this.plan.server)}) b
        GROUP BY b.bucket`,
      [],
    )
    return new Map(rows.map(({ bucket, sums }) => [bucket, sums]))
  }

  async rows(
    table: TableInfo,
    sql: RowSql,
    count: number,
    buckets: number[],
  ): Promise<Map<string, RowDigest>> {
    const { rows } = await this.query<{
      place: string
      digest: string
      count: string
      key: string[]
    }>(
      table,
      `SELECT r.place::pg_catalog.text AS place, r.digest::pg_catalog.text AS digest, pg_catalog.count(*)::pg_catalog.text AS count, pg_catalog.min(r.key) AS key
         FROM (SELECT ${sql.place} AS place, ${sql.digest} AS digest, ${sql.key} AS key ${fromClause(table, this.plan.server)}) r
        WHERE (r.place & ${count - 1})::int = ANY ($1::int[]) GROUP BY r.place, r.digest`,
      [buckets],
    )
    const found = new Map<string, RowDigest>()
    for (const { place, digest, count: number, key } of rows) {
      const known = found.get(place)
      // a key that is not unique after all
      const digests = known ? [known.digest, digest].sort().join(' ') : digest
      found.set(place, { key, digest: digests, count: Number(number) + (known?.count ?? 0) })
    }
    return found
  }
}

/** The three expressions about a row, as SQL text. */
interface RowSql {
  /** What rows are matched by: 64 bits of the key, or of the row. */
  place: string
  digest: string
  /** The values of the key columns as text[]. */
  key: string
  /** Empty without a key. */
  names: string[]
}

interface Found {
  missing: RowDigest[]
  extra: RowDigest[]
  changed: RowDigest[]
  names: string[]
  /** All differing rows were looked at. */
  complete: boolean
}

async function findRows(
  here: Side,
  there: Side,
  result: TableResult,
  recipe: Recipe,
): Promise<Found | null> {
  const [table, other] = [here, there].map((side) => side.tables.get(keyOf(result)))
  if (!table || !other) return null
  const names = new Set(other.columns.map(({ name }) => name))
  // columns that are not alike: there is no row to compare with
  if (recipe.some(([name]) => !names.has(name))) return null
  const keyColumns = await here.keyColumns(table)
  const sql = rowSql(recipe, keyColumns, here.plan)
  const targetSql = rowSql(recipe, keyColumns, there.plan)
  const rows = Math.max(result.sourceRows ?? 0, result.targetRows ?? 0)
  const count = Math.min(mostBuckets, 2 ** Math.ceil(Math.log2(rows / rowsPerBucket + 1)))
  const [source, target] = await Promise.all([
    here.buckets(table, sql, count),
    there.buckets(other, targetSql, count),
  ])
  const differing = [...new Set([...source.keys(), ...target.keys()])].filter(
    (bucket) => source.get(bucket) !== target.get(bucket),
  )
  const looked: number[] = []
  let fetched = 0
  for (const bucket of differing) {
    fetched += Math.max(sizeOf(source.get(bucket)), sizeOf(target.get(bucket)))
    if (fetched > mostRows) break
    looked.push(bucket)
  }
  const [mine, theirs] = await Promise.all([
    here.rows(table, sql, count, looked),
    there.rows(other, targetSql, count, looked),
  ])
  return { ...match(mine, theirs), names: sql.names, complete: looked.length === differing.length }
}

function rowSql(recipe: Recipe, keyColumns: string[], plan: ReadPlan): RowSql {
  const method = plan.method ?? 'hash'
  const digest = rowExpression(recipe, method, 't', plan.server)
  const key = recipe.filter(([name]) => keyColumns.includes(name))
  if (key.length === 0 || key.length !== keyColumns.length) {
    return { place: digest, digest, key: `'{}'::pg_catalog.text[]`, names: [] }
  }
  const values = keyColumns.map(
    (name) => `pg_catalog.substr(${outputText(`t.${quoteIdentifier(name)}`, plan.server)}, 1, 80)`,
  )
  const place = rowExpression(key, method, 't', plan.server)
  return { place, digest, key: `ARRAY[${values.join(', ')}]`, names: keyColumns }
}

function sizeOf(sums: string | undefined): number {
  return Number(sums?.split(' ')[0] ?? 0)
}

function match(
  mine: ReadonlyMap<string, RowDigest>,
  theirs: ReadonlyMap<string, RowDigest>,
): Pick<Found, 'missing' | 'extra' | 'changed'> {
  const missing: RowDigest[] = []
  const extra: RowDigest[] = []
  const changed: RowDigest[] = []
  for (const [place, row] of mine) {
    const other = theirs.get(place)
    if (!other) missing.push(row)
    else if (other.count < row.count) missing.push({ ...row, count: row.count - other.count })
    else if (other.count > row.count) extra.push({ ...row, count: other.count - row.count })
    else if (other.digest !== row.digest) changed.push(row)
  }
  for (const [place, row] of theirs) if (!mine.has(place)) extra.push(row)
  return { missing, extra, changed }
}

/** What the report says of the rows that differ, with at most so many keys. */
function describe(found: Found, most: number, showKeys: boolean) {
  const total = (rows: RowDigest[]) => rows.reduce((sum, { count }) => sum + count, 0)
  const counts = {
    missingRows: total(found.missing),
    extraRows: total(found.extra),
    changedRows: total(found.changed),
  }
  const all = [
    ...found.changed.map((row) => ({ ...row, what: 'changed' })),
    ...found.missing.map((row) => ({ ...row, what: 'missing' })),
    ...found.extra.map((row) => ({ ...row, what: 'only on the target' })),
  ]
  const differingKeys = all.slice(0, Math.max(0, most)).map(({ key, digest, count, what }) => {
    const times = count > 1 ? ` (${count} times)` : ''
    return `${shorten(printable(nameOf(found.names, key, digest, showKeys)), 160)}: ${what}${times}`
  })
  return { ...(found.complete ? counts : {}), differingKeys }
}

/** `id=17`, or masked `id=**`; of a row without a key its digest, which tells rows apart and little else. */
function nameOf(names: string[], key: string[], digest: string, showKeys: boolean): string {
  if (names.length === 0) {
    return showKeys ? `a row without a key, digest ${hexadecimal(digest)}` : 'a row without a key'
  }
  const values = key.map((value) => (showKeys ? value : '*'.repeat(Math.min(8, value.length))))
  return names.map((name, index) => `${name}=${values[index] ?? ''}`).join(', ')
}

function hexadecimal(digest: string): string {
  return BigInt.asUintN(64, BigInt(digest)).toString(16).padStart(16, '0')
}
