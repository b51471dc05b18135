import type { DefinitionResult, EntryResult, ObjectResult } from '../../../report/model.ts'
import {
  type Decisions,
  isPrinted,
  isShown,
  type OpenDefinition,
  sameText,
} from '../catalog/definition.ts'
import { memberKind } from '../catalog/members.ts'
import type { CatalogObject } from '../catalog/model.ts'
import {
  entriesOf,
  entriesOfFacet,
  isOfFacet,
  listedObject,
  parentEntries,
} from './archive-names.ts'
import type { ExpectedDifferences } from './expected-differences.ts'
import { grantDifferences } from './grants.ts'
import {
  type CatalogSide,
  type Difference,
  entriesOfObject,
  label,
  named,
  nameOf,
  type RoleSubstitute,
  shown,
} from './sides.ts'

/** Facets that older servers do not have: compared only where both do. */
const facetSince: Record<string, number> = {
  multirange: 140000,
  subscript: 140000,
  'final function': 110000,
}

/** Facets that tell what another facet's difference means, and are compared in no other way. */
const tellingFacets = new Set([
  'dumped order',
  'extension',
  'added',
  'signature',
  'in family',
  'owner since initdb',
])

/**
 * Compares two catalogs, kind by kind.
 *
 * @param substitutes roles whose ownership or grants could not be carried over
 * @param decisions about printed definitions; without them each that differs is a difference
 * @returns a result for each kind that either side has; an explained difference is in `explained` only. And the texts
 *   that differ, decided or not
 */
export function compareCatalogs(
  source: CatalogSide,
  target: CatalogSide,
  expected: ExpectedDifferences,
  substitutes: readonly RoleSubstitute[],
  decisions?: Decisions,
): { objects: ObjectResult[]; open: OpenDefinition[] } {
  const kinds = new Set([
    ...Object.keys(source.catalog.kinds),
    ...Object.keys(target.catalog.kinds),
  ])
  const comparison = new CatalogComparison(source, target, expected, substitutes, decisions)
  const objects = [...kinds].sort().map((kind) => comparison.kind(kind))
  return { objects, open: comparison.open }
}

class CatalogComparison {
  readonly open: OpenDefinition[] = []
  readonly source: CatalogSide
  readonly target: CatalogSide
  readonly expected: ExpectedDifferences
  readonly substitutes: ReadonlyMap<string, RoleSubstitute>
  private readonly decisions: Decisions | undefined

  constructor(
    source: CatalogSide,
    target: CatalogSide,
    expected: ExpectedDifferences,
    substitutes: readonly RoleSubstitute[],
    decisions: Decisions | undefined,
  ) {
    this.source = source
    this.target = target
    this.expected = expected
    this.decisions = decisions
    this.substitutes = new Map(substitutes.map((substitute) => [substitute.role, substitute]))
  }

  kind(kind: string): ObjectResult {
    const here = this.source.catalog.kinds[kind] ?? []
    const key = ({ name }: CatalogObject) => listedObject(kind, name)
    const there = new Map((this.target.catalog.kinds[kind] ?? []).map((o) => [key(o), o]))
    const missing: string[] = []
    const different: string[] = []
    const explained: EntryResult[] = []
    const undecided: EntryResult[] = []
    const definitions: DefinitionResult[] = []
    for (const object of here) {
      const other = there.get(key(object))
      there.delete(key(object))
      const name = shown(object.name)
      if (!other) {
        if (kind === memberKind && !this.isMissed(object)) continue
        const reason = this.reasonForMissing(kind, object)
        if (reason === undefined) missing.push(name)
        else explained.push({ entry: name, reason })
        continue
      }
      const open: string[] = []
      for (const { what, reason, undecided: why, texts } of this.differences(kind, object, other)) {
        if (reason !== undefined) explained.push({ entry: label(name, what), reason })
        else if (why !== undefined) undecided.push({ entry: label(name, what), reason: why })
        else {
          open.push(what)
          if (texts) definitions.push({ name, what, ...texts })
        }
      }
      if (open.length > 0) different.push(label(name, open.join(', ')))
    }
    const extra =
      kind === memberKind
        ? []
        : [...there.values()]
            .map(({ name }) => name)
            .filter((name) => !isExpectedExtra(kind, name))
            .map(shown)
    return {
      kind,
      source: here.length,
      target: this.target.catalog.kinds[kind]?.length ?? 0,
      missing,
      different,
      ...(extra.length > 0 ? { extra } : {}),
      ...(explained.length > 0 ? { explained } : {}),
      ...(undecided.length > 0 ? { undecided } : {}),
      ...(definitions.length > 0 ? { definitions } : {}),
    }
  }

  private reasonForMissing(kind: string, object: CatalogObject): string | undefined {
    if (kind === memberKind) return this.reasonForMember(object)
    if (kind === 'index' && object.facets?.invalid) {
      return 'the index is invalid on the source, and pg_dump leaves such indexes out'
    }
    return (
      this.reasonForObject(kind, object) ??
      this.expected.reasonFor(parentEntries(kind, object.name))
    )
  }

  /**
   * Whether an extension's object that the target has not is lost: an extension of another version, or in another package,
   * has other objects, but what somebody added to it, or granted on it, was on the source alone.
   */
  private isMissed({ acl, facets = {} }: CatalogObject): boolean {
    return acl !== undefined || facets.added !== undefined
  }

  private versionOf(side: CatalogSide, extension: string): string | undefined {
    return side.catalog.kinds.extension?.find(({ name }) => name === extension)?.facets?.version
  }

  private reasonForMember({ name, facets = {} }: CatalogObject): string | undefined {
    const extension = facets.extension?.slice(1) ?? ''
    const reason = this.expected.reasonFor([name, `EXTENSION ${extension}`])
    if (reason !== undefined) return reason
    const [here, there] = [this.source, this.target].map((side) => this.versionOf(side, extension))
    return there !== undefined && here !== there
      ? `the target has another version of the extension ${extension}, which has other objects`
      : undefined
  }

  private reasonForObject(kind: string, object: CatalogObject): string | undefined {
    return this.expected.reasonFor(entriesOfObject(kind, object))
  }

  private reasonForChange(kind: string, object: CatalogObject, facet: string): string | undefined {
    return this.expected.reasonForChange(entriesOfObject(kind, object), facet)
  }

  private *differences(
    kind: string,
    object: CatalogObject,
    other: CatalogObject,
  ): Generator<Difference> {
    yield* this.ownerDifference(kind, object, other)
    yield* grantDifferences(kind, object, other, this)
    const facets = new Set([
      ...Object.keys(object.facets ?? {}),
      ...Object.keys(other.facets ?? {}),
    ])
    for (const facet of facets) {
      const [a, b] = [object.facets?.[facet], other.facets?.[facet]]
      const since = facetSince[facet] ?? 0
      if (tellingFacets.has(facet)) continue
      // only children have it, and whose child a table is is another facet
      if (facet === 'column order' && (a === undefined || b === undefined)) continue
      if (sameText(a, b) || this.source.server < since || this.target.server < since) continue
      // what is kept as it is can be said
      const readable = [a, b].filter((text) => text?.startsWith('='))
      const what =
        readable.length > 0
          ? `${facet} (${a?.slice(1) ?? 'none'} on the source, ${b?.slice(1) ?? 'none'} on the target)`
          : facet
      const reason = this.reasonForFacet(kind, object, other, facet)
      if (reason !== undefined) yield { what, reason }
      else yield* this.openDifference(what, kind, object, other, facet)
    }
  }

  /** A difference that nothing explains, unless it is one of printing alone. */
  private *openDifference(
    what: string,
    kind: string,
    object: CatalogObject,
    other: CatalogObject,
    facet: string,
  ): Generator<Difference> {
    const [a, b] = [object.facets?.[facet], other.facets?.[facet]]
    const open: OpenDefinition = {
      kind,
      name: object.name,
      facet,
      target: b,
      constraint: object.facets?.['of constraint']?.slice(1),
      // what only one side has is no matter of printing
      printed: a !== undefined && b !== undefined && isPrinted(kind, facet),
    }
    this.open.push(open)
    const decided = open.printed && this.decisions ? this.decisions.decide(open) : 'different'
    if (decided === 'equal') return
    if (decided !== 'different') yield { what, reason: undefined, undecided: decided.undecided }
    else {
      const texts = isShown(kind, facet) ? this.decisions?.texts(open) : undefined
      yield { what, reason: undefined, texts }
    }
  }

  private reasonForFacet(
    kind: string,
    object: CatalogObject,
    other: CatalogObject,
    facet: string,
  ): string | undefined {
    const reason =
      this.expected.reasonFor(entriesOfFacet(kind, named(object), facet)) ??
      this.expected.find((entry) => isOfFacet(entry, shown(object.name), facet)) ??
      this.reasonForPlace(object, facet) ??
      this.reasonForFamily(kind, object, facet) ??
      this.reasonForChange(kind, object, facet) ??
      this.reasonForObject(kind, object)
    if (reason !== undefined) return reason
    // a dump for such a target is made without it
    if (/^compression of /.test(facet) && this.target.server < 140000) {
      return 'restored without COMPRESSION of columns, which came with PostgreSQL 14'
    }
    const inherited = this.reasonForInherited(object, other, facet)
    if (inherited !== undefined) return inherited
    if (kind === 'extension' && object.facets?.version !== other.facets?.version) {
      return 'the target has another version of the extension, and a dump names none'
    }
    if (kind === 'publication' && facet === 'tables') {
      return this.expected.find(
        (entry) => /^PUBLICATION TABLE/.test(entry) && entry.includes(shown(object.name)),
      )
    }
    return undefined
  }

  /** A table access method that the target lacks: the table was made without it. */
  private reasonForPlace(object: CatalogObject, facet: string): string | undefined {
    const method = object.facets?.[facet]?.slice(1)
    if (facet !== 'access method' || method === undefined) return undefined
    return this.expected.reasonFor([`ACCESS METHOD ${method}`])
  }

  /** What a family has less since one of its operator classes was left out. */
  private reasonForFamily(
    kind: string,
    { name }: CatalogObject,
    facet: string,
  ): string | undefined {
    if (kind !== 'operator family' || !/^(operators|functions)$/.test(facet)) return undefined
    const there = new Set(this.target.catalog.kinds['operator class']?.map((one) => one.name))
    const gone = this.source.catalog.kinds['operator class']?.filter(
      (one) => one.facets?.['in family'] === `=${name}` && !there.has(one.name),
    )
    return this.expected.reasonFor(
      gone?.flatMap((one) => entriesOf('operator class', one.name)) ?? [],
    )
  }

  /** What a child of inheritance takes from its parents, whatever it had itself: a dump creates it as their child. */
  private reasonForInherited(
    object: CatalogObject,
    other: CatalogObject,
    facet: string,
  ): string | undefined {
    if (facet === 'column order' && other.facets?.['dumped order'] === undefined) {
      return columnOrderReason
    }
    const { parents, 'partition bound': bound } = object.facets ?? {}
    if (
      /^(storage|compression) of /.test(facet) &&
      parents !== undefined &&
      bound === undefined &&
      object.facets?.[facet] === undefined
    ) {
      return 'a dump creates a child of inheritance as its parents are, and says nothing of a column that is as its type is by default'
    }
    return undefined
  }

  private *ownerDifference(kind: string, object: CatalogObject, other: CatalogObject) {
    const owner = nameOf(this.source.catalog.owners, object.owner)
    const now = nameOf(this.target.catalog.owners, other.owner)
    if (owner === now || owner === null) return
    const substitute = this.substitutes.get(owner)
    const fits = substitute && (substitute.instead === null || substitute.instead === now)
    yield {
      what: `owner (${shown(owner)} on the source, ${shown(now ?? 'the server')} on the target)`,
      reason: fits
        ? substitute.reason
        : this.expected.reasonFor(entriesOf(kind, object.name).map((entry) => `OWNER ${entry}`)),
    }
  }
}

/** Also what a warning is made of: whoever counts on the order of columns must know. */
export const columnOrderReason =
  'a dump writes the columns that a table inherits first, in the order of its parents: SELECT * and INSERT without a list of columns see another order'

/** Every database has it, unless somebody dropped it, and a dump does not carry that. */
function isExpectedExtra(kind: string, name: string): boolean {
  return (kind === 'extension' && name === 'plpgsql') || (kind === 'schema' && name === 'public')
}
