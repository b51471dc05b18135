import { expect } from '@jest/globals'
import { allChecks } from '../../src/migration/checks/all.ts'
import type { Check } from '../../src/migration/checks/check.ts'
import { describeScenarios, type Scenario } from '../support/check-scenarios.ts'

function named(id: string): Check {
  const check = allChecks.find((one) => one.id === id)
  if (!check) throw new Error(`there is no check ${id}`)
  return check
}

const asReader = {
  account: { source: 'reader' },
  clean: { source: 'DROP ROLE reader' },
} satisfies Partial<Scenario>
const reader = `CREATE ROLE reader LOGIN PASSWORD 'p'`

describeScenarios(
  ([10, 18] as const).map((source) => ({
    source,
    options: { settings: { max_prepared_transactions: '2' } },
  })),
  [
    {
      name: 'an index that a failed build left, one that it would have replaced, and a unique constraint',
      check: named('source-invalid-indexes'),
      prepare: {
        source: `CREATE TABLE t (a int CONSTRAINT one UNIQUE, b int); CREATE INDEX "i 1" ON t (b); CREATE INDEX i_ccnew ON t (b)`,
      },
      trip: {
        source: `UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('"i 1"'::regclass, 'i_ccnew'::regclass, 'one'::regclass)`,
      },
      expected: { objects: ['"public"."i 1"', '"public"."i_ccnew"', '"public"."one"'] },
      remedy: { paste: 'source' },
    },
    {
      name: 'of a table and of a domain',
      check: named('source-unvalidated-constraints'),
      prepare: { source: 'CREATE TABLE t (a int); CREATE DOMAIN d AS int' },
      trip: {
        source: `ALTER TABLE t ADD CONSTRAINT "c 1" CHECK (a > 0) NOT VALID; ALTER DOMAIN d ADD CONSTRAINT e CHECK (VALUE > 0) NOT VALID`,
      },
      expected: { objects: ['"public"."d": "e"', '"public"."t": "c 1"'] },
      remedy: { paste: 'source' },
    },
    {
      name: 'from both of its tables',
      check: named('source-disabled-foreign-keys'),
      prepare: {
        source:
          'CREATE TABLE a (i int PRIMARY KEY); CREATE TABLE b (i int CONSTRAINT r REFERENCES a)',
      },
      trip: { source: 'ALTER TABLE a DISABLE TRIGGER ALL; ALTER TABLE b DISABLE TRIGGER ALL' },
      expected: { objects: ['"public"."b": "r"'] },
      remedy: { paste: 'source' },
    },
    {
      name: 'of ICU',
      check: named('source-collations'),
      prepare: {
        source: `CREATE COLLATION german (provider = icu, locale = 'de'); CREATE TABLE t (a text COLLATE german UNIQUE)`,
      },
      trip: { source: `UPDATE pg_collation SET collversion = '1' WHERE collname = 'german'` },
      expected: {
        objects: [expect.stringMatching(/^the collation "public"\."german": 1, now \d/)],
      },
      remedy: { paste: 'source' },
    },
    {
      name: 'of the database itself',
      check: named('source-collations'),
      on: ({ source }) => source >= 15,
      prepare: { source: 'CREATE TABLE t (a text UNIQUE)' },
      // ICU's own is told of C.UTF-8 nowhere, so the database is said to be of ICU
      trip: {
        source: `UPDATE pg_database SET datlocprovider = 'i', datlocale = 'de', datcollversion = '1' WHERE datname = current_database()`,
      },
      expected: { objects: [expect.stringMatching(/^the database "scenario \d+": 1, now \d/)] },
      remedy: {
        source: [
          `UPDATE pg_database SET datcollversion = pg_database_collation_actual_version(oid) WHERE datname = current_database()`,
        ],
      },
    },
    {
      name: 'that look at the clock',
      check: named('source-check-constraints'),
      prepare: {
        source: 'CREATE TABLE t (since date CHECK (since <= CURRENT_DATE), until timestamptz)',
      },
      trip: { source: `ALTER TABLE t ADD CONSTRAINT "u 1" CHECK (until > now() OR until IS NULL)` },
      expected: {
        message: /1 CHECK constraint looks at the clock:/,
        objects: ['"public"."t": "u 1"'],
      },
      remedy: { paste: 'source' },
    },
    {
      name: 'that read another table',
      check: named('source-check-constraints'),
      prepare: { source: 'CREATE TABLE known (a int); CREATE TABLE t (a int)' },
      trip: {
        source: `CREATE FUNCTION is_known(int) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT 1 FROM public.known WHERE a = $1)';
                 ALTER TABLE t ADD CONSTRAINT k CHECK (is_known(a))`,
      },
      expected: { message: /looks at tables, which/, objects: ['"public"."t": "k"'] },
      remedy: { paste: 'source' },
    },
    {
      name: 'that find a table by the search_path, from an index and a constraint',
      check: named('source-expression-functions'),
      prepare: {
        source: `CREATE SCHEMA "s 1"; CREATE TABLE "s 1".known (a int); CREATE TABLE t (a int);
                 CREATE FUNCTION full_name(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT EXISTS (SELECT 1 FROM "s 1".known WHERE a = $1)';
                 CREATE INDEX ON t (full_name(a));`,
      },
      trip: {
        source: `SET search_path = "s 1", public;
                 CREATE FUNCTION bare(a int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN EXISTS (SELECT 1 FROM known WHERE a = $1); END';
                 CREATE INDEX i ON t (bare(a)); ALTER TABLE t ADD CONSTRAINT c CHECK (bare(a)) NOT VALID`,
      },
      expected: { objects: ['"s 1"."bare"(a integer), called by index "i" of "public"."t"'] },
      remedy: { paste: 'source' },
    },
    {
      name: 'of a partitioned table',
      check: named('source-foreign-partitions'),
      prepare: {
        source: `CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE TABLE t (a int) PARTITION BY RANGE (a);
                 CREATE FOREIGN TABLE alone (a int) SERVER s`,
      },
      trip: { source: 'CREATE FOREIGN TABLE p PARTITION OF t FOR VALUES FROM (1) TO (2) SERVER s' },
      expected: { objects: ['"public"."p"'] },
      remedy: { source: 'ALTER TABLE t DETACH PARTITION p' },
    },
    {
      name: 'through a view',
      check: named('source-foreign-materialized-views'),
      prepare: {
        source: `CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE f (a int) SERVER s;
                 CREATE VIEW v AS SELECT * FROM f; CREATE TABLE t (); CREATE MATERIALIZED VIEW own AS SELECT * FROM t;
                 CREATE MATERIALIZED VIEW m AS SELECT * FROM v WITH NO DATA`,
      },
      // nothing can be read through a wrapper without a handler
      trip: { source: `UPDATE pg_class SET relispopulated = true WHERE relname = 'm'` },
      expected: { objects: ['"public"."m"'] },
      remedy: { paste: 'source' },
    },
    {
      name: 'of this database',
      check: named('source-prepared-transactions'),
      prepare: { source: 'CREATE TABLE t (a int)' },
      trip: { source: `BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'it''s'` },
      expected: {
        message: /1 transaction is prepared/,
        objects: [expect.stringMatching(/^'it''s' of "postgres", /)],
      },
      remedy: { paste: 'source' },
    },
    {
      name: 'by a prepared transaction',
      check: named('source-locks'),
      prepare: { source: 'CREATE TABLE t (a int)' },
      trip: { source: `BEGIN; LOCK TABLE t; PREPARE TRANSACTION 'locks'` },
      expected: { objects: ['"public"."t", by a prepared transaction'] },
      remedy: { source: `ROLLBACK PREPARED 'locks'` },
    },
    {
      ...asReader,
      name: 'large objects, and materialized views that are compared',
      check: named('source-privileges'),
      prepare: {
        source: `${reader}; CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; GRANT SELECT ON m TO reader;
                 SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO reader`,
      },
      trip: {
        source: 'REVOKE SELECT ON m FROM reader; SELECT lo_create(4712)',
      },
      expected: {
        message: /"reader" may not read 1 table or sequence and 1 large object/,
        objects: ['"public"."m"', 'large object 4712'],
      },
      remedy: { paste: 'source' },
      clean: { source: 'DROP ROLE reader' },
    },
    {
      ...asReader,
      name: 'many tables of a schema, and many large objects',
      check: named('source-privileges'),
      prepare: { source: reader },
      trip: {
        source: `DO 'BEGIN FOR i IN 1..60 LOOP EXECUTE ''CREATE TABLE t'' || i || '' (a serial)''; PERFORM lo_create(i * 10), lo_create(i * 10 + 1); END LOOP; END'`,
      },
      expected: { message: /120 tables or sequences and more than 100 large objects/ },
      remedy: { paste: 'source' },
    },
    {
      ...asReader,
      name: 'that nobody may read',
      check: named('source-subscriptions'),
      prepare: { source: reader },
      trip: {
        source: `REVOKE ALL ON pg_subscription FROM PUBLIC;
                 DO 'DECLARE c text; BEGIN FOR c IN SELECT attname FROM pg_attribute WHERE attrelid = ''pg_subscription''::regclass AND attnum > 0
                   LOOP EXECUTE format(''REVOKE SELECT (%I) ON pg_subscription FROM PUBLIC'', c); END LOOP; END'`,
      },
      expected: { message: /permission denied for table pg_subscription/ },
      remedy: { paste: 'workflow' },
    },
    {
      name: 'of the roles',
      check: named('source-role-passwords'),
      account: { source: 'reader' },
      prepare: { source: `${reader}; GRANT SELECT ON pg_authid TO reader` },
      trip: { source: 'REVOKE SELECT ON pg_authid FROM reader' },
      remedy: { paste: 'workflow' },
      clean: { source: 'DROP ROLE reader' },
    },
    {
      ...asReader,
      name: 'of the account',
      check: named('source-connections'),
      prepare: { source: reader },
      trip: { source: 'ALTER ROLE reader CONNECTION LIMIT 5' },
      expected: {
        severity: 'blocker',
        message: /the account is limited to 5 connections and has 0: a run needs 6 more/,
      },
      remedy: { paste: 'source' },
    },
    {
      ...asReader,
      name: 'of the database',
      check: named('source-connections'),
      prepare: { source: reader },
      trip: { source: 'ALTER DATABASE :database CONNECTION LIMIT 6' },
      expected: { severity: 'warning', message: /limited to 6 connections and has 0/ },
      remedy: { paste: 'source' },
    },
    {
      ...asReader,
      name: 'tomorrow',
      check: named('source-account-expiry'),
      prepare: { source: reader },
      trip: {
        source: `DO 'BEGIN EXECUTE format(''ALTER ROLE reader VALID UNTIL %L'', now() + ''36 h''); END'`,
      },
      expected: {
        severity: 'warning',
        message: /The password of "reader" on the source ends in 1 d/,
      },
      remedy: { paste: 'source' },
    },
  ],
)
