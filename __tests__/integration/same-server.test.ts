import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Failure, messageOf } from '../../src/failure.ts'
import { refuseSameServer, type SameServerOptions } from '../../src/migration/checks/same-server.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { runInProcess } from '../support/in-process.ts'
import { withoutPassword } from '../support/migration.ts'
import { Pooler } from '../support/pooler.ts'
import { TestServer } from '../support/server.ts'
import { testContext } from '../support/verify-run.ts'

let server: TestServer
let standby: TestServer
let copy: TestServer
let other: TestServer
let forward: Pooler

beforeAll(async () => {
  ;[server, other] = await Promise.all([TestServer.start(15), TestServer.start(15)])
  await server.sql('CREATE DATABASE shop')
  await server.sql('CREATE TABLE t AS SELECT generate_series(1, 10) AS a', 'shop')
  standby = await server.standby()
  copy = await server.standby()
  await copy.sql('SELECT pg_promote(true, 60)')
  // until there is one on the new timeline, the server tells the old one
  await copy.sql('CHECKPOINT')
  forward = await Pooler.start(server.port, 'passes everything on')
})
afterAll(async () => {
  await forward?.stop()
  await Promise.all([server, standby, copy, other].map((one) => one?.stop()))
})

/** The refusal, or what the check says where nothing is refused. */
async function ask(
  source: TestServer,
  target: string,
  more: Partial<SameServerOptions> = {},
): Promise<string> {
  const context = testContext()
  try {
    await refuseSameServer(
      {
        source: parseConnectionString(source.uri('shop')),
        target: parseConnectionString(target),
        databases: [{ source: 'shop', target: 'shop' }],
        writes: true,
        ifTargetNotEmpty: 'fail',
        sameServer: 'auto',
        ...more,
      },
      context,
    )
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    expect(context.report.checks).toMatchObject([{ id: 'same-server', status: 'failed' }])
    return error.message
  }
  const [said] = context.report.checks
  expect(said).toMatchObject({ id: 'same-server', status: 'passed' })
  return said?.message ?? ''
}

const same = 'The source and the target are the same database "shop"'

describe('one and the same database is refused', () => {
  const replace = { ifTargetNotEmpty: 'replace', sameServer: 'no' } as const

  test('under the same address, connected to another database, or to one that does not exist', async () => {
    expect(await ask(server, server.uri('shop'), replace)).toBe(same)
    expect(await ask(server, server.uri('postgres'))).toBe(same)
    expect(await ask(server, server.uri('nowhere'))).toBe(same)
  })

  test('under another name of the host, and behind a forwarded port', async () => {
    const named = server.uri('shop').replace('127.0.0.1', 'localhost')
    expect(await ask(server, named, replace)).toBe(same)
    const forwarded = server.uri('shop').replace(`:${server.port}/`, `:${forward.port}/`)
    expect(await ask(server, forwarded, replace)).toBe(same)
  })

  test('where another database of the list is read from it', async () => {
    const databases = [
      { source: 'shop', target: 'postgres' },
      { source: 'postgres', target: 'elsewhere' },
    ]
    expect(await ask(server, server.uri(), { databases })).toMatch(/the same database "postgres"/)
  })

  test('whatever the inputs, by the command itself, which changes nothing', async () => {
    const inputs = {
      source: withoutPassword(server.uri('shop').replace('127.0.0.1', 'localhost')),
      target: withoutPassword(server.uri('shop')),
      'source-password': server.password,
      'target-password': server.password,
      'if-target-not-empty': 'replace',
      'client-path': '/nonexistent',
      verify: 'data',
    }
    const migrated = await runInProcess({ ...inputs, command: 'migrate' })
    expect(messageOf(migrated.error)).toContain(same)
    const verified = await runInProcess({ ...inputs, command: 'verify' })
    expect(messageOf(verified.error)).toContain(same)
    expect((await server.sql('SELECT FROM t', 'shop')).rowCount).toBe(10)
  })
})

test('another database of the same server is fine', async () => {
  const databases = [{ source: 'shop', target: 'shop2' }]
  expect(await ask(server, server.uri(), { databases, ifTargetNotEmpty: 'replace' })).toBe(
    'source and target are different databases of one server',
  )
})

test("a standby of the target's server is no source for what drops, nor for its own database", async () => {
  expect(await ask(standby, server.uri())).toMatch(
    /^The source is a standby of the target's server, and both name the database "shop"/,
  )
  const databases = [{ source: 'shop', target: 'shop2' }]
  expect(await ask(standby, server.uri(), { databases })).toMatch(/^the source is a standby/)
  expect(
    await ask(standby, server.uri(), { databases, ifTargetNotEmpty: 'replace', sameServer: 'no' }),
  ).toMatch(/^if-target-not-empty: replace is refused where the source is a standby/)
  expect(await ask(standby, server.uri(), { databases, ifTargetNotEmpty: 'swap' })).toMatch(
    /^if-target-not-empty: swap is refused where the source is a standby/,
  )
  expect(await ask(standby, server.uri(), { writes: false })).toMatch(/^the source is a standby/)
})

test('a promoted copy, and another server, are targets like any other', async () => {
  expect(await ask(server, copy.uri(), { ifTargetNotEmpty: 'replace' })).toMatch(
    /^the target was made from a copy of the source's files.*timelines 1 and 2/,
  )
  expect(await ask(server, other.uri(), { ifTargetNotEmpty: 'replace' })).toBe(
    'source and target are different servers',
  )
})

test('what cannot be found out is refused, unless the user knows', async () => {
  await copy.sql('REVOKE EXECUTE ON FUNCTION pg_advisory_xact_lock(int, int) FROM public', 'shop')
  await copy.sql(`CREATE ROLE ordinary LOGIN PASSWORD 'p'`)
  const source = parseConnectionString(copy.uri('shop', 'ordinary', 'p'))
  expect(await ask(copy, server.uri(), { source })).toBe(
    'Whether source and target are one server cannot be found out',
  )
  expect(await ask(copy, server.uri(), { source, sameServer: 'no' })).toBe(
    'whether source and target are one server cannot be found out',
  )
  // another system identifier needs no lock
  expect(await ask(copy, other.uri(), { source })).toBe('source and target are different servers')
})
