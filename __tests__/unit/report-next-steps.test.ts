import { expect, test } from '@jest/globals'
import { wordsOf } from '../../src/commands/index.ts'
import type { Report } from '../../src/report/model.ts'
import { nextSteps, titleOfSteps } from '../../src/report/next-steps.ts'
import { goodReport } from '../support/sample-reports.ts'

const item = { what: 'Enable it', side: 'target', database: 'shop', lines: ['ALTER …'] } as const

/** The steps of a good run, by how they begin. */
function steps(changes: Partial<Report> & { command?: string } = {}): string[] {
  const { command = 'migrate' } = changes
  const report = { ...goodReport(), checklist: [item], words: wordsOf(command), ...changes }
  report.databases = report.databases.slice(0, 1)
  return nextSteps(report).map(({ what }) => what.split(/[:;,]/)[0] ?? '')
}

const frozen = {
  ...{ frozen: true, since: null, databases: ['shop'], ended: 0, spared: [] },
  ...{ written: false, next: 'It stays' },
}

test('after a frozen migration the source stays frozen, and unfreeze is the way back', () => {
  expect(steps({ freeze: frozen })).toEqual([
    'Leave the source frozen',
    'Change the connection strings of the applications to the primary endpoint of the target',
    'Enable it',
    'To go back',
    'Release the ECS instance that ran the job',
  ])
  const [back] = nextSteps({ ...goodReport(), freeze: frozen }).slice(-2)
  expect(back?.what).toMatch(/command: unfreeze gives the source its writes back/)
})

test.each<[string, Partial<Report>, RegExp]>([
  ['still, and not frozen', { sourceStill: true }, /^Nothing was written to the source while/],
  ['written to', { sourceStill: false }, /^Make sure that nothing was written to the source/],
  ['of unknown state', { sourceStill: 'unknown' }, /^Make sure that nothing was written/],
  ['far away from a restore', { command: 'restore' }, /^Make sure that nothing was written/],
])(
  'of a source that is %s the first thing to know is whether it was written to',
  (_, changes, first) => {
    expect(steps(changes)[0]).toMatch(first)
  },
)

test('an unproven target is not switched over to', () => {
  expect(steps({ verified: false })[0]).toMatch(/^Do not switch over before the target is proven/)
})

test.each([
  ['preflight', ['Enable it', 'Try the whole migration with command']],
  ['rehearse', ['Announce the outage window', 'Enable it']],
  ['verify', ['Enable it']],
  ['unfreeze', ['Enable it']],
])('after %s comes what follows it', (command, expected) => {
  expect(steps({ command })).toEqual(expected)
})

test('names that change are said', () => {
  const text = nextSteps(goodReport()).map(({ what }) => what)
  expect(text.join()).toContain('"audit" is called "audit_2026" there')
})

test('after a run that did not succeed there is the checklist alone, under another name', () => {
  expect(steps({ status: 'failed' })).toEqual(['Enable it'])
  expect(titleOfSteps({ ...goodReport(), status: 'failed' })).toBe('At the cutover')
  expect(titleOfSteps(goodReport())).toBe('What to do next')
})
