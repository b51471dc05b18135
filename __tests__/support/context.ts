import { wordsOf } from '../../src/commands/index.ts'
import type { Context } from '../../src/migration/context.ts'
import { newReport } from '../../src/report/model.ts'
import { ReportWriter } from '../../src/report/writer.ts'

/** A context that keeps what it is told, for the test to look at. */
export interface TestContext extends Context {
  /** What was logged, but for what is for debugging. */
  lines: string[]
  progressLines: string[]
  warnings: string[]
  /** What its signal belongs to, unless the test gave another. */
  controller: AbortController
}

/** A context outside any runner, with the report of a command that has done nothing yet. */
export function newContext(command: string, changes: Partial<Context> = {}): TestContext {
  const controller = new AbortController()
  const lines: string[] = []
  const progressLines: string[] = []
  const warnings: string[] = []
  const record = new ReportWriter(newReport(command, wordsOf(command)))
  const log = (line: string) => void lines.push(line)
  return {
    lines,
    progressLines,
    warnings,
    controller,
    log: { debug: () => {}, info: log, warning: log },
    progress: { update: (line) => void progressLines.push(line) },
    signal: controller.signal,
    temporaryDirectory: '/nonexistent',
    record,
    report: record.report,
    warn: (message) => void warnings.push(message),
    ...changes,
  }
}
