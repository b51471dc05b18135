import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { inspectSource } from '../../src/migration/checks/preflight.ts'
import { estimateMigration } from '../../src/migration/estimate/estimate.ts'
import { required } from '../../src/migration/inputs.ts'
import type { Run } from '../../src/migration/run.ts'
import { clientDirectory } from '../support/clients.ts'
import { runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { TestServer } from '../support/server.ts'

/** How large a dump will be, where what is on the server's disk says little of it. */

let server: TestServer
let client: string
let directory: string

const document = (table: string) =>
  `CREATE TABLE ${table} AS SELECT g AS id, jsonb_build_object('a', repeat(md5(g::text), 200)) AS body FROM generate_series(1, 2000) g`
/** Long values in a table of its own, incompressible and not. */
const kinds: [string, string][] = [
  [
    'what TOAST has compressed, in more tables than are looked into',
    Array.from({ length: 6 }, (_, number) => document(`t${number}`)).join(';'),
  ],
  [
    'bytes, of which each has two digits',
    `CREATE TABLE t AS SELECT g AS id, decode((SELECT string_agg(md5((g * 300 + w)::text), '') FROM generate_series(1, 300) w), 'hex') AS body
       FROM generate_series(1, 600) g`,
  ],
  [
    'short rows that were written before long ones',
    `CREATE TABLE t (id int, body text); INSERT INTO t SELECT g, 'x' FROM generate_series(1, 100000) g;
     INSERT INTO t SELECT g, repeat(md5(g::text), 400) FROM generate_series(1, 3000) g`,
  ],
  [
    'long rows that were written before short ones',
    `CREATE TABLE t (id int, body text); INSERT INTO t SELECT g, repeat(md5(g::text), 400) FROM generate_series(1, 3000) g;
     INSERT INTO t SELECT g, 'x' FROM generate_series(1, 100000) g`,
  ],
  [
    'rows between much free space',
    `CREATE TABLE t AS SELECT g AS id, md5(g::text) AS body FROM generate_series(1, 100000) g;
     DELETE FROM t WHERE id % 11 <> 0; ANALYZE t`,
  ],
  [
    'large objects, whose pages are compressed',
    `DO $$ BEGIN FOR o IN 1..600 LOOP PERFORM lo_from_bytea(0, decode(repeat(md5(o::text), 2000), 'hex')); END LOOP; END $$`,
  ],
]

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 are missing')
  client = found
  server = await TestServer.start(15)
  directory = await mkdtemp(join(tmpdir(), 'estimate-'))
})

afterAll(async () => {
  await server?.stop()
  if (directory) await rm(directory, { recursive: true, force: true })
})

test.each(kinds)('the dump of %s is as large as was said', async (_, sql) => {
  const name = `kind_${kinds.findIndex((kind) => kind[1] === sql)}`
  await server.sql(`CREATE DATABASE ${name}`)
  await server.sql(sql, name)
  for (const compression of ['none', 'gzip:1']) {
    const inputs = {
      ...between(server, server, name),
      ...{ 'client-path': client, 'upload-dump': 'false', roles: 'skip', compression },
      ...{ 'keep-dump': 'true', 'dump-directory': join(directory, `${name}-${compression}`) },
    }
    const estimated = await runInProcess(inputs, {}, async (run: Run) => {
      const source = await inspectSource(required(run.inputs, 'source'), run.inputs.databases, run)
      await estimateMigration(source, undefined, run)
    })
    if (estimated.error) throw estimated.error
    const dumped = await runInProcess({ ...inputs, command: 'dump', target: '' })
    if (dumped.error) throw dumped.error
    const said = estimated.report.estimate?.dumpBytes
    const bytes = dumped.report.databases[0]?.dumpBytes ?? 0
    // what describes it is of no account beside the rows of a real database
    expect(bytes).toBeLessThan((said?.high ?? 0) + 20_000)
    expect(bytes).toBeGreaterThan((said?.low ?? Number.POSITIVE_INFINITY) * 0.9)
  }
})
