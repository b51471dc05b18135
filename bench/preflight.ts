/**
 * What a preflight costs on a database of many small tables, beside plain pg_dump --schema-only of the same database: in turns,
 * in one run, so that the ratio means something on any machine.
 *
 *     node bench/preflight.ts [tables] [rounds]
 *
 * Prints the seconds of each phase of the quickest round. Starts servers of its own and removes them again.
 */

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { clientDirectory } from '../__tests__/support/clients.ts'
import { runInProcess } from '../__tests__/support/in-process.ts'
import { between, withoutPassword } from '../__tests__/support/migration.ts'
import { startPlainTarget } from '../__tests__/support/polardb-standin.ts'
import { TestServer } from '../__tests__/support/server.ts'
import type { Report } from '../src/report/model.ts'

const tables = Number(process.argv[2] ?? 10_000)
const rounds = Number(process.argv[3] ?? 3)

const programs = await clientDirectory(15)
if (programs === undefined) throw new Error('the client programs of 15 are missing')
// room for the locks of a dump, as a server with so many tables has to have it
const settings = { autovacuum: 'off', max_locks_per_transaction: '512' }
const source = await TestServer.start(15, { settings })
const target = await startPlainTarget(15, { settings })
try {
  await source.sql('CREATE DATABASE bench')
  await source.sql(
    `DO $$ BEGIN FOR t IN 1..${tables} LOOP
       EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, at timestamptz DEFAULT now(), note text)', t);
       EXECUTE format('INSERT INTO t%s SELECT g, now(), md5(g::text) FROM generate_series(1, 10) g', t);
       IF t % 100 = 0 THEN COMMIT; END IF;
     END LOOP; END $$`,
    'bench',
  )
  await source.sql('ANALYZE', 'bench')
  const inputs = {
    ...between(source, target, 'bench'),
    ...{ command: 'preflight', 'client-path': programs },
  }
  const best = { dump: Number.POSITIVE_INFINITY, preflight: Number.POSITIVE_INFINITY }
  let phases: Report['phases'] = []
  let latest = phases
  for (let round = 0; round < rounds; round++) {
    best.dump = Math.min(best.dump, await timed(plainDump))
    const seconds = await timed(async () => {
      const { report, error } = await runInProcess(inputs)
      if (error !== undefined) throw error
      latest = report.phases
    })
    if (seconds < best.preflight) [best.preflight, phases] = [seconds, latest]
  }
  console.log(`PostgreSQL 15, ${tables} tables, best of ${rounds}\n`)
  console.log('| what | seconds |')
  console.log('|---|---|')
  for (const { name, seconds } of phases) console.log(`| ${name} | ${seconds.toFixed(1)} |`)
  console.log(`| the whole preflight | ${best.preflight.toFixed(1)} |`)
  console.log(`| pg_dump --schema-only | ${best.dump.toFixed(1)} |`)
  console.log(`\nratio ${(best.preflight / best.dump).toFixed(2)}`)
} finally {
  await target.stop()
  await source.stop()
}

async function plainDump(): Promise<void> {
  const args = ['--schema-only', '-f', '/dev/null', '-d', withoutPassword(source.uri('bench'))]
  const env = { ...process.env, PGPASSWORD: source.password }
  await promisify(execFile)(join(programs ?? '', 'pg_dump'), args, { env })
}

async function timed(work: () => Promise<void>): Promise<number> {
  const began = performance.now()
  await work()
  return (performance.now() - began) / 1000
}
