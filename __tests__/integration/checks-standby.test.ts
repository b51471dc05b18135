import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { allChecks } from '../../src/migration/checks/all.ts'
import { checkReach } from '../../src/migration/checks/reach.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { answersOf } from '../support/check-scenarios.ts'
import { newContext } from '../support/context.ts'
import { TestServer } from '../support/server.ts'

let primary: TestServer
let standby: TestServer
let balancer: Server

/** Gives one session to the primary, the next one to the standby, as a read/write splitting endpoint may. */
async function startBalancer(ports: readonly number[]): Promise<Server> {
  let next = 0
  const server = createServer((client) => {
    const upstream = connect(ports[next++ % ports.length] ?? 0, '127.0.0.1')
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.pipe(to)
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

beforeAll(async () => {
  primary = await TestServer.start(15, { tls: true })
  await primary.sql('CREATE UNLOGGED TABLE "odd one" (a int); INSERT INTO "odd one" VALUES (1)')
  standby = await primary.standby()
  balancer = await startBalancer([primary.port, standby.port])
})

afterAll(async () => {
  await new Promise((resolve) => balancer?.close(resolve))
  await standby?.stop()
  await primary?.stop()
})

async function ask(server: TestServer, ids: RegExp) {
  const checks = allChecks.filter(({ id }) => ids.test(id))
  const answers = await answersOf(checks, new Map([['source', server]]), 'postgres')
  return new Map(answers.map((answer) => [answer.id, answer]))
}

describe('a standby as the source', () => {
  test('cancels long queries until it is told to wait, and has no rows of unlogged tables', async () => {
    const which = /^source-(standby|unlogged-on-standby|snapshot|endpoint)$/
    const statuses = async (server: TestServer) =>
      Object.fromEntries([...(await ask(server, which))].map(([id, { status }]) => [id, status]))
    const well = {
      'source-endpoint': 'passed',
      'source-snapshot': 'passed',
      'source-standby': 'passed',
      'source-unlogged-on-standby': 'passed',
    }
    expect(await statuses(primary)).toEqual(well)
    const found = await ask(standby, which)
    expect(found.get('source-unlogged-on-standby')).toMatchObject({
      status: 'failed',
      severity: 'blocker',
      objects: ['"public"."odd one"'],
      paste: 'ALTER TABLE "public"."odd one" SET LOGGED;',
    })
    await primary.sql(found.get('source-unlogged-on-standby')?.paste ?? '')
    expect(found.get('source-standby')).toMatchObject({ status: 'failed', severity: 'warning' })
    for (const line of found.get('source-standby')?.paste?.split('\n') ?? [])
      await standby.sql(line)
    expect(await statuses(standby)).toEqual({ ...well, 'source-unlogged-on-standby': 'failed' })
  })
})

test('sessions that are spread over two servers are seen, and share no snapshot', async () => {
  const { port } = balancer.address() as AddressInfo
  const front = Object.assign(Object.create(standby) as TestServer, {
    uri: () => primary.uri().replace(`:${primary.port}/`, `:${port}/`),
  })
  const found = await ask(front, /^source-(endpoint|snapshot)$/)
  expect(found.get('source-endpoint')).toMatchObject({
    status: 'failed',
    message: expect.stringContaining('4 sessions met 2 different servers'),
  })
  expect(found.get('source-snapshot')).toMatchObject({
    status: 'failed',
    severity: 'blocker',
    message: expect.stringMatching(/cannot be taken over by another one: .*snapshot/),
  })
})

test('the way to a server with TLS, its certificate verified or not', async () => {
  const walk = async (more: string) => {
    const context = newContext('preflight')
    const text = `host=127.0.0.1 port=${primary.port} user=u ${more}`
    const isOpen = await checkReach('source', parseConnectionString(text), context)
    const last = context.report.checks.at(-1)
    return { isOpen, status: last?.status, severity: last?.severity, message: last?.message }
  }
  // the test's certificate is good for two days
  expect(await walk(`sslmode=verify-full sslrootcert=${primary.ca}`)).toMatchObject({
    isOpen: true,
    status: 'failed',
    severity: 'warning',
    message: expect.stringContaining('in less than 30 days'),
  })
  expect(await walk('sslmode=require')).toMatchObject({ isOpen: true, status: 'passed' })
  expect(await walk('sslmode=verify-full sslrootcert=system')).toMatchObject({
    isOpen: false,
    status: 'failed',
    severity: 'blocker',
    message: expect.stringContaining("refuses the server's certificate"),
  })
  expect(await walk(`host=localhost sslmode=verify-full sslrootcert=${primary.ca}`)).toMatchObject({
    isOpen: true,
  })
})

test('a server that has no room for several sessions is not judged by them', async () => {
  await primary.sql('CREATE DATABASE narrow CONNECTION LIMIT 2')
  await primary.sql(`CREATE ROLE narrow LOGIN PASSWORD 'p'`)
  const checks = allChecks.filter(({ id }) => /^source-(endpoint|latency|connections)$/.test(id))
  const servers = new Map([['source', primary]] as const)
  const answers = await answersOf(checks, servers, 'narrow', { account: { source: 'narrow' } })
  const said = Object.fromEntries(answers.map(({ id, status }) => [id, status]))
  expect(said).toEqual({
    'source-endpoint': 'skipped',
    'source-latency': 'skipped',
    'source-connections': expect.stringMatching(/failed|skipped/),
  })
})
