import { counted, formatCount } from '../../text/numbers.ts'
import type { Report } from '../model.ts'
import {
  type Cell,
  code,
  codes,
  cut,
  type Markup,
  markup,
  nothing,
  section,
  state,
  table,
} from './page.ts'

/** What became of the roles. */
export function roles({ roles }: Report): Markup {
  if (!roles) return nothing
  const { source, memberships, passwordsToSet = [], inOtherDatabases = [], logins = [] } = roles
  const summary = [
    `${counted(source, 'role')} on the source`,
    `${formatCount(roles.created)} created`,
    `${formatCount(roles.existing)} there already`,
    ...(roles.updated === undefined ? [] : [`${formatCount(roles.updated)} updated`]),
    `${formatCount(memberships.restored)} of ${counted(memberships.source, 'membership')} restored`,
    roles.verified ? 'verified' : 'not verified',
  ].join(' · ')
  const rows = roles.differences
    .toSorted((a, b) => Number(a.explained) - Number(b.explained))
    .map((difference): Cell[] => [
      code(difference.role),
      difference.explained ? difference.what : state('bad', difference.what),
      cut(difference.reason),
    ])
  return section(
    'Roles',
    source > 0
      ? markup`<p>${summary}</p>
`
      : nothing,
    passwordsToSet.length > 0
      ? markup`<p><strong>Passwords to set by hand:</strong> ${codes(passwordsToSet)}</p>
`
      : nothing,
    rows.length > 0 ? table('Role differences', ['Role', 'Difference', 'Reason'], rows) : nothing,
    logins.length > 0
      ? table(
          'Test logins',
          ['Role', 'Database', 'Result'],
          logins.map((login): Cell[] => [
            code(login.role),
            login.database === null ? '' : code(login.database),
            login.status === 'succeeded' ? 'logged in' : state('bad', login.reason),
          ]),
        )
      : nothing,
    inOtherDatabases.length > 0
      ? table(
          'Settings that come with their databases',
          ['Role', 'Database', 'Parameter'],
          inOtherDatabases.map(({ role, database, parameter }): Cell[] => [
            code(role),
            code(database),
            code(parameter),
          ]),
        )
      : nothing,
  )
}
