import { Failure } from '../../failure.ts'
import { type DatabaseFingerprint, levels } from './model.ts'
import { isKnownForm } from './rows/digest.ts'

/**
 * Reads a fingerprint out of a manifest that anybody may have written: everything that the comparison relies on is
 * checked, so that a damaged fingerprint is a failure and never an equal one.
 *
 * @throws Failure that names the part that is wrong
 */
export function parseFingerprint(value: unknown): DatabaseFingerprint {
  const root = object(value, 'the fingerprint')
  if (root.format !== 1) {
    throw new Failure(
      'The dump holds no fingerprint that can be compared with',
      'It was made by another version of the action, or altered',
      'Verify with the version that made the dump, or make the dump again',
    )
  }
  count(root.server, 'server')
  text(root.encoding, 'encoding')
  oneOf(root.level, levels, 'level')
  oneOf(root.method, ['hash', 'md5'], 'method')
  oneOf(root.floatDigits, [0, 3], 'floatDigits')
  if (root.moments !== null) text(root.moments, 'moments')
  optional(root.still, (still) => oneOf(still, [true, false, 'unknown'], 'still'))
  for (const part of ['rows', 'seconds', 'rowsPerSecond']) count(root[part], part)
  const isData = root.level === 'data'

  const recipes = list(root.recipes, 'recipes')
  each(recipes, 'recipes', (recipe, where) => {
    each(list(recipe, where), where, (column) => {
      const [name, form, ...more] = list(column, where)
      text(name, where)
      if (typeof form !== 'string' || !isKnownForm(form) || more.length > 0) throw wrong(where)
    })
  })
  each(list(root.tables, 'tables'), 'tables', (one, where) => {
    const table = named(one, where)
    count(table.rows, `${where}.rows`)
    optional(table.kind, (kind) => oneOf(kind, ['materialized view'], `${where}.kind`))
    optional(table.populated, (populated) => oneOf(populated, [false], `${where}.populated`))
    optional(table.digest, (digest) => whole(digest, `${where}.digest`))
    optional(table.recipe, (recipe) => {
      if (count(recipe, `${where}.recipe`) >= recipes.length) throw wrong(`${where}.recipe`)
    })
    // without its digest a table would be compared by its count alone
    const digested = table.digest !== undefined && table.recipe !== undefined
    optional(table.unreadable, (reason) => text(reason, `${where}.unreadable`))
    if (isData && table.kind === undefined && !digested) throw wrong(`${where}.digest`)
  })
  each(list(root.notRead, 'notRead'), 'notRead', (one, where) =>
    text(named(one, where).reason, where),
  )
  each(list(root.sequences, 'sequences'), 'sequences', (one, where) => {
    const sequence = named(one, where)
    state(sequence, where)
    optional(sequence.unreadable, (reason) => text(reason, `${where}.unreadable`))
    optional(sequence.later, (later) => state(object(later, where), where))
  })
  if (root.largeObjects !== null) largeObjects(root.largeObjects, isData)
  if (root.catalog !== null) catalog(root.catalog)
  if (isData && (root.catalog === null || root.largeObjects === null)) throw wrong('catalog')
  return value as DatabaseFingerprint
}

function state(value: Record<string, unknown>, where: string): void {
  whole(value.last, where)
  oneOf(value.called, [true, false], where)
}

function largeObjects(value: unknown, digested: boolean): void {
  const where = 'largeObjects'
  const all = object(value, where)
  count(all.count, where)
  let after = -1
  each(list(all.ranges, where), where, (one) => {
    const range = object(one, where)
    const [from, to] = [count(range.from, where), count(range.to, where)]
    // in order and without overlap: a large object is looked up by its OID
    if (from <= after || to < from) throw wrong(where)
    after = to
    count(range.count, where)
    optional(range.unreadable, (reason) => text(reason, where))
    if (digested) whole(range.digest, where)
  })
  each(list(all.groups, where), where, (one) => {
    const group = object(one, where)
    text(group.owner, where)
    each(list(group.acl, where), where, text)
    count(group.count, where)
    whole(group.which, where)
  })
  const comments = object(all.comments, where)
  count(comments.count, where)
  whole(comments.digest, where)
}

function catalog(value: unknown): void {
  const root = object(value, 'catalog')
  const owners = list(root.owners, 'catalog.owners')
  const acls = list(root.acls, 'catalog.acls')
  each(owners, 'catalog.owners', text)
  each(acls, 'catalog.acls', (acl, where) => each(list(acl, where), where, text))
  for (const [kind, objects] of Object.entries(object(root.kinds, 'catalog.kinds'))) {
    each(list(objects, `catalog.kinds.${kind}`), `catalog.kinds.${kind}`, (one, where) => {
      const entry = object(one, where)
      text(entry.name, `${where}.name`)
      optional(entry.owner, (owner) => index(owner, owners, `${where}.owner`))
      optional(entry.acl, (acl) => index(acl, acls, `${where}.acl`))
      optional(entry.facets, (facets) => {
        for (const facet of Object.values(object(facets, where))) text(facet, `${where}.facets`)
      })
    })
  }
}

function each(
  values: unknown[],
  where: string,
  check: (value: unknown, where: string) => void,
): void {
  values.forEach((value, at) => {
    check(value, `${where}[${at}]`)
  })
}

function optional(value: unknown, check: (value: unknown) => void): void {
  if (value !== undefined) check(value)
}

function object(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(where)
  return value as Record<string, unknown>
}

function list(value: unknown, where: string): unknown[] {
  if (!Array.isArray(value)) throw wrong(where)
  return value
}

function named(value: unknown, where: string): Record<string, unknown> {
  const found = object(value, where)
  text(found.schema, `${where}.schema`)
  text(found.name, `${where}.name`)
  return found
}

function text(value: unknown, where: string): void {
  if (typeof value !== 'string' || value.includes('\0')) throw wrong(where)
}

/** A whole number as text, of any size. */
function whole(value: unknown, where: string): void {
  if (typeof value !== 'string' || !/^-?\d{1,60}$/.test(value)) throw wrong(where)
}

function count(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) throw wrong(where)
  return value
}

function index(value: unknown, values: unknown[], where: string): void {
  const at = count(value, where)
  if (!Number.isInteger(at) || at >= values.length) throw wrong(where)
}

function oneOf(value: unknown, allowed: readonly unknown[], where: string): void {
  if (!allowed.includes(value)) throw wrong(where)
}

function wrong(where: string): Failure {
  return new Failure(
    "The dump's fingerprint is damaged",
    `\`${where}\` is not what it should be`,
    'Fetch the dump again; if it stays so, make the dump again',
  )
}
