import { Failure } from '../../failure.ts'
import { sqlstateOfMessage } from '../../postgres/programs/messages.ts'
import type { ProgramResult } from '../../postgres/programs/process.ts'
import { ProgramLines } from '../../postgres/server-message.ts'
import { lacksConnection, meaningOf } from '../../postgres/sqlstates.ts'
import { printable } from '../../text/text.ts'
import { dumpFull, type NoRoom } from '../free-space.ts'

/**
 * What a client program's end means, in one line. Only lines that say `error` or `fatal` are quoted, as far as they may be
 * shown: DETAIL and CONTEXT lines hold values of rows.
 *
 * @param what what could not be done
 * @param path where the program wrote
 * @param noRoom what it means that there was no room there
 */
export function programFailure(
  program: string,
  what: string,
  result: ProgramResult,
  path: string,
  noRoom: NoRoom = dumpFull,
): Failure {
  const { stderr } = result
  const full = stderr
    .split('\n')
    .find((line) => /No space left on device|Disk quota exceeded/.test(line))
  // the program reports a disk of its own; what follows ERROR is the server's
  if (full !== undefined && !/ERROR: /.test(full)) return noRoom(path)
  const errors = errorsOf(program, stderr)
  const first = errors.filter((line) => line !== workerDied)
  const said = (first.length > 0 ? first : errors).slice(0, 3).join(' / ')
  if (full !== undefined) {
    return new Failure(what, said, 'Free space on the server, then run again', {
      sqlstate: '53100',
    })
  }
  const signal = result.killedBy ?? signalOf(result.code)
  if (signal !== undefined) return killed(program, what, signal)
  const lost = stderr
    .split('\n')
    .filter((line) => line.startsWith(`${program}: `))
    .map(sqlstateOfMessage)
    .find((sqlstate) => lacksConnection(sqlstate ?? ''))
  if (lost || /connection to server was lost/.test(stderr)) {
    return new Failure(
      what,
      said || 'the connection to the server was lost',
      'Check the server log and the network between, then run again',
      { sqlstate: lost ?? '08006' },
    )
  }
  const large = rowTooLarge(program, what, stderr)
  if (large) return large
  if (/\bout of memory\b/.test(stderr)) return outOfMemory(what, said, stderr)
  // that a worker died says why only where nothing else does
  if (said === workerDied) {
    return new Failure(
      what,
      `a worker of ${program} died or was killed`,
      'Look into the system log of the runner (out of memory?), then run again',
    )
  }
  if (/permission denied/.test(stderr)) {
    return new Failure(
      what,
      said,
      'Use an account that may read everything: a superuser of the source',
      { sqlstate: '42501' },
    )
  }
  // pg_dump says of itself that it reads row-level security policies
  if (/affected by row-level security/.test(stderr)) {
    return new Failure(
      what,
      said,
      'Use an account with BYPASSRLS or a superuser: otherwise rows could be missing without a word',
      { sqlstate: '42501' },
    )
  }
  for (const { words, why, remedy, sqlstate } of endings) {
    if (words.test(stderr)) {
      return new Failure(what, `${said} (${why ?? meaningOf(sqlstate)})`, remedy, { sqlstate })
    }
  }
  if (said) {
    return new Failure(what, said, 'The log file of the program, beside the report, has the rest')
  }
  return new Failure(
    what,
    `${program} ended with exit code ${result.code} and said nothing of an error`,
    `Look for what ended it in the log of the server and in the system log of the runner (out of memory, disk full, a limit of the account), and try whether \`${program} --version\` runs there; then run again`,
  )
}

const waitedForLock = 'pg_dump waited for a lock on a table for as long as --lock-wait-timeout says'

/** Whether pg_dump failed since it could not have a table's lock in time. */
export function isWaitForLock(error: unknown): boolean {
  return error instanceof Failure && error.why.includes(waitedForLock)
}

/**
 * Why the server ended a statement or session that was not wrong in itself, in the server's words (PostgreSQL source,
 * ProcessInterrupts and ProcessRecoveryConflictInterrupt). Everything else that cancels is somebody's wish.
 */
const endings: { words: RegExp; why?: string; remedy: string; sqlstate: string }[] = [
  {
    // pg_dump bounds the wait for its locks by statement_timeout (PostgreSQL source, getTables)
    words: /due to statement timeout.*\b[Qq]uery was: LOCK TABLE /s,
    why: waitedForLock,
    remedy: 'End the session that holds the lock, then run again',
    // not 55P03: whoever held it for so long may hold it for longer, and the dump is not made again
    sqlstate: '57014',
  },
  {
    words: /due to statement timeout/,
    why: 'a limit of the server, and no lock: our sessions set statement_timeout to 0, and something on the way there sets it again',
    remedy:
      'Look for who sets statement_timeout (a pooler, options=… in the connection string, a function of the database), connect to the server itself, or run ALTER ROLE … SET statement_timeout = 0 for the account; then run again',
    sqlstate: '57014',
  },
  {
    words: /due to (transaction timeout|idle-in-transaction timeout|idle-session timeout)/,
    why: 'a limit of the server, and no lock',
    remedy:
      'Run ALTER ROLE … SET for the account with this timeout (transaction_timeout, idle_in_transaction_session_timeout or idle_session_timeout) at 0, then run again',
    sqlstate: '57014',
  },
  {
    // the table of locks lies in shared memory (PostgreSQL, "Lock Management")
    words: /out of shared memory/,
    why: 'the server has no room for so many locks',
    remedy:
      'Raise max_locks_per_transaction on the source, which takes a restart, then run again: pg_dump locks every table and partition',
    sqlstate: '53200',
  },
  {
    words: /due to conflict with recovery/,
    why: 'the source is a standby, and what it replays outranks a long query',
    remedy:
      'Dump from the primary, or raise max_standby_streaming_delay (-1 waits) or set hot_standby_feedback = on on the standby for the time of the dump; then run again',
    sqlstate: '40001',
  },
  {
    words: /due to lock timeout|could not obtain lock/,
    remedy: 'End the session that holds the lock, then run again',
    sqlstate: '55P03',
  },
  {
    words: /canceling statement due to/,
    why: 'somebody or something on the server cancelled it',
    remedy: 'Look for who cancels statements there (a watchdog, an administrator), then run again',
    sqlstate: '57014',
  },
]

const workerDied = 'error: a worker process died unexpectedly'

/**
 * A row that is longer as text than the server puts into one message, 1 GB (PostgreSQL source, `enlargeStringInfo`; "Database
 * Limits"). No client program and no second try can dump it.
 */
function rowTooLarge(program: string, what: string, stderr: string): Failure | undefined {
  const words =
    /Cannot enlarge string buffer containing \d+ bytes by \d+ more bytes|string buffer exceeds maximum allowed length(?: \(\d+ bytes\))?|invalid memory alloc request size \d+/.exec(
      stderr,
    )?.[0]
  const table = tableUnderWay(program, stderr)
  if (words === undefined || table === undefined) return undefined
  const said = errorsOf(program, stderr)
    .filter((line) => line !== workerDied && !line.includes(words))
    .slice(0, 2)
  return new Failure(
    what,
    `A row of the table ${printable(table)} is longer than 1 GB as text, in which bytea counts twice, and PostgreSQL cannot send it: ${[...said, words].join(' / ')}`,
    'Split or shorten the long values on the source, or leave the rows out with dump-options: --exclude-table-data=schema.table, and copy them by another way, column by column say; running it again ends the same',
    { sqlstate: '54000' },
  )
}

/** The table whose rows pg_dump was reading when it failed: with its schema where the lines before say which. */
function tableUnderWay(program: string, stderr: string): string | undefined {
  const lines = stderr.split('\n').filter((line) => line.startsWith(`${program}: `))
  const name = lines
    .map((line) => /[Dd]umping the contents of table "(.*)" failed/.exec(line)?.[1])
    .find((found) => found !== undefined)
  if (name === undefined) return undefined
  const begun = lines
    .map((line) => /dumping contents of table "?(.*?)"?$/.exec(line)?.[1])
    .filter((found) => found?.replaceAll('"', '').endsWith(`.${name.replaceAll('"', '')}`))
  const all = [...new Set(begun)]
  return all.length === 1 ? all[0] : name
}

function outOfMemory(what: string, said: string, stderr: string): Failure {
  const ofServer = /ERROR: +out of memory/.test(stderr)
  return new Failure(
    what,
    said,
    ofServer
      ? 'The server is out of memory: look into its log, and run again with fewer dump-jobs when less goes on there'
      : 'The runner is out of memory: use fewer dump-jobs, or a larger runner',
    { sqlstate: '53200' },
  )
}

/** The `error` and `fatal` lines of a program, each once. */
function errorsOf(program: string, stderr: string): string[] {
  const lines: string[] = []
  const reader = new ProgramLines(program, (line) => {
    if (!/\b(error|fatal|ERROR|FATAL|PANIC)\b:/.test(line)) return
    lines.push(line.slice(`${program}: `.length).replace(/^\[archiver[^\]]*\] /, ''))
  })
  for (const line of stderr.split('\n')) reader.read(line)
  reader.end()
  return [...new Set(lines)]
}

/** A program that was run by another one reports the signal in its exit code: 128 more than its number. */
const signalNumbers: Record<number, string> = {
  129: 'SIGHUP',
  130: 'SIGINT',
  132: 'SIGILL',
  134: 'SIGABRT',
  135: 'SIGBUS',
  137: 'SIGKILL',
  139: 'SIGSEGV',
  143: 'SIGTERM',
}

function signalOf(code: number | null): string | undefined {
  return code === null ? undefined : signalNumbers[code]
}

function killed(program: string, what: string, signal: string): Failure {
  const crashed = /^SIG(ILL|ABRT|BUS|SEGV|FPE|SYS)$/.test(signal)
  return new Failure(
    what,
    `${program} was killed by ${signal}`,
    crashed
      ? 'The program itself crashed: use the newest minor release of the client programs (client-path, client-version), then run again'
      : 'Somebody or the kernel (out of memory?) ended it: look into the system log of the runner, then run again',
  )
}
