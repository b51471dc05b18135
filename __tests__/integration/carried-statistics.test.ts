import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { Harness } from '../support/restore-harness.ts'
import { type Major, TestServer } from '../support/server.ts'

let harness: Harness
const sources = new Map<Major, TestServer>()
const targets = new Map<Major, PlainTarget>()

/** Known by their statistics alone: no ANALYZE of the target would find them in the rows. */
const forged = `
  CREATE TABLE t (id int PRIMARY KEY, word text); INSERT INTO t SELECT g, 'w' || g % 10 FROM generate_series(1, 1000) g;
  CREATE INDEX upper ON t (upper(word)); CREATE TABLE empty (a int);
  CREATE MATERIALIZED VIEW seen AS SELECT word, count(*) FROM t GROUP BY 1;
  ANALYZE t; ANALYZE seen; DELETE FROM t WHERE word = 'w3';`

beforeAll(async () => {
  const opened = await Harness.open(18)
  if (!opened) throw new Error('the client programs of 18 are missing')
  harness = opened
  for (const major of [17, 18] as const) {
    const source = await TestServer.start(major)
    sources.set(major, source)
    await source.sql('CREATE DATABASE shop')
    await source.sql(forged, 'shop')
    targets.set(major, await startPlainTarget(major))
  }
})
afterAll(async () => {
  await harness?.close()
  await Promise.all([...sources.values(), ...targets.values()].map((server) => server.stop()))
})

/** The most common words that the planner believes in, of the table, of its index and of the materialized view. */
const believed = `SELECT tablename AS name, attname AS column, most_common_vals::text AS words FROM pg_stats
  WHERE schemaname = 'public' AND most_common_vals IS NOT NULL ORDER BY 1, 2`

test.each<[source: Major, target: Major]>([
  [18, 18],
  [17, 18],
  [18, 17],
])('statistics that pg_dump is told to dump, from %i to %i', async (from, to) => {
  const source = sources.get(from)
  const target = targets.get(to)
  if (!source || !target) throw new Error('a server is missing')
  const name = `from_${from}`
  const inputs = {
    ...between(source, target, `shop`),
    databases: `shop=${name}`,
    'client-version': '18',
    'client-path': harness.client.directory,
    'upload-dump': 'false',
    'dump-options': '--statistics',
  }
  const { report, error, lines } = await runInProcess({ ...inputs, analyze: 'false' })
  expect(error).toBeUndefined()
  expect(report).toMatchObject({ verified: true, losses: [] })
  expect(lines.join('\n')).not.toMatch(/w3/)
  const { rows } = await target.backend.sql(believed, name)
  // a server before 18 has no function for it: ANALYZE makes them there
  expect(rows).toEqual(to < 18 ? [] : (await source.sql(believed, 'shop')).rows)
  expect(JSON.stringify(rows)).toMatch(to < 18 ? /^\[\]$/ : /w3/)
})
