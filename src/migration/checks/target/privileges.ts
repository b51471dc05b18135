import { counted, firstTen } from '../../../text/numbers.ts'
import type { Answer, Check } from '../check.ts'
import type { Known } from '../known.ts'
import { pastedName } from '../paste.ts'
import type { Question } from '../question.ts'
import { existingDatabase } from './content.ts'

interface DatabaseRights {
  name: string
  connect: boolean
  create: boolean
  /** The account has the rights of its owner, or can take them. */
  owner: boolean
}

export const databaseRights: Question<DatabaseRights> = {
  id: 'target-database-rights',
  scope: 'server',
  sql: () => `
    SELECT datname AS name, datallowconn AND pg_catalog.has_database_privilege(oid, 'CONNECT') AS connect,
           pg_catalog.has_database_privilege(oid, 'CREATE') AS create,
           pg_catalog.pg_has_role(datdba, 'MEMBER')
             OR EXISTS (SELECT 1 FROM pg_catalog.pg_roles o, pg_catalog.pg_roles a
                         WHERE o.oid = datdba AND NOT o.rolsuper AND a.rolname = session_user AND a.rolcreaterole) AS owner
      FROM pg_catalog.pg_database ORDER BY 1`,
}

/** The schema of every database that a dump does not create anew; where somebody dropped it, there is no row. */
export const publicRights: Question<{ create: boolean }> = {
  id: 'target-public-rights',
  scope: 'database',
  sql: () =>
    `SELECT pg_catalog.has_schema_privilege(oid, 'CREATE') AS create FROM pg_catalog.pg_namespace WHERE nspname = 'public'`,
}

export const publicObjects: Question<{ some: boolean }> = {
  id: 'source-public-objects',
  scope: 'database',
  sql: () => `
    SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname = 'public' AND c.oid >= 16384)
        OR EXISTS (SELECT 1 FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                    WHERE n.nspname = 'public' AND p.oid >= 16384)
        OR EXISTS (SELECT 1 FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
                    WHERE n.nspname = 'public' AND t.oid >= 16384) AS some`,
}

const roleNames = (side: string): Question<{ name: string }> => ({
  id: `${side}-role-names`,
  scope: 'server',
  sql: () => `SELECT rolname AS name FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1`,
})
export const sourceRoles = roleNames('source')
export const targetRoles = roleNames('target')

/** Whether the account has what roles have that it is a member of; from 16 on each membership says that for itself. */
export const accountInherits: Question<{ inherits: boolean }> = {
  id: 'target-account-inherits',
  scope: 'server',
  sql: () => `
    SELECT rolinherit OR pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 160000 AS inherits
      FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) session_user`,
}

/** A right that the account lacks: by its name, with what it is for, and the statement that gives it. */
interface Missing {
  name: string
  purpose: string
  statement: string
}

/** What the account lacks on the target, all at once. */
function missing(known: Known): Missing[] {
  const { source, target, inputs } = known
  const { account } = target
  const to = pastedName(account.name)
  const found: Missing[] = []
  if (account.superuser) return found
  const rights = new Map(target.rows(databaseRights).map((row) => [row.name, row]))
  const { ifTargetNotEmpty, createDatabase } = inputs
  const anew = ifTargetNotEmpty === 'swap' || ifTargetNotEmpty === 'replace'
  // replace leaves an empty database alone, and empties in place what the account may not drop
  const replaced = ifTargetNotEmpty === 'replace' && !account.createDatabase
  const empty = new Set(
    (replaced ? target.rows(existingDatabase) : []).flatMap(({ database, objects }) =>
      objects.length === 0 ? [database] : [],
    ),
  )
  const stays = (name: string) =>
    replaced && rights.has(name) && (empty.has(name) || !rights.get(name)?.owner)
  const created = source.databases.filter(
    ({ target: name }) => !rights.has(name) || (anew && !stays(name)),
  )
  const attributes: string[] = []
  if (!account.createDatabase && (createDatabase || anew) && created.length > 0) {
    attributes.push('CREATEDB')
    found.push({
      name: 'CREATEDB',
      purpose: `to create ${firstTen(created.map(({ target: name }) => pastedName(name)))}`,
      statement: '',
    })
  }
  if (!account.createRole && inputs.roles !== 'skip') {
    const there = new Set(target.rows(targetRoles).map(({ name }) => name))
    const wanted = source.rows(sourceRoles).filter(({ name }) => !there.has(name))
    if (wanted.length > 0) {
      attributes.push('CREATEROLE')
      found.push({
        name: 'CREATEROLE',
        purpose: `to create ${counted(wanted.length, 'role')} (${firstTen(wanted.map(({ name }) => pastedName(name)))})`,
        statement: '',
      })
    }
  }
  // a member that does not inherit cannot drop what it has given away
  if (inputs.command === 'rehearse' && !target.row(accountInherits).inherits) {
    attributes.push('INHERIT')
    found.push({
      name: 'INHERIT',
      purpose: 'to remove at the end what the rehearsal gives to its owners',
      statement: '',
    })
  }
  if (attributes.length > 0 && found[0])
    found[0].statement = `ALTER ROLE ${to} ${attributes.join(' ')};`
  const publics = target.rows(publicRights)
  const uses = new Set(
    source.rows(publicObjects).flatMap(({ database, some }) => (some ? [database] : [])),
  )
  for (const { source: from, target: name } of source.databases) {
    const right = rights.get(name)
    if (!right || anew) continue
    const database = pastedName(name)
    if (!right.connect) {
      found.push({
        name: `CONNECT on the database ${database}`,
        purpose: 'to restore into it',
        statement: `GRANT CONNECT ON DATABASE ${database} TO ${to};`,
      })
    }
    if (!right.create) {
      found.push({
        name: `CREATE on the database ${database}`,
        purpose: 'to create schemas and extensions in it',
        statement: `GRANT CREATE ON DATABASE ${database} TO ${to};`,
      })
    }
    if (uses.has(from) && publics.some(({ database, create }) => database === name && !create)) {
      found.push({
        name: `CREATE on the schema public of ${database}`,
        purpose: 'for what the source has in it',
        statement: `GRANT CREATE ON SCHEMA public TO ${to}; -- in the database ${database}`,
      })
    }
  }
  return found
}

/** Without a source it is not known what is to be created. */
function judgeAlone({ account }: Known['target']): Answer {
  const lacks = [
    ...(account.superuser || account.createDatabase ? [] : ['CREATEDB']),
    ...(account.superuser || account.createRole ? [] : ['CREATEROLE']),
  ]
  if (lacks.length === 0)
    return { status: 'passed', message: `"${account.name}" may create roles and databases` }
  return {
    status: 'failed',
    severity: 'warning',
    message: `"${account.name}" lacks ${lacks.join(' and ')}, which a migration mostly takes`,
    objects: lacks,
    remedy: 'Run this as a privileged account, or use one',
    paste: `ALTER ROLE ${pastedName(account.name)} ${lacks.join(' ')};`,
  }
}

function judge(known: Known): Answer {
  if (!known.has('source')) return judgeAlone(known.target)
  const found = missing(known)
  const { account, polardb } = known.target
  if (found.length === 0) {
    return {
      status: 'passed',
      message: `"${account.name}" has on the target what this migration takes`,
    }
  }
  return {
    status: 'failed',
    message: `"${account.name}" lacks ${found.map(({ name, purpose }) => `${name}, ${purpose}`).join('; ')}`,
    objects: found.map(({ name }) => name),
    remedy: `Run this as the owner of the databases or as a privileged account${polardb === null ? '' : ', or use a privileged account of the cluster (console: Accounts, Create Account, Privileged Account)'}`,
    paste: found.flatMap(({ statement }) => statement || []).join('\n'),
  }
}

export const targetPrivilegeChecks: readonly Check[] = [
  {
    id: 'target-privileges',
    severity: 'blocker',
    why: 'a right that is missing ends a restore where it is needed first, which may be late',
    needs: ['target'],
    questions: {
      source: [publicObjects, sourceRoles],
      target: [accountInherits, databaseRights, publicRights, targetRoles, existingDatabase],
    },
    judge,
  },
]
