import { messageOf } from '../../failure.ts'
import type { Context } from '../context.ts'
import type { DumpedDatabase } from '../kept/manifest.ts'

/** A table whose rows a data archive holds. */
export interface PartTable {
  schema: string
  name: string
  /** Of its storage on the source, TOAST included, without indexes. */
  bytes: number
}

/** A data archive that is to come. */
export interface PartAhead {
  /** Relative to the dump's directory, as the manifest will name it: `databases/shop/2`. */
  path: string
  /** Tables with rows of their own, in no particular order. */
  tables: readonly PartTable[]
  /**
   * The last one of a database: beside its tables it holds the positions of all sequences, the large objects, and the rows that
   * extensions keep for their users. Every other one holds a single table, and where sequences of its columns stand.
   */
  isRest: boolean
  /** Of its tables together. */
  bytes: number
}

/**
 * Is told of the dump of each database while it is being made, so that a restore can begin before it ends.
 *
 * For one database: `schema` once, `data` once for each archive that `schema` announced, in whatever order they become complete,
 * then `dumped`; `flows` may come before the `data` of an archive with a single table. A database that is dumped into one archive has
 * `dumped` alone. After `lost` nothing comes early any more: the database is dumped into one archive of a new moment, and `dumped` follows. When the dump fails or is cancelled, nothing more is
 * said: dumpDatabases throws.
 *
 * The calls return at once: the dump waits for none of them. What one throws, or rejects with, is logged and fails nothing.
 */
export interface DumpSink {
  /** Takes whole databases only: none is dumped in parts for it, and `dumped` is all that is said. */
  readonly wholeOnly?: boolean
  /**
   * The schema archive is complete: everything but rows, large objects and positions of sequences, with the statements that
   * refresh materialized views.
   *
   * @param database its `archives` are this one alone, and its `fingerprint` is undefined: it is still being taken
   * @param ahead the data archives that are to come, in the order in which they are begun, but for a small one that may be tried beside the
   * first, and in which a restore takes them
   */
  schema(database: DumpedDatabase, ahead: readonly PartAhead[]): void
  /**
   * Rows of the single table of a data archive begin to come: its data file is there, or will be in a moment, and grows.
   *
   * @param database its name on the source
   * @param path as `schema` has announced it
   */
  flows?(database: string, path: string): void
  /**
   * A data archive is complete, and holds what was announced: its table of contents was read.
   *
   * @param database its name on the source
   * @param path as `schema` has announced it
   */
  data(database: string, path: string): void
  /**
   * The moment that the archives were of is lost, with a connection: all that was told of this database is void, and its files are
   * about to be removed.
   *
   * @param database its name on the source
   */
  lost(database: string): void
  /** The whole database is dumped, with its fingerprint; its `archives` are all of it, in the order of their restore. */
  dumped(database: DumpedDatabase): void
}

/** A sink that never throws, whatever the given one does. */
export function quietSink(
  sink: DumpSink | undefined,
  { log }: Pick<Context, 'log'>,
): DumpSink | undefined {
  if (!sink) return undefined
  const tell = (call: () => unknown) => {
    const failed = (error: unknown) =>
      log.debug(`what the dump has told was not taken up: ${messageOf(error)}`)
    try {
      void Promise.resolve(call()).catch(failed)
    } catch (error) {
      failed(error)
    }
  }
  return {
    ...(sink.wholeOnly === undefined ? {} : { wholeOnly: sink.wholeOnly }),
    schema: (database, ahead) => tell(() => sink.schema(database, ahead)),
    flows: (database, path) => tell(() => sink.flows?.(database, path)),
    data: (database, path) => tell(() => sink.data(database, path)),
    lost: (database) => tell(() => sink.lost(database)),
    dumped: (database) => tell(() => sink.dumped(database)),
  }
}

/** One sink that tells several, whatever any of them does. */
export function tellingAll(sinks: readonly DumpSink[], context: Pick<Context, 'log'>): DumpSink {
  const all = sinks.map((sink) => quietSink(sink, context))
  const tell = (call: (sink: DumpSink) => void) => {
    for (const sink of all) if (sink) call(sink)
  }
  return {
    schema: (...what) => tell((sink) => sink.schema(...what)),
    flows: (...what) => tell((sink) => sink.flows?.(...what)),
    data: (...what) => tell((sink) => sink.data(...what)),
    lost: (...what) => tell((sink) => sink.lost(...what)),
    dumped: (...what) => tell((sink) => sink.dumped(...what)),
  }
}
