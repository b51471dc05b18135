/**
 * SQL that every source understands, from 8.4 on: `concat_ws` came with 9.1, `string_agg` and ORDER BY in an aggregate with
 * 9.0 (release notes of both). Their results are the same texts, so that fingerprints of old and new servers compare.
 */

/** SQL: the parts that are not null, joined by blanks. None may be a boolean, which a cast prints otherwise: see `letter`. */
export const words = (...parts: string[]) =>
  `pg_catalog.array_to_string(ARRAY[${parts.map((part) => `(${part})::pg_catalog.text`).join(', ')}], ' ')`

/** SQL: `t` or `f`, as a boolean's output function says it. */
export const letter = (condition: string) => `CASE WHEN ${condition} THEN 't' ELSE 'f' END`

/**
 * SQL: the texts of many rows in one, in their order; null where there are none.
 *
 * @param text of each row; nulls are left out
 * @param rows `FROM … WHERE …`
 * @param order of the rows
 * @param separator an SQL literal
 */
export const listOf = (text: string, rows: string, order: string, separator = `', '`) =>
  `NULLIF(pg_catalog.array_to_string(ARRAY(SELECT (${text})::pg_catalog.text ${rows} ORDER BY ${order}), ${separator}), '')`

/** What needs no quotes on any server, if it is no key word there. */
const simple = '^[a-z_][a-z0-9_$]*$'

/**
 * SQL: a name as a text that tells it from all others, and is the same on every server. quote_ident() puts quotes around key words, and
 * every version has more of them (`json` from 17 on): so this is nothing to be run.
 */
export const listedName = (name: string) =>
  `CASE WHEN ${name} ~ '${simple}' THEN ${name}::pg_catalog.text ELSE '"' || pg_catalog.replace(${name}::pg_catalog.text, '"', '""') || '"' END`

/** The same of a name that is known. */
export const listedAs = (name: string) =>
  new RegExp(simple).test(name) ? name : `"${name.replaceAll('"', '""')}"`

/**
 * A list of names and types as every server prints it, whatever are key words there: types come from format_type(), which quotes as
 * quote_ident() does. Nothing but a name is quoted in such a list.
 */
export const listedTypes = (list: string) =>
  list.replace(/(?<!")"([a-z_][a-z0-9_$]*)"(?!")/g, (whole, name: string) =>
    // char itself is another type
    name === 'char' ? whole : name,
  )

/**
 * SQL: a session in pg_stat_activity is a client's, on version 10 or newer. What kind of session it is the server hides from those
 * who may not read all statistics; whose it is it tells everybody, and the server's own processes are nobody's
 * (PostgreSQL, "pg_stat_activity").
 *
 * @param alias of pg_stat_activity, with its point
 */
export const ofClient = (alias = '') =>
  `${alias}usesysid IS NOT NULL AND COALESCE(${alias}backend_type, 'client backend') = 'client backend'`

/** What the letters of an aclitem stand for (PostgreSQL, "Privileges"; those of 8.4, which had no more). */
const privilegeLetters: Record<string, string> = {
  r: 'SELECT',
  w: 'UPDATE',
  a: 'INSERT',
  d: 'DELETE',
  D: 'TRUNCATE',
  x: 'REFERENCES',
  t: 'TRIGGER',
  X: 'EXECUTE',
  U: 'USAGE',
  C: 'CREATE',
  T: 'TEMPORARY',
  c: 'CONNECT',
}

/**
 * SQL: a query over the privileges in an aclitem[], with the columns `grantor`, `grantee` (empty for PUBLIC), `privilege` and
 * `grantable`. aclexplode came with 9.0; before it the items are read as they are printed, `"a role"=r*w/owner`.
 *
 * @param acl SQL of the type aclitem[], or a query for one in parentheses
 */
export function privilegesIn(acl: string, server: number): string {
  if (server >= 90_000) {
    return `SELECT pg_catalog.pg_get_userbyid(i.grantor)::pg_catalog.text AS grantor,
             CASE WHEN i.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(i.grantee)::pg_catalog.text END AS grantee,
             i.privilege_type AS privilege, i.is_grantable AS grantable
        FROM pg_catalog.aclexplode(${acl}) i`
  }
  const name = '("(?:[^"]|"")*"|[^"=/]*)'
  const part = (pattern: string) => `pg_catalog."substring"(t.item, '${pattern}')`
  const unquoted = (text: string) =>
    `CASE WHEN ${text} LIKE '"%' THEN pg_catalog.replace(pg_catalog.substr(${text}, 2, pg_catalog.length(${text}) - 2), '""', '"') ELSE ${text} END`
  const letters = Object.entries(privilegeLetters).map(
    ([letter, privilege]) => `WHEN '${letter}' THEN '${privilege}'`,
  )
  return `SELECT ${unquoted('p.grantor')} AS grantor, ${unquoted('p.grantee')} AS grantee,
             CASE p.letter[1] ${letters.join(' ')} ELSE p.letter[1] END AS privilege, p.letter[2] = '*' AS grantable
        FROM (SELECT ${part(`/${name}$`)} AS grantor, ${part(`^${name}=`)} AS grantee,
                     pg_catalog.regexp_matches(${part(`=([a-zA-Z*]*)/${name.replace('(', '(?:')}$`)}, '([a-zA-Z])([*]?)', 'g') AS letter
                FROM (SELECT pg_catalog.unnest(${acl})::pg_catalog.text AS item) t) p`
}

/**
 * SQL: joins the extension that an object is a member of, as `d.refobjid`, to its row of a catalog. It belongs beside that catalog
 * and not around a union of several: else every function of the server gets its name for every member.
 *
 * @param catalog without its schema
 * @param row the alias of the catalog
 */
export function joinExtension(catalog: string, row: string): string {
  return `JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND d.objid = ${row}.oid
      AND d.objsubid = 0 AND d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass`
}
