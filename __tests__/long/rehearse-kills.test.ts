import { setTimeout } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { dumpCatalogs } from '../support/catalog-dump.ts'
import {
  between,
  demoLosses,
  mainBundle,
  metadata,
  postBundle,
  runJob,
  smallShop,
} from '../support/migration.ts'
import { startPlainTarget } from '../support/polardb-standin.ts'
import { randomNumbers } from '../support/random.ts'
import { runAction, startAction } from '../support/runner.ts'
import { TestServer } from '../support/server.ts'

/** KILLS and SEED ask for others. */
const kills = Number(process.env.KILLS ?? 20)
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)

const phases = [
  ...['', 'preflight', 'client', 'dump-roles', 'schema', 'dump shop', 'restore-roles'],
  ...['restore shop', 'analyze shop', 'verify shop', 'clean-up'],
] as const
const signals = ['SIGKILL', 'SIGTERM', 'SIGKILL', 'SIGINT'] as const

test(`${kills} rehearsals are killed at random moments (seed ${seed}), and the next one cleans up`, async () => {
  const random = randomNumbers(seed)
  const [source, target] = await Promise.all([TestServer.start(15), startPlainTarget(16)])
  const catalogs = async () => ({
    source: await dumpCatalogs(source),
    target: await dumpCatalogs(target.backend),
  })
  const faults: string[] = []
  let landed = 0
  try {
    await source.sql('CREATE DATABASE shop')
    await source.sql(smallShop(), 'shop')
    await target.backend.sql('CREATE ROLE app_owner')
    await target.backend.sql('CREATE DATABASE shop')
    const before = await catalogs()
    const inputs = between(source, target, 'shop', {
      command: 'rehearse',
      // from 16 on CREATEROLE gives no predefined role away
      'allow-missing': `${demoLosses}\nMEMBERSHIP reporting in pg_read_all_stats`,
    })
    /** What each phase took in the last rehearsal that nothing disturbed, in seconds. */
    const seconds = new Map<string, number>()
    const undisturbed = async (): Promise<string[]> => {
      const { report, cleanUp } = await runJob({ inputs })
      for (const { name, database, seconds: took } of report.phases)
        seconds.set(database === undefined ? name : `${name} ${database}`, took)
      cleanUp()
      return [
        ...(report.error ? [`${report.error.message} ${report.error.cause}`] : []),
        ...(report.verified ? [] : ['not verified']),
        ...(report.rehearsal?.outcome === 'removed' ? [] : [`${report.rehearsal?.note}`]),
      ]
    }
    expect(await undisturbed()).toEqual([])
    for (let turn = 0; landed < kills && turn < kills * 10; turn++) {
      const phase = phases[Math.floor(random() * phases.length)] as string
      const signal = signals[turn % signals.length] as (typeof signals)[number]
      const wait = random() * (seconds.get(phase) ?? 0.5) * 1000
      const running = startAction(mainBundle, { metadata, inputs })
      let over = false
      const result = running.result.finally(() => {
        over = true
      })
      if (phase !== '') await running.logged(new RegExp(`▶ ${phase}\\b`)).catch(() => {})
      await setTimeout(wait)
      if (!over && signal === 'SIGINT') running.cancel()
      else if (!over) running.kill(signal)
      const run = await result
      // the blow came when everything was done, or was not dealt at all
      if (run.code === 0) {
        run.cleanUp()
        continue
      }
      landed++
      const post = await runAction(postBundle, {
        ...{ metadata, inputs, state: run.state, directory: run.directory },
      })
      const moment = `${signal} ${Math.round(wait)} ms after ${phase || 'the start'}`
      process.stderr.write(`${landed}: ${moment}\n`)
      const wrong = [
        ...(post.code === 0 ? [] : [post.log]),
        ...(await undisturbed()),
        ...changes(before, await catalogs()),
      ]
      for (const what of wrong) process.stderr.write(`WRONG: ${what}\n`)
      faults.push(...wrong.map((what) => `${moment}: ${what}`))
      run.cleanUp()
    }
  } finally {
    await Promise.all([source.stop(), target.stop()])
  }
  expect(faults).toEqual([])
  expect(landed).toBe(kills)
})

type Digests = Record<string, Record<string, string>>

/** The catalogs that are not as they were. */
function changes(before: Digests, after: Digests): string[] {
  return Object.entries(before).flatMap(([side, catalogs]) => {
    const names = new Set([...Object.keys(catalogs), ...Object.keys(after[side] ?? {})])
    return [...names]
      .filter((name) => catalogs[name] !== after[side]?.[name])
      .map((name) => `${side}: ${name} is not as before`)
  })
}
