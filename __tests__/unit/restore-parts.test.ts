import { describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { parseMark } from '../../src/migration/restore/database/mark.ts'
import { localeClauses } from '../../src/migration/restore/database/prepare.ts'
import {
  type DatabaseProperties,
  parseDatabaseProperties,
} from '../../src/migration/restore/database/properties.ts'
import { settingValue } from '../../src/migration/restore/database/settings.ts'
import type { RestoreOptions } from '../../src/migration/restore/options.ts'
import { withoutWidening } from '../../src/migration/restore/owners/grants.ts'
import { scramVerifier } from '../../src/migration/restore/owners/login-role.ts'
import { ownerStatements } from '../../src/migration/restore/owners/ownership.ts'
import { remedyFor } from '../../src/migration/restore/plan/remedies.ts'
import { loadArguments } from '../../src/migration/restore/run/load.ts'
import { ErrorReader, mayAllPass } from '../../src/migration/restore/run/load-errors.ts'
import { saysItExists } from '../../src/migration/restore/run/statements.ts'
import type { ArchiveEntry } from '../../src/postgres/archive/entry.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { mayPass } from '../../src/postgres/errors.ts'

const properties: DatabaseProperties = {
  name: 'shop',
  encoding: 'UTF8',
  collate: 'en_US.UTF-8',
  ctype: 'en_US.UTF-8',
  provider: 'libc',
  locale: null,
  icuRules: null,
  owner: 'boss',
  acl: [{ grantor: 'boss', grantee: '', privilege: 'CONNECT', grantable: false }],
  comment: null,
  settings: [{ role: null, name: 'search_path', value: 'app' }],
  connectionLimit: -1,
  template: false,
  extensions: [{ name: 'hstore', version: '1.8', schema: 'public' }],
  extensionGrants: [],
  extensionTables: [],
}

describe('what pg_restore says', () => {
  const read = (text: string) => {
    const reader = new ErrorReader()
    for (const line of text.split('\n')) reader.read(line)
    return reader
  }

  test('of a constraint that rows break, with the entry and without the row', () => {
    const reader = read(`pg_restore: connecting to database for restore
pg_restore: processing data for table "public.a"
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 3269; 0 16421 TABLE DATA a boss
pg_restore: error: COPY failed for table "a": ERROR:  new row for relation "a" violates check constraint "c"
DETAIL:  Failing row contains (secret).
CONTEXT:  COPY a, line 1: "secret"
pg_restore: warning: errors ignored on restore: 1`)
    expect(reader.errors).toEqual([
      {
        dumpId: 3269,
        message:
          'COPY failed for table "a": ERROR:  new row for relation "a" violates check constraint "c"',
        sqlstate: '23514',
      },
    ])
    expect(reader.ignored).toBe(1)
  })

  test('before version 12', () => {
    const reader = read(`pg_restore: [archiver (db)] Error while PROCESSING TOC:
pg_restore: [archiver (db)] Error from TOC entry 77; 0 1 TABLE DATA a boss
pg_restore: [archiver (db)] COPY failed for table "a": ERROR:  deadlock detected
WARNING: errors ignored on restore: 1`)
    expect(reader.errors).toMatchObject([{ dumpId: 77, sqlstate: '40P01' }])
  })

  test('does not hide a second error behind the first', () => {
    const reader = read(`pg_restore: from TOC entry 1; 0 1 TABLE DATA a boss
pg_restore: error: COPY failed for table "a": ERROR:  null value violates not-null constraint
pg_restore: processing data for table "public.b"
pg_restore: from TOC entry 2; 0 1 TABLE DATA b boss
pg_restore: error: COPY failed for table "b": ERROR:  something else`)
    expect(reader.errors).toMatchObject([
      { dumpId: 1, sqlstate: '23502' },
      { dumpId: 2, sqlstate: null },
    ])
  })

  test.each([
    [
      'error: connection to server at "h" (1.2.3.4), port 5432 failed: FATAL:  the database system is starting up',
      '57P03',
    ],
    ['error: connection to server at "h", port 1 failed: Connection refused', '08006'],
    ['error: could not execute query: server closed the connection unexpectedly', '08006'],
    [
      'error: error returned by PQputCopyData: SSL connection has been closed unexpectedly',
      '08006',
    ],
    [
      'error: COPY failed for table "a": FATAL:  terminating connection due to administrator command',
      '57P01',
    ],
    [
      'error: connection to server at "h", port 1 failed: FATAL:  sorry, too many clients already',
      '53300',
    ],
    [
      'error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"',
      '42704',
    ],
  ])('%s has the SQLSTATE %s', (line, sqlstate) => {
    expect(read(`pg_restore: ${line}`).errors[0]?.sqlstate).toBe(sqlstate)
  })
})

test('pg_restore is called without owners and privileges, and with the options of the user', () => {
  const options = {
    client: { majorName: '15', version: '15.20', directory: '/bin', origin: '', warnings: [] },
    target: parseConnectionString('postgresql://u:p@h/db'),
    targetName: "o'db",
    extraOptions: ['--disable-triggers'],
  } as unknown as RestoreOptions
  const args = loadArguments(options, '/list', '/archive')
  expect(args).toContain('--no-table-access-method')
  expect(args.slice(-2)).toEqual(['--disable-triggers', '/archive'])
  expect(args.find((arg) => arg.startsWith('--dbname='))).toContain("dbname='o\\'db'")
  expect(args.join(' ')).not.toContain("'p'")
  const older = { ...options, client: { ...options.client, version: '13.16' } }
  expect(loadArguments(older, '/list', '/archive')).not.toContain('--no-table-access-method')
})

describe('the locale of a database', () => {
  test.each<[string, Partial<DatabaseProperties>, number, string, string[]]>([
    [
      'of libc, in both spellings',
      {},
      15,
      'c',
      [
        `LC_COLLATE 'en_US.UTF-8' LC_CTYPE 'en_US.UTF-8'`,
        `LC_COLLATE 'en_US.utf8' LC_CTYPE 'en_US.utf8'`,
      ],
    ],
    [
      'of libc, where the template has another provider',
      { collate: 'C', ctype: 'C' },
      18,
      'b',
      [`LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'`],
    ],
    [
      'of ICU',
      { provider: 'icu', locale: 'de', collate: 'C', ctype: 'C' },
      15,
      'c',
      [`LOCALE_PROVIDER icu ICU_LOCALE 'de' LC_COLLATE 'C' LC_CTYPE 'C'`],
    ],
    [
      'of ICU with rules',
      { provider: 'icu', locale: 'de', icuRules: '&a < b', collate: 'C', ctype: 'C' },
      16,
      'c',
      [`LOCALE_PROVIDER icu ICU_LOCALE 'de' ICU_RULES '&a < b' LC_COLLATE 'C' LC_CTYPE 'C'`],
    ],
    [
      'builtin',
      { provider: 'builtin', locale: 'C.UTF-8', collate: 'C', ctype: 'C' },
      17,
      'c',
      [`LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C'`],
    ],
    [
      'builtin C on an older server, which libc has as well',
      { provider: 'builtin', locale: 'C', collate: 'x', ctype: 'x' },
      11,
      'c',
      [`LC_COLLATE 'C' LC_CTYPE 'C'`],
    ],
  ])('%s', (_, changes, major, template, clauses) => {
    expect(localeClauses({ ...properties, ...changes }, major, template)).toEqual(clauses)
  })

  test.each<[Partial<DatabaseProperties>, number, string]>([
    [{ provider: 'icu', locale: 'de' }, 14, 'The locale provider icu for databases'],
    [{ provider: 'icu', locale: 'de', icuRules: '&a < b' }, 15, 'Rules of an ICU locale'],
    [{ provider: 'builtin', locale: 'C.UTF-8' }, 16, 'The locale provider builtin for databases'],
  ])('%j is refused by version %i, which would sort otherwise', (changes, major, what) => {
    const clauses = () => localeClauses({ ...properties, ...changes }, major)
    expect(clauses).toThrow(Failure)
    expect(clauses).toThrow(
      expect.objectContaining({
        why: `${what} came with PostgreSQL ${major + 1}; the target is ${major}`,
      }),
    )
  })
})

describe('settings of a database', () => {
  test.each([
    ['work_mem', '8MB', `'8MB'`],
    ['application_name', "it's", `'it''s'`],
    ['search_path', 'app, public', `'app', 'public'`],
    ['search_path', '"$user", "a, ""b""", c', `'$user', 'a, "b"', 'c'`],
    ['Search_Path', '""', `''`],
    ['search_path', '', `''`],
    ['temp_tablespaces', 'a', `'a'`],
    ['myapp.search_path', 'a, b', `'a, b'`],
  ])('%s = %s is written as %s', (name, value, sql) => {
    expect(settingValue(name, value)).toBe(sql)
  })
})

describe('properties of a database from a manifest', () => {
  test('are what was written', () => {
    expect(parseDatabaseProperties(JSON.parse(JSON.stringify(properties)))).toEqual(properties)
  })

  test.each([
    ['name', 7],
    ['name', 'a\0b'],
    ['provider', 'other'],
    ['settings', {}],
    ['settings', [{ role: 1, name: 'a', value: 'b' }]],
    ['acl', [{ grantor: 'a', grantee: 'b', privilege: 'CONNECT; DROP', grantable: false }]],
    ['connectionLimit', '5'],
    ['extensions', [null]],
  ])('with a wrong %s (%j) are refused', (key, value) => {
    expect(() => parseDatabaseProperties({ ...properties, [key]: value })).toThrow(Failure)
  })

  test.each([[null], ['text'], [[]]])('that are %j are refused', (value) => {
    expect(() => parseDatabaseProperties(value)).toThrow(Failure)
  })
})

describe('statements that make an owner', () => {
  const entry = (changes: Partial<ArchiveEntry>) =>
    ({
      desc: 'TABLE',
      namespace: 'a"s',
      tag: 't',
      dropStatement: '',
      definition: '',
      ...changes,
    }) as ArchiveEntry

  test.each<[Partial<ArchiveEntry>, string[]]>([
    [{}, ['ALTER TABLE "a""s"."t" OWNER TO "new ""o"""']],
    [{ desc: 'SCHEMA', namespace: '', tag: 's' }, ['ALTER SCHEMA "s" OWNER TO "new ""o"""']],
    [
      { desc: 'FUNCTION', dropStatement: 'DROP FUNCTION public.f(integer, "x y");\n' },
      ['ALTER FUNCTION public.f(integer, "x y") OWNER TO "new ""o"""'],
    ],
    [{ desc: 'BLOB', tag: '7' }, ['ALTER LARGE OBJECT 7 OWNER TO "new ""o"""']],
    [
      { desc: 'BLOB METADATA', definition: '7\n8\n' },
      ['ALTER LARGE OBJECT 7 OWNER TO "new ""o"""', 'ALTER LARGE OBJECT 8 OWNER TO "new ""o"""'],
    ],
    [{ desc: 'INDEX' }, []],
    [{ desc: 'ACL' }, []],
  ])('%j', (changes, statements) => {
    expect(ownerStatements(entry(changes), 'new "o"')).toEqual(statements)
  })
})

test.each([
  [
    'GRANT ALL ON TABLE public.t TO app;',
    15,
    'GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON TABLE public.t TO app;',
  ],
  [
    'ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA "GRANT ALL ON TABLES " GRANT ALL ON TABLES  TO app;',
    9,
    'ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA "GRANT ALL ON TABLES " GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON TABLES  TO app;',
  ],
  ['GRANT ALL ON TABLE public.t TO app;', 17, 'GRANT ALL ON TABLE public.t TO app;'],
  ['GRANT ALL ON SEQUENCE public.s TO app;', 15, 'GRANT ALL ON SEQUENCE public.s TO app;'],
  ['GRANT ALL(a) ON TABLE public.t TO app;', 15, 'GRANT ALL(a) ON TABLE public.t TO app;'],
  [
    'GRANT SELECT ON TABLE "ALL ON TABLE " TO app;',
    15,
    'GRANT SELECT ON TABLE "ALL ON TABLE " TO app;',
  ],
])('on 17, %s of %i gives no privilege that it did not give there', (sql, major, sent) => {
  expect(withoutWidening(sql, major, { standardStrings: true })).toBe(sent)
})

describe('the mark of a restore', () => {
  const state = {
    dump: 'ab'.repeat(32),
    memberships: ['a'],
    schemaGrants: [{ role: 'a', schema: 'b' }],
    databaseGrants: ['c'],
    loader: 'migrate-to-polardb loader 0123456789abcdef',
    owners: true,
  }

  test('is read as it was written', () => {
    for (const one of [state, { ...state, loader: null }]) {
      expect(parseMark(JSON.stringify(one))).toEqual(one)
    }
  })

  test.each([
    '',
    'null',
    '[]',
    '{',
    '{"memberships": 5, "schemaGrants": [null, {"role": 1}]}',
    JSON.stringify({ ...state, dump: 'x; DROP TABLE t' }),
    JSON.stringify({ ...state, memberships: ['a', 7] }),
    JSON.stringify({ ...state, memberships: ['a'.repeat(64)] }),
    JSON.stringify({ ...state, databaseGrants: ['a\0b'] }),
    JSON.stringify({ ...state, schemaGrants: [{ role: 'a', schema: 'b', sql: 'DROP TABLE t' }] }),
    JSON.stringify({ ...state, settings: [] }),
    JSON.stringify({ ...state, loader: 'postgres' }),
    JSON.stringify({ ...state, owners: 'yes' }),
  ])('that is %j says nothing', (comment) => {
    expect(parseMark(comment)).toBeNull()
  })
})

describe('errors', () => {
  const server = (code: string, more = {}) =>
    Object.assign(new Error('x'), { code, severity: 'ERROR', ...more })

  test.each([
    ['57P01', true],
    ['57P03', true],
    ['53300', true],
    ['40P01', true],
    ['55006', true],
    ['57014', true],
    ['42501', false],
    ['23503', false],
    ['XX000', false],
  ])('of SQLSTATE %s may pass: %s', (code, passes) => {
    expect(mayPass(server(code))).toBe(passes)
  })

  test.each([
    [Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }), true],
    [new Error('Connection terminated unexpectedly'), true],
    [Object.assign(server('XX000'), { message: 'tuple concurrently updated' }), true],
    [
      new Failure('a', 'b', 'c', { cause: Object.assign(new Error(), { code: 'ECONNRESET' }) }),
      true,
    ],
    [new Failure('a', 'b', 'c', { sqlstate: '28P01' }), false],
    [new TypeError('a defect'), false],
    [new TypeError('Promise.withResolvers is not a function'), false],
    [new TypeError("Cannot read properties of undefined (reading 'socket')"), false],
    [new Error('read ECONNRESET'), false],
    [Object.assign(new Error('read'), { code: 'ECONNRESET' }), true],
    [
      Object.assign(server('57014'), { message: 'canceling statement due to statement timeout' }),
      false,
    ],
    [Object.assign(server('57014'), { message: 'canceling statement due to user request' }), true],
  ])('%s may pass: %s', (error, passes) => {
    expect(mayPass(error)).toBe(passes)
  })

  test('that say an object is there are those of duplicates', () => {
    expect(saysItExists(server('42P07'))).toBe(true)
    expect(saysItExists(server('23505', { schema: 'pg_catalog' }))).toBe(true)
    expect(saysItExists(server('23505', { schema: 'public' }))).toBe(false)
    expect(saysItExists(server('42501'))).toBe(false)
  })

  test('have a next step each, and one that names the entry where we know none', () => {
    expect(remedyFor('FK CONSTRAINT a', '23503', 'x')).toContain('NOT VALID')
    expect(remedyFor('TABLE DATA a.b', '42704', 'role "x" does not exist')).toMatch(
      /^Create the role on the target .* allow-missing: TABLE DATA a\.b$/,
    )
    const syntax = (source: number, target: number) =>
      remedyFor('VIEW v', '42601', 'syntax error', { source, target })
    expect(syntax(15, 11)).toContain('older than the source')
    expect(syntax(13, 15)).toContain('newer than the source')
    expect(syntax(15, 15)).not.toMatch(/older|newer/)
    const lacking = remedyFor('VIEW v', '42883', 'no function', { source: 13, target: 15 })
    expect(lacking).toContain('no longer has it')
    expect(remedyFor('VIEW public.v', 'XX000', 'x')).toContain('allow-missing: VIEW public.v')
    expect(remedyFor('VIEW public.v', null, 'x')).toContain('VIEW public.v')
  })
})

describe('what pg_restore says when its connection is lost among large objects', () => {
  const read = (lines: string[]) => {
    const reader = new ErrorReader()
    for (const line of lines) reader.read(line)
    return reader.errors
  }

  test.each([
    [
      '18',
      [
        'pg_restore: error: could not write to large object: server closed the connection unexpectedly',
        'pg_restore: error: could not create large object 9002: PQfn: connection in wrong state',
        'pg_restore: error: could not commit database transaction: no connection to the server',
      ],
    ],
    [
      '13',
      [
        'pg_restore: error: could not write to large object (result: 18446744073709551615, expected: 16384)',
        'pg_restore: error: could not open large object 9002: connection in wrong state',
      ],
    ],
    [
      '9.3',
      [
        'pg_restore: [archiver (db)] Error while PROCESSING TOC:',
        'pg_restore: [archiver (db)] Error from TOC entry 2046; 0 0 BLOBS BLOBS ',
        'pg_restore: [archiver] could not write to large object (result: 18446744073709551615, expected: 2048)',
        'pg_restore: [archiver (db)] could not execute query: no connection to the server',
      ],
    ],
    [
      '10, in a query',
      ['pg_restore: [archiver (db)] query failed: server closed the connection unexpectedly'],
    ],
    [
      '17, in COPY',
      [
        'pg_restore: error: error returned by PQputCopyData: server closed the connection unexpectedly',
        'pg_restore: error: COPY failed for table "t": no COPY in progress',
      ],
    ],
  ])('is known to pass (%s)', (_, lines) => {
    const errors = read(lines)
    expect(errors.length).toBeGreaterThan(0)
    expect(mayAllPass(errors)).toBe(true)
  })

  test.each([
    [
      [
        'pg_restore: error: could not write to large object: ERROR:  permission denied for large object 7',
      ],
    ],
    [
      [
        'pg_restore: error: could not write to large object (result: 18446744073709551615, expected: 1)',
      ],
    ],
    [
      [
        'pg_restore: error: COPY failed for table "t": ERROR:  invalid input syntax for type integer: "x"',
        'pg_restore: error: could not open large object 9: PQfn: connection in wrong state',
      ],
    ],
    [
      [
        'pg_restore: error: connection to server at "h", port 5 failed: FATAL:  password authentication failed for user "u"',
      ],
    ],
    [
      [
        'pg_restore: error: could not execute query: ERROR:  canceling statement due to statement timeout',
      ],
    ],
  ])('is not confused with what stays: %j', (lines) => {
    expect(mayAllPass(read(lines))).toBe(false)
  })

  test('is no reason to leave large objects out', () => {
    expect(remedyFor('BLOBS', '08006', 'connection in wrong state')).not.toContain('allow-missing')
    expect(remedyFor('BLOBS', null, 'could not open large object 9: x')).not.toContain(
      'allow-missing',
    )
  })
})

test('a SCRAM verifier is the one of RFC 7677', () => {
  const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
  expect(scramVerifier('pencil', salt)).toBe(
    'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  )
})
