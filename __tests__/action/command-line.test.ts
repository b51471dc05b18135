import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Report } from '../../src/report/model.ts'
import { Terminal } from '../support/command-line.ts'
import { demoLosses, readEverything, smallShop, withoutPassword } from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { orphans } from '../support/runner.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: PlainTarget
let terminal: Terminal

/** A name that would clear the screen, and go on in the next line. */
const hostile = '\u001b[2J\r\nVerified'

beforeAll(async () => {
  terminal = new Terminal()
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
  await source.sql('CREATE DATABASE shop')
  await source.sql(smallShop(), 'shop')
  await source.sql(`CREATE TABLE "${hostile}" AS SELECT 1 AS a`, 'shop')
})
afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop()])
  await terminal?.cleanUp()
})

const from = () => ['--source', withoutPassword(source.uri('shop'))]
const to = () => ['--target', withoutPassword(target.uri('postgres'))]
const secrets = () => ({
  MIGRATE_SOURCE_PASSWORD: source.password,
  MIGRATE_TARGET_PASSWORD: target.password,
})
const accepted = demoLosses.split('\n').flatMap((line) => ['--allow-missing', line])
/** A log with its control sequences to be seen. */
const visible = (log: string) => log.replaceAll('\u001b', 'ESC')
const readReport = (directory: string) =>
  JSON.parse(readFileSync(terminal.path(directory, 'report.json'), 'utf8')) as Report

/** Everything in a database of the target or the source. */
async function everything(server: TestServer, database: string) {
  const client = await server.connect(database)
  try {
    return await readEverything(client)
  } finally {
    await client.end()
  }
}

describe('the command line', () => {
  test('migrates, says so in the last line, and keeps the dump and the report where it was told to', async () => {
    const run = await terminal.run(
      [
        ...['migrate', ...from(), ...to(), ...accepted],
        ...['--dump-directory', 'kept', '--report-directory', 'evidence'],
      ],
      { env: secrets() },
    )
    expect(run).toMatchObject({ code: 0, stderr: '', left: [], orphans: [] })
    expect(run.last).toMatch(/^Migrated 1 database, .* compared equal/)
    expect(run.stdout).not.toContain('\u001b')
    expect(await everything(target.backend, 'shop')).toEqual(await everything(source, 'shop'))
    expect(readReport('evidence')).toMatchObject({ status: 'succeeded', verified: true })
    expect(readdirSync(terminal.path('evidence'))).toContain('report.html')
    expect(readdirSync(terminal.path('kept')).sort()).toEqual([
      'databases',
      'manifest.json',
      'roles.polardb.sql',
      'roles.sql',
    ])
    expect(statSync(terminal.path('kept')).mode & 0o777).toBe(0o700)
    for (const secret of Object.values(secrets())) expect(run.stdout).not.toContain(secret)
  })

  test('ends with 3 where the target differs, and shows names without their control characters', async () => {
    await target.backend.sql(`UPDATE "${hostile}" SET a = 2`, 'shop')
    const run = await terminal.run(
      ['verify', ...to(), '--dump-directory', 'kept', '--allow-missing', '*', '--lend-rights'],
      { env: secrets() },
    )
    expect(run).toMatchObject({ code: 3, left: [] })
    expect(run.last).toMatch(/^Verification failed .*differs from the source/)
    expect(run.stdout).toContain('public.\\x1b[2J\\r\\nVerified of database shop: contents differ')
    expect(visible(run.stdout)).not.toMatch(/ESC|\r|^Verified/m)
  })

  test('ends with 4 where it is not ready, names what is in the way, and touches nothing', async () => {
    const before = await everything(target.backend, 'shop')
    for (const command of ['preflight', 'migrate']) {
      const run = await terminal.run([command, ...from(), ...to()], { env: secrets() })
      expect(run).toMatchObject({ code: 4, left: [] })
      expect(run.stdout).toMatch(/^Error: Blocker: target-content: .*"shop"/m)
      expect(run.last).toMatch(/2 blockers/)
    }
    expect(await everything(target.backend, 'shop')).toEqual(before)
  })

  test('rehearses, and leaves nothing on the target', async () => {
    const databases = () => target.backend.sql('SELECT datname FROM pg_database ORDER BY 1')
    const before = await databases()
    const run = await terminal.run(
      ['rehearse', ...from(), ...to(), '--roles', 'skip', '--allow-missing', '*'],
      { env: secrets() },
    )
    expect(run).toMatchObject({ code: 0, left: [], orphans: [] })
    expect(run.last).toMatch(/^Rehearsed 1 database/)
    expect((await databases()).rows).toEqual(before.rows)
  })

  test('tells of the one thing that keeps it from a server, and what mends it', async () => {
    const run = await terminal.run(['preflight', ...from(), ...to()], {
      env: { ...secrets(), MIGRATE_SOURCE_PASSWORD: 'wrong' },
    })
    expect(run).toMatchObject({ code: 4, left: [] })
    expect(run.stdout).toMatch(
      /^Error: Not ready .*\n {2}Why: .*password authentication failed.*\n {2}Next: .*password/m,
    )
  })

  test('ends with 1 where a server cannot be had any more', async () => {
    const run = await terminal.run(['unfreeze', ...from()], {
      env: { MIGRATE_SOURCE_PASSWORD: 'wrong' },
    })
    expect(run).toMatchObject({ code: 1, left: [] })
    expect(run.stdout).toMatch(/^Error: .*\n {2}Why: .*\n {2}Next: /m)
  })

  test('ends with 2 where inputs are wrong, names them all at once, and repeats no secret', async () => {
    const run = await terminal.run(
      [
        ...['migrate', '--source', 'postgresql://u:hunter2@h/shop', '--source-password', 'hunter2'],
        ...['--verify', 'all', '--targett', 'hunter2', '--retention-days', '3'],
      ],
      { env: { MIGRATE_TARGET_PASSWORD: 'two hunter4\nlines' } },
    )
    expect(run).toMatchObject({ code: 2, stdout: '' })
    for (const wrong of [
      '--source: it holds a password',
      '--source-password: everybody on this machine can read a command line',
      'set MIGRATE_SOURCE_PASSWORD',
      'verify: "all"; allowed: none, counts, data',
      '--targett: there is no such option',
      '--retention-days: a command line keeps no artifacts',
      'target: it is not set',
    ])
      expect(run.stderr).toContain(wrong)
    expect(run.stderr).not.toMatch(/hunter\d/)
    expect(run.left).toEqual([])
  })

  test('keeps a dump encrypted with the passphrase of a file, and restores it with no way to the source', async () => {
    const config = terminal.path('migration.yml')
    writeFileSync(
      config,
      `source: ${withoutPassword(source.uri('shop'))}
source-password: ${JSON.stringify(source.password)}
target: ${withoutPassword(target.uri('postgres'))}
target-password: ${JSON.stringify(target.password)}
passphrase: correct horse battery staple
databases:
  - shop=elsewhere
allow-missing: |
${demoLosses.replace(/^/gm, '  ')}
dump-directory: sealed
`,
    )
    chmodSync(config, 0o644)
    const open = await terminal.run(['dump', '--config', config])
    expect(open).toMatchObject({ code: 2 })
    expect(open.stderr).toContain('it holds a secret, and others can read or change it')

    chmodSync(config, 0o600)
    const dump = await terminal.run(['dump', '--config', config])
    expect(dump).toMatchObject({ code: 0, stderr: '', left: [], orphans: [] })
    const files = readdirSync(terminal.path('sealed'))
    expect(files).toEqual(expect.arrayContaining(['000001.age', 'identity.age', 'index.age']))
    expect(files.filter((name) => !name.endsWith('.age'))).toEqual([])

    const wrong = await terminal.run(['restore', '--config', config], {
      env: { MIGRATE_PASSPHRASE: 'another one that is long enough' },
    })
    expect(wrong.code).toBe(1)
    const restore = await terminal.run(['restore', '--config', config])
    expect(restore).toMatchObject({ code: 0, left: [], orphans: [] })
    expect(await everything(target.backend, 'elsewhere')).toEqual(await everything(source, 'shop'))
  })

  test('cancelled by Ctrl-C it ends with 130, and leaves neither files, processes nor sessions', async () => {
    const proxy = await TcpProxy.start(target.port)
    try {
      const loads = proxy.when(/COPY .*FROM stdin/, 'slow')
      const running = terminal.start(
        [
          ...['migrate', ...from(), ...accepted, '--databases', 'shop=cancelled'],
          ...['--target', through(proxy, withoutPassword(target.uri('postgres')))],
          ...['--dump-directory', 'cancelled'],
        ],
        { env: secrets() },
      )
      await loads
      running.child.kill('SIGINT')
      const run = await running.result
      expect(run).toMatchObject({ code: 130, left: [], orphans: [] })
      expect(run.stdout).toMatch(/^Cancelled: what was begun is ended and removed/m)
      expect(run.stdout).toMatch(/^The run was cancelled\n {2}Why: .*\n {2}Next: .*dump-directory/m)
      expect(run.last).toMatch(/^Migration cancelled in phase restore/)
      for (const server of [source, target.backend]) {
        // a server may need a moment to notice that a program has gone
        const ours = `SELECT FROM pg_stat_activity WHERE application_name ~ '^migrate-to-polardb'`
        while ((await server.sql(ours)).rowCount !== 0) await setTimeout(20)
      }
    } finally {
      await proxy.stop()
    }
  })

  test('a second Ctrl-C ends it at once, and its files go all the same', async () => {
    const proxy = await TcpProxy.start(target.port)
    try {
      const loads = proxy.when(/COPY .*FROM stdin/, 'stall')
      const running = terminal.start(
        [
          ...['migrate', ...from(), ...accepted, '--databases', 'shop=twice'],
          ...['--target', through(proxy, withoutPassword(target.uri('postgres')))],
        ],
        { env: secrets() },
      )
      await loads
      // nor does the target answer anybody who would clean up
      proxy.disturb('stall')
      proxy.deaf = true
      running.child.kill('SIGINT')
      await running.printed(/^Cancelled: /m)
      // what comes at once is the first one, sent on by npx
      const again = setInterval(() => running.child.kill('SIGINT'), 100)
      const run = await running.result.finally(() => clearInterval(again))
      expect(run).toMatchObject({ code: 130, left: [] })
      // what it has killed may still be on its way out
      while (orphans(terminal.directory).length > 0) await setTimeout(20)
      expect(run.stdout).not.toMatch(/^Migration cancelled/m)
      expect(run.last).toMatch(/^Ended at once, without a report: /)
    } finally {
      proxy.close()
      await proxy.stop()
    }
  })
})

describe('on a terminal', () => {
  test('passwords are asked for and not shown, and progress is one line that moves', async () => {
    const running = terminal.start(
      ['migrate', ...from(), ...to(), ...accepted, '--databases', 'shop=typed'],
      {
        terminal: true,
      },
    )
    await running.printed(/Password of the source, postgres at 127\.0\.0\.1: /)
    running.child.stdin.write(`${source.password}\r`)
    await running.printed(/Password of the target, gctest at 127\.0\.0\.1: /)
    running.child.stdin.write(`${target.password}\r`)
    const run = await running.result
    expect({ code: run.code, left: run.left }).toEqual({ code: 0, left: [] })
    for (const secret of Object.values(secrets())) expect(run.stdout).not.toContain(secret)
    const shown = visible(run.stdout)
    const moving = shown.split('\rESC[?7l').slice(1)
    expect(moving.length).toBeGreaterThan(3)
    for (const one of moving) expect(one).toMatch(/^\d+:\d\d .{0,73}ESC\[KESC\[\?7h/)
    expect(run.last).toMatch(/^Migrated 1 database/)
    // the log above it is whole, and nothing of what moved is left in it
    const log = shown.replaceAll(/\rESC\[\?7l.*?ESC\[KESC\[\?7h|\rESC\[K/g, '')
    expect(log).toMatch(/^▶ verify shop\r?$/m)
    expect(log).not.toContain('ESC')
  })

  test('Ctrl-C where a password is asked for ends it, and says so', async () => {
    const running = terminal.start(['preflight', ...from(), ...to()], { terminal: true })
    await running.printed(/Password of the source, postgres at 127\.0\.0\.1: /)
    running.child.stdin.write('\u0003')
    const run = await running.result
    expect(run).toMatchObject({ code: 130, left: [] })
    expect(run.last).toMatch(/^Cancelled: nothing was begun/)
  })

  test('that goes away the migration goes on, and the report says how it ended', async () => {
    const running = terminal.start(
      [
        ...['migrate', ...from(), ...to(), ...accepted, '--databases', 'shop=alone'],
        ...['--report-directory', 'alone'],
      ],
      { terminal: true, env: secrets() },
    )
    await running.printed(/▶ dump shop/)
    running.child.kill('SIGKILL') // the terminal, whose end hangs up
    await running.result
    while (!existsSync(terminal.path('alone', 'report.html'))) await setTimeout(100)
    expect(readReport('alone')).toMatchObject({ status: 'succeeded', verified: true })
    while (orphans(terminal.directory).length > 0) await setTimeout(100)
  })

  test.each([
    ['NO_COLOR', { NO_COLOR: '1' }],
    ['TERM=dumb', { TERM: 'dumb' }],
    ['CI', { CI: 'true' }],
  ])('%s makes it a log, as a pipe does', async (_, env) => {
    const run = await terminal.run(['preflight', ...from(), '--no-password'], {
      terminal: true,
      env: { ...secrets(), ...env },
    })
    expect(run.stdout).toContain('▶ preflight')
    expect(run.stdout).not.toContain('\u001b')
  })
})
