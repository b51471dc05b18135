import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { newestMinor } from '../support/clients.ts'
import { runInProcess } from '../support/in-process.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { Harness } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

let target: PlainTarget
let harness: Harness

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 cannot be had on this machine')
  harness = opened
  target = await startPlainTarget(15)
})
afterAll(async () => {
  await harness?.close()
  await target?.stop()
})

const newest = await newestMinor()
// the embedded servers are built without lz4
const withLz4 = newest?.major === 15 ? test : test.skip

withLz4(
  'columns compressed by lz4 arrive on a server without it, and only that is explained',
  async () => {
    const directory = newest?.directory ?? ''
    const source = await TestServer.start(15, { programs: directory })
    try {
      await source.sql('CREATE DATABASE packed')
      await source.sql(
        `CREATE TABLE t (id int PRIMARY KEY, a text COMPRESSION lz4, b text COMPRESSION pglz);
       INSERT INTO t SELECT g, repeat('abc', 5000), repeat('def', 5000) FROM generate_series(1, 50) g`,
        'packed',
      )
      const { report, error } = await runInProcess({
        command: 'migrate',
        source: source.uri('packed'),
        target: target.uri('postgres'),
        'client-path': directory,
        roles: 'skip',
        'upload-dump': 'false',
        'keep-dump': 'true',
        'dump-directory': `${harness.directory}/packed`,
      })
      expect(error).toBeUndefined()
      expect(report.verified).toBe(true)
      const tables = report.databases[0]?.objects.find(({ kind }) => kind === 'table')
      const explained = tables?.explained?.filter(({ entry }) => !entry.includes('owner'))
      expect(explained).toEqual([
        {
          entry: expect.stringContaining('compression of a'),
          reason: expect.stringContaining('without COMPRESSION lz4'),
        },
      ])
      expect(tables?.different).toEqual([])
    } finally {
      await source.stop()
    }
  },
)

test('a view on a postfix operator of the users own goes with the operator, before the first byte', async () => {
  const source = await TestServer.start(13)
  try {
    await source.sql('CREATE DATABASE shouting')
    await source.sql(
      `CREATE FUNCTION loud(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper($1) $$;
       CREATE OPERATOR !!! (LEFTARG = text, FUNCTION = loud);
       CREATE VIEW v AS SELECT 'a'::text !!! AS a; CREATE VIEW w AS SELECT a FROM v`,
      'shouting',
    )
    const dump = await harness.dump(source, 'shouting')
    const failure = await harness.restore(dump, target).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(Failure)
    for (const entry of ['OPERATOR public.!!!', 'VIEW public.v', 'VIEW public.w'])
      expect((failure as Failure).why).toContain(entry)
    await harness.restore(dump, target, { allowMissing: ['OPERATOR public.!!!'] })
  } finally {
    await source.stop()
  }
})
