import { Failure } from '../../failure.ts'
import { type ConnectionParameters, conninfo } from '../../postgres/connection-string.ts'
import { runProgram } from '../../postgres/programs/process.ts'
import {
  type ClientPrograms,
  clientMajor,
  programEnvironment,
  programPath,
} from '../../postgres/programs/programs.ts'
import type { Context } from '../context.ts'

/** Milliseconds that the attempt may take beyond what the connection itself is given. */
const patience = 30_000

/** Parameters of a connection that came with libpq 10 to 14. */
const newer: ReadonlySet<string> = new Set([
  'channel_binding',
  'gssencmode',
  'ssl_max_protocol_version',
  'ssl_min_protocol_version',
  'sslsni',
  'tcp_user_timeout',
])

/**
 * Lets client programs log in once where they will have to. They bring a libpq of their own, and one before version 10 knows no
 * SCRAM (PostgreSQL, "Password Authentication"; 10 of the protocol's authentication requests): known before the first byte it
 * costs nothing, and so it is with parameters of the connection string that it does not know. It is tried and not read off any setting, since `md5` in pg_hba.conf means either, as the password is kept. Any
 * other failure is a warning here: this project's own sessions were let in, and the program tries again.
 *
 * @param passwordFile with the server's password
 * @throws Failure when the programs' libpq does not know how the server asks for the password; Cancelled
 */
export async function checkClientLogin(
  client: ClientPrograms,
  server: ConnectionParameters,
  role: 'source' | 'target',
  passwordFile: string,
  context: Pick<Context, 'signal' | 'warn'>,
): Promise<void> {
  const major = clientMajor(client)
  const asks = Object.keys(server.others).some((name) => newer.has(name))
  if (major >= 14 || (major >= 10 && !asks)) return
  const result = await runProgram(
    programPath(client, 'psql'),
    [
      '--no-psqlrc',
      '--no-password',
      '--command=SELECT 1',
      `--dbname=${conninfo(server, 'read', server.dbname, major)}`,
    ],
    {
      env: programEnvironment(passwordFile, client.libraryPath),
      signal: context.signal,
      deadline: server.connectTimeout * 1000 + patience,
    },
  )
  if (result.code === 0) return
  if (
    /SCRAM authentication requires libpq|authentication method \d+ not supported/.test(
      result.stderr,
    )
  ) {
    throw new Failure(
      `The client programs of PostgreSQL ${client.version} cannot log in to the ${role}`,
      `The ${role} asks "${server.user}" for its password by SCRAM, which their libpq does not know: that began with version 10`,
      'Set client-version to 10 or newer (14 reads every source before 9.2, too), or give the account a password that is kept as md5: SET password_encryption = md5; ALTER ROLE … PASSWORD …',
    )
  }
  const unknown = /invalid connection option "(\w+)"/.exec(result.stderr)?.[1]
  if (unknown !== undefined) {
    throw new Failure(
      `The client programs of PostgreSQL ${client.version} cannot be told how to connect to the ${role}`,
      `The connection string sets ${unknown}, which their libpq does not know`,
      `Remove ${unknown} from ${role}, or set client-version to a newer major`,
    )
  }
  context.warn(
    `psql ${client.version} could not log in to the ${role} beforehand${result.timedOut ? ' in time' : ''}; the ${role === 'source' ? 'dump' : 'restore'} tries again`,
  )
}
