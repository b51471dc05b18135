import { isServerError, shownMessage } from './postgres/server-message.ts'

/**
 * A failure that we understand: what happened, why, and what to do next. Everything else that is thrown is a defect
 * and keeps its own message and stack. No field may ever hold a secret: fields reach logs, summaries and reports.
 */
export class Failure extends Error {
  override readonly name = 'Failure'
  /** The reason, in one line, mostly what the server or the program said. */
  readonly why: string
  /** The next step, in one line. */
  readonly remedy: string
  /** The five-character SQLSTATE, where a server gave one. */
  readonly sqlstate: string | undefined
  /** Both sides were compared and differ, and nothing went wrong but that. */
  readonly isDifference: boolean
  /** Lines to paste that the remedy speaks of, where there are any: SQL, or inputs of the workflow. */
  readonly paste: string | undefined

  constructor(
    what: string,
    why: string,
    remedy: string,
    options: {
      cause?: unknown
      sqlstate?: string | undefined
      isDifference?: boolean
      paste?: string | undefined
    } = {},
  ) {
    super(what, 'cause' in options ? { cause: options.cause } : undefined)
    this.why = why
    this.remedy = remedy
    this.sqlstate = options.sqlstate
    this.isDifference = options.isDifference ?? false
    this.paste = options.paste
  }

  /** The same failure with another next step. */
  withRemedy(remedy: string): Failure {
    const { message, why, sqlstate, isDifference, paste, cause } = this
    return new Failure(message, why, remedy, { cause, sqlstate, isDifference, paste })
  }

  /** The failure as the one line that a step ends with: what, why, next step. */
  get line(): string {
    const end = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`)
    return [this.message, this.why, this.remedy]
      .filter(Boolean)
      .map(end)
      .join(' ')
      .replace(/\s+/g, ' ')
  }
}

/** Whether failures are differences, each of them. */
export function areDifferences(errors: readonly unknown[]): boolean {
  return errors.every((error) => error instanceof Failure && error.isDifference)
}

/** The run was cancelled: by the runner's signal or by the caller's. Never retried, reported as `cancelled`. */
export class Cancelled extends Error {
  override readonly name = 'Cancelled'
  /** When, on the clock of `performance.now()`. */
  readonly at = performance.now()
  constructor(reason = 'The job was cancelled.') {
    super(reason)
  }
}

/**
 * The message of anything that was thrown, or that a server noted, in one line; of a server's error what may be shown of it (see
 * shownMessage).
 */
export function messageOf(error: unknown): string {
  if (error instanceof Failure) return error.line
  if (error instanceof AggregateError && error.errors.length > 0)
    return error.errors.map(messageOf).join('; ')
  if (isServerError(error)) return shownMessage(error)
  // a notice of the server has a message and is no Error
  const { message } = (error ?? {}) as { message?: unknown }
  return (typeof message === 'string' ? message : String(error)).replace(/\s+/g, ' ').trim()
}
