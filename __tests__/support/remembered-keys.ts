import type { ScryptOptions } from 'node:crypto'

/**
 * Runs before each file of the unit tests: scrypt computes the key of a passphrase, a salt and a cost once in a process
 * and remembers it. It gives the same bytes as ever, and whoever asks with another passphrase, salt or cost has them computed:
 * only the half second is saved that opening the same dump for the twentieth time would take.
 */

type Derived = (error: Error | null, key: Buffer) => void
type Scrypt = (
  password: string,
  salt: Buffer,
  length: number,
  options: ScryptOptions,
  callback: Derived,
) => void

// the module itself, whose functions can be replaced; those of an import cannot
const crypto: { scrypt: Scrypt & { remembers?: true } } = process.getBuiltinModule('node:crypto')
const compute = crypto.scrypt

if (!compute.remembers) {
  const known = new Map<string, Buffer>()
  const remembering: Scrypt = (password, salt, length, options, callback) => {
    const question = JSON.stringify([password, salt.toString('hex'), length, options])
    const key = known.get(question)
    if (key) return setImmediate(callback, null, Buffer.from(key))
    compute(password, salt, length, options, (error, derived) => {
      if (!error) known.set(question, Buffer.from(derived))
      callback(error, derived)
    })
  }
  crypto.scrypt = Object.assign(remembering, { remembers: true as const })
}
