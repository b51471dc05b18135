import { randomUUID } from 'node:crypto'
import * as core from '@actions/core'
import type { Logger, Progress } from '../migration/context.ts'
import { visible } from '../text/text.ts'
import { redact } from './secrets.ts'

/** Milliseconds between two progress lines: enough to see that it lives, few enough to read the log afterwards. */
const pace = 5000

/**
 * The runner's log. It takes lines that begin with `::` or hold `##[` for commands, so every line that may carry a name or
 * message from a database is made harmless and, besides, printed between `::stop-commands::` and its token.
 */
export class RunnerLog implements Logger, Progress {
  private last = 0
  private waiting: NodeJS.Timeout | undefined

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
    clearTimeout(this.waiting)
    const show = () => {
      this.last = Date.now()
      this.fenced(`  … ${harmless(line)}`)
    }
    const due = this.last + pace - Date.now()
    if (due <= 0) show()
    else this.waiting = setTimeout(show, due)
    this.waiting?.unref()
  }

  /** A pending progress line is no longer of interest. */
  settle(): void {
    clearTimeout(this.waiting)
    this.waiting = undefined
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
