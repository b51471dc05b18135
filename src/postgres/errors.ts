import { Failure, messageOf } from '../failure.ts'
import { isTransient } from './sqlstates.ts'

/** What Node calls a connection that was lost or could not be had just now (libuv's and OpenSSL's names). */
const lostCodes =
  /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|EHOST(DOWN|UNREACH)|ENET(DOWN|RESET|UNREACH)|EAI_AGAIN|ERR_STREAM_(DESTROYED|PREMATURE_CLOSE|WRITE_AFTER_END)|ERR_SSL_UNEXPECTED_EOF_WHILE_READING)$/

/** The same in the words of `pg`, whose own errors have no code. */
const lostWords =
  /^(Connection terminated( unexpectedly| due to connection timeout)?|Client has encountered a connection error and is not queryable|Client was closed and is not queryable|timeout expired)$/

/**
 * Whether what failed is known to pass by itself: the connection, the server's state or another session is to blame.
 * Everything else, a defect above all, is final at once.
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
