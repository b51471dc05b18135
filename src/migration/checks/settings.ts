import { quoteLiteral } from '../../postgres/identifiers.ts'
import { roleSettings } from '../../postgres/roles/catalog.ts'
import { counted } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import type { Answer, Check } from './check.ts'
import { objectsOf, pastedName } from './paste.ts'
import type { Question } from './question.ts'

/** What a session does otherwise on another server, and names that a console cannot have. */

interface Setting {
  name: string
  value: string
  /** The database has a value of its own, which is migrated with it. */
  own: boolean
  /** The account has, so what the server says is unknown. */
  account: boolean
}

/** Of each: what it changes that applications see. */
const compared = {
  TimeZone: 'what timestamps show and what text without a zone means',
  DateStyle: 'how dates are shown and read',
  IntervalStyle: 'how intervals are shown',
  bytea_output: 'how bytea is shown',
  default_text_search_config: 'what to_tsvector makes of text',
  xmlbinary: 'how bytes are shown in XML',
  lc_monetary: 'how money is shown and read',
  lc_numeric: 'how to_char shows numbers',
  lc_time: 'how to_char names days and months',
}

/** A session sets some of them for itself: its reset value is what it would have had. */
const settings: Question<Setting> = {
  id: 'session-settings',
  scope: 'database',
  sql: ({ number }) => `
    SELECT s.name, s.reset_val AS value, ${hasOwn(number, 'c.setrole = 0 AND d.datname = pg_catalog.current_database()')} AS own,
           ${hasOwn(number, 'r.rolname = session_user')} AS account
      FROM pg_catalog.pg_settings s
     WHERE s.name IN (${Object.keys(compared)
       .map((name) => `'${name}'`)
       .join(', ')}) AND s.reset_val IS NOT NULL ORDER BY 1`,
}

const targetSettings: Question<Setting> = {
  ...settings,
  id: 'target-session-settings',
  scope: 'server',
}

function hasOwn(number: number, where: string): string {
  return `EXISTS (SELECT 1 FROM ${roleSettings(number)} c
             LEFT JOIN pg_catalog.pg_database d ON d.oid = c.setdatabase LEFT JOIN pg_catalog.pg_roles r ON r.oid = c.setrole
            WHERE ${where} AND EXISTS (SELECT 1 FROM pg_catalog.unnest(c.setconfig) o
                                        WHERE pg_catalog.lower(pg_catalog.split_part(o, '=', 1)) = pg_catalog.lower(s.name)))`
}

/** The same value may have several names. */
export function plainSetting(name: string, value: string): string {
  const lower = value.toLowerCase()
  if (name === 'TimeZone')
    return /^(etc\/)?(utc|gmt|uct|zulu|universal|greenwich|gmt[+-]?0)$/.test(lower) ? 'utc' : lower
  if (name === 'default_text_search_config') return lower.replace(/^pg_catalog\./, '')
  if (name.startsWith('lc_')) {
    // C.UTF-8 differs from C in the classes of characters alone
    const locale = lower.replace(/[-_]?utf-?8$/, 'utf8')
    return /^(c|posix)(\.utf8)?$/.test(locale) ? 'c' : locale
  }
  return lower
}

export const serverParameters: Check = {
  id: 'server-parameters',
  severity: 'warning',
  why: 'what a server is set to and a database is not stays behind, and the same statement says something else',
  needs: ['source', 'target'],
  questions: { source: [settings], target: [targetSettings] },
  judge({ source, target }): Answer {
    const there = new Map(target.rows(targetSettings).map((row) => [row.name, row]))
    const differing = source.rows(settings).flatMap((row) => {
      const other = there.get(row.name)
      const known = other && !row.own && !row.account && !other.account && !other.own
      if (!known || plainSetting(row.name, row.value) === plainSetting(row.name, other.value))
        return []
      return [{ ...row, other: other.value }]
    })
    if (differing.length === 0)
      return { status: 'passed', message: 'sessions are set the same on both sides' }
    const several = new Set(differing.map(({ name }) => name)).size
    const serious = differing.some(({ name }) => !name.startsWith('lc_'))
    return {
      status: 'failed',
      severity: serious ? 'warning' : 'info',
      message: `${counted(several, 'parameter')} of the source ${several === 1 ? 'has' : 'have'} another value on the target, and the databases none of their own`,
      objects: objectsOf(
        differing,
        ({ name, value, other }) =>
          `${name}: ${printable(value)} on the source, ${printable(other)} on the target (${compared[name as keyof typeof compared]})`,
      ),
      remedy:
        'Set them in the parameters of the cluster; or on the source for each database, with which they are migrated',
      paste: differing
        .map(
          ({ database, name, value }) =>
            `ALTER DATABASE ${pastedName(database)} SET ${name} TO ${quoteLiteral(value).trim()};`,
        )
        .join('\n'),
    }
  },
}

/** Longer names are cut, on servers that were built with another NAMEDATALEN. */
const nameLength: Question<{ bytes: number }> = {
  id: 'identifier-length',
  scope: 'server',
  sql: () => `SELECT pg_catalog.current_setting('max_identifier_length')::pg_catalog.int4 AS bytes`,
}

const identifierLength: Check = {
  id: 'target-identifier-length',
  severity: 'blocker',
  why: 'a server cuts names that are longer than it was built for, so that two may become one',
  needs: ['source', 'target'],
  questions: { source: [nameLength], target: [{ ...nameLength, id: 'target-identifier-length' }] },
  judge({ source, target }): Answer {
    const [here, there] = [
      source.row(nameLength).bytes,
      target.row({ ...nameLength, id: 'target-identifier-length' }).bytes,
    ]
    if (here <= there)
      return { status: 'passed', message: `names may be as long on the target (${there} bytes)` }
    return {
      status: 'failed',
      message: `Names may have ${here} bytes on the source and ${there} on the target`,
      remedy: `Shorten on the source what has more than ${there} bytes (ALTER … RENAME)`,
    }
  },
}

interface Name {
  name: string
}

export const roleNames: Question<Name> = {
  id: 'role-names',
  scope: 'server',
  sql: () =>
    `SELECT rolname AS name FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' AND oid >= 16384 ORDER BY 1`,
}

/** Names of accounts and databases as the console and its API take them (Alibaba Cloud, PolarDB for PostgreSQL). */
export const consoleNames: Check = {
  id: 'target-console-names',
  severity: 'info',
  why: 'roles and databases with other names work by SQL, but the console and the API of PolarDB cannot manage them',
  needs: ['source', 'target'],
  questions: { source: [roleNames] },
  judge({ source, target, inputs }): Answer {
    const passed = { status: 'passed', message: 'the console can manage every name' } as const
    if (target.polardb === null) return { ...passed, message: 'the target has no console' }
    const roles = inputs.roles === 'skip' ? [] : source.rows(roleNames).map(({ name }) => name)
    const databases = source.databases.map((database) => database.target)
    const odd = [
      ...roles
        .filter((name) => !/^[a-z][a-z0-9_]{1,15}$/.test(name) || /^(root|admin)$/.test(name))
        .map((name) => `role ${pastedName(name)}`),
      ...databases
        .filter((name) => !/^[a-z][a-z0-9_-]{1,63}$/.test(name) || name === 'test')
        .map((name) => `database ${pastedName(name)}`),
    ]
    if (odd.length === 0) return passed
    return {
      status: 'failed',
      message: `The console of PolarDB cannot manage ${counted(odd.length, 'name')}`,
      objects: odd,
      remedy:
        'None needed where SQL is enough; otherwise rename roles on the source to 2 to 16 characters, databases to 2 to 64, of a to z, 0 to 9 and _, a letter first (databases: name=other-name)',
    }
  },
}

export const settingChecks: readonly Check[] = [
  ...[serverParameters, identifierLength, consoleNames],
]
