import { Failure, messageOf } from '../failure.ts'
import { parseDuration } from './duration.ts'

/** What reads one input after the other and keeps every mistake for one message; see readInputs. */
export type InputReader = ReturnType<typeof readInputs>

/**
 * Reads the inputs of an action, each in one way, and collects what is wrong with them.
 *
 * @param get the text of an input, '' when it is not set
 * @param found what is wrong already
 */
export function readInputs(get: (name: string) => string, found: readonly string[] = []) {
  const mistakes = [...found]
  const wrong = (name: string, given: string, allowed: string) => {
    mistakes.push(`${name}: ${given}; ${allowed}`)
    return undefined as never
  }
  const shown = (text: string) => `"${text.length > 60 ? `${text.slice(0, 60)}…` : text}"`
  return {
    /** Notes a mistake: what was given (never a secret) and what is allowed. */
    wrong,
    /** A text as a message quotes it. */
    shown,
    optional: (name: string): string | undefined => get(name) || undefined,
    choice<T extends string>(name: string, allowed: readonly T[], fallback: T): T {
      const text = get(name) || fallback
      return (allowed as readonly string[]).includes(text)
        ? (text as T)
        : wrong(name, shown(text), `allowed: ${allowed.join(', ')}`)
    },
    boolean(name: string, fallback: boolean): boolean {
      const text = get(name).toLowerCase() || String(fallback)
      return text === 'true' || text === 'false'
        ? text === 'true'
        : wrong(name, shown(text), 'allowed: true, false')
    },
    number(name: string, least: number, most: number): number | undefined {
      const text = get(name)
      if (text === '') return undefined
      const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
      return value >= least && value <= most
        ? value
        : wrong(name, shown(text), `allowed: a whole number from ${least} to ${most}`)
    },
    /** A length of time as `parseDuration` reads it, in seconds. */
    duration(name: string): number | undefined {
      const text = get(name).trim()
      if (text === '') return undefined
      return (
        parseDuration(text) ?? wrong(name, shown(text), 'allowed: such as 90m, 1h30m, 5400s or 7d')
      )
    },
    lines: (name: string): string[] =>
      get(name)
        .split('\n')
        .map((line) => line.trim())
        .filter(Boolean),
    /** What `parse` returns; what it throws becomes a mistake of the input. */
    attempt<T>(name: string, parse: () => T): T {
      try {
        return parse()
      } catch (error) {
        return wrong(name, messageOf(error), 'see docs/reference.md')
      }
    },
    /** @throws Failure with all mistakes, when there are any */
    refuse(remedy: string): void {
      if (mistakes.length === 0) return
      throw new Failure(
        mistakes.length === 1 ? 'An input is wrong' : `${mistakes.length} inputs are wrong`,
        mistakes.join(' | '),
        remedy,
      )
    },
  }
}
