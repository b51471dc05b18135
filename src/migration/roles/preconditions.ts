import type pg from 'pg'
import { Failure } from '../../failure.ts'
import { knowsRoleOption } from '../../polardb/detect.ts'
import type { RolePlan } from '../../polardb/roles/model.ts'
import { quoteIdentifier } from '../../postgres/identifiers.ts'
import { readRoleCatalog } from '../../postgres/roles/catalog.ts'
import { parseRoleScript, type RoleScript } from '../../postgres/roles/script.ts'
import { counted } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import type { NeededRole } from '../restore/plan/needed-roles.ts'

/** How many names a message lists. */
export const mostNames = 10

/**
 * Reads a role script and makes sure that all of it is understood.
 *
 * @throws Failure with the place of what is not
 */
export function readRoleScript(text: string): RoleScript {
  const script = parseRoleScript(text)
  const [first] = script.unknown
  if (first) {
    throw new Failure(
      `The role script holds ${counted(script.unknown.length, 'statement')} that this action does not know`,
      `Line ${first.line}: ${first.excerpt}`,
      'Nothing was sent. Check that the file is the unchanged output of pg_dumpall --roles-only; if it is, report this as a bug',
    )
  }
  const encoding = script.encoding?.toUpperCase() ?? 'UTF8'
  const readable = encoding === 'UTF8' || (encoding === 'SQL_ASCII' && !text.includes('\ufffd'))
  if (!readable && /[^\p{ASCII}]/u.test(text)) {
    throw new Failure(
      'Names or comments of the role script are in no readable encoding',
      `It is written in ${encoding} and holds characters that are neither ASCII nor UTF-8`,
      'Dump the roles with PGCLIENTENCODING=UTF8; on a SQL_ASCII source, first rename the roles or rewrite the comments that are not UTF-8',
    )
  }
  return script
}

/**
 * Makes sure that roles which the dumps refer to are on a target whose roles are not restored.
 *
 * @throws Failure that lists those that are not
 */
export async function requireRoles(
  client: pg.Client,
  needed: readonly NeededRole[],
): Promise<void> {
  const { roles, predefined } = await readRoleCatalog(client)
  const there = new Set([...roles.map(({ name }) => name), ...predefined])
  refuseMissing(needed, (role) => (there.has(role) ? undefined : 'it is not on the target'))
}

/**
 * @param absence why a role will not be on the target, or undefined
 * @throws Failure that lists the roles that will not
 */
export function refuseMissing(
  needed: readonly NeededRole[],
  absence: (role: string) => string | undefined,
): void {
  const missing = needed.flatMap(({ role, reason }) => {
    const why = absence(role)
    return why === undefined ? [] : [{ role, text: `"${role}" (${reason}): ${why}` }]
  })
  if (missing.length === 0) return
  throw new Failure(
    `The target will lack ${counted(new Set(missing.map(({ role }) => role)).size, 'role')} that the dump needs`,
    listed(
      missing.map(({ text }) => text),
      '; ',
    ),
    'No data was touched. Create these roles on the target, or give their objects to other owners on the source, then run again',
  )
}

/**
 * Makes sure that the account may do what the plan needs and that `superuser-option` means something to the target.
 *
 * @throws Failure before anything is sent
 */
export async function checkAccount(
  client: pg.Client,
  plan: RolePlan,
  superuserOption: string,
): Promise<void> {
  const { account } = plan.decisions.target
  const may = account.superuser || account.polarSuperuser || account.createRole
  if (!may && plan.created.length > 0) {
    throw new Failure(
      `The account "${account.name}" may not create roles on the target`,
      `${counted(plan.created.length, 'role')} must be created (${listed(plan.created.map((name) => `"${name}"`))}), which takes CREATEROLE`,
      'Give the account CREATEROLE or use a privileged account of the cluster, or set roles to skip and create the roles yourself',
      { paste: `ALTER ROLE ${quoteIdentifier(printable(account.name))} CREATEROLE;` },
    )
  }
  const words = plan.superuser.words.join(' ')
  const used = plan.created.some((name) => plan.decisions.wasSuperuser(name))
  if (superuserOption === 'auto' || !used || words === '') return
  if (!(await knowsRoleOption(client, words))) {
    throw new Failure(
      `superuser-option ${words} means nothing to the target`,
      'The server answers with a syntax error (SQLSTATE 42601)',
      'Set superuser-option to auto, which asks the target what it has',
    )
  }
}

/** The first names of a list, and how many there are beyond. */
export function listed(names: readonly string[], separator = ', '): string {
  const beyond = names.length - mostNames
  const shown = names.slice(0, mostNames).join(separator)
  return beyond > 0 ? `${shown} and ${beyond} more` : shown
}
