import type { EntryResult, ObjectResult, TableResult } from '../../../report/model.ts'
import type { Decisions, OpenDefinition } from '../catalog/definition.ts'
import type { DatabaseFingerprint, SequenceFingerprint, TableFingerprint } from '../model.ts'
import type { SequenceState } from '../rows/sequences.ts'
import { keyOf } from '../rows/tables.ts'
import { compareCatalogs } from './catalogs.ts'
import { type ExpectedDifference, ExpectedDifferences } from './expected-differences.ts'
import { compareLargeObjects } from './large-objects.ts'
import { scatteredRows } from './scattered-rows.ts'
import type { RoleSubstitute } from './sides.ts'

export interface Comparison {
  tables: TableResult[]
  objects: ObjectResult[]
  /** Nothing differs, or only what was expected. */
  equal: boolean
  /** Equal, and everything was compared: row counts alone verify nothing. */
  verified: boolean
  /** Texts of the catalogs that differ, for a rebuild to decide about. */
  open: OpenDefinition[]
}

/**
 * Compares a source's fingerprint with its target's. Pure: neither server is asked.
 *
 * @param expected what the restore left out or changed, each with its reason: such differences are listed as explained
 * @param substitutes roles whose ownership or grants the target cannot have
 * @param decisions what a rebuild says about printed definitions; without it each that differs is a difference
 * @throws Error when the two are no pair: another structure, or digests of another method
 */
export function compareFingerprints(
  source: DatabaseFingerprint,
  target: DatabaseFingerprint,
  expected: readonly ExpectedDifference[],
  substitutes: readonly RoleSubstitute[] = [],
  decisions?: Decisions,
): Comparison {
  if (source.format !== target.format || source.method !== target.method) {
    throw new Error('the two fingerprints were not taken by the same method')
  }
  const known = new ExpectedDifferences(expected)
  const tables = compareTables(source, target, known)
  const catalogs =
    source.catalog && target.catalog
      ? compareCatalogs(
          { server: source.server, catalog: source.catalog },
          { server: target.server, catalog: target.catalog },
          known,
          substitutes,
          decisions,
        )
      : null
  const objects = [
    catalogs ? null : extraTables(source, target),
    compareSequences(source.sequences, target.sequences, known),
    ...compareLargeObjects(source.largeObjects, target.largeObjects, known, substitutes),
    ...(catalogs?.objects ?? []),
  ].filter((result) => result !== null)
  const equal =
    tables.every(({ match, explained }) => match || explained !== undefined) &&
    objects.every((o) => o.missing.length + o.different.length + (o.extra?.length ?? 0) === 0)
  return {
    tables,
    objects,
    equal,
    verified: equal && catalogs !== null && objects.every((o) => o.undecided === undefined),
    open: catalogs?.open ?? [],
  }
}

const computedAnew =
  'The restore computes a materialized view anew; the rows on the source are those of its last refresh'

function compareTables(
  source: DatabaseFingerprint,
  target: DatabaseFingerprint,
  expected: ExpectedDifferences,
): TableResult[] {
  const there = new Map(target.tables.map((table) => [keyOf(table), table]))
  const digests = source.level === 'data' && target.level === 'data'
  const scattered = scatteredRows(source, there, digests)
  return source.tables.map((table): TableResult => {
    const { schema, name } = table
    const other = there.get(keyOf(table))
    const blind = [
      ...(table.unreadable === undefined ? [] : [`on the source: ${table.unreadable}`]),
      ...(other?.unreadable === undefined ? [] : [`on the target: ${other.unreadable}`]),
    ]
    const result = {
      schema,
      name,
      sourceRows: table.unreadable === undefined ? table.rows : null,
      targetRows: other?.unreadable === undefined ? (other?.rows ?? null) : null,
      match: blind.length === 0 && other !== undefined && sameRows(table, other, digests),
    }
    if (result.match) return result
    const view = table.kind === 'materialized view'
    const own = view ? 'MATERIALIZED VIEW' : 'TABLE'
    // a table that was restored otherwise than dumped still holds all its rows
    const entries = other ? [`${own} DATA`] : [own, `${own} DATA`]
    const reason = expected.reasonFor(entries.map((entry) => `${entry} ${schema}.${name}`))
    const computed =
      blind.length === 0 && table.kind && other && table.populated === other.populated
    const explained = reason ?? scattered.get(keyOf(table)) ?? (computed ? computedAnew : undefined)
    return {
      ...result,
      ...(blind.length > 0 ? { unreadable: blind.join('; ') } : {}),
      ...(explained === undefined ? {} : { explained }),
    }
  })
}

/** A digest that only one side has is a difference: the other could not compute it. */
function sameRows(source: TableFingerprint, target: TableFingerprint, digests: boolean): boolean {
  return (
    source.rows === target.rows &&
    source.kind === target.kind &&
    source.populated === target.populated &&
    target.unlike === undefined &&
    (!digests || source.digest === target.digest)
  )
}

/** Tables that only the target has, where no catalog says it; the others are in the list of tables. */
function extraTables(
  source: DatabaseFingerprint,
  target: DatabaseFingerprint,
): ObjectResult | null {
  const known = new Set(source.tables.map(keyOf))
  const extra = target.tables.filter((table) => !known.has(keyOf(table)))
  if (extra.length === 0) return null
  return {
    kind: 'table',
    source: source.tables.length,
    target: target.tables.length,
    missing: [],
    different: [],
    extra: extra.map(({ schema, name }) => `${schema}.${name}`),
  }
}

function compareSequences(
  source: SequenceFingerprint[],
  target: SequenceState[],
  expected: ExpectedDifferences,
): ObjectResult {
  const missing: string[] = []
  const different: string[] = []
  const there = new Map(target.map((sequence) => [keyOf(sequence), sequence]))
  const explained: EntryResult[] = []
  for (const sequence of source) {
    const name = `${sequence.schema}.${sequence.name}`
    const other = there.get(keyOf(sequence))
    const blind = sequence.unreadable ?? other?.unreadable
    if (blind === undefined && other && sameState(sequence, other)) continue
    const reason = expected.reasonFor([`SEQUENCE ${name}`, `SEQUENCE SET ${name}`])
    if (reason !== undefined) explained.push({ entry: `SEQUENCE SET ${name}`, reason })
    else if (blind !== undefined) different.push(`${name}: cannot be read: ${blind}`)
    else if (other) {
      const { dumped } = sequence
      const known = dumped
        ? `${dumped.map(describe).join(' or ')} in the dump`
        : `${describe(sequence)} on the source`
      different.push(`${name}: ${known}, ${describe(other)} on the target`)
    } else missing.push(name)
  }
  const known = new Set(source.map(keyOf))
  const extra = target.filter((sequence) => !known.has(keyOf(sequence)))
  return {
    kind: 'sequence value',
    source: source.length,
    target: target.length,
    missing,
    different,
    ...(explained.length > 0 ? { explained } : {}),
    ...(extra.length > 0 ? { extra: extra.map(({ schema, name }) => `${schema}.${name}`) } : {}),
  }
}

/**
 * As it is in the dump. Where it moved and nothing says how it was dumped, by the fingerprint of a live source say, anywhere on its
 * way from the first reading to the second.
 */
function sameState(source: SequenceFingerprint, target: SequenceState): boolean {
  const same = (state: { last: string; called: boolean }) =>
    state.last === target.last && state.called === target.called
  if (source.dumped) return source.dumped.some(same)
  if (same(source) || (source.later && same(source.later))) return true
  if (!source.later || !target.called) return false
  const [first, last, value] = [source.last, source.later.last, target.last].map(BigInt)
  if (first === undefined || last === undefined || value === undefined) return false
  return first <= last ? first <= value && value <= last : last <= value && value <= first
}

function describe({ last, called }: { last: string; called: boolean }): string {
  return called ? last : `${last} (not used yet)`
}
