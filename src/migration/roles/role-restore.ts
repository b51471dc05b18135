import type pg from 'pg'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import type { RolePlan } from '../../polardb/roles/model.ts'
import { catalogOnSource } from '../../polardb/roles/stand-ins.ts'
import { isStep, type RolePlanItem, step, subject } from '../../polardb/roles/steps.ts'
import { makesStandIns } from '../../polardb/roles/target.ts'
import {
  type RoleCatalog,
  readRoleCatalog,
  readVerifiers,
  type Verifiers,
} from '../../postgres/roles/catalog.ts'
import type { RoleNames } from '../../postgres/roles/role-names.ts'
import type { RoleDifference, RolesResult } from '../../report/model.ts'
import { counted } from '../../text/numbers.ts'
import type { Context } from '../context.ts'
import type { LastingSession } from '../retry.ts'
import { applySteps, type Outcome } from './apply.ts'
import { changedMeanwhile } from './meanwhile.ts'
import type { RestoreRolesOptions } from './options.ts'
import { listed } from './preconditions.ts'
import {
  type ComparedRoles,
  compareDatabaseSettings,
  compareRoles,
  hasSetting,
  type RoleProof,
  settingsElsewhere,
} from './prove.ts'
import { RoleSession } from './role-session.ts'
import { renderRoleScript, type ScriptEntry } from './script.ts'
import { lossesByOutcomes } from './trial.ts'
import { type PlannedRoles, plannedRoles, refusalOfLosses } from './weigh.ts'

/** Sessions that create roles: the server spends about 5 ms of processor time on each SCRAM verifier. */
const mostSessions = 4

const rolesPerSession = 100

/** Roles to be restored: what is decided, what was sent so far, and the result. */
export class RoleRestore {
  /** The roles as the target will have them. */
  readonly planned: PlannedRoles
  /** Of losses that are not accepted; undefined where there are none. */
  readonly refusal: Failure | undefined
  /** The roles that were made, as the target calls them: what a rehearsal has to remove. */
  createdRoles: readonly string[] = []
  private current: RolesResult
  private readonly options: RestoreRolesOptions
  private readonly plan: RolePlan
  /** The password verifiers of the script. A secret. */
  private readonly verifiers: Verifiers
  private readonly sent: ScriptEntry[][] = []
  private readonly outcomes: Outcome[] = []
  /** The target's roles when they were compared first. */
  private proven: RoleCatalog | undefined

  constructor(
    options: RestoreRolesOptions,
    plan: RolePlan,
    verifiers: Verifiers,
    refusal: Failure | undefined,
  ) {
    this.options = options
    this.plan = plan
    this.verifiers = verifiers
    this.refusal = refusal
    this.planned = plannedRoles(plan)
    this.current = {
      source: [...plan.decisions.names()].length,
      created: 0,
      existing: plan.existing.length,
      updated: 0,
      differences: [],
      memberships: { source: plan.memberships, restored: 0 },
      ...settingsElsewhere(options, new Set(plan.decisions.names())),
      passwordsToSet: plan.passwordsToSet,
      verified: false,
    }
  }

  /** roles.polardb.sql: what was sent, and a comment for each thing changed, refused or left out. A secret. */
  get script(): string {
    return renderRoleScript(this.options.catalog.version, this.plan.decisions.target, this.sent)
  }

  /**
   * Sends statement by statement, and proves the result by comparing both catalogs. A second run changes nothing: what the
   * target refused is asked for again, the rest is there.
   *
   * @returns what was done; `verified` is false when something differs for no known reason
   * @throws Failure before anything is sent when roles could do less than before and `allowMissing` does not say that they
   * may; Failure when a role could not be made or the connection stays lost; Cancelled
   */
  async restore(context: Context): Promise<RolesResult> {
    if (this.refusal) throw this.refusal
    const session = new RoleSession(this.options.target, context)
    try {
      await this.apply(session, context)
      await this.prove(session, context)
      return this.result
    } finally {
      await session.drop()
    }
  }

  /** What is known of the roles by now. */
  get result(): RolesResult {
    return this.current
  }

  /** Both catalogs were compared: the result says something. */
  get isCompared(): boolean {
    return this.proven !== undefined
  }

  /** Sends the plan. @throws Failure when it cannot go on; Cancelled */
  private async apply(session: RoleSession, context: Context): Promise<void> {
    const total = this.plan.batches.flat().filter(isStep).length
    let done = 0
    const onDone = () => {
      done++
      if (done % 50 === 0) context.progress.update(`roles: ${done} of ${total} statements`)
    }
    for (const [index, items] of this.plan.batches.entries()) {
      const steps = items.filter(isStep)
      const more = index === 0 ? Math.floor(steps.length / rolesPerSession) : 0
      const others = await this.openSessions(Math.min(more, mostSessions - 1), context)
      try {
        await this.send([session, ...others], items, context, onDone)
      } finally {
        await Promise.all(others.map((other) => other.drop()))
      }
    }
  }

  /** Compares both catalogs and fills the result. @throws Failure when a role is missing for no known reason */
  private async prove(session: RoleSession, context: Context): Promise<void> {
    const { plan, options } = this
    const { after, differences, memberships } = await session.read(async (client) => {
      const after = await this.readCatalog(client)
      return { after, ...(await this.compare(client, after)) }
    })
    this.proven = after
    const there = new Set(after.roles.map(({ name }) => name))
    const made = plan.created.filter((name) => there.has(name))
    this.createdRoles = made.map((name) => this.names.onTarget(name))
    const updates = this.outcomes.filter(
      ({ step, refusal }) => step.purpose === 'update' && !refusal,
    )
    this.current = {
      ...this.current,
      created: this.createdRoles.length,
      updated: updates.length,
      memberships: { ...this.current.memberships, restored: memberships },
    }
    this.setDifferences(differences)
    this.warnOfPasswords(after, context)
    this.tell(context)
    const missing = differences.filter(({ what, explained }) => !explained && what === subject.role)
    if (missing.length > 0) {
      throw new Failure(
        `${counted(missing.length, 'role')} could not be restored`,
        listed(
          missing.map(({ role, reason }) => `"${role}": ${reason}`),
          '; ',
        ),
        'No data was touched. Put the cause right, then run again: roles that were made are found again',
      )
    }
    // the trial has shown all of them, unless the target answers differently now
    const refusal = refusalOfLosses(lossesByOutcomes(this.outcomes), options, context)
    if (refusal) throw refusal
  }

  private async compare(client: pg.Client, target: RoleCatalog): Promise<ComparedRoles> {
    const verifiers = await readVerifiers(client)
    return compareRoles({
      ...this.proof(target),
      verifiers:
        verifiers && this.options.rolePasswords
          ? { target: this.onSource(verifiers), script: this.verifiers }
          : undefined,
    })
  }

  private get names(): RoleNames {
    return this.plan.decisions.target.names
  }

  private async readCatalog(client: pg.Client): Promise<RoleCatalog> {
    return catalogOnSource(await readRoleCatalog(client), this.names)
  }

  private onSource(verifiers: Verifiers): Verifiers {
    return new Map([...verifiers].map(([name, verifier]) => [this.names.onSource(name), verifier]))
  }

  /**
   * Sends the settings of roles in single databases, which must be on the target by now, and compares all roles once more:
   * code in the data may have changed them meanwhile. The result holds what differs now.
   *
   * @returns the result as it is then
   * @throws Failure when the connection stays lost; Cancelled
   */
  async applyDeferred(context: Context): Promise<RolesResult> {
    const { options, plan } = this
    const { databaseNames } = options
    const session = new RoleSession(options.target, context)
    try {
      const before = await session.read((client) => this.readCatalog(client))
      const items: RolePlanItem[] = [...plan.deferredOmissions]
      for (const setting of plan.deferred) {
        const database = databaseNames.get(setting.database) ?? setting.database
        if (!hasSetting(before, setting, database))
          items.push(
            step('setting', setting.text(database), [
              { role: setting.role, what: subject.setting(setting.parameter, setting.database) },
            ]),
          )
      }
      await this.send([session], items, context)
      const { now, differences } = await session.read(async (client) => {
        const now = await this.readCatalog(client)
        return { now, ...(await this.compare(client, now)) }
      })
      differences.push(...compareDatabaseSettings(this.proof(now), databaseNames))
      this.setDifferences([...differences, ...this.meanwhile(now, differences, context)])
      return this.result
    } finally {
      await session.drop()
    }
  }

  /** What changed since the roles were proven, but for what the comparison with the source has found already. */
  private meanwhile(
    now: RoleCatalog,
    found: readonly RoleDifference[],
    context: Context,
  ): RoleDifference[] {
    if (!this.proven) return []
    const { name } = this.plan.decisions.target.account
    const ours = new Set(this.plan.decisions.names())
    const { differences, others } = changedMeanwhile(this.proven, now, name, ours)
    if (others.length > 0) {
      const roles = listed(others.map((role) => `"${role}"`))
      context.warn(
        `${counted(others.length, 'other role')} appeared or changed on the target while the data were restored: ${roles}. If nobody did that by hand, code in the data did`,
      )
    }
    const open = found.filter(({ explained }) => !explained)
    const changed = differences.filter(
      ({ role, what }) => !open.some((one) => one.role === role && one.what === what),
    )
    for (const { role, what, reason } of changed)
      context.log.warning(`${what} of "${role}": ${reason}`)
    return changed
  }

  private async send(
    sessions: readonly LastingSession[],
    items: readonly RolePlanItem[],
    context: Context,
    onDone?: () => void,
  ): Promise<void> {
    const steps = items.filter(isStep)
    const outcomes: Outcome[] = []
    try {
      await applySteps(sessions, steps, outcomes, context, onDone)
    } finally {
      // an interrupted run leaves holes
      const done = Object.values(outcomes)
      const byStep = new Map(done.map((outcome) => [outcome.step, outcome]))
      this.sent.push(
        items.flatMap((item): ScriptEntry[] => {
          if (!isStep(item)) return [item]
          const outcome = byStep.get(item)
          return outcome ? [outcome] : []
        }),
      )
      this.outcomes.push(...done)
    }
  }

  /** Sessions beside the first; fewer than asked for where the server has no more to give. */
  private async openSessions(count: number, context: Context): Promise<LastingSession[]> {
    const sessions: LastingSession[] = []
    while (sessions.length < count) {
      const session = new RoleSession(this.options.target, context)
      try {
        await session.client()
        sessions.push(session)
      } catch (error) {
        if (error instanceof Cancelled) {
          await Promise.all(sessions.map((one) => one.drop()))
          throw error
        }
        context.log.debug(`Only ${sessions.length + 1} sessions create roles: ${messageOf(error)}`)
        break
      }
    }
    return sessions
  }

  private proof(target: RoleCatalog): RoleProof {
    return { source: this.options.catalog, target, plan: this.plan, outcomes: this.outcomes }
  }

  private setDifferences(differences: RoleDifference[]): void {
    const verified = differences.every(({ explained }) => explained)
    this.current = { ...this.current, differences, verified }
  }

  private warnOfPasswords(after: RoleCatalog, context: Context): void {
    const { plan, result } = this
    const names = (list: readonly string[]) => listed(list.map((name) => `"${name}"`))
    // stand-ins cannot log in: what would be is what the source has
    const { roles } = makesStandIns(plan.decisions.target) ? this.options.catalog : after
    const logins = roles.filter(({ name, login }) => login && plan.decisions.of(name))
    const expired = logins.filter((role) => role.expired).map(({ name }) => name)
    if (expired.length > 0)
      context.warn(
        `${counted(expired.length, 'role')} cannot log in: the password is past VALID UNTIL, as on the source: ${names(expired)}`,
      )
    if (result.passwordsToSet && result.passwordsToSet.length > 0)
      context.warn(
        `${counted(result.passwordsToSet.length, 'role')} must be given a password: ${names(result.passwordsToSet)}`,
      )
  }

  private tell(context: Context): void {
    const { result, outcomes } = this
    const unexplained = result.differences.filter(({ explained }) => !explained)
    for (const { role, what, reason } of unexplained)
      context.log.warning(`${what} of "${role}" differs: ${reason}`)
    const refused = outcomes.filter(({ refusal }) => refusal).length
    const sent = outcomes.length === 0 ? 'nothing was sent' : `${outcomes.length} sent`
    context.log.info(
      `Roles: ${counted(result.source, 'role')} in the dump, ${result.created} created, ${result.existing} there already; ` +
        `statements: ${sent}${refused > 0 ? `, ${refused} refused` : ''}; ${counted(result.differences.length, 'difference')}`,
    )
  }
}
