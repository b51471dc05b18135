import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { keepingNone } from '../../postgres/kept-sessions.ts'
import type { ClientPrograms } from '../../postgres/programs/programs.ts'
import { type CheckResult, type Loss, needless, newReport } from '../../report/model.ts'
import { ReportWriter } from '../../report/writer.ts'
import { counted, formatCount } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import { type DumpedRoles, dumpTheRoles } from '../dump/everything.ts'
import type { DumpSource } from '../dump/programs.ts'
import { type DumpedSchemas, withSchemas } from '../dump/schemas.ts'
import { openDumpSource } from '../dump/source.ts'
import { groupLosses } from '../losses.ts'
import { runPhase } from '../phases.ts'
import { allowMissing } from '../restore/plan/allow-missing.ts'
import { decideEverything, type PlannedDatabase } from '../restore/plan-everything.ts'
import { scratchRestore } from '../restore/scratch-restore.ts'
import type { Run } from '../run.ts'
import type { Assessed } from './assess.ts'
import { note, noteFailure } from './note.ts'
import { pastedName } from './paste.ts'
import type { Source } from './preflight.ts'
import { passwordsReadable, privileges } from './source/privileges.ts'

/** What was learned on the way. */
export interface Ahead {
  readonly client?: ClientPrograms
  /** What pg_dump took for the definitions alone, by database. */
  readonly schemaSeconds?: ReadonlyMap<string, number>
}

/**
 * Makes the plan of the migration as the migration itself will make it, by the same programs and the same planner: from the roles and
 * the definitions, without a row. What is lost and what stands in the way are failed checks, all of them, with the lines that
 * accept the losses. Nothing is left on either server or on the runner. With `preflight-restore` the definitions are tried
 * in a throw-away database, too.
 *
 * @returns what an estimate can go by
 * @throws Cancelled
 */
export async function planAhead({ source, target }: Assessed, run: Run): Promise<Ahead> {
  if (!source) return {}
  if (!target)
    skip(run, 'plan', 'what becomes of the roles and definitions takes the target to ask')
  const dumpSource = await attempt(run, 'client-programs', () =>
    openDumpSource(source, run, target),
  )
  if (!dumpSource) {
    skip(run, 'plan', 'without the client programs nothing can be read as a dump would')
    return {}
  }
  let schemaSeconds: Ahead['schemaSeconds']
  let isDecided = !target
  let isWhole = true
  let withPasswords = true
  const directory = join(run.temporaryDirectory, 'ahead')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  // what is decided goes into a report of its own, every loss accepted, so that all are found
  const record = new ReportWriter(newReport(run.report.command, run.report.words))
  const ahead = { ...run, record, report: record.report, dumpDirectory: directory }
  const quiet = { ...run.log, info: () => {} }
  try {
    const { roles, ...how } = await rolesAhead(source, dumpSource, {
      ...run,
      dumpDirectory: directory,
    })
    withPasswords = how.withPasswords
    const refused = (database: string, failure: Failure) => {
      isWhole = false
      const failed = named(`the database "${database}"`, failure)
      noteFailure(run, 'plan-schema', failed, { paste: pasteFor(failure, source, run) })
    }
    await attempt(run, 'plan', () =>
      runPhase(run, 'schema', () =>
        withSchemas(
          source,
          dumpSource,
          run,
          async (dumping) => {
            const schemas = await dumping
            schemaSeconds = schemas.seconds
            if (!target) return
            const { losses } = source
            const dump = { client: dumpSource.client, roles, losses, proven: true, ...schemas }
            // one that is not there, or cannot be read, is a failed check already, and keeps nobody from the others' plan
            const databases = schemas.databases.map(({ name, target }) => ({
              source: name,
              target: target ?? name,
            }))
            const rolePasswords = run.inputs.rolePasswords && withPasswords
            const inputs = { ...run.inputs, allowMissing: ['*'], databases, rolePasswords }
            const { planned, refusals } = await decideEverything(
              { ...dump, isSchema: true, isLookOnly: true },
              target.connection,
              { ...ahead, inputs, log: quiet },
            )
            isDecided = true
            isWhole &&= refusals.length === 0
            for (const { what, error } of refusals) noteFailure(run, 'plan', named(what, error))
            for (const database of planned.databases) tellPlan(database, run)
            if (run.inputs.preflightRestore)
              await tryAhead({ source, target }, schemas, dumpSource, run)
          },
          { refused },
        ),
      ),
    )
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  for (const result of record.report.checks) note(run, result)
  // without the passwords every role would seem to lose its login: which do, is known when they can be read
  const isKnown = ({ entry }: Loss) => withPasswords || !entry.startsWith('LOGIN ')
  const losses = (target ? record.report.losses : source.losses).filter(isKnown)
  tellLosses(losses, isDecided && isWhole && withPasswords, run)
  return { client: dumpSource.client, ...(schemaSeconds ? { schemaSeconds } : {}) }
}

/** What only the target itself can say of the definitions. */
async function tryAhead(
  { source, target }: Required<Assessed>,
  schemas: DumpedSchemas,
  { client }: DumpSource,
  run: Run,
): Promise<void> {
  const { account } = target
  const mayCreate = account.superuser || account.createDatabase
  const options = { source: source.connection, target: target.connection, mayCreate }
  await attempt(run, 'scratch-restore', () =>
    runPhase(run, 'scratch-restore', async () => {
      // a session in the throw-away database would keep it from being dropped
      const restored = keepingNone(() => scratchRestore({ ...options, schemas, client }, run))
      for (const result of await restored) note(run, result)
    }),
  )
}

/**
 * The roles as a dump would have them, without their passwords where these cannot be had: a failed check says so.
 *
 * @returns roles null where they are not migrated, or cannot be dumped at all
 */
async function rolesAhead(
  source: Source,
  dumpSource: DumpSource,
  run: Run,
): Promise<{ roles: DumpedRoles | null; withPasswords: boolean }> {
  const isClosed = run.report.checks.some(
    ({ id, status }) => id === passwordsReadable.id && status === 'failed',
  )
  try {
    if (!isClosed)
      return { roles: await dumpTheRoles(source, dumpSource, run), withPasswords: true }
  } catch (error) {
    if (run.signal.aborted || !(error instanceof Failure)) throw error
    noteFailure(run, 'plan-roles', error, { paste: pasteFor(error, source, run) })
  }
  const inputs = { ...run.inputs, rolePasswords: false }
  const roles = await attempt(run, 'plan-roles', () =>
    dumpTheRoles(source, dumpSource, { ...run, inputs }),
  )
  return { roles: roles ?? null, withPasswords: false }
}

/** Lines to paste against what a client program was refused on the source. */
function pasteFor({ why, paste }: Failure, source: Source, { report }: Run): string | undefined {
  if (paste !== undefined) return paste
  if (/permission denied .*\bpg_authid\b/.test(why)) return 'role-passwords: false'
  if (/permission denied .*\bpg_subscription\b/.test(why)) return 'dump-options: --no-subscriptions'
  if (/row-level security/.test(why))
    return `ALTER ROLE ${pastedName(source.connection.user)} BYPASSRLS;`
  // what may not be read was looked for by name already
  if (!/permission denied/.test(why)) return undefined
  return report.checks.find(({ id, status }) => id === privileges.id && status === 'failed')?.paste
}

/** What a step gives, or a failed check and undefined. @throws Cancelled, and what is no failure of ours */
async function attempt<T>(run: Run, id: string, step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step()
  } catch (error) {
    if (run.signal.aborted || error instanceof Cancelled) throw new Cancelled()
    noteFailure(run, id, named('', error))
    return undefined
  }
}

function named(what: string, error: unknown): Failure {
  const prefix = what === '' ? '' : `${what}: `
  if (error instanceof Failure) {
    const { message, why, remedy, sqlstate, paste } = error
    return new Failure(`${prefix}${message}`, why, remedy, { cause: error, sqlstate, paste })
  }
  return new Failure(
    `${prefix}it could not be decided about`,
    messageOf(error),
    'Look into the logs beside the report',
  )
}

function skip(run: Run, id: string, message: string): void {
  const severity = 'info'
  note(run, { id, severity, status: 'skipped', message, objects: [], remedy: '' })
}

/** What becomes of the entries of a database that are not restored as they stand, by the reason. */
function tellPlan({ destination, plan }: PlannedDatabase, run: Run): void {
  const { target } = destination
  const passed = (message: string, objects: string[] = []): CheckResult => ({
    ...{ id: 'plan', severity: 'info', status: 'passed', remedy: '' },
    message: `"${target}": ${message}`,
    objects,
  })
  const otherwise = plan.entries.flatMap(({ name, decision }) =>
    decision.kind === 'restore' || Object.values(needless).includes(decision.reason)
      ? []
      : [
          {
            how: decision.kind === 'leave-out' ? 'left out' : 'changed',
            name,
            reason: decision.reason,
          },
        ],
  )
  const all = plan.entries.length
  note(
    run,
    passed(
      `${formatCount(all - otherwise.length)} of ${counted(all, 'entry', 'entries')} are restored as they are, or there already`,
    ),
  )
  for (const [key, group] of Map.groupBy(otherwise, ({ how, reason }) => `${how}: ${reason}`)) {
    const entries = counted(group.length, 'entry', 'entries')
    note(
      run,
      passed(
        `${entries} ${key}`,
        group.map(({ name }) => printable(name)),
      ),
    )
  }
}

/**
 * A failed check for each reason of losses that are not accepted, and the lines that accept all of them.
 *
 * @param isWhole everything was decided about: else nobody can say that nothing is lost
 */
function tellLosses(found: readonly Loss[], isWhole: boolean, run: Run): void {
  const accepts = allowMissing(run.inputs.allowMissing)
  // whoever leaves the passwords behind has said so
  const said = allowMissing(run.inputs.rolePasswords ? [] : ['LOGIN *'])
  const isAccepted = ({ entry }: Loss) => accepts(entry) || said(entry)
  run.record.acceptedLosses(found.filter(isAccepted))
  const open = found.filter((loss) => !isAccepted(loss))
  if (open.length === 0 && !isWhole) {
    note(run, {
      ...{ id: 'losses', severity: 'blocker', status: 'skipped', objects: [], remedy: '' },
      message: 'what would be lost is not known: not everything could be decided about',
    })
    return
  }
  if (open.length === 0) {
    const message = `${counted(found.length, 'loss', 'losses')} accepted, and no other`
    note(run, {
      ...{ id: 'losses', severity: 'blocker', status: 'passed', objects: [], remedy: '' },
      message: found.length === 0 ? 'nothing is lost' : message,
    })
    return
  }
  const lines = (entries: readonly string[]) =>
    `allow-missing: |\n${entries.map((entry) => `  ${entry}`).join('\n')}`
  for (const [database, losses] of Map.groupBy(open, ({ database }) => database)) {
    const where = database === null ? 'The roles and the server' : `The database "${database}"`
    for (const { reason, remedy, entries } of groupLosses(losses)) {
      note(run, {
        ...{ id: 'losses', severity: 'blocker', status: 'failed' },
        message: `${where} would lose ${counted(entries.length, 'object')}: ${reason}`,
        objects: entries,
        remedy: `${remedy}. Or accept the loss in allow-missing`,
        paste: lines(entries),
      })
    }
  }
  note(run, {
    ...{ id: 'losses-all', severity: 'info', status: 'failed', objects: [] },
    message: `The lines in allow-missing that accept all ${counted(open.length, 'loss', 'losses')} above`,
    remedy: 'Read each of them first: what they name will be missing on the target',
    paste: lines([...run.inputs.allowMissing, ...new Set(open.map(({ entry }) => entry))]),
  })
}
