import { createHash, randomBytes } from 'node:crypto'

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

/**
 * The connection limit with which a mark is created. A database gets its limit by the same statement that makes it, and nobody
 * but its owner and superusers can set it: so a mark is known as one from its first moment on, and a database that only has
 * such a name is not. No server lets so many connect that it would bind anybody.
 *
 * @returns a number from 2^28 to 2^29, of the name alone
 */
export function markLimit(database: string): number {
  const digest = createHash('sha256').update(`migrate-to-polardb rehearsal ${database}`).digest()
  return 2 ** 28 + (digest.readUInt32BE(0) >>> 4)
}

/** The number by which a rehearsal's advisory lock is known, unsigned as pg_locks shows it. */
export function lockNumber(rehearsal: string): number {
  return Number.parseInt(rehearsal.slice(-8), 16)
}
