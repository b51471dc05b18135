import { randomUUID } from 'node:crypto'
import * as core from '@actions/core'
import { Paced } from '../host/paced.ts'
import { redact } from '../host/secrets.ts'
import type { Logger, Progress } from '../migration/context.ts'
import { visible } from '../text/text.ts'

/** Milliseconds between two progress lines: enough to see that it lives, few enough to read the log afterwards. */
const pace = 5000

/**
 * The runner's log. It takes lines that begin with `::` or hold `##[` for commands, so every line that may carry a name or
 * message from a database is made harmless and, besides, printed between `::stop-commands::` and its token.
 */
export class RunnerLog implements Logger, Progress {
  private readonly paced = new Paced(pace, (line) => this.fenced(`  … ${harmless(line)}`))

  debug(message: string): void {
    if (core.isDebug()) this.fenced(`[debug] ${harmless(message)}`)
  }

  info(message: string): void {
    this.fenced(harmless(message))
  }

  warning(message: string): void {
    this.fenced(`Warning: ${harmless(message)}`)
  }

  /** Shows the newest line at most every few seconds, and always the last one. */
  update(line: string): void {
    this.paced.update(line)
  }

  /** A pending progress line is no longer of interest. */
  settle(): void {
    this.paced.settle()
  }

  private fenced(line: string): void {
    // ordinary lines cannot be commands and go out as they are; a fence around each would double the log
    if (/::|##\[/.test(line)) {
      const token = randomUUID()
      core.info(`::stop-commands::${token}\n${line}\n::${token}::`)
    } else core.info(line)
  }
}

function harmless(message: string): string {
  return message
    .split('\n')
    .map((line) => visible(redact(line)))
    .join('\n')
}
