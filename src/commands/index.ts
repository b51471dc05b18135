import type { Run } from '../migration/run.ts'
import { type Wording, wordsOfAnyRun } from '../report/model.ts'
import type { Command } from './command.ts'
import { dump } from './dump.ts'
import { migrate } from './migrate.ts'
import { preflight } from './preflight.ts'
import { rehearse } from './rehearse.ts'
import { restore } from './restore.ts'
import { unfreeze } from './unfreeze.ts'
import { verify } from './verify.ts'

/** Every command; the first is the default. */
export const commands: readonly Command[] = [
  migrate,
  preflight,
  dump,
  restore,
  verify,
  rehearse,
  unfreeze,
]

/** How the report speaks of a command, of a name that no command has, too. */
export function wordsOf(name: string): Wording {
  return commands.find((command) => command.name === name)?.words ?? wordsOfAnyRun
}

/** Runs the command that the inputs choose; its results go into the run's report and outputs. */
export async function runCommand(run: Run): Promise<void> {
  const chosen = commands.find(({ name }) => name === run.inputs.command)
  if (!chosen) throw new TypeError(`there is no command ${run.inputs.command}`)
  await chosen.steps(run)
}
