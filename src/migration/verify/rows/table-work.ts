import type pg from 'pg'
import { qualifiedName, quoteLiteral } from '../../../postgres/identifiers.ts'
import type { DatabaseFingerprint, TableFingerprint } from '../model.ts'
import {
  fateOf,
  inTransaction,
  isUnreadable,
  type ReadObject,
  reasonOf,
  TableReplaced,
} from '../read-session.ts'
import { differingColumns, digestExpression, type Recipe, recipeOf } from './digest.ts'
import type { ReadPlan, Task } from './readers.ts'
import { fromClause, keyOf, readTypes, type TableInfo } from './tables.ts'

/** A table, or a range of its blocks, to be read in one scan. */
interface Piece {
  table: TableInfo
  result: TableFingerprint
  recipe: Recipe | null
  bytes: number
  /** First block, and the block after the last; null to the end. */
  blocks: { from: number; to: number | null } | null
  /** Pieces of the same table that are not read yet. */
  open: { pieces: number }
}

const megabyte = 1_048_576
/** Pieces smaller than this share a statement: a far server costs a round trip each. */
const smallPiece = megabyte
const piecesPerStatement = 40
/** Larger tables are read in pieces of about this size by several sessions, where the server can (14 and newer). */
export const largePiece = 256 * megabyte

export interface TableWork {
  /** Tables that are altered to be read, one a task: to be done before any other session of ours locks a table. */
  barred: Task[]
  /** Largest first. */
  tasks: Task[]
  /** Filled in by the tasks. */
  tables: TableFingerprint[]
  recipes: Recipe[]
}

/**
 * Decides how each table is read, and prepares the reading: count and digest in one scan, large tables in pieces, small
 * ones together.
 *
 * @param leader a session for the catalog
 * @param source on the target: the source's fingerprint, whose recipes are used
 */
export async function tableWork(
  plan: ReadPlan,
  tables: TableInfo[],
  source: DatabaseFingerprint | undefined,
  leader: pg.Client,
): Promise<TableWork> {
  const types = plan.method
    ? await readTypes(
        leader,
        plan.server,
        tables.flatMap(({ columns }) => columns.map(({ type }) => type)),
      )
    : new Map()
  const sourceTables = new Map(source?.tables.map((table) => [keyOf(table), table]))
  const recipes: Recipe[] = source ? source.recipes : []
  const known = new Map<string, number>()
  const pieces: Piece[] = []
  const results = tables.map((table): TableFingerprint => {
    const { schema, name, kind } = table
    const result: TableFingerprint = { schema, name, rows: 0 }
    if (kind === 'materialized view') result.kind = kind
    if (!table.populated) {
      result.populated = false
      return result
    }
    // a materialized view is computed anew by the restore: its rows follow from tables, which are digested
    const digested = plan.method !== null && kind === 'table'
    if (digested) chooseRecipe(table, result)
    const recipe = result.recipe === undefined ? null : (recipes[result.recipe] ?? null)
    if (recipe) result.digest = '0'
    pieces.push(...piecesOf(plan, table, result, recipe))
    return result
  })
  const isBarred = ({ table }: Piece) => plan.mayAlter === true && table.barred
  return {
    barred: tasksOf(plan, pieces.filter(isBarred), 1),
    tasks: tasksOf(
      plan,
      pieces.filter((piece) => !isBarred(piece)),
      piecesPerStatement,
    ),
    tables: results,
    recipes,
  }

  function chooseRecipe(table: TableInfo, result: TableFingerprint): void {
    const own = recipeOf(table.columns, types)
    if (!source) {
      const text = JSON.stringify(own)
      result.recipe = known.get(text) ?? recipes.push(own) - 1
      known.set(text, result.recipe)
      return
    }
    const index = sourceTables.get(keyOf(table))?.recipe
    const wanted = index === undefined ? undefined : recipes[index]
    if (index === undefined || !wanted) return
    const unlike = differingColumns(wanted, own)
    if (unlike.length > 0) result.unlike = unlike
    else result.recipe = index
  }
}

function piecesOf(
  plan: ReadPlan,
  table: TableInfo,
  result: TableFingerprint,
  recipe: Recipe | null,
): Piece[] {
  const { bytes } = table
  const count = Math.floor(bytes / plan.pieceBytes)
  // without a shared snapshot two pieces would show two moments; before 14 a range of blocks costs a whole scan
  const cuttable =
    plan.snapshot !== null &&
    plan.server >= 140000 &&
    table.heap &&
    table.condition === null &&
    !table.barred
  if (count < 2 || plan.jobs < 2 || !cuttable) {
    return [{ table, result, recipe, bytes, blocks: null, open: { pieces: 1 } }]
  }
  const step = Math.ceil(table.blocks / count)
  const open = { pieces: count }
  return Array.from({ length: count }, (_, index) => {
    const blocks = { from: index * step, to: index === count - 1 ? null : (index + 1) * step }
    return { table, result, recipe, bytes: bytes / count, blocks, open }
  })
}

/** Largest first; the small ones at the end share statements. */
function tasksOf(plan: ReadPlan, pieces: Piece[], together: number): Task[] {
  const statements: Piece[][] = []
  for (const piece of pieces.toSorted((a, b) => b.bytes - a.bytes)) {
    const last = statements.at(-1)
    const shares = last?.[0] && last[0].bytes < smallPiece && last.length < together
    if (shares) last.push(piece)
    else statements.push([piece])
  }
  return statements.map((statement) => ({
    name:
      statement.length === 1
        ? `${statement[0]?.table.schema}.${statement[0]?.table.name}`
        : `${statement.length} tables`,
    bytes: statement.reduce((sum, { bytes }) => sum + bytes, 0),
    run: async (client) => {
      const done = { rows: 0, tables: 0 }
      const from = performance.now()
      // once all of it is read: what is lost on the way is read again
      const read = await readPieces(client, plan, statement)
      const to = performance.now()
      const busy = (to - from) / 1000 / statement.length
      for (const [piece, { rows, digest }] of read) {
        plan.timed?.('check', piece.table, { from, to, busy })
        const { result, recipe, open } = piece
        result.rows += rows
        if (recipe) result.digest = String(BigInt(result.digest ?? 0) + digest)
        done.rows += rows
        open.pieces -= 1
        if (open.pieces === 0) done.tables += 1
      }
      return done
    },
  }))
}

interface Scanned {
  rows: number
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
async function readPieces(
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
function fateIn({ snapshot }: ReadPlan, { oid, schema, name, kind }: TableInfo): string {
  if (snapshot === null || kind !== 'table') return 'NULL::pg_catalog.text'
  return fateOf(oid, `${quoteLiteral(qualifiedName(schema, name))}::pg_catalog.regclass`)
}

function scanOf(piece: Piece, index: number, plan: ReadPlan): string {
  const { method, server } = plan
  const { table, recipe, blocks } = piece
  const digest =
    recipe && method ? digestExpression(recipe, method, 't', server) : 'NULL::pg_catalog.text'
  const range = blocks
    ? `t.ctid >= '(${blocks.from},0)'::pg_catalog.tid${blocks.to === null ? '' : ` AND t.ctid < '(${blocks.to},0)'::pg_catalog.tid`}`
    : undefined
  return `SELECT ${index} AS i, pg_catalog.count(*)::pg_catalog.text AS rows, ${digest} AS digest, ${fateIn(plan, table)} AS fate ${fromClause(table, server, range)}`
}
