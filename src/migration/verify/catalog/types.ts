import { letter, listedName, listOf, words } from '../../../postgres/portable-sql.ts'
import { settingText } from './known-options.ts'
import type { CatalogQuery } from './model.ts'
import { existing, named, procedure, qualified, type } from './names.ts'

/**
 * The queries for types, routines, operators, casts, collations, conversions and text search.
 *
 * @param server `server_version_num`, which decides what the catalogs have
 */
export function typeQueries(server: number): CatalogQuery[] {
  const since = (number: number, sql: string, otherwise = 'NULL') =>
    server >= number ? sql : otherwise
  const isAggregate = since(110000, `x.prokind = 'a'`, 'x.proisagg')
  const textSearch = (
    catalog: string,
    prefix: string,
    kind: string,
    facets: Record<string, string>,
  ): CatalogQuery => ({
    kind: `text search ${kind}`,
    catalog,
    schema: `x.${prefix}namespace`,
    name: qualified(`x.${prefix}name`),
    ...(kind === 'configuration' || kind === 'dictionary' ? { owner: `x.${prefix}owner` } : {}),
    facets,
    typed: ['definition', 'mappings'],
  })
  return [
    {
      kind: { sql: `CASE x.typtype WHEN 'd' THEN 'domain' ELSE 'type' END` },
      catalog: 'pg_type',
      schema: 'x.typnamespace',
      // row types follow their tables, arrays and multiranges their elements
      where: `(x.typrelid = 0 OR (SELECT r.relkind FROM pg_catalog.pg_class r WHERE r.oid = x.typrelid) = 'c')
              AND x.typtype <> 'm' AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_type el WHERE el.oid = x.typelem AND el.typarray = x.oid)`,
      name: qualified('x.typname'),
      owner: 'x.typowner',
      ...(server >= 90200 ? { acl: { column: 'x.typacl', type: 'type' as const } } : {}),
      facets: {
        'kind of type': 'x.typtype',
        attributes: listOf(
          words(
            listedName('a.attname'),
            'pg_catalog.format_type(a.atttypid, a.atttypmod)',
            since(90100, named('pg_collation', 'coll', 'NULLIF(a.attcollation, t.typcollation)')),
          ),
          `FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
            WHERE a.attrelid = x.typrelid AND x.typrelid <> 0 AND a.attnum > 0 AND NOT a.attisdropped`,
          'a.attnum',
        ),
        'comments on attributes': listOf(
          'd.description',
          `FROM pg_catalog.pg_description d
            WHERE d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objoid = x.typrelid AND x.typrelid <> 0 AND d.objsubid > 0`,
          'd.objsubid',
          `E'\\n'`,
        ),
        // before 9.1 the labels' order is that of their OIDs
        labels: listOf(
          'pg_catalog.quote_literal(l.enumlabel)',
          'FROM pg_catalog.pg_enum l WHERE l.enumtypid = x.oid',
          since(90100, 'l.enumsortorder', 'l.oid'),
        ),
        'base type': `CASE x.typtype WHEN 'd' THEN ${words('pg_catalog.format_type(x.typbasetype, x.typtypmod)', since(90100, named('pg_collation', 'coll', 'x.typcollation')))} END`,
        // a domain's text may have been printed by an older server
        default: 'COALESCE(pg_catalog.pg_get_expr(x.typdefaultbin, 0), x.typdefault)',
        'not null': `CASE WHEN x.typtype = 'd' AND x.typnotnull THEN 'NOT NULL' END`,
        constraints: listOf(
          words(listedName('k.conname'), 'pg_catalog.pg_get_constraintdef(k.oid)'),
          `FROM pg_catalog.pg_constraint k WHERE k.contypid = x.oid AND k.contype = 'c'`,
          'k.conname',
        ),
        'comments on constraints': listOf(
          'd.description',
          `FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_description d
             ON d.classoid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objoid = k.oid WHERE k.contypid = x.oid`,
          'k.conname',
          `E'\\n'`,
        ),
        ...(server >= 90200
          ? {
              range: `(SELECT ${words(type('r.rngsubtype'), named('pg_opclass', 'opc', 'r.rngsubopc'), named('pg_collation', 'coll', 'r.rngcollation'), procedure('r.rngcanonical'), procedure('r.rngsubdiff'))}
                         FROM pg_catalog.pg_range r WHERE r.rngtypid = x.oid)`,
            }
          : {}),
        // before 14 a range has none
        multirange: since(
          140000,
          `(SELECT ${type('r.rngmultitypid')} FROM pg_catalog.pg_range r WHERE r.rngtypid = x.oid)`,
        ),
        functions: `CASE WHEN x.typtype = 'b' THEN ${words(
          ...['input', 'output', 'receive', 'send', 'modin', 'modout', 'analyze'].map((f) =>
            procedure(`x.typ${f}`),
          ),
          'x.typlen',
          letter('x.typbyval'),
          'x.typalign',
          'x.typstorage',
          'x.typcategory',
          letter('x.typispreferred'),
          'x.typdelim',
          type('NULLIF(x.typelem, 0)'),
          since(90100, letter('x.typcollation <> 0'), `'f'`),
        )} END`,
        subscript: since(
          140000,
          `CASE WHEN x.typtype = 'b' THEN ${procedure('x.typsubscript')} END`,
        ),
      },
      typed: ['attributes', 'base type', 'range', 'multirange', 'functions', 'subscript'],
    },
    {
      kind: {
        sql: `CASE ${since(110000, `WHEN x.prokind = 'p' THEN 'procedure'`, '')} WHEN ${isAggregate} THEN 'aggregate' ELSE 'function' END`,
      },
      catalog: 'pg_proc',
      schema: 'x.pronamespace',
      // a range type brings its own constructors
      where: `NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend i
                WHERE i.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND i.objid = x.oid AND i.deptype = 'i')`,
      name: `${qualified('x.proname')} || '(' || pg_catalog.oidvectortypes(x.proargtypes) || ')'`,
      owner: 'x.proowner',
      acl: { column: 'x.proacl', type: 'function' },
      facets: {
        signature: `NULLIF(pg_catalog.pg_get_function_identity_arguments(x.oid), pg_catalog.oidvectortypes(x.proargtypes))`,
        body: `CASE WHEN NOT ${isAggregate} THEN x.prosrc END`,
        'SQL body': since(140000, 'pg_catalog.pg_get_function_sqlbody(x.oid)'),
        library: 'x.probin::pg_catalog.text',
        language: `(SELECT l.lanname FROM pg_catalog.pg_language l WHERE l.oid = x.prolang)`,
        result: words(`CASE WHEN x.proretset THEN 'SETOF' END`, type('x.prorettype')),
        arguments: words(
          `pg_catalog.array_to_string(ARRAY(SELECT ${type('a')} FROM pg_catalog.unnest(COALESCE(x.proallargtypes, x.proargtypes::pg_catalog.oid[])) a), ', ')`,
          `x.proargmodes::pg_catalog.text`,
          `x.proargnames::pg_catalog.text`,
          `CASE WHEN x.provariadic <> 0 THEN 'VARIADIC' END`,
        ),
        'argument defaults': 'pg_catalog.pg_get_expr(x.proargdefaults, 0)',
        attributes: words(
          'x.provolatile',
          `CASE WHEN x.proisstrict THEN 'STRICT' END`,
          `CASE WHEN x.prosecdef THEN 'SECURITY DEFINER' END`,
          since(
            110000,
            `CASE WHEN x.prokind = 'w' THEN 'WINDOW' END`,
            `CASE WHEN x.proiswindow THEN 'WINDOW' END`,
          ),
          since(90200, `CASE WHEN x.proleakproof THEN 'LEAKPROOF' END`),
          since(90600, `NULLIF(x.proparallel, 'u')`),
        ),
        costs: words('x.procost', 'x.prorows'),
        settings: `pg_catalog.array_to_string(ARRAY(SELECT ${settingText('s')} FROM pg_catalog.unnest(x.proconfig) s ORDER BY s), ', ')`,
        support: since(120000, procedure('x.prosupport')),
        'final function': since(
          110000,
          `(SELECT g.aggfinalmodify::pg_catalog.text || g.aggmfinalmodify::pg_catalog.text FROM pg_catalog.pg_aggregate g WHERE g.aggfnoid = x.oid)`,
        ),
        aggregate: `(SELECT ${words(
          ...['transfn', 'finalfn'].map((f) => procedure(`g.agg${f}`)),
          ...(server >= 90600 ? ['combinefn', 'serialfn', 'deserialfn'] : []).map((f) =>
            procedure(`g.agg${f}`),
          ),
          ...(server >= 90400 ? ['mtransfn', 'minvtransfn', 'mfinalfn'] : []).map((f) =>
            procedure(`g.agg${f}`),
          ),
          type('g.aggtranstype'),
          `NULLIF(g.aggsortop, 0)::pg_catalog.regoperator::pg_catalog.text`,
          ...(server >= 90400
            ? [
                `NULLIF(g.aggkind, 'n')`,
                'NULLIF(g.aggnumdirectargs, 0)',
                'NULLIF(g.aggtransspace, 0)',
                'NULLIF(g.aggmtransspace, 0)',
                type('NULLIF(g.aggmtranstype, 0)'),
                `CASE WHEN g.aggfinalextra THEN 'FINALFUNC_EXTRA' END`,
                `CASE WHEN g.aggmfinalextra THEN 'MFINALFUNC_EXTRA' END`,
              ]
            : []),
        )} FROM pg_catalog.pg_aggregate g WHERE g.aggfnoid = x.oid)`,
        // a text of the user's, in which quotes mean something
        'initial values': `(SELECT ${words(
          'pg_catalog.quote_literal(g.agginitval)',
          since(90400, `'moving ' || pg_catalog.quote_literal(g.aggminitval)`),
        )} FROM pg_catalog.pg_aggregate g WHERE g.aggfnoid = x.oid)`,
      },
      plain: ['signature'],
      typed: ['result', 'arguments', 'support', 'aggregate'],
    },
    {
      kind: 'operator',
      catalog: 'pg_operator',
      schema: 'x.oprnamespace',
      // a shell, which an operator names as its commutator or negator, comes and goes with that one: no dump has it
      where: 'x.oprcode <> 0',
      name: `${qualified('x.oprname')} || ' (' || ${words(
        `COALESCE(${type('NULLIF(x.oprleft, 0)')}, 'NONE') || ','`,
        `COALESCE(${type('NULLIF(x.oprright, 0)')}, 'NONE')`,
      )} || ')'`,
      owner: 'x.oprowner',
      facets: {
        definition: words(
          'x.oprcode::pg_catalog.oid::pg_catalog.regprocedure::pg_catalog.text',
          // an old server leaves the number of an operator that was dropped
          existing('x.oprcom'),
          existing('x.oprnegate'),
          'NULLIF(x.oprrest::pg_catalog.oid, 0)::pg_catalog.regprocedure::pg_catalog.text',
          'NULLIF(x.oprjoin::pg_catalog.oid, 0)::pg_catalog.regprocedure::pg_catalog.text',
          `CASE WHEN x.oprcanmerge THEN 'MERGES' END`,
          `CASE WHEN x.oprcanhash THEN 'HASHES' END`,
        ),
      },
      typed: ['definition'],
    },
    {
      kind: 'operator class',
      catalog: 'pg_opclass',
      schema: 'x.opcnamespace',
      name: `${qualified('x.opcname')} || ' USING ' || (SELECT am.amname FROM pg_catalog.pg_am am WHERE am.oid = x.opcmethod)`,
      owner: 'x.opcowner',
      facets: {
        definition: words(
          type('x.opcintype'),
          type('NULLIF(x.opckeytype, 0)'),
          `CASE WHEN x.opcdefault THEN 'DEFAULT' END`,
          named('pg_opfamily', 'opf', 'x.opcfamily'),
        ),
        'in family': `${named('pg_opfamily', 'opf', 'x.opcfamily')} || ' USING ' || (SELECT am.amname FROM pg_catalog.pg_am am WHERE am.oid = x.opcmethod)`,
      },
      plain: ['in family'],
      typed: ['definition'],
    },
    {
      kind: 'operator family',
      catalog: 'pg_opfamily',
      schema: 'x.opfnamespace',
      name: `${qualified('x.opfname')} || ' USING ' || (SELECT am.amname FROM pg_catalog.pg_am am WHERE am.oid = x.opfmethod)`,
      owner: 'x.opfowner',
      facets: {
        // before 9.1 an operator's only purpose was to search
        operators: listOf(
          words(
            'm.amopstrategy',
            'm.amopopr::pg_catalog.regoperator::pg_catalog.text',
            since(90100, 'm.amoppurpose', `'s'`),
            since(90100, named('pg_opfamily', 'opf', 'm.amopsortfamily')),
          ),
          'FROM pg_catalog.pg_amop m WHERE m.amopfamily = x.oid',
          `m.amopstrategy, pg_catalog.replace(m.amopopr::pg_catalog.regoperator::pg_catalog.text, '"', '')`,
        ),
        functions: listOf(
          words(
            'm.amprocnum',
            'm.amproc::pg_catalog.oid::pg_catalog.regprocedure::pg_catalog.text',
            type('m.amproclefttype'),
            type('m.amprocrighttype'),
          ),
          'FROM pg_catalog.pg_amproc m WHERE m.amprocfamily = x.oid',
          `m.amprocnum, pg_catalog.replace(m.amproc::pg_catalog.oid::pg_catalog.regprocedure::pg_catalog.text, '"', '')`,
        ),
      },
      typed: ['operators', 'functions'],
    },
    {
      kind: 'cast',
      catalog: 'pg_cast',
      name: `'CAST (' || ${type('x.castsource')} || ' AS ' || ${type('x.casttarget')} || ')'`,
      // a range type brings a cast to its multirange
      where: `NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend i
                WHERE i.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass AND i.objid = x.oid AND i.deptype = 'i')`,
      facets: { definition: words(procedure('x.castfunc'), 'x.castcontext', 'x.castmethod') },
      typed: ['definition'],
    },
    {
      kind: 'collation',
      catalog: 'pg_collation',
      since: 90100,
      schema: 'x.collnamespace',
      name: qualified('x.collname'),
      owner: 'x.collowner',
      facets: {
        provider: since(100000, `NULLIF(x.collprovider, 'c')`),
        locale: words(
          ...(server >= 150000 ? [server >= 170000 ? 'x.colllocale' : 'x.colliculocale'] : []),
          ...(server >= 100000
            ? [
                `CASE WHEN x.collprovider = 'c' THEN x.collcollate END`,
                `CASE WHEN x.collprovider = 'c' THEN x.collctype END`,
              ]
            : ['x.collcollate', 'x.collctype']),
          ...(server >= 100000 && server < 150000
            ? [`CASE WHEN x.collprovider = 'i' THEN x.collcollate END`]
            : []),
        ),
        nondeterministic: since(
          120000,
          `CASE WHEN NOT x.collisdeterministic THEN 'not deterministic' END`,
        ),
        rules: since(160000, 'x.collicurules'),
      },
    },
    {
      kind: 'conversion',
      catalog: 'pg_conversion',
      schema: 'x.connamespace',
      name: qualified('x.conname'),
      owner: 'x.conowner',
      facets: {
        definition: words(
          'pg_catalog.pg_encoding_to_char(x.conforencoding)',
          'pg_catalog.pg_encoding_to_char(x.contoencoding)',
          'x.conproc::pg_catalog.oid::pg_catalog.regproc::pg_catalog.text',
          `CASE WHEN x.condefault THEN 'DEFAULT' END`,
        ),
      },
      typed: ['definition'],
    },
    textSearch('pg_ts_config', 'cfg', 'configuration', {
      parser: named('pg_ts_parser', 'prs', 'x.cfgparser'),
      mappings: listOf(
        words(
          'm.maptokentype',
          'm.mapseqno',
          'm.mapdict::pg_catalog.regdictionary::pg_catalog.text',
        ),
        'FROM pg_catalog.pg_ts_config_map m WHERE m.mapcfg = x.oid',
        'm.maptokentype, m.mapseqno',
      ),
    }),
    textSearch('pg_ts_dict', 'dict', 'dictionary', {
      template: named('pg_ts_template', 'tmpl', 'x.dicttemplate'),
      // older minors put numbers in quotation marks
      options: `pg_catalog.regexp_replace(x.dictinitoption, '''(-?[0-9.]+)''', E'\\\\1', 'g')`,
    }),
    textSearch('pg_ts_parser', 'prs', 'parser', {
      definition: words(
        ...['start', 'token', 'end', 'headline', 'lextype'].map((f) =>
          procedure(`x.prs${f}::pg_catalog.oid`),
        ),
      ),
    }),
    textSearch('pg_ts_template', 'tmpl', 'template', {
      definition: words(
        procedure('x.tmplinit::pg_catalog.oid'),
        procedure('x.tmpllexize::pg_catalog.oid'),
      ),
    }),
  ]
}
