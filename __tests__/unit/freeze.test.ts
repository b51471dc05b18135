import { expect, test } from '@jest/globals'
import type pg from 'pg'
import { freezeDatabase, thawDatabase } from '../../src/migration/freeze/freeze-database.ts'
import {
  type FreezeMark,
  type FreezeState,
  letsWrite,
  parseFreezeState,
  settingsBefore,
  withoutMark,
  writingRoles,
} from '../../src/migration/freeze/mark.ts'
import { type Writes, written } from '../../src/migration/freeze/writes.ts'
import { brokenPhase } from '../../src/report/findings.ts'
import { renderHtml } from '../../src/report/html/html.ts'
import { renderMarkdown } from '../../src/report/markdown.ts'
import type { FreezeResult } from '../../src/report/model.ts'
import { renderJson } from '../support/report-json.ts'
import { goodReport } from '../support/sample-reports.ts'

const run = '01234567-89ab-cdef-0123-456789abcdef'

function state(frozen: object = {}, more: object = {}): unknown {
  return {
    format: 1,
    database: '16384',
    frozen: {
      run,
      at: '2026-11-28T01:02:03.456Z',
      holder: { pid: 7, began: '20261128010203000000' },
      setting: null,
      roles: [{ role: 'app', setting: 'off' }],
      dump: null,
      target: null,
      ...frozen,
    },
    revoked: [],
    ...more,
  }
}

test('a mark is read as we write it, and in no other form', () => {
  expect(parseFreezeState(JSON.stringify(state()))).toEqual(state())
  const target = { oid: '1', name: 'shop', rows: '2', since: null, next: '3' }
  for (const one of [target, { ...target, definitions: '4' }]) {
    expect(parseFreezeState(JSON.stringify(state({ target: one })))).not.toBeNull()
  }
  const wrong = [
    state({ target: { ...target, definitions: 'x' } }),
    state({ setting: 'on; DROP TABLE t' }),
    state({ setting: '' }),
    state({ roles: [{ role: 'app', setting: 'maybe' }] }),
    state({ roles: [{ role: 'a'.repeat(64), setting: 'on' }] }),
    state({ roles: [{ role: 'app', setting: 'on', more: 1 }] }),
    state({ dump: 'x' }),
    state({ holder: { pid: -1, began: '20261128010203000000' } }),
    state({ work_mem: '1GB' }),
    state({}, { format: 2 }),
    state({}, { database: 'shop' }),
    state({}, { revoked: [{ dump: run, at: 'yesterday' }] }),
    null,
    'text',
  ]
  for (const one of wrong) expect([one, parseFreezeState(JSON.stringify(one))]).toEqual([one, null])
  expect(parseFreezeState('{')).toBeNull()
})

/**
 * A session of a server on which a mark stands.
 *
 * @param foreign roles that its owner may not change
 * @param settings of the database and of roles
 */
function sessionWith(
  mark: object,
  foreign: string[] = [],
  settings = [{ here: true, role: 'app', value: 'on' }],
) {
  const asked: string[] = []
  const answers: [RegExp, object[]][] = [
    [/server_version_num/, [{ number: 150_000, server_version_num: '150000', version: '15.0' }]],
    [/obj_description/, [{ owner: 'mallory', empty: true, database: '16384', ...mark }]],
    [/unnest\(setconfig\)/, settings],
    [/JOIN pg_catalog\.pg_roles o/, foreign.map((role) => ({ role }))],
    [/pg_stat_activity/, [{}]],
  ]
  const query = async (text: string) => {
    asked.push(text)
    return { rows: answers.find(([pattern]) => pattern.test(text))?.[1] ?? [] }
  }
  return { client: { query } as unknown as pg.Client, asked }
}

const comment = JSON.stringify(state())

test('what a mark says of roles is undone only where its owner may change them', async () => {
  const honest = sessionWith({ ours: true, comment })
  expect(await thawDatabase(honest.client, 'shop')).toMatchObject({ run })
  expect(honest.asked.join()).toMatch(/ALTER ROLE "?app"? IN DATABASE/)
  const planted = sessionWith({ ours: true, comment }, ['app'])
  await expect(thawDatabase(planted.client, 'shop')).rejects.toThrow(/not its owner's to change/)
  expect(planted.asked.join()).not.toMatch(/ALTER|DROP|COMMENT ON/)
})

test('what a mark could not be read with is not frozen, since it could not be undone', async () => {
  const many = Array.from({ length: 10_001 }, (_, i) => ({
    here: true,
    role: `r${i}`,
    value: 'off',
  }))
  const place = { database: 'shop', oid: '16384', number: 150_000 }
  const by = { run, at: '2026-11-28T02:00:00Z', holder: { pid: 8, began: '20261128020000000000' } }
  // what a name in no UTF-8 is read as is longer than any name
  for (const roles of [many, [{ here: true, role: '\ufffd'.repeat(22), value: 'off' }]]) {
    const { client, asked } = sessionWith({ ours: true, comment }, [], roles)
    await expect(freezeDatabase(client, place, by)).rejects.toThrow(/could be undone/)
    expect(asked.join()).not.toMatch(/ALTER|CREATE|COMMENT ON/)
  }
})

test.each([
  ['a schema of somebody else', { ours: false, comment }, /is not ours/],
  ['one that holds objects', { ours: true, empty: false, comment }, /is not ours/],
  ['a run that lives', { ours: true, comment }, /another run that is still at work/],
])('a freeze does not write over %s', async (_, mark, message) => {
  const { client, asked } = sessionWith(mark)
  const place = { database: 'shop', oid: '16384', number: 150_000 }
  const by = {
    run: run.replace('0', '1'),
    at: '2026-11-28T02:00:00Z',
    holder: { pid: 8, began: '20261128020000000000' },
  }
  await expect(freezeDatabase(client, place, by)).rejects.toThrow(message)
  expect(asked.join()).not.toMatch(/ALTER|CREATE|COMMENT ON/)
})

test.each([
  ['off', true],
  ['false', true],
  ['F', true],
  ['no', true],
  ['0', true],
  ['of', true],
  ['on', false],
  ['yes', false],
  ['1', false],
  ['nonsense', false],
])('%s lets a session write: %s', (value, lets) => {
  expect(letsWrite(value)).toBe(lets)
})

test('roles with a setting of their own that lets them write are found, that of the database first', () => {
  const settings = {
    database: null,
    inDatabase: new Map([
      ['inside', 'off'],
      ['outranked', 'on'],
    ]),
    everywhere: new Map([
      ['outranked', 'off'],
      ['everywhere', 'no'],
      ['reader', 'on'],
    ]),
  }
  expect(writingRoles(settings)).toEqual(['everywhere', 'inside'])
})

const setting = (role: string | null, value: string, name = 'default_transaction_read_only') => ({
  role,
  name,
  value,
})

test('settings are those from before the freeze, but for what was changed since', () => {
  const mark = (frozen: object, more: Partial<FreezeMark> = {}): FreezeMark => ({
    ...{ owner: 'o', ours: true, empty: true },
    state: state(frozen) as FreezeState,
    ...more,
  })
  const now = [setting(null, 'on'), setting('app', 'on'), setting('reader', 'on')]
  const others = [setting(null, 'on', 'work_mem'), setting('app', 'x', 'search_path')]
  expect(settingsBefore([...now, ...others], mark({}))).toEqual([
    setting('app', 'off'),
    setting('reader', 'on'),
    ...others,
  ])
  expect(settingsBefore(now, mark({ setting: 'false', roles: [] }))).toEqual([
    setting(null, 'false'),
    ...now.slice(1),
  ])
  expect(settingsBefore([setting(null, 'off')], mark({ setting: null }))).toEqual([
    setting(null, 'off'),
  ])
  expect(settingsBefore(now, null)).toEqual(now)
  expect(settingsBefore(now, mark({}, { state: null }))).toEqual(now)
  expect(withoutMark(mark({}))).toEqual(['--exclude-schema="migrate-to-polardb-freeze"'])
  // nothing of somebody else's is left out
  expect(withoutMark(mark({}, { empty: false }))).toEqual([])
  expect(withoutMark(mark({}, { state: null }))).toEqual([])
})

const reading = (change: Partial<Writes> = {}): Writes => ({
  ...{ oldest: 100n, next: 100n, inserted: 5, updated: 5, deleted: 5 },
  ...{ largeObjects: 1, definitions: 50, sequences: null, at: 0 },
  ...change,
})

test('a write is what takes a number and is counted', () => {
  const moved = { oldest: 101n, next: 101n }
  expect(written(reading(), reading(), true).writes).toBe(false)
  // counted late: nobody has taken a number in between
  expect(written(reading(), reading({ inserted: 9 }), true).writes).toBe(false)
  expect(written(reading(), reading(moved), true).writes).toBe('unknown')
  expect(written(reading(), reading(moved), true, 1).writes).toBe(false)
  expect(written(reading(), reading({ ...moved, inserted: 6, deleted: 8 }), false)).toEqual({
    writes: true,
    what: '1 row inserted, 3 rows deleted',
  })
  // one that was running then may have written since
  expect(
    written(reading({ oldest: 99n }), reading({ oldest: 99n, updated: 6 }), false).writes,
  ).toBe(true)
  const defined = reading({ ...moved, definitions: 53 })
  expect(written(reading(), defined, true).writes).toBe(true)
  expect(written(reading(), defined, false).writes).toBe('unknown')
  expect(() => written(reading(), reading({ ...moved, inserted: 0 }), true)).toThrow(/count anew/)
  // a table that is dropped takes its counts with it, a server that counts anew begins with everything
  const dropped = { ...moved, inserted: 0, updated: 9, definitions: 53 }
  expect(written(reading(), reading(dropped), false)).toEqual({
    writes: true,
    what: '4 rows updated, tables dropped',
  })
  // a sequence takes a number now and then only, and is counted nowhere
  const at = (last: string) => ({
    sequences: new Map([
      ['public.s', last],
      [last, ''],
    ]),
  })
  expect(written(reading(at('1')), reading(at('1')), true).writes).toBe(false)
  const onward = { writes: true, what: '1 sequence moved (public.s)' }
  expect(written(reading(at('1')), reading(at('2')), true)).toEqual(onward)
  expect(written(reading(at('')), reading({ ...moved, ...at('1') }), false)).toEqual(onward)
  expect(written(reading(at('1')), reading(moved), true).writes).toBe('unknown')
  expect(written(reading(at('1')), reading({ ...moved, ...at('2'), inserted: 6 }), true)).toEqual({
    writes: true,
    what: '1 row inserted, 1 sequence moved (public.s)',
  })
  for (const anew of [{ definitions: 3 }, { largeObjects: 0 }]) {
    expect(() => written(reading(), reading({ ...dropped, ...anew }), false)).toThrow(/count anew/)
  }
})

test('every face of the report says whether the source is frozen, and what to do', () => {
  const freeze: FreezeResult = {
    frozen: true,
    since: '2026-11-28T01:02:03Z',
    databases: ['shop'],
    ended: 3,
    spared: ['nightly <job>'],
    written: false,
    next: 'The source stays frozen: that is the cutover. Or command: unfreeze',
  }
  const report = { ...goodReport(), freeze }
  expect(renderMarkdown(report)).toMatch(
    /\[!IMPORTANT\]\n> \*\*The source is frozen since .*cutover.*unfreeze.*No write was seen/,
  )
  const html = renderHtml(report)
  expect(html).toMatch(/The source is frozen since 2026-11-28 01:02 UTC/)
  expect(html).toMatch(/3 sessions ended.*nightly &lt;job&gt;/)
  expect(JSON.parse(renderJson(report)).freeze).toEqual(freeze)
  const thawed = { ...report, freeze: { ...freeze, frozen: false, next: 'It takes writes again' } }
  expect(renderMarkdown(thawed)).toMatch(/The source is not frozen\.\*\* It takes writes again\./)
  expect(renderHtml(thawed)).toContain('The source is not frozen')
  expect(renderMarkdown(goodReport())).not.toContain('frozen')
})

test('what was undone after a failure is not the phase that failed, unless it is the only one', () => {
  const phase = (name: 'dump' | 'unfreeze') =>
    ({ name, status: 'failed', seconds: 1, startedAt: 0 }) as const
  expect(brokenPhase({ ...goodReport(), phases: [phase('dump'), phase('unfreeze')] })?.name).toBe(
    'dump',
  )
  expect(brokenPhase({ ...goodReport(), phases: [phase('unfreeze')] })?.name).toBe('unfreeze')
})
