/** In an aborted transaction the server refuses everything: the cause is another error, before it. */
export const aborted = '25P02'

/**
 * SQLSTATEs of what the client programs print, who print no code. In English, as `LC_ALL=C` asks for. Those
 * of a lost connection are libpq's of all versions (fe-exec.c, fe-misc.c, fe-secure-openssl.c, fe-connect.c): once it is
 * lost, `PQfn` calls the connection's state wrong, and COPY is no longer under way.
 */
const messages: readonly [RegExp, string][] = [
  [/current transaction is aborted/, aborted],
  [/terminating connection due to administrator command/, '57P01'],
  [
    /terminating connection because of crash of another server process|unexpected postmaster exit/,
    '57P02',
  ],
  [
    /the database system is (starting up|shutting down|in recovery mode|not (yet )?accepting)/,
    '57P03',
  ],
  [/too many connections|too many clients already|connection slots are reserved/, '53300'],
  [/password authentication failed|no password supplied/, '28P01'],
  [/no pg_hba\.conf entry|is not permitted to log in|role ".*" does not exist/, '28000'],
  [/database ".*" does not exist/, '3D000'],
  [
    /server closed the connection|connection to (server|database) .*failed|no connection to the server|could not (receive|send) data|SSL SYSCALL|SSL connection has been closed|SSL error: unexpected eof|could not connect to server|connection not open|could not translate host name|connection in wrong state|no COPY in progress|lost synchronization with server|authentication due to timeout/,
    '08006',
  ],
  [/due to lock timeout/, '55P03'],
  [/canceling statement due to/, '57014'],
  [/deadlock detected/, '40P01'],
  [/violates check constraint/, '23514'],
  [/violates not-null constraint/, '23502'],
  [/violates foreign key constraint/, '23503'],
  [/duplicate key value violates unique constraint/, '23505'],
  [/permission denied/, '42501'],
  [/affected by row-level security/, '42501'],
  [/invalid byte sequence for encoding/, '22021'],
  [/has no equivalent in encoding/, '22P05'],
  [/invalid input syntax/, '22P02'],
  [/No space left on device|could not extend file/, '53100'],
  [/relation .* does not exist/, '42P01'],
  [/column .* of relation .* does not exist/, '42703'],
  [/function .* does not exist/, '42883'],
  [/unrecognized configuration parameter/, '42704'],
  [/out of (shared )?memory/, '53200'],
  [/in a read-only transaction/, '25006'],
]

/** The SQLSTATE that belongs to a message of pg_dump or pg_restore; null where the words do not tell. */
export function sqlstateOfMessage(message: string): string | null {
  return messages.find(([pattern]) => pattern.test(message))?.[1] ?? null
}
