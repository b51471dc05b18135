import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../../failure.ts'
import { mayPass, sqlstateOf } from '../../../postgres/errors.ts'
import { printable } from '../../../text/text.ts'
import { doStill } from '../../cancellation.ts'
import type { Context } from '../../context.ts'
import { goOn } from '../../go-on.ts'
import { markSchema, removeMark } from '../database/mark.ts'
import type { RestoreOptions } from '../options.ts'
import { sessionPrefix, TargetSession } from '../run/target-session.ts'
import type { Loader } from './loader.ts'
import { endLogin, leaveLoginRole } from './login-role.ts'
import type { TemporaryRights } from './temporary-rights.ts'

/** Milliseconds: a cancelled job has seconds, not minutes. */
const releaseTime = 5000
const releaseAttempts = 3
/** Milliseconds for all of giving back, also where the server stalls in the middle of it. */
const releaseLimit = 120_000

/** Gives back what the account has lent itself for a restore. What cannot be given back is a warning. */
export class GivingBack {
  private readonly options: RestoreOptions
  private readonly rights: TemporaryRights
  private readonly context: Context
  /** Nobody can log in as the loader any more. */
  private isRetired = false
  /** The account is not its member any more. */
  private isLeft = false

  constructor(options: RestoreOptions, rights: TemporaryRights, context: Context) {
    this.options = options
    this.rights = rights
    this.context = context
  }

  /**
   * Ends memberships and grants, also those of a job that is cancelled, which has seconds for it.
   *
   * @param loader the role that loads, where it is still there
   * @param done the mark of the restore comes off, too: nothing is left for a resume
   */
  async giveBack(loader: Loader | null, done: boolean): Promise<void> {
    const { signal } = this.context
    await loader?.forget()
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
    const { memberships, schemaGrants, databaseGrants, loader } = this.rights.marked
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
    if (loader !== null && !this.isRetired) {
      left.push(
        `The temporary role ${loader}, if it was made, can still log in on the target, and the account may be its member`,
      )
    } else if (loader !== null && !this.isLeft) {
      left.push(`The account may still be a member of the temporary role ${loader} on the target`)
    }
    if (done) left.push(`The schema "${markSchema}" is still in the target`)
    return left
  }

  /**
   * Gives back as much as the target lets: the login of the loader first. Each step is taken whatever the others come to, since
   * on a full disk, say, the mark takes no change, while roles still do.
   *
   * @returns whether nothing is left
   * @throws a refusal, one that may pass before others; the error of a lost session
   */
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
      const { rights } = this
      const { loader } = rights.marked
      const steps = [
        async () => {
          if (loader !== null) this.isRetired = await endLogin(await session.own(), loader)
        },
        () => rights.takeBackGrants(session),
        () => rights.takeBackMemberships(session),
        // after the grants: schemas may be the loader's
        async () => {
          if (loader !== null) this.isLeft = await leaveLoginRole(await session.own(), loader)
        },
      ]
      const refusals: unknown[] = []
      for (const step of steps) {
        try {
          await step()
        } catch (error) {
          if (sqlstateOf(error) === undefined) throw error
          refusals.push(error)
        }
      }
      if (refusals.length > 0) throw refusals.find(mayPass) ?? refusals[0]
      const isAll = this.left(false).length === 0
      if (done && isAll) await removeMark(await session.own())
      return isAll
    } finally {
      limit.removeEventListener('abort', cut)
      await session.close()
    }
  }
}
