import { expect, test } from '@jest/globals'
import type { RestoreOptions } from '../../src/migration/restore/options.ts'
import type { RestorePlan } from '../../src/migration/restore/plan/plan.ts'
import type { PlannedEntry } from '../../src/migration/restore/plan/planned-entry.ts'
import type { Load } from '../../src/migration/restore/run/load.ts'
import { RestoreProgress } from '../../src/migration/restore/run/progress.ts'
import { streamsOf, workerOf } from '../../src/migration/restore/run/target-session.ts'
import { archiveEntry } from '../support/archive-entry.ts'
import { newContext } from '../support/context.ts'

test('a load through several sessions is one piece of work, and says how many they are', () => {
  const entry = archiveEntry({ desc: 'TABLE DATA', hasData: true, dataBytes: 100_000_000 })
  const item = { entry, name: 'TABLE DATA public.t', decision: { kind: 'restore' } } as PlannedEntry
  const plan = { entries: [item] } as unknown as RestorePlan
  const options = { targetName: 'shop', jobs: 4 } as RestoreOptions
  const progress = new RestoreProgress(plan, options, newContext('restore'))
  const load: Load = { items: [item], bytes: 100_000_000, root: null }
  const running = progress.beginLoad(load, 'worker 1')
  running.moved(1, 1_000_000)
  expect(progress.line()).not.toContain('sessions')
  running.moved(3, 50_000_000)
  expect(progress.line()).toMatch(/TABLE DATA public\.t 48 MB of rows in 3 sessions/)
  expect(progress.line().match(/public\.t/g)).toHaveLength(1)
  running.end()
  expect(progress.line()).not.toContain('public.t')
})

test('a session says whose rows go through it', () => {
  const worker = 'migrate-to-polardb restore ab12cd34 1'
  expect(workerOf(streamsOf(worker, 8))).toBe(worker)
  expect(workerOf(worker)).toBe(worker)
  // a name that PostgreSQL does not cut off
  expect(streamsOf('migrate-to-polardb restore ab12cd34 1234', 8).length).toBeLessThan(64)
})
