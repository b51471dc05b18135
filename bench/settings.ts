/**
 * What the settings of a restore's sessions bring that are told of everywhere, one piece of its work each: those that win by more than
 * the noise are made in src/migration/restore/run, the others are not.
 *
 *     node bench/settings.ts [thousand rows] [major] [rounds] [pieces]
 *
 * Starts a server of its own, which keeps its data on the disk and waits for it, and removes it again. The settings of a piece go in
 * turns, and each is compared with the first of the same round; the seconds of a processor are the server's, without those that
 * write its buffers and its log.
 */

import { setTimeout } from 'node:timers/promises'
import { type Major, TestServer } from '../__tests__/support/server.ts'
import { cpuOf, median, postmasterOf } from './processors.ts'

const rows = Number(process.argv[2] ?? 500) * 1000
const major = Number(process.argv[3] ?? 15) as Major
const rounds = Number(process.argv[4] ?? 5)
const only = process.argv[5]?.split(',')

/** A piece of a restore's work, the settings to be compared, the first of them what a session has today. */
interface Piece {
  settings: readonly string[]
  /** The messages of each session, side by side; {set} stands for the setting. */
  sessions: readonly (readonly string[])[]
  /** Is done before it, and does not count. */
  before: readonly string[]
}

const columns = 'id int, customer int, at timestamptz, note text'
const small = `DO $$ BEGIN FOR i IN 1..300 LOOP
  EXECUTE 'CREATE TABLE small_' || i || ' AS SELECT g, md5(g::text) AS note FROM generate_series(1, 50) g'; COMMIT;
END LOOP; END $$`
const dropSmall = `DO $$ BEGIN FOR i IN 1..300 LOOP EXECUTE 'DROP TABLE IF EXISTS small_' || i; END LOOP; END $$`
// as sorted for an index 500 thousand rows fit into the first, and not into the smaller ones
const memory = ['64MB', '256MB', '16MB', '4MB'].map(
  (size) => `SET maintenance_work_mem = '${size}'`,
)
const alone = 'SET max_parallel_maintenance_workers = 0'
const compression = ['off', 'on'].map((value) => `SET wal_compression = ${value}`)
const file = '/t.copy'

function piecesOf(directory: string): Record<string, Piece> {
  const copy = (options: string) => `COPY u FROM '${directory}${file}'${options}`
  const dropIndexes = ['DROP INDEX IF EXISTS a, b, c, d']
  const reference = [
    'ALTER TABLE t DROP CONSTRAINT IF EXISTS r',
    'ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (customer) REFERENCES customers NOT VALID',
  ]
  return {
    'load, read and VACUUM, FREEZE': {
      settings: ['', ' WITH (FREEZE)'],
      sessions: [
        [
          `BEGIN; TRUNCATE u; ${copy('{set}')}; COMMIT`,
          `SELECT sum(hashtextextended(u::text, 0)) FROM u`,
          `VACUUM u`,
        ],
      ],
      before: ['TRUNCATE u'],
    },
    'load, synchronous_commit': {
      settings: ['on', 'off'].map((value) => `SET synchronous_commit = ${value}`),
      sessions: [['{set}', copy('')]],
      before: ['TRUNCATE u'],
    },
    '300 tables, a commit each, synchronous_commit': {
      settings: ['on', 'off'].map((value) => `SET synchronous_commit = ${value}`),
      sessions: [['{set}', small]],
      before: [dropSmall],
    },
    'b-tree text, wal_compression': {
      settings: compression,
      sessions: [['{set}', 'CREATE INDEX a ON t (note)']],
      before: dropIndexes,
    },
    'b-tree integer, maintenance_work_mem': {
      settings: memory,
      sessions: [['{set}', 'CREATE INDEX a ON t (customer, id)']],
      before: dropIndexes,
    },
    'b-tree text, maintenance_work_mem': {
      settings: memory,
      sessions: [['{set}', 'CREATE INDEX a ON t (note)']],
      before: dropIndexes,
    },
    'four b-trees, two sessions, max_parallel_maintenance_workers': {
      settings: [2, 0, 1].map((count) => `SET max_parallel_maintenance_workers = ${count}`),
      sessions: [
        ['{set}', 'CREATE INDEX a ON t (id)', 'CREATE INDEX b ON t (customer, at)'],
        ['{set}', 'CREATE INDEX c ON t (at)', 'CREATE INDEX d ON t (note)'],
      ],
      before: dropIndexes,
    },
    'one b-tree alone, max_parallel_maintenance_workers': {
      settings: [2, 0, 1].map((count) => `SET max_parallel_maintenance_workers = ${count}`),
      sessions: [['{set}', 'CREATE INDEX a ON t (note)']],
      before: dropIndexes,
    },
    // with less than 64 MB there is no parallel build (PostgreSQL, "CREATE INDEX"), so this is memory alone
    'b-tree integer, one process, maintenance_work_mem': {
      settings: memory,
      sessions: [[alone, '{set}', 'CREATE INDEX a ON t (customer, id)']],
      before: dropIndexes,
    },
    'b-tree text, one process, maintenance_work_mem': {
      settings: memory,
      sessions: [[alone, '{set}', 'CREATE INDEX a ON t (note)']],
      before: dropIndexes,
    },
    'foreign key, maintenance_work_mem': {
      settings: memory,
      sessions: [['{set}', 'ALTER TABLE t VALIDATE CONSTRAINT r']],
      before: reference,
    },
    'foreign key, work_mem': {
      settings: ['4MB', '64MB'].map((size) => `SET work_mem = '${size}'`),
      sessions: [['{set}', 'ALTER TABLE t VALIDATE CONSTRAINT r']],
      before: reference,
    },
  }
}

interface Taken {
  cpu: number
  clock: number
  /** Megabytes of WAL. */
  wal: number
}

const server = await TestServer.start(major, {
  onDisk: true,
  settings: {
    fsync: 'on',
    full_page_writes: 'on',
    shared_buffers: "'512MB'",
    max_wal_size: "'8GB'",
  },
})
try {
  const postmaster = postmasterOf(server)
  await server.sql(
    `CREATE TABLE customers AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, ${rows}) g;
     ALTER TABLE customers ADD PRIMARY KEY (id);
     CREATE TABLE t (${columns}); CREATE TABLE u (${columns});
     INSERT INTO t SELECT (g::bigint * 7919 % ${rows})::int, 1 + (g::bigint * 104729 % ${rows})::int, timestamptz '2024-01-01' + g * interval '1 s', md5(g::text)
       FROM generate_series(1, ${rows}) g`,
  )
  // as in a restore, keys are checked before there are statistics
  await server.sql('VACUUM')
  await server.sql(`COPY t TO '${server.directory}${file}'`)

  const written = async () => {
    const {
      rows: [row],
    } = await server.sql(`SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') / 1e6 AS wal`)
    return Number(row.wal)
  }
  const work = async (messages: readonly string[], setting: string) => {
    const client = await server.connect()
    try {
      for (const message of messages) await client.query(message.replaceAll('{set}', setting))
    } finally {
      await client.end()
    }
  }
  const taken = async (piece: Piece, setting: string): Promise<Taken> => {
    for (const message of piece.before) await server.sql(message)
    await server.sql('CHECKPOINT')
    const wal = await written()
    const cpu = cpuOf(postmaster).children
    const began = performance.now()
    await Promise.all(piece.sessions.map((messages) => work(messages, setting)))
    const clock = (performance.now() - began) / 1000
    // a session counts once the postmaster has seen its end
    await setTimeout(200)
    const after = await written()
    return { cpu: cpuOf(postmaster).children - cpu, clock, wal: after - wal }
  }

  console.log(
    `PostgreSQL ${major}, ${rows / 1000} thousand rows, medians of ${rounds} rounds; in brackets the lowest and the highest, and how many rounds were below the first\n`,
  )
  console.log('| piece | setting | server, s of a processor | ratio | clock, s | ratio | WAL, MB |')
  console.log('| --- | --- | --- | --- | --- | --- | ---: |')
  for (const [name, piece] of Object.entries(piecesOf(server.directory))) {
    if (only && !only.some((part) => name.includes(part))) continue
    const all = piece.settings.map((): Taken[] => [])
    // the first of all meets what nobody has touched yet
    await taken(piece, piece.settings[0] ?? '')
    for (let round = 0; round < rounds; round++) {
      const turn = [...piece.settings.keys()]
      for (const at of round % 2 === 0 ? turn : turn.reverse())
        all[at]?.push(await taken(piece, piece.settings[at] ?? ''))
    }
    for (const [at, setting] of piece.settings.entries()) {
      const cells = [name, setting.trim().replace(/^SET /, '') || 'plain']
      for (const what of ['cpu', 'clock'] as const) {
        const figures = all[at]?.map((one) => one[what]) ?? []
        const ratios = figures.map((one, round) => one / (all[0]?.[round]?.[what] ?? Number.NaN))
        const below = ratios.filter((ratio) => ratio < 1).length
        cells.push(
          `${median(figures).toFixed(2)} (${Math.min(...figures).toFixed(2)} to ${Math.max(...figures).toFixed(2)})`,
          at === 0 ? '' : `${median(ratios).toFixed(2)} (${below} of ${rounds})`,
        )
      }
      cells.push(median(all[at]?.map(({ wal }) => wal) ?? []).toFixed(0))
      console.log(`| ${cells.join(' | ')} |`)
    }
  }
} finally {
  await server.stop()
}
