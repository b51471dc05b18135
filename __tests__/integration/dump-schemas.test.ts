import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Failure } from '../../src/failure.ts'
import { inspectSource } from '../../src/migration/checks/preflight.ts'
import { type DumpedSchemas, withSchemas } from '../../src/migration/dump/schemas.ts'
import { openDumpSource } from '../../src/migration/dump/source.ts'
import { required } from '../../src/migration/inputs.ts'
import { clientDirectory } from '../support/clients.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let proxy: TcpProxy
let programs: string

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 cannot be had on this machine')
  programs = found
  source = await TestServer.start(15)
  for (const name of ['one', 'two', 'three']) {
    await source.sql(`CREATE DATABASE ${name}`)
    await source.sql(`CREATE VIEW of_${name} AS SELECT 1`, name)
  }
  proxy = await TcpProxy.start(Number(new URL(source.uri()).port))
})
afterAll(async () => {
  await proxy?.stop()
  await source?.stop()
})

interface Seen extends CommandResult {
  directory: string
}

async function dumping(
  work: (schemas: Promise<DumpedSchemas>, directory: string) => Promise<void>,
  refused?: (database: string, failure: Failure) => void,
  before = async () => {},
): Promise<Seen> {
  let directory = ''
  const result = await runInProcess(
    {
      command: 'preflight',
      source: through(proxy, source.uri('one')),
      databases: 'one\ntwo\nthree',
      'client-path': programs,
      'client-version': '15',
    },
    { pauses: [0, 0, 0] },
    async (run) => {
      directory = join(run.temporaryDirectory, 'schemas')
      const from = await inspectSource(required(run.inputs, 'source'), run.inputs.databases, run)
      const dumpSource = await openDumpSource(from, run)
      await before()
      await withSchemas(from, dumpSource, run, (schemas) => work(schemas, directory), { refused })
    },
  )
  return { ...result, directory }
}

const archives = (directory: string) =>
  ['one', 'two', 'three'].map((name) => join(directory, 'databases', name, '1', 'toc.dat'))

test('the definitions of all databases are dumped while something else is done, in their order, and do not stay', async () => {
  const { error, directory } = await dumping(async (schemas, below) => {
    // nobody waits for them yet
    while (!archives(below).every((file) => existsSync(file))) await sleep(20)
    const { databases, seconds } = await schemas
    expect(databases.map(({ name }) => name)).toEqual(['one', 'two', 'three'])
    expect([...seconds.keys()].sort()).toEqual(['one', 'three', 'two'])
  })
  expect(error).toBeUndefined()
  expect(existsSync(directory)).toBe(false)
})

test('what is refused of one database is told, and the others are dumped', async () => {
  const refused: string[] = []
  try {
    const { error } = await dumping(
      async (schemas) => {
        const { databases } = await schemas
        expect(databases.map(({ name }) => name)).toEqual(['one', 'three'])
      },
      (database) => refused.push(database),
      async () => void (await source.sql('ALTER DATABASE two ALLOW_CONNECTIONS false')),
    )
    expect(error).toBeUndefined()
    expect(refused).toEqual(['two'])
  } finally {
    await source.sql('ALTER DATABASE two ALLOW_CONNECTIONS true')
  }
})

test('what fails meanwhile ends the dump of the definitions, and its programs', async () => {
  const met = proxy.when(/pg_get_viewdef/, 'stall')
  const { error, directory } = await dumping(async () => {
    await met
    throw new Error('the roles cannot be read')
  })
  expect(String(error)).toContain('the roles cannot be read')
  expect(existsSync(directory)).toBe(false)
})
