/**
 * Whether planner statistics should travel with the dump (pg_dump --statistics, from version 18 on) or be collected on the target as the
 * restore does it (src/migration/analyze.ts): what either takes of processors, and what they are worth afterwards.
 *
 *     node bench/statistics.ts [scale] [rounds] [databases] [default_statistics_target]
 *
 * Starts a server of version 18 of its own and removes it again. Every figure is the median of the rounds, in turns.
 */

import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { newContext } from '../__tests__/support/context.ts'
import { Harness } from '../__tests__/support/restore-harness.ts'
import { TestServer } from '../__tests__/support/server.ts'
import { analyzeDatabase } from '../src/migration/analyze.ts'
import { readArchive } from '../src/postgres/archive/archive.ts'
import { parseConnectionString } from '../src/postgres/connection-string.ts'
import { databases } from './databases.ts'
import { cpuOf, median, postmasterOf } from './processors.ts'

const scale = Number(process.argv[2] ?? 0.25)
const rounds = Number(process.argv[3] ?? 5)
const names = (process.argv[4] ?? 'mixed,tables,one,wide').split(',')
const precision = Number(process.argv[5] ?? 100)
const jobs = 2
const run = promisify(execFile)

interface Taken {
  seconds: number
  /** Seconds of a processor: of the server, and of whoever asks it. */
  server: number
  asking: number
}

const harness = await Harness.open(18)
if (!harness) throw new Error('the client programs of 18 are missing')
const server = await TestServer.start(18, {
  onDisk: true,
  settings: {
    shared_buffers: "'1GB'",
    max_wal_size: "'4GB'",
    default_statistics_target: String(precision),
  },
})
try {
  const postmaster = postmasterOf(server)
  const program = (name: string, args: string[]) => run(join(harness.client.directory, name), args)
  const taken = async (work: () => Promise<unknown>): Promise<Taken> => {
    const before = { us: cpuOf(process.pid), server: cpuOf(postmaster) }
    const began = performance.now()
    await work()
    const seconds = (performance.now() - began) / 1000
    // a backend counts once the postmaster has seen its end
    await setTimeout(200)
    await server.sql('SELECT 1')
    const after = { us: cpuOf(process.pid), server: cpuOf(postmaster) }
    return {
      seconds,
      server: after.server.children - before.server.children,
      asking: after.us.own - before.us.own + after.us.children - before.us.children,
    }
  }

  /** What a freshly restored database says of itself, and what follows from it. */
  const standing = async (database: string, queried: boolean): Promise<string> => {
    // its one reason to analyze a table (PostgreSQL, "The Autovacuum Daemon")
    const {
      rows: [said],
    } = await server.sql(
      `SELECT count(*) FILTER (WHERE s.n_mod_since_analyze > 50 + 0.1 * greatest(c.reltuples, 0)) AS due,
              sum(c.relallvisible) AS visible, sum(c.relpages) AS pages
         FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid`,
      database,
    )
    const text = `autovacuum would analyze ${said.due} tables again; ${said.visible} of ${said.pages} pages are called visible to all, where 0 are`
    if (!queried) return text
    const query = 'EXPLAIN (ANALYZE, BUFFERS, TIMING off) SELECT count(*) FROM one WHERE a < 50000'
    await server.sql(query, database)
    const { rows } = await server.sql(query, database)
    const plan = rows.map((row) => row['QUERY PLAN'] as string)
    return [text, ...plan.filter((line) => /Scan|Heap Fetches|Buffers|Execution/.test(line))].join(
      '\n   ',
    )
  }

  for (const name of names) {
    const database = databases[name]
    if (!database) throw new Error(`no database ${name}`)
    const [source, target] = [`${name}_source`, `${name}_target`]
    await server.sql(`CREATE DATABASE ${source}`)
    for (const statement of database.statements(scale)) await server.sql(statement, source)
    await server.sql('VACUUM (ANALYZE)', source)
    const {
      rows: [size],
    } = await server.sql(
      `SELECT pg_database_size(current_database()) AS bytes, (SELECT count(*) FROM pg_stat_user_tables) AS tables`,
      source,
    )
    const dumps = { without: join(harness.directory, 'a'), with: join(harness.directory, 'b') }
    const dump = async (way: keyof typeof dumps) => {
      await run('rm', ['-rf', dumps[way]])
      const options = ['--no-data', ...(way === 'with' ? ['--statistics'] : ['--no-statistics'])]
      const place = ['-Fd', `--file=${dumps[way]}`, `--dbname=${server.uri(source)}`]
      await program('pg_dump', [...place, ...options])
    }
    await dump('with')
    const archive = await readArchive(dumps.with)
    const carried = archive.entries.filter(({ desc }) => desc === 'STATISTICS DATA')

    await server.sql(`CREATE DATABASE ${target}`)
    const whole = join(harness.directory, 'whole')
    const toAll = ['-Fd', '-Z1', `--jobs=${jobs}`]
    await program('pg_dump', [...toAll, `--file=${whole}`, `--dbname=${server.uri(source)}`])
    const restored = await taken(() =>
      program('pg_restore', [`--jobs=${jobs}`, `--dbname=${server.uri(target)}`, whole]),
    )
    await run('rm', ['-rf', whole])

    /** As the restore carries out statements: many in a message, several sessions. */
    const apply = async () => {
      const texts: string[] = []
      for (let from = 0; from < carried.length; from += 100)
        texts.push(
          carried
            .slice(from, from + 100)
            .map(({ definition }) => definition)
            .join('\n'),
        )
      await Promise.all(
        Array.from({ length: jobs }, async () => {
          const client = await server.connect(target)
          for (let text = texts.shift(); text !== undefined; text = texts.shift())
            await client.query(text)
          await client.end()
        }),
      )
    }
    const connection = parseConnectionString(server.uri(target))
    const analyze = () =>
      analyzeDatabase({ target: connection, targetName: target, jobs }, newContext('restore'))
    const forget = () =>
      server.sql('DELETE FROM pg_catalog.pg_statistic WHERE starelid >= 16384', target)
    const after = new Map<string, string>()
    for (const [way, work] of [
      ['applied', apply],
      ['collected', analyze],
    ] as const) {
      await work()
      after.set(way, await standing(target, name === 'one'))
    }

    const ways: [string, () => Promise<unknown>, () => Promise<unknown>][] = [
      ['dumped without', async () => {}, () => dump('without')],
      ['dumped with', async () => {}, () => dump('with')],
      ['applied', forget, apply],
      ['collected', forget, analyze],
    ]
    const all = new Map<string, Taken[]>(ways.map(([way]) => [way, []]))
    for (let round = 0; round < rounds; round++)
      for (const [way, before, work] of ways) {
        await before()
        all.get(way)?.push(await taken(work))
      }

    console.log(
      `\n${name} at ${scale}: ${(size.bytes / 1e6).toFixed(0)} MB, ${size.tables} tables; ${carried.length} entries with statistics, default_statistics_target ${precision}; restoring the rest took ${restored.server.toFixed(2)} s of the server's processors`,
    )
    console.log(`${''.padEnd(16)}${['server', 'asking', 'clock'].map(padded).join('')}`)
    for (const [way] of ways) {
      const figure = (what: keyof Taken) => {
        const figures = (all.get(way) ?? []).map((one) => one[what])
        return `${median(figures).toFixed(2)} (${Math.min(...figures).toFixed(2)}-${Math.max(...figures).toFixed(2)})`
      }
      const line = [figure('server'), figure('asking'), figure('seconds')]
      console.log(`${way.padEnd(16)}${line.map(padded).join('')}`)
    }
    const bytes = async (way: keyof typeof dumps) => (await stat(join(dumps[way], 'toc.dat'))).size
    const [without, more] = [await bytes('without'), await bytes('with')]
    console.log(
      `toc.dat: ${(without / 1e6).toFixed(2)} MB without, ${(more / 1e6).toFixed(2)} MB with`,
    )

    for (const [way, text] of after) console.log(`${way}: ${text}`)
    await server.sql(`DROP DATABASE ${source}`)
    await server.sql(`DROP DATABASE ${target}`)
  }
} finally {
  await server.stop()
  await harness.close()
}

function padded(text: string): string {
  return text.padStart(22)
}
