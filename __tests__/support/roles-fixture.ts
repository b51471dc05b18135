import { quoteIdentifier as id, quoteLiteral as text } from '../../src/postgres/identifiers.ts'

/** A role whose name breaks out of the comment above its settings, where pg_dumpall prints it as it is. */
export const breakingName = 'x"\n--\n\nALTER ROLE app_ro SUPERUSER; --'

/** Names that a careless reader of role scripts trips over. */
export const hostileNames = [
  'SUPERUSER',
  'NOSUPERUSER',
  'my SUPERUSER role',
  'Mixed Case',
  'with"quote',
  'with""two"" quotes"',
  "with'apostrophe",
  'line\nbreak',
  'return\r\nfeed',
  'emoji 🐘 é 役割',
  'back\\slash',
  'semi;colon',
  '-- comment',
  '/* open',
  '$user',
  '$$dollar$$',
  'GRANTED BY x;',
  'WITH NOLOGIN',
  '::error::no command',
  'select',
  `${'ü'.repeat(31)}b`, // 63 bytes
  breakingName,
]

/** The password of every role of the fixture that has one. */
export const fixturePassword = (role: string) => `secret of ${role}`

/** Roles of the fixture that may log in with their password. */
export const fixtureLogins = [
  'app_login',
  'app_owner',
  'md5_user',
  'SUPERUSER',
  'line\nbreak',
  'emoji 🐘 é 役割',
]

/** Names that a PolarDB has superusers of. */
export const systemNames = ['aurora', 'polardb_admin', 'replicator']

/**
 * Makes the roles of a grown cluster, as a superuser: every attribute, every kind of password and setting, comments that
 * look like statements, hostile names, names that the target has already.
 *
 * @param database where a setting for one database is made
 * @returns statements for a server of that major, each to be run on its own
 */
export function fixtureStatements(major: number, database = 'postgres'): string[] {
  const create = (name: string, options: string) =>
    `CREATE ROLE ${id(name)} ${options.replaceAll('PW', `PASSWORD ${text(fixturePassword(name))}`)}`
  const set = (name: string, setting: string) => `ALTER ROLE ${id(name)} SET ${setting}`
  const grant = (role: string, member: string, options = '') =>
    `GRANT ${id(role)} TO ${id(member)} ${options}`
  const comment = (name: string, words: string) => `COMMENT ON ROLE ${id(name)} IS ${text(words)}`
  return [
    create('super1', 'SUPERUSER LOGIN PW'),
    create('dba_full', 'SUPERUSER CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS PW'),
    create('polar_superuser', 'LOGIN'),
    create('aurora', 'SUPERUSER LOGIN PW'),
    create('polardb_admin', 'LOGIN PW'),
    create('replicator', 'REPLICATION LOGIN PW'),
    create('alicloud_rds_admin', 'NOLOGIN CREATEROLE'),
    create('gctest', 'LOGIN CREATEDB PW'),
    create('repl', 'REPLICATION LOGIN PW'),
    create('rls_bypass', 'BYPASSRLS LOGIN PW'),
    create('repl_rls', 'REPLICATION BYPASSRLS LOGIN CONNECTION LIMIT 3 PW'),
    create('app_owner', 'LOGIN PW'),
    create('app_rw', ''),
    create('app_ro', ''),
    create('app_login', 'LOGIN CONNECTION LIMIT 5 PW'),
    create('no_inherit', 'NOINHERIT LOGIN'),
    create('creator', 'CREATEROLE LOGIN PW'),
    create('db_maker', 'CREATEDB NOLOGIN'),
    create('expired', "LOGIN PW VALID UNTIL '2020-02-29 12:00:00+02'"),
    create('future', "LOGIN PW VALID UNTIL '2999-12-31 23:59:59.5+00'"),
    create('for_ever', "LOGIN VALID UNTIL 'infinity'"),
    create('no_password', 'LOGIN'),
    create('locked', 'LOGIN CONNECTION LIMIT 0 PW'),
    create('monitor', 'LOGIN'),
    create('guc_role', 'LOGIN'),
    "SET password_encryption = 'md5'",
    create('md5_user', 'LOGIN PW'),
    'RESET password_encryption',
    ...hostileNames.map((name) =>
      create(name, name === 'my SUPERUSER role' ? 'SUPERUSER LOGIN PW' : 'LOGIN PW'),
    ),

    comment(
      'app_rw',
      'reads and writes; is no SUPERUSER, GRANTED BY x;\nALTER ROLE a WITH NOLOGIN;',
    ),
    comment('super1', "the SUPERUSER's own \\ comment"),
    comment('repl', 'replicates'),
    comment('emoji 🐘 é 役割', '🐘'),
    comment('SUPERUSER', 'not one'),

    set('app_login', "application_name = 'a SUPERUSER; GRANTED BY x;'"),
    set('app_login', "search_path = '$user', 'my schema', public"),
    set('app_login', "work_mem = '64MB'"),
    set('app_owner', "DateStyle = 'ISO, DMY'"),
    set('app_owner', "TimeZone = 'Europe/Berlin'"),
    set('app_owner', "statement_timeout = '5min'"),
    set('no_inherit', "role = 'app_rw'"),
    set('guc_role', "log_statement = 'all'"),
    set('guc_role', 'log_min_duration_statement = 250'),
    set('guc_role', "myapp.flag = 'on \\ off'"),
    set('guc_role', "local_preload_libraries = 'no_such_library'"),
    set('guc_role', "session_preload_libraries = 'auto_explain'"),
    set('line\nbreak', "search_path = 'a\"b'"),
    set(breakingName, "work_mem = '8MB'"),
    set('polardb_admin', "work_mem = '7MB'"),
    `ALTER ROLE ALL SET idle_in_transaction_session_timeout = '1h'`,
    `ALTER ROLE app_login IN DATABASE ${id(database)} SET search_path = 'in database', public`,

    grant('app_ro', 'app_rw'),
    grant('app_rw', 'app_login', 'WITH ADMIN OPTION'),
    grant('app_rw', 'app_owner'),
    grant('app_rw', 'no_inherit'),
    grant('app_ro', 'SUPERUSER'),
    grant('SUPERUSER', 'my SUPERUSER role'),
    grant('app_ro', 'line\nbreak'),
    grant('line\nbreak', 'emoji 🐘 é 役割'),
    grant('with"quote', "with'apostrophe"),
    grant('app_rw', 'gctest'),
    grant('app_ro', 'postgres'),
    grant('creator', 'db_maker', 'WITH ADMIN OPTION'),
    grant('super1', 'app_owner'),
    grant('pg_monitor', 'monitor'),
    grant('pg_read_all_stats', 'app_owner'),
    grant('pg_signal_backend', 'monitor'),
    ...(major >= 11 ? [grant('pg_read_server_files', 'monitor')] : []),
    ...(major >= 14 ? [grant('pg_read_all_data', 'app_ro')] : []),
    ...(major >= 15 ? ['GRANT SET ON PARAMETER log_min_duration_statement TO app_rw'] : []),
    ...(major >= 16
      ? [
          grant('app_ro', 'guc_role', 'WITH INHERIT FALSE'),
          grant('app_ro', 'future', 'WITH SET FALSE'),
          grant('app_rw', 'for_ever', 'WITH INHERIT FALSE, SET FALSE'),
          // the same membership by two grantors
          `GRANT app_rw TO monitor WITH INHERIT FALSE`,
          `GRANT app_rw TO monitor WITH INHERIT TRUE GRANTED BY app_login`,
        ]
      : []),
  ]
}
