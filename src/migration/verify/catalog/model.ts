import * as v from 'valibot'
import { count, dictionary, fields, list, text } from '../../kept/schema.ts'
import type { AclType } from './acl.ts'

/** An object of the catalog: what it is called, and hashes of what is said of it. No definition, no value. */
const catalogObject = fields({
  /** Unique among its kind, spelled as archives spell it: `public.orders`, `public.total(integer, text)`. */
  name: text,
  /** Index into the catalog's owners. */
  owner: v.exactOptional(count),
  /** Index into the catalog's acls; absent for the built-in default. */
  acl: v.exactOptional(count),
  /** 64 bits of each text that is not the default, by what the text is; a few short ones as they are, after `=`. */
  facets: v.exactOptional(dictionary(text)),
})
export type CatalogObject = v.InferOutput<typeof catalogObject>

export const catalogFingerprint = fields({
  owners: list(text),
  /** Distinct access privileges, as lines of their differences from the default. */
  acls: list(list(text)),
  /** By kind: table, index, function, … */
  kinds: dictionary(list(catalogObject)),
})
export type CatalogFingerprint = v.InferOutput<typeof catalogFingerprint>

/** One question to the catalog. Every piece is SQL text; `x` is the row of `catalog` and `n` its schema, if it has one. */
export interface CatalogQuery {
  /** The kind of all rows, or SQL that gives it. */
  kind: string | { sql: string }
  catalog: string
  /** What follows FROM; `catalog x` when absent. */
  from?: string
  where?: string
  name: string
  /** The name holds that of a role, right behind a text: SQL of the role, which needs not be the owner. */
  named?: { after: string; role: string }
  /** The column of x with the schema's OID: its objects are left out where the schema is the system's. */
  schema?: string
  owner?: string
  acl?: { column: string; type: AclType | { sql: string }; base?: string }
  facets?: Record<string, string>
  /** Facets whose text is short, no secret and worth reading: kept as it is. */
  plain?: string[]
  /** Facets that are lists of names and types, whose quotes tell nothing (`listedTypes`). */
  typed?: string[]
  /** Objects of the system are looked at as well: the database itself, the schema public. */
  system?: true
  /** SQL: initdb made the object and nobody gave it away, so owner and comment are the server's. */
  builtin?: string
  /** First `server_version_num` that has it. */
  since?: number
}

/** What is kept of a facet's text. */
export type Keep = (facet: string, text: string) => string

/** What the columns of a relation add to it, or its settings to a database. */
export interface ExtraFacets {
  facets: Record<string, string>
  acls: { column: string; entries: string[] }[]
}
