import { describe, expect, test } from '@jest/globals'
import type pg from 'pg'
import { answerOf } from '../../src/migration/checks/ask.ts'
import { judgeConnections, judgeExpiry } from '../../src/migration/checks/connections.ts'
import { selectDatabases } from '../../src/migration/checks/preflight.ts'
import { NotAsked, type Question } from '../../src/migration/checks/question.ts'
import {
  judgeClock,
  judgeEndpoint,
  judgeLatency,
  judgeSnapshot,
  type Sessions,
} from '../../src/migration/checks/sessions.ts'
import { dependsOnClock, tablesNamed } from '../../src/migration/checks/source/expressions.ts'
import { judgeFields, largestFields } from '../../src/migration/checks/source/fields.ts'
import {
  judgeAges,
  judgeChecksums,
  judgeLockTable,
  judgeStandby,
} from '../../src/migration/checks/source/health.ts'
import { judgeLargeObjects, sortsAlike } from '../../src/migration/checks/source/rows.ts'
import { judgeDisk } from '../../src/migration/checks/together.ts'
import { judgeKernel, judgeKind, judgeMajor } from '../../src/migration/checks/versions.ts'
import { ofClient } from '../../src/postgres/portable-sql.ts'

/** What no server here can show, judged from answers that one would give. */

test.each([
  ['PostgreSQL 15.20 on x86_64-pc-linux-gnu, compiled by gcc', 'passed'],
  ['PostgreSQL 11.9 (POLARDB 11.9)', 'passed'],
  ['PostgreSQL 9.4.26 (Greenplum Database 7.1.0) on x86_64', 'failed'],
  ['PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC, Redshift 1.0.75379', 'failed'],
  ['CockroachDB CCL v23.1.11 (x86_64-pc-linux-gnu)', 'failed'],
  ['PostgreSQL 11.2-YB-2.18.4.0-b0 on x86_64-pc-linux-gnu', 'failed'],
  ['PostgreSQL 9.2.4 (openGauss 5.0.0 build a07d57c3)', 'failed'],
])('what calls itself %s', (version, status) => {
  expect(judgeKind(version).status).toBe(status)
})

test('EnterpriseDB is dumped like PostgreSQL where nothing of its own is used: a warning', () => {
  expect(judgeKind('PostgreSQL 15.4 (EnterpriseDB Advanced Server 15.4.0)')).toMatchObject({
    status: 'failed',
    severity: 'warning',
  })
})

test('majors and kernels of clusters', () => {
  const major = (major: number, polardb: string | null) =>
    judgeMajor({ version: `${major}.1`, major }, polardb).status
  expect([11, 14, 18].map((known) => major(known, '2.0.1'))).toEqual(['passed', 'passed', 'passed'])
  expect([12, 13, 19].map((unknown) => major(unknown, '2.0.1'))).toEqual([
    'failed',
    'failed',
    'failed',
  ])
  expect(major(13, null)).toBe('passed')
  const kernel = (polardb: string | null, extension = 'postgis_topology') =>
    judgeKernel(polardb, ['plpgsql', extension]).status
  expect([kernel('1.1.20'), kernel('1.1.30'), kernel('1.0.99')]).toEqual([
    'failed',
    'failed',
    'failed',
  ])
  expect(kernel('1.1.20', 'pgcrypto')).toBe('passed')
  expect([kernel('1.1.31'), kernel('1.2.0'), kernel('2.0.15.2.0'), kernel(null)]).toEqual([
    'passed',
    'passed',
    'passed',
    'passed',
  ])
})

describe('several sessions', () => {
  const well: Sessions = {
    starts: ['a', 'a', 'a', 'a'],
    snapshot: null,
    snapshotKnown: false,
    roundTrip: 0.3,
    ahead: -2,
  }

  test('that meet one server nearby pass', () => {
    for (const answer of [
      judgeEndpoint(well, 'target'),
      judgeSnapshot(well),
      judgeLatency(well, 'target'),
      judgeClock(well, 'source'),
    ])
      expect(answer.status).toBe('passed')
  })

  test('that meet several servers are behind a proxy', () => {
    expect(judgeEndpoint({ ...well, starts: ['a', 'b', 'a', 'b'] }, 'target')).toMatchObject({
      message: expect.stringContaining('4 sessions met 2 different servers'),
      remedy: expect.stringContaining('primary endpoint'),
    })
  })

  test('that share no snapshot: known beforehand, or found out', () => {
    expect(judgeSnapshot({ ...well, snapshot: 'before 9.2', snapshotKnown: true })).toMatchObject({
      severity: 'warning',
      remedy: expect.stringContaining('Stop all writes'),
    })
    const found = judgeSnapshot({ ...well, snapshot: 'invalid snapshot identifier' })
    expect(found).toMatchObject({ status: 'failed', remedy: expect.stringContaining('pooler') })
    expect(found).not.toHaveProperty('severity')
  })

  test('that are far away, or in another time', () => {
    expect(judgeLatency({ ...well, roundTrip: 5.1 }, 'source').status).toBe('failed')
    expect(judgeClock({ ...well, ahead: 61 }, 'source')).toMatchObject({
      message: "The clock of the source is 1 min 1 s ahead of the runner's",
    })
    expect(judgeClock({ ...well, ahead: -61 }, 'target').status).toBe('failed')
  })
})

test('connections that are free count without those that a limit takes away', () => {
  const limits = { free: 100, account_limit: null, account_open: 0, superuser: false, valid: null }
  const need = { least: 6, wished: 10 }
  const judge = (changes: Partial<typeof limits>, databases: [number, number][] = []) =>
    judgeConnections(
      { ...limits, ...changes },
      databases.map(([most, open]) => ({ name: 'shop', most, open })),
      need,
      'reader',
    )
  expect(judge({}).status).toBe('passed')
  expect(judge({ free: 9 })).toMatchObject({ severity: 'warning' })
  expect(judge({ free: 5 })).toMatchObject({ severity: 'blocker' })
  expect(judge({}, [[12, 3]])).toMatchObject({
    severity: 'warning',
    paste: 'ALTER DATABASE "shop" CONNECTION LIMIT 13;',
  })
  // they bind no superuser
  expect(judge({ superuser: true }, [[1, 1]]).status).toBe('passed')
})

test('a dump that is not compressed may be larger than what the server has compressed', () => {
  const GiB = 1024 ** 3
  const judge = (method: 'auto' | 'none' | 'lz4' | 'gzip', free: number) =>
    judgeDisk(GiB, { compression: { method }, dumpOptions: [] }, { free, dumpDirectory: '/dump' })
  expect(judge('auto', 1.5 * GiB).status).toBe('passed')
  expect(judge('gzip', 1.1 * GiB).status).toBe('failed')
  expect(judge('lz4', 1.5 * GiB).status).toBe('failed')
  expect(judge('none', 2.5 * GiB)).toMatchObject({
    status: 'failed',
    message:
      '2.5 GB free for the dump of 1.0 GB of databases, which may be several times as much without compression',
    remedy: 'Set dump-directory to a larger disk, or compression to auto',
  })
  expect(judge('none', 5 * GiB).status).toBe('passed')
  expect(() => judge('auto', GiB / 50)).toThrow(/too small for the dump/)
})

test('a password that ends', () => {
  const day = 24 * 3600
  const judge = (valid: number | null) =>
    judgeExpiry(
      { free: 1, account_limit: null, account_open: 0, superuser: false, valid },
      'reader',
      'target',
    )
  expect([judge(null), judge(8 * day), judge(-1)].map(({ status }) => status)).toEqual([
    'passed',
    'passed',
    'passed',
  ])
  expect(judge(2 * day)).toMatchObject({ severity: 'warning' })
  expect(judge(3600)).toMatchObject({ severity: 'warning' })
  expect(judge(10 * 60)).toMatchObject({
    severity: 'blocker',
    paste: `ALTER ROLE "reader" VALID UNTIL 'infinity';`,
  })
})

test('the way to a wraparound', () => {
  const age = (part: number, members: number | null = null) =>
    judgeAges([{ name: 'shop', age: part * 2 ** 31, members }])
  expect(age(0.74).status).toBe('passed')
  expect(age(0.76)).toMatchObject({
    severity: 'warning',
    objects: ['"shop": 76 %'],
    paste: 'VACUUM FREEZE; -- in the database shop',
  })
  expect(age(0.1, 0.96 * 2 ** 31)).toMatchObject({ severity: 'blocker' })
})

test('damaged pages of the databases that are migrated, and of what all share', () => {
  const judge = (...names: (string | null)[]) =>
    judgeChecksums(
      names.map((name) => ({ name, failures: 2 })),
      new Set(['shop']),
    )
  expect(judge('other').status).toBe('passed')
  expect(judge('shop', null)).toMatchObject({
    objects: ['"shop": 2 failures', 'the catalogs that all databases share: 2 failures'],
    paste: 'SELECT pg_catalog.pg_stat_reset(); -- in the database shop',
  })
})

test('a standby that waits for no query', () => {
  const judge = (streaming: string, archive: string, standby = true, number = 150_000) =>
    judgeStandby({ standby, feedback: 'on', streaming, archive }, number)
  expect(judge('30s', '30s', false).status).toBe('passed')
  expect(judge('-1', '-1').status).toBe('passed')
  expect(judge('-1', '30s').status).toBe('failed')
  expect(judge('30s', '30s', true, 90_300)).toMatchObject({
    paste: expect.stringContaining('# in postgresql.conf of the standby'),
  })
  expect(judgeStandby(undefined, 80_400).status).toBe('passed')
})

test('more relations than the lock table has room for', () => {
  const table = { each: 64, sessions: 100, prepared: 0 }
  expect(judgeLockTable(table, 6_400, 'source').status).toBe('passed')
  expect(judgeLockTable(table, 6_401, 'source')).toMatchObject({
    paste: 'ALTER SYSTEM SET max_locks_per_transaction = 128;',
  })
  expect(judgeLockTable(table, 20_000, 'target')).toMatchObject({
    paste: 'max_locks_per_transaction = 256',
  })
})

test('values that are too large for COPY, and tables that were too large to be looked at', () => {
  const field = (bytes: number | null) => ({
    ...{ database: 'shop', schema: 'public', name: 't', column: 'c', bytes },
  })
  expect(judgeFields([field(500 * 2 ** 20)]).status).toBe('passed')
  expect(judgeFields([field(null)])).toEqual({
    status: 'passed',
    message: expect.stringContaining('1 column of large tables was not looked at'),
  })
  expect(judgeFields([field(600 * 2 ** 20)])).toMatchObject({
    objects: ['"public"."t": "c", 600 MB'],
  })
})

test('millions of large objects, of all databases', () => {
  expect(judgeLargeObjects([600_000, 400_000]).status).toBe('passed')
  expect(judgeLargeObjects([600_000, 400_001]).status).toBe('failed')
})

test.each([
  ['c', 'C', null, true],
  ['c', 'C.UTF-8', null, true],
  ['b', 'PG_UNICODE_FAST', '1', true],
  ['c', 'de_DE.UTF-8', '2.36', true],
  ['c', 'de_DE.UTF-8', '2.31', false],
  ['c', 'de_DE.UTF-8', null, false],
  ['c', 'fr_FR.UTF-8', null, false],
  ['i', 'de', '153.14', true],
  ['i', 'de', '153.80', false],
])('text under %s %s of version %s', (provider, locale, version, alike) => {
  const target = [
    { provider: 'c', locale: 'de_DE.utf8', version: '2.36' },
    { provider: 'i', locale: 'de', version: '153.14' },
    { provider: 'c', locale: 'fr_FR.utf8', version: null },
  ]
  expect(sortsAlike({ provider, locale, version }, target)).toBe(alike)
})

test.each([
  ['CHECK ((since <= now()))', false],
  ['CHECK (("Since at" < (now() + \'01:00:00\'::interval)))', false],
  ["CHECK ((since <= ('now'::text)::date))", false],
  ['CHECK ((CURRENT_DATE >= birth))', false],
  ['CHECK (((birth IS NOT NULL) AND (birth < CURRENT_DATE)))', false],
  ["CHECK ((note <> 'call now()'::text))", false],
  ['CHECK ((until > now()))', true],
  ['CHECK ((now() < until))', true],
  ['CHECK ((NOT (since <= now())))', true],
  ['CHECK ((CASE WHEN (since <= now()) THEN false ELSE true END))', true],
  ['CHECK (((since <= now()) = false))', true],
  ["CHECK ((until > ('now'::text)::date))", true],
])('%s may refuse later what it has let in: %s', (definition, depends) => {
  expect(dependsOnClock(definition)).toBe(depends)
})

test('tables that a function names, with and without a schema, are told from other words', () => {
  const relations = ['orders', 'Odd "one"', 'known']
  const named = (source: string) => tablesNamed(source, relations)
  expect(named('SELECT 1 FROM orders o JOIN shop.known k ON true')).toEqual({
    any: ['orders', 'known'],
    bare: ['orders'],
  })
  expect(named('SELECT 1 FROM "Odd ""one""" WHERE a IS DISTINCT FROM b')).toEqual({
    any: ['Odd "one"'],
    bare: ['Odd "one"'],
  })
  for (const source of [
    `SELECT lower($1) -- from orders`,
    `SELECT 'FROM orders' || extract(year FROM orders_at)`,
    `/* FROM known */ SELECT trim(both FROM $1)`,
    `SELECT orders($1)`,
  ])
    expect(named(source)).toEqual({ any: [], bare: [] })
})

test('reading values for their length ends after its time, for the columns that are left as well', async () => {
  const sent: string[] = []
  const client = {
    async query(sql: string) {
      sent.push(sql)
      if (sql.includes('pg_catalog.max(')) {
        if (sql.includes('"small"')) return { rows: [{ bytes: 7 }] }
        throw Object.assign(new Error('annulation'), { code: '57014', severity: 'ERREUR' })
      }
      if (sql.includes('current_setting')) {
        return sql.includes('relpages')
          ? {
              rows: ['small', 'large'].map((name) => ({
                ...{ schema: 'public', name, column: 'a', readable: true },
              })),
            }
          : { rows: [{ limit: '1min' }] }
      }
      return { rows: [] }
    },
  } as unknown as pg.Client
  const about = { number: 150_000, major: 15, polardb: null, superuser: false }
  const bytes = async (limit: number) => {
    const question = largestFields(1, 1, limit)
    if (!('read' in question)) throw new TypeError('it is one statement')
    return (await question.read(client, about)).map((row) => row.bytes)
  }
  expect(await bytes(30_000)).toEqual([7, null])
  expect(sent.at(-1)).toContain('set_config')
  expect(sent.some((sql) => /^SET statement_timeout = (29|30)\d{3}$/.test(sql))).toBe(true)
  expect(await bytes(0)).toEqual([null, null])
})

test('databases that providers keep for themselves are not meant by all', () => {
  const names = ['shop', 'rdsadmin', 'cloudsqladmin', 'azure_sys', 'polardb_admin', 'azure_system']
  const { chosen } = selectDatabases(
    'all',
    'shop',
    names.map((name) => ({ name, connectable: true })),
  )
  expect(chosen.map(({ source }) => source)).toEqual(['shop', 'azure_system'])
})

test('a session whose kind is hidden is a client, and one of nobody is not', () => {
  expect(ofClient('s.')).toBe(
    `s.usesysid IS NOT NULL AND COALESCE(s.backend_type, 'client backend') = 'client backend'`,
  )
})

test('a question that its limits end, in whatever language, is not asked again', async () => {
  const answer = async (error: Error) => {
    const question: Question<object> = {
      id: 'slow',
      scope: 'server',
      read: () => Promise.reject(error),
    }
    const about = { number: 150_000, major: 15, polardb: null, superuser: false }
    return await answerOf({} as pg.Client, question, about)
  }
  const said = (code: string) => Object.assign(new Error('annulé'), { code, severity: 'ERREUR' })
  const own = new NotAsked('not of this version')
  expect(await answer(own)).toBe(own)
  expect(await answer(said('57014'))).toBeInstanceOf(NotAsked)
  expect(await answer(said('55P03'))).toBeInstanceOf(NotAsked)
  await expect(answer(said('57P01'))).rejects.toThrow('annulé')
})
