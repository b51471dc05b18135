import { Failure } from '../../failure.ts'
import type { Archive } from '../../postgres/archive/archive.ts'
import { type ArchiveEntry, entryName, isOfDatabase } from '../../postgres/archive/entry.ts'
import { qualifiedName } from '../../postgres/identifiers.ts'
import { printable } from '../../text/text.ts'
import { archivePath } from '../kept/manifest.ts'
import { presumedChain, presumedLeft } from '../restore/run/costs.ts'
import { type PartSizes, partSizes } from './part-sizes.ts'
import type { PartAhead, PartTable } from './sink.ts'

/** A table that pg_dump reads rows of. */
export interface StoredTable extends PartTable {
  /** The access methods of its indexes. */
  methods: readonly string[]
  /** Of them so many, by its size and what the last ANALYZE found; null where there was none. */
  rows: number | null
  /**
   * Its rows can be in an archive of their own: it belongs to no extension, whose tables pg_dump dumps in part or not at all; its
   * rows go into no other table, as those of hash partitions can; it is not unlogged on a standby, where pg_dump leaves it out;
   * and its name reaches the server as it is.
   */
  mayStandAlone: boolean
}

/** Options of pg_dump that neither choose what is dumped nor into which tables its rows go. */
const harmless =
  /^(-[ORSx]|--(no-owner|no-reconnect|superuser|no-privileges|no-acl|disable-dollar-quoting|extra-float-digits|lock-wait-timeout|no-comments|no-policies|no-publications|no-security-labels|no-subscriptions|no-sync|no-table-access-method|no-tablespaces|no-toast-compression|quote-all-identifiers|sync-method|use-set-session-authorization)(=|$))/

/** The first of the user's options of pg_dump with which a dump in parts might not hold what one archive would; undefined for none. */
export function optionAgainstParts(dumpOptions: readonly string[]): string | undefined {
  return dumpOptions.find((option) => !harmless.test(option))
}

/**
 * Chooses the data archives of a database: one for each large table, of more than there may be those with the longest way to their
 * last index, and one for all that remains. That table comes first of which most is left to do when it is dumped, its costliest index
 * above all, since its rows are loaded meanwhile: of work that one machine does in turns, and that then goes on by itself, this order ends
 * soonest, however fast the machine is (Jackson, "Scheduling a production line to minimize maximum tardiness", 1955).
 *
 * @param database its name, for the paths
 * @param tables all whose rows are dumped
 * @returns in the order in which they are dumped, the rest last; null where one archive is better
 */
export function planParts(
  database: string,
  tables: readonly StoredTable[],
  sizes: PartSizes = partSizes,
): PartAhead[] | null {
  const total = bytesOf(tables)
  if (total < sizes.database) return null
  const large = tables
    .filter(
      ({ bytes, mayStandAlone }) =>
        mayStandAlone && bytes > 0 && bytes >= sizes.table && bytes >= sizes.share * total,
    )
    .map((table) => ({
      table,
      chain: presumedChain(table.bytes, table.methods),
      left: presumedLeft(table.bytes, table.methods),
    }))
    .sort((one, other) => other.chain - one.chain)
    .slice(0, sizes.parts - 1)
    .sort((one, other) => other.left - one.left)
    .map(({ table }) => table)
  if (large.length === 0) return null
  const alone = new Set(large)
  const rest = tables.filter((table) => !alone.has(table))
  return [...large.map((table) => [table]), rest].map((members, index) => ({
    path: archivePath(database, index + 2),
    tables: members.map(({ schema, name, bytes }) => ({ schema, name, bytes })),
    isRest: index === large.length,
    bytes: bytesOf(members),
  }))
}

const bytesOf = (tables: readonly PartTable[]) => tables.reduce((sum, { bytes }) => sum + bytes, 0)

/** The options of pg_dump that make the schema archive: everything but the data section, so with what refreshes views. */
export const schemaArguments: readonly string[] = ['--section=pre-data', '--section=post-data']

/**
 * The options of pg_dump that make one data archive. A name in double quotes is no pattern: whatever stands in them, it matches
 * itself alone (PostgreSQL, "psql", "Patterns"; processSQLNamePattern in its source).
 *
 * @param parts all data archives of the database
 */
export function partArguments(part: PartAhead, parts: readonly PartAhead[]): string[] {
  const named = (option: string, { tables }: PartAhead) =>
    tables.map(({ schema, name }) => `--${option}=${qualifiedName(schema, name)}`)
  return [
    '--section=data',
    ...(part.isRest
      ? parts.filter((one) => !one.isRest).flatMap((one) => named('exclude-table-data', one))
      : named('table', part)),
  ]
}

const ofRest =
  /^(TABLE DATA|SEQUENCE SET|BLOBS|BLOB|BLOB METADATA|LARGE OBJECTS?|ACL|COMMENT|SECURITY LABEL)$/

/**
 * Whether the schema archive holds no rows, so that none can be restored twice.
 *
 * @throws Failure that names what it should not hold
 */
export function checkSchema({ entries }: Pick<Archive, 'entries'>, database: string): void {
  const wrong = entries.find((entry) => entry.section === 'data' && !isOfDatabase(entry))
  if (wrong) throw unexpected(database, `${entryName(wrong)} is in the archive of the definitions`)
}

/**
 * Whether a data archive holds the rows that it was to hold, and no others: what is lost between two archives, or is in both, no
 * pg_restore would notice.
 *
 * @param parts all data archives of the database
 * @param expected tables whose rows must be in some archive
 * @throws Failure that names what is missing or too much
 */
export function checkPart(
  { entries }: Pick<Archive, 'entries'>,
  part: PartAhead,
  parts: readonly PartAhead[],
  expected: readonly PartTable[],
  database: string,
): void {
  const alone = new Set(
    parts.filter((one) => !one.isRest).flatMap(({ tables }) => tables.map(keyOf)),
  )
  const data = new Set(entries.filter(({ desc }) => desc === 'TABLE DATA').map(keyOf))
  for (const table of part.isRest ? expected : part.tables) {
    if (data.has(keyOf(table)) || (part.isRest && alone.has(keyOf(table)))) continue
    const name = printable(`${table.schema}.${table.name}`)
    throw unexpected(database, `the rows of the table ${name} are missing in ${part.path}`)
  }
  const own = new Set(part.tables.map(keyOf))
  const wrong = entries.find((entry) => {
    if (isOfDatabase(entry)) return false
    if (part.isRest)
      return !ofRest.test(entry.desc) || (entry.desc === 'TABLE DATA' && alone.has(keyOf(entry)))
    // pg_dump takes along where the sequences of the table's own columns stand
    if (entry.desc === 'SEQUENCE SET') return false
    return entry.desc !== 'TABLE DATA' || !own.has(keyOf(entry))
  })
  if (wrong) throw unexpected(database, `${entryName(wrong)} is in ${part.path} as well`)
}

/**
 * Tables whose rows must be in some data archive: those that the schema archive defines.
 *
 * @param tables as the server listed them in the same moment
 */
export function tablesWithRows(
  schema: Pick<Archive, 'entries'>,
  tables: readonly StoredTable[],
): StoredTable[] {
  const defined = new Set(schema.entries.filter(({ desc }) => desc === 'TABLE').map(keyOf))
  return tables.filter((table) => table.mayStandAlone && defined.has(keyOf(table)))
}

function keyOf(table: PartTable | ArchiveEntry): string {
  return 'desc' in table ? `${table.namespace}\0${table.tag}` : `${table.schema}\0${table.name}`
}

function unexpected(database: string, why: string): Failure {
  return new Failure(
    `The parts of the dump of "${printable(database)}" do not hold what they were to hold`,
    why,
    'Run it again; where it ends in the same way, migrate with the commands dump and restore, one after the other, which make one archive of a database',
  )
}
