import { randomBytes } from 'node:crypto'
import { ownLimit } from '../restore/database/own-limit.ts'

/**
 * The names of a rehearsal: everything that it makes on the target begins with `rehearsal_<yyyymmddhhmm, UTC>_<8 hex digits>`.
 * Its databases are `<name>_1`, `<name>_2` and so on, its roles `<name>_r1` and so on, and `<name>_0` is the mark of them all.
 */

const form = 'rehearsal_[0-9]{12}_[0-9a-f]{8}'
const pattern = new RegExp(`^${form}$`)
const standIn = new RegExp(`^${form}_r[1-9][0-9]*$`)

/** A name that no other run has: a minute, so that people see how old it is, and 32 random bits. */
export function newRehearsalName(now = new Date(), random = randomBytes(4)): string {
  const minute = now.toISOString().slice(0, 16).replace(/\D/g, '')
  return `rehearsal_${minute}_${random.toString('hex')}`
}

/** Whether a text is the name of a rehearsal. */
export function isRehearsalName(text: string): boolean {
  return pattern.test(text)
}

/** Whether a text is the name that a role has in whichever rehearsal. */
export function isStandInName(text: string): boolean {
  return standIn.test(text)
}

/** The database of a rehearsal with a number from 1 on; 0 is its mark. */
export function rehearsalDatabase(rehearsal: string, number: number): string {
  return `${rehearsal}_${number}`
}

/** The names of marks as a regular expression of the server. */
export const markPattern = `^${form}_0$`

/** The connection limit with which a mark is created. */
export function markLimit(database: string): number {
  return ownLimit('rehearsal', database)
}

/** The number by which a rehearsal's advisory lock is known, unsigned as pg_locks shows it. */
export function lockNumber(rehearsal: string): number {
  return Number.parseInt(rehearsal.slice(-8), 16)
}
