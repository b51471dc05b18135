import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import { Failure } from '../failure.ts'
import type { ConnectionParameters } from './connection-string.ts'

/**
 * libpq's sslmode in terms of Node's TLS. pg's own reading differs: there `prefer` and `require` verify everything.
 * `false` is a plain connection. In libpq `allow` and `prefer` try the other transport when the first is refused, and
 * `require` with a root certificate file behaves like `verify-ca` (PostgreSQL, "SSL Support").
 */
export function tlsAttempts(parameters: ConnectionParameters): (false | ConnectionOptions)[] {
  const { sslmode } = parameters
  if (sslmode === 'disable') return [false]
  const file = (given: string | undefined, name: string) => {
    const standard = join(homedir(), '.postgresql', name)
    return given ?? (existsSync(standard) ? standard : undefined)
  }
  const rootcert = file(parameters.sslrootcert, 'root.crt')
  const verifies = sslmode.startsWith('verify')
  if (verifies && !rootcert) {
    throw new Failure(
      `sslmode=${sslmode} needs a root certificate, and there is none`,
      'sslrootcert is not given and ~/.postgresql/root.crt does not exist on the runner',
      'Add sslrootcert=/path/to/ca.pem to the connection string',
    )
  }
  const options: ConnectionOptions = { rejectUnauthorized: false }
  if (!/^[\d.]+$|:/.test(parameters.host)) options.servername = parameters.host
  if (rootcert && (verifies || sslmode === 'require')) {
    options.rejectUnauthorized = true
    if (rootcert !== 'system') options.ca = read(rootcert, 'sslrootcert')
    if (sslmode !== 'verify-full' && rootcert !== 'system')
      options.checkServerIdentity = () => undefined
  }
  const cert = file(parameters.sslcert, 'postgresql.crt')
  const key = file(parameters.sslkey, 'postgresql.key')
  if (cert && key) Object.assign(options, { cert: read(cert, 'sslcert'), key: read(key, 'sslkey') })
  if (sslmode === 'allow') return [false, options]
  if (sslmode === 'prefer') return [options, false]
  return [options]
}

function read(path: string, parameter: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new Failure(
      `The file that ${parameter} names cannot be read`,
      `${path}: ${(error as NodeJS.ErrnoException).code ?? 'unreadable'}`,
      'Put the file on the runner, readable for the account that the runner runs as, and check the path',
    )
  }
}

/** Whether libpq would try again with the other transport: TLS not offered or broken, or refused by pg_hba.conf. */
export function mayTryOtherTransport(error: unknown): boolean {
  const { code, message = '' } = error as { code?: string; message?: string }
  return (
    code === '28000' || // no pg_hba.conf entry for this host with/without encryption
    /server does not support SSL|SSL connection|ssl|tls/i.test(message) ||
    String(code).startsWith('ERR_SSL')
  )
}
