import { parseArgs } from 'node:util'
import { type Option, ownOptions } from './options.ts'

/** What stands on the command line, not yet held against anything. */
export interface Arguments {
  /** The first word; '' where there is none. */
  command: string
  /** What follows an option, by its name; that of a switch is `true`. */
  given: Map<string, string[]>
  /** Without a value in them: what is misspelt may be a secret. */
  mistakes: string[]
}

/**
 * Takes a command line apart: a command, and `--name value` or `--name=value` for each input. An input that is true or false may
 * stand alone.
 *
 * @param options what may be given with a value; others than these and our own are mistakes
 */
export function readArguments(
  words: readonly string[],
  options: readonly Pick<Option, 'name' | 'kind'>[],
): Arguments {
  const switches = ownOptions.filter((one) => !('value' in one)).map(({ name }) => name as string)
  const alone = new Set([
    ...switches,
    ...options.filter(({ kind }) => kind === 'boolean').map(({ name }) => name),
  ])
  const known = new Set([...ownOptions, ...options].map(({ name }) => name))
  const short = (name: string) => {
    const own = ownOptions.find((one) => one.name === name)
    return own && 'short' in own ? { short: own.short } : {}
  }
  const { tokens } = parseArgs({
    args: [...words],
    options: Object.fromEntries(
      [...known].map((name) => [
        name,
        { type: alone.has(name) ? ('boolean' as const) : ('string' as const), ...short(name) },
      ]),
    ),
    strict: false,
    tokens: true,
  })
  const given = new Map<string, string[]>()
  const mistakes: string[] = []
  const loose: string[] = []
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]
    if (token?.kind === 'positional') loose.push(token.value)
    if (token?.kind !== 'option') continue
    const { name, rawName } = token
    let { value } = token
    const next = tokens[at + 1]
    if (!known.has(name)) {
      mistakes.push(`${rawName}: there is no such option`)
      continue
    }
    if (alone.has(name) && value === undefined) {
      value = 'true'
      const isOwn = switches.includes(name)
      if (!isOwn && next?.kind === 'positional' && /^(true|false)$/i.test(next.value)) {
        value = next.value
        at++
      }
    }
    // `--source --target x` has forgotten a value, and `--source=--x` means it
    if (value === undefined || (token.inlineValue === false && value.startsWith('--')))
      mistakes.push(`${rawName}: a value is missing`)
    else given.set(name, [...(given.get(name) ?? []), value])
  }
  const [command = '', ...rest] = loose
  if (rest.length > 0)
    mistakes.push(
      `${rest.length === 1 ? 'a word stands' : `${rest.length} words stand`} behind no option; write --name value, and quote a value with blanks`,
    )
  return { command, given, mistakes }
}
