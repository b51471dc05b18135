/** What is decided before the source is frozen, while people still work with it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Failure } from '../../src/failure.ts'
import { clientDirectory } from '../support/clients.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: PlainTarget
let near: TcpProxy
let client: string
let directory: string

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 cannot be had on this machine')
  client = found
  directory = await mkdtemp(join(tmpdir(), 'look-ahead-'))
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
  near = await TcpProxy.start(source.port)
  for (const database of ['lossy', 'busy', 'moving', 'calm'])
    await source.sql(`CREATE DATABASE ${database}`)
  await source.sql(
    `CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
     CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION note()`,
    'lossy',
  )
  await source.sql('CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t VALUES (1)', 'busy')
})
afterAll(async () => {
  await near?.stop()
  await Promise.all([source, target].map((one) => one?.stop()))
  if (directory) await rm(directory, { recursive: true })
})

/** Migrates a database through the proxy, and freezes it. */
function migrate(database: string, more: Record<string, string> = {}): Promise<CommandResult> {
  const { password } = source
  const uri = (name?: string) => through(near, source.uri(name))
  return runInProcess(
    between({ uri, password }, target, database, {
      command: 'migrate',
      'client-path': client,
      'upload-dump': 'false',
      'freeze-source': 'true',
      ...more,
    }),
    { sample: 300 },
  )
}

const phasesOf = ({ report }: CommandResult) =>
  report.phases.map(({ name, status }) => `${name} ${status}`)

test('what the target cannot take is told before anybody is sent away', async () => {
  const worker = await source.connect('lossy')
  const result = await migrate('lossy')
  expect((result.error as Failure).line).toContain('EVENT TRIGGER watch')
  expect(phasesOf(result)).toEqual(['preflight succeeded', 'client succeeded', 'schema failed'])
  expect(result.report.freeze).toBeUndefined()
  expect((await worker.query('SELECT 1')).rowCount).toBe(1)
  await worker.end()
})

test('a source that an earlier run has frozen is looked at when it is taken over, and how it is left is told', async () => {
  const dump = { command: 'dump', 'keep-dump': 'true', 'dump-directory': join(directory, 'dump') }
  expect((await migrate('lossy', dump)).error).toBeUndefined()
  const result = await migrate('lossy')
  expect((result.error as Failure).line).toContain('EVENT TRIGGER watch')
  expect(phasesOf(result).slice(2)).toEqual([
    'freeze succeeded',
    'dump-roles succeeded',
    'schema failed',
  ])
  expect((result.error as Failure).remedy).toContain('The source stays frozen')
  expect(result.report.freeze).toMatchObject({ frozen: true })
})

test('a table that somebody has for himself is looked at when the freeze has ended him', async () => {
  const worker = await source.connect('busy')
  await worker.query('BEGIN; LOCK TABLE t')
  worker.on('error', () => {})
  const result = await migrate('busy')
  expect(result.error).toBeUndefined()
  expect(result.report.verified).toBe(true)
  expect(result.lines.join('\n')).toMatch(/cannot be dumped while others use the source/)
  expect(phasesOf(result).slice(2, 7)).toEqual(
    ['schema', 'freeze', 'dump-roles', 'schema', 'dump'].map((name) => `${name} succeeded`),
  )
  expect(result.report.freeze).toMatchObject({ frozen: true, ended: 1, written: false })
})

test('roles that change before the freeze are decided about again, and none others', async () => {
  const frozen = near.when(/ALTER DATABASE \S+ SET default_transaction_read_only/, 'hold')
  const again = /The roles have changed since they were looked at/
  const running = migrate('moving')
  await frozen
  await source.sql(`CREATE ROLE newcomer LOGIN PASSWORD 'n'`)
  near.release()
  const result = await running
  expect(result.error).toBeUndefined()
  expect(result.report.verified).toBe(true)
  expect(result.lines.join('\n')).toMatch(again)
  const roles = `SELECT FROM pg_roles WHERE rolname = 'newcomer'`
  expect((await target.backend.sql(roles)).rowCount).toBe(1)
  const unchanged = await migrate('calm')
  expect(unchanged.error).toBeUndefined()
  expect(unchanged.report.verified).toBe(true)
  expect(unchanged.lines.join('\n')).not.toMatch(again)
  expect(phasesOf(unchanged).slice(2, 6)).toEqual(
    ['schema', 'freeze', 'dump-roles', 'dump'].map((name) => `${name} succeeded`),
  )
})
