import { roleSettings } from '../../../postgres/roles/catalog.ts'

/** Encodings in which a session may be handed bytes that are no UTF-8: from any other the server makes text. */
export type Unchecked = 'SQL_ASCII' | 'UTF8'

/**
 * Bytes beyond ASCII escaped, so that a session in UTF-8 may read them (PostgreSQL, "bytea Escape Format"). To convert a text makes
 * sure of it, unless its encoding takes any bytes; to send it does not, where both sides have the same.
 */
const bytes = (text: string, encoding: Unchecked) =>
  `pg_catalog.encode(${encoding === 'UTF8' ? `pg_catalog.textsend(${text})` : `pg_catalog.convert_to(${text}, 'SQL_ASCII')`}, 'escape')`

/**
 * `always` marks what is read at every level of the verification; the others are read to compare definitions. A definition is
 * what the server makes of names and expressions: it has a new name in it as soon as something is renamed.
 */
type Kind = 'always name' | 'always text' | 'name' | 'text' | 'definition'

export interface CatalogText {
  kind: Kind
  /** What the text is, and what it belongs to, escaped. */
  what: string
  /** Escaped. */
  text: string
}

/** SQL: rows of the columns `kind`, `what` and `text`. @param what SQL, as `text` */
const part = (kind: Kind, what: string, text: string, rows: string) =>
  `SELECT '${kind}' AS kind, (${what})::pg_catalog.text AS what, (${text})::pg_catalog.text AS text ${rows}`

/** SQL: those of a union that hold bytes beyond ASCII, or a backslash. */
export function strangeTexts(parts: readonly string[], encoding: Unchecked): string {
  const [what, text] = [bytes('t.what', encoding), bytes('t.text', encoding)]
  return `SELECT s.kind, s.what, s.text
     FROM (SELECT t.kind, ${what} AS what, ${text} AS text FROM (${parts.join('\nUNION ALL\n')}) t) s
    WHERE pg_catalog.strpos(s.text, '\\') > 0 ORDER BY 1, 2, 3`
}

/** Every name and definition in the catalogs of a database, from 8.4 on. @param number `server_version_num` */
export function textsOfDatabase(number: number): string[] {
  const own = 'oid >= 16384'
  const hasRows = `relkind IN ('r', 'p', 'm', 'S', 'f')`
  const name = (kind: string, catalog: string, column: string) =>
    part('name', `'the name of ${kind}'`, column, `FROM pg_catalog.${catalog} WHERE ${own}`)
  const since = (version: number, ...parts: string[]) => (number >= version ? parts : [])
  const of = (kind: string, column: string) => `'${kind} ' || ${column}::pg_catalog.text`
  const attribute =
    'FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE c.oid >= 16384'
  const options = (kind: string, catalog: string, column: string, list: string) =>
    part(
      'text',
      of(`the options of ${kind}`, column),
      `pg_catalog.array_to_string(${list}, ' ')`,
      `FROM pg_catalog.${catalog} WHERE ${list} IS NOT NULL`,
    )
  const described =
    number >= 90_100
      ? 'pg_catalog.pg_describe_object(d.classoid, d.objoid, d.objsubid)'
      : `d.objoid::pg_catalog.text || ' in ' || d.classoid::pg_catalog.regclass::pg_catalog.text`
  const ofTable = 'JOIN pg_catalog.pg_class c ON c.oid ='
  return [
    part(
      'always name',
      `'the name of a relation'`,
      'relname',
      `FROM pg_catalog.pg_class WHERE ${own} AND ${hasRows}`,
    ),
    part(
      'name',
      `'the name of a view, an index or a type'`,
      'relname',
      `FROM pg_catalog.pg_class WHERE ${own} AND NOT ${hasRows}`,
    ),
    part(
      'always name',
      `'the name of a schema'`,
      'nspname',
      `FROM pg_catalog.pg_namespace WHERE ${own}`,
    ),
    part('name', of('the name of a column of', 'c.relname'), 'a.attname', attribute),
    part(
      'text',
      `'the comment on ' || ${described}`,
      'd.description',
      'FROM pg_catalog.pg_description d',
    ),
    name('a function', 'pg_proc', 'proname'),
    part(
      'definition',
      of('the arguments of the function', 'proname'),
      'pg_catalog.pg_get_function_arguments(oid)',
      `FROM pg_catalog.pg_proc WHERE ${own}`,
    ),
    part(
      'text',
      of('the body of the function', 'proname'),
      'prosrc',
      `FROM pg_catalog.pg_proc WHERE ${own}`,
    ),
    // those of relations and the arrays are named with what they are of
    part(
      'name',
      `'the name of a type'`,
      't.typname',
      `FROM pg_catalog.pg_type t WHERE t.${own} AND t.typrelid = 0 AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)`,
    ),
    part(
      'text',
      of('the default of the type', 'typname'),
      'typdefault',
      `FROM pg_catalog.pg_type WHERE ${own}`,
    ),
    part(
      'text',
      of('a label of the type', 't.typname'),
      'e.enumlabel',
      'FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid',
    ),
    part(
      'definition',
      of('the default of a column of', 'c.relname'),
      'pg_catalog.pg_get_expr(d.adbin, d.adrelid)',
      `FROM pg_catalog.pg_attrdef d ${ofTable} d.adrelid`,
    ),
    name('a constraint', 'pg_constraint', 'conname'),
    part(
      'definition',
      of('the constraint', 'conname'),
      'pg_catalog.pg_get_constraintdef(oid)',
      `FROM pg_catalog.pg_constraint WHERE ${own}`,
    ),
    part(
      'definition',
      of('the view or rule of', 'c.relname'),
      'pg_catalog.pg_get_ruledef(r.oid)',
      `FROM pg_catalog.pg_rewrite r ${ofTable} r.ev_class WHERE c.oid >= 16384`,
    ),
    name('a trigger', 'pg_trigger', 'tgname'),
    part(
      'definition',
      of('a trigger of', 'c.relname'),
      'pg_catalog.pg_get_triggerdef(t.oid)',
      `FROM pg_catalog.pg_trigger t ${ofTable} t.tgrelid`,
    ),
    part(
      'definition',
      of('the index', 'c.relname'),
      'pg_catalog.pg_get_indexdef(i.indexrelid)',
      `FROM pg_catalog.pg_index i ${ofTable} i.indexrelid WHERE c.oid >= 16384`,
    ),
    name('an operator class', 'pg_opclass', 'opcname'),
    name('an operator family', 'pg_opfamily', 'opfname'),
    name('a language', 'pg_language', 'lanname'),
    name('a conversion', 'pg_conversion', 'conname'),
    name('a text search configuration', 'pg_ts_config', 'cfgname'),
    name('a text search dictionary', 'pg_ts_dict', 'dictname'),
    part(
      'text',
      of('the options of the text search dictionary', 'dictname'),
      'dictinitoption',
      `FROM pg_catalog.pg_ts_dict WHERE ${own}`,
    ),
    name('a text search parser', 'pg_ts_parser', 'prsname'),
    name('a text search template', 'pg_ts_template', 'tmplname'),
    name('a foreign data wrapper', 'pg_foreign_data_wrapper', 'fdwname'),
    options('the foreign data wrapper', 'pg_foreign_data_wrapper', 'fdwname', 'fdwoptions'),
    name('a server', 'pg_foreign_server', 'srvname'),
    options('the server', 'pg_foreign_server', 'srvname', 'srvoptions'),
    // what the account may not see it does not dump either
    options('a user mapping of the server', 'pg_user_mappings', 'srvname', 'umoptions'),
    ...since(90_100, name('a collation', 'pg_collation', 'collname')),
    ...since(
      90_200,
      part(
        'text',
        of('the options of a column of', 'c.relname'),
        `pg_catalog.array_to_string(a.attfdwoptions, ' ')`,
        attribute,
      ),
    ),
    ...since(
      90_100,
      part(
        'text',
        of('the options of the foreign table', 'c.relname'),
        `pg_catalog.array_to_string(f.ftoptions, ' ')`,
        `FROM pg_catalog.pg_foreign_table f ${ofTable} f.ftrelid`,
      ),
    ),
    ...since(90_100, part('text', `'a security label'`, 'label', 'FROM pg_catalog.pg_seclabel')),
    ...since(90_300, name('an event trigger', 'pg_event_trigger', 'evtname')),
    ...since(
      90_500,
      name('a policy', 'pg_policy', 'polname'),
      part(
        'definition',
        of('the policy', 'polname'),
        `COALESCE(pg_catalog.pg_get_expr(polqual, polrelid), '') || COALESCE(pg_catalog.pg_get_expr(polwithcheck, polrelid), '')`,
        'FROM pg_catalog.pg_policy',
      ),
    ),
    ...since(
      100_000,
      name('a publication', 'pg_publication', 'pubname'),
      name('a subscription', 'pg_subscription', 'subname'),
      name('extended statistics', 'pg_statistic_ext', 'stxname'),
      part(
        'definition',
        of('the bounds of the partition', 'relname'),
        `COALESCE(pg_catalog.pg_get_expr(relpartbound, oid), '')`,
        `FROM pg_catalog.pg_class WHERE ${own}`,
      ),
      part(
        'definition',
        of('the partition key of', 'c.relname'),
        'pg_catalog.pg_get_partkeydef(p.partrelid)',
        `FROM pg_catalog.pg_partitioned_table p ${ofTable} p.partrelid`,
      ),
      part(
        'definition',
        of('the extended statistics', 'stxname'),
        'pg_catalog.pg_get_statisticsobjdef(oid)',
        'FROM pg_catalog.pg_statistic_ext',
      ),
    ),
    ...since(
      140_000,
      part(
        'definition',
        of('the body of the function', 'proname'),
        'pg_catalog.pg_get_function_sqlbody(oid)',
        `FROM pg_catalog.pg_proc WHERE ${own}`,
      ),
    ),
    ...since(
      150_000,
      part(
        'definition',
        of('a row filter of a publication of', 'c.relname'),
        'pg_catalog.pg_get_expr(p.prqual, p.prrelid)',
        `FROM pg_catalog.pg_publication_rel p ${ofTable} p.prrelid`,
      ),
    ),
  ]
}

/** What the catalogs that all databases share say of the one that is connected. */
export function textsOnDatabase(number: number): string[] {
  const here = 'd.datname = pg_catalog.current_database()'
  return [
    part(
      'always text',
      `'the comment on the database'`,
      `pg_catalog.shobj_description(d.oid, 'pg_database')`,
      `FROM pg_catalog.pg_database d WHERE ${here}`,
    ),
    part(
      'always text',
      `'a setting of the database'`,
      `pg_catalog.array_to_string(s.setconfig, ' ')`,
      `FROM ${roleSettings(number)} s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase WHERE ${here}`,
    ),
  ]
}

/** What those catalogs say of the roles. */
export function textsOfRoles(number: number): string[] {
  const ofRole = (what: string) => `'${what} ' || r.rolname::pg_catalog.text`
  const roles = 'FROM pg_catalog.pg_roles r'
  return [
    part('always name', `'the name of a role'`, 'r.rolname', roles),
    part(
      'always text',
      ofRole('the comment on the role'),
      `pg_catalog.shobj_description(r.oid, 'pg_authid')`,
      roles,
    ),
    part(
      'always text',
      ofRole('a setting of the role'),
      `pg_catalog.array_to_string(s.setconfig, ' ')`,
      `FROM ${roleSettings(number)} s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = 0`,
    ),
  ]
}
