import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { planRestore } from '../../src/migration/restore/plan-restore.ts'
import {
  acrossNodes,
  acrossSetting,
  builtAcrossNodes,
} from '../../src/migration/restore/run/across-nodes.ts'
import { PolarStandIn } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { type Dump, Harness, restoreDatabase } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let harness: Harness
let dump: Dump

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  source = await TestServer.start(15)
  await source.sql('CREATE DATABASE px')
  await source.sql(
    `CREATE TABLE t (id int, a text, "B c" int);
     INSERT INTO t SELECT g, md5(g::text), g FROM generate_series(1, 100000) g;
     CREATE INDEX plain ON t (a, "B c"); ALTER TABLE t CLUSTER ON plain; COMMENT ON INDEX plain IS 'kept';
     CREATE INDEX filled ON t (a) WITH (fillfactor = 70); CREATE UNIQUE INDEX one ON t (id); CREATE INDEX part ON t (id) WHERE id > 5;
     CREATE INDEX including ON t (id) INCLUDE (a); CREATE INDEX expression ON t (lower(a)); CREATE INDEX hashed ON t USING hash (id);
     CREATE INDEX down ON t (id DESC); CREATE INDEX other_order ON t (a text_pattern_ops);`,
    'px',
  )
  dump = await harness.dump(source, 'px')
})

afterAll(async () => {
  await harness?.close()
  await source?.stop()
})

describe.each(['on', 'off'])('where the cluster has polar_px_enable_btbuild %s', (value) => {
  test('a plain b-tree is built by all nodes if so, and nothing of that stays with it', async () => {
    const polar = await PolarStandIn.start({
      major: 11,
      settings: { 'polar.px_enable_btbuild': value },
    })
    const proxy = await TcpProxy.start(polar.port)
    try {
      const far = {
        account: polar.account,
        backend: polar.backend,
        uri: (database?: string) => through(proxy, polar.uri(database)),
        connect: (database?: string) => polar.connect(database),
      }
      const options = await harness.options(dump, far)
      const plan = await planRestore(options, harness.context)
      // a stock server lists no setting of that name
      Object.assign(plan.facts, {
        settings: new Map([...plan.facts.settings, [acrossSetting, 'user']]),
      })
      expect(
        plan.entries.flatMap((item) => (acrossNodes(item, plan) ? [item.entry.tag] : [])),
      ).toEqual(['plain'])
      let seen = false
      void proxy.when(/CREATE INDEX plain .* WITH \(px_build = on\);/, 'none').then(() => {
        seen = true
      })
      const { result, release } = await restoreDatabase(options, plan, harness.context)
      await release()
      expect(seen).toBe(value === 'on')
      expect(result.failed).toEqual([])
      const indexes = `
        SELECT pg_get_indexdef(indexrelid) AS definition, c.reloptions, indisclustered, indisvalid, obj_description(c.oid) AS comment
          FROM pg_index x JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 't'::regclass ORDER BY 1`
      expect((await polar.backend.sql(indexes, 'px')).rows).toEqual(
        (await source.sql(indexes, 'px')).rows,
      )
    } finally {
      await proxy.stop()
      await polar.stop()
    }
  })
})

test('what the server refuses leaves nothing, and is built as ever', async () => {
  const polar = await PolarStandIn.start({
    major: 11,
    settings: { 'polar.px_enable_btbuild': 'on' },
  })
  const client = await polar.connect()
  try {
    await client.query('CREATE TABLE t (a int)')
    const refused = 'CREATE INDEX i ON t USING btree (a); ALTER INDEX i RESET (px_build) nonsense;'
    expect(await builtAcrossNodes(client, refused)).toBe(false)
    const late = 'CREATE INDEX i ON t USING btree (a); ALTER INDEX nowhere RESET (px_build);'
    expect(await builtAcrossNodes(client, late)).toBe(false)
    expect((await client.query(`SELECT to_regclass('i') AS i`)).rows).toEqual([{ i: null }])
    expect(await builtAcrossNodes(client, 'CREATE INDEX i ON t USING btree (a)')).toBe(true)
  } finally {
    await client.end()
    await polar.stop()
  }
})
