import type pg from 'pg'
import type { DatabaseFingerprint, TableFingerprint } from '../model.ts'
import { type Ahead, readingOf, shapeOf, type TableAhead } from './ahead.ts'
import { differingColumns, type Recipe, recipeOf } from './digest.ts'
import { isSame, type Piece, readPieces } from './pieces.ts'
import type { ReadPlan, Task } from './readers.ts'
import { scatteredTables } from './scattered.ts'
import { cutBlocks, keyOf, type ReadType, readTypes, type TableInfo } from './tables.ts'

const megabyte = 1_048_576
/** Pieces smaller than this share a statement: a far server costs a round trip each. */
const smallPiece = megabyte
const piecesPerStatement = 40
/** Larger tables are read in pieces of about this size by several sessions, where the server can (14 and newer). */
export const largePiece = 256 * megabyte

/** Looking whether rows are the same takes so much less than reading them (bench/verify.ts: `count(*)` beside digests). */
const lookingIsCheaper = 8

/** Smaller numbers are of no transaction of its own: rows of any that ended long ago may bear them (FrozenTransactionId, transam.h). */
const firstTransaction = 3n

export interface TableWork {
  /** Tables that are altered to be read, one a task: to be done before any other session of ours locks a table. */
  barred: Task[]
  /** Largest first. */
  tasks: Task[]
  /** Filled in by the tasks. */
  tables: TableFingerprint[]
  recipes: Recipe[]
  /** Once all tasks are done: the tables that were read ahead and are not the same any more, to be read as ever. */
  again(): Task[]
  /** Tables that were read ahead, and the seconds that sessions took for those that are the same. */
  ahead: { tables: number; seconds: number }
}

/**
 * Decides how each table is read, and prepares the reading: count and digest in one scan, large tables in pieces, small
 * ones together.
 *
 * @param leader a session for the catalog
 * @param source on the target: the source's fingerprint, whose recipes are used
 * @param ahead what was read of the target before, while others were restored
 */
export async function tableWork(
  plan: ReadPlan,
  tables: TableInfo[],
  source: DatabaseFingerprint | undefined,
  leader: pg.Client,
  ahead: Ahead = new Map(),
): Promise<TableWork> {
  const types = plan.method
    ? await readTypes(
        leader,
        plan.server,
        tables.flatMap(({ columns }) => columns.map(({ type }) => type)),
      )
    : new Map<number, ReadType>()
  const scattered = await scatteredTables(leader, plan.server)
  const sourceTables = new Map(source?.tables.map((table) => [keyOf(table), table]))
  const recipes: Recipe[] = source ? source.recipes : []
  const known = new Map<string, number>()
  const pieces: Piece[] = []
  const readBefore: { table: TableInfo; known: TableAhead; pieces: Piece[] }[] = []
  const results = tables.map((table): TableFingerprint => {
    const { schema, name, kind } = table
    const result: TableFingerprint = { schema, name, rows: 0 }
    if (kind === 'materialized view') result.kind = kind
    const scatteredIn = scattered.get(table.oid)
    if (scatteredIn) result.scatteredIn = scatteredIn
    if (!table.populated) {
      result.populated = false
      return result
    }
    // a materialized view is computed anew by the restore: its rows follow from tables, which are digested
    const digested = plan.method !== null && kind === 'table'
    if (digested) chooseRecipe(table, result)
    const recipe = result.recipe === undefined ? null : (recipes[result.recipe] ?? null)
    if (recipe) result.digest = '0'
    const known = recipe ? ahead.get(keyOf(table)) : undefined
    if (known && recipe && isOfUse(known, table, recipe)) {
      const looks = looksAt(table, result, recipe, known)
      readBefore.push({ table, known, pieces: looks })
      pieces.push(...looks)
    } else pieces.push(...piecesOf(plan, table, result, recipe))
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
    again: () =>
      tasksOf(
        plan,
        readBefore.flatMap(({ table, pieces: [one] }) =>
          one && !one.open.isSame ? piecesOf(plan, table, one.result, one.recipe) : [],
        ),
        piecesPerStatement,
      ),
    ahead: {
      tables: readBefore.length,
      get seconds() {
        const same = readBefore.filter(({ pieces: [one] }) => one?.open.isSame)
        return same.reduce((sum, { known }) => sum + known.seconds, 0)
      },
    },
  }

  /**
   * Whether what was read ahead says what this reading would say, and says that the rows are those of the source: whatever is
   * not is read as ever before it is called a difference.
   */
  function isOfUse(known: TableAhead, table: TableInfo, recipe: Recipe): boolean {
    const wanted = sourceTables.get(keyOf(table))
    const rows = known.pieces.reduce((sum, piece) => sum + piece.rows, 0)
    const digest = known.pieces.reduce((sum, piece) => sum + piece.digest, 0n)
    return (
      known.reading === readingOf(plan, recipe) &&
      known.shape === shapeOf(table, types) &&
      known.pieces.every(({ xids }) => xids.every((xid) => BigInt(xid) >= firstTransaction)) &&
      !(plan.mayAlter && table.barred) &&
      wanted?.rows === rows &&
      wanted.digest === String(digest)
    )
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
    return [{ table, result, recipe, bytes, blocks: null, open: { pieces: 1, isSame: true } }]
  }
  const open = { pieces: count, isSame: true }
  return cutBlocks(table.blocks, count).map((blocks) => ({
    ...{ table, result, recipe, bytes: bytes / count, blocks, open },
  }))
}

/** The pieces in which a table was read ahead, to be looked at again. */
function looksAt(
  table: TableInfo,
  result: TableFingerprint,
  recipe: Recipe,
  { pieces }: TableAhead,
): Piece[] {
  const open = { pieces: pieces.length, isSame: true }
  const bytes = table.bytes / pieces.length / lookingIsCheaper
  return pieces.map((before) => ({
    ...{ table, result, recipe, bytes, blocks: before.blocks, before, open },
  }))
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
        const { result, recipe, open, before } = piece
        open.pieces -= 1
        if (before && !isSame(before, rows, digest, result)) open.isSame = false
        // it will be read as ever
        if (!open.isSame) {
          startAnew(result)
          continue
        }
        result.rows += rows
        if (recipe) result.digest = String(BigInt(result.digest ?? 0) + (before?.digest ?? digest))
        done.rows += rows
        if (open.pieces === 0) done.tables += 1
      }
      return done
    },
  }))
}

function startAnew(result: TableFingerprint): void {
  result.rows = 0
  result.digest = '0'
  delete result.unreadable
}
