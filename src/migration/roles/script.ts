import type { PlanRolesOptions, RolePlan } from '../../polardb/roles/model.ts'
import { planRoles } from '../../polardb/roles/plan.ts'
import { isStep, type RoleOmission } from '../../polardb/roles/steps.ts'
import type { RoleTarget } from '../../polardb/roles/target.ts'
import type { RoleCatalog } from '../../postgres/roles/catalog.ts'
import { printable } from '../../text/text.ts'
import { type Outcome, refusalReason } from './apply.ts'
import { readRoleScript } from './preconditions.ts'

/** A line of roles.polardb.sql, before it is written: what was sent and its answer, or what was not sent and why. */
export type ScriptEntry = Outcome | RoleOmission

/**
 * Plans the roles of a script for a target and writes roles.polardb.sql as it would be sent, without sending anything.
 *
 * @throws Failure when the script holds something unknown
 */
export function planRoleScript(
  text: string,
  source: RoleCatalog,
  target: RoleTarget,
  options: PlanRolesOptions,
): { plan: RolePlan; script: string } {
  const plan = planRoles(readRoleScript(text), source, target, options)
  const batches = plan.batches.map((items) =>
    items.map((item): ScriptEntry => {
      return isStep(item) ? { step: item, refusal: undefined, fallback: [] } : item
    }),
  )
  return { plan, script: renderRoleScript(source.version, target, batches) }
}

/**
 * The text of roles.polardb.sql: every statement as it was sent, with a comment for each thing changed, refused or left
 * out. It may hold password verifiers. Names in comments are made printable, so no name can end its comment.
 *
 * @param batches in the order of their sending
 */
export function renderRoleScript(
  sourceVersion: string,
  target: Pick<RoleTarget, 'version' | 'polardb' | 'account'>,
  batches: readonly (readonly ScriptEntry[])[],
): string {
  const polardb = target.polardb === null ? '' : ` (PolarDB ${target.polardb})`
  const lines = [
    comment(`Roles of PostgreSQL ${sourceVersion} for PostgreSQL ${target.version}${polardb},`),
    comment(`as the account "${target.account.name}" sends them.`),
    comment(
      'CREATE ROLE and ALTER ROLE are one statement, so that a failure leaves no half-made role.',
    ),
    comment('GRANTED BY is left out throughout: only a superuser may name another grantor.'),
    '',
    "SET client_encoding = 'UTF8';",
    'SET standard_conforming_strings = on;',
  ]
  for (const entries of batches) {
    if (entries.length > 0) lines.push('')
    for (const entry of entries) lines.push(...render(entry))
  }
  return `${lines.join('\n')}\n`
}

function render(entry: ScriptEntry): string[] {
  if ('reason' in entry)
    return [comment(`left out: ${entry.what} of "${entry.role}": ${entry.reason}`)]
  const { step, refusal, fallback } = entry
  const lines = step.notes.map(comment)
  if (refusal) lines.push(comment(refusalReason(refusal)))
  lines.push(step.text, ...fallback.flatMap(render))
  return lines
}

function comment(text: string): string {
  return `-- ${printable(text)}`
}
