import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { halvesOf } from '../../src/migration/halves.ts'
import { Pace } from '../../src/migration/pace.ts'
import { nameOfWork, progressLine, sideBySide } from '../../src/migration/progress-line.ts'
import { Costs } from '../../src/migration/restore/run/costs.ts'
import { builtFraction } from '../../src/migration/restore/run/server-progress.ts'
import type { Task } from '../../src/migration/restore/run/task.ts'
import { leftByProgress, secondsLeft } from '../../src/migration/restore/run/time-left.ts'
import { aboutLeft } from '../../src/text/numbers.ts'
import { printable } from '../../src/text/text.ts'
import { archiveEntry } from '../support/archive-entry.ts'

const MB = 1024 * 1024

function task(desc: string, weight: number, needs: Task[] = [], definition = ''): Task {
  const entry = archiveEntry({ dumpId: 1, desc, definition, hasData: desc === 'TABLE DATA' })
  const made = {
    ...{ kind: desc === 'TABLE DATA' ? 'load' : 'statement', weight, needs: new Set(needs) },
    ...{ items: [{ entry, name: desc }], neededBy: [], load: null, chain: 0 },
    ...{ exclusive: [], sharing: [], putOffAt: null },
  } as unknown as Task
  for (const needed of needs) needed.neededBy.push(made)
  return made
}

/** Costs that have seen loads of 10 MB/s. */
function costsOfLoads(): Costs {
  const costs = new Costs()
  costs.learn(task('TABLE DATA', 10 * MB), 1)
  return costs
}

const begun = (one: Task, seconds: number, fraction?: number) => ({
  ...{ items: one.items, seconds, fraction },
})

describe('the time that a restore still takes', () => {
  test('is what is left, shared out over the workers', () => {
    const tasks = [task('TABLE DATA', 100 * MB), task('TABLE DATA', 100 * MB)]
    expect(secondsLeft(tasks, [], costsOfLoads(), 1)).toBeCloseTo(20)
    expect(secondsLeft(tasks, [], costsOfLoads(), 2)).toBeCloseTo(10)
  })

  test('is no less than the longest chain', () => {
    const load = task('TABLE DATA', 100 * MB)
    const gin = task('INDEX', 100 * MB, [load], 'CREATE INDEX i ON t USING gin (a)')
    // 10 s for the rows, three times that for the index, and nobody can help
    expect(secondsLeft([gin, load], [], costsOfLoads(), 8)).toBeCloseTo(40)
  })

  test('follows an index that the server says is 41 % built', () => {
    const index = task('INDEX', 100 * MB, [], 'CREATE INDEX i ON t USING btree (a)')
    expect(secondsLeft([index], [begun(index, 41, 0.41)], costsOfLoads(), 4)).toBeCloseTo(59)
  })

  test('of a key on a server that says nothing is what such keys took before', () => {
    const costs = costsOfLoads()
    costs.learn(task('FK CONSTRAINT', 10 * MB), 2)
    const key = task('FK CONSTRAINT', 100 * MB)
    expect(secondsLeft([key], [begun(key, 5)], costs, 4)).toBeCloseTo(15)
    // one that takes longer than expected is never said to be over
    expect(secondsLeft([key], [begun(key, 60)], costs, 4)).toBeCloseTo(6)
  })

  test('is told from a first load while none is done, and not before', () => {
    const [load, other] = [task('TABLE DATA', 100 * MB), task('TABLE DATA', 50 * MB)]
    const tasks = [load, other, task('INDEX', 100 * MB, [load], 'x USING hash (a)')]
    expect(secondsLeft(tasks, [], new Costs(), 1)).toBeUndefined()
    expect(secondsLeft(tasks, [begun(load, 5)], new Costs(), 1)).toBeUndefined()
    // 10 s for all of it: 5 left, 5 for the other, 3 for the index
    expect(secondsLeft(tasks, [begun(load, 5, 0.5)], new Costs(), 1)).toBeCloseTo(13)
  })

  test('is not told while archives are still to come', () => {
    const arrival = Object.assign(task('TABLE DATA', 0), { kind: 'arrival', items: [] })
    expect(secondsLeft([task('INDEX', 0), arrival], [], costsOfLoads(), 1)).toBeUndefined()
  })

  test('knows what many small statements take', () => {
    const costs = new Costs()
    costs.learn(task('INDEX', 0), 1, 50)
    const tasks = Array.from({ length: 100 }, () => task('INDEX', 0))
    expect(secondsLeft(tasks, [], costs, 2)).toBeCloseTo(1)
  })

  test('reads as people say it', () => {
    expect([3, 41, 59, 200, 4000].map(aboutLeft)).toEqual([
      'about 5 s left',
      'about 45 s left',
      'about 1 min left',
      'about 3 min 30 s left',
      'about 1 h 10 min left',
    ])
  })
})

describe('pieces of work that several do at once', () => {
  beforeEach(() => void jest.useFakeTimers())
  afterEach(() => void jest.useRealTimers())

  test('take by their weight what those took that are done', () => {
    const pace = new Pace<string>(100, 2)
    pace.begin('a', 10)
    pace.begin('b', 10)
    expect(pace.secondsLeft()).toBeUndefined()
    jest.advanceTimersByTime(5000)
    pace.end('a')
    // half a second for each unit: 80 are waiting, and the other one is about to end
    expect(pace.secondsLeft()).toBeCloseTo(20.25)
    pace.end('b')
    expect(pace.secondsLeft()).toBeCloseTo(20)
    pace.begin('large', 80)
    expect(pace.secondsLeft()).toBeCloseTo(40)
    jest.advanceTimersByTime(50_000)
    expect(pace.secondsLeft()).toBeCloseTo(5)
    expect(pace.now()).toEqual([{ piece: 'large', seconds: 50 }])
  })
})

test('how much of an index is built', () => {
  expect(builtFraction('building index: scanning table', 0.5, null)).toBeCloseTo(0.325)
  expect(builtFraction('building index: sorting live tuples', 1, 0)).toBeCloseTo(0.65)
  expect(builtFraction('building index: loading tuples in tree', 1, 1)).toBe(1)
  // gin and gist read only; hash reads, and writes in a second go
  expect(builtFraction('building index', 0.4, null)).toBe(0.4)
  expect(builtFraction('building index', 1, 0.5)).toBe(0.75)
  expect(builtFraction('initializing', null, null)).toBeNull()
  expect(builtFraction('waiting for writers before build', 0.4, null)).toBeNull()
})

describe('a progress line', () => {
  const parts = ['12 of 512 entries', '', 'about 3 min left']
  const now = (name: string) => ({ name: `INDEX public.${name}`, detail: '41 %' })

  test('says what is worked on, and how many others are', () => {
    expect(progressLine('restore shop', parts, [now('a'), now('b')])).toBe(
      'restore shop: 12 of 512 entries, about 3 min left; INDEX public.a 41 %, INDEX public.b 41 %',
    )
    expect(progressLine('restore shop', parts, [now('a'), now('b'), now('c')])).toBe(
      'restore shop: 12 of 512 entries, about 3 min left; INDEX public.a 41 % +2',
    )
  })

  test.each([
    ['long names', 'x'.repeat(200)],
    ['names that must be escaped', '\u001b[31m\n'.repeat(60)],
  ])('fits the screen with %s', (_, name) => {
    for (const count of [1, 2, 40]) {
      const line = progressLine(
        nameOfWork('restore', name),
        parts,
        Array.from({ length: count }, () => now(name)),
      )
      expect(line.length).toBeLessThanOrEqual(92)
      expect(line).toMatch(count === 1 ? /… 41 %$/ : new RegExp(`… 41 % \\+${count - 1}$`))
      expect(line).toBe(printable(line))
    }
  })
})

describe('two pieces of work at the same time', () => {
  test('share a line that fits the screen, and a short one leaves its room to the other', () => {
    const [short, long] = ['dump shop: 12 MB', `restore shop: ${'x'.repeat(200)}`]
    expect(sideBySide(short, long)).toHaveLength(92)
    expect(sideBySide(short, long).startsWith('dump shop: 12 MB | restore shop: xxx')).toBe(true)
    expect(sideBySide(long, short).endsWith('… | dump shop: 12 MB')).toBe(true)
    expect(sideBySide(long, long).length).toBeLessThanOrEqual(92)
    expect(sideBySide('', short)).toBe(short)
  })

  test('are shown together as long as both go on', () => {
    const shown: string[] = []
    const [one, other] = halvesOf({ update: (line) => void shown.push(line) })
    one.update('a')
    other.update('b')
    one.update('')
    other.update('')
    expect(shown).toEqual(['a', 'a | b', 'b'])
  })
})

test('what something still takes is told by how far it is, once enough of it is done', () => {
  expect(leftByProgress({ seconds: 10, fraction: 0.25 })).toBe(30)
  expect(leftByProgress({ seconds: 10, fraction: 0.01 })).toBeUndefined()
  expect(leftByProgress({ seconds: 0.5, fraction: 0.5 })).toBeUndefined()
  expect(leftByProgress({ seconds: 10, fraction: undefined })).toBeUndefined()
})
