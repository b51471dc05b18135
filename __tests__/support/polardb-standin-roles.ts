import type { Major } from './server.ts'

/** Whose rules the stand-in follows where they differ: the observed PolarDB 11's, or those of PolarDB 16. */
export type Manners = 11 | 16

/** The procedures for roles: who is a polar_superuser, what comes with it, and the statements that make and change roles. */
export function roleProcedures(major: Major, manners: Manners): string[] {
  const modern = major >= 16
  const polar11 = String(manners === 11)
  // plans are kept from when the server had few roles
  const indexed = 'SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off'
  const columns = `roleid, member, grantor, admin_option${modern ? ', oid, inherit_option, set_option' : ''}`
  const oid = "pg_nextoid('pg_auth_members', 'oid', 'pg_auth_members_oid_index')"
  // what PostgreSQL 16 gives to whoever creates a role and is no superuser
  const creatorGrant = `
        IF NOT altered THEN
          CALL polar_standin_as_superuser(
            format('GRANT %I TO %I WITH ADMIN TRUE, INHERIT FALSE, SET FALSE', role, account));
        END IF;`
  return [
    `CREATE FUNCTION pg_catalog.polar_standin_is_superuser(account name) RETURNS boolean LANGUAGE plpgsql ${indexed} AS $$
    BEGIN
      RETURN EXISTS (SELECT FROM pg_roles WHERE rolname = account AND rolsuper);
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_as_superuser(statement text) LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
      EXECUTE statement;
    END $$`,

    // A polar_superuser counts as a member of every role that is neither a superuser nor predefined, without a row in
    // pg_auth_members. A stock server needs the row: those of the stand-in have nobody as the grantor, and the front
    // shows this view in the place of the table.
    `CREATE VIEW pg_catalog.polar_standin_auth_members AS
      SELECT * FROM pg_catalog.pg_auth_members WHERE grantor <> 0`,
    'GRANT SELECT ON pg_catalog.polar_standin_auth_members TO PUBLIC',

    // A member of a polar_superuser is one, whoever it is, even NOINHERIT. Not by pg_has_role(): after each change of a
    // role that counts all the rows below anew.
    `CREATE FUNCTION pg_catalog.polar_standin_polars() RETURNS SETOF oid
      LANGUAGE plpgsql SECURITY DEFINER ROWS 3 ${indexed} AS $$
    DECLARE
      found oid[];
      more oid[] := ARRAY(SELECT oid FROM pg_authid WHERE rolname = 'pg_polar_superuser');
    BEGIN
      WHILE more <> '{}' LOOP
        found := found || more;
        more := ARRAY(SELECT member FROM pg_auth_members
          WHERE roleid = ANY (more) AND grantor <> 0 AND member <> ALL (found));
      END LOOP;
      RETURN QUERY SELECT oid FROM pg_authid
        WHERE oid = ANY (found) AND NOT rolsuper AND rolname <> 'pg_polar_superuser';
    END $$`,

    `CREATE FUNCTION pg_catalog.polar_standin_is_polar(account name) RETURNS boolean LANGUAGE plpgsql ${indexed} AS $$
    BEGIN
      RETURN EXISTS (SELECT FROM polar_standin_polars() p JOIN pg_roles r ON r.oid = p WHERE r.rolname = account);
    END $$`,

    // gives the polar_superusers their rows for these roles
    `CREATE PROCEDURE pg_catalog.polar_standin_mark(roles name[])
      LANGUAGE plpgsql SECURITY DEFINER ${indexed} AS $$
    DECLARE
      polars oid[] := ARRAY(SELECT polar_standin_polars() ORDER BY 1);
      role oid;
      polar oid;
    BEGIN
      IF NOT ${polar11} THEN
        RETURN;
      END IF;
      FOR role IN SELECT oid FROM pg_authid WHERE rolname = ANY (roles) AND NOT rolsuper AND (rolname !~ '^pg_'
          OR rolname IN ('pg_read_all_stats', 'pg_stat_scan_tables', 'pg_signal_backend')) ORDER BY 1 LOOP
        FOREACH polar IN ARRAY polars LOOP
          IF role <> polar AND NOT EXISTS (SELECT FROM pg_auth_members WHERE roleid = role AND member = polar) THEN
            BEGIN
              INSERT INTO pg_auth_members (${columns})
                VALUES (role, polar, 0, false${modern ? `, ${oid}, true, true` : ''});
            EXCEPTION WHEN unique_violation THEN
              NULL; -- another session has just done it
            END;
          END IF;
        END LOOP;
      END LOOP;
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_mark_all() LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
      roles name[] := ARRAY(SELECT rolname FROM pg_authid);
    BEGIN
      CALL polar_standin_mark(roles);
    END $$`,

    // after changes of who is a polar_superuser or a superuser
    `CREATE PROCEDURE pg_catalog.polar_standin_remark() LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
      DELETE FROM pg_auth_members WHERE grantor = 0 AND (member NOT IN (SELECT polar_standin_polars())
        OR roleid IN (SELECT oid FROM pg_authid WHERE rolsuper));
      CALL polar_standin_mark_all();
    END $$`,

    // At the beginning of a session, for roles that were made past the front. Another session may be at it: then it is done.
    `CREATE PROCEDURE pg_catalog.polar_standin_begin() LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '1s' AS $$
    BEGIN
      IF polar_standin_is_polar(session_user) THEN
        CALL polar_standin_mark_all();
      END IF;
    EXCEPTION WHEN lock_not_available OR read_only_sql_transaction THEN
      NULL;
    END $$`,

    // Makes way for a GRANT or REVOKE of roles: it shall find no row of the stand-in's, neither for what it changes nor on
    // its search for circles. True if it may change who is a polar_superuser.
    `CREATE FUNCTION pg_catalog.polar_standin_unmark(roles name[], members name[]) RETURNS boolean
      LANGUAGE plpgsql SECURITY DEFINER ${indexed} AS $$
    DECLARE
      polar boolean := 'pg_polar_superuser' = ANY (roles)
        OR EXISTS (SELECT FROM polar_standin_polars() p JOIN pg_authid r ON r.oid = p WHERE r.rolname = ANY (roles));
    BEGIN
      IF polar THEN
        DELETE FROM pg_auth_members WHERE grantor = 0;
      ELSE
        DELETE FROM pg_auth_members WHERE grantor = 0
           AND roleid = ANY (ARRAY(SELECT oid FROM pg_authid WHERE rolname = ANY (roles)))
           AND member = ANY (ARRAY(SELECT oid FROM pg_authid WHERE rolname = ANY (members)));
      END IF;
      RETURN polar;
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_members(statement text, roles name[], members name[])
      LANGUAGE plpgsql AS $$
    DECLARE
      polar boolean := polar_standin_unmark(roles, members);
    BEGIN
      CALL polar_standin_manage(statement);
      IF polar THEN
        CALL polar_standin_remark();
      ELSE
        CALL polar_standin_mark(roles);
      END IF;
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_create_role(statement text, role name) LANGUAGE plpgsql AS $$
    BEGIN
      CALL polar_standin_manage(statement);
      CALL polar_standin_mark(ARRAY[role]);
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_drop_role(statement text, roles name[]) LANGUAGE plpgsql AS $$
    DECLARE
      polar boolean := EXISTS (SELECT FROM unnest(roles) role WHERE polar_standin_is_polar(role));
    BEGIN
      CALL polar_standin_manage(statement);
      IF polar THEN
        CALL polar_standin_remark();
      END IF;
    END $$`,

    // a row of pg_authid that only this transaction ever sees: it is put back before it can commit
    `CREATE FUNCTION pg_catalog.polar_standin_lend_attributes(account name, superuser boolean) RETURNS pg_authid
      LANGUAGE plpgsql SECURITY DEFINER ${indexed} AS $$
    DECLARE
      role pg_authid;
    BEGIN
      SELECT * INTO role FROM pg_authid WHERE rolname = account;
      IF (role.rolcreaterole AND role.rolcreatedb AND NOT superuser) OR NOT polar_standin_is_polar(account) THEN
        RETURN NULL;
      END IF;
      UPDATE pg_authid SET rolcreaterole = true, rolcreatedb = true, rolsuper = superuser WHERE rolname = account;
      RETURN role;
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_return_attributes(role pg_authid)
      LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
      IF role.rolname IS NOT NULL THEN
        UPDATE pg_authid
           SET rolcreaterole = role.rolcreaterole, rolcreatedb = role.rolcreatedb, rolsuper = role.rolsuper
         WHERE rolname = role.rolname;
      END IF;
    END $$`,

    // CREATEROLE and CREATEDB, which a polar_superuser has without the attributes
    `CREATE PROCEDURE pg_catalog.polar_standin_manage(statement text, superuser boolean DEFAULT false)
      LANGUAGE plpgsql AS $$
    DECLARE
      attributes pg_authid;
    BEGIN
      attributes := polar_standin_lend_attributes(current_user, superuser);
      EXECUTE statement;
      CALL polar_standin_return_attributes(attributes);
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_grant(statement text, roles name[], members name[], unknown text)
      LANGUAGE plpgsql AS $$
    DECLARE
      role name;
    BEGIN
      IF ${polar11} AND unknown IS NOT NULL THEN
        RAISE 'syntax error at or near "%"', unknown USING ERRCODE = '42601';
      END IF;
      IF ${polar11} AND NOT polar_standin_is_superuser(current_user) THEN
        FOREACH role IN ARRAY roles LOOP
          IF role ~ '^pg_' AND role NOT IN ('pg_polar_superuser', 'pg_read_all_stats', 'pg_stat_scan_tables',
               'pg_signal_backend') AND EXISTS (SELECT FROM pg_roles WHERE rolname = role)
               AND NOT pg_has_role(current_user, role, 'MEMBER WITH ADMIN OPTION') THEN
            RAISE 'must have admin option on role "%"', role USING ERRCODE = '42501';
          END IF;
        END LOOP;
      END IF;
      CALL polar_standin_members(statement, roles, members);
    END $$`,

    `CREATE PROCEDURE pg_catalog.polar_standin_membership(role name, wanted boolean, altered boolean, by name)
      LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
      member boolean := EXISTS (SELECT FROM pg_auth_members m, pg_authid g, pg_authid r
        WHERE m.roleid = g.oid AND g.rolname = 'pg_polar_superuser' AND m.member = r.oid AND r.rolname = role);
    BEGIN
      IF wanted AND member THEN
        RAISE NOTICE 'role "%" is already a member of role "pg_polar_superuser"', role;
      ELSIF wanted THEN
        EXECUTE format('GRANT pg_polar_superuser TO %I ${modern ? '' : 'GRANTED BY %I'}', role, by);
      ELSIF altered AND NOT member THEN
        RAISE WARNING 'role "%" is not a member of role "pg_polar_superuser"', role;
      ELSIF altered THEN
        DELETE FROM pg_auth_members m USING pg_authid g, pg_authid r
         WHERE m.roleid = g.oid AND g.rolname = 'pg_polar_superuser' AND m.member = r.oid AND r.rolname = role;
      END IF;
      IF wanted THEN
        EXECUTE format('COMMENT ON ROLE %I IS ''polar_superuser''', role);
      ELSIF altered THEN
        EXECUTE format('COMMENT ON ROLE %I IS NULL', role);
      END IF;
    END $$`,

    // The checks in the order of PolarDB's user.c: once one of the four words is there, those below it are not reached.
    `CREATE PROCEDURE pg_catalog.polar_standin_role(verb text, role name, options name[], groups name[],
        statement text, plain text) LANGUAGE plpgsql AS $$
    DECLARE
      account name := current_user;
      superuser boolean := polar_standin_is_superuser(account);
      polar boolean := polar_standin_is_polar(account);
      altered boolean := verb = 'alter';
      target pg_roles;
      manage boolean := false;
      was_polar boolean := altered AND polar_standin_is_polar(role);
      wants_superuser boolean := CASE WHEN 'superuser' = ANY (options) THEN true
                                      WHEN 'nosuperuser' = ANY (options) THEN false END;
      wants_polar boolean := CASE WHEN 'polar_superuser' = ANY (options) THEN true
                                  WHEN 'nopolar_superuser' = ANY (options) THEN false END;
      replication boolean := 'replication' = ANY (options) OR (altered AND 'noreplication' = ANY (options));
      bypassrls boolean := 'bypassrls' = ANY (options) OR (altered AND 'nobypassrls' = ANY (options));
    BEGIN
      IF (SELECT count(*) FROM unnest(options) word
           WHERE word IN ('superuser', 'nosuperuser', 'polar_superuser', 'nopolar_superuser')) > 1 THEN
        RAISE 'conflicting or redundant options' USING ERRCODE = '42601';
      END IF;
      IF 'pg_polar_superuser' = ANY (groups) THEN
        RAISE 'pg_polar_superuser role could not be used in statement.' USING ERRCODE = '42939';
      END IF;
      IF altered THEN
        SELECT * INTO target FROM pg_roles WHERE rolname = role;
        replication := replication OR COALESCE(target.rolreplication, false);
        bypassrls := bypassrls OR COALESCE(target.rolbypassrls, false);
      END IF;
      IF superuser THEN
        NULL;
      ELSIF target.rolsuper AND wants_polar IS FALSE AND polar THEN
        RAISE 'can not alter superuser to nopolar_superusers' USING ERRCODE = '42501';
      ELSIF altered AND (target.rolsuper OR wants_superuser IS NOT NULL) THEN
        IF target.rolsuper OR NOT polar THEN
          RAISE 'must be superuser to alter superusers' USING ERRCODE = '42501';
        END IF;
        RAISE WARNING 'role is altered to polar_superusers instead of superuser' USING ERRCODE = '42501';
        wants_polar := wants_superuser;
      ELSIF wants_superuser THEN
        IF NOT polar THEN
          RAISE 'must be superuser to create superusers' USING ERRCODE = '42501';
        END IF;
        RAISE WARNING 'a polar_superusers is created instead of superuser' USING ERRCODE = '42501';
        wants_polar := true;
      ELSIF wants_polar OR (altered AND wants_polar IS NOT NULL) THEN
        IF NOT polar THEN
          RAISE 'must be superuser or polar_superuser to % polar_superusers', verb USING ERRCODE = '42501';
        END IF;
      ELSIF replication AND ${polar11} THEN
        RAISE 'must be superuser to % replication users', verb USING ERRCODE = '42501';
      ELSIF bypassrls AND ${polar11} THEN
        RAISE 'must be superuser to change bypassrls attribute' USING ERRCODE = '42501';
      ELSE
        manage := true;
      END IF;
      IF polar AND NOT superuser AND EXISTS (SELECT FROM pg_roles WHERE rolsuper AND rolname = ANY (groups)) THEN
        RAISE 'must be superuser to alter superusers' USING ERRCODE = '42501';
      END IF;
      IF manage THEN
        CALL polar_standin_manage(plain);
      ELSIF polar THEN
        CALL polar_standin_as_superuser(plain);${modern ? creatorGrant : ''}
      ELSE
        EXECUTE statement;
      END IF;
      IF wants_polar IS NOT NULL AND (superuser OR polar) THEN
        CALL polar_standin_membership(role, wants_polar, altered, account);
      END IF;
      IF wants_polar OR was_polar OR groups <> '{}' OR (superuser AND wants_superuser IS NOT NULL) THEN
        CALL polar_standin_remark();
      ELSIF NOT altered THEN
        CALL polar_standin_mark(ARRAY[role]);
      END IF;
    END $$`,
  ]
}
