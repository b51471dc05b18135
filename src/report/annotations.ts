import { printable, shorten } from '../text/text.ts'
import { differencesOf } from './findings.ts'
import { isBlocker, type Report } from './model.ts'
import { outcome, sentence } from './verdict.ts'

export interface Annotation {
  level: 'error' | 'warning' | 'notice'
  title: string
  message: string
}

/** GitHub shows ten annotations of a level a step, of 4,096 characters each, and drops the rest without a word. */
const perLevel = 10
const longest = 4096
const longestTitle = 200

/**
 * What is worth an annotation, the most useful first: at most ten of a level (nine errors where the run failed or was
 * cancelled: the tenth is the run's own, which `core.setFailed` makes), the last one counting those that had no room.
 * Texts are plain and in one line each; what writes them to the log has to escape them for the runner.
 *
 * @param elsewhere where those are that had no room
 */
export function annotations(
  report: Report,
  elsewhere = 'in the job summary and in report.json (artifact polardb-report)',
): Annotation[] {
  const failed = report.status !== 'succeeded'
  return [
    ...limited('error', errors(report), failed ? perLevel - 1 : perLevel, elsewhere),
    ...limited('warning', warnings(report), perLevel, elsewhere),
    ...limited('notice', notices(report), perLevel, elsewhere),
  ]
}

type Item = [title: string, ...sentences: string[]]

function limited(
  level: Annotation['level'],
  items: Item[],
  limit: number,
  elsewhere: string,
): Annotation[] {
  const room = items.length > limit ? limit - 1 : limit
  const shown = items.slice(0, room)
  const left = items.length - shown.length
  if (left > 0) shown.push([`${left} more`, `${left} more of the kind are ${elsewhere}.`])
  return shown.map(([title, ...sentences]) => ({
    level,
    title: shorten(printable(title), longestTitle),
    message: shorten(printable(sentences.filter(Boolean).map(sentence).join(' ')), longest),
  }))
}

function errors(report: Report): Item[] {
  return [
    ...report.checks
      .filter(isBlocker)
      .map(
        (check): Item => [`Blocker: ${check.id}`, check.message, list(check.objects), check.remedy],
      ),
    ...report.databases.flatMap((database): Item[] => [
      ...(database.error && database.error.message !== report.error?.message
        ? [
            [
              `Database ${database.name}`,
              database.error.message,
              database.error.cause,
              database.error.remedy,
            ] satisfies Item,
          ]
        : []),
      ...(database.restore?.failed ?? []).map(
        (entry): Item => [
          `Not restored: ${entry.entry} of ${database.name}`,
          entry.sqlstate === null ? entry.reason : `${entry.reason} (SQLSTATE ${entry.sqlstate})`,
          entry.remedy,
        ],
      ),
    ]),
    ...differencesOf(report).map(
      ({ database, kind, object, how }): Item => [
        `Differs: ${kind} ${object} of ${database}`,
        `${kind} ${object} of database ${database}: ${how}`,
      ],
    ),
    ...(report.roles?.differences ?? [])
      .filter(({ explained }) => !explained)
      .map((role): Item => [`Role differs: ${role.role}`, `${role.what}: ${role.reason}`]),
  ]
}

function warnings(report: Report): Item[] {
  const toSet = report.roles?.passwordsToSet ?? []
  return [
    ...report.databases.flatMap((database): Item[] => {
      const skipped = database.restore?.skipped ?? []
      return skipped.length === 0
        ? []
        : [
            [
              `Left out of ${database.target}: ${skipped.length === 1 ? 'one entry' : `${skipped.length} entries`}`,
              some(
                skipped.map(({ entry, reason }) => `${entry} (${reason})`),
                '; ',
              ),
            ],
          ]
    }),
    ...(toSet.length > 0
      ? [
          [
            'Passwords to set by hand',
            `These roles came without a password: ${some(toSet)}`,
          ] satisfies Item,
        ]
      : []),
    ...report.checks
      .filter((check) => check.status === 'failed' && check.severity === 'warning')
      .map(
        (check): Item => [`Check: ${check.id}`, check.message, list(check.objects), check.remedy],
      ),
    ...report.warnings.map((warning): Item => ['Warning', warning]),
  ]
}

function notices(report: Report): Item[] {
  const { title, sentence: text } = outcome(report)
  return report.status === 'succeeded' ? [[title, text]] : []
}

function list(objects: readonly string[]): string {
  return objects.length === 0 ? '' : `Concerns ${some(objects)}`
}

/** The first of many, so that what follows them in a message still has room. */
function some(texts: readonly string[], separator = ', '): string {
  const shown = texts.slice(0, 20).map((text) => shorten(text, 150))
  const left = texts.length - shown.length
  return [...shown, ...(left > 0 ? [`and ${left} more`] : [])].join(separator)
}
