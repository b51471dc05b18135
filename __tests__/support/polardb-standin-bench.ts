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
  /** The superuser, in the database `postgres`. */
  admin: pg.Client
  /** The polar_superuser, in a database `mine` of its own; roles p, q and r are there. */
  client: pg.Client
  /** Connects an account with CREATEROLE and CREATEDB alone. */
  creator: () => Promise<pg.Client>
}

/** Starts a stand-in for the tests of a describe block, and gives each of them the same state and new sessions. */
export function useStandIn(major: Major): Bench {
  const others: pg.Client[] = []
  const bench = {
    creator: async () => {
      const client = await bench.server.connect('mine', { user: 'creator', password: 'creator' })
      others.push(client)
      return client
    },
  } as Bench
  beforeAll(async () => {
    bench.server = await PolarStandIn.start({ major })
    bench.admin = await bench.server.backend.connect()
    await bench.admin.query(`CREATE ROLE creator LOGIN CREATEROLE CREATEDB PASSWORD 'creator'`)
    await bench.admin.query('CREATE DATABASE mine OWNER gctest')
  })
  afterAll(async () => {
    await bench.admin.end()
    await bench.server.stop()
  })
  beforeEach(async () => {
    await bench.admin.query('CREATE ROLE p; CREATE ROLE q; CREATE ROLE r')
    bench.client = await bench.server.connect('mine')
  })
  afterEach(async () => {
    await bench.client.query('ROLLBACK')
    const { rows } = await bench.client.query<{ statement: string }>(leftovers)
    for (const client of [bench.client, ...others.splice(0)]) await client.end()
    for (const { statement } of rows) await bench.admin.query(statement)
  })
  return bench
}
