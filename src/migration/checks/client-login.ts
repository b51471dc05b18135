import { Failure } from '../../failure.ts'
import { type ConnectionParameters, conninfo } from '../../postgres/connection-string.ts'
import { runProgram } from '../../postgres/programs/process.ts'
import {
  type ClientPrograms,
  programEnvironment,
  programPath,
} from '../../postgres/programs/programs.ts'
import type { Context } from '../context.ts'

/** Milliseconds that the attempt may take beyond what the connection itself is given. */
const patience = 30_000

/**
 * Lets a client program log in to the target once. The programs bring a libpq of their own, and one before version 10 knows no
 * SCRAM (PostgreSQL, "Password Authentication"; 10 of the protocol's authentication requests): known before the dump it costs
 * nothing. Any other failure is a warning here: this project's own sessions were let in, and the restore tries again.
 *
 * @param passwordFile with the target's password
 * @throws Failure when the program's libpq does not know how the target asks for the password; Cancelled
 */
export async function checkClientLogin(
  client: ClientPrograms,
  target: ConnectionParameters,
  passwordFile: string,
  context: Pick<Context, 'signal' | 'warn'>,
): Promise<void> {
  const result = await runProgram(
    programPath(client, 'psql'),
    ['--no-psqlrc', '--no-password', '--command=SELECT 1', `--dbname=${conninfo(target, 'read')}`],
    {
      env: programEnvironment(passwordFile, client.libraryPath),
      signal: context.signal,
      deadline: target.connectTimeout * 1000 + patience,
    },
  )
  if (result.code === 0) return
  if (
    /SCRAM authentication requires libpq|authentication method \d+ not supported/.test(
      result.stderr,
    )
  ) {
    throw new Failure(
      `The client programs of PostgreSQL ${client.version} cannot log in to the target`,
      `The target asks "${target.user}" for its password by SCRAM, which their libpq does not know: that began with version 10`,
      'Set client-version to 10 or newer (14 reads every source before 9.2, too), or give the account a password that the target keeps as md5',
    )
  }
  context.warn(
    `psql ${client.version} could not log in to the target before the dump${result.timedOut ? ' in time' : ''}; the restore will try again`,
  )
}
