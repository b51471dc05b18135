import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Cancelled } from '../../src/failure.ts'
import { watchingAge } from '../../src/migration/dump/age-watch.ts'
import type { Run } from '../../src/migration/run.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { failureOf } from '../support/failure.ts'
import { runInProcess } from '../support/in-process.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer

beforeAll(async () => {
  source = await TestServer.start(15, { settings: { autovacuum: 'off' } })
})
afterAll(() => source?.stop())

/** Makes the oldest rows of a database as old as that part of what there are transaction ids. */
const age = (part: number) =>
  source.sql(
    `UPDATE pg_database SET datfrozenxid = ((4294967296 + txid_current() - ${Math.round(part * 2 ** 31)}) % 4294967296)::text::xid
      WHERE datname = 'postgres'`,
  )

/** Works while the source is watched at short intervals. */
async function watch(work: (run: Run, dumped: () => Promise<void>) => Promise<void>) {
  let outcome: Promise<void> = Promise.resolve()
  const { report } = await runInProcess(
    { source: source.uri(), target: source.uri() },
    { sample: 1 },
    async (run) => {
      outcome = watchingAge({ connection: parseConnectionString(source.uri()) }, run, work)
      await outcome.catch(() => {})
    },
  )
  return { outcome, report }
}

test('a source that grows old while it is dumped is warned of, and a dump that keeps it from freezing its rows is ended', async () => {
  await age(0.8)
  const warned = await watch(async ({ report }) => {
    while (report.warnings.length === 0) await setImmediate()
  })
  await warned.outcome
  expect(warned.report.warnings).toEqual([expect.stringContaining('80 % of the way')])

  const { outcome } = await watch(async ({ signal }) => {
    await age(0.96)
    // it may have been told already
    if (!signal.aborted) await once(signal, 'abort')
    throw new Cancelled()
  })
  const failure = await failureOf(outcome)
  expect(failure.message).toBe('The dump was ended, so that the source can freeze its rows')
  expect(failure.why).toContain('96 % of the way')
})

test('a young source is left alone, and one that cannot be asked ends nothing', async () => {
  await age(0.1)
  const signals: AbortSignal[] = []
  const { outcome, report } = await watch(async (run) => {
    signals.push(run.signal)
    await source.down()
    // longer than a look takes: what it cannot ask it asks again
    await source.up()
  })
  await outcome
  expect(signals[0]?.aborted).toBe(false)
  expect(report.warnings).toEqual([])
})

test('one that grows too old after its dump is read ends nothing', async () => {
  await age(0.8)
  const ageing = parseConnectionString(source.uri())
  const { outcome } = await watch(async (run, dumped) => {
    while (run.report.warnings.length === 0) await setImmediate()
    await dumped()
    await age(0.96)
    // one that watches still
    const other = watchingAge({ connection: ageing }, run, ({ signal }) => once(signal, 'abort'))
    await other
    expect(run.signal.aborted).toBe(false)
  })
  await outcome
})
