import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import type { ChecklistItem } from '../../../report/model.ts'
import type { DatabaseProperties } from '../database/properties.ts'
import { type Decision, leaveOut, type PlannedEntry } from './planned-entry.ts'

/** What acts by itself on the target, and so must not before the cutover: it arrives, but asleep. */

const reason =
  'restored disabled, so that it acts on nothing before the cutover: the checklist has the line that enables it'

/**
 * What becomes of an event trigger that is enabled on the source. pg_dump writes what it is set to behind CREATE EVENT TRIGGER;
 * both statements are one query, so it never stands enabled on the target.
 *
 * @param masked the entry's statement, its names and strings masked
 * @returns undefined for another entry, and for an event trigger that is disabled anyway
 */
export function decideAsleep(entry: ArchiveEntry, masked: string): Decision | undefined {
  if (entry.desc !== 'EVENT TRIGGER' || /\bDISABLE\s*;\s*$/.test(masked)) return undefined
  return {
    kind: 'otherwise',
    definition: `${entry.definition}\nALTER EVENT TRIGGER ${quoteIdentifier(entry.tag)} DISABLE;`,
    reason,
    facets: ['enabled'],
  }
}

/** Why jobs of pg_cron stay behind, and what takes their place: as a loss of the source and of the plan alike. */
export const jobsLoss = {
  entry: 'TABLE DATA cron.job',
  reason: 'jobs of pg_cron would run on the target from this moment on, and on the source as well',
  remedy:
    "Accept it, and schedule the jobs at the cutover: the report's checklist has the query that writes the lines",
}

/** What becomes of the jobs of pg_cron: a row in its table is a job that runs, wherever the database is. */
export function decideJobs(
  { desc, namespace, tag }: ArchiveEntry,
  { extensionTables }: DatabaseProperties,
): Decision | undefined {
  if (desc !== 'TABLE DATA' || namespace !== 'cron' || tag !== 'job') return undefined
  const isJobs = extensionTables.some(
    ({ schema, name, extension }) =>
      schema === namespace && name === tag && extension === 'pg_cron',
  )
  return isJobs ? leaveOut(jobsLoss.reason, jobsLoss.remedy, 'behaviour') : undefined
}

/** What a rehearsal goes without, and with it whatever hangs on it. */
const cron = 'EXTENSION pg_cron'

/**
 * What becomes of pg_cron in a rehearsal: it lives in one database of a server, which a copy is not, and what it would run there nobody
 * wants to run twice.
 */
export function decideCron(name: string): Decision | undefined {
  if (name !== cron) return undefined
  return leaveOut(
    'a rehearsal goes without pg_cron, which lives in one database of a server alone',
    'None needed: a migration brings it',
    'nothing',
  )
}

/** Nothing of a copy that is removed again is lost with pg_cron. To be called when it is known what hangs on what. */
export function loseNothingWithCron(entries: readonly PlannedEntry[]): void {
  for (const one of entries) {
    const { decision } = one
    if (decision.kind === 'leave-out' && decision.along?.name === cron)
      one.decision = { ...decision, loss: 'nothing' }
  }
}

/** To be run on the source: it writes a statement for each job. `jobname` came with pg_cron 1.3, the function with 1.4. */
const writeJobs = `SELECT pg_catalog.format('SELECT cron.schedule_in_database(%L, %L, %L, %L, %L, %L);', COALESCE(jobname, 'job ' || jobid), schedule, command, database, username, active) FROM cron.job ORDER BY jobid;`

/**
 * What is to be woken at the cutover, of the entries that are there, and the jobs that were left behind.
 *
 * @param database as the target calls it
 * @param source as the source calls it
 */
export function wakeUp(
  entries: readonly PlannedEntry[],
  database: string,
  source: string,
): ChecklistItem[] {
  return [...eventTriggers(entries, database), ...jobs(entries, source)]
}

function jobs(entries: readonly PlannedEntry[], source: string): ChecklistItem[] {
  const areLeft = entries.some(
    ({ name, decision }) => name === jobsLoss.entry && decision.kind === 'leave-out',
  )
  if (!areLeft) return []
  return [
    {
      what: 'Schedule the jobs of pg_cron, which were left out so that they do not run on both sides: the query writes the lines for the target, where pg_cron has its database',
      side: 'source',
      database: source,
      lines: [writeJobs],
    },
  ]
}

function eventTriggers(entries: readonly PlannedEntry[], database: string): ChecklistItem[] {
  const lines = entries.flatMap(({ entry, decision }) => {
    if (entry.desc !== 'EVENT TRIGGER' || decision.kind !== 'otherwise') return []
    const how = /\bENABLE (ALWAYS|REPLICA)\s*;\s*$/.exec(entry.definition)?.[1]
    return [
      `ALTER EVENT TRIGGER ${quoteIdentifier(entry.tag)} ENABLE${how === undefined ? '' : ` ${how}`};`,
    ]
  })
  if (lines.length === 0) return []
  return [
    {
      what: 'Enable the event triggers, which were restored disabled so that they act on nothing before',
      side: 'target',
      database,
      lines,
    },
  ]
}
