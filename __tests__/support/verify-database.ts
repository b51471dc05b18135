import type { TestServer } from './server.ts'

/** A value of every built-in type, each with another that differs by as little as the type allows. */
export const everyType: {
  type: string
  value: string
  changed: string
  since?: number
  nan?: string
}[] = [
  { type: 'smallint', value: '-32768', changed: '-32767' },
  { type: 'integer', value: '2147483647', changed: '2147483646' },
  // the halves of a bigint changed places: its own hash is the same for both
  { type: 'bigint', value: '4294967296', changed: '1' },
  { type: 'numeric', value: '1.0', changed: '1.00' },
  { type: 'numeric(12,2)', value: '123456789.01', changed: '123456789.02' },
  { type: 'real', value: '0.1', changed: '0.10000001', nan: 'NaN' },
  { type: 'double precision', value: '0.1', changed: '0.10000000000000002', nan: 'NaN' },
  { type: 'money', value: '12.34', changed: '12.35' },
  { type: 'boolean', value: 'true', changed: 'false' },
  { type: '"char"', value: 'a', changed: 'b' },
  { type: 'name', value: 'a name', changed: 'a_name' },
  { type: 'text', value: 'Grüße, 世界 🐘', changed: 'Grüße, 世界  🐘' },
  { type: 'character varying(20)', value: 'trailing ', changed: 'trailing' },
  { type: 'character(5)', value: 'ab', changed: 'Ab' },
  { type: 'bpchar', value: 'ab  ', changed: 'ab ' },
  { type: 'bytea', value: '\\x00ff01', changed: '\\x00ff00' },
  { type: 'date', value: '2024-02-29', changed: '2024-02-28' },
  { type: 'time', value: '23:59:59.999999', changed: '23:59:59.999998' },
  { type: 'time with time zone', value: '12:00:00+02', changed: '12:00:00+03' },
  { type: 'timestamp', value: '2024-03-31 02:30:00.000001', changed: '2024-03-31 02:30:00' },
  {
    type: 'timestamp with time zone',
    value: '2024-03-31 02:30:00+01',
    changed: '2024-03-31 02:30:00+02',
  },
  { type: 'interval', value: '1 mon', changed: '30 days' },
  {
    type: 'uuid',
    value: '00000000-0000-0000-0000-0000000000f0',
    changed: '00000000-0000-0000-0000-0000000000f1',
  },
  { type: 'json', value: '{"a":1}', changed: '{"a": 1}' },
  { type: 'jsonb', value: '{"a": 1.0}', changed: '{"a": 1.00}' },
  { type: 'jsonpath', value: '$.a', changed: '$.b', since: 12 },
  { type: 'bit(4)', value: '1010', changed: '1011' },
  { type: 'bit varying', value: '0', changed: '00' },
  { type: 'inet', value: '10.0.0.1/8', changed: '10.0.0.1/9' },
  { type: 'cidr', value: '10.0.0.0/8', changed: '10.0.0.0/9' },
  { type: 'macaddr', value: '08:00:2b:01:02:03', changed: '08:00:2b:01:02:04' },
  { type: 'macaddr8', value: '08:00:2b:01:02:03:04:05', changed: '08:00:2b:01:02:03:04:06' },
  { type: 'point', value: '(1,2.1)', changed: '(1,2.1000000000000005)', nan: '(NaN,1)' },
  { type: 'line', value: '{1,2,3}', changed: '{1,2,4}' },
  { type: 'lseg', value: '[(0,0),(1,1)]', changed: '[(0,0),(1,2)]' },
  { type: 'box', value: '(1,1),(0,0)', changed: '(1,2),(0,0)' },
  { type: 'path', value: '((0,0),(1,1))', changed: '[(0,0),(1,1)]' },
  { type: 'polygon', value: '((0,0),(1,1),(2,0))', changed: '((0,0),(1,1),(2,1))' },
  { type: 'circle', value: '<(0,0),1>', changed: '<(0,0),2>' },
  { type: 'tsvector', value: "'a':1 'b':2", changed: "'a':1 'b':3" },
  { type: 'tsquery', value: "'a' & 'b'", changed: "'a' | 'b'" },
  { type: 'oid', value: '4294967295', changed: '4294967294' },
  { type: 'xid', value: '3', changed: '4' },
  { type: 'cid', value: '3', changed: '4' },
  { type: 'tid', value: '(1,2)', changed: '(1,3)' },
  { type: 'pg_lsn', value: '16/B374D848', changed: '16/B374D849' },
  { type: 'txid_snapshot', value: '10:20:10,14', changed: '10:20:10,15' },
  { type: 'regclass', value: 'pg_class', changed: 'pg_type' },
  { type: 'regproc', value: 'now', changed: 'version' },
  { type: 'regtype', value: 'integer', changed: 'bigint' },
  { type: 'regconfig', value: 'english', changed: 'simple' },
  { type: 'refcursor', value: 'c1', changed: 'c2' },
  { type: 'int4range', value: '[1,5)', changed: '[1,6)' },
  { type: 'numrange', value: '[1.0,2.0)', changed: '[1.0,2.0]' },
  { type: 'tstzrange', value: '[2024-01-01 00:00:00+00,)', changed: '(2024-01-01 00:00:00+00,)' },
  { type: 'int4multirange', value: '{[1,3),[5,7)}', changed: '{[1,3),[5,8)}', since: 14 },
  { type: 'integer[]', value: '{1,2,NULL}', changed: '{1,2}' },
  { type: 'bigint[]', value: '[0:1]={1,2}', changed: '{1,2}' },
  {
    type: 'double precision[]',
    value: '{0.1,0.2}',
    changed: '{0.1,0.20000000000000004}',
    nan: '{NaN}',
  },
  { type: 'text[]', value: '{"",a}', changed: '{NULL,a}' },
  { type: 'numeric[]', value: '{{1.0},{2}}', changed: '{{1.00},{2}}' },
  { type: 'point[]', value: '{"(1,2)"}', changed: '{"(1,3)"}' },
  { type: 'timestamptz[]', value: '{2024-01-01 00:00:00+00}', changed: '{2024-01-01 00:00:01+00}' },
  { type: 'rich.mood', value: 'sad', changed: 'happy' },
  { type: 'rich.mood[]', value: '{sad,happy}', changed: '{happy,sad}' },
  { type: 'rich.positive', value: '1', changed: '2' },
  { type: 'rich.pair', value: '(1,"a b")', changed: '(1,"a  b")' },
  { type: 'rich.pair[]', value: '{"(1,x)"}', changed: '{"(1,)"}' },
  { type: 'rich.measure', value: '(0.1)', changed: '(0.2)' },
  { type: 'rich.floats', value: '[0.1,0.2]', changed: '[0.1,0.3]' },
]

/** Types that a server knows, each with the column of `rich.types` that holds it. */
export function typesOf(major: number): ((typeof everyType)[number] & { column: string })[] {
  return everyType
    .map((one, index) => ({ ...one, column: `c${index}` }))
    .filter(({ since = 10 }) => major >= since)
}

const literal = (text: string) => `'${text.replaceAll("'", "''")}'`

/**
 * Roles that the database needs, with hostile names among them.
 *
 * @param server gets them once, however often it is asked
 */
export async function createRichRoles(server: TestServer): Promise<void> {
  for (const role of ['rich_owner', 'rich_reader', 'rich "quoted" role']) {
    await server.sql(
      `DO $$ BEGIN CREATE ROLE "${role.replaceAll('"', '""')}"; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
    )
  }
}

/**
 * Fills a database with something of every kind that a dump carries.
 *
 * @param major the lowest of the two servers that are to hold the same: nothing newer is used
 */
export async function createRichDatabase(
  server: TestServer,
  name: string,
  major: number,
): Promise<void> {
  await createRichRoles(server)
  await server.sql(`CREATE DATABASE ${name} TEMPLATE template0`)
  await server.sql(base, name)
  for (const [since, sql] of Object.entries(additions)) {
    if (major >= Number(since)) await server.sql(sql, name)
  }
  await server.sql(typesTable(major), name)
  await decorateDatabase(server, name)
  await server.sql('REFRESH MATERIALIZED VIEW rich.totals', name)
}

/** Another database with the same content, made in a moment. */
export async function copyDatabase(server: TestServer, from: string, to: string): Promise<void> {
  await server.sql(`CREATE DATABASE ${to} TEMPLATE ${from}`)
  await decorateDatabase(server, to)
}

/** What belongs to the database itself: a template does not hand it on. */
export async function decorateDatabase(server: TestServer, name: string): Promise<void> {
  await server.sql(`
    ALTER DATABASE ${name} SET work_mem = '7MB';
    ALTER ROLE rich_reader IN DATABASE ${name} SET statement_timeout = '7s';
    GRANT CREATE ON DATABASE ${name} TO rich_owner;
    COMMENT ON DATABASE ${name} IS 'rich'`)
}

/**
 * SQL for a schema `types` with a table for each built-in type, `t0`, `t1`, …, and for changing a value in each.
 *
 * @param major the lowest of the servers that are to hold it
 */
export function tablePerType(major: number): { create: string; change: string; names: string[] } {
  const types = typesOf(major).map((one) => ({ ...one, name: `t${one.column.slice(1)}` }))
  return {
    create: `CREATE SCHEMA types; ${types
      .map(
        ({ name, type, value }) =>
          `CREATE TABLE types.${name} (id int, v ${type}); INSERT INTO types.${name} VALUES (1, ${literal(value)}), (2, NULL), (3, ${literal(value)});`,
      )
      .join('\n')}`,
    change: types
      .map(({ name, changed }) => `UPDATE types.${name} SET v = ${literal(changed)} WHERE id = 3;`)
      .join('\n'),
    names: types.map(({ name }) => name),
  }
}

function typesTable(major: number): string {
  const types = typesOf(major)
  const columns = types.map(({ column, type }) => `${column} ${type}`).join(', ')
  const values = types.map(({ value }) => literal(value)).join(', ')
  const nans = types.map(({ nan }) => (nan === undefined ? 'NULL' : literal(nan))).join(', ')
  const nulls = types.map(() => 'NULL').join(', ')
  return `
    CREATE TABLE rich.types (id int PRIMARY KEY, ${columns});
    INSERT INTO rich.types VALUES (1, ${values}), (2, ${nulls}), (3, ${nans}), (4, ${values});
    -- the NaN of a computation has its sign set on most machines, that of a text has not
    UPDATE rich.types SET c6 = 'infinity'::float8 - 'infinity'::float8, c5 = 'infinity'::float4 - 'infinity'::float4 WHERE id = 3;
  `
}

const base = `
CREATE SCHEMA rich AUTHORIZATION rich_owner;
CREATE SCHEMA "odd ""schema""";
COMMENT ON SCHEMA rich IS 'everything';
GRANT USAGE ON SCHEMA rich TO rich_reader;
CREATE EXTENSION hstore SCHEMA rich;
CREATE EXTENSION citext SCHEMA rich;

CREATE TYPE rich.mood AS ENUM ('sad', 'happy');
CREATE TYPE rich.pair AS (a int, b text);
CREATE TYPE rich.measure AS (v double precision);
CREATE TYPE rich.floats AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE DOMAIN rich.positive AS int DEFAULT 1 CONSTRAINT above_zero CHECK (VALUE > 0);
COMMENT ON TYPE rich.mood IS 'how it is';
COMMENT ON DOMAIN rich.positive IS 'more than nothing';
COMMENT ON COLUMN rich.pair.a IS 'the first';

CREATE FUNCTION rich.double(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i * 2';
COMMENT ON FUNCTION rich.double(int) IS 'twice';
REVOKE EXECUTE ON FUNCTION rich.double(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rich.double(int) TO rich_reader;
CREATE FUNCTION rich.touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = rich AS
  $$ BEGIN NEW.note := COALESCE(NEW.note, 'none'); RETURN NEW; END $$;
CREATE FUNCTION rich.with_defaults(a int, b text DEFAULT 'x', VARIADIC c int[] DEFAULT '{}') RETURNS TABLE (n int, t text)
  LANGUAGE plpgsql COST 7 ROWS 11 AS $$ BEGIN RETURN QUERY SELECT a, b; END $$;
CREATE AGGREGATE rich.total(int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE FUNCTION rich.same(rich.pair, rich.pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.a = $2.a';
CREATE OPERATOR rich.=== (leftarg = rich.pair, rightarg = rich.pair, procedure = rich.same, commutator = OPERATOR(rich.===));
CREATE FUNCTION rich.to_int(rich.pair) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1.a';
CREATE CAST (rich.pair AS int) WITH FUNCTION rich.to_int(rich.pair) AS ASSIGNMENT;
CREATE FUNCTION rich.cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN $1 < $2 THEN 1 WHEN $1 > $2 THEN -1 ELSE 0 END';
CREATE OPERATOR FAMILY rich.backwards USING btree;
CREATE OPERATOR CLASS rich.backwards_ops FOR TYPE int USING btree FAMILY rich.backwards AS
  OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 rich.cmp(int, int);
CREATE COLLATION rich.plain (locale = 'C');
CREATE CONVERSION rich.conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TEXT SEARCH DICTIONARY rich.dict (template = simple, stopwords = english);
CREATE TEXT SEARCH CONFIGURATION rich.config (parser = "default");
ALTER TEXT SEARCH CONFIGURATION rich.config ADD MAPPING FOR asciiword, word WITH rich.dict, simple;

CREATE TABLE rich.customers (
  id serial PRIMARY KEY,
  name text NOT NULL,
  email rich.citext UNIQUE,
  born date DEFAULT CURRENT_DATE,
  note text COLLATE rich.plain DEFAULT lower('NONE'),
  extra rich.hstore,
  code char(8),
  gone int,
  CONSTRAINT born_late CHECK (born > '1900-01-01')
);
ALTER TABLE rich.customers DROP COLUMN gone;
ALTER TABLE rich.customers ALTER COLUMN name SET STATISTICS 500;
ALTER TABLE rich.customers ALTER COLUMN note SET STORAGE EXTERNAL;
ALTER TABLE rich.customers ALTER COLUMN id SET (n_distinct = -1);
ALTER TABLE rich.customers SET (fillfactor = 70, autovacuum_enabled = off, toast.autovacuum_enabled = off);
ALTER TABLE rich.customers OWNER TO rich_owner;
COMMENT ON TABLE rich.customers IS 'who buys';
COMMENT ON COLUMN rich.customers.name IS 'what they are called';
COMMENT ON CONSTRAINT born_late ON rich.customers IS 'nobody is that old';
GRANT SELECT ON rich.customers TO rich_reader;
GRANT UPDATE (name), SELECT (note) ON rich.customers TO "rich ""quoted"" role" WITH GRANT OPTION;
CREATE INDEX customers_name ON rich.customers (lower(name) text_pattern_ops, born DESC) WHERE born IS NOT NULL;
COMMENT ON INDEX rich.customers_name IS 'by name';
ALTER INDEX rich.customers_name SET (fillfactor = 60);
CLUSTER rich.customers USING customers_pkey;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE OF name ON rich.customers FOR EACH ROW WHEN (NEW.name IS NOT NULL) EXECUTE PROCEDURE rich.touch();
COMMENT ON TRIGGER touch ON rich.customers IS 'fills the note';
CREATE TRIGGER sleeping AFTER DELETE ON rich.customers EXECUTE PROCEDURE suppress_redundant_updates_trigger();
ALTER TABLE rich.customers DISABLE TRIGGER sleeping;
CREATE RULE silence AS ON DELETE TO rich.customers WHERE OLD.id < 0 DO INSTEAD NOTHING;
COMMENT ON RULE silence ON rich.customers IS 'hush';
ALTER TABLE rich.customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON rich.customers FOR SELECT TO rich_reader USING (name = CURRENT_USER);
CREATE POLICY fresh ON rich.customers AS RESTRICTIVE WITH CHECK (born >= '2000-01-01');
COMMENT ON POLICY own_rows ON rich.customers IS 'mine';
INSERT INTO rich.customers (name, email, born, note, extra, code) SELECT 'name ' || g, 'Mail' || g || '@example.org', date '2001-01-01' + g,
  NULLIF('note ' || g, 'note 7'), ('k=>' || g)::rich.hstore, 'c' || g FROM generate_series(1, 300) g;

CREATE TABLE rich.orders (
  id bigint GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5) PRIMARY KEY,
  customer int NOT NULL REFERENCES rich.customers ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  amount numeric(12,2) NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  EXCLUDE USING gist (box(point(id, id), point(id, id)) WITH &&)
);
ALTER TABLE rich.orders ADD CONSTRAINT amount_sane CHECK (amount < 1000000) NOT VALID;
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO rich.orders (customer, amount, at) SELECT 1 + g % 300, g * 1.01, timestamptz '2024-01-01 00:00:00Z' + g * interval '1 hour' FROM generate_series(1, 500) g;
CREATE UNIQUE INDEX orders_replica ON rich.orders (id, customer);
ALTER TABLE rich.orders REPLICA IDENTITY USING INDEX orders_replica;
CREATE STATISTICS rich.orders_stats (dependencies) ON customer, at FROM rich.orders;

CREATE TABLE rich.keyless (a text, b int);
INSERT INTO rich.keyless VALUES ('x', 1), ('x', 1), ('', 2), (NULL, 3);
CREATE TABLE rich.elsewhere (a text, b int);
INSERT INTO rich.elsewhere VALUES ('y', 5);
CREATE TABLE rich.nothing ();
INSERT INTO rich.nothing DEFAULT VALUES;
CREATE UNLOGGED TABLE rich.volatile (id serial, a int);
CREATE TABLE "odd ""schema"""."odd
table 🐘" ("a ""column""" int PRIMARY KEY, "::error::" text);
INSERT INTO "odd ""schema"""."odd
table 🐘" VALUES (1, E'::set-output name=x::y\\n');

CREATE TABLE rich.parent (a int, z text);
CREATE TABLE rich.child (own text) INHERITS (rich.parent);
ALTER TABLE rich.parent ADD COLUMN late int DEFAULT 3;
INSERT INTO rich.parent VALUES (1, 'p');
INSERT INTO rich.child (a, z, own) VALUES (2, 'c', 'o');

CREATE TABLE rich.events (at date NOT NULL, kind text, n int) PARTITION BY RANGE (at);
CREATE TABLE rich.events_2023 PARTITION OF rich.events FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE rich.events_2024 PARTITION OF rich.events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (kind);
CREATE TABLE rich.events_2024_a PARTITION OF rich.events_2024 FOR VALUES IN ('a');
CREATE TABLE rich.events_2024_rest PARTITION OF rich.events_2024 FOR VALUES IN ('b', NULL);
INSERT INTO rich.events VALUES ('2023-05-05', 'a', 1), ('2024-05-05', 'a', 2), ('2024-05-06', NULL, 3);

CREATE VIEW rich.buyers WITH (security_barrier = true) AS
  SELECT name, email, upper(note) AS loud, date_trunc('year', born) AS year FROM rich.customers WHERE born > '2001-02-01' ORDER BY name;
COMMENT ON VIEW rich.buyers IS 'the buyers';
COMMENT ON COLUMN rich.buyers.loud IS 'shouted';
GRANT SELECT ON rich.buyers TO rich_reader;
ALTER VIEW rich.buyers ALTER COLUMN loud SET DEFAULT 'X';
CREATE VIEW rich.sums AS
  WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 3)
  SELECT c.name, o.amount, sum(o.amount) OVER (PARTITION BY c.id ORDER BY o.at) AS running, n.i, (SELECT count(*) FROM rich.keyless) AS k,
         CASE WHEN o.amount BETWEEN 1 AND 10 THEN 'low' ELSE COALESCE(c.note, 'none') END AS level
    FROM rich.customers c JOIN rich.orders o ON o.customer = c.id LEFT JOIN n ON n.i = o.id
   WHERE c.name LIKE 'n%' AND o.amount = ANY (ARRAY[1.01, 2.02]) AND c.id IN (SELECT customer FROM rich.orders);
CREATE MATERIALIZED VIEW rich.totals AS SELECT customer, sum(amount) AS total FROM rich.orders GROUP BY customer WITH NO DATA;
CREATE UNIQUE INDEX ON rich.totals (customer);
CREATE MATERIALIZED VIEW rich.unfilled AS SELECT 1 AS one WITH NO DATA;

CREATE SEQUENCE rich.counter INCREMENT BY -3 MINVALUE -100 MAXVALUE 50 START 20 CACHE 4 CYCLE;
SELECT setval('rich.counter', 11);
CREATE SEQUENCE rich.fresh;

SELECT lo_from_bytea(500001, '\\x0102030405'), lo_from_bytea(500002, decode(repeat('ab', 100000), 'hex')), lo_create(500003);
SELECT lo_put(500003, 3000000, '\\x01');
COMMENT ON LARGE OBJECT 500001 IS 'a picture';
ALTER LARGE OBJECT 500001 OWNER TO rich_owner;
GRANT SELECT ON LARGE OBJECT 500002 TO rich_reader;

CREATE FOREIGN DATA WRAPPER rich_fdw OPTIONS (debug 'true');
CREATE SERVER rich_server TYPE 'none' VERSION '1' FOREIGN DATA WRAPPER rich_fdw OPTIONS (host 'example.org');
CREATE USER MAPPING FOR rich_reader SERVER rich_server OPTIONS (password 'secret');
CREATE FOREIGN TABLE rich.far (a int OPTIONS (column_name 'b')) SERVER rich_server OPTIONS (table_name 'far');
GRANT USAGE ON FOREIGN SERVER rich_server TO rich_reader;
CREATE PUBLICATION rich_publication FOR TABLE rich.orders, rich.customers WITH (publish = 'insert, update');
CREATE FUNCTION rich.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER rich_ddl ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE PROCEDURE rich.on_ddl();
ALTER DEFAULT PRIVILEGES FOR ROLE rich_owner IN SCHEMA rich GRANT SELECT ON TABLES TO rich_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE rich_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
`

/** What only newer majors have. */
const additions: Record<number, string> = {
  11: `
    CREATE PROCEDURE rich.proc(INOUT a int, b text) LANGUAGE plpgsql AS $$ BEGIN a := a + 1; END $$;
    CREATE INDEX events_at ON rich.events (at) INCLUDE (n);
    CREATE TABLE rich.hashed (id int PRIMARY KEY, v text) PARTITION BY HASH (id);
    CREATE TABLE rich.hashed_0 PARTITION OF rich.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE rich.hashed_1 PARTITION OF rich.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO rich.hashed SELECT g, 'v' || g FROM generate_series(1, 20) g;
    CREATE TRIGGER each AFTER INSERT ON rich.hashed FOR EACH ROW EXECUTE PROCEDURE suppress_redundant_updates_trigger();
    ALTER TABLE rich.hashed ADD FOREIGN KEY (id) REFERENCES rich.customers;
    ALTER INDEX rich.customers_name ALTER COLUMN 1 SET STATISTICS 300;`,
  12: `
    CREATE TABLE rich.computed (a int, b int GENERATED ALWAYS AS (a * 2) STORED);
    INSERT INTO rich.computed VALUES (1), (2);
    CREATE COLLATION rich.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE rich.insensitive (a text COLLATE rich.nocase PRIMARY KEY);
    INSERT INTO rich.insensitive VALUES ('Case');`,
  13: `ALTER STATISTICS rich.orders_stats SET STATISTICS 77;`,
  14: `
    CREATE FUNCTION rich.standard(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a + 1; END;
    CREATE TABLE rich.compressed (a text COMPRESSION pglz);
    CREATE VIEW rich.syntax AS SELECT EXTRACT(year FROM born) AS y, SUBSTRING(name FROM 1 FOR 2) AS s, born AT TIME ZONE 'UTC' AS z FROM rich.customers;`,
  15: `
    CREATE TABLE rich.nulls (a int UNIQUE NULLS NOT DISTINCT);
    CREATE PUBLICATION rich_some FOR TABLE rich.keyless (a) WHERE (b > 1) WITH (publish = 'insert');`,
}
