import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals'
import type pg from 'pg'
import { PolarStandIn } from './polardb-standin.ts'
import type { Major } from './server.ts'

export interface Outcome {
  /** SQLSTATE and message. */
  error?: [string, string]
  notices: [string, string][]
  commands: string[]
}

/** Runs a query and says all that came back. */
export async function attempt(client: pg.Client, sql: string): Promise<Outcome> {
  const notices: [string, string][] = []
  const listen = (notice: { code: string | undefined; message: string | undefined }) =>
    notices.push([notice.code ?? '', notice.message ?? ''])
  client.on('notice', listen)
  try {
    const answer: unknown = await client.query(sql)
    const list = (Array.isArray(answer) ? answer : [answer]) as pg.QueryResult[]
    return { notices, commands: list.map(({ command }) => command) }
  } catch (error) {
    const { code = '', message } = error as pg.DatabaseError
    return { error: [code, message], notices, commands: [] }
  } finally {
    client.off('notice', listen)
  }
}

/** SQLSTATE and message of a refusal. */
export function denied(message: string): [string, string] {
  return ['42501', message]
}

/** The statements that take back what a test did; the database is made anew only where something is in it. */
const leftovers = `
  SELECT 'DROP DATABASE d' AS statement FROM pg_database WHERE datname = 'd'
  UNION ALL
  SELECT unnest(ARRAY['DROP DATABASE mine', 'CREATE DATABASE mine OWNER gctest'])
   WHERE EXISTS (SELECT FROM pg_class WHERE oid >= 16384) OR EXISTS (SELECT FROM pg_proc WHERE oid >= 16384)
      OR EXISTS (SELECT FROM pg_namespace WHERE oid >= 16384) OR EXISTS (SELECT FROM pg_publication)
      OR (SELECT datdba::regrole::text FROM pg_database WHERE datname = 'mine') <> 'gctest'
  UNION ALL
  SELECT 'ALTER ROLE ALL RESET ALL' WHERE EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = 0)
  UNION ALL
  SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE rolname !~ '^pg_' AND rolname NOT IN
    ('postgres', 'gctest', 'creator', 'aurora', 'replicator', 'polardb_admin')`

export interface Bench {
  server: PolarStandIn
  /** The polar_superuser, in a database `mine` of its own; roles p, q and r are there. */
  client: pg.Client
  /** Connects an account with CREATEROLE and CREATEDB alone. */
  creator: () => Promise<pg.Client>
}

/** Starts a stand-in for the tests of a describe block, and gives each of them the same state and new sessions. */
export function useStandIn(major: Major): Bench {
  const bench = {} as Bench
  const others: pg.Client[] = []
  bench.creator = async () => {
    const client = await bench.server.connect('mine', { user: 'creator', password: 'creator' })
    others.push(client)
    return client
  }
  beforeAll(async () => {
    bench.server = await PolarStandIn.start({ major })
    const { backend } = bench.server
    await backend.sql(`CREATE ROLE creator LOGIN CREATEROLE CREATEDB PASSWORD 'creator'`)
    await backend.sql('CREATE DATABASE mine OWNER gctest')
  })
  afterAll(async () => {
    await bench.server.stop()
  })
  beforeEach(async () => {
    await bench.server.backend.sql('CREATE ROLE p; CREATE ROLE q; CREATE ROLE r')
    bench.client = await bench.server.connect('mine')
  })
  afterEach(async () => {
    await bench.client.end()
    for (const client of others.splice(0)) await client.end()
    const { rows } = await bench.server.backend.sql(leftovers, 'mine')
    for (const { statement } of rows) await bench.server.backend.sql(statement)
  })
  return bench
}
