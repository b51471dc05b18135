import { createHash } from 'node:crypto'

/**
 * The connection limit with which a database is created that is to be known as one of ours from its first moment on. A database
 * gets its limit by the same statement that makes it, and nobody but its owner and superusers can set it: so one that only has
 * such a name is not taken for ours. No server lets so many connect that it would bind anybody.
 *
 * @param purpose what it is made for
 * @returns a number from 2^28 to 2^29, of the purpose and the name alone
 */
export function ownLimit(purpose: 'rehearsal' | 'swap', database: string): number {
  const digest = createHash('sha256').update(`migrate-to-polardb ${purpose} ${database}`).digest()
  return 2 ** 28 + (digest.readUInt32BE(0) >>> 4)
}
