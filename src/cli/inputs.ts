import { commands } from '../commands/index.ts'
import { rememberSecret, secretsIn } from '../host/secrets.ts'
import { type Inputs, parseInputs, secretInputs, secretsOfInput } from '../migration/inputs.ts'
import { passwordsToAsk } from './ask.ts'
import type { Settings } from './settings.ts'

/**
 * Checks everything that was given, and asks for the passwords that are missing.
 *
 * @param ask undefined where nobody can be asked
 * @throws Failure with all mistakes; what `ask` throws
 */
export async function readInputs(
  settings: Settings,
  ask: ((prompt: string) => Promise<string>) | undefined,
): Promise<Inputs> {
  for (const name of secretInputs)
    for (const secret of secretsOfInput(name, settings.get(name))) rememberSecret(secret)
  for (const name of ['source', 'target'])
    for (const secret of secretsIn(settings.get(name))) rememberSecret(secret)
  const get = forTheEngine(settings)
  const face = {
    mistakes: [...settings.mistakes, ...missing(settings)],
    remedy: 'migrate-to-polardb COMMAND --help lists what each command takes',
  }
  const inputs = parseInputs(get, commands, face)
  const asked = new Map<string, string>()
  for (const { name, prompt } of ask ? passwordsToAsk(settings.get) : []) {
    const secret = (await ask?.(prompt)) ?? ''
    rememberSecret(secret)
    asked.set(name, secret)
  }
  return asked.size === 0
    ? inputs
    : parseInputs((name) => asked.get(name) ?? get(name), commands, face)
}

/** What the engine is told instead of what makes sense on GitHub only: a dump stays where dump-directory says, and nowhere else. */
function forTheEngine({ command, get }: Settings): (name: string) => string {
  const dump = dumpOf(command)
  const isKept = get('dump-directory') !== ''
  // without a directory it is refused, see missing()
  const encrypts = get('passphrase') !== '' || !isKept
  const writes = dump === 'result' || (dump === 'written' && isKept)
  return (name) => {
    if (name === 'command') return command
    if (name === 'upload-dump') return String(writes && encrypts)
    // a rehearsal that would keep it so is refused, see missing()
    if (name === 'keep-dump') return String(writes && !encrypts && command !== 'rehearse')
    return get(name)
  }
}

/**
 * A command whose dump is all that is left of it, or that reads one, needs a place for it; and a rehearsal keeps its dump encrypted or
 * not at all.
 */
function missing({ command, get }: Settings): string[] {
  const dump = dumpOf(command)
  const isKept = get('dump-directory') !== ''
  if (command === 'rehearse' && isKept && get('passphrase') === '')
    return [
      'passphrase: it is not set; allowed: a passphrase, where dump-directory keeps the dump of a rehearsal',
    ]
  const needs =
    dump === 'result' || dump === 'read' || (dump === 'read without source' && get('source') === '')
  const what = dump === 'result' ? 'writes its dump there' : 'reads the dump there'
  return needs && !isKept
    ? [`dump-directory: it is not set; allowed: a directory; command ${command} ${what}`]
    : []
}

function dumpOf(command: string) {
  return commands.find(({ name }) => name === command)?.dump
}
