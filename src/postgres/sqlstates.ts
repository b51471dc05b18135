/** What follows from an error code for a program that wants to go on. */
type Consequence =
  /** The same statement may well succeed a little later. */
  | 'passes'
  /** The session is gone, and with it everything that was to be done in it. */
  | 'session lost'
  /** Every other statement would end in the same way. */
  | 'refuses all'
  /** Another session was in the way: the statement may be said again at once. */
  | 'conflict'
  /** The statement would make something that is there already. */
  | 'exists'

interface Meaning {
  /** To somebody who migrates. */
  means: string
  so?: readonly Consequence[]
}

/**
 * What PostgreSQL's error codes mean to us, the one list of the whole program: by their code, or else by their class, which is
 * its first two characters (PostgreSQL, "PostgreSQL Error Codes").
 */
const meanings: Record<string, Meaning> = {
  '08': { means: 'the connection was lost', so: ['passes', 'session lost'] },
  '0A000': { means: 'the server does not support this' },
  '22': { means: 'the data does not fit its type or setting' },
  '23': { means: 'the data violates a constraint' },
  // two sessions that give one name at the same time meet in the unique index of a catalog
  '23505': { means: 'the data violates a constraint', so: ['exists'] },
  '25006': {
    means:
      'the session is read-only: the server is a standby, or default_transaction_read_only is on',
    so: ['refuses all'],
  },
  '28': { means: 'the server refused the login' },
  '2F': { means: 'a function broke a rule of SQL' },
  '40': { means: '', so: ['passes'] },
  '40001': { means: 'a serialization failure', so: ['passes', 'conflict'] },
  '40P01': { means: 'a deadlock', so: ['passes', 'conflict'] },
  '42501': { means: 'the account may not do this' },
  '42601': { means: 'the server does not know this syntax: it is older or different' },
  '42701': { means: 'a column of that name exists already', so: ['exists'] },
  '42704': { means: 'something that it needs does not exist' },
  '42710': { means: 'an object of that name exists already', so: ['exists'] },
  '42723': { means: 'a function of that name exists already', so: ['exists'] },
  '42883': { means: 'a function that it needs does not exist' },
  '42939': { means: 'the name is reserved' },
  '42P01': { means: 'a table that it needs does not exist' },
  '42P04': { means: 'a database of that name exists already', so: ['exists'] },
  '42P06': { means: 'a schema of that name exists already', so: ['exists'] },
  '42P07': { means: 'a table of that name exists already', so: ['exists'] },
  '53': { means: '', so: ['refuses all'] },
  '53100': { means: 'the disk of the server is full', so: ['refuses all'] },
  '53200': { means: 'the server is out of memory', so: ['refuses all'] },
  '53300': { means: 'the server has no free connection', so: ['passes', 'refuses all'] },
  '54': { means: 'a limit of the server is exceeded' },
  '55006': { means: 'the object is in use', so: ['passes'] },
  '55P02': { means: 'the parameter cannot be changed now' },
  '55P03': { means: 'a lock could not be had in time', so: ['passes', 'conflict'] },
  '57': { means: '', so: ['passes'] },
  // somebody cancelled it, since our sessions have no timeouts; see isTransient
  '57014': { means: 'the statement was cancelled', so: ['passes'] },
  '57P01': {
    means: 'the server was shut down or the session was ended',
    so: ['passes', 'session lost'],
  },
  '57P02': { means: 'the server crashed', so: ['passes', 'session lost'] },
  '57P03': {
    means: 'the server is starting up or shutting down',
    so: ['passes', 'session lost'],
  },
  // the database was dropped; a timeout for idle sessions, which would end the next one as well
  '57P04': { means: '', so: ['session lost'] },
  '57P05': { means: '', so: ['session lost'] },
  '58': { means: 'the operating system of the server reported an error', so: ['refuses all'] },
  XX: { means: 'an internal error of the server' },
}

/**
 * What servers answer to statements that they do not take over, by what is asked of them: limits of the server or the account,
 * no accidents (docs/polardb.md, "Role attributes" to "Settings of roles"). Codes, or the beginnings of some.
 */
const refusals = {
  'what takes a right': ['42501'],
  // no privilege; unknown to this version; a value it does not take; cannot be set so; not supported; no valid name
  setting: ['42501', '42704', '22023', '55P02', '0A000', '42602'],
  // no privilege; no such role; not this grantor's to give or take
  grant: ['42501', '42704', '0L', '0P000'],
  // no privilege, or the member has it the other way round on the target
  membership: ['42501', '0LP01'],
  // before 15 there is no such privilege
  'parameter grant': ['42501', '42601', '42704', '22023'],
  // no such provider
  'security label': ['22023', '42501', '0A000'],
  'login role': ['42501', '42601', '22023', '0A000'],
  // no such locale, or no such provider in this build
  collation: ['22023', '0A000', '42704'],
  // not allowed, not there, or not loaded by the server, as those that must be preloaded
  extension: ['42501', '22023', '0A000', '58P01', '42704', 'XX000', '55000', 'F0000'],
} satisfies Record<string, readonly string[]>

/** What a server may refuse. */
export type Refusable = keyof typeof refusals

function find(sqlstate: string): Meaning | undefined {
  return meanings[sqlstate] ?? meanings[sqlstate.slice(0, 2)]
}

function has(sqlstate: string, consequence: Consequence): boolean {
  return find(sqlstate)?.so?.includes(consequence) ?? false
}

/** The meaning of an SQLSTATE in a few words, by its code or else its class; empty where we know none. */
export function meaningOf(sqlstate: string): string {
  return find(sqlstate)?.means ?? ''
}

/**
 * Whether the same statement may well succeed a little later: the connection was lost, the server restarted or ran out
 * of connections, or another session was in the way.
 *
 * @param message what the server said with it
 */
export function isTransient(sqlstate: string, message = ''): boolean {
  // the server has no better code where two sessions change one row of a catalog at once
  if (sqlstate === 'XX000') return message.includes('concurrently')
  // a timeout of the account's own will end it again
  if (sqlstate === '57014') return !message.includes('statement timeout')
  return has(sqlstate, 'passes')
}

/** Whether another session was in the way of a statement, which may then be said again at once. */
export function isConflict(sqlstate: string, message: string): boolean {
  return has(sqlstate, 'conflict') || /^tuple concurrently/.test(message)
}

/** Whether the session is gone. */
export function endsSession(sqlstate: string): boolean {
  return has(sqlstate, 'session lost')
}

/** Whether a client program could not go on for want of a connection: it was lost, or there was none to be had. */
export function lacksConnection(sqlstate: string): boolean {
  return endsSession(sqlstate) || sqlstate === '53300'
}

/** Whether every other statement would end in the same way: no storage, no memory, no connection, read-only, a broken disk. */
export function refusesAll(sqlstate: string): boolean {
  return has(sqlstate, 'refuses all')
}

/** Whether what a statement would make is there already. 23505 says so only of the unique index of a catalog. */
export function saysExists(sqlstate: string): boolean {
  return has(sqlstate, 'exists')
}

/** Whether the server's answer is a refusal that is known of it for statements of this kind. */
export function refuses(sqlstate: string, what: Refusable): boolean {
  return refusals[what].some((start) => sqlstate.startsWith(start))
}

/** Whether a statement waited for others until it was ended. */
export function endsWait(sqlstate: string): boolean {
  return sqlstate === '55P03' || sqlstate === '57014'
}
