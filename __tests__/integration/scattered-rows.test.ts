import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { clientDirectory } from '../support/clients.ts'
import { isRestoredEarly, tinyParts } from '../support/dump-in-parts.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { TestServer } from '../support/server.ts'

/** So many that no two servers put all of them into the same partitions. */
const labels = Array.from({ length: 64 }, (_, index) => `'label ${index}'`).join(', ')

/** Partitions by the hash of an enum, alone and below others, beside a table that is in a part of its own. */
const schema = `
  CREATE TYPE mood AS ENUM (${labels});
  CREATE TABLE hashed (k mood, id int) PARTITION BY HASH (k);
  CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 3, REMAINDER 0);
  CREATE TABLE hashed_1 (id int, k mood); ALTER TABLE hashed ATTACH PARTITION hashed_1 FOR VALUES WITH (MODULUS 3, REMAINDER 1);
  CREATE TABLE hashed_2 PARTITION OF hashed FOR VALUES WITH (MODULUS 3, REMAINDER 2) PARTITION BY RANGE (id);
  CREATE TABLE hashed_2_low PARTITION OF hashed_2 FOR VALUES FROM (0) TO (500);
  CREATE TABLE hashed_2_high PARTITION OF hashed_2 DEFAULT;
  INSERT INTO hashed SELECT (enum_range(NULL::mood))[1 + g % 64], g FROM generate_series(0, 999) g;
  CREATE TABLE large AS SELECT g, md5(g::text) FROM generate_series(1, 2000) g`

let source: TestServer
let target: PlainTarget
let client: string
/** Before the source, and before the target. */
let near: TcpProxy
let far: TcpProxy

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 are missing')
  client = found
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
  await source.sql('CREATE DATABASE shop')
  await source.sql(schema, 'shop')
  ;[near, far] = await Promise.all([TcpProxy.start(source.port), TcpProxy.start(target.port)])
})

afterAll(async () => {
  await Promise.all([near?.stop(), far?.stop()])
  await source?.stop()
  await target?.stop()
})

function run(command: string, more: Record<string, string> = {}): Promise<CommandResult> {
  return runInProcess(
    {
      ...{ command, databases: 'shop', 'client-path': client },
      source: through(near, source.uri()),
      target: through(far, target.uri()),
      ...more,
    },
    { partSizes: tinyParts },
  )
}

/** Of each partition, why it may differ. */
const explained = ({ report }: CommandResult) =>
  report.databases[0]?.tables
    .filter(({ match }) => !match)
    .map(({ name, explained: why }) => [name, why])

describe('rows of partitions by the hash of an enum, which every server computes for itself', () => {
  test('are restored from an archive that does not define them, and are the same together', async () => {
    // the last part is not dumped before another one is loaded
    const last = near.when(/COPY public\.hashed/, 'hold')
    void Promise.all([last, far.when(/COPY public\.large /, 'none')]).then(() => near.release())
    const result = await run('migrate', { 'upload-dump': 'false', 'allow-missing': '*' })
    const { error, report } = result
    if (error) throw error instanceof Failure ? new Error(error.line) : error
    expect(report.verified).toBe(true)
    expect(isRestoredEarly(report, 'shop')).toBe(true)
    const differing = explained(result) ?? []
    expect(differing.length).toBeGreaterThan(1)
    for (const [name, why] of differing) {
      expect(name).toMatch(/^hashed_/)
      expect(why).toContain('all partitions of public.hashed together hold the same rows')
    }
  })

  test.each([
    ['one is missing', 'DELETE FROM hashed WHERE id = 7'],
    ['one is another', `UPDATE hashed SET id = 2000 WHERE id = 7`],
    ['one is there twice, and another is not', 'UPDATE hashed SET id = 8 WHERE id = 7'],
  ])('differ where %s', async (_, change) => {
    const undo = `DELETE FROM hashed WHERE id IN (7, 8, 2000);
      INSERT INTO hashed SELECT (enum_range(NULL::mood))[1 + g % 64], g FROM generate_series(7, 8) g`
    await target.backend.sql(change, 'shop')
    const result = await run('verify')
    await target.backend.sql(undo, 'shop')
    expect(result.report.verified).toBe(false)
    expect(explained(result)?.every(([, why]) => why === undefined)).toBe(true)
    expect((await run('verify')).report.verified).toBe(true)
  })
})
