import type { Logger } from '../migration/context.ts'
import { annotations } from '../report/annotations.ts'
import { isBlocker, type Report } from '../report/model.ts'
import { printable } from '../text/text.ts'

/**
 * Says what somebody has to know of a run that has ended, the most useful last, where he looks: what was found, and why the run
 * failed with what to do next. Warnings were shown when they came up.
 */
export function explain(report: Report, log: Pick<Logger, 'info'>): void {
  // each is one line, whatever names are in it
  const say = (line: string) => log.info(printable(line))
  // a single blocker is what the run failed by, and several have each said what they are and what mends them
  const several = report.checks.filter(isBlocker).length > 1
  const isTold = (title: string) => title === 'Warning' || (title.startsWith('Blocker') && !several)
  const found = annotations(report, 'in report.html and report.json')
  for (const level of ['warning', 'error'] as const)
    for (const { title, message } of found.filter((one) => one.level === level))
      if (!isTold(title))
        say(
          `${level === 'error' ? 'Error' : 'Warning'}: ${message.startsWith(title) ? '' : `${title}: `}${message}`,
        )
  const { error } = report
  if (!error) return
  say(`${report.status === 'cancelled' ? '' : 'Error: '}${error.message}`)
  if (several) return
  if (error.cause) say(`  Why: ${error.cause}`)
  if (error.remedy) say(`  Next: ${error.remedy}`)
}
