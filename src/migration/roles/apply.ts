import type pg from 'pg'
import { Cancelled, Failure } from '../../failure.ts'
import { type Purpose, type RoleStep, subject } from '../../polardb/roles/steps.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import {
  endsSession,
  isConflict,
  isTransient,
  meaningOf,
  type Refusable,
  refuses,
  refusesAll,
  saysExists,
} from '../../postgres/sqlstates.ts'
import type { Context } from '../context.ts'
import { inPool } from '../pool.ts'
import { type LastingSession, retrying } from '../retry.ts'

/** What became of one statement. */
export interface Outcome {
  step: RoleStep
  /** Why the server refused it; undefined when it did not. */
  refusal: Refusal | undefined
  /** What became of its fallback, tried after a refusal. */
  fallback: Outcome[]
}

export interface Refusal {
  sqlstate: string
  /** The server's words, with nothing in them that looks like a password verifier. */
  message: string
  /** A refusal that is known of servers for statements of this kind: a limit of the target, no accident. */
  known: boolean
}

/** What a server refuses that does not take over a statement; nothing of the kind is known of those that make a role. */
const refused: Record<Purpose, Refusable | null> = {
  create: null,
  update: 'what takes a right',
  attribute: 'what takes a right',
  comment: 'what takes a right',
  setting: 'setting',
  label: 'security label',
  membership: 'membership',
  parameter: 'parameter grant',
}

/** Tries before a conflict with somebody else's statement counts as the answer. */
const mostTries = 4

/**
 * Sends statements one by one and keeps the server's answer to each. With several sessions they are shared out: only for
 * statements that do not depend on one another. A connection that is lost is opened anew, and goes on with the statement
 * that was under way.
 *
 * @param outcomes filled in, in the order of the statements; holds what was done also when it throws
 * @throws Failure when the connection stays lost or the server can take no statement at all; Cancelled
 */
export async function applySteps(
  sessions: readonly LastingSession[],
  steps: readonly RoleStep[],
  outcomes: Outcome[],
  context: Context,
  onDone: () => void = () => {},
): Promise<void> {
  const pool = {
    workers: sessions.length,
    signal: context.signal,
    open: (worker: number) => sessions[worker] as LastingSession,
  }
  // the signal of the pool goes unused: after an error the other sessions finish the statement that they are at
  await inPool(steps, pool, async (one, session, at) => {
    const sent = new Set<RoleStep>()
    outcomes[at] = await retrying(
      context,
      async () => await apply(await session.client(), one, sent, context),
      { interrupted: () => session.drop() },
    )
    onDone()
  })
}

/** @param sent what went out without an answer, before the connection was lost */
async function apply(
  client: pg.Client,
  step: RoleStep,
  sent: Set<RoleStep>,
  context: Context,
): Promise<Outcome> {
  const refusal = await send(client, step, sent, context)
  const fallback: Outcome[] = []
  if (refusal) {
    for (const other of step.fallback) fallback.push(await apply(client, other, sent, context))
  }
  return { step, refusal, fallback }
}

async function send(
  client: pg.Client,
  step: RoleStep,
  sent: Set<RoleStep>,
  context: Context,
): Promise<Refusal | undefined> {
  // what it did when it was sent before, the server may not have been able to say
  const again = sent.has(step)
  sent.add(step)
  for (let attempt = 1; ; attempt++) {
    if (context.signal.aborted) throw new Cancelled()
    try {
      await client.query(step.text)
      sent.delete(step)
      return undefined
    } catch (error) {
      if (context.signal.aborted) throw new Cancelled()
      const refusal = refusalOf(step, error)
      if (isConflict(refusal.sqlstate, refusal.message) && attempt < mostTries) continue
      sent.delete(step)
      // every other statement may be said twice; that the role is there says that it was made the first time
      if (again && step.purpose === 'create' && saysExists(refusal.sqlstate)) return undefined
      return refusal
    }
  }
}

/**
 * The server's answer to a statement that it did not take.
 *
 * @throws Failure when it could not take any other statement either
 */
export function refusalOf(step: RoleStep, error: unknown): Refusal {
  const sqlstate = sqlstateOf(error)
  const message = withoutVerifiers(words(error, sqlstate))
  if (sqlstate === undefined || isFatal(sqlstate)) throw interrupted(step, error, message)
  const what = refused[step.purpose]
  return { sqlstate, message, known: what !== null && refuses(sqlstate, what) }
}

/** The server could not take any other statement either: lost, full, read-only, shutting down, statement cancelled. */
function isFatal(sqlstate: string): boolean {
  return isTransient(sqlstate) || endsSession(sqlstate) || refusesAll(sqlstate)
}

function interrupted(step: RoleStep, error: unknown, message: string): Failure {
  const sqlstate = sqlstateOf(error)
  const [first] = step.carries
  const what = first
    ? `${first.what === subject.role ? 'the role' : `${first.what} of`} "${first.role}"`
    : 'a role'
  const meaning = sqlstate === undefined ? '' : meaningOf(sqlstate)
  return new Failure(
    `The roles could not be restored: it ended at ${what}`,
    `${message}${sqlstate === undefined ? '' : ` (SQLSTATE ${sqlstate}${meaning ? `: ${meaning}` : ''})`}`,
    'Roles that were made stay and are found again: put the target right and run again, with existing-roles: update for what they still lack',
    { cause: error, sqlstate },
  )
}

/** What the server says; from 16 on it tells only in DETAIL which privilege is missing. */
function words(error: unknown, sqlstate: string | undefined): string {
  const { message, detail } = error as { message?: unknown; detail?: unknown }
  return sqlstate === '42501' && typeof detail === 'string' ? `${message}: ${detail}` : `${message}`
}

/** Servers quote values in some messages; a verifier must never get into one of ours. */
function withoutVerifiers(text: string): string {
  return text.replace(/SCRAM-SHA-256\$[^\s"';]+|\bmd5[0-9a-fA-F]{32}\b/g, '…')
}

/** The reason that a refusal gives, as the report has it. */
export function refusalReason({ sqlstate, message }: Refusal): string {
  return `the target refuses it: ${message} (${sqlstate})`
}
