import { formatCount } from '../text/numbers.ts'
import { isOfRolesAlone } from './findings.ts'
import type { ChecklistItem, Report } from './model.ts'

/**
 * What is to be done after the run, in the order in which it is done: the report's own checklist, and around it what follows
 * from how the run ended and how the source is left. After a run that did not succeed there is the checklist alone, since its
 * error says how to go on.
 */
export function nextSteps(report: Report): ChecklistItem[] {
  if (report.status !== 'succeeded') return [...report.checklist]
  const [before, after] = around(report)
  return [...before.map(inWords), ...report.checklist, ...after.map(inWords)]
}

/** What the list of them is called: after a run that did not succeed the next step is another one. */
export function titleOfSteps({ status }: Report): string {
  return status === 'succeeded' ? 'What to do next' : 'At the cutover'
}

function inWords(what: string): ChecklistItem {
  return { what, side: null, database: null, lines: [] }
}

/** What comes before the checklist, and what after. */
function around(report: Report): [string[], string[]] {
  const { command, verified, dump, rehearsal } = report
  switch (command) {
    case 'preflight':
      return [
        [],
        ['Try the whole migration with command: rehearse, or migrate with command: migrate'],
      ]
    case 'rehearse':
      if (rehearsal?.outcome === 'not run') return [[], []]
      return [
        [
          verified
            ? 'Announce the outage window, and migrate in it with command: migrate, the same inputs and freeze-source: true'
            : 'Rehearse again until it is verified: what is not proven here is not proven in the night either',
        ],
        [],
      ]
    case 'dump':
      return [
        [
          `Restore the dump${dump ? ` ${dump.id}` : ''} with command: restore, in another job or by hand with the standard programs`,
        ],
        [release],
      ]
    case 'migrate':
    case 'restore':
      if (isOfRolesAlone(report)) return [[verified ? databasesNext : unproven], []]
      return [
        [verified ? stillness(report) : unproven, switchOver(report)],
        [rollback(report), release],
      ]
    default:
      return [[], []]
  }
}

const databasesNext =
  'Migrate the databases with roles: skip, in as many jobs as you like: each finds its roles on the target'

const unproven =
  'Do not switch over before the target is proven: run command: verify, or migrate again with verify: data'

const release =
  'Release the ECS instance that ran the job, where one was started for it: the action runner/stop does, in a job with if: always()'

function stillness({ freeze, sourceStill, command }: Report): string {
  if (freeze?.frozen)
    return 'Leave the source frozen: what would be written to it from now on is not on the target'
  if (command === 'restore' || sourceStill !== true)
    return 'Make sure that nothing was written to the source since it was dumped: that is not on the target. For the cutover migrate with freeze-source: true, or with the applications stopped'
  return 'Nothing was written to the source while it was dumped, but nothing keeps anybody from it now: stop the applications, or migrate with freeze-source: true for the cutover'
}

function switchOver({ databases }: Report): string {
  const renamed = databases.filter(({ name, target }) => name !== target)
  const names =
    renamed.length === 0
      ? ''
      : `; ${renamed
          .slice(0, 5)
          .map(({ name, target }) => `"${name}" is called "${target}" there`)
          .join(
            ', ',
          )}${renamed.length > 5 ? ` and ${formatCount(renamed.length - 5)} more have other names` : ''}`
  return `Change the connection strings of the applications to the primary endpoint of the target: host, port, account${names}`
}

function rollback({ freeze }: Report): string {
  return freeze?.frozen
    ? 'To go back: command: unfreeze gives the source its writes back. What was written to the target meanwhile is not on the source'
    : 'To go back: let the applications use the source as before, on which nothing was changed. What was written to the target meanwhile is not there'
}
