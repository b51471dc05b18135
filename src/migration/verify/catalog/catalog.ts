import type pg from 'pg'
import { eachRow } from '../../../postgres/each-row.ts'
import { listedTypes } from '../../../postgres/portable-sql.ts'
import { type RoleNames, sameRoleNames } from '../../../postgres/roles/role-names.ts'
import { together } from '../../../postgres/together.ts'
import { type FreezeMark, freezeSchema } from '../../freeze/mark.ts'
import { type AclType, aclDifference, explodeAcl } from './acl.ts'
import { columnFacets, oldSequenceFacets } from './columns.ts'
import { databaseQueries, settingFacets } from './database.ts'
import { hashOf } from './definition.ts'
import { memberKind, readMembers } from './members.ts'
import type { CatalogFingerprint, CatalogObject, CatalogQuery, ExtraFacets, Keep } from './model.ts'
import { relationQueries } from './relations.ts'
import { aclOf, linesOf, type RoleReader, roleReader } from './role-reader.ts'
import { typeQueries } from './types.ts'

/**
 * Reads the whole catalog of a database: every kind of object that a dump carries, less the system's and what belongs to
 * extensions.
 *
 * @param client a session with an empty search_path and pinned settings
 * @param server `server_version_num`
 * @param keep what is kept of each text; its hash, unless told otherwise
 * @param mark of a source that is frozen, which is left out, and its settings are those from before
 * @param names of the source's roles on this server, where it is the target: what is read has the source's
 * @throws the server's error
 */
export async function readCatalog(
  client: pg.Client,
  server: number,
  keep: Keep = hashOf,
  mark: FreezeMark | null = null,
  names: RoleNames = sameRoleNames,
): Promise<CatalogFingerprint> {
  const reader = roleReader(names)
  const kept: Keep = (facet, text) => keep(facet, reader.text(facet, text))
  const catalog = new CatalogBuilder(kept, reader)
  const leftOut = mark?.state && mark.empty ? freezeSchema : null
  const queries = [
    ...databaseQueries(server),
    ...relationQueries(server),
    ...typeQueries(server),
  ].filter(({ since = 0 }) => server >= since)
  const columns = await columnFacets(client, server, kept)
  if (server < 100000) {
    for (const [oid, facets] of await oldSequenceFacets(client, kept)) columns.set(oid, facets)
  }
  const extras: Record<string, Map<string, ExtraFacets>> = {
    pg_class: columns,
    pg_database: await settingFacets(client, server, keep, mark, reader),
  }
  // answered in their order, and each row is put away when it comes: all of them at once would be too much for a large database
  await together(
    client,
    queries.map(
      (query) => () =>
        eachRow<Row>(client, sqlOf(query, server), (row) => {
          if (query.kind === 'schema' && row.name === leftOut) return
          catalog.add(row, query, extras[query.catalog]?.get(row.oid))
        }),
    ),
  )
  for (const { name, facets, acl } of await readMembers(client, server)) {
    catalog.put(memberKind, { name, facets }, linesOf(acl, reader))
  }
  return catalog.finished()
}

interface Row {
  oid: string
  kind: string
  name: string
  named_role: string | null
  owner: string | null
  acl: string[] | null
  acl_type: string
  acl_base: boolean
  builtin: boolean
  [facet: `f_${string}`]: string | null
}

function sqlOf(query: CatalogQuery, server: number): string {
  const { catalog, acl } = query
  const kind = typeof query.kind === 'string' ? `'${query.kind}'` : query.kind.sql
  const type = acl && (typeof acl.type === 'string' ? `'${acl.type}'` : acl.type.sql)
  const facets = Object.entries(query.facets ?? {}).map(
    ([facet, sql]) => `, (${sql})::pg_catalog.text AS "f_${facet}"`,
  )
  const conditions = [
    ...(query.system ? [] : ['x.oid >= 16384']),
    // pg_dump leaves these to the extension, whose version tells them
    `NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
       WHERE e.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND e.objid = x.oid AND e.deptype = 'e')`,
    ...(query.schema ? [`n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`] : []),
    ...(query.where ? [`(${query.where})`] : []),
  ]
  const shared = catalog === 'pg_database'
  return `
    SELECT x.oid::pg_catalog.text AS oid, (${kind})::pg_catalog.text AS kind, (${query.name})::pg_catalog.text AS name,
           (${query.named?.role ?? 'NULL'})::pg_catalog.text AS named_role,
           ${query.owner ? `pg_catalog.pg_get_userbyid(${query.owner})::pg_catalog.text` : 'NULL'} AS owner,
           ${acl ? explodeAcl(acl.column, server) : 'NULL::pg_catalog.text[]'} AS acl, ${type ?? 'NULL'} AS acl_type,
           ${acl?.base ?? 'true'} AS acl_base, ${query.builtin ?? 'false'} AS builtin, c.description AS f_comment ${facets.join('')}
      FROM ${query.from ?? `pg_catalog.${catalog} x`}
      ${query.schema ? `JOIN pg_catalog.pg_namespace n ON n.oid = ${query.schema}` : ''}
      LEFT JOIN pg_catalog.${shared ? 'pg_shdescription' : 'pg_description'} c
        ON c.objoid = x.oid AND c.classoid = 'pg_catalog.${catalog}'::pg_catalog.regclass ${shared ? '' : 'AND c.objsubid = 0'}
     WHERE ${conditions.join(' AND ')}
     ORDER BY 3 /* ${server} */`
}

/** Puts objects together, each distinct owner and ACL once. */
class CatalogBuilder {
  private readonly owners = new Map<string, number>()
  private readonly acls = new Map<string, number>()
  private readonly kinds = new Map<string, Map<string, CatalogObject>>()
  private readonly keep: Keep
  private readonly reader: RoleReader

  constructor(keep: Keep, reader: RoleReader) {
    this.keep = keep
    this.reader = reader
  }

  add(row: Row, query: CatalogQuery, extra: ExtraFacets | undefined): void {
    const objects = this.kinds.get(row.kind) ?? new Map<string, CatalogObject>()
    this.kinds.set(row.kind, objects)
    const { reader } = this
    const called = nameOf(row, query, reader)
    let name = called
    for (let i = 2; objects.has(name); i++) name = `${called} #${i}`
    const object: CatalogObject = { name }
    const owner = row.owner === null ? null : reader.name(row.owner)
    if (owner !== null && !row.builtin) object.owner = indexIn(this.owners, owner)
    const acl = [
      ...aclDifference(aclOf(row.acl, reader), owner, row.acl_type as AclType, row.acl_base),
      ...(extra?.acls ?? []).flatMap(({ column, entries }) =>
        aclDifference(aclOf(entries, reader), owner, 'column').map((line) =>
          ofColumn(line, column),
        ),
      ),
    ]
    if (acl.length > 0) object.acl = indexIn(this.acls, JSON.stringify(acl))
    const facets = { ...extra?.facets }
    for (const facet of ['comment', ...Object.keys(query.facets ?? {})]) {
      const read = row[`f_${facet}`]
      if (read === null || read === undefined || read === '') continue
      if (row.builtin && facet === 'comment') continue
      const text = query.typed?.includes(facet) ? listedTypes(read) : read
      facets[facet] = query.plain?.includes(facet) ? `=${text}` : this.keep(facet, text)
    }
    if (Object.keys(facets).length > 0) object.facets = facets
    objects.set(name, object)
  }

  /** An object that is put together already. */
  put(kind: string, object: CatalogObject, acl: string[]): void {
    const objects = this.kinds.get(kind) ?? new Map<string, CatalogObject>()
    this.kinds.set(kind, objects)
    if (acl.length > 0) object.acl = indexIn(this.acls, JSON.stringify(acl))
    objects.set(object.name, object)
  }

  finished(): CatalogFingerprint {
    const kinds: Record<string, CatalogObject[]> = {}
    for (const [kind, objects] of this.kinds) kinds[kind] = [...objects.values()]
    return {
      owners: [...this.owners.keys()],
      acls: [...this.acls.keys()].map((text): string[] => JSON.parse(text)),
      kinds,
    }
  }
}

/** What an object is called, in the names of the source. */
function nameOf(
  { name, named_role: role }: Row,
  { named }: CatalogQuery,
  reader: RoleReader,
): string {
  if (!named || role === null) return name
  return `${named.after}${reader.name(role)}${name.slice(named.after.length + role.length)}`
}

/** The column goes before the colon that ends the grantee: it may hold one itself. */
function ofColumn(line: string, column: string): string {
  return `${line} (${column.replaceAll(':', ' ')})`
}

function indexIn(map: Map<string, number>, text: string): number {
  const index = map.get(text) ?? map.size
  map.set(text, index)
  return index
}
