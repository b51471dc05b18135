import { expect, test } from '@jest/globals'
import type { RestorePlan } from '../../src/migration/restore/plan/plan.ts'
import type { PlannedEntry } from '../../src/migration/restore/plan/planned-entry.ts'
import { sqlOf } from '../../src/migration/restore/run/statements.ts'
import type { Archive } from '../../src/postgres/archive/archive.ts'
import { entryName } from '../../src/postgres/archive/entry.ts'
import { archiveEntry } from '../support/archive-entry.ts'

const archive = { searchPath: '', standardStrings: true } as Archive

function planned(desc: string, definition: string): PlannedEntry {
  const entry = archiveEntry({ desc, definition, section: 'post-data' })
  return { archive, entry, name: entryName(entry), decision: { kind: 'restore' } }
}

/** @param settings that the target knows */
function planOf(major: number, ...settings: string[]): RestorePlan {
  const known = new Map(settings.map((name) => [name, 'user']))
  return {
    usesPlaces: false,
    facts: { target: { major }, settings: known },
  } as unknown as RestorePlan
}

const setting = 'max_parallel_maintenance_workers'
const index = planned('INDEX', 'CREATE INDEX i ON public.t USING btree (a);')
const key = planned(
  'FK CONSTRAINT',
  'ALTER TABLE public.t ADD FOREIGN KEY (a) REFERENCES public.u;',
)

test('an index that is to take no process beside its session says so to a server that knows how', () => {
  const plan = planOf(15, setting)
  expect(sqlOf(index, plan, { alone: true })).toBe(
    `SET LOCAL ${setting} = 0; CREATE INDEX i ON public.t USING btree (a);`,
  )
  const instead = 'CREATE UNIQUE INDEX i ON public.t (a);'
  expect(sqlOf(index, plan, { instead, alone: true })).toBe(`SET LOCAL ${setting} = 0; ${instead}`)
  expect(sqlOf(index, plan)).toBe('CREATE INDEX i ON public.t USING btree (a);')
  expect(sqlOf(index, planOf(10), { alone: true })).not.toContain(setting)
  expect(sqlOf(key, plan, { alone: true })).not.toContain(setting)
})

test('a GIN index of one process has little memory, and so does one that is to take none beside it', () => {
  const gin = planned('INDEX', 'CREATE INDEX i ON public.t USING gin (a);')
  expect(sqlOf(gin, planOf(15, setting), { alone: true })).toBe(
    `SET LOCAL maintenance_work_mem = '16MB'; SET LOCAL ${setting} = 0; CREATE INDEX i ON public.t USING gin (a);`,
  )
})
