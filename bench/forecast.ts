/**
 * How honest the forecast of an outage is: how often the range that was stated holds the time that was true.
 *
 *     node bench/forecast.ts [nights] [seed] [scale]
 *
 * First in thousands of simulated histories, of noise of several kinds and data that grow in several ways, beside the confidence
 * that is stated. Then in real rehearsals, one after the other, of a database that grows between them at random (by the seed); each
 * knows those before it from the report of the last one alone. Starts servers of its own and removes them again. With a scale
 * of 1 the database begins with some 30 MB. With 0 nights there is the simulation alone.
 */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { clientDirectory } from '../__tests__/support/clients.ts'
import { runInProcess } from '../__tests__/support/in-process.ts'
import { between } from '../__tests__/support/migration.ts'
import { randomNumbers } from '../__tests__/support/random.ts'
import { renderJson } from '../__tests__/support/report-json.ts'
import { samplePoint } from '../__tests__/support/sample-history.ts'
import { TestServer } from '../__tests__/support/server.ts'
import { forecastFromRuns, type Settings } from '../src/migration/forecast/forecast.ts'
import { noEarlierRuns } from '../src/migration/history/earlier-runs.ts'
import type { Forecast, HistoryPoint, Range } from '../src/report/model.ts'
import { formatBytes, formatDuration, formatRange } from '../src/text/numbers.ts'

const nights = Number(process.argv[2] ?? 10)
const seed = Number(process.argv[3] ?? 20261129)
const scale = Number(process.argv[4] ?? 1)
const next = randomNumbers(seed)
const GiB = 1024 ** 3

const holds = ({ low, high }: Range, seconds: number) => seconds >= low && seconds <= high
/** The range of what a rehearsal does: without the freeze. */
const rehearsed = ({ low, high, freeze }: Forecast): Range => ({
  low: low - freeze.low,
  high: high - freeze.high,
})
const yes = (held: boolean) => (held ? 'yes' : 'NO')
/** How often something held, in all and by its kind. */
class Tally {
  all = 0
  held = 0
  readonly #kinds = new Map<string, { all: number; held: number }>()

  count(kind: string, held: boolean): void {
    const one = this.#kinds.get(kind) ?? { all: 0, held: 0 }
    this.#kinds.set(kind, one)
    for (const tally of [this, one]) {
      tally.all++
      if (held) tally.held++
    }
  }

  get share(): number {
    return this.held / this.all
  }

  /** The kind that held least often. */
  get worst(): string {
    const [first] = [...this.#kinds].sort(([, a], [, b]) => a.held / a.all - b.held / b.all)
    return first ? `${percent(first[1].held / first[1].all)} (${first[0]})` : ''
  }
}

const percent = (part: number) => `${(100 * part).toFixed(0)} %`

simulate(400)
if (nights > 0) await rehearse()

/** Prints how often ranges hold, by the number of runs that they rest on. */
function simulate(histories: number): void {
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  const noises: Record<string, () => number> = {
    'runs 3 % apart': () => 0.03 * normal(),
    '10 %': () => 0.1 * normal(),
    '30 %': () => 0.3 * normal(),
    'heavy tails': () => (0.15 * normal()) / Math.hypot(normal(), normal(), normal()) / 3 ** -0.5,
    'one in twenty three times as long': () => 0.08 * normal() + (next() < 0.05 ? Math.log(3) : 0),
    'never faster, sometimes much slower': () => -0.3 * Math.log(1 - next()),
  }
  const growths: Record<string, () => (night: number) => number> = {
    none: () => () => 1,
    steady: () => {
      const step = 0.02 + 0.2 * next()
      return (night) => Math.exp(step * night)
    },
    'at random': () => {
      const sizes = [0]
      return (night) => {
        while (sizes.length <= night) sizes.push((sizes.at(-1) ?? 0) + 0.15 * normal() + 0.03)
        return Math.exp(sizes[night] ?? 0)
      }
    },
    'one leap': () => {
      const at = 2 + Math.floor(20 * next())
      return (night) => (night < at ? 1 : 5)
    },
  }
  const settings: Settings = samplePoint()
  console.log(
    `${Object.keys(noises).length * Object.keys(growths).length * histories} histories of each length, seed ${seed}\n`,
  )
  console.log(
    '| runs | stated | held, of data at hand | the worst kind | held, of the next run’s data | the worst kind | high / low |',
  )
  console.log('|---|---|---|---|---|---|---|')
  for (const runs of [1, 2, 3, 5, 9, 19, 30]) {
    const [now, ahead] = [new Tally(), new Tally()]
    let [widths, confidence]: [number, number | null] = [0, null]
    for (const [noise, apart] of Object.entries(noises))
      for (const [growth, grow] of Object.entries(growths))
        for (let history = 0; history < histories; history++) {
          const size = grow()
          const [first, elastic, fixed] = [10 + 100 * next(), 0.5 + 0.6 * next(), 10 * next()]
          const nightly = Array.from({ length: runs + 1 }, (_, night): HistoryPoint => {
            const gigabytes = first * size(night)
            const seconds = 60 * (fixed + gigabytes ** elastic) * Math.exp(apart())
            return samplePoint({ run: `${night}`, bytes: gigabytes * GiB, seconds, phases: [] })
          })
          const truth = nightly.pop() ?? samplePoint()
          const kind = `${noise}, growth ${growth}`
          const stated = forecastFromRuns(nightly, { settings, bytes: truth.bytes, ahead: false })
          const before = forecastFromRuns(nightly, { settings, bytes: 0, ahead: true })
          if (!stated || !before) throw new Error('there is no forecast')
          confidence = stated.confidence
          const range = rehearsed(stated)
          now.count(kind, holds(range, truth.seconds))
          ahead.count(kind, holds(rehearsed(before), truth.seconds))
          widths += Math.log(range.high / range.low)
        }
    const width = Math.exp(widths / now.all)
    console.log(
      `| ${runs} | ${confidence === null ? 'nothing' : percent(confidence)} | ${percent(now.share)} | ${now.worst} | ${percent(ahead.share)} | ${ahead.worst} | ${width.toFixed(2)} |`,
    )
  }
}

/** Rehearses night after night, and prints what was said of each beforehand. */
async function rehearse(): Promise<void> {
  const programs = await clientDirectory(15)
  if (programs === undefined) throw new Error('the client programs of 15 are missing')
  const source = await TestServer.start(15)
  const target = await TestServer.start(15)
  const history = await mkdtemp(join(tmpdir(), 'bench-forecast-'))
  try {
    await source.sql('CREATE DATABASE bench')
    await source.sql(
      `CREATE TABLE customers (id bigserial PRIMARY KEY, name text, city text);
       CREATE TABLE orders (id bigserial PRIMARY KEY, customer bigint, at timestamptz, amount numeric(12, 2), note text);
       CREATE INDEX ON orders (customer, at); CREATE INDEX ON orders (note);
       CREATE TABLE events (id bigserial PRIMARY KEY, payload jsonb); CREATE INDEX ON events USING gin (payload)`,
      'bench',
    )
    const fill = async (share: number) => {
      const rows = (count: number) => Math.max(1, Math.round(count * share * scale))
      await source.sql(
        `INSERT INTO customers (name, city) SELECT md5(g::text), 'city ' || g % 100 FROM generate_series(1, ${rows(20_000)}) g;
         INSERT INTO orders (customer, at, amount, note)
           SELECT g % 20000, timestamptz '2024-01-01' + g * interval '1 min', g * 1.01, md5(g::text) FROM generate_series(1, ${rows(120_000)}) g;
         INSERT INTO events (payload) SELECT jsonb_build_object('a', g, 'b', md5(g::text), 'tags', ARRAY['q' || g % 97]) FROM generate_series(1, ${rows(40_000)}) g`,
        'bench',
      )
    }
    await fill(1)
    let [rows, before]: [number, Forecast | undefined] = [1, undefined]
    const [atStart, ahead] = [new Tally(), new Tally()]
    console.log(`\n${nights} rehearsals, seed ${seed}, scale ${scale}\n`)
    console.log(
      '| night | data | stated after the night before | held | stated before this one | confidence | it took | held |',
    )
    console.log('|---|---|---|---|---|---|---|---|')
    for (let night = 1; night <= nights; night++) {
      const { report, error } = await runInProcess(
        {
          ...between(source, target, 'bench'),
          ...{ command: 'rehearse', 'client-path': programs, roles: 'skip', history },
        },
        { earlierRuns: { ...noEarlierRuns(), run: `${night}` } },
      )
      if (error !== undefined) throw error
      const point = report.history?.at(-1)
      const { stated } = point ?? {}
      if (!point || !stated) throw new Error('nothing was stated, or measured')
      const say = (range: Range | undefined) =>
        range ? formatRange(range, formatDuration) : 'nothing'
      const held = holds(stated, point.seconds)
      atStart.count('', held)
      const announced = before && rehearsed(before)
      if (announced) ahead.count('', holds(announced, point.seconds))
      const sure =
        night === 1
          ? 'an estimate'
          : stated.confidence === null
            ? 'none'
            : percent(stated.confidence)
      console.log(
        `| ${night} | ${formatBytes(point.bytes)} | ${say(announced)} | ${announced ? yes(holds(announced, point.seconds)) : ''} | ${say(stated)} | ${sure} | ${formatDuration(point.seconds)} | ${yes(held)} |`,
      )
      before = report.forecast
      // the last report alone is kept: it knows what those before it knew
      await rm(join(history, 'report'), { recursive: true, force: true })
      await mkdir(join(history, 'report'))
      await writeFile(join(history, 'report', 'report.json'), renderJson(report))
      const growth = rows * (0.05 + 0.3 * next())
      await fill(growth)
      rows += growth
    }
    console.log(
      `\nOf ${atStart.all} ranges stated before a rehearsal ${atStart.held} held; of ${ahead.all} stated after the one before, for data that were not there yet, ${ahead.held}`,
    )
    console.log(`\nWhat the last one says:\n`)
    for (const sentence of before?.basis ?? []) console.log(`- ${sentence}`)
    for (const { what, seconds, remedy } of before?.heldUp ?? [])
      console.log(`- ${what} (up to ${formatDuration(seconds)}): ${remedy}`)
  } finally {
    await rm(history, { recursive: true, force: true })
    await source.stop()
    await target.stop()
  }
}
