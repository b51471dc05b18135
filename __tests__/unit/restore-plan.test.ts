import { describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { groupLosses } from '../../src/migration/losses.ts'
import type { DatabaseProperties } from '../../src/migration/restore/database/properties.ts'
import { allowMissing } from '../../src/migration/restore/plan/allow-missing.ts'
import { lossesOnDatabase } from '../../src/migration/restore/plan/losses-on-database.ts'
import { neededRoles } from '../../src/migration/restore/plan/needed-roles.ts'
import {
  lossesOf,
  makePlan,
  type PlanOptions,
  planArrival,
  type RestorePlan,
} from '../../src/migration/restore/plan/plan.ts'
import { expectedDifferences, leaveOut } from '../../src/migration/restore/plan/planned-entry.ts'
import { takeAlong } from '../../src/migration/restore/plan/take-along.ts'
import type { TargetFacts } from '../../src/migration/restore/plan/target-facts.ts'
import { refuseLosses } from '../../src/migration/restore/plan-restore.ts'
import type { Archive } from '../../src/postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../src/postgres/archive/entry.ts'
import { renamedRoles } from '../../src/postgres/roles/role-names.ts'
import { archiveEntry } from '../support/archive-entry.ts'
import { newContext } from '../support/context.ts'
import { plainDatabase as database, factsOf } from '../support/plan-facts.ts'

function archiveOf(entries: Partial<ArchiveEntry>[], serverVersion = '15.20'): Archive {
  return {
    directory: '/dump',
    version: '1.14',
    database: 'shop',
    serverVersion,
    clientVersion: serverVersion,
    encoding: 'UTF8',
    standardStrings: true,
    searchPath: 'SELECT 1',
    entries: entries.map((entry, index) =>
      archiveEntry({ dumpId: index + 1, owner: 'app_owner', ...entry }),
    ),
  }
}

function planOf(
  entries: Partial<ArchiveEntry>[],
  facts: TargetFacts = factsOf({}),
  options: Partial<PlanOptions> = {},
): RestorePlan {
  return makePlan([archiveOf(entries)], facts, {
    database,
    allowMissing: [],
    wanted: null,
    ...options,
  })
}

/** Why each entry is not restored as it is, by name. */
function outcomes(plan: RestorePlan): Record<string, string> {
  return Object.fromEntries(
    plan.entries.map(({ name, decision }) => [
      name,
      decision.kind === 'restore'
        ? 'restored'
        : decision.kind === 'otherwise'
          ? decision.reason
          : decision.reason,
    ]),
  )
}

interface Case {
  name: string
  entry: Partial<ArchiveEntry>
  facts?: TargetFacts
  /** Undefined: restored as it is. */
  reason?: RegExp
  loss?: 'rows' | 'behaviour' | 'nothing'
  /** What is restored instead. */
  definition?: string
}

const cases: Case[] = [
  { name: 'an ordinary table', entry: { definition: 'CREATE TABLE public.t (a int);' } },
  { name: 'a trusted extension', entry: { desc: 'EXTENSION', tag: 'hstore' } },
  {
    name: 'an extension that takes a superuser',
    entry: { desc: 'EXTENSION', tag: 'dblink' },
    reason: /the account may not create the extension/,
    loss: 'behaviour',
  },
  {
    name: 'the same for a polar_superuser, where no list forbids it',
    entry: { desc: 'EXTENSION', tag: 'dblink' },
    facts: factsOf({ polarSuperuser: true }),
  },
  {
    name: 'an extension off the list of PolarDB',
    entry: { desc: 'EXTENSION', tag: 'dblink' },
    facts: factsOf({ polarSuperuser: true, supported: ['hstore'] }),
    reason: /polar_supported_extensions/,
    loss: 'behaviour',
  },
  {
    name: 'an extension that is on the list',
    entry: { desc: 'EXTENSION', tag: 'hstore' },
    facts: factsOf({ major: 11, polarSuperuser: true, supported: ['hstore'] }),
  },
  {
    name: 'an extension that the target lacks',
    entry: { desc: 'EXTENSION', tag: 'postgis' },
    reason: /does not have the extension/,
    loss: 'behaviour',
  },
  {
    name: 'an extension that is there',
    entry: { desc: 'EXTENSION', tag: 'plpgsql' },
    reason: /has it already/,
    loss: 'nothing',
  },
  {
    name: 'a comment on an extension',
    entry: { desc: 'COMMENT', tag: 'EXTENSION hstore', namespace: '' },
    reason: /comes with the extension/,
    loss: 'nothing',
  },
  {
    name: 'the schema public',
    entry: { desc: 'SCHEMA', tag: 'public', namespace: '' },
    reason: /has it already/,
    loss: 'nothing',
  },
  {
    name: 'grants on the schema public before 15',
    entry: { desc: 'ACL', tag: 'SCHEMA public', namespace: '' },
    facts: factsOf({ major: 11 }),
    reason: /belongs to the superuser/,
    loss: 'nothing',
  },
  { name: 'grants on the schema public since 15', entry: { desc: 'ACL', tag: 'SCHEMA public' } },
  {
    name: 'a schema that PolarDB has for itself',
    entry: { desc: 'SCHEMA', tag: 'polar_feature_utils', namespace: '' },
    reason: /has a schema of this name for itself/,
    loss: 'behaviour',
  },
  {
    name: 'a grant on a catalog',
    entry: { desc: 'ACL', tag: 'TABLE pg_authid', namespace: 'pg_catalog' },
    reason: /system catalogs/,
    loss: 'nothing',
  },
  {
    name: 'a function in C',
    entry: {
      desc: 'FUNCTION',
      tag: 'f()',
      definition: `CREATE FUNCTION public.f() RETURNS int\n    LANGUAGE c\n    AS 'x', 'y';`,
    },
    reason: /languages c and internal/,
    loss: 'behaviour',
  },
  {
    name: 'a function in C for a superuser',
    entry: { desc: 'FUNCTION', definition: `CREATE FUNCTION f() LANGUAGE c AS 'x';` },
    facts: factsOf({ superuser: true }),
  },
  {
    name: 'a function that only speaks of C',
    entry: {
      desc: 'FUNCTION',
      definition: `CREATE FUNCTION "LANGUAGE c "() RETURNS int LANGUAGE sql AS 'LANGUAGE c LEAKPROOF';`,
    },
  },
  {
    name: 'a leakproof function',
    entry: {
      desc: 'FUNCTION',
      definition: `CREATE FUNCTION f() RETURNS int\n    LANGUAGE sql IMMUTABLE LEAKPROOF\n    AS 'SELECT 1 LEAKPROOF';`,
    },
    reason: /without LEAKPROOF/,
    definition: `CREATE FUNCTION f() RETURNS int\n    LANGUAGE sql IMMUTABLE\n    AS 'SELECT 1 LEAKPROOF';`,
  },
  {
    name: 'a function that sets what only a superuser may',
    entry: {
      desc: 'FUNCTION',
      definition: `CREATE FUNCTION f() RETURNS int\n    LANGUAGE sql\n    SET search_path TO 'app', 'x y'\n    SET log_min_duration_statement TO '0'\n    AS 'SELECT 1';`,
    },
    reason: /without SET log_min_duration_statement: only a superuser/,
    definition: `CREATE FUNCTION f() RETURNS int\n    LANGUAGE sql\n    SET search_path TO 'app', 'x y'\n    AS 'SELECT 1';`,
  },
  {
    name: 'a function that sets what no server lists',
    entry: {
      desc: 'FUNCTION',
      definition: `CREATE FUNCTION f() RETURNS int\n    LANGUAGE sql\n    SET role TO 'app_owner'\n    SET seed TO '0.5'\n    AS 'SELECT 1';`,
    },
  },
  {
    name: 'a function in a language that the target lacks',
    entry: { desc: 'FUNCTION', definition: 'CREATE FUNCTION f() LANGUAGE plperl AS $$x$$;' },
    reason: /no language plperl/,
    loss: 'behaviour',
  },
  {
    name: 'a default privilege of a superuser',
    entry: { desc: 'DEFAULT ACL', owner: 'postgres' },
    reason: /default privileges of "postgres"/,
    loss: 'nothing',
  },
  { name: 'a default privilege of an ordinary role', entry: { desc: 'DEFAULT ACL' } },
  {
    name: 'a policy for a role that the target lacks',
    entry: {
      desc: 'POLICY',
      definition:
        'CREATE POLICY p ON public.t TO app_owner, ghost USING ((a IN ( SELECT b FROM nobody)));',
    },
    reason: /the role "ghost" does not exist/,
    loss: 'behaviour',
  },
  {
    name: 'a security label of a provider that is not loaded',
    entry: { desc: 'SECURITY LABEL', definition: `SECURITY LABEL FOR dummy ON TABLE t IS 'x';` },
    reason: /has not loaded the security label provider "dummy"/,
    loss: 'behaviour',
  },
  {
    name: 'a security label of a provider that is',
    entry: { desc: 'SECURITY LABEL', definition: `SECURITY LABEL FOR loaded ON TABLE t IS 'x';` },
  },
  {
    name: 'an event trigger',
    entry: { desc: 'EVENT TRIGGER' },
    reason: /event trigger/,
    loss: 'behaviour',
  },
  {
    name: 'an event trigger of a polar_superuser',
    entry: {
      desc: 'EVENT TRIGGER',
      tag: 'my "watch"',
      definition: 'CREATE EVENT TRIGGER "my ""watch""" ON sql_drop EXECUTE FUNCTION app.f();',
    },
    facts: factsOf({ polarSuperuser: true }),
    reason: /restored disabled/,
    definition:
      'CREATE EVENT TRIGGER "my ""watch""" ON sql_drop EXECUTE FUNCTION app.f();\nALTER EVENT TRIGGER "my ""watch""" DISABLE;',
  },
  {
    name: 'an event trigger that is disabled anyway',
    entry: {
      desc: 'EVENT TRIGGER',
      definition:
        'CREATE EVENT TRIGGER w ON sql_drop EXECUTE FUNCTION app.f();\n\nALTER EVENT TRIGGER w DISABLE;\n',
    },
    facts: factsOf({ polarSuperuser: true }),
  },
  {
    name: 'a cast between types that are nobody’s',
    entry: { desc: 'CAST', definition: 'CREATE CAST (text AS int) WITH INOUT;' },
    reason: /cast between types of the system/,
    loss: 'behaviour',
  },
  {
    name: 'a column in a collation that the target lacks',
    entry: { definition: 'CREATE TABLE t (a text COLLATE pg_catalog."sv_SE.utf8");' },
    reason: /no collation "sv_SE.utf8"/,
    loss: 'rows',
  },
  {
    name: 'a column in a collation that it has',
    entry: { definition: 'CREATE TABLE t (a text COLLATE pg_catalog."de_DE.utf8");' },
  },
  {
    name: 'a generated column before 12',
    entry: {
      definition:
        'CREATE TABLE t (\n    a int,\n    b int GENERATED ALWAYS AS ((a * 2)) STORED\n);',
    },
    facts: factsOf({ major: 11 }),
    reason: /came with PostgreSQL 12/,
    loss: 'rows',
  },
  {
    name: 'an identity column before 12',
    entry: { definition: 'CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY);' },
    facts: factsOf({ major: 11 }),
  },
  {
    name: 'a generated column over several lines before 12',
    entry: {
      definition:
        "CREATE TABLE t (\n    a int,\n    b text GENERATED ALWAYS AS (\nCASE\n    WHEN (a < 10) THEN 'light'::text\n    ELSE 'heavy'::text\nEND) STORED,\n    c int\n);",
    },
    facts: factsOf({ major: 11 }),
    reason: /came with PostgreSQL 12/,
    loss: 'rows',
  },
  {
    name: 'a generated column over several lines',
    entry: {
      definition:
        "CREATE TABLE t (\n    a int,\n    b text GENERATED ALWAYS AS (\nCASE\n    WHEN (a < 10) THEN 'light'::text\n    ELSE 'heavy'::text\nEND) STORED,\n    c int\n);",
    },
    facts: factsOf({ major: 15 }),
  },
  {
    name: 'a virtual column over several lines before a stored one',
    entry: {
      definition:
        'CREATE TABLE t (\n    a int GENERATED ALWAYS AS (\nCASE\n    WHEN (b > 1) THEN 1\n    ELSE 2\nEND),\n    b int GENERATED ALWAYS AS ((1 + 1)) STORED\n);',
    },
    facts: factsOf({ major: 15 }),
    reason: /came with PostgreSQL 18/,
    loss: 'rows',
  },
  {
    name: 'a virtual column before 18',
    entry: {
      definition: 'CREATE TABLE t (\n    a int,\n    b int GENERATED ALWAYS AS ((a + 1))\n);',
    },
    facts: factsOf({ major: 17 }),
    reason: /came with PostgreSQL 18/,
    loss: 'rows',
  },
  {
    name: 'column compression before 14',
    entry: {
      definition:
        'CREATE TABLE t (\n    a text\n);\nALTER TABLE ONLY t ALTER COLUMN a SET COMPRESSION lz4;\n',
    },
    facts: factsOf({ major: 13 }),
    reason: /without COMPRESSION/,
    definition: 'CREATE TABLE t (\n    a text\n);\n\n',
  },
  {
    name: 'storage parameters that the target does not know',
    entry: {
      definition: `CREATE TABLE t (a int)\nWITH (autovacuum_vacuum_insert_threshold='5', fillfactor='70', autovacuum_vacuum_insert_scale_factor='0.1');`,
    },
    facts: factsOf({ major: 12 }),
    reason: /storage parameters that came with PostgreSQL 13/,
    definition: `CREATE TABLE t (a int)\nWITH (fillfactor='70');`,
  },
  {
    name: 'nothing but storage parameters that the target does not know',
    entry: {
      definition: `CREATE TABLE t (a int)\nWITH (autovacuum_vacuum_insert_threshold='5', autovacuum_vacuum_insert_scale_factor='0.1');`,
    },
    facts: factsOf({ major: 12 }),
    reason: /storage parameters/,
    definition: 'CREATE TABLE t (a int);',
  },
  {
    name: 'a range type before 14',
    entry: {
      desc: 'TYPE',
      definition:
        'CREATE TYPE app.r AS RANGE (\n    subtype = integer,\n    multirange_type_name = app.rs\n);',
    },
    facts: factsOf({ major: 13 }),
    reason: /without its multirange type/,
    definition: 'CREATE TYPE app.r AS RANGE (\n    subtype = integer\n);',
  },
  {
    name: 'a multirange column before 14',
    entry: { definition: 'CREATE TABLE t (a int4multirange);' },
    facts: factsOf({ major: 13 }),
    reason: /multirange types came/,
    loss: 'rows',
  },
  {
    name: 'gen_random_uuid before 13',
    entry: { definition: 'CREATE TABLE t (a uuid DEFAULT gen_random_uuid());' },
    facts: factsOf({ major: 11 }),
    reason: /uses a function that came with PostgreSQL 13 \(gen_random_uuid\)/,
    loss: 'rows',
  },
  {
    name: 'gen_random_uuid of an extension',
    entry: { definition: 'CREATE TABLE t (a uuid DEFAULT ext.gen_random_uuid());' },
    facts: factsOf({ major: 11 }),
  },
  {
    name: 'a unique constraint with NULLS NOT DISTINCT before 15',
    entry: { desc: 'CONSTRAINT', definition: 'ALTER TABLE t ADD UNIQUE NULLS NOT DISTINCT (a);' },
    facts: factsOf({ major: 14 }),
    reason: /NULLS NOT DISTINCT/,
    loss: 'behaviour',
  },
  {
    name: 'a procedure with INOUT before 14',
    entry: {
      desc: 'PROCEDURE',
      definition: 'CREATE PROCEDURE p(INOUT n int)\n    LANGUAGE sql\n    AS $$$$;',
    },
    facts: factsOf({ major: 11 }),
  },
  {
    name: 'a procedure with OUT before 14',
    entry: {
      desc: 'PROCEDURE',
      definition: 'CREATE PROCEDURE p(IN a int, OUT n int)\n    LANGUAGE sql\n    AS $$$$;',
    },
    facts: factsOf({ major: 13 }),
    reason: /OUT arguments/,
    loss: 'behaviour',
  },
  {
    name: 'a body in RETURN before 14',
    entry: {
      desc: 'FUNCTION',
      definition: 'CREATE FUNCTION f() RETURNS int\n    LANGUAGE sql\n    RETURN 1;',
    },
    facts: factsOf({ major: 13 }),
    reason: /bodies in RETURN/,
    loss: 'behaviour',
  },
  {
    name: 'a body as a string before 14',
    entry: {
      desc: 'FUNCTION',
      definition:
        'CREATE FUNCTION f() RETURNS int\n    LANGUAGE plpgsql\n    AS $$BEGIN RETURN 1; END$$;',
    },
    facts: factsOf({ major: 13 }),
  },
  ...[
    [
      'a column of a newer type',
      { definition: 'CREATE TABLE t (\n    id integer NOT NULL,\n    path jsonpath\n);' },
      11,
      /type that came with PostgreSQL 12 \(jsonpath\)/,
      'rows',
    ],
    [
      'an array of a newer type',
      { definition: 'CREATE TABLE t (\n    x xid8[] NOT NULL,\n    "b c" numeric(10,2)\n);' },
      12,
      /came with PostgreSQL 13 \(xid8, pg_snapshot\)/,
      'rows',
    ],
    [
      'a column that is called like a newer type',
      {
        definition:
          'CREATE TABLE t (\n    jsonpath text,\n    xid8 integer DEFAULT 1,\n    CONSTRAINT c CHECK ((length(jsonpath) > 0))\n);',
      },
      11,
    ],
    [
      'a cast to a newer type over lines',
      {
        desc: 'VIEW',
        definition:
          "CREATE VIEW v AS\n SELECT\n        CASE\n            WHEN true THEN '$'::jsonpath\n            ELSE NULL::jsonpath\n        END AS p;",
      },
      11,
      /jsonpath/,
      'behaviour',
    ],
    [
      'an argument of a newer type',
      {
        desc: 'FUNCTION',
        definition:
          'CREATE FUNCTION f(p jsonpath, jsonpath text) RETURNS text\n    LANGUAGE sql\n    AS $$ $$;',
      },
      11,
      /jsonpath/,
      'behaviour',
    ],
    [
      'an argument that is called like one',
      {
        desc: 'FUNCTION',
        definition:
          'CREATE FUNCTION f(jsonpath text) RETURNS text\n    LANGUAGE sql\n    AS $$ $$;',
      },
      11,
    ],
    [
      'a result of a newer type',
      {
        desc: 'FUNCTION',
        definition:
          'CREATE FUNCTION f(a integer) RETURNS SETOF jsonpath\n    LANGUAGE sql\n    AS $$ $$;',
      },
      11,
      /jsonpath/,
      'behaviour',
    ],
    [
      'a domain over a newer type',
      { desc: 'DOMAIN', definition: 'CREATE DOMAIN d AS jsonpath;' },
      11,
      /jsonpath/,
      'behaviour',
    ],
    [
      'another function than a newer one of its name',
      {
        desc: 'VIEW',
        definition: 'CREATE VIEW v AS\n SELECT my_gcd(1, 2) AS a, x.lcm(1, 2) AS b;',
      },
      11,
    ],
    [
      'WITH … AS MATERIALIZED',
      {
        desc: 'VIEW',
        definition:
          'CREATE VIEW v AS\n WITH a AS MATERIALIZED (\n         SELECT 1 AS x\n        )\n SELECT a.x\n   FROM a;',
      },
      11,
      /MATERIALIZED, which came with PostgreSQL 12/,
      'behaviour',
    ],
    [
      'statistics of several kinds with mcv',
      {
        desc: 'STATISTICS',
        definition: 'CREATE STATISTICS app.s (ndistinct, mcv) ON a, b FROM app.t;',
      },
      11,
      /mcv/,
      'nothing',
    ],
    [
      'removed types',
      {
        definition:
          "CREATE TABLE app.abs (\n    id integer NOT NULL,\n    a abstime,\n    r reltime DEFAULT '5 days'::reltime,\n    ti tinterval\n);",
      },
      12,
      /abstime, reltime and tinterval were removed in PostgreSQL 12/,
      'rows',
    ],
    [
      'a column of the type unknown',
      { definition: 'CREATE TABLE app.unk (\n    id integer,\n    u unknown\n);' },
      15,
      /of the type unknown since PostgreSQL 10/,
      'rows',
    ],
    [
      'a column called unknown',
      { definition: 'CREATE TABLE app.unk (\n    unknown integer\n);' },
      15,
    ],
    [
      'an aggregate over anyarray',
      {
        desc: 'AGGREGATE',
        definition:
          "CREATE AGGREGATE public.array_accum(anyelement) (\n    SFUNC = array_append,\n    STYPE = anyarray,\n    INITCOND = '{}'\n);",
      },
      15,
      /array_append/,
      'behaviour',
    ],
    [
      'an aggregate over arrays of one type',
      {
        desc: 'AGGREGATE',
        definition:
          'CREATE AGGREGATE public.a(integer) (\n    SFUNC = array_append,\n    STYPE = integer[]\n);',
      },
      15,
    ],
    [
      'a postfix operator',
      {
        desc: 'OPERATOR',
        definition:
          'CREATE OPERATOR public.!!! (\n    FUNCTION = public.f,\n    LEFTARG = integer\n);',
      },
      14,
      /postfix operators were removed in PostgreSQL 14/,
      'behaviour',
    ],
    [
      'a prefix operator',
      {
        desc: 'OPERATOR',
        definition:
          'CREATE OPERATOR public.!!! (\n    FUNCTION = public.f,\n    RIGHTARG = integer\n);',
      },
      14,
    ],
    [
      'a factorial',
      { desc: 'VIEW', definition: 'CREATE VIEW v AS\n SELECT (5 !) AS f;' },
      15,
      /removed in PostgreSQL 14/,
      'behaviour',
    ],
    [
      'negations of queries of text',
      {
        desc: 'VIEW',
        definition:
          "CREATE VIEW v AS\n SELECT (!! t.q) AS f, (t.a !~~ 'x'::text) AS g, (@ t.n) AS h\n   FROM t;",
      },
      15,
    ],
    [
      'a removed column of a catalog',
      {
        desc: 'VIEW',
        definition: 'CREATE VIEW v AS\n SELECT p.proname\n   FROM pg_proc p\n  WHERE p.proisagg;',
      },
      11,
      /column of pg_proc that PostgreSQL 11 no longer has/,
      'behaviour',
    ],
    ...[
      ['a column called system_user', 'TABLE', 'CREATE TABLE s.t (\n    system_user text\n);'],
      ['a policy on it', 'POLICY', "CREATE POLICY p ON s.t USING ((system_user = 'a'::text));"],
    ].map(([name, desc, definition]) => [
      name,
      { desc, definition },
      16,
      /called system_user/,
      desc === 'TABLE' ? 'rows' : 'behaviour',
    ]),
    [
      'what needs no quotes',
      {
        desc: 'VIEW',
        definition:
          "CREATE VIEW s.system_user AS\n SELECT t.system_user,\n    'system_user'::text AS system_user\n   FROM s.t;",
      },
      16,
    ],
    ...[
      ['a parameter called json', 'f(a integer, json json) RETURNS text', 17],
      ['a result called json_array', 'f(text) RETURNS TABLE(a text, json_array text)', 16],
      ['a list of normalize', 'f(VARIADIC normalize text[]) RETURNS text', 15],
    ].map(([name, head, major]) => [
      name,
      { desc: 'FUNCTION', definition: `CREATE FUNCTION s.${head}\n    LANGUAGE sql;` },
      major,
      /a parameter of it is called as a key word/,
      'behaviour',
    ]),
    ...[
      ['parameters without a name', 'f(json, json DEFAULT NULL::json, b json) RETURNS json', 17],
      ['a parameter called json where it may be', 'f(json json) RETURNS text', 16],
      ['a quoted parameter', 'f("json" json) RETURNS text', 17],
    ].map(([name, head, major]) => [
      name,
      { desc: 'FUNCTION', definition: `CREATE FUNCTION s.${head}\n    LANGUAGE sql;` },
      major,
    ]),
    [
      'functions of the log under their old names',
      { desc: 'VIEW', definition: 'CREATE VIEW v AS\n SELECT pg_current_xlog_location() AS l;' },
      11,
      /xlog/,
      'behaviour',
    ],
    [
      'what 11 still has',
      {
        desc: 'VIEW',
        definition: 'CREATE VIEW v AS\n SELECT (5 !) AS f, c.relhasoids\n   FROM pg_class c;',
      },
      11,
    ],
  ].map(
    ([name, entry, major, reason, loss]): Case => ({
      name: name as string,
      entry: entry as Partial<ArchiveEntry>,
      facts: factsOf({ major: major as number }),
      ...(reason ? { reason: reason as RegExp, loss: loss as NonNullable<Case['loss']> } : {}),
    }),
  ),
  {
    name: 'COMPRESSION of a method that the target was built without',
    entry: {
      definition:
        'CREATE TABLE t (\n    a text,\n    b text\n);\nALTER TABLE ONLY t ALTER COLUMN a SET COMPRESSION pglz;\nALTER TABLE ONLY t ALTER COLUMN b SET COMPRESSION lz4;\n',
    },
    facts: factsOf({ major: 15, facts: { compressions: new Set(['pglz']) } }),
    reason: /^restored without COMPRESSION lz4, which the target was built without/,
    definition:
      'CREATE TABLE t (\n    a text,\n    b text\n);\nALTER TABLE ONLY t ALTER COLUMN a SET COMPRESSION pglz;\n\n',
  },
  {
    name: 'an xml column where the target was built without it',
    entry: { definition: 'CREATE TABLE t (\n    a integer,\n    b xml\n);' },
    facts: factsOf({ facts: { hasXml: false } }),
    reason: /built without XML/,
    loss: 'rows',
  },
  ...[
    [
      'FUNCTION',
      'CREATE FUNCTION f(a integer, b xml) RETURNS integer\n    LANGUAGE sql\n    AS $$SELECT 1$$;',
    ],
    ['FUNCTION', 'CREATE FUNCTION f() RETURNS SETOF xml\n    LANGUAGE sql\n    AS $$SELECT g()$$;'],
    ['DOMAIN', 'CREATE DOMAIN d AS xml;'],
    ['TYPE', 'CREATE TYPE p AS (\n\ta integer,\n\tb xml\n);'],
  ].map(
    ([desc = '', definition = '']): Case => ({
      name: `a ${desc.toLowerCase()} of xml where the target was built without it: ${definition.slice(0, 30)}`,
      entry: { desc, definition },
      facts: factsOf({ facts: { hasXml: false } }),
      reason: /built without XML/,
      loss: 'behaviour',
    }),
  ),
  {
    name: 'a function that is only called like xml',
    entry: {
      desc: 'FUNCTION',
      definition:
        'CREATE FUNCTION xml(xml text) RETURNS text\n    LANGUAGE sql\n    AS $$SELECT 1::xml$$;',
    },
    facts: factsOf({ facts: { hasXml: false } }),
  },
  ...[
    ['by its name', 's.v', 'SELECT v.a\n   FROM s.v', true],
    ['in a join', 's.v', 'SELECT t.a\n   FROM (s.t t\n     JOIN s.v x ON ((x.a = t.a)))', true],
    ['in a list', 's.v', 'SELECT t.a\n   FROM s.t,\n    s.v', true],
    ['quoted', '"a""b"."V w"', 'SELECT x.a\n   FROM ONLY "a""b"."V w" x', true],
    ['in a string alone', 's.v', "SELECT ' FROM s.v' AS a\n   FROM s.t", false],
    ['as the beginning of another name', 's.v', 'SELECT a\n   FROM s.v2', false],
    ['as a function', 's.v', 'SELECT a\n   FROM s.v(1) v(a)', false],
    ['as a column', 's.v', 'SELECT (s.v.a).b\n   FROM other.v s', false],
    ['by another one of its name', 's.v', 'WITH v AS (SELECT 1 AS a) SELECT v.a\n   FROM v', false],
  ].map(
    ([name, view, query, isOnItself]): Case => ({
      name: `a view on itself, ${name}`,
      entry: { desc: 'VIEW', definition: `CREATE VIEW ${view} AS\n ${query};\n` },
      ...(isOnItself ? { reason: /selects from itself/, loss: 'behaviour' } : {}),
    }),
  ),
  {
    name: 'a text search template for a polar_superuser',
    entry: {
      desc: 'TEXT SEARCH TEMPLATE',
      definition: 'CREATE TEXT SEARCH TEMPLATE t (LEXIZE = l);',
    },
    facts: factsOf({ major: 11, polarSuperuser: true }),
  },
  {
    name: 'a transform for a type of the system',
    entry: {
      desc: 'TRANSFORM',
      tag: 'FOR int LANGUAGE sql',
      definition:
        'CREATE TRANSFORM FOR pg_catalog.int4 LANGUAGE sql (FROM SQL WITH FUNCTION f(internal));',
    },
    reason: /only a superuser may create a transform/,
    loss: 'behaviour',
  },
  {
    name: 'a base type',
    entry: {
      desc: 'TYPE',
      definition:
        'CREATE TYPE app.b (\n    INTERNALLENGTH = 4,\n    INPUT = app.i,\n    OUTPUT = app.o\n);',
    },
    reason: /base type/,
    loss: 'behaviour',
  },
  {
    name: 'a planner support function',
    entry: {
      desc: 'FUNCTION',
      definition:
        'CREATE FUNCTION app.f(integer) RETURNS boolean\n    LANGUAGE sql IMMUTABLE SUPPORT app.f_support\n    AS $$ SELECT true $$;',
    },
    reason: /only a superuser may name/,
    definition:
      'CREATE FUNCTION app.f(integer) RETURNS boolean\n    LANGUAGE sql IMMUTABLE\n    AS $$ SELECT true $$;',
  },
  {
    name: 'a BRIN index of an operator class of 14 on 13',
    entry: {
      desc: 'INDEX',
      definition: 'CREATE INDEX i ON public.t USING brin (a int4_minmax_multi_ops);',
    },
    facts: factsOf({ major: 13 }),
    reason: /minmax_multi and bloom came with PostgreSQL 14/,
    loss: 'behaviour',
  },
  {
    name: 'an operator class of the user’s own that is called so',
    entry: {
      desc: 'INDEX',
      definition: 'CREATE INDEX i ON public.t USING brin (a public.my_bloom_ops);',
    },
    facts: factsOf({ major: 13 }),
  },
  {
    name: 'INCLUDE of GiST on 11',
    entry: {
      desc: 'INDEX',
      definition: 'CREATE INDEX i ON public.t USING gist (a, lower(b)) INCLUDE (c);',
    },
    facts: factsOf({ major: 11 }),
    reason: /INCLUDE in indexes of the access method gist came with PostgreSQL 12/,
    loss: 'behaviour',
  },
  {
    name: 'INCLUDE of SP-GiST on 13',
    entry: {
      desc: 'CONSTRAINT',
      definition:
        'ALTER TABLE ONLY public.t ADD CONSTRAINT e EXCLUDE USING spgist (a WITH &&) INCLUDE (c);',
    },
    facts: factsOf({ major: 13 }),
    reason: /INCLUDE in indexes of the access method spgist came with PostgreSQL 14/,
    loss: 'behaviour',
  },
  {
    name: 'INCLUDE of a B-tree on 11',
    entry: {
      desc: 'INDEX',
      definition: 'CREATE INDEX i ON public.t USING btree (a) INCLUDE (c);',
    },
    facts: factsOf({ major: 11 }),
  },
  {
    name: 'an enum',
    entry: { desc: 'TYPE', definition: `CREATE TYPE app.e AS ENUM (\n    'INPUT =',\n    'b'\n);` },
  },
]

describe('one entry', () => {
  test.each(cases)('$name', ({ entry, facts, reason, loss, definition }) => {
    const [planned] = planOf([entry], facts).entries
    const decision = planned?.decision
    if (!reason) expect(decision).toEqual({ kind: 'restore' })
    else if (definition !== undefined) {
      // what of the object may then differ is named: nothing else is excused
      const facets = expect.arrayContaining([expect.any(String)])
      const why = expect.stringMatching(reason)
      expect(decision).toEqual({ kind: 'otherwise', definition, reason: why, facets })
    } else {
      expect(decision).toMatchObject({
        kind: 'leave-out',
        loss,
        reason: expect.stringMatching(reason),
        remedy: expect.stringMatching(/\w/),
      })
    }
  })
})

describe('partitioned tables before 13', () => {
  const entries: Partial<ArchiveEntry>[] = [
    { tag: 'p', definition: 'CREATE TABLE public.p (\n    k int\n)\nPARTITION BY RANGE (k);' },
    { tag: 'q', definition: 'CREATE TABLE public.q (k int);' },
    {
      desc: 'TRIGGER',
      tag: 'p before',
      dependencies: [1],
      definition: 'CREATE TRIGGER b BEFORE INSERT ON public.p FOR EACH ROW EXECUTE FUNCTION f();',
    },
    {
      desc: 'FK CONSTRAINT',
      tag: 'q to_p',
      dependencies: [1, 2],
      definition:
        'ALTER TABLE ONLY public.q ADD CONSTRAINT to_p FOREIGN KEY (k) REFERENCES public.p(k);',
    },
    {
      desc: 'FK CONSTRAINT',
      tag: 'p to_q',
      dependencies: [1, 2],
      definition:
        'ALTER TABLE public.p ADD CONSTRAINT to_q FOREIGN KEY (k) REFERENCES public.q(k);',
    },
    ...['p', 'q'].map((table, index) => ({
      desc: 'PUBLICATION TABLE',
      tag: `pub ${table}`,
      dependencies: [index + 1],
      definition: `ALTER PUBLICATION pub ADD TABLE ONLY public.${table};`,
    })),
  ]

  test('lose what they could not do then, and keep the rest', () => {
    expect(outcomes(planOf(entries, factsOf({ major: 11 })))).toEqual({
      'TABLE public.p': 'restored',
      'TABLE public.q': 'restored',
      'TRIGGER public.p before': expect.stringContaining('PostgreSQL 13'),
      'FK CONSTRAINT public.q to_p': expect.stringContaining('PostgreSQL 12'),
      'FK CONSTRAINT public.p to_q': 'restored',
      'PUBLICATION TABLE public.pub p': expect.stringContaining('PostgreSQL 13'),
      'PUBLICATION TABLE public.pub q': 'restored',
    })
  })

  test('lose nothing from 13 on', () => {
    expect(new Set(Object.values(outcomes(planOf(entries, factsOf({ major: 13 })))))).toEqual(
      new Set(['restored']),
    )
  })
})

describe('what hangs on an entry that is left out', () => {
  const entries: Partial<ArchiveEntry>[] = [
    { desc: 'EXTENSION', tag: 'dblink', namespace: '' },
    { tag: 'uses', dependencies: [1] },
    { desc: 'TABLE DATA', tag: 'uses', dependencies: [2], hasData: true },
    { desc: 'VIEW', tag: 'v', dependencies: [2] },
    { desc: 'ACL', tag: 'TABLE v', dependencies: [4] },
    { tag: 'other' },
  ]

  test('goes with it, and says with what', () => {
    const plan = planOf(entries)
    const along = 'it needs EXTENSION dblink, which is left out'
    expect(outcomes(plan)).toEqual({
      'EXTENSION dblink': expect.stringContaining('may not create'),
      'TABLE public.uses': along,
      'TABLE DATA public.uses': along,
      'VIEW public.v': along,
      'ACL TABLE public.v': along,
      'TABLE public.other': 'restored',
    })
    expect(plan.losing.map(({ name }) => name)).toEqual([
      'EXTENSION dblink',
      'TABLE public.uses',
      'VIEW public.v',
    ])
  })

  test('is given up with it by name, but for rows', () => {
    const plan = planOf(entries, factsOf({}), { allowMissing: ['EXTENSION dblink'] })
    expect(plan.losing.map(({ name }) => name)).toEqual(['TABLE public.uses'])
    const both = ['EXTENSION dblink', 'TABLE public.*']
    expect(planOf(entries, factsOf({}), { allowMissing: both }).losing).toEqual([])
    expect(planOf(entries, factsOf({}), { allowMissing: ['*'] }).losing).toEqual([])
  })

  test('of a user mapping is its server, although the archive does not say so', () => {
    const plan = planOf([
      { desc: 'FOREIGN DATA WRAPPER', tag: 'w', namespace: '' },
      { desc: 'SERVER', tag: 'Odd "s"', dependencies: [1], namespace: '' },
      {
        desc: 'USER MAPPING',
        tag: 'USER MAPPING app_owner SERVER Odd "s"',
        namespace: '',
        definition:
          'CREATE USER MAPPING FOR app_owner SERVER "Odd ""s""" OPTIONS (password \'x\');',
      },
    ])
    expect(outcomes(plan)['USER MAPPING app_owner SERVER Odd "s"']).toContain(
      'it needs FOREIGN DATA',
    )
  })

  test('of a table access method is not its tables: they become heaps', () => {
    const plan = planOf([
      { desc: 'ACCESS METHOD', tag: 'columnar', namespace: '' },
      { tag: 'c', accessMethod: 'columnar', dependencies: [1] },
    ])
    expect(plan.losing.map(({ name }) => name)).toEqual(['ACCESS METHOD columnar'])
    expect(plan.usesPlaces).toBe(true)
  })

  test('of the schema public stays', () => {
    const plan = planOf([
      { desc: 'SCHEMA', tag: 'public', namespace: '' },
      { tag: 't', dependencies: [1] },
    ])
    expect(outcomes(plan)['TABLE public.t']).toBe('restored')
  })
})

describe('a plan that loses something', () => {
  test('stops with the whole list, what was lost together put together', () => {
    const plan = planOf([
      { desc: 'EXTENSION', tag: 'dblink', namespace: '' },
      { desc: 'EVENT TRIGGER', tag: 'a', namespace: '' },
      { desc: 'EVENT TRIGGER', tag: 'b', namespace: '' },
    ])
    const losses = lossesOf(plan.losing, 'shop')
    expect(groupLosses(losses).map(({ entries }) => entries)).toEqual([
      ['EXTENSION dblink'],
      ['EVENT TRIGGER a', 'EVENT TRIGGER b'],
    ])
    const refuse = () => refuseLosses(plan, newContext('migrate'))
    expect(refuse).toThrow(Failure)
    expect(refuse).toThrow(
      'The target cannot take 3 objects of the database "shop"; nothing was restored',
    )
  })

  test('that is allowed notes it among the losses, with what goes along', () => {
    const plan = planOf(
      [
        { desc: 'FOREIGN DATA WRAPPER', tag: 'w', namespace: '' },
        { desc: 'SERVER', tag: 's', namespace: '', dependencies: [1] },
        { desc: 'COMMENT', tag: 'SERVER s', namespace: '', dependencies: [2] },
      ],
      factsOf({}),
      { allowMissing: ['FOREIGN DATA WRAPPER w'] },
    )
    const context = newContext('migrate')
    refuseLosses(plan, context)
    expect(context.report.losses.map(({ entry, database }) => `${database}: ${entry}`)).toEqual([
      'shop: FOREIGN DATA WRAPPER w',
      'shop: SERVER s',
    ])
  })

  test('does not stop for what the options of the user leave out', () => {
    const archive = archiveOf([{ desc: 'EVENT TRIGGER', tag: 'a' }])
    const plan = makePlan([archive], factsOf({}), {
      database,
      allowMissing: [],
      wanted: new Map([[archive, new Set<number>()]]),
    })
    expect(plan.losing).toEqual([])
    expect(plan.entries[0]?.decision).toMatchObject({ reason: 'restore-options leave it out' })
  })

  test('warns when everybody may create in public on the target', () => {
    expect(planOf([], factsOf({ major: 11 })).warnings[0]).toContain(
      'REVOKE CREATE ON SCHEMA public',
    )
    expect(planOf([], factsOf({ major: 15 })).warnings).toEqual([])
  })
})

test('a database that exists with another encoding or collation is warned of', () => {
  const warningsOf = (existing: TargetFacts['existing']) =>
    planOf([], factsOf({ facts: { existing } })).warnings
  expect(
    warningsOf({ encoding: 'UTF8', collate: 'C', ctype: 'C', owner: 'o', creatable: true }),
  ).toEqual([])
  expect(
    warningsOf({ encoding: 'LATIN1', collate: 'de_DE', ctype: 'C', owner: 'o', creatable: true }),
  ).toEqual([
    expect.stringContaining('encoding LATIN1'),
    expect.stringContaining('collation de_DE'),
  ])
})

test('privileges on a database of a superuser are a loss that the plan names, unless they are those of every database', () => {
  const existing = {
    encoding: 'UTF8',
    collate: 'C',
    ctype: 'C',
    owner: 'postgres',
    creatable: true,
  }
  const grant = (grantee: string, privilege: string) => {
    return { grantor: 'app_owner', grantee, privilege, grantable: false }
  }
  const born = [
    grant('', 'TEMPORARY'),
    grant('', 'CONNECT'),
    ...['CREATE', 'TEMPORARY', 'CONNECT'].map((privilege) => grant('app_owner', privilege)),
  ]
  const lossesOf = (acl: DatabaseProperties['acl'], owner = 'postgres') =>
    lossesOnDatabase(factsOf({ facts: { existing: { ...existing, owner } } }), {
      ...database,
      owner: 'app_owner',
      acl,
    }).map(({ entry }) => entry)
  expect(lossesOf(null)).toEqual(['OWNER DATABASE'])
  expect(lossesOf(born)).toEqual(['OWNER DATABASE'])
  expect(lossesOf(born.slice(1))).toEqual(['OWNER DATABASE', 'ACL DATABASE'])
  expect(lossesOf([...born, grant('reader', 'CONNECT')])).toEqual([
    'OWNER DATABASE',
    'ACL DATABASE',
  ])
  expect(lossesOf(born.slice(1), 'app_owner')).toEqual([])
})

test('a collation that the target cannot make is left out with what is sorted by it', () => {
  const archive = archiveOf([
    { desc: 'COLLATION', tag: 'de', definition: `CREATE COLLATION public.de (locale = 'de');` },
    {
      tag: 'names',
      definition: 'CREATE TABLE public.names (n text COLLATE public.de);',
      dependencies: [1],
    },
  ])
  const [collation] = archive.entries
  const refusedCollations = new Map(collation ? [[collation, 'could not create locale "de"']] : [])
  const plan = makePlan([archive], factsOf({ facts: { refusedCollations } }), {
    database,
    allowMissing: [],
    wanted: null,
  })
  expect(lossesOf(plan.losing, 'shop').map(({ entry, reason }) => `${entry}: ${reason}`)).toEqual([
    'COLLATION public.de: the target cannot make the collation: could not create locale "de"',
    'TABLE public.names: it needs COLLATION public.de, which is left out',
  ])
})

test('what only the owner of a database may do is lost where a superuser has it', () => {
  const existing = {
    encoding: 'UTF8',
    collate: 'C',
    ctype: 'C',
    owner: 'postgres',
    creatable: true,
  }
  const of = (facts: Partial<TargetFacts>, change: Partial<DatabaseProperties>) =>
    lossesOnDatabase(factsOf({ facts }), { ...database, owner: 'postgres', ...change }).map(
      ({ entry }) => entry,
    )
  const settings = [
    { role: null, name: 'work_mem', value: '1MB' },
    { role: 'app_owner', name: 'work_mem', value: '1MB' },
    { role: 'postgres', name: 'work_mem', value: '1MB' },
  ]
  const all = { connectionLimit: 5, template: true, settings }
  expect(of({ existing }, all)).toEqual([
    'SETTING work_mem',
    'DATABASE CONNECTION LIMIT',
    'DATABASE TEMPLATE',
  ])
  expect(of({ existing: { ...existing, owner: 'app_owner' } }, all)).toEqual([])
  const refusedSettings = new Map(
    ['SETTING work_mem', 'SETTING app_owner work_mem', 'SETTING postgres work_mem'].map((entry) => [
      entry,
      'permission denied',
    ]),
  )
  expect(of({ refusedSettings }, all)).toEqual(['SETTING work_mem', 'SETTING app_owner work_mem'])
})

describe('an extension version', () => {
  const at = (version: string) =>
    planOf([{ desc: 'EXTENSION', tag: 'hstore' }], factsOf({}), {
      database: { ...database, extensions: [{ name: 'hstore', version, schema: 'public' }] },
    }).entries[0]?.decision

  test('is the source’s where the target has it, and told where not', () => {
    expect(at('1.8')).toEqual({ kind: 'restore' })
    expect(at('1.4')).toMatchObject({
      kind: 'otherwise',
      reason: "restored at version 1.8: the target does not have the source's 1.4",
    })
  })
})

describe('allow-missing', () => {
  test.each([
    ['EXTENSION plpython3u', 'EXTENSION plpython3u', true],
    ['  EXTENSION   plpython3u ', 'EXTENSION plpython3u', true],
    ['EXTENSION plpython3u', 'EXTENSION plpython3', false],
    ['EXTENSION plpython3u', 'COMMENT EXTENSION plpython3u', false],
    ['FUNCTION audit.*', 'FUNCTION audit.log(integer)', true],
    ['FUNCTION audit.*', 'FUNCTION public.audit.x()', false],
    ['*.log(*', 'FUNCTION audit.log(integer)', true],
    ['a*a', 'a', false],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['*', 'TABLE x', true],
    ['table x', 'TABLE x', false],
    ['', 'TABLE x', false],
    ['FUNCTION f(a.b)', 'FUNCTION f(aXb)', false],
  ])('%j and %j: %s', (pattern, entry, matches) => {
    expect(allowMissing([pattern])(entry)).toBe(matches)
  })

  test('is quick with a pattern made to be slow', () => {
    expect(allowMissing([`${'a*'.repeat(2000)}b`])('a'.repeat(20_000))).toBe(false)
  })
})

test('the roles that a dump needs are those of owners, grants, policies, mappings and the database', () => {
  const archive = archiveOf([
    { tag: 't', owner: 'Owner "1"' },
    {
      desc: 'ACL',
      owner: 'Owner "1"',
      definition: `REVOKE ALL ON TABLE t FROM PUBLIC;\nGRANT SELECT ON TABLE public."to x" TO "Re""ader", plain WITH GRANT OPTION;\nSET SESSION AUTHORIZATION granter;\nGRANT SELECT ON TABLE t TO last;\nRESET SESSION AUTHORIZATION;`,
    },
    {
      desc: 'POLICY',
      owner: 'x',
      definition: 'CREATE POLICY p ON t FOR ALL TO polled USING ((a IN ( SELECT b FROM secret)));',
    },
    {
      desc: 'DEFAULT ACL',
      owner: 'defaulter',
      definition: 'ALTER DEFAULT PRIVILEGES FOR ROLE defaulter GRANT SELECT ON TABLES TO reader2;',
    },
    {
      desc: 'USER MAPPING',
      owner: 'y',
      definition: "CREATE USER MAPPING FOR mapped SERVER s OPTIONS (u 'TO nobody');",
    },
  ])
  const roles = neededRoles(archive, {
    ...database,
    acl: [{ grantor: 'boss', grantee: '', privilege: 'CONNECT', grantable: false }],
    settings: [{ role: 'setter', name: 'a', value: 'b' }],
  })
  expect(roles.map(({ role }) => role).sort()).toEqual(
    [
      'Owner "1"',
      'Re"ader',
      'boss',
      'defaulter',
      'granter',
      'last',
      'mapped',
      'plain',
      'polled',
      'reader2',
      'setter',
      'x',
      'y',
    ].sort(),
  )
  expect(roles[0]).toEqual({ role: 'boss', reason: 'owner of the database' })
})

test('the rows of a table of an extension go with it, and are given up by their own name only, if there are any', () => {
  const entries = [
    { dumpId: 1, desc: 'EXTENSION', tag: 'missing', namespace: '', section: 'pre-data' as const },
    { dumpId: 2, desc: 'TABLE DATA', tag: 'own', namespace: 'jobs', section: 'data' as const },
    { dumpId: 3, desc: 'TABLE DATA', tag: 'none', namespace: 'jobs', section: 'data' as const },
  ]
  const extensionTables = ['own', 'none'].map((name) => ({
    extension: 'missing',
    schema: 'jobs',
    name,
  }))
  const plan = planOf(entries, factsOf({}), {
    database: { ...database, extensionTables },
    allowMissing: ['EXTENSION missing'],
    expectedRows: new Map([['"jobs"."none"', 0]]),
  })
  expect(plan.losing.map(({ name }) => name)).toEqual(['TABLE DATA jobs.own'])
  expect(outcomes(plan)['TABLE DATA jobs.none']).toMatch(/needs EXTENSION missing/)
})

test('what no rehearsal can have is among its losses without being named, and is said not to be compared', () => {
  const entries = [
    { tag: 't', definition: 'CREATE TABLE public.t (\n    who regrole\n);' },
    { dumpId: 2, desc: 'TABLE DATA', tag: 't', hasData: true, dependencies: [1] },
  ]
  const roleNames = renamedRoles('rehearsal_202611290230_1f2e3d4c', [])
  const plan = planOf(entries, factsOf({}), { roleNames })
  expect(plan.losing).toEqual([])
  expect(plan.accepted.map(({ name }) => name)).toEqual(['TABLE DATA public.t'])
  const skipped = lossesOf(plan.accepted, 'shop').map(({ entry, reason }) => ({ entry, reason }))
  expect(expectedDifferences(skipped, plan.entries)).toEqual([{ ...skipped[0], notCompared: true }])
  expect(planOf(entries).accepted).toEqual([])
})

describe('rows in archives of their own', () => {
  const rows = { desc: 'TABLE DATA', section: 'data', hasData: true } as const
  const definitions: Partial<ArchiveEntry>[] = [
    { desc: 'EXTENSION', tag: 'dblink', namespace: '' },
    { tag: 'uses', dependencies: [1] },
    { tag: 'plain' },
    { tag: 'who', definition: 'CREATE TABLE public.who (\n    who regrole\n);' },
    { desc: 'SEQUENCE', tag: 's', dependencies: [1] },
    { desc: 'INDEX', tag: 'i', section: 'post-data', dependencies: [3] },
    {
      desc: 'FK CONSTRAINT',
      tag: 'plain fk',
      section: 'post-data',
      definition:
        'ALTER TABLE ONLY public.plain ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES public.who(a);',
      dependencies: [3, 4],
    },
  ]
  // ids of another archive mean other entries
  const parts: Partial<ArchiveEntry>[][] = [
    [{ ...rows, tag: 'plain', dumpId: 2 }],
    [
      { ...rows, tag: 'uses', dumpId: 3 },
      { ...rows, tag: 'who', dumpId: 4 },
      { ...rows, tag: 'own', namespace: 'jobs', dumpId: 5 },
      { ...rows, tag: 'none', namespace: 'jobs', dumpId: 6 },
      { ...rows, tag: 'job', namespace: 'cron', dumpId: 7 },
      { desc: 'SEQUENCE SET', tag: 's', section: 'data', dumpId: 8 },
      { desc: 'BLOBS', tag: 'BLOBS', namespace: '', section: 'data', hasData: true, dumpId: 9 },
    ],
  ]
  const extensionTables = [
    { extension: 'dblink', schema: 'jobs', name: 'own' },
    { extension: 'dblink', schema: 'jobs', name: 'none' },
    { extension: 'pg_cron', schema: 'cron', name: 'job' },
  ]
  const archives = [definitions, ...parts].map((entries, index) => ({
    ...archiveOf(entries),
    directory: `/dump/${index + 1}`,
  }))
  const [schema, ...arriving] = archives as [Archive, ...Archive[]]
  const renamed = renamedRoles('rehearsal_202611290230_1f2e3d4c', [])
  const counts = new Map([
    ['"jobs"."none"', 0],
    ['"jobs"."own"', 3],
    ['"public"."who"', 1],
  ])

  const decided = (items: RestorePlan['entries']) =>
    items.map(({ name, decision, empty }) => {
      const along = decision.kind === 'leave-out' ? decision.along?.name : undefined
      return { name, ...decision, along, empty }
    })

  test.each<[string, Partial<PlanOptions>, Partial<TargetFacts>]>([
    ['with a table left out', {}, {}],
    ['with what may be missing', { allowMissing: ['EXTENSION dblink', 'TABLE public.uses'] }, {}],
    ['with everything that may be missing', { allowMissing: ['*'] }, {}],
    ['where roles have other names', { roleNames: renamed, isRehearsal: true }, {}],
    ['with the rows of each table known', { expectedRows: counts, roleNames: renamed }, {}],
    [
      'with entries that the user leaves out',
      { wanted: new Map([[arriving[1] as Archive, new Set([4])]]) },
      {},
    ],
    ['with a table that no extension makes', {}, { absent: new Set(['jobs.own']) }],
  ])('%s: the same is decided whether they come later or not', (_, options, more) => {
    const facts = factsOf({ facts: more })
    const all = {
      database: { ...database, extensionTables },
      allowMissing: [],
      wanted: null,
      ...options,
    }
    const whole = makePlan(archives, facts, all)
    const plan = makePlan([schema], facts, all)
    const before = decided(plan.entries)
    const [losing, accepted] = [[...plan.losing], [...plan.accepted]]
    const entries = [...plan.entries]
    for (const archive of arriving) {
      const arrival = planArrival(plan, archive, facts, all)
      entries.push(...arrival.entries)
      losing.push(...arrival.losing)
      accepted.push(...arrival.accepted)
    }
    expect(decided(plan.entries)).toEqual(before)
    expect(decided(entries)).toEqual(decided(whole.entries))
    expect(losing.map(({ name }) => name)).toEqual(whole.losing.map(({ name }) => name))
    expect(accepted.map(({ name }) => name)).toEqual(whole.accepted.map(({ name }) => name))
  })

  test('go with their table, and sequences’ positions with theirs', () => {
    const plan = makePlan(archives, factsOf({}), {
      database: { ...database, extensionTables },
      allowMissing: [],
      wanted: null,
    })
    const along = 'it needs EXTENSION dblink, which is left out'
    expect(outcomes(plan)).toMatchObject({
      'TABLE DATA public.uses': along,
      'SEQUENCE SET public.s': along,
      'TABLE DATA jobs.own': along,
      'TABLE DATA public.plain': 'restored',
      'TABLE DATA cron.job': expect.stringContaining('jobs of pg_cron'),
      BLOBS: 'restored',
    })
  })

  test('go with what has been given up by then', () => {
    const facts = factsOf({ facts: { installed: new Map([['dblink', '1.2']]) } })
    const all = { database, allowMissing: [], wanted: null }
    const plan = makePlan([schema], facts, all)
    const table = plan.entries.find(({ name }) => name === 'TABLE public.plain')
    if (!table) throw new Error('there is no such table')
    table.decision = { ...leaveOut('it could not be restored', '', 'rows'), failed: true }
    takeAlong(plan.entries)
    const { entries } = planArrival(plan, arriving[0] as Archive, facts, all)
    expect(entries[0]?.decision).toMatchObject({ kind: 'leave-out', failed: true, along: table })
  })

  test('change nothing of what is being carried out', () => {
    const facts = factsOf({ facts: { installed: new Map([['dblink', '1.2']]) } })
    const all = { database, allowMissing: [], wanted: null }
    const plan = makePlan([schema], facts, all)
    const table = plan.entries.find(({ name }) => name === 'TABLE public.plain')
    if (!table) throw new Error('there is no such table')
    // what hangs on it was not taken along
    table.decision = leaveOut('a defect', '', 'rows')
    // and however often it is looked at
    for (let look = 0; look < 2; look++)
      expect(() => planArrival(plan, arriving[0] as Archive, facts, all)).toThrow(
        'INDEX public.i was decided otherwise when /dump/2 had come',
      )
  })
})
