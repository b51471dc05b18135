import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { documentedChecks } from '../../scripts/list-checks.ts'
import { Failure } from '../../src/failure.ts'
import { allChecks, firstChecks, lastChecks } from '../../src/migration/checks/all.ts'
import type { Check } from '../../src/migration/checks/check.ts'
import { judge } from '../../src/migration/checks/judge.ts'
import { Known } from '../../src/migration/checks/known.ts'
import { notReady, refuseBlockers } from '../../src/migration/checks/note.ts'
import { pastedName, statementsFor } from '../../src/migration/checks/paste.ts'
import { NotAsked } from '../../src/migration/checks/question.ts'
import { parseInputs } from '../../src/migration/inputs.ts'
import { newContext } from '../support/context.ts'

describe('the list of checks', () => {
  test('is what docs/checks.md says (node scripts/list-checks.ts writes it)', () => {
    const written = readFileSync(join(import.meta.dirname, '../../docs/checks.md'), 'utf8')
    expect(written).toBe(documentedChecks())
  })

  test('has each name once, of a check, of a question and of a probe', () => {
    const twice = (ids: string[]) => ids.filter((id, index) => ids.indexOf(id) < index)
    expect(twice([...firstChecks, ...allChecks, ...lastChecks].map(({ id }) => id))).toEqual([])
    for (const side of ['source', 'target'] as const) {
      const asked = new Set(allChecks.flatMap(({ questions }) => questions?.[side] ?? []))
      expect(twice([...asked].map(({ id }) => id))).toEqual([])
    }
    const probes = new Set(allChecks.flatMap(({ probes = [] }) => probes))
    expect(twice([...probes].map(({ id }) => id))).toEqual([])
  })

  test('is written in the words that the report uses', () => {
    for (const { id, why } of [...firstChecks, ...allChecks, ...lastChecks]) {
      expect(id).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/)
      expect(why).toMatch(/^\S.{10,200}[^.\s]$/)
    }
  })
})

const inputs = parseInputs(() => '', [{ name: 'preflight', needs: [], dump: 'none' }])
const runner = {
  ...{ dumpDirectory: '/', free: 1, processors: 1, canUpload: false, environment: {} },
}

function judged(...checks: Partial<Check>[]) {
  const context = newContext('migrate')
  const list = checks.map(
    (check, index): Check => ({
      ...{ id: `check-${index}`, severity: 'blocker', why: 'it does', needs: [] },
      judge: () => ({ status: 'passed', message: 'fine' }),
      ...check,
    }),
  )
  judge(new Known({ inputs, runner }, []), list, ['source'], context)
  return context
}

const fails = (message: string, remedy: string): Partial<Check> => ({
  judge: () => ({ status: 'failed', message, remedy, objects: ['a', 'b'] }),
})
const throws = (error: unknown): Partial<Check> => ({
  judge: () => {
    throw error
  },
})

describe('judging', () => {
  test('goes on past whatever a check throws, and keeps it as its own result', () => {
    const { report } = judged(
      throws(new NotAsked('the server says no')),
      throws(new TypeError('a defect')),
      throws(new Failure('This', 'That', 'Do so')),
      fails('Broken', 'Mend it'),
      { needs: ['source'] },
      { needs: ['target'] },
      {},
    )
    expect(
      report.checks.map(({ id, status, message, remedy }) => [id, status, message, remedy]),
    ).toEqual([
      ['check-0', 'skipped', 'the server says no', ''],
      ['check-1', 'skipped', 'a defect', ''],
      ['check-2', 'failed', 'This: That', 'Do so'],
      ['check-3', 'failed', 'Broken', 'Mend it'],
      // given, and not reached; the one that needs a target has none to speak of
      ['check-4', 'skipped', 'the source was not reached', ''],
      ['check-6', 'passed', 'fine', ''],
    ])
  })

  test('what is to be done at the cutover goes into the checklist, with whom it concerns', () => {
    const judge = () => ({
      ...{ status: 'failed' as const, message: 'two', objects: ['a', 'b'], remedy: '' },
      atCutover: 'Tell them',
    })
    expect(judged({ judge }, fails('Broken', 'Mend it'), {}).report.checklist).toEqual([
      { what: 'Tell them', side: null, database: null, lines: [], objects: ['a', 'b'] },
    ])
  })

  test('a run is stopped by all blockers at once, and by a single one in its own words', () => {
    const refusal = (...checks: Partial<Check>[]) => {
      try {
        refuseBlockers(judged(...checks))
        return undefined
      } catch (error) {
        return (error as Failure).line
      }
    }
    expect(refusal({}, { ...fails('Broken', 'Mend it'), severity: 'warning' })).toBeUndefined()
    expect(refusal(throws(new NotAsked('nobody knows')))).toBeUndefined()
    expect(refusal(throws(new Failure('This', 'That', 'Do so')), {})).toBe('This. That. Do so.')
    expect(refusal(fails('Broken', 'Mend it'))).toBe(
      'Migration cannot begin: 1 blocker. Broken: a, b. Nothing was touched. Mend it.',
    )
    expect(refusal(fails('Broken', 'Mend it'), throws(new Failure('This', 'That', 'Do so')))).toBe(
      'Migration cannot begin: 2 blockers. check-0, check-1. Nothing was touched. Mend each of them: the report says what was found and what to do.',
    )
  })

  test('a preflight tells of the one blocker that was found, whatever could not be asked beside it', () => {
    const unknown = throws(new NotAsked('nobody knows'))
    const line = (...checks: Partial<Check>[]) => notReady(judged(...checks).report).line
    expect(line(fails('Broken', 'Mend it'), unknown, unknown)).toBe(
      'Not ready to migrate: 1 blocker and 2 blockers that could not be asked. Broken: a, b. Nothing was touched. Mend it.',
    )
    expect(line(unknown, unknown)).toMatch(/could not be asked\. check-0, check-1\. /)
  })
})

test('names in SQL to paste are one harmless line, and the same names', () => {
  expect(pastedName('public', 'a "b"')).toBe('"public"."a ""b"""')
  expect(pastedName('a\n\\b\u202e')).toBe('U&"a\\+00000a\\\\b\\+00202e"')
})

test('SQL to paste says in which database, where there are several', () => {
  const row = (database: string, name: string) => ({ database, name })
  const statement = ({ name }: { name: string }) => `DROP TABLE ${name};`
  expect(statementsFor([row('x', 'a'), row('x', 'a'), row('x', 'b')], statement)).toBe(
    'DROP TABLE a;\nDROP TABLE b;',
  )
  expect(statementsFor([row('x\n', 'a'), row('y', 'a')], statement)).toBe(
    '-- in the database x\\n\nDROP TABLE a;\n-- in the database y\nDROP TABLE a;',
  )
})
