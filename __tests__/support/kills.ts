import { setTimeout } from 'node:timers/promises'
import { FaultScene } from './faults.ts'
import { mainBundle, metadata, postBundle } from './migration.ts'
import { randomNumbers } from './random.ts'
import { runAction, startAction } from './runner.ts'

/** How each command is run into its end, and how it is run again after a kill. */
const ways = {
  migrate: { first: { command: 'migrate' }, next: { 'if-target-not-empty': 'replace' } },
  dump: { first: { command: 'dump' }, next: {} },
  restore: { first: { command: 'restore' }, next: { 'if-target-not-empty': 'resume' } },
  replace: { first: { command: 'migrate', 'if-target-not-empty': 'replace' }, next: {} },
  swap: {
    first: { command: 'migrate', 'if-target-not-empty': 'swap' },
    next: { 'drop-swapped': 'true' },
  },
  verify: { first: { command: 'verify', 'lend-rights': 'true' }, next: {} },
} as const
type Way = keyof typeof ways
const signals = ['SIGKILL', 'SIGTERM', 'SIGINT'] as const

export interface KillResults {
  /** Kills that met a running action. */
  landed: number
  /** What was wrong, each with the moment at which it was. */
  faults: string[]
}

/**
 * Kills runs of the action at random moments, each command and each signal in turn, and lets each be followed by a run
 * that has to succeed. SIGINT is followed as GitHub follows it.
 *
 * @param kills how many have to land
 * @param seed of the moments; how long the commands take is measured, so that the same seed means about the same moments
 */
export async function killAtRandom(
  kills: number,
  seed: number,
  say: (line: string) => void,
): Promise<KillResults> {
  const scene = await FaultScene.start()
  const random = randomNumbers(seed)
  const faults: string[] = []
  const durations = new Map<Way, number>()
  let landed = 0
  try {
    const names = Object.keys(ways) as Way[]
    const offset = Math.floor(random() * names.length * signals.length)
    for (let turn = 0; landed < kills && turn < kills * 4; turn++) {
      const at = landed + offset
      const way = names[at % names.length] as Way
      const signal = signals[
        Math.floor(at / names.length + at) % signals.length
      ] as (typeof signals)[number]
      const { first, next } = ways[way]
      const where =
        way === 'restore' || way === 'dump'
          ? { 'dump-directory': way === 'dump' ? scene.scratch : scene.dump, 'keep-dump': 'true' }
          : {}
      if (way === 'migrate' || way === 'restore')
        await scene.target.backend.sql('DROP DATABASE IF EXISTS shop WITH (FORCE)')
      else if (way === 'swap' || way === 'replace')
        await scene.target.backend.sql('UPDATE public.run SET number = -1', 'shop')
      const began = Date.now()
      const running = startAction(mainBundle, {
        metadata,
        inputs: scene.inputs({ ...first, ...where }),
      })
      let over = false
      void running.result.then(() => {
        over = true
      })
      const wait = random() * (durations.get(way) ?? 5000)
      await setTimeout(wait)
      const alive = !over
      if (alive && signal === 'SIGINT') running.cancel()
      else if (alive) running.kill(signal)
      const run = await running.result
      const phases = [...run.log.matchAll(/▶ ([^\n\r]*)/g)]
      const moment = `${way}, ${signal} after ${Math.round(wait)} ms in ${phases.at(-1)?.[1] ?? 'the beginning'}`
      if (alive) {
        landed++
        say(`${landed}: ${moment}`)
      } else durations.set(way, Date.now() - began)
      const fault = (kind: string) => (what: string) => {
        faults.push(`${moment}: ${kind}: ${what}`)
        say(`WRONG: ${faults.at(-1)}`)
      }
      ;(await scene.settle(run)).forEach(fault('left running'))
      if (signal !== 'SIGKILL' || random() < 0.5) {
        const post = await runAction(postBundle, {
          metadata,
          inputs: scene.inputs({ ...first, ...where }),
          state: run.state,
          directory: run.directory,
        })
        if (post.code !== 0) fault('post')(post.log)
        if (signal !== 'SIGKILL') scene.files(run).forEach(fault('file'))
      }
      // a temporary role that owns what is half restored stays for the next run, but nobody can log in as it any more
      if (signal === 'SIGINT') (await scene.rights('allowed')).forEach(fault('right'))
      ;(await scene.sourceChanges()).forEach(fault('source'))
      if (way === 'swap') {
        const number = await scene.runIn().catch((error: Error) => error.message)
        if (number !== 0 && number !== -1) fault('swap')(`the database answers ${number}`)
      }
      const again = scene.inputs({ ...first, ...where, ...next })
      ;(await scene.succeed(again, run.directory)).forEach(fault('next run'))
      ;(await scene.sourceChanges()).forEach(fault('source after the next run'))
      if (way !== 'dump') (await scene.rights()).forEach(fault('right after the next run'))
      ;(await scene.targetFaults()).forEach(fault('target after the next run'))
      run.cleanUp()
      scene.emptyScratch()
    }
  } finally {
    await scene.stop()
  }
  return { landed, faults }
}
