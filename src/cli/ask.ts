import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { Cancelled, Failure } from '../failure.ts'
import { parseConnectionString } from '../postgres/connection-string.ts'
import { printable } from '../text/text.ts'

/**
 * The passwords that are needed and not given, with the words to ask for them. A connection string that cannot be read is for
 * somebody else to refuse.
 *
 * @param get the text of an input
 */
export function passwordsToAsk(get: (name: string) => string): { name: string; prompt: string }[] {
  return (['source', 'target'] as const).flatMap((side) => {
    const name = `${side}-password`
    if (get(side) === '' || get(name) !== '') return []
    try {
      const { password, user, host } = parseConnectionString(get(side))
      return password === undefined
        ? [{ name, prompt: `Password of the ${side}, ${printable(user)} at ${printable(host)}: ` }]
        : []
    } catch (error) {
      if (error instanceof Failure) return []
      throw error
    }
  })
}

/**
 * Asks for a secret on the terminal, without showing what is typed.
 *
 * @returns what was typed, '' for nothing
 * @throws Cancelled on Ctrl-C and Ctrl-D
 */
export async function askSecret(prompt: string): Promise<string> {
  // what is typed would be echoed here
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: nowhere, terminal: true })
  // the terminal itself echoes until now
  process.stderr.write(prompt)
  const stop = new AbortController()
  terminal.on('SIGINT', () => stop.abort())
  terminal.on('close', () => stop.abort())
  try {
    return await terminal.question('', { signal: stop.signal })
  } catch {
    throw new Cancelled()
  } finally {
    terminal.close()
    process.stderr.write('\n')
  }
}
