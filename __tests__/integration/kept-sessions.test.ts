import { setTimeout } from 'node:timers/promises'
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  jest,
  test,
} from '@jest/globals'
import type pg from 'pg'
import { type ConnectOptions, withConnection } from '../../src/postgres/connection.ts'
import {
  type ConnectionParameters,
  parseConnectionString,
} from '../../src/postgres/connection-string.ts'
import { eachRow } from '../../src/postgres/each-row.ts'
import { keepingNone, keepingSessions } from '../../src/postgres/kept-sessions.ts'
import { together } from '../../src/postgres/together.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { TestServer } from '../support/server.ts'

let server: TestServer
let proxy: TcpProxy
let place: ConnectionParameters

beforeAll(async () => {
  server = await TestServer.start(15)
  proxy = await TcpProxy.start(server.port)
  await server.sql('CREATE DATABASE other')
  place = parseConnectionString(through(proxy, server.uri('postgres')))
  // the server's version is learned with the first session
  await withConnection(place, { readOnly: true }, async () => {})
})
afterAll(async () => {
  await proxy?.stop()
  await server?.stop()
})
beforeEach(() => {
  proxy.conversations.length = 0
  proxy.listens = true
})

const never = new AbortController().signal

/** The backend's process id, after `statement`. */
async function pid(options: ConnectOptions, statement = 'SELECT 1', parameters = place) {
  return await withConnection(parameters, { readOnly: true, ...options }, async (client) => {
    await client.query(statement)
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    return rows[0]?.pid
  })
}

/** Waits until the server has so many sessions of ours: through the proxy it learns later than we that one was closed. */
async function open(wanted: number): Promise<void> {
  for (;;) {
    const { rows } = await server.sql(
      `SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = 'migrate-to-polardb'`,
    )
    if ((rows as { count: number }[])[0]?.count === wanted) return
    await setTimeout(10)
  }
}

test('a read-only session is used again, and closed at the end', async () => {
  const pids = await keepingSessions(never, async () => {
    const first = await pid({})
    const second = await pid({ database: 'postgres' })
    await open(1)
    return [first, second]
  })
  expect(pids[0]).toBe(pids[1])
  expect(proxy.conversations).toHaveLength(1)
  await open(0)
})

test('without anybody who keeps them each session is a new one', async () => {
  expect(await pid({})).not.toBe(await pid({}))
  expect(proxy.conversations).toHaveLength(2)
})

test('one that is used again is like a new one', async () => {
  await keepingSessions(never, async () => {
    const settings = await withConnection(place, { readOnly: true }, everything)
    const first = await pid(
      {},
      `SET search_path = public; SET statement_timeout = 1234; SET default_transaction_read_only = off; SET row_security = on;
       SET enable_seqscan = off; PREPARE left_over AS SELECT 1; SELECT pg_advisory_lock(42); SET application_name = 'somebody'`,
    )
    await withConnection(place, { readOnly: true }, async (client) => {
      expect(await everything(client)).toEqual(settings)
      const { rows } = await client.query(`
        SELECT pg_backend_pid() AS pid, current_setting('transaction_read_only') AS "readOnly",
               (SELECT count(*)::int FROM pg_prepared_statements) AS prepared,
               (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory') AS locks`)
      expect(rows).toEqual([{ pid: first, readOnly: 'on', prepared: 0, locks: 0 }])
    })
  })
})

async function everything(client: pg.Client): Promise<unknown> {
  const { rows } = await client.query('SELECT name, setting FROM pg_settings ORDER BY 1')
  return rows
}

test.each<[string, (first: number | undefined) => Promise<unknown>]>([
  ['another database', () => pid({ database: 'other' })],
  ['an account', () => pid({}, 'SELECT 1', { ...place, user: 'another' })],
  ['who writes', () => pid({ readOnly: false })],
])('no session is used again for %s', async (_, second) => {
  await server.sql(
    `DROP ROLE IF EXISTS another; CREATE ROLE another LOGIN PASSWORD '${server.password}'`,
  )
  await keepingSessions(never, async () => {
    const first = await pid({})
    expect(await second(first)).not.toBe(first)
  })
  await open(0)
})

test.each<[string, (client: pg.Client) => Promise<unknown>]>([
  ['after an error', (client) => client.query('SELECT 1 / 0')],
  ['after work that threw', () => Promise.reject(new Error('no'))],
  ['in a transaction', (client) => client.query('BEGIN')],
  ['of a template', (client) => client.query('SELECT 1')],
  ['that wrote', (client) => client.query('SELECT 1')],
])('no session is kept %s', async (what, work) => {
  const options = {
    readOnly: what !== 'that wrote',
    database: what === 'of a template' ? 'template1' : 'postgres',
  }
  await keepingSessions(never, async () => {
    await withConnection(place, options, work).catch(() => {})
    await open(0)
  })
})

test('one that the server has ended meanwhile is replaced by a new one', async () => {
  await keepingSessions(never, async () => {
    const first = await pid({})
    await server.sql(`SELECT pg_terminate_backend(${first})`)
    expect(await pid({})).not.toBe(first)
  })
})

test('not more than two of a server are idle', async () => {
  await server.sql('CREATE DATABASE third')
  await keepingSessions(never, async () => {
    for (const database of ['postgres', 'other', 'third']) await pid({ database })
    await open(2)
  })
})

test('they make room where an account may have no more sessions', async () => {
  await server.sql(`CREATE ROLE few LOGIN CONNECTION LIMIT 1 PASSWORD '${server.password}'`)
  const few = parseConnectionString(server.uri('postgres').replace('//postgres:', '//few:'))
  await keepingSessions(never, async () => {
    await pid({}, 'SELECT 1', few)
    await pid({ database: 'other' }, 'SELECT 1', few)
  })
})

test('none is kept while a database must be free, and none outlives a cancelled run', async () => {
  const abort = new AbortController()
  await keepingSessions(abort.signal, async () => {
    await pid({ database: 'other' })
    await keepingNone(async () => {
      await open(0)
      await pid({ database: 'other' })
      await open(0)
    })
    await pid({ database: 'other' })
    const before = proxy.conversations.length
    abort.abort()
    // whoever still gives one back finds it closed
    await withConnection(place, { readOnly: true }, async () => {})
    expect(proxy.conversations).toHaveLength(before + 1)
    await open(0)
  })
})

/** What a question waits for until another one has gone by as well, however slowly whoever counts takes them. */
const waits = 'FROM pg_advisory_lock_shared(601)'

async function holdUntil(last: RegExp, at: TcpProxy): Promise<{ gone: Promise<void> }> {
  const holder = await server.connect('postgres')
  await holder.query('SELECT pg_advisory_lock(601)')
  return { gone: at.when(last, 'none').then(() => holder.end()) }
}

test('several questions take one round trip, and one that is refused costs the others nothing', async () => {
  const { gone } = await holdUntil(/AS two/, proxy)
  await withConnection(place, { readOnly: true }, async (client) => {
    const [conversation] = proxy.conversations
    const before = conversation?.roundTrips ?? 0
    const refused = (error: { code?: string }) => error.code
    const answers = await together(client, [
      async () => (await client.query(`SELECT 1 AS one ${waits}`)).rows,
      () => client.query('SELECT 1 / 0').catch(refused),
      async () => (await client.query('SELECT $1::int AS two', [2])).rows,
    ])
    await gone
    expect(answers).toEqual([[{ one: 1 }], '22012', [{ two: 2 }]])
    expect((conversation?.roundTrips ?? 0) - before).toBeLessThan(3)
    await expect(
      together(client, [() => client.query('SELECT 1 / 0'), () => client.query('SELECT 2')]),
    ).rejects.toMatchObject({ code: '22012' })
    expect((await client.query('SELECT 3 AS three')).rows).toEqual([{ three: 3 }])
  })
})

test('rows are handed on one by one, and not kept', async () => {
  await withConnection(place, { readOnly: true }, async (client) => {
    const asked = jest.spyOn(client, 'query')
    const taken: number[] = []
    const numbers = (least: number, most: number) =>
      `SELECT g AS number FROM pg_catalog.generate_series(${least}, ${most}) g`
    const take = ({ number }: { number: number }) => void taken.push(number)
    await together(client, [
      () => eachRow(client, numbers(1, 1000), take),
      () => eachRow(client, numbers(1001, 2000), take),
    ])
    expect(taken).toEqual(Array.from({ length: 2000 }, (_, at) => at + 1))
    for (const [query] of asked.mock.calls)
      expect(query).toMatchObject({ _result: { rows: [], command: 'SELECT' } })
    // what is thrown by the server, or by whoever takes a row, costs the session nothing
    await expect(
      eachRow(client, numbers(1, 5).replace('g AS', 'g / (g - 3) AS'), take),
    ).rejects.toMatchObject({
      code: '22012',
    })
    const refuse = () => {
      throw new Error('no such row')
    }
    await expect(eachRow(client, numbers(1, 5), refuse)).rejects.toThrow('no such row')
    expect((await client.query('SELECT 3 AS three')).rows).toEqual([{ three: 3 }])
  })
})

describe('three questions', () => {
  let other: TcpProxy
  beforeEach(async () => {
    other = await TcpProxy.start(server.port)
    other.listens = true
  })
  afterEach(() => other.stop())

  const ask = (first = 'SELECT 11') => {
    const there = parseConnectionString(through(other, server.uri('postgres')))
    return withConnection(there, { readOnly: true }, (client) =>
      together(
        client,
        [first, 'SELECT 22', 'SELECT 33'].map((sql) => () => client.query(sql)),
      ),
    )
  }

  test('are asked one by one of a server at which they were lost', async () => {
    const cut = other.when(/SELECT 22/, 'cut')
    await expect(ask()).rejects.toThrow(/terminated|ECONNRESET/)
    await cut
    await ask()
    const last = other.conversations.at(-1)
    expect(last?.statements.slice(-3)).toEqual(['SELECT 11', 'SELECT 22', 'SELECT 33'])
    // the settings, and each of the three
    expect(last?.roundTrips).toBeGreaterThanOrEqual(5)
  })

  test('are asked together where a session was lost that nobody used', async () => {
    await keepingSessions(never, async () => {
      await ask()
      const { gone } = await holdUntil(/SELECT 33/, other)
      const before = other.conversations.length
      // its end has not come here when it is taken
      other.disturb('cut')
      await ask(`SELECT 11 ${waits}`)
      await gone
      expect(other.conversations).toHaveLength(before + 1)
    })
  })
})
