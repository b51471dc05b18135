import type pg from 'pg'
import { eachRow } from '../../../postgres/each-row.ts'
import { quoteLiteral } from '../../../postgres/identifiers.ts'
import { letter, words } from '../../../postgres/portable-sql.ts'
import { explodeAcl } from './acl.ts'
import { columnOptions } from './known-options.ts'
import type { ExtraFacets, Keep } from './model.ts'
import { dumped, known } from './relations.ts'

/**
 * What single columns add to their relation, each facet named after the column: only what is not the default, which is
 * little even where there are many columns.
 */
export async function columnFacets(
  client: pg.Client,
  server: number,
  keep: Keep,
): Promise<Map<string, ExtraFacets>> {
  const since = (number: number, sql: string, otherwise = 'NULL') =>
    server >= number ? sql : otherwise
  const isPartition = since(100000, 'c.relispartition', 'false')
  const generated = since(120000, `a.attgenerated <> ''`, 'false')
  const isTable = `c.relkind IN ('r', 'p', 'm')`
  const expressions: Record<string, string> = {
    // a default names no column; told which table it is of, the server would look at all columns for each default
    'default of': `CASE WHEN NOT ${generated} THEN pg_catalog.pg_get_expr(d.adbin, 0) END`,
    'generation of': `CASE WHEN ${generated} THEN ${since(120000, `a.attgenerated::pg_catalog.text || ' ' ||`, '')} pg_catalog.pg_get_expr(d.adbin, d.adrelid) END`,
    // from 17 on partitions have their parent's
    'identity of': since(100000, `CASE WHEN NOT ${isPartition} THEN NULLIF(a.attidentity, '') END`),
    'storage of': `CASE WHEN ${isTable} AND a.attstorage <> t.typstorage THEN a.attstorage END`,
    // of an index it is a copy of the table's, made when the index was
    'compression of': since(140000, `CASE WHEN ${isTable} THEN NULLIF(a.attcompression, '') END`),
    // before 11 no dump carries an index's
    'statistics target of': `CASE WHEN ${since(110000, 'true', `c.relkind <> 'i'`)} THEN NULLIF(a.attstattarget, -1) END`,
    // those of an index are in its definition
    'options of': since(
      90000,
      `CASE WHEN c.relkind NOT IN ('i', 'I') THEN NULLIF(${known('a.attoptions', columnOptions)}, '') END`,
    ),
    'foreign options of': since(
      90200,
      `pg_catalog.array_to_string(ARRAY(SELECT o FROM pg_catalog.unnest(a.attfdwoptions) o ORDER BY o), ', ')`,
    ),
    'comment of': 'm.description',
  }
  const list = Object.values(expressions).map(
    (sql, index) => `(${index}, NULLIF((${sql})::pg_catalog.text, ''))`,
  )
  const facets = Object.keys(expressions)
  const result = new Map<string, ExtraFacets>()
  const sql = `
    SELECT c.oid::pg_catalog.text AS oid, a.attname AS "column",
           ARRAY(SELECT v.text FROM (VALUES ${list.join(', ')}) v(i, text) ORDER BY v.i) AS texts,
           ${explodeAcl('a.attacl', server)} AS acl
      FROM pg_catalog.pg_attribute a
      JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
      JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
      LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      LEFT JOIN pg_catalog.pg_description m
        ON m.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND m.objoid = c.oid AND m.objsubid = a.attnum
     WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'i', 'I') AND c.oid >= 16384
       AND (a.atthasdef OR m.description IS NOT NULL OR a.attacl IS NOT NULL ${since(90000, `OR ${known('a.attoptions', columnOptions)} <> ''`, '')}
            OR COALESCE(a.attstattarget, -1) <> -1 OR a.attstorage <> t.typstorage
            ${since(90200, 'OR a.attfdwoptions IS NOT NULL', '')}
            ${since(100000, `OR a.attidentity <> ''`, '')} ${since(140000, `OR a.attcompression <> ''`, '')})
     ORDER BY a.attrelid, a.attnum`
  await eachRow<{
    oid: string
    column: string
    texts: (string | null)[]
    acl: string[] | null
  }>(client, sql, ({ oid, column, texts, acl }) => {
    const found = result.get(oid) ?? { facets: {}, acls: [] }
    result.set(oid, found)
    texts.forEach((text, index) => {
      const facet = facets[index]
      if (text !== null && facet)
        found.facets[`${facet} ${column}`] = keep(`${facet} ${column}`, text)
    })
    if (acl) found.acls.push({ column, entries: acl })
  })
  return result
}

/** Before 10 a sequence's settings are in the sequence itself. */
export async function oldSequenceFacets(
  client: pg.Client,
  keep: Keep,
): Promise<Map<string, ExtraFacets>> {
  const { rows } = await client.query<{ oid: string; name: string }>(`
    SELECT x.oid::pg_catalog.text AS oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(x.relname) AS name
      FROM pg_catalog.pg_class x JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace
     WHERE x.relkind = 'S' AND ${dumped('x.oid')}`)
  const settings = words(
    `'bigint'`,
    ...['start_value', 'increment_by', 'min_value', 'max_value', 'cache_value'],
    letter('is_cycled'),
  )
  const result = new Map<string, ExtraFacets>()
  for (let at = 0; at < rows.length; at += 200) {
    const some = rows
      .slice(at, at + 200)
      .map(
        ({ oid, name }) =>
          `SELECT ${quoteLiteral(oid)}::pg_catalog.text AS oid, ${settings} AS text FROM ${name}`,
      )
    const read = await client.query<{ oid: string; text: string }>(some.join(' UNION ALL '))
    for (const { oid, text } of read.rows) {
      result.set(oid, { facets: { sequence: keep('sequence', text) }, acls: [] })
    }
  }
  return result
}
