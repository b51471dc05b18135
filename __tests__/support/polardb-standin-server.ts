import { type Manners, roleProcedures } from './polardb-standin-roles.ts'
import type { Major } from './server.ts'

/**
 * The procedures that do on a stock server what PolarDB does in its kernel. The front of the stand-in calls them in the
 * place of the client's statements, so they run in the client's session and transaction, under its current role.
 *
 * They belong into every template database, and are made in single-user mode: that gives them OIDs below 16384, so a
 * new database looks as empty as it is.
 *
 * @returns statements for TestServer's option `initial`
 */
export function standInProcedures(major: Major, manners: Manners): string[] {
  const polar11 = String(manners === 11)
  return [
    ...roleProcedures(major, manners),

    // for what PolarDB lets a polar_superuser make, and own, although stock PostgreSQL wants a superuser
    `CREATE PROCEDURE pg_catalog.polar_standin_elevate(statement text) LANGUAGE plpgsql AS $$
    BEGIN
      CALL polar_standin_manage(statement, true);
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_elevate_owner(statement text, kind text, object name)
      LANGUAGE plpgsql AS $$
    DECLARE
      owner oid;
    BEGIN
      IF kind = 'event' THEN
        owner := evtowner FROM pg_event_trigger WHERE evtname = object;
      ELSE
        owner := pubowner FROM pg_publication WHERE pubname = object;
      END IF;
      IF owner IS NULL OR NOT pg_has_role(current_user, owner, 'USAGE') THEN
        EXECUTE statement; -- which refuses it
      ELSE
        CALL polar_standin_elevate(statement);
      END IF;
    END $$`,

    // for new owners, who may have been made past the front
    `CREATE PROCEDURE pg_catalog.polar_standin_own(statement text, roles name[]) LANGUAGE plpgsql AS $$
    BEGIN
      CALL polar_standin_mark(roles);
      CALL polar_standin_manage(statement);
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_set_role(statement text, role name) LANGUAGE plpgsql AS $$
    BEGIN
      CALL polar_standin_mark(ARRAY[role]);
      EXECUTE statement;
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_unlogged(statement text, logged text) LANGUAGE plpgsql AS $$
    BEGIN
      IF current_setting('polar.force_unlogged_to_logged_table', true) = 'on' THEN
        EXECUTE logged;
      ELSE
        EXECUTE statement;
      END IF;
    END $$`,

    // Only a real superuser can change session_user on a stock server: for others SET ROLE comes nearest.
    `CREATE PROCEDURE pg_catalog.polar_standin_session_authorization(statement text, role name, local boolean)
      LANGUAGE plpgsql AS $$
    DECLARE
      scope text := CASE WHEN local THEN 'LOCAL' ELSE 'SESSION' END;
    BEGIN
      IF NOT ${polar11} OR NOT polar_standin_is_polar(session_user) OR polar_standin_is_superuser(role) THEN
        EXECUTE statement;
      ELSIF role IS NULL OR role = session_user THEN
        EXECUTE format('SET %s ROLE NONE', scope);
      ELSE
        CALL polar_standin_set_role(format('SET %s ROLE %I', scope, role), role);
      END IF;
    END $$`,

    // PolarDB 11 lets everybody set these two
    `CREATE PROCEDURE pg_catalog.polar_standin_user_setting(statement text) LANGUAGE plpgsql AS $$
    BEGIN
      IF ${polar11} THEN
        CALL polar_standin_as_superuser(statement);
      ELSE
        EXECUTE statement;
      END IF;
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_setting(statement text, role name, parameter name, value text)
      LANGUAGE plpgsql AS $$
    DECLARE
      user_setting boolean := ${polar11} AND parameter IN ('session_replication_role', 'temp_file_limit');
    BEGIN
      IF NOT polar_standin_is_polar(current_user) OR polar_standin_is_superuser(role) THEN
        EXECUTE statement;
      ELSIF ${polar11} AND parameter = 'session_preload_libraries' THEN
        RAISE 'invalid value for parameter "session_preload_libraries": "%"', value USING ERRCODE = '22023';
      ELSIF role IS NULL AND NOT user_setting
          AND EXISTS (SELECT FROM pg_settings WHERE name = parameter AND context = 'superuser') THEN
        RAISE 'permission denied to set parameter "%"', parameter USING ERRCODE = '42501';
      ELSIF role IS NULL OR user_setting THEN
        CALL polar_standin_as_superuser(statement);
      ELSE
        CALL polar_standin_manage(statement);
      END IF;
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_parameter_grant(statement text, parameter text)
      LANGUAGE plpgsql AS $$
    BEGIN
      IF ${polar11} THEN
        RAISE 'syntax error at or near "%"', parameter USING ERRCODE = '42601';
      END IF;
      EXECUTE statement;
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_extension(statement text, extension name) LANGUAGE plpgsql AS $$
    DECLARE
      polar boolean := polar_standin_is_polar(current_user);
      wants_superuser boolean := EXISTS (SELECT FROM pg_available_extension_versions v
        WHERE v.name = extension AND v.superuser);
      trusted boolean := ${major >= 13 ? 'EXISTS (SELECT FROM pg_available_extension_versions v WHERE v.name = extension AND v.trusted)' : 'false'};
    BEGIN
      IF polar_standin_is_superuser(current_user) THEN
        EXECUTE statement;
      ELSIF extension::text <> ALL (
          SELECT trim(both '"' from name) FROM regexp_split_to_table(current_setting('polar.supported_extensions'), '\\n') name) THEN
        RAISE 'invalid extension name: "%"', extension
          USING ERRCODE = '22023', DETAIL = 'Extension is not supported.';
      ELSIF ${polar11} AND NOT EXISTS (SELECT FROM pg_available_extensions v WHERE v.name = extension) THEN
        RAISE 'could not open extension control file "%.control": No such file or directory', extension
          USING ERRCODE = '58P01';
      ELSIF polar AND wants_superuser THEN
        CALL polar_standin_elevate(statement);
      ELSIF NOT ${polar11} AND wants_superuser AND NOT trusted THEN
        RAISE 'permission denied to create extension "%"', extension USING ERRCODE = '42501',
          HINT = 'Must be superuser or user with all of polar_superuser to create this extension.';
      ELSE
        EXECUTE statement;
      END IF;
    END $$`,

    // system triggers among them, which stock PostgreSQL leaves to superusers
    `CREATE PROCEDURE pg_catalog.polar_standin_triggers(statement text, relation text) LANGUAGE plpgsql AS $$
    BEGIN
      IF ${polar11} AND polar_standin_is_polar(current_user) AND EXISTS (SELECT FROM pg_class
           WHERE oid = to_regclass(relation) AND pg_has_role(current_user, relowner, 'USAGE')) THEN
        CALL polar_standin_as_superuser(statement);
      ELSE
        EXECUTE statement;
      END IF;
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_ignore_tablespace(statement text, plain text)
      LANGUAGE plpgsql AS $$
    BEGIN
      IF ${polar11} AND polar_standin_is_polar(current_user) THEN
        RAISE NOTICE 'User defined tablespace is not supported, The tablespace set by the user will be ignored'
          USING ERRCODE = '0A000';
        EXECUTE plain;
      ELSE
        EXECUTE statement;
      END IF;
    END $$`,

    `CREATE FUNCTION pg_catalog.polar_standin_tablespace(tablespace name) RETURNS text LANGUAGE sql AS
      'SELECT CASE WHEN ${polar11} AND pg_catalog.polar_standin_is_polar(current_user) THEN '''' END'`,

    `CREATE FUNCTION pg_catalog.polar_standin_database(statement text, database name, owner name, template name,
        locale_provider boolean, tablespace boolean) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
      IF ${polar11} AND locale_provider THEN
        RAISE 'option "locale_provider" not recognized' USING ERRCODE = '42601';
      END IF;
      IF NOT polar_standin_is_polar(current_user) OR polar_standin_is_superuser(owner)
          OR EXISTS (SELECT FROM pg_database WHERE datname = template AND NOT datistemplate
                      AND NOT pg_has_role(current_user, datdba, 'USAGE'))
          ${manners === 16 ? "OR NOT pg_has_role(current_user, COALESCE(owner, current_user), 'SET')" : ''} THEN
        RETURN NULL;
      END IF;
      IF tablespace THEN
        RAISE NOTICE 'User defined tablespace is not supported, The tablespace set by the user will be ignored'
          USING ERRCODE = '0A000';
      END IF;
      RETURN CASE WHEN owner IS NULL THEN format('%s OWNER %I', statement, current_user) ELSE statement END;
    END $$`,

    `CREATE FUNCTION pg_catalog.polar_standin_examine(OUT polar_enable_polar_superuser text) LANGUAGE plpgsql AS $$
    BEGIN
      IF NOT pg_has_role(current_user, 'pg_read_all_settings', 'MEMBER') THEN
        RAISE 'must be superuser or a member of pg_read_all_settings to examine "polar_enable_polar_superuser"'
          USING ERRCODE = '42501';
      END IF;
      polar_enable_polar_superuser := 'on';
    END $$`,
  ]
}

/** PolarDB 11's polar_create_table_with_full_replica_identity: an event trigger, in every new database. */
export const fullReplicaIdentity = [
  `CREATE FUNCTION pg_catalog.polar_standin_replica_identity() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
  DECLARE
    made record;
  BEGIN
    FOR made IN SELECT DISTINCT c.oid, c.relkind FROM pg_event_trigger_ddl_commands() d JOIN pg_class c ON c.oid = d.objid
                 WHERE d.classid = 'pg_class'::regclass AND d.command_tag ~ '^(CREATE|SELECT INTO)'
                   AND c.relkind IN ('r', 'p', 'm') AND c.relreplident = 'd' LOOP
      EXECUTE format('ALTER %s %s REPLICA IDENTITY FULL',
        CASE made.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, made.oid::regclass);
    END LOOP;
  END $$`,
  `CREATE EVENT TRIGGER polar_standin_replica_identity ON ddl_command_end
    WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE MATERIALIZED VIEW', 'CREATE SCHEMA', 'CREATE EXTENSION')
    EXECUTE PROCEDURE pg_catalog.polar_standin_replica_identity()`,
]

/**
 * The names on `polar_supported_extensions`. Of contrib, all that PolarDB 11 does not refuse (docs/polardb.md, "Extensions");
 * of others, some that a cloud's list would have.
 */
export const supportedExtensions = [
  'bloom btree_gin btree_gist citext cube dict_int earthdistance fuzzystrmatch hstore intagg intarray isn ltree',
  'pg_buffercache pg_prewarm pg_stat_statements pg_trgm pgcrypto pgrowlocks pgstattuple plperl plpgsql pltcl',
  'sslinfo tablefunc unaccent "uuid-ossp"',
  'hll hypopg pase pg_bigm pg_hint_plan pg_jieba pg_repack postgis roaringbitmap timescaledb vector zhparser',
].flatMap((line) => line.split(' '))
