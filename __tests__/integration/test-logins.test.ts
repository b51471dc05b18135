import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { type Failure, messageOf } from '../../src/failure.ts'
import { renderHtml } from '../../src/report/html/html.ts'
import { renderJunit } from '../../src/report/junit.ts'
import { renderMarkdown } from '../../src/report/markdown.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { type PlainTarget, PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { renderJson } from '../support/report-json.ts'
import { Harness } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

/** Every printable character, what the server normalizes, and blanks at the ends. */
const odd = ` ${Array.from({ length: 95 }, (_, at) => String.fromCharCode(32 + at)).join('')}ﬁ\u00a0ü `
const logins: Record<string, string> = {
  teller: "teller's own",
  'we"ird=%\nname\tü': odd,
  old: 'an old md5 secret 😀=\\',
  renamed: 'set after the renaming',
  outsider: 'only to postgres',
}
const text = (of: Record<string, string>) =>
  Object.entries(of)
    .map(([role, secret]) => `"${role.replaceAll('"', '""')}"=${secret}`)
    .join('\n')

let source: TestServer
let harness: Harness
const targets: Record<string, PlainTarget | PolarStandIn> = {}

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 cannot be had on this machine')
  harness = opened
  source = await TestServer.start(15)
  targets['a stock 16'] = await startPlainTarget(16)
  targets['the stand-in'] = await PolarStandIn.start({ major: 15 })
  await source.sql('CREATE DATABASE shop')
  await source.sql('CREATE TABLE here AS SELECT 1 AS a', 'shop')
  const password = (role: string) => `PASSWORD ${pg.escapeLiteral(logins[role] ?? '')}`
  await source.sql(`
    CREATE ROLE teller LOGIN ${password('teller')};
    CREATE ROLE ${pg.escapeIdentifier('we"ird=%\nname\tü')} LOGIN ${password('we"ird=%\nname\tü')};
    CREATE ROLE before LOGIN; ALTER ROLE before RENAME TO renamed;
    ALTER ROLE renamed ${password('renamed')};
    CREATE ROLE outsider LOGIN ${password('outsider')};
    CREATE ROLE closed NOLOGIN ${password('teller')};
    CREATE ROLE late LOGIN VALID UNTIL '2001-01-01' ${password('teller')};
    CREATE ROLE full_up LOGIN CONNECTION LIMIT 0 ${password('teller')};
    SET password_encryption = md5; CREATE ROLE old LOGIN ${password('old')};
    REVOKE CONNECT ON DATABASE shop FROM PUBLIC;
    GRANT CONNECT ON DATABASE shop TO teller, old, renamed, full_up, ${pg.escapeIdentifier('we"ird=%\nname\tü')}`)
})
afterAll(async () => {
  await Promise.all([source, ...Object.values(targets)].map((server) => server?.stop()))
  await harness?.close()
})

/** That nothing of what a run has said holds a secret, however it is shown. */
function expectNoSecret({ report, lines, error }: CommandResult, secrets: string[]): void {
  const shown = [
    ...[renderJson(report), renderHtml(report), renderMarkdown(report), renderJunit(report)],
    ...[lines.join('\n'), messageOf(error ?? ''), JSON.stringify(report)],
  ]
  for (const secret of secrets)
    for (const one of shown) expect([secret, one.includes(secret)]).toEqual([secret, false])
}

describe.each(['a stock 16', 'the stand-in'])('test-logins, on %s', (kind) => {
  const target = () => targets[kind] as PlainTarget
  const dump = () => join(harness.directory, `dump-${kind.length}`)
  const inputs = (more: Record<string, string>) => ({
    source: source.uri('shop'),
    target: target().uri('postgres'),
    'client-path': harness.client.directory,
    'upload-dump': 'false',
    ...more,
  })

  test('are known to be wrong before the first byte where there is no such role', async () => {
    const wrong = { 'test-logins': `${text(logins)}\nno such role=hunter2` }
    for (const command of ['preflight', 'migrate']) {
      const run = await runInProcess(inputs({ command, ...wrong }))
      expect(run.report.phases.map(({ name }) => name)).not.toContain('dump')
      const told = [messageOf(run.error), ...run.report.checks.map(({ message }) => message)]
      expect(told.join('\n')).toContain('An input is wrong')
      expectNoSecret(run, ['hunter2', ...Object.values(logins)])
    }
    const { rows } = await target().backend.sql(`SELECT 1 FROM pg_roles WHERE rolname = 'teller'`)
    expect(rows).toEqual([])
  })

  test('succeed after a migration, in a database that the role may connect to', async () => {
    mkdirSync(dump(), { mode: 0o700 })
    const kept = { 'dump-directory': dump(), 'keep-dump': 'true' }
    const run = await runInProcess(
      inputs({ command: 'migrate', 'test-logins': text(logins), ...kept }),
    )
    expect(messageOf(run.error ?? '')).toBe('')
    expect(run.report.verified).toBe(true)
    expect(run.report.roles?.logins).toEqual(
      Object.keys(logins).map((role) => ({
        ...{ role, status: 'succeeded', reason: '', remedy: '' },
        database: role === 'outsider' ? 'postgres' : 'shop',
      })),
    )
    expectNoSecret(run, Object.values(logins))
  })

  test('say after a verification why they failed, and what to do', async () => {
    const { rows: others } = await target().backend.sql(
      `SELECT datname AS name FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> 'shop'`,
    )
    for (const { name } of others)
      await target().backend.sql(
        `REVOKE CONNECT ON DATABASE ${pg.escapeIdentifier(name)} FROM PUBLIC;
         GRANT CONNECT ON DATABASE ${pg.escapeIdentifier(name)} TO gctest, closed, late, renamed`,
      )
    await target().backend.sql('ALTER ROLE renamed PASSWORD NULL')
    const wrong = {
      teller: 'hunter2, which is wrong',
      closed: logins.teller ?? '',
      late: logins.teller ?? '',
      full_up: logins.teller ?? '',
      renamed: logins.renamed ?? '',
      outsider: logins.outsider ?? '',
    }
    const given = { old: logins.old ?? '', ...wrong }
    const run = await runInProcess(
      inputs({
        ...{ command: 'verify', 'test-logins': text(given), 'lend-rights': 'true' },
        ...{ source: '', 'dump-directory': dump() },
      }),
    )
    const failure = run.error as Failure
    expect(failure.message).toBe('6 test logins of 7 failed')
    expect(failure.isDifference).toBe(true)
    expect(run.report.verified).toBe(false)
    expect(run.report.databases.map(({ verified }) => verified)).toEqual([true])
    const reasons = Object.fromEntries(
      (run.report.roles?.logins ?? []).map(({ role, reason }) => [role, reason]),
    )
    expect(reasons.old).toBe('')
    expect(reasons.teller).toMatch(/^the secret is not its password/)
    expect(reasons.closed).toMatch(/^it is NOLOGIN on the target/)
    expect(reasons.late).toMatch(/past VALID UNTIL 2001|^the secret is not its password/)
    expect(reasons.full_up).toMatch(/^its CONNECTION LIMIT is 0/)
    expect(reasons.renamed).toMatch(/^it has no password|^the secret is not its password/)
    expect(reasons.outsider).toMatch(/^it may connect to no database/)
    for (const face of [renderHtml, renderMarkdown, renderJunit])
      expect(face(run.report)).toContain('NOLOGIN')
    expectNoSecret(run, [...Object.values(logins), wrong.teller])
  })

  test('refuse in a verification what is not there, at once', async () => {
    const run = await runInProcess(
      inputs({ command: 'verify', 'test-logins': 'nobody=hunter2', 'dump-directory': dump() }),
    )
    expect((run.error as Failure).why).toContain('"nobody": the target has no such role')
    expect(run.report.databases).toEqual([])
    expectNoSecret(run, ['hunter2'])
  })
})

test('a server that asks for no secret proves nothing of it', async () => {
  const target = targets['a stock 16'] as PlainTarget
  await target.backend.write(
    'pg_hba.conf',
    'local all all trust\nhost all teller all trust\nhost all all all md5\n',
  )
  await target.backend.sql('SELECT pg_reload_conf()')
  const run = await runInProcess({
    ...{ command: 'restore', roles: 'only', 'dump-directory': join(harness.directory, 'dump-10') },
    ...{ target: target.uri('postgres'), 'test-logins': 'teller=anything at all' },
  })
  expect((run.error as Failure).why).toContain('without asking for its secret')
  expect(run.report.roles).toMatchObject({ verified: false })
})
