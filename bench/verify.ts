/**
 * What the proof costs: the digest of whole tables beside `SELECT count(*)` and beside pgcopydb's method, in one run on
 * one server, so that the ratios mean something on any machine.
 *
 *     node bench/verify.ts [major] [thousand rows]
 *
 * Starts a server of its own and removes it again. Prints a Markdown table; the docs quote it.
 */

import { type Major, majors, TestServer } from '../__tests__/support/server.ts'
import { testContext } from '../__tests__/support/verify-run.ts'
import { fingerprintDatabase } from '../src/migration/verify/fingerprint.ts'
import { digestExpression, type Recipe } from '../src/migration/verify/rows/digest.ts'
import { parseConnectionString } from '../src/postgres/connection-string.ts'

const major = majors.find((one) => one === Number(process.argv[2] ?? 15)) satisfies
  | Major
  | undefined
if (major === undefined) throw new Error(`major must be one of ${majors.join(', ')}`)
const rows = Number(process.argv[3] ?? 1000) * 1000
const repetitions = 3

const tables: Record<string, string> = {
  // narrow, as pgbench's accounts
  accounts: `SELECT g::int AS aid, (g % 50)::int AS bid, 0::int AS abalance, ''::char(84) AS filler FROM generate_series(1, ${rows}) g`,
  // of many types
  events: `SELECT g::bigint AS id, (g % 1000)::int AS uid, timestamptz '2024-01-01' + g * interval '1 s' AS at,
             ('{"a":' || g || ',"b":"x","tags":["q","r"]}')::jsonb AS payload, 'kind' || g % 10 AS kind,
             (g * 1.01)::numeric(12,2) AS amount, md5(g::text) AS note, g % 2 = 0 AS ok FROM generate_series(1, ${rows}) g`,
  // long texts, most of the time goes into reading them
  documents: `SELECT g AS id, repeat(md5(g::text), 40) AS body FROM generate_series(1, ${Math.ceil(rows / 10)}) g`,
}

const server = await TestServer.start(major, {
  settings: { shared_buffers: "'1GB'", max_wal_size: "'4GB'", autovacuum: 'off' },
})
try {
  await server.sql('CREATE DATABASE bench')
  for (const [name, query] of Object.entries(tables)) {
    await server.sql(`CREATE TABLE ${name} AS ${query}`, 'bench')
    await server.sql(`VACUUM ANALYZE ${name}`, 'bench')
  }
  const connection = parseConnectionString(server.uri())
  const take = (level: 'counts' | 'data') =>
    fingerprintDatabase(
      { connection, database: 'bench', level, jobs: 2, targetMajor: major },
      testContext(),
    )
  const fingerprint = await take('data')

  console.log(
    `PostgreSQL ${major}, ${rows / 1000} thousand rows, one process, best of ${repetitions}\n`,
  )
  console.log(
    '| table | `count(*)` | this digest | pgcopydb: `sum(hashtext(t::text))` | digest / pgcopydb |',
  )
  console.log('|---|---|---|---|---|')
  const client = await server.connect('bench')
  await client.query('SET max_parallel_workers_per_gather = 0')
  if (major >= 11) await client.query('SET jit = off')
  for (const name of Object.keys(tables)) {
    const index = fingerprint.tables.find((table) => table.name === name)?.recipe ?? -1
    const recipe: Recipe = fingerprint.recipes[index] ?? []
    const best = { count: await time(client, name, ''), digest: 0, pgcopydb: 0 }
    best.digest = await time(client, name, `, ${digestExpression(recipe, fingerprint.method, 't')}`)
    best.pgcopydb = await time(client, name, ', sum(hashtext(t::text)::bigint)')
    const ratio = (best.digest / best.pgcopydb).toFixed(2)
    console.log(
      `| ${name} | ${seconds(best.count)} | ${seconds(best.digest)} | ${seconds(best.pgcopydb)} | ${ratio} |`,
    )
  }
  await client.end()
  console.log('\n| whole database, two jobs | seconds | rows per second |\n|---|---|---|')
  for (const level of ['counts', 'data'] as const) {
    const taken = await take(level)
    console.log(
      `| verify: ${level} | ${taken.seconds.toFixed(2)} | ${taken.rowsPerSecond.toLocaleString('en-US')} |`,
    )
  }
} finally {
  await server.stop()
}

async function time(
  client: Awaited<ReturnType<TestServer['connect']>>,
  table: string,
  more: string,
) {
  let best = Number.POSITIVE_INFINITY
  for (let run = 0; run < repetitions; run++) {
    const started = performance.now()
    await client.query(`SELECT count(*)${more} FROM ONLY ${table} AS t`)
    best = Math.min(best, performance.now() - started)
  }
  return best / 1000
}

function seconds(value: number): string {
  return `${value.toFixed(2)} s`
}
