import { usesType } from '../../../polardb/limits/syntax.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { maskStatement } from '../../../postgres/archive/statement.ts'
import { type Decision, leaveOut, lossOf } from './planned-entry.ts'
import { cutAll } from './rewrite.ts'
import type { TargetFacts } from './target-facts.ts'

const usesXml = usesType(['xml'])

/** What holds or computes values: a domain or a type takes the tables along that have columns of it. */
const holdsValues =
  /^((FOREIGN )?TABLE|(MATERIALIZED )?VIEW|DOMAIN|TYPE|FUNCTION|PROCEDURE|AGGREGATE)$/

/** What becomes of what the target's own build lacks: ICU collations, and values of the type xml. */
export function builtWithout(
  entry: ArchiveEntry,
  masked: string,
  {
    hasIcu,
    hasXml,
    refusedCollations,
  }: Pick<TargetFacts, 'hasIcu' | 'hasXml' | 'refusedCollations'>,
): Decision | undefined {
  if (entry.desc === 'COLLATION' && !hasIcu && /\bprovider\s*=\s*icu\b/.test(masked)) {
    return leaveOut(
      'the target was built without ICU',
      'Use a libc collation on the source, or choose a target with ICU',
      'behaviour',
    )
  }
  const refused = refusedCollations?.get(entry)
  if (refused !== undefined) {
    return leaveOut(
      `the target cannot make the collation: ${refused}`,
      'Use a locale that the target has on the source (pg_collation there lists them), or have an administrator install it',
      'behaviour',
    )
  }
  if (hasXml || !holdsValues.test(entry.desc) || !usesXml(masked, entry.desc)) return undefined
  return leaveOut(
    'the target was built without XML (libxml): it takes no value of the type xml',
    'Use text in its place on the source, or choose a target with XML',
    lossOf(entry),
  )
}

/**
 * Takes the compression methods that the target was built without out of a table's statements.
 *
 * @returns the statements without them, and what to say of it
 */
export function withoutCompression(
  definition: string,
  standardStrings: boolean,
  { compressions }: Pick<TargetFacts, 'compressions'>,
): { definition: string; reasons: string[] } {
  if (compressions === null || !definition.includes('SET COMPRESSION'))
    return { definition, reasons: [] }
  const masked = maskStatement(definition, standardStrings)
  const used = [...masked.matchAll(/\bSET COMPRESSION\s+(\w+)\s*;/g)].map(([, name]) => name ?? '')
  const missing = [...new Set(used)].filter((name) => !compressions.has(name.toLowerCase()))
  let rest = definition
  for (const name of missing) {
    const pattern = new RegExp(
      `ALTER (FOREIGN )?TABLE [^;]*?\\bSET COMPRESSION\\s+${name}\\s*;`,
      'g',
    )
    rest = cutAll(rest, pattern, standardStrings)
  }
  return {
    definition: rest,
    reasons: missing.map(
      (name) =>
        `restored without COMPRESSION ${name}, which the target was built without: values are compressed as it does by default`,
    ),
  }
}
