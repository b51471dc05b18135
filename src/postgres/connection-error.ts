import { Failure } from '../failure.ts'
import type { ConnectionParameters } from './connection-string.ts'
import { sqlstateOf } from './errors.ts'
import { isServerError, shownMessage } from './server-message.ts'

/**
 * Turns what `pg`, Node's network and TLS layers throw on connecting into one failure: DNS, TCP, TLS, login, database
 * and server state each have a message and a next step of their own.
 */
export function explainConnectionError(
  error: unknown,
  parameters: ConnectionParameters,
  context: { database: string; role?: 'source' | 'target' | undefined },
): Failure {
  if (error instanceof Failure) return error
  const server = context.role ? `the ${context.role}` : 'the server'
  const place = `${parameters.host}:${parameters.port}`
  const fail = (what: string, why: string, remedy: string) =>
    new Failure(what, why, remedy, { cause: error, sqlstate: sqlstateOf(error) })
  const inner = error instanceof AggregateError ? error.errors[0] : error
  const { code, message: said = String(error) } = (inner ?? {}) as {
    code?: string
    message?: string
  }
  const message = isServerError(inner) ? shownMessage(inner) : said

  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return fail(
        `The host name of ${server} cannot be resolved`,
        `DNS does not know ${parameters.host} on this runner (${code})`,
        'Check the spelling; a private endpoint resolves only inside its own VPC, so run the job there',
      )
    case 'ECONNREFUSED':
      return fail(
        `Cannot connect to ${server}`,
        `Nothing accepts connections at ${place} (connection refused)`,
        'Check host and port, and that the server runs and listens on that address',
      )
    case 'ENOENT':
    case 'EACCES':
      return fail(`Cannot connect to ${server}`, message, 'Check the path of the socket directory')
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return unreachable()
    case 'ECONNRESET':
    case 'EPIPE':
      return dropped()
    case '28P01':
      return fail(
        `${capital(server)} refused the password of "${parameters.user}"`,
        message,
        `Check ${passwordInput(context.role)}, and the account's password and VALID UNTIL`,
      )
    case '28000':
      return fail(
        `${capital(server)} refused the login of "${parameters.user}"`,
        message,
        /pg_hba|encryption|SSL/i.test(message)
          ? "Allow this runner's address in pg_hba.conf or the cluster's IP whitelist; if the server requires TLS, use sslmode=require or stronger"
          : 'Check that the account exists and has LOGIN',
      )
    case '3D000':
      return fail(
        `The database "${context.database}" does not exist on ${server}`,
        message,
        'Check the name: it is case-sensitive',
      )
    case '42501':
      return fail(
        `The account "${parameters.user}" may not use the database "${context.database}" on ${server}`,
        message,
        'Grant CONNECT on the database to the account',
      )
    case '53300':
      return fail(
        `${capital(server)} has no free connection`,
        message,
        'Close idle sessions, raise max_connections or the limit of the role, or use fewer jobs',
      )
    // ALLOW_CONNECTIONS false; a superuser is no exception (postinit.c)
    case '55000':
      return fail(
        `${capital(server)} lets nobody connect to the database`,
        message,
        'Open it (ALTER DATABASE … ALLOW_CONNECTIONS true), or name another database',
      )
    case '57P03':
      return fail(
        `${capital(server)} does not accept connections now`,
        message,
        'Wait until it has started, then run again',
      )
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'CERT_HAS_EXPIRED':
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return fail(
        `The certificate of ${server} cannot be trusted`,
        message,
        'Give the certificate authority with sslrootcert=…, and connect by the name that is in the certificate',
      )
  }
  if (/timeout expired|timed? ?out/i.test(message)) return unreachable()
  if (/server does not support SSL/i.test(message)) {
    return fail(
      `${capital(server)} does not offer TLS`,
      `sslmode=${parameters.sslmode} demands it, and ${place} answers that it has none`,
      'Turn TLS on at the server, or use sslmode=prefer if the network between is trusted',
    )
  }
  if (/terminated unexpectedly|closed the connection|socket/i.test(message)) return dropped()
  if (/no password|password must be a/i.test(message)) {
    return fail(
      `${capital(server)} asks for a password, and none is given`,
      message,
      `Set ${passwordInput(context.role)} from a secret`,
    )
  }
  return fail(
    `Cannot connect to ${server}`,
    `${place}: ${message}`,
    'Check the connection string and the server log',
  )

  function unreachable(): Failure {
    return fail(
      `${capital(server)} does not answer`,
      `No answer from ${place} within ${parameters.connectTimeout} s`,
      "Check firewall, security group and IP whitelist between this runner and the server, and that the runner is in the cluster's VPC",
    )
  }
  function dropped(): Failure {
    return fail(
      `${capital(server)} closed the connection before the login was done`,
      `${place}: ${message}`,
      'Check that a PostgreSQL server listens there, and its log; a proxy or whitelist may have cut the connection',
    )
  }
}

/** The input that holds the password; both where it is not said which server this is. */
function passwordInput(role: 'source' | 'target' | undefined): string {
  return role ? `the input ${role}-password` : 'the input source-password or target-password'
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
