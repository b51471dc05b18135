import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { Cancelled } from '../../failure.ts'
import { type FoundRoleLoss, lostSetting } from '../../polardb/roles/losses.ts'
import type { RolePlan } from '../../polardb/roles/model.ts'
import {
  isStep,
  type RoleStep,
  type RoleSubject,
  step,
  subject,
  type Trial,
} from '../../polardb/roles/steps.ts'
import { quoteIdentifier } from '../../postgres/identifiers.ts'
import { together } from '../../postgres/together.ts'
import { rolledBack } from '../../postgres/tried.ts'
import type { Context } from '../context.ts'
import { type Outcome, type Refusal, refusalOf, refusalReason } from './apply.ts'

/**
 * Tries every statement of a plan that the target may refuse, in a transaction that is rolled back: what an account may do
 * is asked of the server, never read off its version. A new role stands in for all those that are not there yet, so that
 * the same question is asked once, however many roles there are.
 *
 * @returns what would become of each
 * @throws Failure when the connection is lost; Cancelled
 */
export async function tryRoles(
  client: pg.Client,
  plan: RolePlan,
  context: Context,
): Promise<Outcome[]> {
  const deferred = plan.deferred.map(({ role, database, parameter, text, trial }) =>
    step(
      'setting',
      text(database),
      [{ role, what: subject.setting(parameter, database), loss: lostSetting(role, parameter) }],
      // of a role that is there, too: its database may not be
      { trial: trial === 'itself' ? () => text(null) : trial },
    ),
  )
  const steps = [...plan.batches.flat().filter(isStep), ...plan.triedOnly, ...deferred]
  if (!steps.some(isUncertain)) return []
  return rolledBack(client, () => new Trials(client, context).all(steps))
}

function isUncertain({ trial, fallback }: RoleStep): boolean {
  return trial !== 'certain' || fallback.some(isUncertain)
}

class Trials {
  private readonly client: pg.Client
  private readonly context: Context
  private readonly standIn = `migration_trial_${randomBytes(6).toString('hex')}`
  private hasStandIn = false
  private readonly answers = new Map<string, Refusal | undefined>()

  constructor(client: pg.Client, context: Context) {
    this.client = client
    this.context = context
  }

  async all(steps: readonly RoleStep[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = []
    for (const one of steps) if (isUncertain(one)) outcomes.push(...(await this.outcomes(one)))
    return outcomes
  }

  private async outcomes(one: RoleStep): Promise<Outcome[]> {
    // many members in one statement: each is tried by its own
    if (one.trial === 'certain') return await this.all(one.fallback)
    const refusal = await this.answer(one, one.trial)
    return [{ step: one, refusal, fallback: refusal ? await this.all(one.fallback) : [] }]
  }

  private async answer(
    one: RoleStep,
    trial: Exclude<Trial, 'certain'>,
  ): Promise<Refusal | undefined> {
    if (trial === 'itself') return await this.try(one, one.text)
    if (typeof trial === 'object') return await this.try(one, trial.instead)
    if (!this.hasStandIn) {
      await this.client.query(`CREATE ROLE ${quoteIdentifier(this.standIn)}`)
      this.hasStandIn = true
    }
    const text = trial(this.standIn)
    if (!this.answers.has(text)) this.answers.set(text, await this.try(one, text))
    return this.answers.get(text)
  }

  private async try(one: RoleStep, text: string): Promise<Refusal | undefined> {
    if (this.context.signal.aborted) throw new Cancelled()
    const answer = () =>
      this.client.query(text).then(
        () => undefined,
        (error: unknown) => refusalOf(one, error),
      )
    const [, refusal] = await together(this.client, [
      () => this.client.query('SAVEPOINT trial'),
      answer,
      () => this.client.query('ROLLBACK TO SAVEPOINT trial').catch(() => {}),
    ])
    return refusal
  }
}

/** What the roles lose by the answers of the server, were they those of a trial or final. */
export function lossesByOutcomes(outcomes: readonly Outcome[]): FoundRoleLoss[] {
  return outcomes.flatMap(({ step: one, refusal, fallback }) => {
    if (!refusal) return []
    const instead = fallback.filter((other) => !other.refusal).flatMap(({ step }) => step.carries)
    const same = (a: RoleSubject) => (b: RoleSubject) => a.role === b.role && a.what === b.what
    return one.carries.flatMap((carried) => {
      if (!carried.loss || instead.some(same(carried))) return []
      const given = instead.filter(({ role }) => role === carried.role).map(({ what }) => what)
      const reason =
        refusalReason(refusal) + (given.length > 0 ? `; instead it has ${given.join(' and ')}` : '')
      return [{ ...carried.loss, reason }]
    })
  })
}

/** What is lost by the plan itself. */
export function lossesByPlan(plan: RolePlan): FoundRoleLoss[] {
  const omitted = [...plan.explained, ...plan.deferredOmissions].flatMap(({ loss, reason }) =>
    loss ? [{ ...loss, reason }] : [],
  )
  return [...plan.losses, ...omitted]
}
