import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { commands } from '../../src/commands/index.ts'
import type { Failure } from '../../src/failure.ts'
import { parseInputs } from '../../src/migration/inputs.ts'
import { explainConnectionError } from '../../src/postgres/connection-error.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { tlsAttempts } from '../../src/postgres/transport.ts'
import { failureThrown } from '../support/failure.ts'

/** docs/troubleshooting.md: the messages that it quotes are said, and those that somebody meets first are in it. */
const root = join(import.meta.dirname, '..', '..')
const page = readFileSync(join(root, 'docs', 'troubleshooting.md'), 'utf8')
const source = globSync('src/**/*.ts', { cwd: root })
  .map((file) => readFileSync(join(root, file), 'utf8'))
  .join('\n')

/** The messages in the first columns of the tables, with … and N for what differs. */
const quoted = [...page.matchAll(/^\| (?!---|message )(.*?) \|/gm)].flatMap(([, cell = '']) =>
  [...cell.matchAll(/`([^`]+)`/g)].map(([, message = '']) => message),
)

/** What of a quoted message stands in the source as it is. */
const fixed = (message: string): string[] =>
  message
    .split(/…|\bN \w+/)
    .map((part) => part.replaceAll('"', '').trim())
    .filter((part) => part.length > 1)

/** A quoted message as a pattern for what is really said. */
const pattern = (message: string): RegExp =>
  new RegExp(
    `^${message
      .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
      .replaceAll('…', '.+')
      .replaceAll(/\bN (\w+?)s?\b/g, '[\\d,]+ $1s?')}`,
  )

test('every message that is quoted is one that is said', () => {
  expect(quoted.length).toBeGreaterThan(40)
  const unknown = quoted.filter((message) => fixed(message).some((part) => !source.includes(part)))
  expect(unknown).toEqual([])
})

const parameters = parseConnectionString('postgresql://migrator@db.internal/shop?sslmode=require')
const connection = (error: object): Failure =>
  explainConnectionError(Object.assign(new Error('it failed'), error), parameters, {
    database: 'shop',
    role: 'source',
  })

/** What the source says as it is, and stands for a message of which it is the beginning. */
const said = (text: string): string => {
  expect(source).toContain(text)
  return text
}

/** The failures that a first use most likely ends with, as they are said. */
const first: [string, () => string][] = [
  ['a typing error in the host', () => connection({ code: 'ENOTFOUND' }).message],
  ['a port at which nobody listens', () => connection({ code: 'ECONNREFUSED' }).message],
  ['an address that is not in the whitelist', () => connection({ code: 'ETIMEDOUT' }).message],
  ['a proxy between', () => connection({ code: 'ECONNRESET' }).message],
  ['a wrong password', () => connection({ code: '28P01' }).message],
  ['no line in pg_hba.conf', () => connection({ code: '28000' }).message],
  ['a database that is not there', () => connection({ code: '3D000' }).message],
  ['no right to connect', () => connection({ code: '42501' }).message],
  ['no free connection', () => connection({ code: '53300' }).message],
  ['a private CA', () => connection({ code: 'SELF_SIGNED_CERT_IN_CHAIN' }).message],
  [
    'a server without TLS',
    () => connection({ message: 'The server does not support SSL connections' }).message,
  ],
  ['no password', () => connection({ message: 'client password must be a string' }).message],
  [
    'a file of the CA that is not there',
    () =>
      failureThrown(() =>
        tlsAttempts({ ...parameters, sslmode: 'verify-full', sslrootcert: '/none' }),
      ).message,
  ],
  ['wrong inputs', () => failureThrown(() => parseInputs(() => '~', commands)).message],
  ['blockers', () => said('Not ready to migrate: ')],
  ['a standby or a reading endpoint', () => said('The target is read-only')],
  ['a target with something in it', () => said('The target database "')],
  ['no client programs', () => said('The client programs of PostgreSQL ')],
  ['a source that is written to', () => said('The source is being written to')],
  ['a public repository', () => said('The dump is not uploaded: the repository is public')],
]

test.each(first)('%s leads to its row', (_, message) => {
  const text = message()
  // the beginning of a message ends where what differs begins
  const isBeginning = /[ "]$/.test(text)
  const rows = quoted.filter(
    (one) => pattern(one).test(text) || (isBeginning && one.startsWith(text)),
  )
  expect({ text, rows: rows.length > 0 }).toEqual({ text, rows: true })
})
