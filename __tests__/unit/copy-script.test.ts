import { describe, expect, test } from '@jest/globals'
import { CopyScript, UnknownScript } from '../../src/postgres/archive/copy-script.ts'
import { randomNumbers } from '../support/random.ts'

const statement = 'COPY public.t (a, b) FROM stdin;\n'

/** As pg_restore of 17.6 and later writes it. */
function scriptOf(rows: Buffer | string, copy = statement): Buffer {
  const head = `--
-- PostgreSQL database dump
--

\\restrict Xq3bXbyLTyZtYc

-- Dumped from database version 18.0

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);
SET default_tablespace = '';

--
-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: -
--

`
  const tail =
    '\\.\n\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict Xq3bXbyLTyZtYc\n\n'
  return Buffer.concat([Buffer.from(head + copy), Buffer.from(rows), Buffer.from(tail)])
}

/** Feeds a script in pieces that end at given places, and puts the rows together again. */
function readIn(script: Buffer, cuts: readonly number[], copy = statement) {
  const reader = new CopyScript((bytes) => bytes.toString('latin1') === copy)
  const parts: string[] = []
  let part = Buffer.alloc(0)
  for (const [index, from] of [0, ...cuts].entries()) {
    for (const { bytes, whole } of reader.read(
      script.subarray(from, cuts[index] ?? script.length),
    )) {
      part = Buffer.concat([part, bytes])
      if (!whole) continue
      parts.push(part.toString('latin1'))
      part = Buffer.alloc(0)
    }
  }
  return { reader, parts, rest: part.toString('latin1') }
}

describe('the rows in a script of pg_restore', () => {
  const rows = [
    '',
    '\\N\tx',
    '\\\\.',
    '\\\\.\\n\\\\.',
    'ends with a backslash\\\\',
    '\\\\\\\\',
    'tab\\tand\\rreturn',
    '-- no comment',
    '\\restrict',
    'COPY public.t (a, b) FROM stdin;',
    'ä€𝄞',
    '.',
  ]

  test('are found wherever the script is cut, and each part ends with a row', () => {
    const text = `${rows.join('\n')}\n`
    const script = scriptOf(text)
    for (let first = 1; first < script.length; first++) {
      for (const second of [first, first + 1, first + 2, first + 7]) {
        const cuts = [first, ...(second > first && second < script.length ? [second] : [])]
        const { reader, parts, rest } = readIn(script, cuts)
        expect(reader.isComplete).toBe(true)
        expect(rest).toBe('')
        expect(parts.join('')).toBe(Buffer.from(text).toString('latin1'))
        expect(parts.filter((part) => !part.endsWith('\n'))).toEqual([])
      }
    }
  })

  test('no part ends within a row, in random scripts cut at random', () => {
    const next = randomNumbers(16)
    for (let round = 0; round < 300; round++) {
      const lines = Array.from({ length: Math.floor(next() * 12) }, () => {
        const length = Math.floor(next() * 6)
        return Array.from(
          { length },
          () => ['\\\\', '\\n', '\\N', '.', 'x', '\t', '\\\\.'][Math.floor(next() * 7)],
        ).join('')
      })
      const text = lines.map((line) => `${line}\n`).join('')
      const script = scriptOf(text)
      const cuts = [
        ...new Set(Array.from({ length: 20 }, () => 1 + Math.floor(next() * (script.length - 1)))),
      ].sort((a, b) => a - b)
      const { reader, parts, rest } = readIn(script, cuts)
      expect({ complete: reader.isComplete, rest, text: parts.join('') }).toEqual({
        complete: true,
        rest: '',
        text,
      })
      // what is handed on to the end of a row is so many rows of the table, whole ones
      const ends = new Set<number>()
      let end = 0
      for (const line of lines) {
        end += line.length + 1
        ends.add(end)
      }
      let at = 0
      for (const part of parts) {
        at += part.length
        expect(ends.has(at)).toBe(true)
      }
    }
  })

  test('a newline behind a backslash, as old programs wrote it, ends no row', () => {
    const { parts } = readIn(scriptOf('a\\\nb\nc\n'), [])
    expect(parts.join('')).toBe('a\\\nb\nc\n')
    const script = scriptOf('a\\\nb\nc\n')
    const within = script.indexOf('b\nc')
    expect(readIn(script, [within]).parts[0]).toBe('a\\\nb\nc\n')
  })

  test('characters that end with the byte of a backslash do not hide the end', () => {
    // SJIS 表 and 十, as the last thing in each row
    const text = Buffer.from([0x95, 0x5c, 0x0a, 0x8f, 0x5c, 0x5c, 0x5c, 0x0a, 0x95, 0x5c, 0x0a])
    const script = scriptOf(text)
    for (let cut = script.indexOf(text); cut < script.length; cut++) {
      const { reader, parts, rest } = readIn(script, [cut])
      expect(reader.isComplete).toBe(true)
      expect(parts.join('') + rest).toBe(text.toString('latin1'))
    }
  })

  test('a row without end is handed on in pieces, not kept', () => {
    const script = scriptOf(`${'x'.repeat(1_000_000)}\n`)
    const reader = new CopyScript(() => true)
    let kept = 0
    for (let from = 0; from < script.length; from += 1000) {
      const piece = script.subarray(from, from + 1000)
      const handed = reader.read(piece).reduce((sum, { bytes }) => sum + bytes.length, 0)
      kept = Math.max(kept, piece.length - handed)
    }
    expect(reader.isComplete).toBe(true)
    expect(kept).toBeLessThanOrEqual(1000)
  })

  test('a table without columns, and one without rows', () => {
    const none = 'COPY public."no ""columns""\n"  FROM stdin;\n'
    expect(readIn(scriptOf('\n\n\n', none), [], none).parts.join('')).toBe('\n\n\n')
    const empty = readIn(scriptOf(''), [])
    expect(empty.parts).toEqual([])
    expect(empty.reader.isComplete).toBe(true)
  })

  test('are not complete without the line that ends them', () => {
    const script = scriptOf('1\t2\n')
    const { reader } = readIn(script.subarray(0, script.indexOf('\\.\n')), [])
    expect(reader.isComplete).toBe(false)
  })

  test.each([
    ['another statement', scriptOf('1\t2\n', 'COPY public.u (a, b) FROM stdin;\n')],
    ['a statement of another kind', Buffer.concat([Buffer.from('DROP TABLE x;\n'), scriptOf('')])],
    ['a command of psql', Buffer.concat([Buffer.from('\\! id\n'), scriptOf('')])],
    [
      'two statements in a line',
      Buffer.concat([Buffer.from('SET a = b; DROP TABLE x;\n'), scriptOf('')]),
    ],
    ['nothing that ends', Buffer.alloc(5_000_000, '-')],
  ])('%s is not taken for them', (_, script) => {
    expect(() => readIn(script, [])).toThrow(UnknownScript)
  })
})
