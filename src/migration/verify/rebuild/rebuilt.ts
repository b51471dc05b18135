import { printable, shorten } from '../../../text/text.ts'
import type { PlannedEntry } from '../../restore/plan/planned-entry.ts'
import { type Decisions, hashOf, type OpenDefinition, sameText } from '../catalog/definition.ts'
import type { CatalogFingerprint } from '../catalog/model.ts'
import { listedObject } from '../compare/archive-names.ts'

/** UTF-16 units of a text in the report, and texts there: both sides of a definition are a help, not an archive. */
const mostText = 20_000
const mostTexts = 200

/** Facets with their texts, by kind and name. */
type Texts = ReadonlyMap<string, Record<string, string>>

/** What a rebuild has found out, and why it could not where it could not. */
export class Rebuilt implements Decisions {
  private readonly open: readonly OpenDefinition[]
  private dump: Texts = new Map()
  private target: Texts = new Map()
  private reasons = new Map<string, string>()
  private refusal: string | null = null
  private shown = 0

  constructor(open: readonly OpenDefinition[]) {
    this.open = open
  }

  /** Takes what the throw-away database holds now. */
  take(
    catalog: CatalogFingerprint,
    own: readonly PlannedEntry[][],
    failures: ReadonlyMap<PlannedEntry, string>,
  ): void {
    this.dump = textsOf(catalog)
    this.reasons = new Map()
    this.open.forEach((definition, index) => {
      const entries = own[index] ?? []
      const reason =
        entries.length === 0
          ? 'the dump has no entry for it'
          : entries.map((one) => failures.get(one)).find((one) => one !== undefined)
      if (reason !== undefined) this.reasons.set(keyOf(definition), reason)
    })
  }

  refuse(reason: string): void {
    this.refusal = `the dump's schema could not be rebuilt on the target: ${shorten(printable(reason), 500)}`
  }

  showTarget(catalog: CatalogFingerprint): void {
    this.target = textsOf(catalog)
  }

  /** Nothing more of the schema could change a decision. */
  isFinal(): boolean {
    return this.open.every((one) => !one.printed || this.decide(one) === 'equal')
  }

  hasDifferences(): boolean {
    return this.open.some((one) => !one.printed || this.decide(one) === 'different')
  }

  decide(open: OpenDefinition): 'equal' | 'different' | { undecided: string } {
    if (this.refusal !== null) return { undecided: this.refusal }
    const reason = this.reasons.get(keyOf(open))
    if (reason !== undefined) return { undecided: reason }
    const text = this.text(this.dump, open)
    if (text === undefined) return { undecided: 'the rebuild of the dump does not have it' }
    return sameText(hashOf(open.facet, text), open.target) ? 'equal' : 'different'
  }

  texts(open: OpenDefinition): { source: string | null; target: string | null } | undefined {
    if (this.target.size === 0 || this.shown >= mostTexts) return undefined
    const known = this.refusal === null && !this.reasons.has(keyOf(open))
    const source = known ? this.text(this.dump, open) : undefined
    const target = this.text(this.target, open)
    // a side that is not known and one that has nothing are not the same: the other says enough
    if (!known || source === target) return undefined
    this.shown++
    const bounded = (text: string | undefined) =>
      text === undefined ? null : shorten(text, mostText)
    return { source: bounded(source), target: bounded(target) }
  }

  private text(texts: Texts, { kind, name, facet }: OpenDefinition): string | undefined {
    // a foreign table is rebuilt as an ordinary one
    const kinds = kind === 'foreign table' ? [kind, 'table'] : [kind]
    const found = kinds
      .map((one) => texts.get(`${one}\0${listedObject(one, name)}`))
      .find((one) => one !== undefined)
    return found?.[facet]?.replace(/^=/, '')
  }
}

function keyOf({ kind, name, facet }: OpenDefinition): string {
  return `${kind}\0${name}\0${facet}`
}

function textsOf({ kinds }: CatalogFingerprint): Texts {
  const result = new Map<string, Record<string, string>>()
  for (const [kind, objects] of Object.entries(kinds)) {
    for (const { name, facets = {} } of objects)
      result.set(`${kind}\0${listedObject(kind, name)}`, facets)
  }
  return result
}
