import type pg from 'pg'
import { messageOf } from '../../failure.ts'
import { isStandIn } from '../../polardb/roles/stand-ins.ts'
import { serverVersion } from '../../postgres/connection.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { quoteIdentifier } from '../../postgres/identifiers.ts'

/** Roles that one statement drops at most. */
const mostTogether = 100

const notMarked =
  "no rehearsal has written its comment, so that it may be somebody else's: drop it by hand, if it is not"

/** A role that is still there, and why: what the server says to its DROP ROLE, say. */
export interface KeptStandIn {
  name: string
  reason: string
}

/**
 * Drops the stand-ins of a run, with their memberships, settings, comments and privileges on parameters, and nothing else. What
 * is gone already is no error, so it may be called again, by another run as well.
 *
 * It takes for a stand-in what has both a name that `renamedRoles` gives, `<prefix>_r<number>`, and the mark with which a stand-in is
 * made in one transaction (see stand-ins.ts). One that somebody has renamed for a use of its own has no such name, and stays. So does
 * a role of such a name without the mark, and is told: a stand-in whose comment somebody has changed looks like it. Its databases must be gone before: the server drops no role that
 * owns something.
 *
 * @param client a session of the account on the target, in whichever database
 * @param prefix of the run's names, as given to `renamedRoles`
 * @returns those that are still there: which the server did not drop, and which have no mark
 * @throws the error of a lost connection
 */
export async function removeStandIns(client: pg.Client, prefix: string): Promise<KeptStandIn[]> {
  const all = await rolesOf(client, prefix)
  const names = all.filter(isStandIn).map(({ name }) => name)
  await revokeParameters(client, names)
  const kept: KeptStandIn[] = all
    .filter((role) => !isStandIn(role))
    .map(({ name }) => ({ name, reason: notMarked }))
  for (let from = 0; from < names.length; from += mostTogether) {
    const some = names.slice(from, from + mostTogether)
    if ((await refusal(client, drop(some))) === undefined) continue
    for (const name of some) {
      const reason = await refusal(client, drop([name]))
      if (reason !== undefined) kept.push({ name, reason })
    }
  }
  return kept
}

interface CommentedRole {
  name: string
  comment: string | null
}

/** The roles whose names are of a prefix, sorted. */
async function rolesOf(client: pg.Client, prefix: string): Promise<CommentedRole[]> {
  const { rows } = await client.query<CommentedRole>(
    `SELECT r.rolname::pg_catalog.text AS name, d.description AS comment
       FROM pg_catalog.pg_roles r LEFT JOIN pg_catalog.pg_shdescription d
         ON d.objoid OPERATOR(pg_catalog.=) r.oid
        AND d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_authid'::pg_catalog.regclass
      ORDER BY r.rolname`,
  )
  return rows.filter(({ name }) => isOf(name, prefix))
}

function isOf(name: string, prefix: string): boolean {
  return name.startsWith(`${prefix}_r`) && /^[1-9]\d*$/.test(name.slice(prefix.length + 2))
}

const drop = (names: readonly string[]) =>
  `DROP ROLE IF EXISTS ${names.map(quoteIdentifier).join(', ')}`

/** A role that has a privilege on a parameter (15 and newer) cannot be dropped before it is revoked. */
async function revokeParameters(client: pg.Client, names: readonly string[]): Promise<void> {
  const { major } = await serverVersion(client)
  if (major < 15 || names.length === 0) return
  const { rows } = await client.query<{ parameter: string; role: string }>(
    `SELECT DISTINCT p.parname AS parameter, r.rolname::pg_catalog.text AS role
       FROM pg_catalog.pg_parameter_acl p CROSS JOIN LATERAL pg_catalog.aclexplode(p.paracl) a
       JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) a.grantee
      WHERE r.rolname::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])`,
    [names],
  )
  for (const { parameter, role } of rows) {
    // what it refuses shows when the role is to be dropped
    await refusal(
      client,
      `REVOKE ALL ON PARAMETER ${quoteIdentifier(parameter)} FROM ${quoteIdentifier(role)}`,
    )
  }
}

/** What the server says to a statement that it does not take. */
async function refusal(client: pg.Client, statement: string): Promise<string | undefined> {
  try {
    await client.query(statement)
    return undefined
  } catch (error) {
    if (sqlstateOf(error) === undefined) throw error
    const { detail } = error as { detail?: unknown }
    return typeof detail === 'string' ? `${messageOf(error)}: ${detail}` : messageOf(error)
  }
}
