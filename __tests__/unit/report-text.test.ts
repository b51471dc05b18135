import { describe, expect, test } from '@jest/globals'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatRate,
  timeLeft,
} from '../../src/text/numbers.ts'
import { html, markdown, markdownCode, printable, shorten, visible } from '../../src/text/text.ts'
import { hostile } from '../support/sample-reports.ts'

/**
 * How the runner finds a command in a line, also when it passes over characters that a comparison by culture ignores
 * (actions/runner, ActionCommand.cs).
 */
function isCommand(line: string): boolean {
  const seen = line.replace(/[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}]/gu, '').trimStart()
  return seen.startsWith('::') || seen.includes('##[')
}

describe('a line of the log', () => {
  test.each([
    ['::error::x', '\\::error::x'],
    ['  ::add-mask::x', '  \\::add-mask::x'],
    ['\u00a0\u3000::error::x', '\u00a0\u3000\\::error::x'],
    ['\t::error::x', '\\t::error::x'],
    ['\u200b::error::x', '\\u200b::error::x'],
    ['\ufe0f::error::x', '\\ufe0f::error::x'],
    ['at the end ##[group]x ##[endgroup]', 'at the end ##\\[group]x ##\\[endgroup]'],
    ['#\u00ad#[group]x', '#\\xad#[group]x'],
    ['a\n::error::b', 'a\\n::error::b'],
  ])('is no command to the runner: %j', (text, shown) => {
    expect(isCommand(text.replace(/^a\n/, ''))).toBe(true)
    expect(visible(text)).toBe(shown)
    expect(isCommand(visible(text))).toBe(false)
  })

  test('keeps a cast and an ordinary hash as they are', () => {
    expect(visible('SELECT 1::text; # [x]')).toBe('SELECT 1::text; # [x]')
  })

  test.each([
    ['\x1b[31mred\x9b0m\x7f', '\\x1b[31mred\\x9b0m\\x7f'],
    ['a\r\nb\tc\0', 'a\\r\\nb\\tc\\x00'],
    ['\u202egnp.exe\u2066\u2029', '\\u202egnp.exe\\u2066\\u2029'],
    ['zero\u200bwidth\ufeff', 'zero\\u200bwidth\\ufeff'],
    ['\ud800 and \u{e0041} and \uffff', '\\ud800 and \\u{e0041} and \\uffff'],
    ['🐘\u202e', '🐘\\u202e'],
    ['👨\u200dx', '👨\\u200dx'],
  ])('shows what cannot be seen: %j', (text, shown) => {
    expect(printable(text)).toBe(shown)
  })

  test.each(['Ελλάδα', 'שלום', '订单', '❤️', '👩‍🚀', '👨🏽‍👩‍👧', "O'Brien\\x"])(
    'keeps %s as it is',
    (text) => {
      expect(visible(text)).toBe(text)
    },
  )

  test('is cut without tearing a character', () => {
    expect(shorten('abcdef', 6)).toBe('abcdef')
    expect(shorten('abcdefg', 6)).toBe('abcde…')
    expect(shorten('abcd🐘🐘', 6)).toBe('abcd…')
  })
})

describe('Markdown', () => {
  test.each([
    ['**b** _i_ ~~s~~', '&#42;&#42;b&#42;&#42; &#95;i&#95; &#126;&#126;s&#126;&#126;'],
    ['![a](u) <b>&amp;', '&#33;&#91;a&#93;(u) &#60;b&#62;&#38;amp;'],
    ['a|b \\| `c`', 'a&#124;b &#92;&#124; &#96;c&#96;'],
    ['@you #1 $x$', '<span>@</span>you <span>#</span>1 <span>$</span>x<span>$</span>'],
    [
      'https://x www.x :tada: a: b',
      'https<span>:</span>//x www<span>.</span>x <span>:</span>tada: a: b',
    ],
    ['- item', '&#45; item'],
    ['1. item', '1<span>.</span> item'],
    ['11.22', '11.22'],
    ['    code', 'code'],
    ['# head', '<span>#</span> head'],
  ])('takes %j for prose', (text, expected) => {
    expect(markdown(text)).toBe(expected)
  })

  test.each([
    ['public.orders', '`public.orders`'],
    ['</code>**x** @you', '`</code>**x** @you`'],
    ['a|b', '<code>a&#124;b</code>'],
    ['a`b', '<code>a&#96;b</code>'],
    [' a ', '<code>&#32;a&#32;</code>'],
    ['a\nb', '`a\\nb`'],
    ['', '<code></code>'],
  ])('takes %j for code', (text, expected) => {
    expect(markdownCode(text)).toBe(expected)
  })
})

test.each(hostile)('HTML holds no element, attribute or hidden character of %j', (text) => {
  expect(html(text)).not.toMatch(/[<>"']|&(?!amp;|lt;|gt;|quot;|#39;)|[\p{Cc}\p{Cs}\u202e\u200b]/u)
})

describe('numbers', () => {
  test.each([
    [0, '0 bytes'],
    [1, '1 byte'],
    [1023, '1023 bytes'],
    [1024, '1.0 kB'],
    [10_189, '10 kB'],
    [1_048_064, '1.0 MB'],
    [18_400_000_000, '17 GB'],
    [5e12, '4.5 TB'],
    [3e18, '2665 PB'],
  ])('%d bytes', (bytes, shown) => {
    expect(formatBytes(bytes)).toBe(shown)
    expect(formatRate(bytes)).toBe(`${shown}/s`)
  })

  test.each([
    [0, '0.0 s'],
    [0.84, '0.8 s'],
    [9.96, '10 s'],
    [59.6, '1 min'],
    [192, '3 min 12 s'],
    [3599.6, '1 h'],
    [7500, '2 h 5 min'],
    [86_399, '1 d'],
    [100_000, '1 d 4 h'],
  ])('%d seconds', (seconds, shown) => {
    expect(formatDuration(seconds)).toBe(shown)
  })

  test('counts with the thousands apart', () => {
    expect([0, 999, 1000, 1_234_567].map(formatCount)).toEqual(['0', '999', '1,000', '1,234,567'])
  })

  test.each([
    [50, 100, 3, 'about 5 s left'],
    [10, 100, 4, 'about 40 s left'],
    [1, 100, 1, 'about 2 min left'],
    [50, 100, 1000, 'about 17 min left'],
    [50, 100, 30_000, 'about 8 h 20 min left'],
    [0, 100, 60, ''],
    [50, 0, 60, ''],
    [100, 100, 60, ''],
    [50, 100, 0.5, ''],
  ])('%d of %d in %d s', (done, total, seconds, left) => {
    expect(timeLeft(done, total, seconds)).toBe(left)
  })
})
