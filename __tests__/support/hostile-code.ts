import type { TestServer } from './server.ts'

/** What `hostile-code` puts to work, by the name that its witness gets. */
export type Place =
  | 'check'
  | 'index'
  | 'domain'
  | 'generated'
  | 'partition'
  | 'view'
  | 'definer'
  | 'literal'
  | 'statistics'

/** Places that a server before version 12 has, too. */
export const oldPlaces: readonly Place[] = [
  'check',
  'index',
  'domain',
  'partition',
  'view',
  'definer',
  'literal',
]

/**
 * A database whose code, wherever a restore runs it, takes every way to more rights that it knows, and leaves a row in
 * public.a_witness. Its author is the ordinary role mallory; the functions are harmless until the rows are in.
 *
 * @param modern with what came with versions 12 and 14
 */
export async function makeHostileDatabase(
  server: TestServer,
  name: string,
  modern: boolean,
): Promise<void> {
  await server.sql(`CREATE DATABASE ${name} OWNER mallory`)
  const lie = (place: Place) => `
    CREATE FUNCTION public.${place}_lie(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE
      AS $$ BEGIN PERFORM public.act('${place}'); RETURN i; END $$;`
  await server.sql(
    `CREATE TABLE public.a_witness (place text, session name, who name);
     CREATE FUNCTION public.act(place text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$ BEGIN END $$;
     ${(['check', 'index', 'domain', 'partition', 'view', 'literal'] as const).map(lie).join('')}
     CREATE DOMAIN public.trap AS int CHECK (public.domain_lie(VALUE) = VALUE);
     CREATE DOMAIN public.literal_trap AS int CHECK (public.literal_lie(VALUE) = VALUE);
     CREATE TABLE public.checked (i int CHECK (public.check_lie(i) = i), d public.trap);
     CREATE INDEX checked_index ON public.checked (public.index_lie(i));
     CREATE TABLE public.parted (i int) PARTITION BY LIST (public.partition_lie(i));
     CREATE TABLE public.part PARTITION OF public.parted FOR VALUES IN (1);
     CREATE VIEW public.literal AS SELECT '{1}'::public.literal_trap[] AS list;
     INSERT INTO public.checked VALUES (1, 1), (2, 2);
     INSERT INTO public.parted VALUES (1);
     CREATE MATERIALIZED VIEW public.seen AS SELECT public.view_lie(i) AS i FROM public.checked;
     ${modern ? `${lie('generated')}${lie('statistics')}` : ''}
     ${
       modern
         ? `CREATE TABLE public.generated (i int, g int GENERATED ALWAYS AS (public.generated_lie(i)) STORED);
            INSERT INTO public.generated VALUES (1);
            CREATE STATISTICS public.stats ON public.statistics_lie(i), i FROM public.checked;`
         : ''
     }
     DO $$ DECLARE c record; BEGIN
       FOR c IN SELECT format('ALTER %s public.%I OWNER TO mallory', CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, relname) AS sql
                  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
       LOOP EXECUTE c.sql; END LOOP;
       FOR c IN SELECT format('ALTER FUNCTION %s OWNER TO mallory', oid::regprocedure) AS sql FROM pg_proc WHERE pronamespace = 'public'::regnamespace
       LOOP EXECUTE c.sql; END LOOP; END $$;
     CREATE FUNCTION public.definer_lie(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER
       AS $$ BEGIN PERFORM public.act('definer'); RETURN i; END $$;
     CREATE TABLE public.trusted (i int CHECK (public.definer_lie(i) = i));
     INSERT INTO public.trusted VALUES (1);
     CREATE MATERIALIZED VIEW public.theirs AS SELECT public.view_lie(i) AS i FROM public.checked;
     GRANT INSERT ON public.a_witness TO PUBLIC;`,
    name,
  )
  await server.sql(
    `CREATE OR REPLACE FUNCTION public.act(place text) RETURNS void LANGUAGE plpgsql VOLATILE AS $act$
     DECLARE way text; role name;
     BEGIN
       FOREACH way IN ARRAY ARRAY[
         'INSERT INTO public.a_witness VALUES (' || quote_literal(place) || ', session_user, current_user)',
         'RESET ROLE', 'SET SESSION AUTHORIZATION DEFAULT', 'SET ROLE NONE',
         'ALTER ROLE mallory SUPERUSER', 'ALTER ROLE mallory CREATEROLE', 'ALTER ROLE mallory CREATEDB',
         'ALTER ROLE mallory POLAR_SUPERUSER', 'ALTER ROLE mallory CREATEROLE BYPASSRLS',
         'CREATE ROLE loot SUPERUSER', 'CREATE ROLE loot CREATEROLE LOGIN', 'CREATE ROLE loot',
         'GRANT pg_execute_server_program TO mallory', 'GRANT pg_read_all_stats TO mallory',
         'CREATE DATABASE loot', 'CREATE SCHEMA loot', 'ALTER DATABASE postgres SET search_path = evil']
       LOOP
         BEGIN EXECUTE way; EXCEPTION WHEN OTHERS THEN NULL; END;
       END LOOP;
       FOR role IN SELECT rolname FROM pg_catalog.pg_roles WHERE rolcreaterole OR rolsuper OR rolname = 'gctest' LOOP
         BEGIN EXECUTE format('GRANT %I TO mallory', role); EXCEPTION WHEN OTHERS THEN NULL; END;
       END LOOP;
     END $act$`,
    name,
  )
}
