import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { clientDirectory } from '../support/clients.ts'
import type { Conversation } from '../support/conversation.ts'
import { runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: PlainTarget
let proxies: { source: TcpProxy; target: TcpProxy }
let client: string

/** Makes a session that was kept like a new one. */
const renewal = 'DISCARD ALL'

/** Sessions that look at a server every two seconds while others work: how often that is depends on the machine. */
const looks = /WITH waiting AS \(|pg_stat_progress_create_index/

const few = 5
const many = 45

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 cannot be had on this machine')
  client = found
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
  proxies = {
    source: await TcpProxy.start(source.port),
    target: await TcpProxy.start(Number(new URL(target.uri('postgres')).port)),
  }
  for (const proxy of Object.values(proxies)) proxy.listens = true
  await source.sql(
    `CREATE ROLE shopkeeper; CREATE ROLE watcher LOGIN PASSWORD 'w' IN ROLE pg_monitor`,
  )
  for (const tables of [few, many]) {
    await source.sql(`CREATE DATABASE shop_${tables}`)
    await source.sql(
      `DO $$ BEGIN FOR t IN 1..${tables} LOOP
         EXECUTE format('CREATE TABLE t%s (id serial PRIMARY KEY, note text)', t);
         EXECUTE format('ALTER TABLE t%s OWNER TO shopkeeper', t);
         EXECUTE format('INSERT INTO t%s (note) VALUES (''one''), (''two'')', t);
       END LOOP; END $$; ANALYZE`,
      `shop_${tables}`,
    )
  }
})
afterAll(async () => {
  await Promise.all(Object.values(proxies ?? {}).map((proxy) => proxy.stop()))
  await Promise.all([source, target].map((one) => one?.stop()))
})

interface Count {
  connections: number
  /** How often one was opened, or one that was kept was used again: which of both depends on who is done first. */
  sessions: number
  statements: number
  roundTrips: number
}

/** Runs a command through both proxies, and counts what we asked; the client programs ask in sessions with names of their own. */
async function count(command: string, tables: number): Promise<Count> {
  for (const proxy of Object.values(proxies)) proxy.conversations.length = 0
  const uri = (side: 'source' | 'target', database?: string) =>
    through(proxies[side], (side === 'source' ? source : target).uri(database))
  const inputs = between(
    { uri: (database) => uri('source', database), password: source.password },
    { uri: (database) => uri('target', database), password: target.password },
    `shop_${tables}`,
    { command, 'client-path': client, 'upload-dump': 'false', 'restore-jobs': '2' },
  )
  const { error } = await runInProcess(inputs)
  expect(error).toBeUndefined()
  const ours = Object.values(proxies)
    .flatMap(({ conversations }) => conversations)
    .filter(({ settings }) => settings.application_name === 'migrate-to-polardb')
    .filter(({ statements }) => !statements.some((one) => looks.test(one)))
  const sum = (what: (one: Conversation) => number) => ours.reduce((all, one) => all + what(one), 0)
  const renewals = sum(({ statements }) => statements.filter((one) => one === renewal).length)
  return {
    connections: ours.length,
    sessions: ours.length + renewals,
    statements: sum(({ statements }) => statements.length) - renewals,
    roundTrips: sum(({ roundTrips }) => roundTrips),
  }
}

async function counts(command: string): Promise<{ small: Count; large: Count }> {
  return { small: await count(command, few), large: await count(command, many) }
}

test('a preflight asks a far server in few round trips, whatever the number of tables', async () => {
  const { small, large } = await counts('preflight')
  for (const { connections } of [small, large]) expect(connections).toBeLessThanOrEqual(18)
  expect(small.statements).toBeLessThanOrEqual(270)
  expect(small.roundTrips).toBeLessThanOrEqual(155)
  // how to begin a session at each server is known by then
  expect(large.sessions).toBeLessThanOrEqual(small.sessions)
  expect(large.statements).toBeLessThanOrEqual(small.statements)
})

test('a migration asks little more for each table', async () => {
  const { small, large } = await counts('migrate')
  expect(small.connections).toBeLessThanOrEqual(60)
  // the roles are read twice: before the source is frozen, and when it is
  expect(small.statements).toBeLessThanOrEqual(660)
  expect(small.roundTrips).toBeLessThanOrEqual(520)
  // the rows and the indexes of many tables go in one message each, and so do their digests
  expect((large.statements - small.statements) / (many - few)).toBeLessThanOrEqual(2)
  expect((large.roundTrips - small.roundTrips) / (many - few)).toBeLessThanOrEqual(2)
})
