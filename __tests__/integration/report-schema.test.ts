import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { commands } from '../../src/commands/index.ts'
import { clientDirectory } from '../support/clients.ts'
import { runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { mistakesIn } from '../support/report-schema.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: PlainTarget
let client: string
let directory: string

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 cannot be had on this machine')
  client = found
  directory = await mkdtemp(join(tmpdir(), 'report-schema-'))
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
  await source.sql('CREATE DATABASE shop')
  await source.sql(
    `CREATE ROLE seller LOGIN PASSWORD 's'; CREATE TABLE t (id int PRIMARY KEY, note text);
     INSERT INTO t SELECT i, 'note ' || i FROM generate_series(1, 500) i; CREATE INDEX ON t (note);
     CREATE VIEW v AS SELECT note FROM t; SELECT lo_from_bytea(0, 'x')`,
    'shop',
  )
})
afterAll(async () => {
  await Promise.all([source, target].map((one) => one?.stop()))
  await rm(directory, { recursive: true, force: true })
})

/** In this order each finds what it needs. */
const inputs: Record<string, () => Record<string, string>> = {
  preflight: () => ({ 'allow-writes': 'true' }),
  rehearse: () => ({ 'allow-writes': 'true', roles: 'skip' }),
  dump: () => ({ 'dump-directory': directory, 'keep-dump': 'true' }),
  restore: () => ({ 'dump-directory': directory }),
  verify: () => ({}),
  migrate: () => ({ 'freeze-source': 'true', databases: 'shop=other' }),
  unfreeze: () => ({ 'confirm-unfreeze': 'true', databases: 'shop=other' }),
}

test('every command is tried', () => {
  expect(Object.keys(inputs).sort()).toEqual(commands.map(({ name }) => name).sort())
})

test.each(Object.keys(inputs))('the report of a real %s is as the schema says', async (command) => {
  const { source: from, 'source-password': password, ...to } = between(source, target, 'shop')
  const { report, error } = await runInProcess({
    ...(command === 'restore' ? {} : { source: from ?? '', 'source-password': password ?? '' }),
    ...(command === 'dump' ? {} : to),
    'client-path': client,
    'upload-dump': 'false',
    command,
    ...inputs[command]?.(),
  })
  expect(error).toBeUndefined()
  expect(mistakesIn(report)).toEqual([])
  expect(report.phases.length).toBeGreaterThan(0)
})
