import { hash } from 'node:crypto'
import { maskStatement } from '../../../postgres/archive/statement.ts'

/** A text that differs without a known reason. */
export interface OpenDefinition {
  kind: string
  /** As in the catalog's fingerprint. */
  name: string
  facet: string
  /** The target's hash; undefined where only the source has such a text. */
  target: string | undefined
  /** Of an index that a constraint made, the constraint. */
  constraint: string | undefined
  /** Both sides have it, and it may be printed differently: a rebuild has to decide. */
  printed: boolean
}

/** What a rebuild of the dump's own schema says about a printed definition (see rebuild.ts). */
export interface Decisions {
  /** Whether the target's is the dump's; why that cannot be said, where it cannot. */
  decide(open: OpenDefinition): 'equal' | 'different' | { undecided: string }
  /** Both texts, where they are known and may be shown. */
  texts(open: OpenDefinition): { source: string | null; target: string | null } | undefined
}

/**
 * What a fingerprint keeps of a text: 64 bits of it.
 *
 * @param facet what the text is
 */
export function hashOf(facet: string, text: string): string {
  // a part of a longer string would keep all of it
  return hash('sha256', canonical(facet, text), 'buffer').toString('hex', 0, 8)
}

/** Whether two hashes are of the same text. Fingerprints of earlier versions have more behind a `~`. */
export function sameText(a: string | undefined, b: string | undefined): boolean {
  return a === b || (!!a && !!b && !/^=/.test(a + b) && a.split('~')[0] === b.split('~')[0])
}

/**
 * A definition in a form that all majors share, where only a keyword of PostgreSQL's own changed: before 11 a trigger's
 * says EXECUTE PROCEDURE. Nothing that a name or a constant holds is touched, so no two definitions become one.
 */
export function canonical(facet: string, text: string): string {
  if (facet !== 'definition') return text
  const [old, now] = [' EXECUTE PROCEDURE ', ' EXECUTE FUNCTION ']
  const at = text.startsWith('CREATE ') ? maskStatement(text).indexOf(old) : -1
  return at < 0 ? text : text.slice(0, at) + now + text.slice(at + old.length)
}

/**
 * Facets whose text the server prints from a parse tree, by kind. A dump holds the printed text, which is read again and
 * may then be another tree and print otherwise, also on a server of the same version (PostgreSQL source, ruleutils.c).
 */
const printed: Readonly<Record<string, RegExp>> = {
  table: /^(partition bound|partition key|(default|generation) of .*)$/s,
  'foreign table': /^(partition bound|(default|generation) of .*)$/s,
  // a view's columns have the types of its expressions
  view: /^(query|columns|default of .*)$/s,
  'materialized view': /^(query|columns)$/,
  index: /^definition$/,
  constraint: /^definition$/,
  trigger: /^definition$/,
  rule: /^rule definition$/,
  policy: /^(using|with check)$/,
  'statistics object': /^definition$/,
  domain: /^(default|constraints)$/,
  function: /^(SQL body|argument defaults)$/,
  procedure: /^(SQL body|argument defaults)$/,
  // the WHERE of a publication's tables
  publication: /^tables$/,
}

/** Whether a difference in such a text may be one of printing alone, so that a rebuild has to decide. */
export function isPrinted(kind: string, facet: string): boolean {
  return printed[kind]?.test(facet) ?? false
}

/**
 * Whether a text may be shown in the report: what the schema says of an object, never what may hold a password (options
 * of servers, mappings and subscriptions, settings), and nothing that the rebuild leaves out (comments, labels).
 */
export function isShown(kind: string, facet: string): boolean {
  return (
    !/^(database|extension|foreign server|foreign-data wrapper|user mapping|subscription|event trigger|security label)$/.test(
      kind,
    ) && !/^(server|comment.*|.*options.*|setting .*)$/s.test(facet)
  )
}
