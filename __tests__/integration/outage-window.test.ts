import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { migrate } from '../../src/commands/migrate.ts'
import type { Failure } from '../../src/failure.ts'
import { assess } from '../../src/migration/checks/assess.ts'
import { noEarlierRuns } from '../../src/migration/history/earlier-runs.ts'
import {
  forecastOutage,
  type OutageWindow,
  rememberOutage,
  statedWindow,
} from '../../src/migration/history/window.ts'
import type { Run } from '../../src/migration/run.ts'
import type { HistoryPoint, Report } from '../../src/report/model.ts'
import { clientDirectory } from '../support/clients.ts'
import { failureThrown } from '../support/failure.ts'
import { runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { renderJson } from '../support/report-json.ts'
import { Scratch } from '../support/sample-dump.ts'
import { samplePoint } from '../support/sample-history.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: TestServer
let scratch: Scratch
let client: string | undefined
/** Runs so far: each has an id, as on GitHub. */
let runs = 0
const outputs: Record<string, string | number | boolean> = {}

beforeAll(async () => {
  client = await clientDirectory(15)
  source = await TestServer.start(15)
  target = await TestServer.start(15)
  await source.sql('CREATE DATABASE shop')
  await source.sql(
    'CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 5000) g; ALTER TABLE orders ADD PRIMARY KEY (id)',
    'shop',
  )
})
beforeEach(() => {
  scratch = new Scratch()
})
afterEach(async () => {
  scratch[Symbol.dispose]()
  await target.sql('DROP DATABASE IF EXISTS shop')
})
afterAll(async () => {
  await source?.stop()
  await target?.stop()
})

async function run(
  more: Record<string, string> = {},
  changes: Partial<Run> = {},
  work?: (run: Run) => Promise<void>,
) {
  // the server may notice later than the run before that its sessions are closed, and no rehearsal begins beside another run
  const alive = `SELECT FROM pg_stat_activity WHERE application_name LIKE 'migrate-to-polardb%'`
  while ((await target.sql(alive)).rowCount) await sleep(20)
  return await runInProcess(
    between(source, target, 'shop', {
      ...{ 'client-path': client ?? '', 'upload-dump': 'false', roles: 'skip' },
      ...more,
    }),
    {
      earlierRuns: { ...noEarlierRuns(), run: String(++runs) },
      setOutput: (name, value) => {
        outputs[name] = value
      },
      ...changes,
    },
    work,
  )
}

async function stating(run: Run): Promise<OutageWindow> {
  const sides = await assess(['source', 'target'], run)
  if (!sides.source || !sides.target) throw new Error('a side is missing')
  return statedWindow(sides.source, sides.target, run, { orEstimate: true })
}

/** A report as actions/download-artifact leaves it. */
const keep = (name: string, report: Report) =>
  scratch.write(`history/${name}/report.json`, renderJson(report))
const pointsOf = ({ history = [] }: Report): HistoryPoint[] => [...history]
const basisOf = ({ forecast }: Report) => (forecast?.basis ?? []).join('\n')

test('a migration is remembered, and the next one is told of it', async () => {
  const first = await run()
  expect(first.error).toBeUndefined()
  const [point] = pointsOf(first.report)
  expect(point).toMatchObject({
    ...{ run: String(runs), attempt: 1, command: 'migrate', verified: true, stated: null },
    ...{ tables: 1, rows: 5000, processors: 2, jobs: { dump: 2, restore: 2 }, verify: 'data' },
    versions: { source: first.report.source?.version, target: first.report.target?.version },
  })
  expect(point?.seconds).toBeGreaterThan(0)
  expect(point?.seconds).toBeLessThanOrEqual((first.report.cutoverSeconds ?? 0) + 1)
  expect(point?.phases.map(({ name }) => name)).toEqual([
    ...['schema', 'dump', 'restore', 'analyze', 'verify', 'other'],
  ])
  expect(first.report.forecast).toBeUndefined()
  const names = [source.uri(), target.uri(), 'shop'].flatMap((uri) => uri.split(/[:/@]+/))
  for (const name of names.filter((name) => name.length > 3))
    expect(JSON.stringify(point)).not.toContain(name)

  // with what is no point, a run of another source, and one of other databases
  keep('first', {
    ...first.report,
    history: [
      point as HistoryPoint,
      samplePoint(),
      { ...(point as HistoryPoint), databases: '00112233445566dd' },
      { ...(point as HistoryPoint), seconds: -1 },
    ],
  })
  keep('again', first.report)
  await target.sql('DROP DATABASE shop')
  const second = await run({ history: scratch.of('history') })
  expect(second.error).toBeUndefined()
  const { forecast } = second.report
  expect(forecast).toMatchObject({ from: 'runs', points: 1, confidence: null })
  expect(outputs.forecast).toBe(Math.ceil(forecast?.high ?? 0))
  expect(basisOf(second.report)).toContain('1 run of another source was passed over')
  expect(basisOf(second.report)).toContain('1 run of other databases was passed over')
  expect(basisOf(second.report)).toContain(
    'Of earlier reports 1 point was refused: `seconds` is no number from 0 on',
  )
  const points = pointsOf(second.report)
  expect(points.slice(0, 1)).toEqual([point])
  expect(points).toHaveLength(2)
  expect(points[1]?.stated).toEqual({
    low: expect.closeTo((forecast?.low ?? 0) - (forecast?.freeze.low ?? 0), 2),
    high: expect.closeTo((forecast?.high ?? 0) - (forecast?.freeze.high ?? 0), 2),
    confidence: null,
  })
})

test('a rehearsal begins with an estimate, ends with a forecast, and fails where that does not fit', async () => {
  const command = 'rehearse'
  const fits = await run({ command, 'max-outage': '1d' })
  expect(fits.error).toBeUndefined()
  expect(fits.lines.join('\n')).toMatch(
    /Outage to expect: .* \(from an estimate\)\. From an estimate, no rehearsal yet/,
  )
  expect(fits.lines.join('\n')).toMatch(/Outage to announce: .* \(no confidence yet, from 1 run\)/)
  expect(fits.report.forecast).toMatchObject({ from: 'runs', points: 1 })
  expect(pointsOf(fits.report)).toHaveLength(1)
  expect(pointsOf(fits.report)[0]?.stated).not.toBeNull()
  expect(basisOf(fits.report)).toContain('Earlier runs were not looked for: name a directory')

  keep('first', fits.report)
  const given = { command, history: scratch.of('history'), 'max-outage': '1s' }
  const { error, report } = await run(given)
  const failure = error as Failure
  expect(failure.message).toBe('The outage does not fit max-outage')
  expect(failure.why).toMatch(
    /^It is forecast to take .* \(at least 33 % sure, from 2 runs\), and max-outage is 1\.0 s$/,
  )
  expect(failure.remedy).toContain('announce a longer outage and raise max-outage')
  // everything was done all the same
  expect(report).toMatchObject({ verified: true, rehearsal: { outcome: 'removed' } })
  expect(pointsOf(report)).toHaveLength(2)
  expect(report.forecast).toMatchObject({ points: 2, confidence: 0.33 })
  expect(report.forecast?.phases.map(({ name }) => name)).toEqual([
    ...['freeze', 'schema', 'dump', 'restore', 'analyze', 'verify', 'other'],
  ])
  // a migration of the same databases is foretold by its rehearsals
  keep('second', report)
  const migrated = await run({ history: scratch.of('history') })
  expect(migrated.error).toBeUndefined()
  expect(migrated.report.forecast).toMatchObject({ points: 2, confidence: 0.33 })
  expect(
    pointsOf(migrated.report).map((point) => [point.command, point.stated?.confidence]),
  ).toEqual([
    ['rehearse', null],
    ['rehearse', null],
    ['migrate', 0.33],
  ])
})

test('a run that proves nothing is remembered, and foretells nothing', async () => {
  const first = await run({ verify: 'none' })
  expect(first.error).toBeUndefined()
  expect(pointsOf(first.report)).toMatchObject([{ verified: false, verify: 'none', rows: null }])
  keep('first', first.report)
  await target.sql('DROP DATABASE shop')
  const { report } = await run({ history: scratch.of('history') })
  expect(report.forecast).toBeUndefined()
  expect(pointsOf(report).map(({ verified }) => verified)).toEqual([false, true])
})

test('what earlier runs took outlives a run that fails', async () => {
  const history = [samplePoint()]
  const reports = {
    ...noEarlierRuns(),
    run: String(++runs),
    read: async (_: string, take: (report: Uint8Array, whose: string) => boolean) => {
      take(Buffer.from(JSON.stringify({ history })), 'a report')
      return ['GitHub has lost the others']
    },
  }
  const first = await run()
  const [point] = pointsOf(first.report)
  if (!point) throw new Error('there is no point')
  // the same servers and databases, a year before
  history[0] = { ...point, run: '1', startedAt: '2025-11-01T00:00:00.000Z' }
  const failed = await run({ 'github-token': 'ghs_x' }, { earlierRuns: reports }, async (run) => {
    await stating(run)
    throw new Error('the dump failed')
  })
  expect(pointsOf(failed.report)).toEqual(history)
  expect(basisOf(failed.report)).toContain('GitHub has lost the others')
})

test('a run during which the clock was set leaves no point', async () => {
  let remembered: unknown
  let limited: unknown
  const { error, report } = await run({}, {}, async (run) => {
    const window = await stating(run)
    await migrate.steps(run)
    window.at.clock -= 3_600_000
    remembered = rememberOutage(window, run)
    forecastOutage(window, run)
    const withLimit = { ...run, inputs: { ...run.inputs, maxOutage: 1e6 } }
    limited = failureThrown(() => forecastOutage(window, withLimit)).line
  })
  // what cannot be held against a limit has not been met
  expect(limited).toMatch(/fits max-outage: .* is not known/)
  expect(error).toBeUndefined()
  expect(remembered).toBeNull()
  expect(report.warnings.join()).toContain('was set forward by 1 h during this run')
  // the estimate stays, since nothing better is known
  expect(report.forecast?.from).toBe('estimate')
})

test('nothing that is wrong with a history stands in the way of a migration', async () => {
  writeFileSync(scratch.of('file'), '')
  const broken = {
    ...noEarlierRuns(),
    run: String(++runs),
    read: async () => Promise.reject(new Error('GitHub fell over')),
  }
  const { error, report, lines } = await run(
    { history: scratch.of('file'), 'github-token': 'ghs_x' },
    { earlierRuns: broken },
  )
  expect(error).toBeUndefined()
  expect(report.verified).toBe(true)
  expect(pointsOf(report)).toHaveLength(1)
  expect(lines.join('\n')).toContain('Earlier runs could not be read: GitHub fell over')
})
