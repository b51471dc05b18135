import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type FaultScene, Proxies } from './faults.ts'
import { mainBundle, metadata, postBundle } from './migration.ts'
import { randomNumbers } from './random.ts'
import { runAction, startAction } from './runner.ts'

const restoring = ['schema', 'restore-roles', 'restore shop', 'analyze shop', 'verify shop']
const migrating = ['client', 'preflight', 'dump-roles', 'dump shop', ...restoring]

/** How each command is run into its end, how it is run again after a kill, and the phases that it has. */
const ways = {
  migrate: {
    first: { command: 'migrate' },
    next: { 'if-target-not-empty': 'replace' },
    phases: migrating,
  },
  dump: {
    first: { command: 'dump' },
    next: {},
    phases: ['client', 'preflight', 'dump-roles', 'dump shop'],
  },
  restore: {
    first: { command: 'restore' },
    next: { 'if-target-not-empty': 'resume' },
    phases: ['client', 'preflight', ...restoring],
  },
  replace: {
    first: { command: 'migrate', 'if-target-not-empty': 'replace' },
    next: {},
    phases: migrating,
  },
  swap: {
    first: { command: 'migrate', 'if-target-not-empty': 'swap' },
    next: { 'drop-swapped': 'true' },
    phases: [...migrating, 'swap shop'],
  },
  verify: {
    first: { command: 'verify', 'lend-rights': 'true' },
    next: {},
    phases: ['client', 'preflight', 'verify shop'],
  },
} as const
type Way = keyof typeof ways
const signals = ['SIGKILL', 'SIGTERM', 'SIGINT'] as const

/** Restores while the dump goes on, whatever the size of a database. */
const partedMain = join(import.meta.dirname, 'parted-main.ts')

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
 * @param scene gets the dumps and the databases that the runs make
 * @param kills how many have to land
 * @param seed of the moments: a phase, and a part of what that phase took in a run that nothing disturbed, so that the same
 * seed means about the same moments on a slow machine and on a fast one
 * @param at `statements`: each kill waits for a statement of its phase instead, so that it falls in the same place on every machine
 */
export async function killAtRandom(
  scene: FaultScene,
  kills: number,
  seed: number,
  say: (line: string) => void,
  at: 'moments' | 'statements' = 'moments',
): Promise<KillResults> {
  const proxies = at === 'statements' ? await Proxies.start(scene) : undefined
  try {
    return await kill(scene, kills, seed, say, proxies)
  } finally {
    await proxies?.stop()
  }
}

async function kill(
  scene: FaultScene,
  kills: number,
  seed: number,
  say: (line: string) => void,
  proxies: Proxies | undefined,
): Promise<KillResults> {
  const random = randomNumbers(seed)
  const faults: string[] = []
  let landed = 0
  const names = Object.keys(ways) as Way[]
  const offset = Math.floor(random() * names.length * signals.length)
  for (let turn = 0; landed < kills && turn < kills * 4; turn++) {
    const at = landed + offset
    const way = names[at % names.length] as Way
    const signal = signals[
      Math.floor(at / names.length + at) % signals.length
    ] as (typeof signals)[number]
    const { first, next, phases } = ways[way]
    // where nothing is replaced, every other run restores while it dumps
    const isEarly = /^(migrate|swap)$/.test(way) && Math.floor(at / names.length) % 2 === 1
    const where =
      way === 'restore' || way === 'dump'
        ? {
            'dump-directory': way === 'dump' ? scene.scratch : await scene.wholeDump(),
            'keep-dump': 'true',
          }
        : {}
    if (way === 'migrate' || way === 'restore')
      await scene.target.backend.sql('DROP DATABASE IF EXISTS shop WITH (FORCE)')
    else if (way === 'swap' || way === 'replace')
      await scene.target.backend.sql('UPDATE public.run SET number = -1', 'shop')
    // as many moments before the first phase as in any other
    const phase = ['', ...phases][Math.floor(random() * (phases.length + 1))] as string
    const share = random()
    const inputs = scene.inputs({ ...first, ...where })
    const met = proxies?.statementOf(phase, share)
    const running = startAction(isEarly ? partedMain : mainBundle, {
      metadata,
      inputs: proxies?.between(inputs) ?? inputs,
    })
    let over = false
    const ended = running.result.then(() => {
      over = true
    })
    let when = 'at a statement'
    if (met !== undefined) await Promise.race([met, ended])
    else {
      if (phase !== '') await running.logged(new RegExp(`▶ ${phase}\\b`)).catch(() => {})
      const wait = share * (scene.seconds.get(phase) ?? 0.5) * 1000
      await setTimeout(wait)
      when = `${Math.round(wait)} ms after the beginning`
    }
    const alive = !over
    if (alive && signal === 'SIGINT') running.cancel()
    else if (alive) running.kill(signal)
    const run = await running.result
    proxies?.clear()
    if (!alive) {
      run.cleanUp()
      scene.emptyScratch()
      continue
    }
    landed++
    const reached = [...run.log.matchAll(/▶ ([^\n\r]*)/g)].at(-1)?.[1] ?? 'the beginning'
    const moment = `${way}${isEarly ? ', restored early' : ''}, ${signal} ${when} of ${phase || 'all'}, ended in ${reached}`
    say(`${landed}: ${moment}`)
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
    scene.removeWholeDump()
    const again = scene.inputs({ ...first, ...where, ...next })
    ;(await scene.succeed(again, run.directory)).forEach(fault('next run'))
    ;(await scene.sourceChanges()).forEach(fault('source after the next run'))
    if (way !== 'dump') (await scene.rights()).forEach(fault('right after the next run'))
    ;(await scene.targetFaults()).forEach(fault('target after the next run'))
    run.cleanUp()
    scene.emptyScratch()
  }
  return { landed, faults }
}
