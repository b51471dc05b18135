import type { TestServer } from './server.ts'

/** Roles that own and use the objects of a rich database; none is a superuser. */
export const richRoles = ['app_owner', 'app_rw', 'app_ro', 'audit_admin', 'Odd "Role"'] as const

export interface RichOptions {
  /** Objects that only a superuser can have: base types, operator classes, C functions, event triggers, … Default true. */
  superuserObjects?: boolean
  /** Objects from versions after this one are left out. Default: the server's own. */
  upTo?: number
}

/** A part of the database: statements that share a first major version and whether they take a superuser. */
interface Part {
  since?: number
  superuser?: true
  sql: string
}

const parts: readonly Part[] = [
  {
    sql: `
      ALTER DATABASE :name SET search_path TO app, "$user", public;
      ALTER DATABASE :name SET work_mem TO '8MB';
      ALTER ROLE app_rw IN DATABASE :name SET statement_timeout TO '30s';
      COMMENT ON DATABASE :name IS 'a rich one';
      GRANT CONNECT, TEMPORARY ON DATABASE :name TO app_ro WITH GRANT OPTION;
      REVOKE ALL ON DATABASE :name FROM PUBLIC;`,
  },
  {
    sql: `
      CREATE SCHEMA app AUTHORIZATION app_owner;
      CREATE SCHEMA audit AUTHORIZATION audit_admin;
      CREATE SCHEMA "Odd ""schema" AUTHORIZATION "Odd ""Role""";
      CREATE SCHEMA ext;
      COMMENT ON SCHEMA app IS 'the application''s';
      COMMENT ON SCHEMA public IS 'ours';
      GRANT USAGE ON SCHEMA app, audit TO app_rw, app_ro;
      GRANT CREATE ON SCHEMA app TO app_rw;
      GRANT USAGE ON SCHEMA ext TO PUBLIC;
      GRANT USAGE ON SCHEMA public TO app_ro;`,
  },
  {
    sql: `
      CREATE EXTENSION hstore SCHEMA ext;
      CREATE EXTENSION citext SCHEMA ext;
      CREATE EXTENSION "uuid-ossp" SCHEMA ext;`,
  },
  {
    sql: `
      SET ROLE app_owner;
      CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'it''s "fine"');
      CREATE TYPE app.pair AS (a integer, b text COLLATE "C");
      CREATE TYPE app.floats AS RANGE (subtype = float8, subtype_diff = float8mi);
      CREATE DOMAIN app.percent AS integer DEFAULT 0 CHECK (VALUE BETWEEN 0 AND 100);
      COMMENT ON TYPE app.mood IS 'how it is';
      COMMENT ON DOMAIN app.percent IS 'of a hundred';
      GRANT USAGE ON TYPE app.mood TO app_ro;
      CREATE COLLATION app.german (LOCALE = 'C');
      CREATE CONVERSION app.latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
      CREATE SEQUENCE app.tickets AS integer START 100 INCREMENT 5 MAXVALUE 10000 CYCLE;
      SELECT nextval('app.tickets'), nextval('app.tickets');
      GRANT USAGE ON SEQUENCE app.tickets TO app_rw;`,
  },
  {
    sql: `
      SET ROLE app_owner;
      CREATE TABLE app.customer (
        id serial PRIMARY KEY,
        email ext.citext NOT NULL,
        tags ext.hstore,
        mood app.mood DEFAULT 'ok',
        position app.pair,
        share app.percent,
        notes text COLLATE app.german,
        born date CHECK (born > DATE '1900-01-01'),
        UNIQUE (email)
      );
      INSERT INTO app.customer (email, tags, mood, position, share, notes, born)
        SELECT 'user' || g || '@example.org', ext.hstore('k', g::text), 'ok', ROW(g, 'b'::text)::app.pair, g % 100,
               CASE WHEN g % 7 = 0 THEN E'tab\\t newline\\n back\\\\slash 🐘' END, DATE '2000-01-01' + g
          FROM generate_series(1, 500) g;
      COMMENT ON TABLE app.customer IS E'customers\\n-- with a line that is no comment\\n;';
      COMMENT ON COLUMN app.customer.email IS 'unique';
      GRANT SELECT, INSERT, REFERENCES ON app.customer TO app_rw WITH GRANT OPTION;
      GRANT SELECT (id, email), UPDATE (mood) ON app.customer TO app_ro;
      SET ROLE app_rw;
      GRANT SELECT ON app.customer TO audit_admin;
      SET ROLE app_owner;
      CREATE INDEX customer_mood ON app.customer (mood) WHERE mood <> 'sad';
      CREATE INDEX customer_lower ON app.customer (lower(notes) text_pattern_ops DESC NULLS LAST);
      CREATE INDEX customer_tags ON app.customer USING gin (tags);
      ALTER TABLE app.customer CLUSTER ON customer_pkey;
      ALTER TABLE app.customer ALTER COLUMN notes SET STATISTICS 500, ALTER COLUMN notes SET STORAGE EXTERNAL;
      ALTER TABLE app.customer SET (fillfactor = 70, autovacuum_enabled = true);
      COMMENT ON INDEX app.customer_mood IS 'partial';`,
  },
  {
    sql: `
      SET ROLE app_rw;
      CREATE TABLE app."order" (
        no bigint GENERATED ALWAYS AS IDENTITY (START WITH 1000) PRIMARY KEY,
        customer integer NOT NULL REFERENCES app.customer DEFERRABLE INITIALLY DEFERRED,
        parent bigint REFERENCES app."order",
        at timestamptz NOT NULL DEFAULT now(),
        total numeric(12, 2),
        payload jsonb
      );
      INSERT INTO app."order" (customer, at, total, payload)
        SELECT g % 500 + 1, TIMESTAMPTZ '2024-01-01 00:00+00' + g * INTERVAL '1 hour', g / 3.0, jsonb_build_object('g', g)
          FROM generate_series(1, 2000) g;
      UPDATE app."order" SET parent = 1000 WHERE no > 2500;
      SET CONSTRAINTS ALL IMMEDIATE;
      ALTER TABLE app."order" ADD CONSTRAINT total_positive CHECK (total >= 0) NOT VALID;
      CREATE UNLOGGED TABLE app.cache (key text PRIMARY KEY, value bytea);
      INSERT INTO app.cache VALUES ('a', '\\x00ff');
      ALTER TABLE app."order" REPLICA IDENTITY FULL;
      SET ROLE audit_admin;
      CREATE TABLE audit.log (at timestamptz DEFAULT now(), who name DEFAULT current_user, what text);
      INSERT INTO audit.log VALUES ('2024-01-01 00:00+00', 'postgres', 'begin');
      GRANT INSERT ON audit.log TO PUBLIC;
      REVOKE ALL ON audit.log FROM audit_admin;
      GRANT SELECT ON audit.log TO audit_admin;
      SET ROLE "Odd ""Role""";
      CREATE TABLE "Odd ""schema"."emojis 🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘" ("co
lumn" text, "q""uote" integer[], ";" point);
      INSERT INTO "Odd ""schema"."emojis 🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘" VALUES ('x', '{1,NULL,3}', '(1,2)');
      CREATE TABLE "Odd ""schema"."two
lines; TABLE DATA app customer app_owner" (a int);
      INSERT INTO "Odd ""schema"."two
lines; TABLE DATA app customer app_owner" VALUES (42);
      COMMENT ON TABLE "Odd ""schema"."two
lines; TABLE DATA app customer app_owner" IS '::error::not an error';`,
  },
  {
    sql: `
      CREATE TABLE app.measure (at date NOT NULL, sensor integer, value float8) PARTITION BY RANGE (at);
      CREATE TABLE app.measure_2023 PARTITION OF app.measure FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
      CREATE TABLE app.measure_2024 PARTITION OF app.measure FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')
        PARTITION BY LIST (sensor);
      CREATE TABLE app.measure_2024_1 PARTITION OF app.measure_2024 FOR VALUES IN (1, 2);
      CREATE TABLE app.parent (id integer, kind text);
      CREATE TABLE app.child (extra text) INHERITS (app.parent);
      ALTER TABLE app.measure OWNER TO app_owner; ALTER TABLE app.measure_2023 OWNER TO app_rw;
      ALTER TABLE app.measure_2024 OWNER TO app_owner; ALTER TABLE app.measure_2024_1 OWNER TO app_owner;
      ALTER TABLE app.parent OWNER TO app_owner; ALTER TABLE app.child OWNER TO app_owner;
      INSERT INTO app.measure SELECT DATE '2023-06-01' + g, g % 2 + 1, g FROM generate_series(1, 400) g;
      INSERT INTO app.parent VALUES (1, 'p'); INSERT INTO app.child VALUES (2, 'c', 'x');`,
  },
  {
    since: 11,
    sql: `
      SET ROLE app_owner;
      ALTER TABLE app.measure_2024 ADD PRIMARY KEY (at, sensor);
      CREATE INDEX measure_value ON app.measure (value) ;
      CREATE TABLE app.hashed (k integer PRIMARY KEY, v text) PARTITION BY HASH (k);
      CREATE TABLE app.hashed_0 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
      CREATE TABLE app.hashed_1 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
      INSERT INTO app.hashed SELECT g, 'v' || g FROM generate_series(1, 300) g;
      CREATE UNIQUE INDEX customer_covering ON app.customer (email) INCLUDE (mood);
      ALTER TABLE app.hashed ADD FOREIGN KEY (k) REFERENCES app.customer;
      CREATE PROCEDURE app.archive(INOUT n integer) LANGUAGE plpgsql AS $$ BEGIN n := n + 1; END $$;
      GRANT EXECUTE ON PROCEDURE app.archive(integer) TO app_rw;`,
  },
  {
    sql: `
      SET ROLE app_owner;
      CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path TO app, pg_temp
        AS $$ BEGIN NEW.notes := coalesce(NEW.notes, 'touched'); RETURN NEW; END $$;
      CREATE FUNCTION app.total(c integer, OUT sum numeric, VARIADIC rest text[] DEFAULT '{}') LANGUAGE sql STABLE COST 50
        AS 'SELECT pg_catalog.sum(o.total) FROM app."order" o WHERE o.customer = $1';
      CREATE FUNCTION app.moods() RETURNS SETOF app.mood LANGUAGE sql IMMUTABLE ROWS 3 AS $$SELECT unnest(enum_range(NULL::app.mood))$$;
      REVOKE ALL ON FUNCTION app.moods() FROM PUBLIC;
      GRANT EXECUTE ON FUNCTION app.moods() TO app_ro;
      COMMENT ON FUNCTION app.touch() IS 'for the trigger';
      CREATE AGGREGATE app.longest(text) (SFUNC = textcat, STYPE = text, INITCOND = '');
      CREATE FUNCTION app.pair_eq(app.pair, app.pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).a = ($2).a';
      CREATE OPERATOR app.=== (PROCEDURE = app.pair_eq, LEFTARG = app.pair, RIGHTARG = app.pair, COMMUTATOR = OPERATOR(app.===));
      CREATE FUNCTION app.pair_text(app.pair) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ($1).b';
      CREATE CAST (app.pair AS text) WITH FUNCTION app.pair_text(app.pair) AS ASSIGNMENT;
      CREATE TRIGGER touch BEFORE INSERT OR UPDATE OF notes ON app.customer FOR EACH ROW WHEN (NEW.share > 1) EXECUTE PROCEDURE app.touch();
      ALTER TABLE app.customer DISABLE TRIGGER touch;
      CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON app.customer DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE PROCEDURE app.touch();
      CREATE TEXT SEARCH DICTIONARY app.words (TEMPLATE = simple, ACCEPT = false);
      CREATE TEXT SEARCH CONFIGURATION app.search (COPY = pg_catalog.english);
      ALTER TEXT SEARCH CONFIGURATION app.search ALTER MAPPING FOR asciiword WITH app.words, english_stem;`,
  },
  {
    sql: `
      SET ROLE app_owner;
      CREATE VIEW app.sad WITH (security_barrier) AS SELECT id, email FROM app.customer WHERE mood = 'sad' WITH LOCAL CHECK OPTION;
      CREATE RULE sad_delete AS ON DELETE TO app.sad DO INSTEAD UPDATE app.customer SET mood = 'ok' WHERE id = OLD.id;
      GRANT SELECT ON app.sad TO app_ro;
      CREATE MATERIALIZED VIEW app.per_mood AS SELECT mood, count(*) AS n FROM app.customer GROUP BY mood;
      CREATE UNIQUE INDEX per_mood_key ON app.per_mood (mood);
      CREATE MATERIALIZED VIEW app.per_mood_total AS SELECT sum(n) AS total FROM app.per_mood;
      CREATE MATERIALIZED VIEW app.unpopulated AS SELECT 1 AS one WITH NO DATA;
      CREATE STATISTICS app.customer_stats (ndistinct, dependencies) ON mood, share FROM app.customer;
      ALTER TABLE app.customer ENABLE ROW LEVEL SECURITY;
      CREATE POLICY own ON app.customer FOR SELECT TO app_ro, app_rw USING (id IN (SELECT o.customer FROM app."order" o));
      CREATE POLICY no_minus ON app.customer AS RESTRICTIVE FOR UPDATE TO PUBLIC USING (true) WITH CHECK (share >= 0);
      CREATE TABLE app.secret (id integer, what text);
      INSERT INTO app.secret VALUES (1, 'a'), (2, 'b');
      ALTER TABLE app.secret ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
      CREATE POLICY nobody ON app.secret USING (false);
      ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app GRANT SELECT ON TABLES TO app_ro;
      ALTER DEFAULT PRIVILEGES FOR ROLE app_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
      SELECT lo_from_bytea(7001, '\\x0102ff');
      SELECT lo_from_bytea(7002, decode(repeat('ab', 5000), 'hex'));
      GRANT SELECT ON LARGE OBJECT 7001 TO app_ro;
      COMMENT ON LARGE OBJECT 7001 IS 'three bytes';`,
  },
  {
    sql: `
      GRANT CREATE ON DATABASE :name TO app_owner;
      SET ROLE app_owner;
      CREATE PUBLICATION several FOR TABLE app.customer, app.parent WITH (publish = 'insert, update');
      RESET ROLE;
      REVOKE CREATE ON DATABASE :name FROM app_owner;`,
  },
  {
    since: 12,
    sql: `
      SET ROLE app_owner;
      CREATE TABLE app.generated (a integer, b integer GENERATED ALWAYS AS (a * 2) STORED, "GENERATED ALWAYS AS (" text);
      INSERT INTO app.generated (a) SELECT generate_series(1, 50);
      CREATE STATISTICS app.customer_mcv (mcv) ON mood, share FROM app.customer;`,
  },
  {
    since: 12,
    sql: `
      SET ROLE app_owner;
      CREATE COLLATION app.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE app.word (w text COLLATE app.nocase PRIMARY KEY);
      INSERT INTO app.word VALUES ('Abc'), ('def');
      CREATE TABLE app.measured (k integer REFERENCES app.hashed);
      INSERT INTO app.measured VALUES (1), (300);`,
  },
  {
    since: 13,
    sql: `
      SET ROLE app_owner;
      CREATE FUNCTION app.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
      CREATE TRIGGER keep BEFORE INSERT ON app.hashed FOR EACH ROW EXECUTE FUNCTION app.keep();
      ALTER STATISTICS app.customer_stats SET STATISTICS 77;`,
  },
  {
    since: 14,
    sql: `
      SET ROLE app_owner;
      CREATE TABLE app.spans (id integer, s int4multirange, f app.floats_multirange);
      INSERT INTO app.spans VALUES (1, '{[1,3),[5,7)}', '{[1.5,2.5)}');
      ALTER TABLE app.spans ADD COLUMN big text COMPRESSION pglz;
      CREATE FUNCTION app.atomic(i integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT i + 1; END;
      CREATE FUNCTION app.plain(i integer) RETURNS integer LANGUAGE sql RETURN i + 1;
      CREATE PROCEDURE app.out_only(OUT n integer) LANGUAGE plpgsql AS $$ BEGIN n := 1; END $$;
      CREATE STATISTICS app.customer_expr ON (lower(notes)), share FROM app.customer;`,
  },
  {
    since: 15,
    sql: `
      SET ROLE app_owner;
      CREATE TABLE app.one_null (a integer, UNIQUE NULLS NOT DISTINCT (a));
      INSERT INTO app.one_null VALUES (NULL), (1);
      CREATE VIEW app.invoker WITH (security_invoker = true) AS SELECT * FROM app.secret;
      RESET ROLE;
      GRANT CREATE ON DATABASE :name TO app_owner;
      SET ROLE app_owner;
      CREATE PUBLICATION filtered FOR TABLE app.customer (id, email) WHERE (id > 5);
      RESET ROLE;
      REVOKE CREATE ON DATABASE :name FROM app_owner;`,
  },
  {
    since: 16,
    sql: `
      SET ROLE app_owner;
      CREATE COLLATION app.ruled (provider = icu, locale = 'und', rules = '&a < b');
      CREATE TABLE app.stored (t text STORAGE MAIN);
      INSERT INTO app.stored VALUES ('x');`,
  },
  {
    since: 17,
    sql: `
      SET ROLE app_owner;
      CREATE COLLATION app.built_in (provider = builtin, locale = 'C.UTF-8');
      GRANT MAINTAIN, SELECT ON app.customer TO app_rw;`,
  },
  {
    since: 18,
    sql: `
      CREATE EXTENSION btree_gist SCHEMA ext;
      SET ROLE app_owner;
      CREATE TABLE app.virtual (a integer, b integer GENERATED ALWAYS AS (a + 1) VIRTUAL);
      INSERT INTO app.virtual VALUES (1), (2);
      CREATE TABLE app.stay (room integer, during daterange, PRIMARY KEY (room, during WITHOUT OVERLAPS));
      INSERT INTO app.stay VALUES (1, '[2024-01-01,2024-02-01)');
      CREATE TABLE app.visit (room integer, during daterange, FOREIGN KEY (room, PERIOD during) REFERENCES app.stay (room, PERIOD during));
      CREATE TABLE app.loose (a integer CONSTRAINT big CHECK (a > 5) NOT ENFORCED, b integer);
      INSERT INTO app.loose VALUES (1, 1);
      ALTER TABLE app.loose ADD CONSTRAINT b_there NOT NULL b NO INHERIT;`,
  },
  // what only a superuser can have
  {
    superuser: true,
    sql: `
      CREATE FUNCTION app.strlen(cstring) RETURNS integer LANGUAGE internal IMMUTABLE STRICT AS 'textlen';
      CREATE FUNCTION app.proof(integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE LEAKPROOF AS 'BEGIN RETURN $1 > 0; END';
      CREATE FUNCTION app.quiet() RETURNS integer LANGUAGE plpgsql SET log_min_duration_statement TO '0' AS 'BEGIN RETURN 1; END';
      CREATE TYPE app.box2;
      CREATE FUNCTION app.box2_in(cstring) RETURNS app.box2 LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
      CREATE FUNCTION app.box2_out(app.box2) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
      CREATE TYPE app.box2 (INPUT = app.box2_in, OUTPUT = app.box2_out, LIKE = integer);
      CREATE TYPE app.shell;
      CREATE TABLE app.boxes (id integer, b app.box2);
      INSERT INTO app.boxes VALUES (1, '5');
      CREATE VIEW app.boxes_view AS SELECT b FROM app.boxes;
      CREATE OPERATOR FAMILY app.pairs USING btree;
      CREATE FUNCTION app.pair_cmp(app.pair, app.pair) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT ($1).a - ($2).a';
      CREATE OPERATOR FAMILY app.pairs_hash USING hash;
      CREATE OPERATOR CLASS app.pair_ops FOR TYPE app.pair USING hash FAMILY app.pairs_hash AS OPERATOR 1 app.===(app.pair, app.pair);
      CREATE CAST (money AS bigint) WITHOUT FUNCTION;
      CREATE TEXT SEARCH PARSER app.parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
      CREATE TEXT SEARCH TEMPLATE app.template (LEXIZE = dsimple_lexize);
      CREATE FOREIGN DATA WRAPPER app_wrapper OPTIONS (debug 'true');
      CREATE SERVER far VERSION '1' FOREIGN DATA WRAPPER app_wrapper OPTIONS (host 'far.example.org');
      CREATE USER MAPPING FOR app_rw SERVER far OPTIONS ("user" 'remote', password 'hidden-in-mapping');
      CREATE FOREIGN TABLE app.far_table (a integer, b text) SERVER far OPTIONS (table_name 't');
      CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'ddl'; END $$;
      CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE PROCEDURE app.on_ddl();
      COMMENT ON EVENT TRIGGER watch IS 'watches';
      CREATE PUBLICATION everything FOR ALL TABLES;
      GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO app_owner;
      GRANT SELECT ON pg_catalog.pg_authid TO audit_admin;
      ALTER DEFAULT PRIVILEGES FOR ROLE :super IN SCHEMA app GRANT SELECT ON TABLES TO app_ro;
      CREATE SUBSCRIPTION remote CONNECTION 'host=127.0.0.1 port=1 dbname=x password=hidden-in-subscription' PUBLICATION p
        WITH (connect = false);`,
  },
  {
    superuser: true,
    since: 12,
    sql: `
      CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
      CREATE TABLE app.in_heap2 (a integer) USING heap2;
      INSERT INTO app.in_heap2 VALUES (1);`,
  },
  {
    superuser: true,
    since: 15,
    sql: 'CREATE PUBLICATION whole_schema FOR TABLES IN SCHEMA audit;',
  },
]

/**
 * Creates a database with every kind of object that pg_dump knows, as far as the server's version has them, owned by
 * different roles, with grants, comments and rows; and the roles, unless they are there.
 *
 * @returns the database's name
 */
export async function createRichDatabase(
  server: TestServer,
  name = 'rich',
  options: RichOptions = {},
): Promise<string> {
  const newest = Math.min(server.major, options.upTo ?? server.major)
  for (const role of richRoles) {
    const quoted = `"${role.replaceAll('"', '""')}"`
    const { rowCount } = await server.sql(
      `SELECT FROM pg_catalog.pg_roles WHERE rolname = '${role}'`,
    )
    if (!rowCount) await server.sql(`CREATE ROLE ${quoted}`)
  }
  await server.sql(`CREATE DATABASE "${name}" TEMPLATE template0 OWNER app_owner`)
  const client = await server.connect(name)
  try {
    for (const part of parts) {
      if ((part.since ?? 0) > newest) continue
      if (part.superuser && options.superuserObjects === false) continue
      const sql = part.sql
        .replaceAll(':name', `"${name}"`)
        .replaceAll(':super', `"${server.superuser}"`)
      await client.query('RESET ROLE')
      await client.query(sql)
    }
  } finally {
    await client.end()
  }
  return name
}
