import type pg from 'pg'
import type { Opened } from '../../../postgres/connection.ts'
import type { NoteStep } from '../../timing.ts'
import type { DatabaseFingerprint } from '../model.ts'
import { inTransaction, type Place } from '../read-session.ts'
import type { AheadSizes } from './ahead-sizes.ts'
import { digestExpression, type Recipe, recipeOf } from './digest.ts'
import { openReader, type ReadPlan, valueSettings } from './readers.ts'
import {
  type Blocks,
  cutBlocks,
  fromClause,
  listTables,
  type ReadType,
  readTypes,
  type TableInfo,
} from './tables.ts'

/**
 * Tables of a target that were read before everything else was restored, by keyOf(). A verification asks whether their rows
 * are still the same, which is a fraction of reading them once more (docs/verification.md, "Read while others are restored").
 */
export type Ahead = ReadonlyMap<string, TableAhead>

export interface TableAhead {
  /** How the rows became a digest: it counts where the verification would compute the very same (see readingOf). */
  reading: string
  /** See shapeOf(). */
  shape: string
  pieces: readonly AheadPiece[]
  /** Seconds that sessions took for it, added up. */
  seconds: number
}

/** What was read in one scan. */
export interface AheadPiece {
  /** Null for the whole table. */
  blocks: Blocks | null
  rows: number
  digest: bigint
  /** The transactions that had written these rows; they are committed, since the rows were seen. */
  xids: readonly string[]
}

/** What of a source decides how rows become digests: its fingerprint, or what is presumed of that while it is still taken. */
export type DigestFacts = Pick<
  DatabaseFingerprint,
  'method' | 'floatDigits' | 'server' | 'encoding'
>

/** A row says which transaction wrote it; COPY writes those of a table in one, or in one for each of its sessions. */
const mostTransactions = 64

/** The session and the moment of a reading do not matter to what it says: its SQL and the settings that change values do. */
export function readingOf(plan: ReadPlan, recipe: Recipe): string {
  if (!plan.method) return ''
  return JSON.stringify([
    digestExpression(recipe, plan.method, 't', plan.server),
    valueSettings(plan),
  ])
}

/**
 * What can change of a table's values although none of its rows is written: which table and which of its columns have a name, since
 * two may exchange theirs, and one that is made anew has another number; the columns of composite types likewise, and the labels of
 * enums. And the table's file, since whoever writes it anew as a whole (VACUUM FULL, CLUSTER) puts rows into other blocks.
 */
export function shapeOf(
  { oid, file, columns }: Pick<TableInfo, 'oid' | 'file' | 'columns'>,
  types: ReadonlyMap<number, ReadType>,
): string {
  const made = typesOf(columns, types)
    .filter(({ parts }) => parts.length > 0)
    .map((type) => [type.oid, type.parts])
  return JSON.stringify([oid, file, columns, made])
}

/** Whether all that a row's values are read by is in the row, or in its shape. */
function isRead(
  { columns }: Pick<TableInfo, 'columns'>,
  types: ReadonlyMap<number, ReadType>,
): boolean {
  return (
    columns.every(({ isStored }) => isStored) &&
    typesOf(columns, types).every(({ speaksForItself }) => speaksForItself)
  )
}

/** The types of columns, and those that these are made of. */
function typesOf(columns: TableInfo['columns'], types: ReadonlyMap<number, ReadType>): ReadType[] {
  const found = new Map<number, ReadType>()
  const open = columns.map(({ type }) => type)
  for (let oid = open.pop(); oid !== undefined; oid = open.pop()) {
    const type = types.get(oid)
    if (!type || found.has(oid)) continue
    found.set(oid, type)
    open.push(type.base, type.element, type.subtype, ...type.attributes)
  }
  return [...found.values()].sort((a, b) => a.oid - b.oid)
}

/** One table of a target whose rows are all there is read, piece by piece, by one or more sessions. */
export class AheadReading {
  private readonly plan: ReadPlan
  private readonly table: { schema: string; name: string }
  private readonly sizes: AheadSizes
  private readonly timed: NoteStep | undefined
  private found: { info: TableInfo; recipe: Recipe; shape: string } | undefined
  private todo: (Blocks | null)[] = []
  private missing = 0
  private seconds = 0
  private isGivenUp = false
  private readonly pieces: AheadPiece[] = []

  /**
   * @param place its connection may be one of a role that owns the table
   * @param server `server_version_num` of the target
   */
  constructor(
    place: Place,
    server: number,
    facts: DigestFacts,
    table: { schema: string; name: string },
    sizes: AheadSizes,
    timed: NoteStep | undefined,
  ) {
    const { method, floatDigits, encoding, server: source } = facts
    // one session reads a piece alone, since the other jobs have work of their own, and whoever locks the table goes first
    const own = { server, snapshot: null, jobs: 1, pieceBytes: sizes.piece, lockWait: 5000 }
    this.plan = { place, source, encoding, floatDigits, method, ...own }
    this.table = table
    this.sizes = sizes
    this.timed = timed
  }

  /** A session that can read pieces. @throws Failure on a refused connection; Cancelled */
  async open(signal: AbortSignal): Promise<Opened> {
    return await openReader(this.plan, signal)
  }

  get isBegun(): boolean {
    return this.found !== undefined
  }

  /** No piece is left for anybody. */
  get isOver(): boolean {
    return this.isGivenUp || (this.isBegun && this.todo.length === 0)
  }

  /**
   * Looks at the table.
   *
   * @returns how many pieces there are to read; 0 where it is left to the verification
   */
  async begin(client: pg.Client): Promise<number> {
    const { plan, table, sizes } = this
    const { tables } = await listTables(client, plan.server, true, table)
    const [info] = tables
    // the rows of an extension's table that a dump carries are chosen by a condition; other kinds of storage have no xmin
    if (info?.kind !== 'table' || info.condition !== null || !info.heap || info.barred) return 0
    const types = await readTypes(
      client,
      plan.server,
      info.columns.map(({ type }) => type),
    )
    if (!isRead(info, types)) return 0
    if ((await this.writersOf(client, info)) > mostTransactions) return 0
    const cuttable = plan.server >= 140_000
    if (!cuttable && info.bytes > sizes.whole) return 0
    const count = cuttable ? Math.ceil(info.bytes / sizes.piece) : 1
    this.found = { info, recipe: recipeOf(info.columns, types), shape: shapeOf(info, types) }
    this.todo = count < 2 ? [null] : cutBlocks(info.blocks, count)
    this.missing = this.todo.length
    return this.missing
  }

  /** How many transactions have written its first rows: where INSERT statements did, each of them may be one. */
  private async writersOf(client: pg.Client, info: TableInfo): Promise<number> {
    const first = `SELECT t.xmin::pg_catalog.text AS xid ${fromClause(info, this.plan.server)} LIMIT 1000`
    const { rows } = await this.reading(client, info, () =>
      client.query<{ writers: number }>(
        `SELECT pg_catalog.count(DISTINCT f.xid)::int AS writers FROM (${first}) f`,
      ),
    )
    return rows[0]?.writers ?? 0
  }

  private async reading<T>(client: pg.Client, info: TableInfo, work: () => Promise<T>): Promise<T> {
    const { schema, name, owner } = info
    const object = { what: `The table ${schema}.${name}`, grant: 'SELECT on the table', owner }
    return await inTransaction(client, this.plan, object, work)
  }

  /**
   * Reads a piece, where one is left.
   *
   * @returns whether others are left
   */
  async next(client: pg.Client): Promise<boolean> {
    const blocks = this.todo.shift()
    if (blocks === undefined || !this.found) return false
    const { plan, table } = this
    const { info, recipe } = this.found
    const { method, server } = plan
    if (!method) return false
    const from = performance.now()
    const { rows } = await this.reading(client, info, () =>
      client.query<{ xid: string; rows: string; digest: string }>(
        `SELECT t.xmin::pg_catalog.text AS xid, pg_catalog.count(*)::pg_catalog.text AS rows,
                ${digestExpression(recipe, method, 't', server)} AS digest ${fromClause(info, server, blocks)} GROUP BY t.xmin`,
      ),
    )
    if (rows.length > mostTransactions) throw new Error('too many transactions have written it')
    this.pieces.push({
      blocks,
      rows: rows.reduce((sum, one) => sum + Number(one.rows), 0),
      digest: rows.reduce((sum, { digest }) => sum + BigInt(digest), 0n),
      xids: rows.map(({ xid }) => xid),
    })
    this.missing--
    const to = performance.now()
    this.seconds += (to - from) / 1000
    this.timed?.('check', table, { from, to })
    return this.todo.length > 0
  }

  /** Nothing of it is used. */
  giveUp(): void {
    this.isGivenUp = true
    this.todo = []
  }

  /** What was read; undefined where a piece is missing. */
  get result(): TableAhead | undefined {
    if (!this.found || this.missing > 0) return undefined
    const { recipe, shape } = this.found
    return {
      reading: readingOf(this.plan, recipe),
      shape,
      pieces: this.pieces,
      seconds: this.seconds,
    }
  }
}
