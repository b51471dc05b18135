import { describe, expect, test } from '@jest/globals'
import { messageOf } from '../../src/failure.ts'
import { ErrorReader } from '../../src/migration/restore/run/load-errors.ts'
import {
  isContextOfCode,
  ProgramLines,
  shownLine,
  shownMessage,
} from '../../src/postgres/server-message.ts'

const card = '4111-1111-1111-1111'
const error = (code: string, message: string, more: object = {}) => ({
  code,
  message,
  severity: 'ERROR',
  ...more,
})
const hidden = "the server's own words are not shown, since they may quote values"

describe('a message of the server', () => {
  test.each([
    ['42501', 'permission denied for table orders'],
    ['42P01', 'relation "public.orders" does not exist'],
    ['55P03', 'canceling statement due to lock timeout'],
    ['23505', 'duplicate key value violates unique constraint "orders_pkey"'],
    ['23514', 'new row for relation "orders" violates check constraint "positive"'],
    ['22023', 'invalid extension name: "postgis"'],
    ['0A000', 'extension "plpython3u" is not available'],
  ])('that names objects alone is shown whole: %s', (code, message) => {
    expect(shownMessage(error(code, message))).toBe(message)
  })

  test.each([
    [
      '22P02',
      `invalid input syntax for type integer: "${card}"`,
      'invalid input syntax for type integer',
    ],
    ['22P02', `malformed array literal: "{${card}"`, 'malformed array literal'],
    [
      '22008',
      `date/time field value out of range: "${card}"`,
      'date/time field value out of range',
    ],
    [
      '22021',
      'invalid byte sequence for encoding "UTF8": 0xe9',
      'invalid byte sequence for encoding "UTF8"',
    ],
    ['22003', `value "${card}" is out of range for type integer`, `an error [22003]; ${hidden}`],
    ['XX000', `cannot parse "a"${card}" here`, 'cannot parse "…" here'],
    ['P0001', `bad card ${card}`, `code of the database raised an error [P0001]; ${hidden}`],
    ['CARD1', `bad card ${card}`, `an error [CARD1]; ${hidden}`],
    ['38000', card, `an error [38000]; ${hidden}`],
  ])('that quotes a value is shown without it: %s %s', (code, message, shown) => {
    expect(shownMessage(error(code, message))).toBe(shown)
    expect(messageOf(Object.assign(new Error(), error(code, message)))).toBe(shown)
  })

  test('that user code raised is not shown, whatever its SQLSTATE and its fields say', () => {
    const forged = { schema: card, table: card, column: card, constraint: card }
    for (const more of [
      { file: 'pl_exec.c', ...forged },
      { file: 'plpy_elog.c', ...forged },
      { file: 'plv8.cc', ...forged },
      { where: 'PL/pgSQL function public.f(text) line 2 at RAISE', ...forged },
      { file: 'parse_relation.c', where: 'PL/pgSQL function f() line 3 at EXECUTE', ...forged },
    ]) {
      for (const code of ['42501', '42P01', '23505', '57014', 'XX000'])
        expect(
          shownMessage(
            error(code, `duplicate key value violates unique constraint "${card}"`, more),
          ),
        ).toBe(`code of the database raised an error [${code}]; ${hidden}`)
    }
  })

  describe('that was looked up by a name', () => {
    const where = 'SQL function "f" statement 1'
    test.each<[string, string, object, string, string?]>([
      ['42P01', `relation "${card}" does not exist`, { where }, 'relation "…" does not exist'],
      [
        '42P01',
        `relation "${card}" does not exist`,
        { where: `COPY orders, line 1, column a: "${card}"` },
        'relation "…" does not exist',
      ],
      [
        '42704',
        `unrecognized configuration parameter "${card}"`,
        { where: 'PL/pgSQL function f(text) line 1 at RETURN' },
        'unrecognized configuration parameter "…"',
      ],
      ['42883', `operator does not exist: ${card}`, { where }, 'operator does not exist: …'],
      [
        '42601',
        `improper relation name (too many dotted names): a.${card}`,
        { where },
        'improper relation name (too many dotted names): …',
      ],
      [
        '42601',
        `syntax error at or near "${card}"`,
        { where: `invalid type name "a ${card}"`, position: '3' },
        'syntax error at or near "…"',
      ],
      [
        '42P01',
        `relation "${card}" does not exist`,
        {},
        'relation "…" does not exist',
        'REFRESH MATERIALIZED VIEW public.sums;',
      ],
      [
        '42704',
        `role "${card}" does not exist`,
        {},
        'role "…" does not exist',
        'ALTER TABLE ONLY public.orders\n    ADD CONSTRAINT known CHECK ((of)::regrole IS NOT NULL);',
      ],
    ])(
      'is shown without it where a row may have made it: %s %s',
      (code, message, more, shown, ...[statement]) => {
        expect(shownMessage(error(code, message, more), statement)).toBe(shown)
      },
    )

    test.each<[string, string, object, string?]>([
      ['42P01', 'relation "helper" does not exist', { where, internalPosition: '15' }],
      ['42883', 'function f(text) does not exist', { where, position: '15' }],
      ['42501', 'permission denied for table "orders"', { where }],
      ['42P01', 'relation "orders" does not exist', {}, 'ALTER TABLE orders ADD COLUMN a int;'],
      ['42P01', 'relation "Odd.sums" does not exist', {}, 'REFRESH MATERIALIZED VIEW "Odd".sums;'],
    ])(
      'is shown with it where a statement has it: %s %s',
      (code, message, more, ...[statement]) => {
        expect(shownMessage(error(code, message, more), statement)).toBe(message)
      },
    )
  })

  test('about data names the objects that PostgreSQL names', () => {
    const fields = { schema: 'public', table: 'orders', column: 'card', constraint: 'luhn' }
    expect(shownMessage(error('22000', card, { file: 'int.c', ...fields }))).toBe(
      `an error [22000] of table public.orders, column card, constraint luhn; ${hidden}`,
    )
  })
})

describe('a line of a client program', () => {
  test.each([
    [
      `COPY failed for table "t": ERROR:  invalid input syntax for type integer: "${card}"`,
      'COPY failed for table "t": ERROR:  invalid input syntax for type integer',
    ],
    [
      `COPY failed for table "t": ERROR:  bad card ${card}`,
      `COPY failed for table "t": ERROR:  ${hidden}`,
    ],
    [
      'pg_dump: detail: Error message from server: ERROR:  permission denied for table t',
      'pg_dump: detail: Error message from server: ERROR:  permission denied for table t',
    ],
    [
      `error: could not execute query: ERROR:  permission denied for card ${card} of mine`,
      `error: could not execute query: ERROR:  ${hidden}`,
    ],
    ['processing data for table "public.t"', 'processing data for table "public.t"'],
  ])('%s', (line, shown) => {
    expect(shownLine(line)).toBe(shown)
    expect(shownLine(shown)).toBe(shown)
  })

  const lines = (...all: string[]) => {
    const shown: string[] = []
    const reader = new ProgramLines('pg_restore', (line) => shown.push(line))
    const errors = new ErrorReader()
    for (const line of all) {
      reader.read(line)
      errors.read(line)
    }
    reader.end()
    return [...shown, ...errors.errors.map(({ message }) => `pg_restore: error: ${message}`)]
  }
  const failed = 'pg_restore: error: COPY failed for table "t": ERROR:  '
  const place = `CONTEXT:  COPY t, line 1, column a: "${card}"`

  test('is shown without a name where a row may have made it', () => {
    const lost = `${failed}relation "…" does not exist`
    const said = `${failed}relation "${card}" does not exist`
    expect(lines(said, place)).toEqual([lost, lost])
    const parameter = `${failed}unrecognized configuration parameter "…"`
    expect(lines(parameter.replace('…', card), place)).toEqual([parameter, parameter])
  })

  test('is shown with a name where a function has it', () => {
    const said = `${failed}relation "helper" does not exist`
    expect(lines(said, 'LINE 1: SELECT FROM helper', place, said, place)).toEqual([
      said,
      said.replace('helper', '…'),
      said,
      said.replace('helper', '…'),
    ])
    expect(lines(said, 'QUERY:  SELECT FROM helper', place)).toEqual([said, said])
  })

  test('is not shown when the context says that code was running', () => {
    expect(isContextOfCode('CONTEXT:  PL/pgSQL function f(text) line 2 at RAISE')).toBe(true)
    expect(isContextOfCode('CONTEXT:  COPY t, line 1, column a: "x"')).toBe(false)
    expect(shownLine(`ERROR:  relation "${card}" does not exist`, true)).toBe(`ERROR:  ${hidden}`)
  })
})
