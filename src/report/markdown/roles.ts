import { counted, formatCount } from '../../text/numbers.ts'
import type { Report, RoleDifference } from '../model.ts'
import { code, type Page, prose, row, tableHead } from './page.ts'

/** What became of the roles. */
export function roles(page: Page, { roles }: Report): void {
  if (!roles) return
  const facts = [
    `${counted(roles.source, 'role')} on the source`,
    `${formatCount(roles.created)} created`,
    `${formatCount(roles.existing)} there already`,
    ...(roles.updated === undefined ? [] : [`${formatCount(roles.updated)} updated`]),
    `${formatCount(roles.memberships.restored)} of ${counted(roles.memberships.source, 'membership')} restored`,
    roles.verified ? 'verified' : 'not verified',
  ]
  page.add(roles.source > 0 ? `### Roles\n\n${facts.join(' · ')}` : '### Roles')
  const toSet = (roles.passwordsToSet ?? []).map((role) => `- ${code(role)}`)
  page.list('**Passwords to set by hand:**', toSet)
  const inOrder = (a: RoleDifference, b: RoleDifference) =>
    Number(a.explained) - Number(b.explained)
  const rows = roles.differences
    .toSorted(inOrder)
    .map(({ role, what, reason, explained }) => [
      code(role),
      prose(what),
      explained ? prose(reason) : `❌ ${prose(reason)}`,
    ])
  page.list(tableHead('', ['Role', 'Difference', 'Reason']).trim(), rows.map(row))
  page.list(
    tableHead('', ['Test login', 'Database', 'Result']).trim(),
    (roles.logins ?? []).map(({ role, database, status, reason }) =>
      row([
        code(role),
        database === null ? '' : code(database),
        status === 'succeeded' ? '✅ logged in' : `❌ ${prose(reason)}`,
      ]),
    ),
  )
  page.list(
    '**Settings of roles in single databases, which come with these databases:**',
    (roles.inOtherDatabases ?? []).map(
      ({ role, database, parameter }) =>
        `- ${code(parameter)} of ${code(role)} in ${code(database)}`,
    ),
  )
}
