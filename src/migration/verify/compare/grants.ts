import { describeAcl, granteeOf, ownerMark } from '../catalog/acl.ts'
import { memberKind } from '../catalog/members.ts'
import type { CatalogObject } from '../catalog/model.ts'
import { entriesOn, type Named } from './archive-names.ts'
import type { ExpectedDifferences } from './expected-differences.ts'
import {
  type CatalogSide,
  type Difference,
  named,
  nameOf,
  type RoleSubstitute,
  shown,
} from './sides.ts'

/** What is compared, and what is known beforehand. */
interface Sides {
  source: CatalogSide
  target: CatalogSide
  expected: ExpectedDifferences
  substitutes: ReadonlyMap<string, RoleSubstitute>
}

/** The grants on an object that only one side has. */
export function* grantDifferences(
  kind: string,
  object: CatalogObject,
  other: CatalogObject,
  { source, target, expected, substitutes }: Sides,
): Generator<Difference> {
  const here = source.catalog.acls[object.acl ?? -1] ?? []
  const there = target.catalog.acls[other.acl ?? -1] ?? []
  const owner = nameOf(target.catalog.owners, other.owner)
  const lost = here.filter((line) => !there.includes(line) && !isOwnersAnyway(line, owner, there))
  // from before 9.6 a dump grants everything on public to its owner by name, who is another on the target
  const born = object.facets?.['owner since initdb']?.slice(1) ?? null
  const gained = there.filter((line) => !here.includes(line) && !isOwnersAnyway(line, born, here))
  if (lost.length + gained.length === 0) return
  if (kind === 'schema' && object.name === 'public' && sameSinceInitdb(here, there, source, target))
    return
  const entries =
    kind === memberKind ? memberEntries(named(object)) : entriesOn('ACL', kind, named(object))
  const reason = expected.reasonFor(entries)
  for (const line of [...lost, ...gained]) {
    // what the default grants and the source took away is a line as well
    const isLoss = lost.includes(line) === line.startsWith('+')
    yield {
      what: `grants (${isLoss ? 'lost' : 'gained'}: ${shown(describeAcl(line))})`,
      reason:
        reason ??
        expected.reasonFor(columnEntries(object.name, line)) ??
        substitutes.get(granteeOf(line))?.reason,
    }
  }
}

/** Before 15 everybody may create in public, later nobody: a dump carries only what was changed since. */
function sameSinceInitdb(
  here: readonly string[],
  there: readonly string[],
  source: CatalogSide,
  target: CatalogSide,
): boolean {
  const changes = (lines: readonly string[], server: number) => {
    const initial = initialGrants(server)
    return [
      ...lines.filter((line) => !initial.includes(line)),
      ...initial.filter((line) => !lines.includes(line)).map((line) => `not ${line}`),
    ].join('\n')
  }
  return changes(here, source.server) === changes(there, target.server)
}

/** What initdb grants everybody on the schema public (PostgreSQL 15 release notes). */
const initialGrants = (server: number) => (server >= 150000 ? ['+:USAGE'] : ['+:CREATE', '+:USAGE'])

/**
 * A grant to the object's owner, or on a column to the owner of the table: he has every privilege that nobody took away.
 *
 * @param owner who owns it on the other side
 * @param other the grants there
 */
function isOwnersAnyway(line: string, owner: string | null, other: readonly string[]): boolean {
  const grantee = granteeOf(line)
  if (!line.startsWith('+') || (grantee !== ownerMark && grantee !== owner)) return false
  // of a column, too: `UPDATE (name)*`
  const privilege = /[A-Z]+/.exec(line.slice(line.lastIndexOf(':') + 1))?.[0]
  return !other.includes(`-${ownerMark}:${privilege}`)
}

/** The entries for the grants on the column that a line of `aclDifference` names at its end. */
function columnEntries(name: string, line: string): string[] {
  const column = / \((.*)\)$/s.exec(line.slice(line.lastIndexOf(':')))?.[1]
  return column === undefined ? [] : [`ACL COLUMN ${name}.${column}`]
}

/** The entries for the grants on an object of an extension, whose name begins with its kind. */
function memberEntries({ name, signature }: Named): string[] {
  const full = signature === undefined ? [] : [name.replace(/\([^()]*\)$/s, `(${signature})`)]
  return [name, ...full].flatMap((one) => [`ACL ${one}`, `ACL ${one.replace(/^[A-Z ]+ /, '')}`])
}
