import { isTransient } from '../../../postgres/sqlstates.ts'

/** Next steps for errors that only the restore itself can find, by SQLSTATE and message. */
const remedies: readonly [string, RegExp, string][] = [
  [
    '23503',
    /./,
    'Rows on the source break the foreign key already: correct them there and dump again, or drop the key there and add it NOT VALID on the target',
  ],
  [
    '23514',
    /./,
    'The check reads more than its row, or rows break it already: drop it on the source and add it NOT VALID on the target',
  ],
  [
    '23505',
    /./,
    'Rows on the source break the key already (a damaged index hid it): remove the duplicates there, REINDEX, and dump again',
  ],
  [
    '42883',
    /./,
    'If the function exists on the source, what uses it counts on a search_path: fix it there with ALTER FUNCTION … SET search_path; otherwise {lacks}',
  ],
  [
    '42P01',
    /./,
    'If the table exists on the source, a function counts on a search_path: fix it there with ALTER FUNCTION … SET search_path',
  ],
  [
    '42704',
    /^role ".*" does not exist/s,
    'Create the role on the target (roles: migrate does); in a rehearsal, where roles have other names, give it up for the rehearsal alone, with allow-missing: {name}',
  ],
  [
    '42704',
    /./,
    'The target lacks something that the source has: create it there, or drop what uses it on the source',
  ],
  ['42601', /./, '{unknown}'],
  [
    '42501',
    /row-level security/,
    'Migrate as an account with BYPASSRLS, or as the owner of the table',
  ],
  ['42501', /./, 'Give the account what it lacks, or accept the loss in allow-missing'],
  ['53100', /./, 'Enlarge the storage of the target'],
  ['53200', /max_locks/, 'Raise max_locks_per_transaction on the target'],
  ['53200', /./, 'Use fewer restore-jobs, or a larger target'],
  ['53300', /./, 'Use fewer restore-jobs, or close idle sessions on the target'],
  [
    '22021',
    /./,
    'The source is SQL_ASCII or holds damaged text: create the target database with encoding SQL_ASCII, or correct the text on the source',
  ],
  [
    '22P05',
    /./,
    'The target database has an encoding that lacks the character: create it with UTF8',
  ],
  ['25006', /./, "Connect to the cluster's primary endpoint: this one is read-only"],
  [
    '42710',
    /./,
    'The target has it already: restore into another database (databases: name=other-name), or set if-target-not-empty to swap',
  ],
  [
    '42P07',
    /./,
    'The target has it already: restore into another database (databases: name=other-name), or set if-target-not-empty to swap',
  ],
]

/** … and by the message alone, for errors of the client program. */
const ofProgram: readonly [RegExp, string][] = [
  [
    /does not support compression|could not .*compress/i,
    'The client program was built without this compression: set client-path to one that has it, or dump with compression: gzip',
  ],
  [
    /^could not (open|create|write to|close) large object/,
    'Look into the log of the target for why it does not take the large object',
  ],
  [
    /was killed by/,
    'Look into the system log of the runner: it may be short of memory. Fewer restore-jobs need less',
  ],
]

/** Which of two servers is newer decides what lacking something means. */
export interface Direction {
  /** Major versions; NaN where an archive does not tell. */
  source: number
  target: number
}

/** The words for `{lacks}` and `{unknown}` in a remedy; `{name}` is the entry. */
function wordsFor({ source, target }: Direction): Record<string, string> {
  if (target < source) {
    return {
      lacks: 'the target is older than the source and lacks it',
      unknown:
        'The target is older than the source and does not know this: change it on the source, or choose a newer target',
    }
  }
  if (target > source) {
    return {
      lacks: `PostgreSQL ${target} no longer has it (release notes, "Migration to Version …"): change what uses it on the source`,
      unknown: `The target is newer than the source and no longer takes this (release notes, "Migration to Version …"): change it on the source`,
    }
  }
  return {
    lacks: 'the target lacks it: create it there first',
    unknown: 'The target does not take this: change it on the source',
  }
}

/** The next step for an entry that failed. */
export function remedyFor(
  name: string,
  sqlstate: string | null,
  message: string,
  direction: Direction = { source: Number.NaN, target: Number.NaN },
): string {
  const found = remedies.find(([code, pattern]) => code === sqlstate && pattern.test(message))
  if (!found && sqlstate !== null && isTransient(sqlstate, message)) {
    return 'It went on for longer than the restore waits: look into the log of the target and at the network between'
  }
  if (/statement timeout/.test(message)) {
    return 'The account or the database has a statement_timeout: ALTER ROLE … RESET statement_timeout'
  }
  const program = ofProgram.find(([pattern]) => pattern.test(message))
  const words: Record<string, string> = { ...wordsFor(direction), name }
  const remedy =
    found?.[2] ??
    program?.[1] ??
    `Change it on the source, or leave it out with allow-missing: ${name}`
  return remedy.replace(/\{(lacks|unknown|name)\}/g, (_, word: string) => words[word] ?? '')
}
