import type pg from 'pg'
import { quoteLiteral } from '../../../postgres/identifiers.ts'
import { listOf, words } from '../../../postgres/portable-sql.ts'
import { roleSettings } from '../../../postgres/roles/catalog.ts'
import { namesRole } from '../../../postgres/roles/role-names.ts'
import { type FreezeMark, settingsBefore } from '../../freeze/mark.ts'
import { markSchema } from '../../restore/database/mark.ts'
import { settingText } from './known-options.ts'
import type { CatalogQuery, ExtraFacets, Keep } from './model.ts'
import { procedure } from './names.ts'
import type { RoleReader } from './role-reader.ts'

const sorted = (array: string) =>
  `pg_catalog.array_to_string(ARRAY(SELECT o FROM pg_catalog.unnest(${array}) o ORDER BY o), ', ')`

/**
 * The queries for the database itself and what is in no schema: schemas, extensions, languages, foreign servers,
 * publications, event triggers, default privileges, security labels, …
 *
 * @param server `server_version_num`, which decides what the catalogs have
 */
export function databaseQueries(server: number): CatalogQuery[] {
  const since = (number: number, sql: string, otherwise = 'NULL') =>
    server >= number ? sql : otherwise
  return [
    {
      kind: 'database',
      catalog: 'pg_database',
      system: true,
      where: 'x.datname = pg_catalog.current_database()',
      // a database may be renamed on the way
      name: `''`,
      builtin: 'x.oid < 16384',
      owner: 'x.datdba',
      acl: { column: 'x.datacl', type: 'database' },
      facets: {
        encoding: 'pg_catalog.pg_encoding_to_char(x.encoding)',
        collation: `pg_catalog.lower(pg_catalog.replace(x.datcollate, '-', ''))`,
        'character classification': `pg_catalog.lower(pg_catalog.replace(x.datctype, '-', ''))`,
        'locale provider': since(150000, `NULLIF(x.datlocprovider, 'c')`),
        locale: since(170000, 'x.datlocale', since(150000, 'x.daticulocale')),
        'connection limit': 'NULLIF(x.datconnlimit, -1)',
        template: `CASE WHEN x.datistemplate THEN 'IS_TEMPLATE' END`,
      },
      plain: ['encoding'],
    },
    {
      kind: 'schema',
      catalog: 'pg_namespace',
      system: true,
      // and without the mark of a restore under way, which comes off when the comparison is done
      where: `(x.oid >= 16384 OR x.nspname = 'public') AND x.nspname !~ '^pg_'
        AND x.nspname NOT IN ('information_schema', ${quoteLiteral(markSchema)})`,
      name: 'x.nspname',
      // the bootstrap superuser, or from 15 on pg_database_owner
      builtin: `x.nspname = 'public' AND x.nspowner IN (10, 6171)`,
      owner: 'x.nspowner',
      acl: { column: 'x.nspacl', type: 'schema' },
      facets: {
        'owner since initdb': `CASE WHEN x.nspname = 'public' AND x.nspowner IN (10, 6171) THEN pg_catalog.pg_get_userbyid(x.nspowner) END`,
      },
      plain: ['owner since initdb'],
    },
    {
      kind: 'extension',
      catalog: 'pg_extension',
      since: 90100,
      system: true,
      where: `x.oid >= 16384 OR x.extname = 'plpgsql'`,
      name: 'x.extname',
      facets: {
        version: 'x.extversion',
        schema: `CASE WHEN x.extrelocatable OR x.extnamespace >= 16384
                   THEN (SELECT s.nspname FROM pg_catalog.pg_namespace s WHERE s.oid = x.extnamespace) END`,
      },
      plain: ['version'],
    },
    {
      kind: 'language',
      catalog: 'pg_language',
      name: 'x.lanname',
      owner: 'x.lanowner',
      acl: { column: 'x.lanacl', type: 'language' },
      facets: {
        definition: words(
          `CASE WHEN x.lanpltrusted THEN 'TRUSTED' END`,
          procedure('x.lanplcallfoid'),
          since(90000, procedure('x.laninline')),
          procedure('x.lanvalidator'),
        ),
      },
      typed: ['definition'],
    },
    {
      kind: 'default privileges',
      catalog: 'pg_default_acl',
      since: 90000,
      name: words(
        `'for role ' || pg_catalog.pg_get_userbyid(x.defaclrole)`,
        `(SELECT 'in schema ' || s.nspname FROM pg_catalog.pg_namespace s WHERE s.oid = x.defaclnamespace)`,
        `'on ' || CASE x.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
           WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' WHEN 'L' THEN 'large objects' ELSE x.defaclobjtype::pg_catalog.text END`,
      ),
      named: { after: 'for role ', role: 'pg_catalog.pg_get_userbyid(x.defaclrole)' },
      owner: 'x.defaclrole',
      acl: {
        column: 'x.defaclacl',
        type: {
          sql: `CASE x.defaclobjtype WHEN 'r' THEN 'table' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'function'
                  WHEN 'T' THEN 'type' WHEN 'n' THEN 'schema' ELSE 'large object' END`,
        },
        base: 'x.defaclnamespace = 0',
      },
    },
    {
      kind: 'foreign-data wrapper',
      catalog: 'pg_foreign_data_wrapper',
      name: 'x.fdwname',
      owner: 'x.fdwowner',
      acl: { column: 'x.fdwacl', type: 'usage' },
      facets: {
        definition: words(since(90100, procedure('x.fdwhandler')), procedure('x.fdwvalidator')),
        options: sorted('x.fdwoptions'),
      },
      typed: ['definition'],
    },
    {
      kind: 'foreign server',
      catalog: 'pg_foreign_server',
      name: 'x.srvname',
      owner: 'x.srvowner',
      acl: { column: 'x.srvacl', type: 'usage' },
      facets: {
        definition: words(
          `(SELECT w.fdwname FROM pg_catalog.pg_foreign_data_wrapper w WHERE w.oid = x.srvfdw)`,
          'x.srvtype',
          'x.srvversion',
        ),
        options: sorted('x.srvoptions'),
      },
    },
    {
      // the options may hold passwords, and only some accounts may see them: not compared
      kind: 'user mapping',
      catalog: 'pg_user_mapping',
      from: '(SELECT u.umid AS oid, u.usename, u.srvname FROM pg_catalog.pg_user_mappings u) x',
      name: `'USER MAPPING ' || x.usename || ' SERVER ' || x.srvname`,
      named: { after: 'USER MAPPING ', role: 'x.usename' },
    },
    {
      kind: 'event trigger',
      catalog: 'pg_event_trigger',
      since: 90300,
      name: 'x.evtname',
      owner: 'x.evtowner',
      facets: {
        definition: words('x.evtevent', procedure('x.evtfoid'), sorted('x.evttags')),
        enabled: `NULLIF(x.evtenabled, 'O')`,
      },
      typed: ['definition'],
    },
    {
      kind: 'publication',
      catalog: 'pg_publication',
      since: 100000,
      name: 'x.pubname',
      owner: 'x.pubowner',
      facets: {
        publishes: words(
          `CASE WHEN x.pubinsert THEN 'insert' END`,
          `CASE WHEN x.pubupdate THEN 'update' END`,
          `CASE WHEN x.pubdelete THEN 'delete' END`,
          // a publication from before 11 publishes no truncation, and is dumped so
          since(110000, `CASE WHEN x.pubtruncate THEN 'truncate' END`),
          since(130000, `CASE WHEN x.pubviaroot THEN 'via root' END`),
        ),
        tables: words(
          `CASE WHEN x.puballtables THEN 'ALL TABLES' END`,
          listOf(
            words(
              'r.prrelid::pg_catalog.regclass::pg_catalog.text',
              since(150000, 'pg_catalog.pg_get_expr(r.prqual, r.prrelid)'),
              since(
                150000,
                listOf(
                  'a.attname',
                  'FROM pg_catalog.pg_attribute a WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)',
                  'a.attname',
                  `','`,
                ),
              ),
            ),
            'FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = x.oid',
            'r.prrelid::pg_catalog.regclass::pg_catalog.text',
          ),
          since(
            150000,
            `'SCHEMAS ' || ${listOf(
              's.pnnspid::pg_catalog.regnamespace::pg_catalog.text',
              'FROM pg_catalog.pg_publication_namespace s WHERE s.pnpubid = x.oid',
              's.pnnspid::pg_catalog.regnamespace::pg_catalog.text',
            )}`,
          ),
        ),
        'generated columns': since(180000, `NULLIF(x.pubgencols, 'n')`),
      },
    },
    {
      // the connection is a secret, and a restore leaves the subscription disabled
      kind: 'subscription',
      catalog: 'pg_subscription',
      since: 100000,
      system: true,
      // before 14 an ordinary account may read these columns, but not the OID
      from: `(SELECT NULL::pg_catalog.oid AS oid, s.subname, s.subowner, s.subpublications FROM pg_catalog.pg_subscription s
               WHERE s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())) x`,
      name: 'x.subname',
      owner: 'x.subowner',
      facets: { publications: sorted('x.subpublications') },
    },
    {
      kind: 'transform',
      catalog: 'pg_transform',
      since: 90500,
      name: `'TRANSFORM FOR ' || pg_catalog.format_type(x.trftype, NULL) || ' LANGUAGE ' ||
             (SELECT l.lanname FROM pg_catalog.pg_language l WHERE l.oid = x.trflang)`,
      facets: {
        definition: words(
          'x.trffromsql::pg_catalog.oid::pg_catalog.regprocedure::pg_catalog.text',
          'x.trftosql::pg_catalog.oid::pg_catalog.regprocedure::pg_catalog.text',
        ),
      },
      typed: ['definition'],
    },
    {
      kind: 'access method',
      catalog: 'pg_am',
      since: 90600,
      name: 'x.amname',
      facets: { definition: words('x.amtype', procedure('x.amhandler::pg_catalog.oid')) },
      typed: ['definition'],
    },
    {
      kind: 'security label',
      catalog: 'pg_seclabel',
      since: 90100,
      system: true,
      from: `(SELECT l.objoid AS oid, l.objtype, l.objname, l.provider, l.label FROM pg_catalog.pg_seclabels l
               WHERE l.classoid NOT IN ('pg_catalog.pg_database'::pg_catalog.regclass, 'pg_catalog.pg_authid'::pg_catalog.regclass, 'pg_catalog.pg_tablespace'::pg_catalog.regclass)) x`,
      name: words('x.objtype', 'x.objname', 'x.provider'),
      facets: { label: 'x.label' },
    },
  ]
}

/**
 * The settings of the database, and of roles in it: each is a facet, since a target may refuse single ones.
 *
 * @param mark of a frozen source: its settings are those from before
 */
export async function settingFacets(
  client: pg.Client,
  server: number,
  keep: Keep,
  mark: FreezeMark | null,
  reader: RoleReader,
): Promise<Map<string, ExtraFacets>> {
  const { rows } = await client.query<{ oid: string; role: string | null; settings: string[] }>(`
    SELECT r.setdatabase::pg_catalog.text AS oid, ARRAY(SELECT ${settingText('s')} FROM pg_catalog.unnest(r.setconfig) s) AS settings,
           CASE WHEN r.setrole <> 0 THEN pg_catalog.pg_get_userbyid(r.setrole)::pg_catalog.text END AS role
      FROM ${roleSettings(server)} r
      JOIN pg_catalog.pg_database d ON d.oid = r.setdatabase AND d.datname = pg_catalog.current_database()`)
  const result = new Map<string, ExtraFacets>()
  for (const { oid, role, settings } of rows) {
    const found = result.get(oid) ?? { facets: {}, acls: [] }
    result.set(oid, found)
    const read = settings.map((setting) => {
      const end = setting.indexOf('=')
      return { role, name: setting.slice(0, end), value: setting.slice(end + 1) }
    })
    for (const { name, value } of settingsBefore(read, mark)) {
      const facet = `setting ${name}${role === null ? '' : ` of ${reader.name(role)}`}`
      found.facets[facet] = keep(facet, namesRole(name, value) ? reader.name(value) : value)
    }
  }
  return result
}
