import { setTimeout as sleep } from 'node:timers/promises'
import { Failure, messageOf } from '../../failure.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { mayPass } from '../../postgres/errors.ts'
import { qualifiedName, quoteIdentifier } from '../../postgres/identifiers.ts'
import { refuses } from '../../postgres/sqlstates.ts'
import type { ChecklistItem, EntryResult, RestoreResult } from '../../report/model.ts'
import { counted, printable } from '../../text/text.ts'
import { doStill } from '../cancellation.ts'
import type { Context } from '../context.ts'
import { goOn } from '../go-on.ts'
import { refuseUnaccepted } from '../losses.ts'
import type { AnnouncedEntry } from '../verify/compare/announced.ts'
import { applyProperties } from './database/apply-properties.ts'
import {
  borneOut,
  notOurs,
  readMark,
  removeState,
  stateSchema,
  writeState,
} from './database/mark.ts'
import { elsewhere } from './database/outside.ts'
import type { RestoreOptions } from './options.ts'
import { Grants } from './owners/grants.ts'
import { type Loader, makeLoader, newLoaderName, withoutLoader } from './owners/loader.ts'
import { retireLoginRole } from './owners/login-role.ts'
import { markForAccount } from './owners/logins.ts'
import { Ownership } from './owners/ownership.ts'
import { TemporaryRights } from './owners/temporary-rights.ts'
import { wakeUp } from './plan/asleep.ts'
import {
  administersPublic,
  lossesOf,
  makePlan,
  ownedPublic,
  type RestorePlan,
} from './plan/plan.ts'
import { announce, type PlannedEntry } from './plan/planned-entry.ts'
import { absentTables } from './run/absent-tables.ts'
import { Execution } from './run/execution.ts'
import { runEntry } from './run/statements.ts'
import { correctTables } from './run/table-defaults.ts'
import type { Login } from './run/target-session.ts'
import { endSessions, sessionPrefix, TargetSession } from './run/target-session.ts'
import { refillUnlogged } from './run/unlogged.ts'
import { EntryFailed, type Worker } from './run/worker.ts'

/**
 * What is accepted goes into the report's losses, everything else ends the run.
 *
 * @throws Failure with the whole list of what the target cannot take, each with its remedy
 */
export function refuseLosses(plan: RestorePlan, context: Context): void {
  const { name } = plan.database
  context.record.acceptedLosses(lossesOf(plan.accepted, name))
  refuseUnaccepted(lossesOf(plan.losing, name), [], `the database "${name}"`, context)
}

/** The target refused an extension that must not be missing. */
export class PlanRefused extends Error {
  override readonly name = 'PlanRefused'
  readonly failure: Failure

  constructor(failure: Failure) {
    super(failure.message)
    this.failure = failure
  }
}

/** Milliseconds: a cancelled job has seconds, not minutes. */
const releaseTime = 5000
const releaseAttempts = 3
/** Milliseconds for all of giving back, also where the server stalls in the middle of it. */
const releaseLimit = 120_000

/** The stages of one restore, in their order, and what they share. */
export class Stages {
  private plan: RestorePlan
  private run: Execution
  private readonly options: RestoreOptions
  private readonly context: Context
  private readonly resuming: boolean
  private readonly rights: TemporaryRights
  private readonly refused: EntryResult[] = []
  private readonly worker: Worker
  private extensions = 0
  /** Attempts when unlogged tables were last looked after; the first one needs nothing, unless it resumes another. */
  private refilledAt: number
  private later = 0
  /** Nobody can log in as the loader any more. */
  private retired = false
  ownership: Ownership
  private grants: Grants

  constructor(
    options: RestoreOptions,
    plan: RestorePlan,
    context: Context,
    dump: string,
    resuming: boolean,
  ) {
    this.options = options
    this.plan = plan
    this.context = context
    this.resuming = resuming
    this.refilledAt = resuming ? 0 : 1
    this.run = new Execution(options, plan, context, resuming)
    this.worker = this.run.worker()
    this.rights = new TemporaryRights(plan.facts, options.targetName, {
      dump,
      memberships: [],
      schemaGrants: [],
      databaseGrants: [],
      loader: newLoaderName(),
      owners: false,
    })
    this.ownership = new Ownership(plan, this.rights, this.worker)
    this.grants = this.grantsOf(plan)
  }

  private grantsOf(plan: RestorePlan): Grants {
    const { ownership } = this
    return new Grants(plan, this.rights, this.worker, (item) => ownership.ownerOf(item))
  }

  /** Marks the database, and takes over what an interrupted restore left: its sessions and its rights. */
  async begin(): Promise<void> {
    await this.worker.retrying('the mark of the restore', '', async (session) => {
      const client = await session.own()
      const mark = await readMark(client)
      if (mark && !mark.ours) throw notOurs(mark)
      const left = mark?.state
      if (mark && !left) {
        this.context.warn(
          `The comment of the schema "${stateSchema}" in the target database "${this.options.targetName}" is none of ours: rights that the account has lent itself in an earlier run cannot be found from it`,
        )
      }
      if (left) {
        await endSessions(client, `${sessionPrefix}%`, this.run.signal, left.loader)
        const { state } = this.rights
        // which dump it is, this run says; what is to be given back, the server must bear out
        const { dump, ...given } = await borneOut(client, left, this.plan.facts.target.major)
        Object.assign(state, given)
      }
      await writeState(client, this.rights.state)
    })
    if (this.resuming) await this.becomeOwners()
  }

  private async becomeOwners(): Promise<void> {
    // objects that were given away already can only be worked on as their owners
    const owners = this.plan.entries.map(({ entry }) => entry.owner)
    for (const role of new Set([...owners, this.plan.database.owner].filter(Boolean))) {
      await this.worker.retrying(`membership in ${role}`, '', async (session) => {
        await this.rights.become(session, role)
      })
    }
  }

  /**
   * Lends the account again what it needs to read a database that an earlier run has restored to its end. What cannot be lent
   * shows in the verification.
   */
  async lookAgain(): Promise<void> {
    const { state } = this.rights
    state.complete = true
    state.loader = null
    const { owner } = this.plan.database
    try {
      await this.worker.retrying('the mark of the restore', '', async (session) => {
        const client = await session.own()
        const mark = await readMark(client)
        if (mark && !mark.ours) throw notOurs(mark)
        if (mark?.state) {
          const { memberships } = await borneOut(client, mark.state, this.plan.facts.target.major)
          state.memberships = memberships
        }
        await this.rights.markAs(session, owner)
      })
      await this.becomeOwners()
    } catch (error) {
      if (!(error instanceof EntryFailed) || error.stops) throw this.explain(error)
      // it was no entry of the archive, and what comes of it the verification says
      const [told] = this.run.failed.splice(0)
      this.context.log.warning(`The account reads with its own rights alone: ${told?.reason ?? ''}`)
    } finally {
      await this.worker.close()
    }
  }

  /**
   * Creates the extensions before anything else: whether the target really lets the account have them shows only now, and
   * still before the first row.
   */
  async createExtensions(): Promise<void> {
    const wanted = this.select(({ entry }) => entry.desc === 'EXTENSION')
    const refused = new Map(this.plan.facts.refused)
    for (const item of wanted) {
      await this.worker.retrying(item.name, item.entry.definition, async (session) => {
        try {
          for (const schema of this.schemasOf(item)) await runEntry(session, schema, this.plan)
          await runEntry(session, item, this.plan)
          this.extensions++
        } catch (error) {
          const { code = '' } = error as { code?: string }
          if (!refuses(code, 'extension') || mayPass(error)) throw error
          refused.set(item.entry.tag, messageOf(error))
        }
      })
    }
    if (wanted.length > 0) {
      await this.worker.retrying('access methods', '', async (session) => {
        const { rows } = await session.query<{ name: string }>(
          'SELECT amname AS name FROM pg_catalog.pg_am',
        )
        for (const { name } of rows) this.plan.accessMethods.add(name)
      })
    }
    const absent = await absentTables(this.plan, this.worker)
    if (refused.size === this.plan.facts.refused.size && absent.size === 0) return
    const facts = { ...this.plan.facts, refused, absent }
    this.plan = makePlan(this.plan.archives, facts, this.plan.options)
    this.run.replan(this.plan)
    this.ownership = new Ownership(this.plan, this.rights, this.worker)
    this.grants = this.grantsOf(this.plan)
    try {
      refuseLosses(this.plan, this.context)
    } catch (error) {
      throw error instanceof Failure ? new PlanRefused(error) : error
    }
  }

  /** The schemas that an extension is to be created in. */
  private schemasOf(item: PlannedEntry): PlannedEntry[] {
    return this.select(
      ({ archive, entry }) =>
        archive === item.archive &&
        entry.desc === 'SCHEMA' &&
        item.entry.dependencies.includes(entry.dumpId),
    )
  }

  private select(which: (item: PlannedEntry) => boolean): PlannedEntry[] {
    return this.plan.entries.filter((item) => item.fate.kind !== 'leave-out' && which(item))
  }

  /** The role that owns what is restored from here on, and loads it: see Loader. */
  private async useLoader(): Promise<void> {
    const { run, rights, options, context, worker } = this
    markForAccount(this.plan)
    const loader = await makeLoader(worker, this.plan, options, rights, context)
    if (!loader) return
    // schemas first, by the account: it takes CREATE on the database to make one, and nothing of the archives runs
    await run.inOrder(
      this.select(({ entry }) => entry.desc === 'SCHEMA' && entry.section === 'pre-data'),
    )
    let refused: string | undefined
    await worker.retrying('what the loader needs', '', async (session) => {
      refused = await loader.lend(session)
      if (refused === undefined) return
      await loader.dissolve(session)
      await withoutLoader(session, refused, rights, context)
    })
    if (refused !== undefined) return
    run.loader = loader
    this.plan.loader = loader.name
    if (this.resuming && rights.state.owners)
      await this.ownership.takeBack(loader.name, this.main())
  }

  /** What the archives hold but what comes last. */
  private main(): PlannedEntry[] {
    return this.select(
      ({ entry }) =>
        !/^(ACL|DEFAULT ACL|EXTENSION|EVENT TRIGGER|MATERIALIZED VIEW DATA)$/.test(entry.desc) &&
        !ofEventTrigger(entry.desc, entry.tag),
    )
  }

  /** Everything that the archives hold, then owners, grants, and what must come after them. */
  async entries(): Promise<void> {
    await this.useLoader()
    const { loader } = this.run
    const main = this.main()
    await this.worker.drop()
    await this.run.inOrder(
      main.filter(
        ({ entry }) => entry.section === 'pre-data' && !(loader && entry.desc === 'SCHEMA'),
      ),
    )
    this.refused.push(...(await correctTables(this.plan, this.rights, this.worker)))
    // what failed and was given up by name has taken its rows, indexes and owner along
    const remaining = () => main.filter(({ fate }) => fate.kind !== 'leave-out')
    await this.run.inParallel(remaining().filter(({ entry }) => entry.section !== 'pre-data'))
    if (loader) await this.noteOwners()
    await this.ownership.giveBack([...remaining(), ...this.plan.publicSchemas])
    if (loader) {
      const owners = this.plan.entries.map(({ entry }) => entry.owner).filter(Boolean)
      await this.worker.retrying('the loader and the owners', '', (session) =>
        loader.join(session, owners),
      )
    }
    const grants = this.select(({ entry }) => /^(ACL|DEFAULT ACL)$/.test(entry.desc))
    await this.grants.apply(grants)
    this.later += grants.length - this.grants.lost.size
    for (const item of this.select(({ entry }) => entry.desc === 'MATERIALIZED VIEW DATA')) {
      if (item.fate.kind === 'leave-out') continue
      const running = this.worker.begin(item.name, 1)
      if (await this.refresh(item, loader)) this.later++
      running.end()
    }
    await this.refill()
    // they would act on every statement of the restore
    const eventTriggers = this.select(
      ({ entry }) => entry.desc === 'EVENT TRIGGER' || ofEventTrigger(entry.desc, entry.tag),
    )
    await this.run.inOrder(eventTriggers, 'to the end')
    await this.ownership.giveBack(eventTriggers)
    await this.refill()
  }

  /** Who may work on what an entry is about, now that objects have their owners. */
  private loginOf(item: PlannedEntry): Login {
    return this.run.loader?.loginFor(this.ownership.ownerOf(item)) ?? 'account'
  }

  /** The code of a materialized view runs as its owner, and must not find the account behind him. */
  private async refresh(item: PlannedEntry, loader: Loader | null): Promise<boolean> {
    const { name, entry, archive } = item
    const view = qualifiedName(entry.namespace, entry.tag)
    if (loader && this.ownership.ownerOf(item) === undefined) {
      await this.worker.retrying(name, '', (session) => loader.letRead(session, view))
    }
    const login = this.loginOf(item)
    return await this.worker.collecting(
      name,
      entry.definition,
      async (session) => {
        if (login === 'account') {
          await this.rights.as(session, entry.owner, entry.definition, item)
          return
        }
        const client = await session.foreign(archive, entry.namespace)
        await client.query(entry.definition)
      },
      item,
      login,
    )
  }

  /** From here on a resume finds objects with their owners. */
  private async noteOwners(): Promise<void> {
    this.rights.state.owners = true
    await this.worker.retrying('the mark of the restore', '', async (session) =>
      writeState(await session.own(), this.rights.state),
    )
  }

  /** Whenever something was interrupted since the last time, the server may have crashed. */
  private async refill(): Promise<void> {
    while (this.refilledAt < this.run.attempts) {
      this.refilledAt = this.run.attempts
      await refillUnlogged(this.plan, this.rights, this.worker, (item) => this.loginOf(item))
    }
  }

  /** The database's own properties. */
  async finish(): Promise<void> {
    this.refused.push(
      ...(await applyProperties(this.plan, this.options.targetName, this.rights, this.worker)),
    )
    const { loader } = this.run
    if (loader) {
      await this.worker.retrying('the login of the loader', '', (session) =>
        loader.letConnect(session),
      )
    }
    await this.worker.close()
  }

  /** What else code of the database runs for, statistics say, is done as the loader: how it connects. Null without one. */
  get analyzeAs(): ConnectionParameters | null {
    return this.run.loader?.connection.target ?? null
  }

  /**
   * Gives what stays with the account to it, and drops the role that loaded. To be called when no code of the database runs
   * any more, and before owners and grants are compared.
   *
   * @throws what ends the run (see explain)
   */
  async settle(): Promise<void> {
    const { loader } = this.run
    if (!loader) return
    await this.ownership.settle()
    // what was granted while the loader was the owner stands; what the owner himself was left with does not
    await this.grants.apply(
      this.select(
        (item) =>
          item.entry.desc === 'ACL' &&
          this.ownership.settled(item) &&
          !this.grants.lost.has(item.name),
      ),
    )
    const { state } = this.rights
    await this.worker.retrying('the role that loaded', '', async (session) => {
      await loader.dissolve(session)
      await this.rights.takeBackGrants(session)
      // a resume makes another one, and finds everything with its owners
      state.loader = newLoaderName()
      state.owners = true
      await writeState(await session.own(), state)
    })
    this.run.loader = null
    await this.worker.close()
  }

  /**
   * The rights go back, and the mark comes off, unless a resume has something to try again. What cannot be given back is
   * told: the migration itself is done.
   *
   * @param proven false when something that comes after the restore did not succeed: a resume then goes on with that
   */
  async release(proven: boolean): Promise<void> {
    try {
      await this.settle()
    } catch (error) {
      this.context.warn(
        `Objects may still belong to the temporary role ${this.rights.state.loader ?? ''} (${messageOf(this.explain(error))}): ${goOn(this.context)}`,
      )
      await this.giveBack(false)
      return
    }
    await this.giveBack(proven && this.failure === undefined && !this.options.keepMark)
  }

  /** After a failure: what the account has lent itself goes back, the mark stays for a resume. */
  async giveBackRights(): Promise<void> {
    await this.worker.close()
    await this.giveBack(false)
  }

  private async giveBack(done: boolean): Promise<void> {
    const { signal } = this.context
    let why: unknown = 'the target refuses'
    const given = await doStill(signal, releaseLimit, async (limit) => {
      for (let attempt = 0; attempt < releaseAttempts && !limit.aborted; attempt++) {
        try {
          return await this.tryToGiveBack(done, limit)
        } catch (error) {
          why = error
          if (!mayPass(error)) return false
          await sleep(1000, undefined, { signal: limit }).catch(() => {})
        }
      }
      return false
    })
    if (given) return
    const left = this.left(done)
    if (left.length === 0) return
    this.context.warn(
      `${left.join('; ')} (${messageOf(why)}): end that by hand, or let the next run do it: ${goOn(this.context)}`,
    )
  }

  /** What giving back has not reached, in words. */
  private left(done: boolean): string[] {
    const { memberships, schemaGrants, databaseGrants, loader } = this.rights.state
    const left: string[] = []
    if (memberships.length > 0) {
      left.push(
        `The account is still a member of ${memberships.map(printable).join(', ')} on the target`,
      )
    }
    const lent = [...schemaGrants.map(({ role }) => role), ...databaseGrants]
    if (lent.length > 0) {
      const roles = [...new Set(lent)].map(printable).join(', ')
      left.push(`${roles} may still create where the restore has let them on the target`)
    }
    if (loader !== null && !this.retired) {
      left.push(`The temporary role ${loader}, if it was made, can still log in on the target`)
    }
    if (done) left.push(`The schema "${stateSchema}" is still in the target`)
    return left
  }

  private async tryToGiveBack(done: boolean, limit: AbortSignal): Promise<boolean> {
    // not the run's own signal, which may have fired; but a cancelled job has seconds, not minutes
    const session = await TargetSession.open(
      this.options,
      `${sessionPrefix}rights`,
      AbortSignal.any([limit, AbortSignal.timeout(releaseTime)]),
    )
    const cut = () => void session.close()
    limit.addEventListener('abort', cut, { once: true })
    try {
      await this.rights.takeBackGrants(session)
      const left = await this.rights.takeBackMemberships(session)
      const { loader } = this.rights.state
      if (this.run.loader) await this.run.loader.retire(session)
      else if (loader !== null) await retireLoginRole(await session.own(), loader)
      this.retired = true
      if (done && left.length === 0) await removeState(await session.own())
      return left.length === 0
    } finally {
      limit.removeEventListener('abort', cut)
      await session.close()
    }
  }

  /** Removes the database that was created for nothing. */
  async dropAgain(): Promise<void> {
    await this.worker.close()
    await elsewhere(this.options, this.context.signal, (client) =>
      client.query(`DROP DATABASE ${quoteIdentifier(this.options.targetName)}`),
    )
  }

  /** The failure of what could not be restored although the restore went on to its end; undefined when all is there. */
  get failure(): Failure | undefined {
    return this.run.failed.length > 0 ? this.run.failure() : undefined
  }

  /** What ends the run: an entry that failed is known here with its statement and remedy. */
  explain(error: unknown): unknown {
    if (error instanceof PlanRefused) return error.failure
    return error instanceof EntryFailed ? this.run.failure() : error
  }

  /** See Restored. */
  announced(): AnnouncedEntry[] {
    return announce(this.result().skipped, this.plan.entries)
  }

  /** See Restored. */
  checklist(): ChecklistItem[] {
    return wakeUp(this.plan.entries, this.options.targetName)
  }

  result(): RestoreResult {
    const skipped: EntryResult[] = []
    for (const { name, fate } of this.plan.entries) {
      if (fate.kind === 'restore' || (fate.kind === 'leave-out' && fate.failed)) continue
      skipped.push({ entry: name, reason: fate.reason })
    }
    return {
      entries: this.plan.entries.length,
      restored: this.extensions + this.run.restored + this.later,
      skipped: [
        ...skipped,
        ...placesLost(this.plan),
        ...publicStays(this.plan),
        ...this.ownership.report(),
        ...this.grants.changed,
        ...this.refused,
      ],
      failed: this.run.allFailed,
      attempts: this.run.attempts,
    }
  }
}

function ofEventTrigger(desc: string, tag: string): boolean {
  return desc === 'COMMENT' && tag.startsWith('EVENT TRIGGER ')
}

/** Tablespaces and table access methods that the target lacks: what was in them is where the target puts it by default. */
function placesLost(plan: RestorePlan): EntryResult[] {
  const lost = new Map<string, number>()
  for (const { entry, fate } of plan.entries) {
    if (fate.kind === 'leave-out') continue
    if (entry.tablespace !== '' && !plan.facts.tablespaces.has(entry.tablespace)) {
      count(`TABLESPACE ${printable(entry.tablespace)}`)
    }
    if (
      isTable.test(entry.desc) &&
      entry.accessMethod !== '' &&
      !hasAccessMethod(plan, entry.accessMethod)
    ) {
      count(`ACCESS METHOD ${printable(entry.accessMethod)}`)
    }
  }
  return [...lost].map(([entry, objects]) => ({
    entry,
    reason: `the target does not have it, or not for the account; made without it: ${counted(objects, 'object')}`,
  }))

  function count(name: string): void {
    lost.set(name, (lost.get(name) ?? 0) + 1)
  }
}

/** The owner that the schema public cannot have: it belongs to the target's superuser. */
function publicStays({ facts, entries }: RestorePlan): EntryResult[] {
  if (administersPublic(facts)) return []
  return ownedPublic(facts, entries).map(({ name }) => ({
    entry: `OWNER ${name}`,
    reason: 'the schema public belongs to the superuser of the target',
  }))
}

const isTable = /^(TABLE|MATERIALIZED VIEW)$/

/** Before version 12 every table was a `heap`. */
function hasAccessMethod(plan: RestorePlan, method: string): boolean {
  return method === 'heap' || (plan.facts.target.major >= 12 && plan.accessMethods.has(method))
}
