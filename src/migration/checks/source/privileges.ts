import { counted } from '../../../text/numbers.ts'
import type { Answer, Check } from '../check.ts'
import type { Known } from '../known.ts'
import { objectsOf, pastedName, statementsFor } from '../paste.ts'
import type { Question } from '../question.ts'

/** A relation that pg_dump or the comparison reads, and what keeps the account from it. */
interface Unreadable {
  schema: string
  name: string
  /** `pg_class.relkind` */
  kind: string
  /** Row-level security would hide rows. */
  hidden: boolean
  /** USAGE on the schema is missing. */
  closed: boolean
  /** SELECT is missing. */
  denied: boolean
}

/**
 * What pg_dump will refuse to read: it locks every table first (pg_dump, "Notes"), and reads sequences and the configuration tables
 * of extensions; the comparison reads materialized views, too.
 */
const unreadable: Question<Unreadable> = {
  id: 'source-unreadable',
  scope: 'database',
  sql: ({ number }) => {
    // row-level security came with 9.5; who owns a table and is not forced, or may bypass it, sees every row
    const hidden =
      number >= 90_500 ? `c.relkind = 'r' AND pg_catalog.row_security_active(c.oid)` : 'false'
    const configuration =
      number >= 90_100
        ? `AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_extension e
                            WHERE e.oid = d.refobjid AND c.oid = ANY (e.extconfig))`
        : ''
    return `
      SELECT * FROM (
        SELECT n.nspname AS schema, c.relname AS name, c.relkind::pg_catalog.text AS kind, ${hidden} AS hidden,
               NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS closed,
               NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') AS denied
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'S', 'm') AND c.oid >= 16384
           AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
           AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
                              ${configuration})) t
       WHERE t.hidden OR t.closed OR t.denied ORDER BY 1, 2`
  },
}

/** Large objects that the account may not read: no predefined role covers them before version 19. */
const unreadableObjects: Question<{ oid: string }> = {
  id: 'source-unreadable-large-objects',
  scope: 'database',
  sql: ({ number, superuser }) => {
    if (superuser || number < 90_000) return undefined
    const denied =
      number >= 180_000
        ? `NOT pg_catalog.has_largeobject_privilege(m.oid, 'SELECT')`
        : `pg_catalog.current_setting('lo_compat_privileges') = 'off' AND NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE')
           AND NOT EXISTS (SELECT 1 FROM pg_catalog.aclexplode(m.lomacl) a
                            WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))`
    return `SELECT m.oid::pg_catalog.text AS oid FROM pg_catalog.pg_largeobject_metadata m WHERE ${denied} ORDER BY m.oid LIMIT ${mostObjects + 1}`
  },
}

/** Large objects that are granted one by one; where there are more, a block of code does it. */
const mostObjects = 100
/** Relations of a schema that are granted one by one. */
const mostRelations = 50

interface Grant {
  database: string
  statement: string
}

const listed = (names: readonly string[]) => names.join(', ')

/** The grants that are missing in each database, the fewest statements that give no more than they name. */
function grants(
  rows: readonly (Unreadable & { database: string })[],
  objects: readonly { database: string; oid: string }[],
  account: string,
  number: number,
): Grant[] {
  const to = `TO ${pastedName(account)};`
  const databases = new Set([...rows, ...objects].map(({ database }) => database))
  return [...databases].flatMap((database) => {
    const here = rows.filter((row) => row.database === database)
    const statements: string[] = []
    const closed = [...new Set(here.filter(({ closed }) => closed).map(({ schema }) => schema))]
    if (closed.length > 0)
      statements.push(
        `GRANT USAGE ON SCHEMA ${listed(closed.map((name) => pastedName(name)))} ${to}`,
      )
    for (const [word, isKind] of [
      ['TABLE', (kind: string) => kind !== 'S'],
      ['SEQUENCE', (kind: string) => kind === 'S'],
    ] as const) {
      const denied = here.filter(({ denied, kind }) => denied && isKind(kind))
      for (const [schema, relations] of Map.groupBy(denied, ({ schema }) => schema)) {
        const names = relations.map(({ name }) => pastedName(schema, name))
        const isMany = names.length > mostRelations && number >= 90_000
        statements.push(
          `GRANT SELECT ON ${isMany ? `ALL ${word}S IN SCHEMA ${pastedName(schema)}` : `${word} ${listed(names)}`} ${to}`,
        )
      }
    }
    const large = objects.filter((row) => row.database === database).map(({ oid }) => oid)
    if (large.length > mostObjects)
      statements.push(
        `DO $$ DECLARE o oid; BEGIN FOR o IN SELECT oid FROM pg_catalog.pg_largeobject_metadata LOOP EXECUTE 'GRANT SELECT ON LARGE OBJECT ' || o || ' ${to.slice(0, -1).replaceAll("'", "''")}'; END LOOP; END $$;`,
      )
    else if (large.length > 0)
      statements.push(`GRANT SELECT ON LARGE OBJECT ${listed(large)} ${to}`)
    return statements.map((statement) => ({ database, statement }))
  })
}

/** With options of the user's own, pg_dump may leave out what cannot be read. */
const severityOf = ({ inputs }: Known) => (inputs.dumpOptions.length > 0 ? 'warning' : 'blocker')

const nameOf = ({ schema, name }: Unreadable) => pastedName(schema, name)

function judgePrivileges(known: Known): Answer {
  const { source, inputs } = known
  const all = source.rows(unreadable)
  const rows = all.filter(
    ({ closed, denied, kind }) => (closed || denied) && (kind !== 'm' || inputs.verify !== 'none'),
  )
  const large = source.rows(unreadableObjects)
  if (rows.length === 0 && large.length === 0)
    return { status: 'passed', message: 'the account may read everything that is dumped' }
  const { user } = source.connection
  const what = [
    ...(rows.length > 0 ? [counted(rows.length, 'table or sequence', 'tables or sequences')] : []),
    ...(large.length > 0
      ? [
          large.length > mostObjects
            ? `more than ${mostObjects} large objects`
            : counted(large.length, 'large object'),
        ]
      : []),
  ].join(' and ')
  return {
    status: 'failed',
    severity: severityOf(known),
    message: `"${user}" may not read ${what}`,
    objects: [
      ...objectsOf(rows, nameOf),
      ...objectsOf(large.slice(0, mostObjects), ({ oid }) => `large object ${oid}`),
    ],
    remedy: `Run this as the owner of the objects or a superuser${source.version.major >= 14 && large.length === 0 ? ' (membership in pg_read_all_data does the same for all databases at once)' : ''}`,
    paste: statementsFor(
      grants(rows, large, user, source.version.number),
      ({ statement }) => statement,
    ),
  }
}

function judgeRowSecurity(known: Known): Answer {
  const { source } = known
  const rows = source.rows(unreadable).filter(({ hidden }) => hidden)
  if (rows.length === 0)
    return { status: 'passed', message: 'row-level security hides no rows from the account' }
  const { user } = source.connection
  return {
    status: 'failed',
    severity: severityOf(known),
    message: `Row-level security would hide rows of ${counted(rows.length, 'table')} from "${user}"`,
    objects: objectsOf(rows, nameOf),
    remedy:
      'Let the account see all rows, as a superuser, or dump as the owner of these tables where they are without FORCE ROW LEVEL SECURITY',
    paste: `ALTER ROLE ${pastedName(user)} BYPASSRLS;`,
  }
}

/** Whether pg_dump may look whether there are subscriptions: on some clusters the whole catalog is closed. */
const subscriptions: Question<{ may: boolean }> = {
  id: 'source-subscriptions-readable',
  scope: 'database',
  sql: ({ number }) =>
    number >= 100_000
      ? `SELECT pg_catalog.has_any_column_privilege('pg_catalog.pg_subscription', 'SELECT') AS may`
      : undefined,
}

function judgeSubscriptions({ source, inputs }: Known): Answer {
  const isClosed = source.rows(subscriptions).some(({ may }) => !may)
  if (!isClosed || inputs.dumpOptions.includes('--no-subscriptions'))
    return { status: 'passed', message: 'pg_dump may look for subscriptions, or is not to' }
  return {
    status: 'failed',
    message: `"${source.connection.user}" may not read pg_subscription, and pg_dump ends there ("permission denied for table pg_subscription")`,
    remedy: 'Let pg_dump leave subscriptions out: subscribe anew after the migration',
    paste: 'dump-options: --no-subscriptions',
  }
}

/** Whether the hashes of passwords can be read. */
const passwords: Question<{ may: boolean }> = {
  id: 'source-passwords-readable',
  scope: 'server',
  sql: () => `SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS may`,
}

function judgePasswords({ source, inputs }: Known): Answer {
  if (inputs.roles === 'skip' || !inputs.rolePasswords)
    return { status: 'passed', message: 'no passwords of roles are migrated' }
  if (source.row(passwords).may)
    return { status: 'passed', message: 'the passwords of the roles can be dumped' }
  return {
    status: 'failed',
    message: `"${source.connection.user}" may not read pg_authid, which holds the hashes of the roles' passwords`,
    remedy:
      'Dump as a superuser of the source, or leave passwords out and give the roles new ones on the target',
    paste: 'role-passwords: false',
  }
}

export const privileges: Check = {
  id: 'source-privileges',
  severity: 'blocker',
  why: 'pg_dump locks and reads every table, sequence and large object, and ends at the first that it may not read',
  needs: ['source'],
  questions: { source: [unreadable, unreadableObjects] },
  judge: judgePrivileges,
}

export const rowSecurity: Check = {
  id: 'source-row-security',
  severity: 'blocker',
  why: 'pg_dump refuses a table of which a policy would hide rows from it',
  needs: ['source'],
  questions: { source: [unreadable] },
  judge: judgeRowSecurity,
}

export const subscriptionsReadable: Check = {
  id: 'source-subscriptions',
  severity: 'blocker',
  why: 'some managed servers let nobody look into pg_subscription, which pg_dump does',
  needs: ['source'],
  questions: { source: [subscriptions] },
  judge: judgeSubscriptions,
}

export const passwordsReadable: Check = {
  id: 'source-role-passwords',
  severity: 'blocker',
  why: 'pg_dumpall reads the hashes of passwords, which managed servers show to nobody',
  needs: ['source'],
  questions: { source: [passwords] },
  judge: judgePasswords,
}

export const sourcePrivilegeChecks: readonly Check[] = [
  privileges,
  rowSecurity,
  subscriptionsReadable,
  passwordsReadable,
]
