import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { isRestoredEarly } from './dump-in-parts.ts'
import { type FaultScene, Proxies } from './faults.ts'
import { metadata, postBundle, readReport } from './migration.ts'
import { randomNumbers } from './random.ts'
import { runAction, runnerCommands, startAction } from './runner.ts'

const phases = ['preflight', 'dump shop', 'restore-roles', 'restore shop', 'verify shop'] as const

const disturbances = ['cut', 'reset', 'slow', 'stall'] as const

/** What the target holds beforehand, and what becomes of it: the first two are restored while the dump goes on. */
const ways = {
  new: {},
  swap: { 'if-target-not-empty': 'swap', 'drop-swapped': 'true' },
  replace: { 'if-target-not-empty': 'replace' },
} as const
type Way = keyof typeof ways

/** The action from source, which waits seconds for a silent peer where users' runs wait minutes. */
const impatientMain = join(import.meta.dirname, 'impatient-main.ts')

/** Longer than a run may take to heal or to give up. It is a bound for what hangs, and says nothing about speed. */
const patience = 600_000

/**
 * Migrates through a proxy that disturbs one side in one phase, and judges what became of it: healed, or given up with an
 * error that says what, why and what to do, and nothing lost. An undisturbed run follows each and has to succeed.
 *
 * @param runs how many; phases, disturbances and ways take turns, so that twenty runs have each disturbance in each phase, and
 * sixty each of them in each way; sides and moments are random
 * @param seed of the moments and of where the turns begin
 * @param first how many runs of that seed come before these: what a stopped test still lacks is run alone, with the sides and
 * moments that it would have had
 * @param at `statements`: each disturbance waits for a statement of its phase, and is of its connection alone
 * @returns what was wrong, each with the run in which it was, how many runs were really disturbed, and in how many of them the
 * restore began before the dump was complete
 */
export async function disturbAtRandom(
  scene: FaultScene,
  runs: number,
  seed: number,
  say: (line: string) => void,
  first = 0,
  at: 'moments' | 'statements' = 'moments',
): Promise<{ met: number; healed: number; early: number; faults: string[] }> {
  const random = randomNumbers(seed)
  const faults: string[] = []
  const proxies = await Proxies.start(scene)
  const next = (number: number) => {
    const phase = phases[number % phases.length] as (typeof phases)[number]
    const either = () => (random() < 0.5 ? 'source' : 'target')
    const side =
      phase === 'dump shop' ? 'source' : phase.startsWith('restore') ? 'target' : either()
    return { phase, side, share: random() } as const
  }
  for (let skipped = 0; skipped < first; skipped++) next(skipped + seed)
  let met = 0
  let healed = 0
  let early = 0
  try {
    for (let turn = 0; met < runs && turn < runs * 2; turn++) {
      const number = first + met + seed
      const { phase, side, share } = next(number)
      const disturbance = disturbances[
        number % disturbances.length
      ] as (typeof disturbances)[number]
      const way = (Object.keys(ways) as Way[])[number % 3] as Way
      const inputs = proxies.between(scene.inputs(ways[way]))
      const statement =
        at === 'statements' ? proxies.statementOf(phase, share, disturbance, side) : undefined
      if (way === 'new') await scene.target.backend.sql('DROP DATABASE shop WITH (FORCE)')
      else await scene.target.backend.sql('UPDATE public.run SET number = -1', 'shop')
      const running = startAction(impatientMain, { metadata, inputs })
      let over = false
      const result = running.result.finally(() => {
        over = true
      })
      let hit = 0
      if (statement !== undefined)
        hit = await Promise.race([statement.then(() => 1), result.then(() => 0)])
      else {
        await running.logged(new RegExp(`▶ ${phase}`)).catch(() => {})
        await setTimeout(share * (scene.seconds.get(phase) ?? 0.5) * 1000)
        // a phase may be between two connections at that moment: the next one that is open is meant
        while (!over && hit === 0) {
          hit = proxies[side].disturb(disturbance)
          if (hit === 0) await setTimeout(5)
        }
      }
      if (hit > 0) met++
      const bounded = await Promise.race([result, setTimeout(patience, undefined, { ref: false })])
      const moment = `${way}, ${disturbance} of ${hit} connections of the ${side} in ${phase}`
      const fault = (kind: string) => (what: string) => {
        faults.push(`${moment}: ${kind}: ${what}`)
        say(`WRONG: ${faults.at(-1)}`)
      }
      if (!bounded) {
        fault('hangs')(running.log().slice(-2000))
        running.kill('SIGKILL')
      }
      const run = await result
      proxies.clear()
      if (bounded) {
        const { report } = readReport(run)
        const { error } = report
        const began = isRestoredEarly(report, 'shop') ? 'restored early, ' : ''
        if (began) early++
        say(
          `${first + turn + 1}: ${moment}: ${began}${error ? `${error.message} ${error.cause}` : 'healed'}`,
        )
        if (error) {
          if (![error.message, error.cause, error.remedy].every((part) => part.trim() !== ''))
            fault('unclear')(JSON.stringify(error))
          if (
            /a bug|TypeError|undefined|not a function|does not know/.test(
              `${error.message} ${error.cause}`,
            )
          )
            fault('unclear')(JSON.stringify(error))
          const said = runnerCommands(run.log).filter(
            ({ command, message, properties }) =>
              // a blocker has an annotation of its own beside the line with which the step ends
              command === 'error' && !properties.title && message.includes(error.message),
          )
          if (said.length !== 1) fault('unclear')(`said ${said.length} times: ${error.message}`)
          if (run.outputs.verified === 'true') fault('verified')(JSON.stringify(error))
        } else {
          healed++
          if (run.outputs.verified !== 'true') fault('healed')('not verified')
          ;(await scene.targetFaults()).forEach(fault('target'))
        }
      }
      const post = await runAction(postBundle, {
        ...{ metadata, inputs, state: run.state, directory: run.directory },
      })
      if (post.code !== 0) fault('post')(post.log)
      ;(await scene.settle(run)).forEach(fault('left running'))
      if (bounded) scene.files(run).forEach(fault('file'))
      ;(await scene.sourceChanges()).forEach(fault('source'))
      if (way === 'swap') {
        const number = await scene.runIn().catch((error: Error) => error.message)
        if (number !== 0 && number !== -1) fault('swap')(`the database answers ${number}`)
      }
      const again = scene.inputs(ways[way === 'new' ? 'replace' : way])
      ;(await scene.succeed(again, run.directory)).forEach(fault('next run'))
      ;(await scene.rights()).forEach(fault('right after the next run'))
      ;(await scene.targetFaults()).forEach(fault('target after the next run'))
      run.cleanUp()
    }
  } finally {
    await proxies.stop()
  }
  return { met, healed, early, faults }
}
