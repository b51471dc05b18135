/**
 * What several sessions bring for the rows of one table (src/migration/restore/run/streams.ts): pg_restore alone, then one, two, four
 * and eight sessions, as ratios, and how long the part takes that is done once however many they are.
 *
 *     node bench/streams.ts [thousand rows] [major] [compression of pg_dump]
 *
 * Starts a server of its own and removes it again. Every figure is the median of three rounds, in turns.
 */

import { availableParallelism } from 'node:os'
import { newContext } from '../__tests__/support/context.ts'
import { Harness } from '../__tests__/support/restore-harness.ts'
import { type Major, TestServer } from '../__tests__/support/server.ts'
import { Ledger } from '../src/migration/restore/database/ledger.ts'
import { noDump } from '../src/migration/restore/database/mark.ts'
import type { PlannedEntry } from '../src/migration/restore/plan/planned-entry.ts'
import { load, scriptArguments } from '../src/migration/restore/run/load.ts'
import { runPgRestore } from '../src/migration/restore/run/pg-restore.ts'
import { loadInStreams } from '../src/migration/restore/run/streams.ts'
import { readArchive } from '../src/postgres/archive/archive.ts'

const rows = Number(process.argv[2] ?? 1000) * 1000
const major = Number(process.argv[3] ?? 15) as Major
const compression = process.argv[4] ?? '1'
const rounds = 3
const counts = [1, 2, 4, 8]

const harness = await Harness.open(major)
if (!harness) throw new Error(`the client programs of ${major} are missing`)
const server = await TestServer.start(major)
try {
  await server.sql('CREATE DATABASE streams')
  const table = 'CREATE TABLE t (id int, customer int, at timestamptz, note text, doc jsonb)'
  await server.sql(
    `${table}; INSERT INTO t SELECT g, (random() * 10000)::int, now() + g * interval '1 s', md5(g::text),
       jsonb_build_object('kind', g % 7, 'user', 'u' || (random() * 50000)::int, 'tags', jsonb_build_array(md5((g % 1000)::text)), 'amount', random())
     FROM generate_series(1, ${rows}) g`,
    'streams',
  )
  const dump = await harness.dump(server, 'streams', [`--compress=${compression}`])
  const archive = await readArchive(dump.directory)
  const entry = archive.entries.find(({ desc }) => desc === 'TABLE DATA')
  if (!entry) throw new Error('the dump has no rows')
  const item: PlannedEntry = {
    archive,
    entry,
    name: 'TABLE DATA public.t',
    decision: { kind: 'restore' },
  }
  const target = {
    account: server.superuser,
    backend: server,
    uri: (database?: string) => server.uri(database),
    connect: (database?: string) => server.connect(database),
  }
  const options = await harness.options(dump, target, {
    jobs: 8,
    streams: { from: 1, most: 8, piece: 512 * 1024 },
  })
  const { signal, log } = newContext('restore')
  const { directory } = harness
  const state = {
    dump: noDump,
    memberships: [],
    schemaGrants: [],
    databaseGrants: [],
    loader: null,
    owners: false,
  }
  let bytes = 0
  const ways = new Map<string, () => Promise<unknown>>([
    ['pg_restore alone', () => load(options, [item], 'bench', directory, signal, () => {})],
    ...counts.map((count): [string, () => Promise<unknown>] => [
      `${count} ${count === 1 ? 'session' : 'sessions'}`,
      () =>
        loadInStreams({
          ...{ options, item, name: 'bench', directory, signal, log },
          ledger: new Ledger(state, async () => {}),
          allowed: () => count,
          moved: () => {},
        }),
    ]),
    [
      'reading the dump',
      async () => {
        bytes = 0
        await runPgRestore(options, [item], directory, signal, {
          name: 'bench',
          arguments: (list) => scriptArguments(options, list, archive.directory),
          onOutput: (chunk) => {
            bytes += chunk.length
          },
        })
      },
    ],
  ])
  const taken = new Map([...ways.keys()].map((way) => [way, [] as number[]]))
  for (let round = 0; round < rounds; round++) {
    for (const [way, run] of ways) {
      await server.sql(`DROP TABLE t; ${table}; CHECKPOINT`, 'streams')
      const began = performance.now()
      await run()
      taken.get(way)?.push((performance.now() - began) / 1000)
    }
  }
  const seconds = (way: string) =>
    taken.get(way)?.sort((a, b) => a - b)[Math.floor(rounds / 2)] ?? Number.NaN
  const alone = seconds('pg_restore alone')
  console.log(
    `PostgreSQL ${major}, ${rows / 1000} thousand rows, ${(bytes / 1e6).toFixed(0)} MB of text, ${(entry.dataBytes / 1e6).toFixed(0)} MB in the dump (-Z${compression}), ${availableParallelism()} processors; pg_restore alone ${alone.toFixed(2)} s = 1`,
  )
  for (const way of ways.keys())
    console.log(`${way.padEnd(20)}${(seconds(way) / alone).toFixed(2)}`)
  const serial = seconds('reading the dump')
  console.log(
    'By calculation, with a processor for each session and one for the reader, and nothing else in the way:',
  )
  for (const count of [2, 4, 8]) {
    // one session holds the server's work for all rows; reading them goes on beside it
    const ratio = Math.max(serial, seconds('1 session') / count) / alone
    console.log(`${`${count} sessions`.padEnd(20)}${ratio.toFixed(2)}`)
  }
} finally {
  await server.stop()
  await harness.close()
}
