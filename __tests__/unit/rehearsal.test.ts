import { expect, test } from '@jest/globals'
import { commands } from '../../src/commands/index.ts'
import { parseInputs } from '../../src/migration/inputs.ts'
import { parseMark } from '../../src/migration/rehearsal/mark.ts'
import {
  isRehearsalName,
  lockNumber,
  markLimit,
  markPattern,
  newRehearsalName,
  rehearsalDatabase,
} from '../../src/migration/rehearsal/names.ts'
import { newReport } from '../../src/report/model.ts'
import { outcome } from '../../src/report/verdict.ts'
import { ReportWriter } from '../../src/report/writer.ts'
import { failureThrown } from '../support/failure.ts'

const name = newRehearsalName(new Date('2026-11-29T23:05:59Z'), Buffer.from('00c0ffee', 'hex'))

test('a rehearsal is called by its minute and a random number, in what a server keeps of a name', () => {
  expect(name).toBe('rehearsal_202611292305_00c0ffee')
  expect(isRehearsalName(name)).toBe(true)
  expect(isRehearsalName(`${name}_1`)).toBe(false)
  expect(rehearsalDatabase(name, 0)).toMatch(new RegExp(markPattern))
  expect(rehearsalDatabase(name, 1)).not.toMatch(new RegExp(markPattern))
  expect(Buffer.byteLength(rehearsalDatabase(name, 10_000))).toBeLessThan(64)
  expect(lockNumber(name)).toBe(0x00c0ffee)
  expect(newRehearsalName()).not.toBe(newRehearsalName())
})

test('the limit of a mark is of its name alone, and no limit that anybody would set', () => {
  const limit = markLimit(`${name}_0`)
  expect(limit).toBe(markLimit(`${name}_0`))
  expect(limit).not.toBe(markLimit('rehearsal_202611292305_00c0ffef_0'))
  expect(limit).toBeGreaterThanOrEqual(2 ** 28)
  // CONNECTION LIMIT is an int4
  expect(limit).toBeLessThan(2 ** 31)
})

test('what a mark says is read by its form alone, and only of its own rehearsal', () => {
  const state = {
    format: 1,
    rehearsal: name,
    at: 1_780_000_000,
    databases: [
      { number: 1, oid: '16400' },
      { number: 2, oid: null },
    ],
    kept: false,
  }
  expect(parseMark(JSON.stringify(state), name)).toEqual(state)
  expect(parseMark(JSON.stringify(state), newRehearsalName())).toBeUndefined()
  for (const wrong of [
    '',
    'null',
    '[]',
    JSON.stringify({ ...state, more: 1 }),
    JSON.stringify({ ...state, format: 2 }),
    JSON.stringify({ ...state, rehearsal: 'shop' }),
    JSON.stringify({ ...state, at: -1 }),
    JSON.stringify({ ...state, kept: 'yes' }),
    JSON.stringify({ ...state, databases: ['shop'] }),
    JSON.stringify({ ...state, databases: [{ number: 1, oid: '1; DROP' }] }),
    JSON.stringify({ ...state, databases: [{ number: 1, oid: '1', name: 'shop' }] }),
  ])
    expect(parseMark(wrong, name)).toBeUndefined()
})

const wanted = (more: Record<string, string> = {}) => {
  const all: Record<string, string> = {
    command: 'rehearse',
    source: 'postgresql://a@b/shop',
    target: 'postgresql://a@c/postgres',
    ...more,
  }
  return () => parseInputs((input) => all[input] ?? '', commands)
}

test('a rehearsal uploads no dump unless it is asked to, and keeps it for a day then', () => {
  expect(wanted()()).toMatchObject({
    uploadDump: false,
    retentionDays: 1,
    keepRehearsal: false,
    rehearsalAge: 7 * 24 * 3600,
  })
  expect(wanted({ 'upload-dump': 'true', passphrase: 'p', 'retention-days': '3' })()).toMatchObject(
    { uploadDump: true, retentionDays: 3 },
  )
  expect(wanted({ 'rehearsal-age': '90m' })().rehearsalAge).toBe(5400)
  expect(wanted({ 'rehearsal-age': '30s' })().rehearsalAge).toBe(30)
})

test('inputs that contradict what a rehearsal is are mistakes, all in one message', () => {
  const { why } = failureThrown(
    wanted({
      'upload-dump': 'true',
      'freeze-source': 'true',
      'if-target-not-empty': 'replace',
      'create-database': 'false',
      'keep-dump': 'true',
      'rehearsal-age': '7 days',
    }),
  )
  for (const input of [
    'passphrase: it is not set',
    'freeze-source: true',
    'if-target-not-empty: replace',
    'create-database: false',
    'keep-dump: true',
    'rehearsal-age: "7 days"',
  ])
    expect(why).toContain(input)
})

test('with another command keep-rehearsal is a mistake', () => {
  const { why } = failureThrown(wanted({ command: 'migrate', 'keep-rehearsal': 'true' }))
  expect(why).toContain('keep-rehearsal: "true"; allowed: with command rehearse')
  expect(wanted({ command: 'migrate', 'keep-rehearsal': 'false' })().keepRehearsal).toBe(false)
})

test('one that is not run is neither verified nor failed', () => {
  const words = commands.find((command) => command.name === 'rehearse')?.words
  if (!words) throw new Error('there is no rehearse')
  const record = new ReportWriter(newReport('rehearse', words))
  record.rehearsal({ name, outcome: 'not run', note: 'a migration is under way.' })
  record.end('succeeded')
  expect(outcome(record.report)).toEqual({
    mark: 'doubtful',
    title: 'Rehearsal not run',
    sentence: 'Rehearsal not run: a migration is under way.',
  })
})
