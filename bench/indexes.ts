/**
 * What each kind of index costs beside loading its table, and with how much maintenance_work_mem it is built fastest: the
 * figures behind the order of a restore and the memory it asks for (src/migration/restore/run/costs.ts).
 *
 *     node bench/indexes.ts [thousand rows] [major]
 *
 * Starts a server of its own and removes it again. Every figure is the smallest of three rounds, in turns.
 */

import { join } from 'node:path'
import { type Major, TestServer, temporaryDirectory } from '../__tests__/support/server.ts'

const rows = Number(process.argv[2] ?? 300) * 1000
const major = Number(process.argv[3] ?? 15) as Major
const rounds = 3
const memories = ['4MB', '16MB', '64MB', '256MB', '1GB']
const kinds: [string, string][] = [
  ['btree integer', 'USING btree (id)'],
  ['btree text', 'USING btree (note)'],
  ['btree two columns', 'USING btree (customer, at)'],
  ['hash', 'USING hash (id)'],
  ['brin', 'USING brin (at)'],
  ['gin jsonb', 'USING gin (doc)'],
  ['gin jsonb_path_ops', 'USING gin (doc jsonb_path_ops)'],
  ['gin tsvector', 'USING gin (words)'],
  ['gist point', 'USING gist (place)'],
  ['gist range', 'USING gist (span)'],
  ['spgist text', 'USING spgist (note)'],
]

const server = await TestServer.start(major)
const directory = temporaryDirectory('bench-indexes-')
try {
  await server.sql(
    `CREATE TABLE t (id int, customer int, at timestamptz, note text, doc jsonb, words tsvector, place point, span int4range);
     INSERT INTO t SELECT g, (random() * 10000)::int, now() + g * interval '1 s', md5(g::text),
       jsonb_build_object('kind', g % 7, 'user', 'u' || (random() * 50000)::int, 'tags', jsonb_build_array(md5((g % 1000)::text), md5((g % 77)::text)), 'amount', random()),
       to_tsvector('simple', md5((g % 5000)::text) || ' ' || md5((g % 311)::text) || ' w' || g % 1000),
       point(random() * 100, random() * 100), int4range(g, g + 1 + (random() * 100)::int)
     FROM generate_series(1, ${rows}) g`,
    'postgres',
  )
  const file = join(directory, 't.copy')
  await server.sql(`COPY t TO '${file}'`, 'postgres')
  const best = new Map<string, number>()
  const timed = async (name: string, sql: string[]) => {
    const began = performance.now()
    for (const one of sql) await server.sql(one, 'postgres')
    best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, performance.now() - began))
  }
  for (let round = 0; round < rounds; round++) {
    await server.sql('CREATE TABLE u (LIKE t)', 'postgres')
    await timed('load', [`COPY u FROM '${file}'`])
    await server.sql('DROP TABLE u', 'postgres')
    for (const [kind, definition] of kinds) {
      for (const memory of memories) {
        await timed(`${kind} ${memory}`, [
          `SET maintenance_work_mem = '${memory}'; CREATE INDEX i ON t ${definition}`,
        ])
        await server.sql('DROP INDEX i', 'postgres')
      }
    }
  }
  const load = best.get('load') ?? 1
  const ratio = (name: string) => ((best.get(name) ?? Number.NaN) / load).toFixed(2).padStart(8)
  console.log(
    `PostgreSQL ${major}, ${rows / 1000} thousand rows, load ${(load / 1000).toFixed(2)} s = 1; an index with maintenance_work_mem of`,
  )
  console.log(`${''.padEnd(20)}${memories.map((memory) => memory.padStart(8)).join('')}`)
  for (const [kind] of kinds) {
    console.log(kind.padEnd(20) + memories.map((memory) => ratio(`${kind} ${memory}`)).join(''))
  }
} finally {
  await server.stop()
}
