import { sqlstateOfMessage } from '../../../postgres/programs/messages.ts'
import { clientMajor } from '../../../postgres/programs/programs.ts'
import { shownLine, WhatFollows } from '../../../postgres/server-message.ts'
import { endsSession, isTransient } from '../../../postgres/sqlstates.ts'
import type { RestoreOptions } from '../options.ts'

/** What pg_restore, or the server, said of one error. */
export interface LoadError {
  /** The entry it was working on, where it said so. */
  dumpId: number | null
  /** The first line, without the program's name, as far as it may be shown. */
  message: string
  sqlstate: string | null
  /** Code of the database worded it: known where the server told us itself. */
  raised?: boolean
}

/** Rows were not loaded. */
export class LoadFailure extends Error {
  override readonly name = 'LoadFailure'
  readonly errors: LoadError[]
  /** Trying again may help: a lost connection, a killed program. */
  readonly transient: boolean

  constructor(message: string, errors: LoadError[], transient: boolean) {
    super(message)
    this.errors = errors
    this.transient = transient
  }
}

/** Nobody knows whether the rows are there, all of them or in part. */
export class CommitFailed extends LoadFailure {}

/**
 * Lines of pg_restore's stderr, put together to errors. Before version 12 it writes `[archiver (db)] ` before messages, and
 * no `error: `.
 */
export class ErrorReader {
  readonly errors: LoadError[] = []
  /** What pg_restore itself counted at its end. */
  ignored = 0
  private dumpId: number | null = null
  private last = ''
  private follows = new WhatFollows()

  read(line: string): void {
    const text = /^pg_restore: (?:\[[^\]]*\] )?(.*)$/.exec(line)?.[1]
    if (text === undefined) {
      const last = this.errors.at(-1)
      if (last) last.message = this.follows.read(line, last.message) ?? last.message
      return
    }
    this.follows = new WhatFollows()
    this.last = shownLine(text)
    const entry = /^(?:Error )?from TOC entry (\d+); /.exec(text)?.[1]
    const ignored = /^(?:warning|WARNING): errors ignored on restore: (\d+)/i.exec(text)?.[1]
    if (entry !== undefined) this.dumpId = Number(entry)
    else if (ignored !== undefined) this.ignored = Number(ignored)
    else if (/^processing data for table/.test(text)) this.dumpId = null
    else if (
      /^(error|fatal): |^(COPY failed|could not |connection to |query failed|error returned by |lost synchronization)/.test(
        text,
      )
    ) {
      const message = text.replace(/^(error|fatal): /, '')
      const sqlstate = sqlstateOfMessage(message)
      this.errors.push({ dumpId: this.dumpId, message: shownLine(message), sqlstate })
    }
  }

  /** Where it was when it ended without an error of its own. */
  get place(): string {
    return this.last ? `after it said: ${this.last}` : 'and no message'
  }
}

/**
 * A client of 17 or later sets a parameter that older servers do not know. It does so for every session and goes on:
 * the one error that is allowed.
 */
export function isExpected({ message }: LoadError, options: RestoreOptions): boolean {
  return (
    clientMajor(options.client) >= 17 &&
    message.includes('unrecognized configuration parameter "transaction_timeout"')
  )
}

/**
 * Whether another try may end better. Everything that pg_restore says after its connection is lost follows from that: it goes
 * on through the large objects without one. Before version 15 it does not say why a large object could not be written.
 */
export function mayAllPass(errors: readonly LoadError[]): boolean {
  const lost = errors.findIndex(({ sqlstate }) => endsSession(sqlstate ?? ''))
  const causes = lost < 0 ? errors : errors.slice(0, lost + 1)
  return (
    causes.length > 0 &&
    causes.every(
      ({ message, sqlstate }) =>
        (sqlstate !== null && isTransient(sqlstate, message)) ||
        (lost >= 0 && /^could not write to large object( \(result: .*)?$/.test(message)),
    )
  )
}

/** A check that reads another table fails until that one has its rows; it says so by its own code, or in its own words. */
export function mayLackRows({ errors }: LoadFailure): boolean {
  return (
    errors.length > 0 &&
    errors.every(({ sqlstate, raised }) => sqlstate === '23514' || sqlstate === null || raised)
  )
}
