import type { RoleLoss } from './losses.ts'
/** What a statement is for: it decides which answers of the server are known and harmless. */
export type Purpose =
  | 'create'
  | 'update'
  | 'attribute'
  | 'setting'
  | 'comment'
  | 'label'
  | 'membership'
  | 'parameter'

/** What the report calls the things that a role can differ in, besides the option words themselves. */
export const subject = {
  role: 'the role itself',
  password: 'PASSWORD',
  comment: 'comment',
  membership: (role: string) => `membership in "${role}"`,
  setting: (parameter: string, database: string | null = null) =>
    `setting ${parameter}${database === null ? '' : ` in database "${database}"`}`,
  label: (provider: string) => `security label of ${provider}`,
  parameter: (privilege: string, parameter: string) => `${privilege} on parameter ${parameter}`,
}

/** How the report calls ALTER ROLE ALL and PUBLIC, which are no roles. */
export const allRoles = 'ALL'
export const everybody = 'PUBLIC'

export interface RoleSubject {
  role: string
  what: string
  /** What the role loses without it; nothing where it can do no less then. */
  loss?: RoleLoss | undefined
}

/**
 * How a statement is tried, in a transaction that is rolled back: `certain` needs no trial, `itself` is about what the
 * target has already, a function gives the same statement for another role, which stands for all those that do not
 * exist yet, and `instead` is another statement, which is to be proven in this one's place.
 */
export type Trial = 'certain' | 'itself' | ((role: string) => string) | { instead: string }

/** One statement for the target. */
export interface RoleStep {
  /** The whole statement with its semicolon. May hold a password verifier: never for a message. */
  text: string
  purpose: Purpose
  /** What is missing on the target if it is refused. */
  carries: RoleSubject[]
  /** What was changed against the script, and why: comments of roles.polardb.sql. */
  notes: string[]
  /** Sent, one by one, when the server refuses the statement. */
  fallback: RoleStep[]
  /** How it is found out beforehand whether the server takes it. */
  trial: Trial
}

/** Something of the script that is not sent, and why. */
export interface RoleOmission extends RoleSubject {
  reason: string
}

export type RolePlanItem = RoleStep | RoleOmission

export function isStep(item: RolePlanItem): item is RoleStep {
  return 'text' in item
}

export function step(
  purpose: Purpose,
  text: string,
  carries: RoleSubject[],
  more: Partial<Pick<RoleStep, 'notes' | 'fallback' | 'trial'>> = {},
): RoleStep {
  const { notes = [], fallback = [], trial = 'certain' } = more
  return { text, purpose, carries, notes, fallback, trial }
}

/**
 * Keeps a statement that concerns the whole cluster from being sent for stand-ins alone: it is tried.
 *
 * @param plan whose trials it joins
 * @returns what stands in its place
 */
export function tryOnly(plan: { triedOnly: RoleStep[] }, one: RoleStep): RoleOmission[] {
  plan.triedOnly.push(one)
  const reason =
    'it is for the whole cluster, so that it is tried in a transaction that is rolled back, and not sent'
  return one.carries.map(({ role, what }) => ({ role, what, reason }))
}
