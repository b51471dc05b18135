import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { markSchema } from '../../src/migration/restore/database/mark.ts'
import { temporaryRole } from '../../src/migration/restore/owners/login-role.ts'
import {
  between,
  demoLosses,
  mainBundle,
  metadata,
  readEverything,
  readReport,
  runJob,
} from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { randomNumbers } from '../support/random.ts'
import { membershipsOf } from '../support/restore-harness.ts'
import { startAction } from '../support/runner.ts'
import { TestServer } from '../support/server.ts'

/** SWAP_MOMENTS and SWAP_SEED ask for others. */
const moments = Number(process.env.SWAP_MOMENTS ?? 16)
const seed = Number(process.env.SWAP_SEED ?? Date.now() % 1_000_000)

let source: TestServer
let target: PlainTarget

beforeAll(async () => {
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
  await source.sql('CREATE DATABASE shop')
  await source.sql(readFileSync('scripts/demo-source.sql', 'utf8'), 'shop')
  await source.sql(
    'CREATE TABLE public.run (number int PRIMARY KEY); INSERT INTO public.run VALUES (0)',
    'shop',
  )
})
afterAll(() => Promise.all([source?.stop(), target?.stop()]))

const inputs = () => ({
  ...between(source, target, 'shop'),
  'upload-dump': 'false',
  'if-target-not-empty': 'swap',
  'allow-missing': demoLosses,
})

const random = randomNumbers(seed)

const runIn = async () =>
  (await target.backend.sql('SELECT number FROM public.run', 'shop')).rows[0]?.number as number

const names = async (sql: string, database?: string) =>
  (await target.backend.sql(sql, database)).rows.map(({ name }) => name as string)

test(`killed at ${moments} random moments (seed ${seed}), a database of that name answers at any time, and the next run leaves nothing of it`, async () => {
  const first = await runJob({ inputs: inputs() })
  expect(first.report.error).toBeNull()
  first.cleanUp()
  let last = 0
  for (let moment = 1; moment <= moments; moment++) {
    await source.sql(`UPDATE public.run SET number = ${moment}`, 'shop')
    const phase = ['dump shop', 'restore-roles', 'restore shop', 'verify shop', 'swap shop'][
      Math.floor(random() * 5)
    ] as string
    const signal = (['SIGKILL', 'SIGKILL', 'SIGTERM', 'SIGINT'] as const)[Math.floor(random() * 4)]
    const running = startAction(mainBundle, { metadata, inputs: inputs() })
    await running.logged(new RegExp(`▶ ${phase}`)).catch(() => {})
    await setTimeout(random() * (phase === 'restore shop' ? 1500 : 200))
    running.kill(signal ?? 'SIGKILL')
    const run = await running.result
    if (signal !== 'SIGKILL') readReport(run)
    run.cleanUp()
    // what was killed may have been in the middle of COMMIT
    for (let tries = 0; tries < 200; tries++) {
      const busy = await names(
        `SELECT pid::text AS name FROM pg_stat_activity WHERE application_name ~ '^migrate-to-polardb' AND state <> 'idle'`,
      )
      if (busy.length === 0) break
      await setTimeout(50)
    }
    const number = await runIn()
    expect([last, moment]).toContain(number)
    last = number
  }
  await source.sql('UPDATE public.run SET number = 1000', 'shop')
  const end = await runJob({ inputs: { ...inputs(), 'drop-swapped': 'true' } })
  expect(end.report.error).toBeNull()
  expect(end.outputs.verified).toBe('true')
  end.cleanUp()
  expect(await runIn()).toBe(1000)
  expect(await names(`SELECT datname AS name FROM pg_database WHERE datname ~ '_new_'`)).toEqual([])
  expect(await membershipsOf(target)).toEqual([])
  expect(
    await names(
      `SELECT rolname AS name FROM pg_roles WHERE left(rolname, ${temporaryRole.length}) = '${temporaryRole}'`,
    ),
  ).toEqual([])
  expect(
    await names(`SELECT nspname AS name FROM pg_namespace WHERE nspname = '${markSchema}'`, 'shop'),
  ).toEqual([])
  const [here, there] = [await source.connect('shop'), await target.backend.connect('shop')]
  expect(await readEverything(there)).toEqual(await readEverything(here))
  await Promise.all([here.end(), there.end()])
})
