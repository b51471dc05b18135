/** SQL of what the catalogs' OIDs are called, as the server prints it. */

/** A function by its OID, `name(types)`; what is not in pg_catalog with its schema. Null for none. */
export const procedure = (oid: string) =>
  `NULLIF(${oid}::pg_catalog.regprocedure::pg_catalog.text, '-')`

/** A type by its OID, without a modifier. */
export const type = (oid: string) => `pg_catalog.format_type(${oid}, NULL)`

/** A name behind that of its schema n, as archives spell them. */
export const qualified = (name: string) => `n.nspname || '.' || ${name}`

/** An operator by its OID, unless there is none of that number. */
export const existing = (oid: string) =>
  `(SELECT po.oid::pg_catalog.regoperator::pg_catalog.text FROM pg_catalog.pg_operator po WHERE po.oid = ${oid})`

/** Names of the schema and object that an OID of a catalog points to. */
export const named = (catalog: string, prefix: string, oid: string) =>
  `(SELECT s.nspname || '.' || o.${prefix}name FROM pg_catalog.${catalog} o
      JOIN pg_catalog.pg_namespace s ON s.oid = o.${prefix}namespace WHERE o.oid = ${oid})`
