import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { messageOf } from '../../src/failure.ts'
import type { Context } from '../../src/migration/context.ts'
import { programFailure } from '../../src/migration/dump/program-failure.ts'
import { dumpRoles } from '../../src/migration/dump/programs.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import type { ProgramResult } from '../../src/postgres/programs/process.ts'
import { QuietContext } from '../support/sample-dump.ts'

const ended = (change: Partial<ProgramResult>) =>
  programFailure(
    'pg_dump',
    'It could not be dumped',
    { code: 1, killedBy: null, timedOut: false, stdout: '', stderr: '', ...change },
    '/dump',
  )

const query = (error: string) => ({ stderr: `pg_dump: error: query failed: ERROR:  ${error}\n` })

describe('what a client program ended with', () => {
  test.each<[string, Partial<ProgramResult>, RegExp, RegExp]>([
    [
      'a statement_timeout is no lock',
      query('canceling statement due to statement timeout'),
      /statement timeout \(a limit of the server, and no lock.*ALTER ROLE … SET statement_timeout = 0/,
      /session that holds the lock/,
    ],
    [
      'but where pg_dump locks its tables, it is',
      {
        stderr: `${query('canceling statement due to statement timeout').stderr}pg_dump: detail: Query was: LOCK TABLE public.t IN ACCESS SHARE MODE\n`,
      },
      /waited for a lock on a table.*End the session that holds the lock/,
      /no lock/,
    ],
    [
      'a lock is one',
      query('canceling statement due to lock timeout'),
      /lock timeout \(a lock could not be had.*End the session that holds the lock/,
      /statement_timeout/,
    ],
    [
      'no room for locks',
      query('out of shared memory'),
      /no room for so many locks.*max_locks_per_transaction/,
      /fewer dump-jobs/,
    ],
    [
      'no room for locks, after what pg_dump says of its way',
      {
        stderr: `pg_dump: reading row-level security policies\n${query('out of shared memory').stderr}`,
      },
      /no room for so many locks.*max_locks_per_transaction/,
      /BYPASSRLS/,
    ],
    [
      'rows that the account may not see',
      query('query would be affected by row-level security policy for table "t"'),
      /BYPASSRLS/,
      /no message/,
    ],
    [
      'a standby that cancels for what it replays',
      query('canceling statement due to conflict with recovery'),
      /the source is a standby.*primary.*max_standby_streaming_delay/,
      /holds the lock/,
    ],
    [
      'a statement that somebody cancelled',
      query('canceling statement due to user request'),
      /somebody or something on the server cancelled it/,
      /holds the lock/,
    ],
    [
      'nothing said',
      { code: 3 },
      /exit code 3 and said nothing.*out of memory, disk full.*pg_dump --version/,
      /no message/,
    ],
    [
      'killed for want of memory',
      { code: null, killedBy: 'SIGKILL' },
      /killed by SIGKILL.*out of memory/,
      /exit code/,
    ],
    [
      'killed beneath another program',
      { code: 143 },
      /killed by SIGTERM\. Somebody or the kernel/,
      /exit code/,
    ],
    [
      'crashed',
      { code: null, killedBy: 'SIGSEGV' },
      /killed by SIGSEGV\. The program itself crashed/,
      /out of memory/,
    ],
    [
      'the disk of the runner',
      { stderr: 'pg_dump: error: could not write to output file: No space left on device\n' },
      /disk of the runner is full\. \/dump: .*dump-directory/,
      /server/,
    ],
    [
      'the disk of the server',
      query('could not write to file "base/pgsql_tmp/1": No space left on device'),
      /Free space on the server/,
      /dump-directory|disk of the runner/,
    ],
  ])('%s', (_, result, told, notTold) => {
    const { line } = ended(result)
    expect(line).toMatch(told)
    expect(line).not.toMatch(notTold)
  })
})

describe('a row of more than 1 GB', () => {
  // what pg_dump 15 printed of a row with two values of 280 MB
  const recorded = (last: string) => ({
    stderr: `pg_dump: saving database definition
pg_dump: dumping contents of table "public.scan"
pg_dump: dumping contents of table "app.small"
pg_dump: error: Dumping the contents of table "scan" failed: PQgetResult() failed.
pg_dump: detail: Error message from server: ERROR:  out of memory
DETAIL:  Cannot enlarge string buffer containing 560000007 bytes by 560000002 more bytes.
pg_dump: detail: Command was: COPY public.scan (id, front, back) TO stdout;
${last}`,
  })

  test.each([
    ['one job', recorded('')],
    ['several jobs', recorded('pg_dump: error: a worker process died unexpectedly\n')],
  ])('is named with its table and the words of the server: %s', (_, result) => {
    const { line } = ended(result)
    expect(line).toContain('table public.scan is longer than 1 GB as text')
    expect(line).toContain('Dumping the contents of table "scan" failed')
    expect(line).toContain('ERROR: out of memory')
    expect(line).toContain(
      'Cannot enlarge string buffer containing 560000007 bytes by 560000002 more bytes',
    )
    expect(line).not.toMatch(/worker|system log of the runner/)
  })

  test('is named without its schema where two tables could be meant', () => {
    const { stderr } = recorded('')
    const { line } = ended({ stderr: stderr.replace('app.small', 'app.scan') })
    expect(line).toContain('table scan is longer')
  })
})

test('a worker that died hides nobody else', () => {
  const died = 'pg_dump: error: a worker process died unexpectedly\n'
  expect(ended({ stderr: died }).line).toMatch(
    /a worker of pg_dump died or was killed.*out of memory/,
  )
  const said = 'pg_dump: error: could not open relation with OID 5\n'
  const { line } = ended({ stderr: said + died })
  expect(line).toContain('could not open relation with OID 5')
  expect(line).not.toContain('worker')
})

test.each([
  ['pg_dump: error: query failed: ERROR:  out of memory\n', /The server is out of memory/],
  ['pg_dump: error: out of memory\n', /The runner is out of memory/],
])('whose memory is short: %s', (stderr, told) => {
  expect(ended({ stderr }).line).toMatch(told)
})

test('a full RUNNER_TEMP is named as such, and the program whose log cannot be written ends', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'full-'))
  try {
    writeFileSync(join(directory, 'pg_dumpall'), '#!/bin/sh\necho "a line" >&2\nexec sleep 600\n')
    chmodSync(join(directory, 'pg_dumpall'), 0o755)
    const source = {
      connection: parseConnectionString('host=localhost user=u dbname=d', 'source'),
      client: { majorName: '15', version: '15.1', directory, origin: 'test', warnings: [] },
      passwordFile: '/dev/null',
      number: 150001,
    }
    const options = { rolePasswords: true, logFile: '/dev/full' }
    const context = new QuietContext() as unknown as Context
    const failed = await dumpRoles(source, join(directory, 'roles.sql'), options, context).catch(
      (error: unknown) => error,
    )
    expect(messageOf(failed)).toMatch(/disk of the runner is full\. \/dev\/full: .*RUNNER_TEMP/)
  } finally {
    rmSync(directory, { recursive: true })
  }
})
