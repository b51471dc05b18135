import * as v from 'valibot'
import { Failure } from '../../failure.ts'
import { printable, shorten } from '../../text/text.ts'
import { fields, readBy } from '../kept/schema.ts'
import type { CatalogFingerprint } from './catalog/model.ts'
import { type DatabaseFingerprint, databaseFingerprint } from './model.ts'
import type { LargeObjectsFingerprint } from './rows/large-objects.ts'

const whole = { whole: 'the fingerprint' }

/**
 * Reads a fingerprint out of a manifest that anybody may have written: everything that the comparison relies on is
 * checked, so that a damaged fingerprint is a failure and never an equal one.
 *
 * @throws Failure that names the part that is wrong
 */
export function parseFingerprint(value: unknown): DatabaseFingerprint {
  const { format } = readBy(fields({ format: v.optional(v.unknown()) }), value, whole, damaged)
  if (format !== 1) {
    throw new Failure(
      'The dump holds no fingerprint that can be compared with',
      'It was made by another version of the action, or altered',
      'Verify with the version that made the dump, or make the dump again',
    )
  }
  const fingerprint = readBy(databaseFingerprint, value, whole, damaged)
  const { level, recipes, tables, largeObjects, catalog } = fingerprint
  const isData = level === 'data'
  for (const [at, { kind, digest, recipe }] of tables.entries()) {
    if (recipe !== undefined && recipe >= recipes.length)
      throw damaged(`\`tables[${at}].recipe\` is none of the recipes`)
    // without its digest a table would be compared by its count alone
    if (isData && kind === undefined && (digest === undefined || recipe === undefined))
      throw damaged(`\`tables[${at}].digest\` is missing`)
  }
  if (isData && catalog === null) throw damaged('`catalog` is missing')
  if (isData && largeObjects === null) throw damaged('`largeObjects` is missing')
  if (largeObjects) checkRanges(largeObjects, isData)
  if (catalog) checkIndexes(catalog)
  return fingerprint
}

/** A large object is looked up by its OID: its ranges are in order and do not overlap. */
function checkRanges({ ranges }: LargeObjectsFingerprint, digested: boolean): void {
  let after = -1
  for (const [at, { from, to, digest }] of ranges.entries()) {
    const where = `largeObjects.ranges[${at}]`
    if (from <= after || to < from) throw damaged(`\`${where}\` is not in order`)
    if (digested && digest === undefined) throw damaged(`\`${where}.digest\` is missing`)
    after = to
  }
}

function checkIndexes({ owners, acls, kinds }: CatalogFingerprint): void {
  for (const [kind, objects] of Object.entries(kinds))
    for (const [at, { owner, acl }] of objects.entries()) {
      const where = `catalog.kinds.${shorten(printable(kind), 100)}[${at}]`
      if (owner !== undefined && owner >= owners.length)
        throw damaged(`\`${where}.owner\` is none of the owners`)
      if (acl !== undefined && acl >= acls.length)
        throw damaged(`\`${where}.acl\` is none of the lists`)
    }
}

function damaged(flaw: string): Failure {
  return new Failure(
    "The dump's fingerprint is damaged",
    flaw,
    'Fetch the dump again; if it stays so, make the dump again',
  )
}
