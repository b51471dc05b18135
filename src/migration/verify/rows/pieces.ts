import type pg from 'pg'
import { qualifiedName, quoteLiteral } from '../../../postgres/identifiers.ts'
import type { TableFingerprint } from '../model.ts'
import {
  fateOf,
  inTransaction,
  isUnreadable,
  type ReadObject,
  reasonOf,
  TableReplaced,
} from '../read-session.ts'
import type { AheadPiece } from './ahead.ts'
import { digestExpression, type Recipe } from './digest.ts'
import type { ReadPlan } from './readers.ts'
import { type Blocks, fromClause, type TableInfo } from './tables.ts'

/** A table, or a range of its blocks, to be read in one scan. */
export interface Piece {
  table: TableInfo
  result: TableFingerprint
  recipe: Recipe | null
  bytes: number
  blocks: Blocks | null
  /** What it was when it was read ahead: it is only looked whether it is still the same. */
  before?: AheadPiece
  /** Pieces of the same table that are not read yet, and whether those that were read ahead are the same. */
  open: { pieces: number; isSame: boolean }
}

/**
 * Whether a piece that was read ahead holds the same rows. What a transaction that is committed has written becomes fewer rows,
 * never more, and none of them changes: an UPDATE writes a new one (PostgreSQL, "Database Page Layout", t_xmin). So if there are as
 * many rows as there were, and each of them is of one of the transactions that had written them, they are the same.
 *
 * @param kept rows that such a transaction has written
 */
export function isSame(
  before: AheadPiece,
  rows: number,
  kept: bigint,
  { unreadable }: TableFingerprint,
): boolean {
  return unreadable === undefined && rows === before.rows && kept === BigInt(before.rows)
}

export interface Scanned {
  rows: number
  /** Of a piece that was read ahead: how many of its rows are of the same transactions. */
  digest: bigint
}

/** Of a table that cannot be read. */
const nothing: Scanned = { rows: 0, digest: 0n }

/**
 * Reads pieces in one transaction, or else each in its own. A table that cannot be read is noted as such, and blinds no
 * other.
 *
 * @returns every piece with its rows; 0 of a table that cannot be read
 */
export async function readPieces(
  client: pg.Client,
  plan: ReadPlan,
  pieces: Piece[],
): Promise<Map<Piece, Scanned>> {
  const [first] = pieces
  if (!first) return new Map()
  if (pieces.length === 1 && first.result.unreadable !== undefined)
    return new Map([[first, nothing]])
  const { schema, name, owner, barred } = first.table
  const object = {
    what: `The table ${schema}.${name}`,
    grant: `USAGE on the schema "${schema}" and SELECT on the table`,
    owner,
    ...(barred && pieces.length === 1 ? { barred: { schema, name } } : {}),
  }
  try {
    const read = () => scan(client, plan, pieces)
    return await inTransaction(client, plan, object, read)
  } catch (error) {
    if (!isUnreadable(error)) throw error
    if (pieces.length === 1) {
      await refuseReplaced(client, plan, first, object)
      first.result.unreadable = reasonOf(error)
      return new Map([[first, nothing]])
    }
    // one by one, to name the table
    const all = new Map<Piece, Scanned>()
    for (const piece of pieces) {
      for (const [one, scanned] of await readPieces(client, plan, [piece])) all.set(one, scanned)
    }
    return all
  }
}

async function scan(
  client: pg.Client,
  plan: ReadPlan,
  pieces: Piece[],
): Promise<Map<Piece, Scanned>> {
  const { rows } = await client.query<{
    i: number
    rows: string
    digest: string | null
    fate: Fate | null
  }>(pieces.map((piece, index) => scanOf(piece, index, plan)).join(' UNION ALL '))
  if (rows.length !== pieces.length) throw new Error('the server left out the answer for a table')
  const read = new Map<Piece, Scanned>()
  for (const row of rows) {
    const piece = pieces[row.i]
    if (!piece) throw new Error('the server answered for a table that was not asked for')
    // with other blocks, ranges of them are no longer parts of one whole
    const isWhole = row.fate === 'file' && row.rows !== '0' && piece.blocks === null
    if (row.fate !== null && !isWhole) throw replaced(piece, plan)
    read.set(piece, { rows: Number(row.rows), digest: BigInt(row.digest ?? 0) })
  }
  return read
}

/** What has become of a table since the moment that is read (see fateOf). */
type Fate = 'name' | 'file'

const replaced = ({ table }: Piece, { place }: ReadPlan) =>
  new TableReplaced(`${table.schema}.${table.name}`, place.role)

/** A table that cannot be read may be another one by now, of other columns. @throws TableReplaced */
async function refuseReplaced(
  client: pg.Client,
  plan: ReadPlan,
  piece: Piece,
  object: ReadObject,
): Promise<void> {
  try {
    const { rows } = await inTransaction(client, plan, object, () =>
      client.query<{ fate: Fate | null }>(`SELECT ${fateIn(plan, piece.table)} AS fate`),
    )
    if (rows[0]?.fate) throw replaced(piece, plan)
  } catch (error) {
    // its name is nobody's any more
    if (!isUnreadable(error)) throw error
  }
}

/** Materialized views are computed anew in any case, and a table of now is the one that is read. */
function fateIn({ snapshot }: ReadPlan, { oid, schema, name, kind, file }: TableInfo): string {
  if (snapshot === null || kind !== 'table') return 'NULL::pg_catalog.text'
  const was = `${quoteLiteral(qualifiedName(schema, name))}::pg_catalog.regclass`
  return fateOf(oid, was, `${BigInt(file)}`)
}

function scanOf(piece: Piece, index: number, plan: ReadPlan): string {
  const { method, server } = plan
  const { table, recipe, blocks, before } = piece
  let digest = 'NULL::pg_catalog.text'
  if (before) digest = keptRows(before)
  else if (recipe && method) digest = digestExpression(recipe, method, 't', server)
  return `SELECT ${index} AS i, pg_catalog.count(*)::pg_catalog.text AS rows, ${digest} AS digest, ${fateIn(plan, table)} AS fate ${fromClause(table, server, blocks)}`
}

/** SQL: how many rows are of the transactions that had written a piece when it was read ahead. */
function keptRows({ xids }: AheadPiece): string {
  const known = `'{${xids.map((xid) => BigInt(xid)).join(',')}}'::pg_catalog.xid[]`
  return `pg_catalog.count(CASE WHEN t.xmin OPERATOR(pg_catalog.=) ANY (${known}) THEN 1 END)::pg_catalog.text`
}
