import { Failure, messageOf } from '../failure.ts'
import type { ConnectionParameters } from './connection-string.ts'
import { isServerError, shownMessage } from './server-message.ts'

/** What PostgreSQL's error codes mean to somebody who migrates (PostgreSQL, "PostgreSQL Error Codes"). */
const meanings: Record<string, string> = {
  '08': 'the connection was lost',
  '22': 'the data does not fit its type or setting',
  '23': 'the data violates a constraint',
  '25006':
    'the session is read-only: the server is a standby, or default_transaction_read_only is on',
  '28': 'the server refused the login',
  '2F': 'a function broke a rule of SQL',
  '40001': 'a serialization failure',
  '40P01': 'a deadlock',
  '42501': 'the account may not do this',
  '42601': 'the server does not know this syntax: it is older or different',
  '42701': 'a column of that name exists already',
  '42704': 'something that it needs does not exist',
  '42710': 'an object of that name exists already',
  '42723': 'a function of that name exists already',
  '42883': 'a function that it needs does not exist',
  '42939': 'the name is reserved',
  '42P01': 'a table that it needs does not exist',
  '42P04': 'a database of that name exists already',
  '42P06': 'a schema of that name exists already',
  '42P07': 'a table of that name exists already',
  '53100': 'the disk of the server is full',
  '53200': 'the server is out of memory',
  '53300': 'the server has no free connection',
  '54': 'a limit of the server is exceeded',
  '55006': 'the object is in use',
  '55P02': 'the parameter cannot be changed now',
  '55P03': 'a lock could not be had in time',
  '57014': 'the statement was cancelled',
  '57P01': 'the server was shut down or the session was ended',
  '57P02': 'the server crashed',
  '57P03': 'the server is starting up or shutting down',
  '58': 'the operating system of the server reported an error',
  '0A000': 'the server does not support this',
  XX: 'an internal error of the server',
}

/** The meaning of an SQLSTATE in a few words, by its code or else its class; empty where we know none. */
export function meaningOf(sqlstate: string): string {
  return meanings[sqlstate] ?? meanings[sqlstate.slice(0, 2)] ?? ''
}

/**
 * Whether the same statement may well succeed a little later: the connection was lost, the server restarted or ran out
 * of connections, or another session was in the way. 57014: somebody cancelled the statement, since our sessions have no
 * timeouts. 55006: an object is being used. XX000 has no better code where two sessions change one catalog row at once.
 *
 * @param message what the server said with it
 */
export function isTransient(sqlstate: string, message = ''): boolean {
  if (sqlstate === 'XX000') return message.includes('concurrently')
  // a timeout of the account's own will end it again
  if (sqlstate === '57014') return !message.includes('statement timeout')
  return /^(08...|40...|53300|55006|55P03|57P0[123])$/.test(sqlstate)
}

/** What Node calls a connection that was lost or could not be had just now (libuv's and OpenSSL's names). */
const lostCodes =
  /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|EHOST(DOWN|UNREACH)|ENET(DOWN|RESET|UNREACH)|EAI_AGAIN|ERR_STREAM_(DESTROYED|PREMATURE_CLOSE|WRITE_AFTER_END)|ERR_SSL_UNEXPECTED_EOF_WHILE_READING)$/

/** The same in the words of `pg`, whose own errors have no code. */
const lostWords =
  /^(Connection terminated( unexpectedly| due to connection timeout)?|Client has encountered a connection error and is not queryable|Client was closed and is not queryable|timeout expired)$/

/**
 * Whether what failed is known to pass by itself: the connection, the server's state or another session is to blame. The one
 * list of the whole program. Everything else, a defect above all, is final at once.
 *
 * @param error what was thrown: the server's error, one of Node's network, or a Failure made of one
 */
export function mayPass(error: unknown): boolean {
  const sqlstate = error instanceof Failure ? error.sqlstate : sqlstateOf(error)
  if (sqlstate !== undefined) {
    const said =
      error instanceof Failure ? `${error.why} ${messageOf(error.cause)}` : messageOf(error)
    return isTransient(sqlstate, said)
  }
  const cause = error instanceof Failure ? error.cause : error
  const inner: unknown = cause instanceof AggregateError ? cause.errors[0] : cause
  if (inner instanceof Failure) return inner !== error && mayPass(inner)
  const { code, message } = (inner ?? {}) as { code?: unknown; message?: unknown }
  return typeof code === 'string' ? lostCodes.test(code) : lostWords.test(String(message))
}

/** The SQLSTATE of an error from `pg`, or undefined when it is not the server's. */
export function sqlstateOf(error: unknown): string | undefined {
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown }
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && severity !== undefined
    ? code
    : undefined
}

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
