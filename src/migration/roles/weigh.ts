import type pg from 'pg'
import { Failure, messageOf } from '../../failure.ts'
import { type FoundRoleLoss, lostLogin } from '../../polardb/roles/losses.ts'
import type { RolePlan } from '../../polardb/roles/model.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import type { Verifiers } from '../../postgres/roles/catalog.ts'
import { counted } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import type { Context } from '../context.ts'
import { refuseUnaccepted } from '../losses.ts'
import { type Outcome, refusalReason } from './apply.ts'
import { listed } from './preconditions.ts'
import { refusesMd5 } from './probe.ts'
import { lossesByOutcomes, lossesByPlan, tryRoles } from './trial.ts'

/** Roles that are made or changed, as the target will have them. */
export type PlannedRoles = ReadonlyMap<string, { superuser: boolean }>

interface AcceptOptions {
  allowMissing: readonly string[]
  rolePasswords: boolean
  isLookOnly?: boolean
}

/**
 * Finds out what the roles will lose, by the plan and by a trial of what the target may refuse. What is accepted goes into
 * the report's losses.
 *
 * @returns the refusal of what is not accepted
 * @throws Failure when the connection is lost; Cancelled
 */
export async function weighRoles(
  client: pg.Client,
  options: AcceptOptions & { plan: RolePlan; verifiers: Verifiers; target: ConnectionParameters },
  context: Context,
): Promise<Failure | undefined> {
  const { plan } = options
  const outcomes = await tryRoles(client, plan, context)
  const unmade = refusedRoles(outcomes)
  if (unmade) return unmade
  const losses = [
    ...lossesByPlan(plan),
    ...lossesByOutcomes(outcomes),
    ...(await lostLogins(client, options, context)),
  ]
  return refusalOfLosses(losses, options, context)
}

/** Roles that the target would not make as they are, which only a trial of stand-ins can find beforehand. */
function refusedRoles(outcomes: readonly Outcome[]): Failure | undefined {
  const refused = outcomes.filter(({ step, refusal }) => step.purpose === 'create' && refusal)
  if (refused.length === 0) return undefined
  const why = refused.map(({ step, refusal }) => {
    const name = step.carries[0]?.role ?? ''
    return `"${name}": ${refusal ? refusalReason(refusal) : ''}`
  })
  return new Failure(
    `${counted(refused.length, 'role')} could not be made on the target`,
    listed(why, '; '),
    'Nothing was made. Put the cause right: a migration would fail for it',
  )
}

/** The refusal of losses that are not accepted; the others are noted in the report. */
export function refusalOfLosses(
  found: readonly FoundRoleLoss[],
  { allowMissing, rolePasswords }: AcceptOptions,
  context: Context,
): Failure | undefined {
  // whoever leaves the passwords behind has said so
  const accepted = rolePasswords ? allowMissing : [...allowMissing, 'LOGIN *']
  const losses = found.map(({ entry, reason, remedy }) => ({
    entry,
    database: null,
    reason,
    remedy,
  }))
  try {
    refuseUnaccepted(losses, accepted, 'the roles', context)
    return undefined
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
}

/** Logins with md5 verifiers, where a test login shows that the target does not take them. */
async function lostLogins(
  client: pg.Client,
  options: {
    plan: RolePlan
    verifiers: Verifiers
    target: ConnectionParameters
    isLookOnly?: boolean
  },
  context: Context,
): Promise<FoundRoleLoss[]> {
  const { plan, verifiers, target, isLookOnly } = options
  const md5 = [...plan.loginsSent].filter((name) => verifiers.get(name)?.startsWith('md5'))
  if (md5.length === 0) return []
  if (isLookOnly) {
    context.record.check({
      ...{ id: 'plan-md5-logins', severity: 'warning', status: 'skipped', remedy: '' },
      message:
        'whether the target takes logins whose password is an md5 hash is tried with a role that is made for it, which a migration does and a preflight does not',
      objects: md5.map((name) => printable(name)),
    })
    return []
  }
  const answer = await md5Refusal(client, target, context)
  if (answer === undefined) return []
  const reason = `its password is an md5 hash, and a test login with one failed on the target (${answer})`
  return md5.map((name) => ({ ...lostLogin(name, 'source'), reason }))
}

async function md5Refusal(
  client: pg.Client,
  target: ConnectionParameters,
  context: Context,
): Promise<string | undefined> {
  try {
    return await refusesMd5(client, target, context)
  } catch (error) {
    if (sqlstateOf(error) === undefined) throw error
    return `the test could not be made: ${messageOf(error)}`
  }
}

/** The roles of a plan as the target will have and call them when it is carried out. */
export function plannedRoles(plan: RolePlan): PlannedRoles {
  const { decisions, superuser } = plan
  const { names } = decisions.target
  const makesSuperusers = superuser.words.includes('SUPERUSER')
  const roles = new Map<string, { superuser: boolean }>()
  for (const name of decisions.names()) {
    const decision = decisions.of(name)
    if (decision?.kind !== 'create' && decision?.kind !== 'update') continue
    // what a migration would find under the name is what it would reckon with
    const found = decision.kind === 'create' ? decision.namesake?.role : undefined
    const superuser = makesSuperusers && decisions.wasSuperuser(name)
    roles.set(names.onTarget(name), { superuser: found?.superuser ?? superuser })
  }
  return roles
}
