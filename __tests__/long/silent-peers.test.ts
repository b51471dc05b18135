import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Cancelled, Failure } from '../../src/failure.ts'
import { type DumpSource, dumpDatabase } from '../../src/migration/dump/programs.ts'
import { Onlooker } from '../../src/migration/onlooker.ts'
import { inMaintenanceDatabase } from '../../src/migration/restore/database/maintenance-database.ts'
import { closeSession, connect, withConnection } from '../../src/postgres/connection.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { mayPass } from '../../src/postgres/errors.ts'
import { runProgram } from '../../src/postgres/programs/process.ts'
import { writePasswordFile } from '../../src/postgres/programs/programs.ts'
import type { Standing } from '../../src/postgres/watchdog.ts'
import { newContext } from '../support/context.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { Harness } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

/** Looks often, so that a test need not wait for minutes; what is decided is the same. */
const patience = { silence: 300, between: 100, looks: 3 }

let server: TestServer
let proxy: TcpProxy
let harness: Harness

beforeAll(async () => {
  const found = await Harness.open(15)
  if (!found) throw new Error('no client programs of PostgreSQL 15 can be had here')
  harness = found
  server = await TestServer.start(15)
  proxy = await TcpProxy.start(server.port)
  await server.sql(
    `CREATE TABLE wide AS SELECT g, repeat(md5(g::text), 100) AS t FROM generate_series(1, 20000) g`,
  )
})

afterAll(async () => {
  await proxy?.stop()
  await server?.stop()
  await harness?.close()
})

const parameters = () => parseConnectionString(through(proxy, server.uri()))

test('a session whose answer never comes is given up, as lost', async () => {
  const client = await connect(parameters(), { patience })
  const met = proxy.when(/SELECT 1 AS answer/, 'stall')
  const error: unknown = await client.query('SELECT 1 AS answer').catch((e: unknown) => e)
  await met
  expect(String(error)).toMatch(
    /no byte came for .* does not work for it: the connection was given up/,
  )
  expect(mayPass(error)).toBe(true)
  await closeSession(client)
})

test('a session whose server cannot be reached any more is given up', async () => {
  const place = parameters()
  const client = await connect(place, { patience })
  // those who look are given up soon
  place.connectTimeout = 1
  const met = proxy.when(/pg_sleep\(600\)/, 'stall')
  const waiting = client.query('SELECT pg_sleep(600)').catch((e: unknown) => e)
  await met
  proxy.deaf = true
  const error = await waiting
  proxy.calm()
  expect(String(error)).toMatch(/does not answer over another connection either/)
  expect(mayPass(error)).toBe(true)
  await closeSession(client)
  await server.sql(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'pg_sleep.600' AND pid <> pg_backend_pid()`,
  )
})

test('a query that takes long is waited for, however silent', async () => {
  const client = await connect(parameters(), { patience })
  const { rows } = await client.query('SELECT pg_sleep(3), 1 AS answer')
  expect(rows[0]).toMatchObject({ answer: 1 })
  await closeSession(client)
})

test('a session that nobody asks anything is left alone', async () => {
  const client = await connect(parameters(), { patience })
  await sleep(2000)
  expect((await client.query('SELECT 2 AS answer')).rows).toEqual([{ answer: 2 }])
  await closeSession(client)
})

test('a cancelled session ends also when the server answers nothing that asks it to cancel', async () => {
  const stop = new AbortController()
  const options = { signal: stop.signal, patience: null }
  const met = proxy.when(/pg_sleep\(601\)/, 'stall')
  const work = withConnection(parameters(), options, (client) =>
    client.query('SELECT pg_sleep(601)'),
  )
  await met
  const asked = proxy.when(/pg_cancel_backend/, 'stall')
  stop.abort(new Cancelled())
  await expect(work).rejects.toThrow(Cancelled)
  await asked
  await server.sql(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'pg_sleep.601' AND pid <> pg_backend_pid()`,
  )
})

test.each([
  ['a look', 'SELECT 1 AS looked', false],
  ['a login', 'SELECT 2 AS looked', true],
])('who looks on is not waited for where %s gets no answer', async (_, question, deaf) => {
  const met = Promise.withResolvers<void>()
  if (deaf) proxy.deaf = true
  else void proxy.when(new RegExp(question), 'stall').then(met.resolve)
  const onlooker = new Onlooker(
    {
      connection: { ...parameters(), connectTimeout: 600 },
      ...{ database: 'postgres', role: 'source' },
      look: async (client) => void (await client.query(question)),
      blind: () => {},
    },
    newContext('dump'),
  )
  if (deaf) while (proxy.stalled === 0) await sleep(50)
  else await met.promise
  // minutes pass before a session is given up whose peer is silent
  const ended = await Promise.race([
    onlooker.end().then(() => 'ended'),
    sleep(60_000, 'waits', { ref: false }),
  ])
  proxy.calm()
  proxy.closeStalled()
  expect(ended).toBe('ended')
})

test('what runs in another database is left alone by a cancelled job, and not waited for', async () => {
  const stop = new AbortController()
  const place = { target: parameters(), targetName: 'restored' }
  const met = proxy.when(/pg_sleep\(602\)/, 'slow')
  const work = inMaintenanceDatabase(place, stop.signal, (client) =>
    client.query('SELECT pg_sleep(602)'),
  )
  await met
  const running = `query ~ 'pg_sleep.602' AND state = 'active' AND pid <> pg_backend_pid()`
  while ((await server.sql(`SELECT FROM pg_stat_activity WHERE ${running}`)).rowCount === 0);
  stop.abort(new Cancelled())
  await expect(work).rejects.toThrow(Cancelled)
  // a DROP DATABASE goes on to its end there
  const { rowCount } = await server.sql(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${running}`,
  )
  expect(rowCount).toBe(1)
})

test('a program that stands still is ended where the server does not work for it, and waited for where it does', async () => {
  const run = (standing: Standing, seconds: number) =>
    runProgram('/bin/sleep', [String(seconds)], {
      env: {},
      watch: { look: async () => standing, patience },
    }).then(
      ({ code }) => code,
      (error: unknown) => String(error),
    )
  expect(await run('works', 2)).toBe(0)
  expect(await run('unknown', 2)).toBe(0)
  expect(await run('idle', 600)).toMatch(/no byte came/)
  expect(await run('unreachable', 600)).toMatch(/no byte came/)
})

test('a dump whose source falls silent ends with what to do, and none of it runs on', async () => {
  const { client, directory } = harness
  const connection = parameters()
  const source: DumpSource = {
    connection,
    client,
    passwordFile: await writePasswordFile(directory, 'source', connection),
    number: 150_000,
  }
  const met = proxy.when(/COPY public\.wide/, 'stall')
  // until then it may take its time: how long it computes between two lines is the machine's affair
  const later = { ...patience, silence: 3_600_000 }
  void met.then(() => Object.assign(later, patience))
  const now = newContext('dump', { temporaryDirectory: directory, patience: later })
  const error: unknown = await dumpDatabase(
    source,
    {
      database: 'postgres',
      directory: join(directory, 'dump'),
      jobs: 1,
      compression: { method: 'none' },
      extra: [],
      logFile: join(directory, 'pg_dump.log'),
    },
    { tables: new Map(), total: 0 },
    now,
  ).catch((e: unknown) => e)
  await met
  expect(error).toBeInstanceOf(Failure)
  expect((error as Failure).line).toMatch(
    /pg_dump had no answer from the source any more.*does not work for it.*Look at the network/,
  )
  expect(mayPass(error)).toBe(true)
})
