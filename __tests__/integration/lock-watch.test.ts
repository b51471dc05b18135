import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type pg from 'pg'
import { Failure } from '../../src/failure.ts'
import { analyzeDatabase } from '../../src/migration/analyze.ts'
import { dumpDatabase } from '../../src/migration/dump/programs.ts'
import { fingerprintDatabase } from '../../src/migration/verify/fingerprint.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { writePasswordFile } from '../../src/postgres/programs/programs.ts'
import type { TestContext } from '../support/context.ts'
import { Harness, testContext } from '../support/restore-harness.ts'
import { type Major, TestServer } from '../support/server.ts'

let harness: Harness
const servers = new Map<Major, TestServer>()

beforeAll(async () => {
  const found = await Harness.open(15)
  if (!found) throw new Error('no client programs of PostgreSQL 15 can be had here')
  harness = found
  for (const major of [11, 15] as const) {
    const settings = { max_prepared_transactions: '2' }
    const server = await TestServer.start(major, { settings })
    servers.set(major, server)
    await server.sql('CREATE DATABASE shop')
    await server.sql('CREATE TABLE public.orders (id int)', 'shop')
  }
})
afterAll(async () => {
  for (const server of servers.values()) await server.stop()
  await harness?.close()
})

/** Dumps while another session keeps the table locked, for as long as pg_dump waits. */
async function dumpLocked(major: Major, how: (client: pg.Client) => Promise<unknown>) {
  const server = servers.get(major)
  if (!server) throw new Error('no server')
  const connection = parseConnectionString(server.uri('shop'))
  const context = testContext(harness.directory)
  const client = await server.connect('shop')
  try {
    await client.query(`SET application_name = 'nightly report'`)
    await how(client)
    const failed = await dumpDatabase(
      {
        connection,
        client: harness.client,
        passwordFile: await writePasswordFile(harness.directory, 'source', connection),
        number: major * 10_000,
      },
      {
        database: 'shop',
        directory: `${harness.directory}/locked-${major}-${Math.random()}`,
        jobs: 2,
        compression: { method: 'none' },
        extra: ['--lock-wait-timeout=14000'],
        logFile: `${harness.directory}/locked.log`,
      },
      { tables: new Map(), total: 0 },
      context,
    ).catch((error: unknown) => error)
    if (!(failed instanceof Failure)) throw failed
    return { failed, context }
  } finally {
    await client.end()
  }
}

test.each([11, 15] as const)(
  'who holds a lock that pg_dump waits for is named on %s',
  async (major) => {
    const { failed, context } = await dumpLocked(major, async (client) => {
      await client.query('BEGIN; LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE')
    })
    const holder =
      /a lock on public\.orders, which is held or was asked for before by process \d+ \(user postgres, application nightly report, idle in transaction, in a transaction for [^)]+\)/
    expect(failed.why).toMatch(holder)
    expect(failed.remedy).toContain('End the session')
    expect(context.progressLines.join('\n')).toMatch(
      /^dump shop: waits for a lock of process \d+ \(nightly report\) on public\.orders$/m,
    )
    expect(context.lines.join('\n')).toMatch(holder)
  },
)

describe('beside the dump', () => {
  /** Works while another session has the table locked, until a warning says so. */
  async function blocked(mode: string, work: (context: TestContext) => Promise<unknown>) {
    const client = await servers.get(15)?.connect('shop')
    if (!client) throw new Error('no server')
    const context = testContext(harness.directory)
    const told = Promise.withResolvers<void>()
    context.log.warning = (line) => {
      context.lines.push(line)
      told.resolve()
    }
    try {
      await client.query(`SET application_name = 'nightly report'`)
      await client.query(`BEGIN; LOCK TABLE public.orders IN ${mode} MODE`)
      const working = work(context)
      working.catch((error: unknown) => told.reject(error))
      await told.promise
      await client.query('ROLLBACK')
      await working
    } finally {
      await client.end()
    }
    return context
  }
  const holder =
    'a lock on public\\.orders, which is held or was asked for before by process \\d+ \\(user postgres, application nightly report'
  const connection = () => parseConnectionString(servers.get(15)?.uri('shop') ?? '')

  test('who holds a lock that the verification waits for is named', async () => {
    const context = await blocked('ACCESS EXCLUSIVE', (given) =>
      fingerprintDatabase(
        { connection: connection(), database: 'shop', role: 'target', level: 'data', jobs: 2 },
        given,
      ),
    )
    expect(context.lines[0]).toMatch(`shop: reading the target waits for `)
    expect(context.lines[0]).toMatch(new RegExp(holder))
  })

  test('and so is who keeps statistics from being collected', async () => {
    const context = await blocked('SHARE UPDATE EXCLUSIVE', (given) =>
      analyzeDatabase({ target: connection(), targetName: 'shop', jobs: 1 }, given),
    )
    expect(context.lines[0]).toMatch(
      new RegExp(`shop: the collection of statistics waits for ${holder}`),
    )
    expect(context.progressLines.join('\n')).toMatch(
      /^analyze shop: 0 of 1 table, waits for a lock of process \d+ \(nightly report\) on public\./m,
    )
    expect(context.progressLines.at(-1)).toBe('analyze shop: 1 of 1 table')
  })
})

test('so is a prepared transaction, which no session has', async () => {
  const { failed } = await dumpLocked(15, async (client) => {
    await client.query(
      `BEGIN; LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE; PREPARE TRANSACTION 'left'`,
    )
  })
  expect(failed.why).toContain('by a prepared transaction (pg_prepared_xacts)')
  await servers.get(15)?.sql(`ROLLBACK PREPARED 'left'`, 'shop')
})
