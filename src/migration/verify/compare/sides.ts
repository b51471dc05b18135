import { printable } from '../../../text/text.ts'
import type { CatalogFingerprint, CatalogObject } from '../catalog/model.ts'
import { entriesOf, type Named } from './archive-names.ts'

/** Why a role of the source is not, or not everywhere, on the target: its objects are somebody else's there. */
export interface RoleSubstitute {
  role: string
  /** Who owns its objects instead; null when nobody in particular. */
  instead: string | null
  reason: string
}

export interface CatalogSide {
  server: number
  catalog: CatalogFingerprint
}

export interface Difference {
  what: string
  reason: string | undefined
  undecided?: string
  texts?: { source: string | null; target: string | null } | undefined
}

export function nameOf(names: string[], index: number | undefined): string | null {
  return index === undefined ? null : (names[index] ?? null)
}

/** The entries that an object is made by; an index may be that of a constraint. */
export function entriesOfObject(kind: string, { name, facets }: CatalogObject): string[] {
  const constraint = facets?.['of constraint']?.slice(1)
  return [
    ...entriesOf(kind, name),
    ...(constraint === undefined ? [] : entriesOf('constraint', constraint)),
  ]
}

export function named({ name, facets }: CatalogObject): Named {
  return { name, signature: facets?.signature?.slice(1) }
}

export function label(name: string, what: string): string {
  return name === '' ? what : `${name}: ${what}`
}

export function shown(name: string): string {
  return printable(name)
}
