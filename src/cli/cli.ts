import { commands } from '../commands/index.ts'
import { Cancelled, Failure } from '../failure.ts'
import { redact } from '../host/secrets.ts'
import type { Inputs } from '../migration/inputs.ts'
import { printable } from '../text/text.ts'
import { askSecret } from './ask.ts'
import { cancelled, wrongInputs } from './exit-code.ts'
import { helpOf, overview } from './help.ts'
import { readInputs } from './inputs.ts'
import { readPackage } from './options.ts'
import { runAtTerminal } from './run.ts'
import { readSettings } from './settings.ts'

/**
 * The command line: reads what is asked for, and carries it out.
 *
 * @param words those behind the program's name
 * @returns the status to exit with (docs/command-line.md)
 */
export async function runCli(words: readonly string[]): Promise<number> {
  // whoever reads the log may leave before the migration ends
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  const about = readPackage()
  const settings = readSettings(words, process.env, about, process.cwd())
  const { command, mistakes, noPassword } = settings
  if (settings.version) return say(`migrate-to-polardb ${about.version}`)
  const width = Math.min(process.stdout.columns ?? 80, 100)
  if (settings.help) {
    const isCommand = commands.some(({ name }) => name === command)
    return say(isCommand ? helpOf(command, about, width) : overview(about, width))
  }
  if (command === '' && mistakes.length === 0) {
    process.stderr.write(`${overview(about, width)}\n`)
    return wrongInputs
  }
  const canAsk = process.stdin.isTTY && process.stderr.isTTY && !process.env.CI && !noPassword
  let inputs: Inputs
  try {
    inputs = await readInputs(settings, canAsk ? askSecret : undefined)
  } catch (error) {
    if (error instanceof Cancelled) {
      process.stderr.write('Cancelled: nothing was begun\n')
      return cancelled
    }
    if (!(error instanceof Failure)) throw error
    complain(error)
    return wrongInputs
  }
  return await runAtTerminal(inputs, settings)
}

/** Prints to standard output. @returns the status of success */
function say(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

/** The mistakes, a line each. */
function complain({ message, why, remedy }: Failure): void {
  const mistakes = why.split(' | ').map((mistake) => `  ${mistake}`)
  for (const line of [
    `migrate-to-polardb: ${message}`,
    ...mistakes,
    `Nothing was begun. ${remedy}`,
  ])
    process.stderr.write(`${printable(redact(line))}\n`)
}
