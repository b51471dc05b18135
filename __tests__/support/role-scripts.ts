import { randomNumbers } from './random.ts'

const pieces = [
  'a',
  'role',
  'SUPERUSER',
  'NOSUPERUSER',
  ' ',
  '"',
  '""',
  "'",
  "''",
  '\\',
  '\n',
  '\r\n',
  ';',
  '--',
  '/*',
  '*/',
  '$$',
  '$x$',
  'é',
  '🐘',
  '役割',
  'GRANTED BY x;',
  'WITH',
  'E',
  '\t',
  '::error::',
  ':',
  '\u00a0',
  'U&',
  ',',
  '0',
]

/** A name as pg_dumpall prints it: quoted unless it needs no quotes. */
function quoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !/^(all|user|select)$/.test(name)
    ? name
    : `"${name.replaceAll('"', '""')}"`
}

/** A string as pg_dumpall prints it. */
function literal(text: string): string {
  const doubled = text.replaceAll("'", "''")
  return text.includes('\\') ? ` E'${doubled.replaceAll('\\', '\\\\')}'` : `'${doubled}'`
}

export interface GeneratedRoles {
  script: string
  names: string[]
}

/** A role script in pg_dumpall's form, with names, comments and settings put together from what is hard to read. */
export function generateRoleScript(seed: number, roles = 12): GeneratedRoles {
  const random = randomNumbers(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const some = (most: number) =>
    Array.from({ length: 1 + Math.floor(random() * most) }, () => pick(pieces)).join('')
  const maybe = (text: string) => (random() < 0.5 ? text : '')
  const names = [...new Set(Array.from({ length: roles }, () => some(6)))]
  const lines = [
    '--\n-- PostgreSQL database cluster dump\n--\n',
    '\\restrict gBmWhuWZ4Rk0uPbqsDZYbGcpCOjoFe5ofPhYJhCEZNMcobN3yO3lZmVvhFYN3zN\n',
    'SET default_transaction_read_only = off;\n',
    "SET client_encoding = 'UTF8';",
    'SET standard_conforming_strings = on;\n',
    '--\n-- Roles\n--\n',
  ]
  for (const name of names) {
    const flags = [
      'SUPERUSER',
      'INHERIT',
      'CREATEROLE',
      'CREATEDB',
      'LOGIN',
      'REPLICATION',
      'BYPASSRLS',
    ]
      .map((flag) => (random() < (flag === 'SUPERUSER' ? 0.2 : 0.5) ? flag : `NO${flag}`))
      .join(' ')
    const values =
      maybe(` CONNECTION LIMIT ${Math.floor(random() * 100)}`) +
      maybe(` PASSWORD 'SCRAM-SHA-256$4096:${Math.floor(random() * 1e9)}==$a+b/=:c='`) +
      maybe(" VALID UNTIL '2030-01-01 00:00:00+00'")
    lines.push(`CREATE ROLE ${quoted(name)};`, `ALTER ROLE ${quoted(name)} WITH ${flags}${values};`)
    if (random() < 0.5) lines.push(`COMMENT ON ROLE ${quoted(name)} IS ${literal(some(12))};`)
    if (random() < 0.2)
      lines.push(
        `SECURITY LABEL FOR ${quoted(some(2))} ON ROLE ${quoted(name)} IS ${literal(some(4))};`,
      )
  }
  lines.push('\n--\n-- User Configurations\n--\n')
  for (const name of names.filter(() => random() < 0.5)) {
    lines.push(`--\n-- User Config "${name.replaceAll(/[\r\n]/g, ' ')}"\n--\n`)
    lines.push(`ALTER ROLE ${quoted(name)} SET application_name TO ${literal(some(8))};`)
    lines.push(
      `ALTER ROLE ${quoted(name)} SET search_path TO ${literal(some(3))}, ${literal(some(3))};`,
    )
    if (random() < 0.3) lines.push(`ALTER ROLE ${quoted(name)} SET "Cust.om" TO '7';`)
  }
  lines.push('\n--\n-- Role memberships\n--\n')
  for (let count = 0; count < names.length; count++) {
    const [role, member] = [pick(names), pick(names)]
    if (names.indexOf(role) >= names.indexOf(member)) continue
    const options = ['ADMIN OPTION', 'INHERIT TRUE', 'INHERIT FALSE', 'SET FALSE']
      .filter(() => random() < 0.3)
      .filter((option, _, all) => option !== 'INHERIT FALSE' || !all.includes('INHERIT TRUE'))
    const tail =
      (options.length > 0 ? ` WITH ${options.join(', ')}` : '') +
      maybe(` GRANTED BY ${quoted(pick(names))}`)
    lines.push(`GRANT ${quoted(role)} TO ${quoted(member)}${tail};`)
  }
  const name = pick(names)
  if (random() < 0.5)
    lines.push(
      `GRANT SET, ALTER SYSTEM ON PARAMETER work_mem TO ${quoted(name)} WITH GRANT OPTION;`,
    )
  lines.push('\n\\unrestrict gBmWhuWZ4Rk0uPbqsDZYbGcpCOjoFe5ofPhYJhCEZNMcobN3yO3lZmVvhFYN3zN\n')
  return { script: lines.join('\n'), names }
}
