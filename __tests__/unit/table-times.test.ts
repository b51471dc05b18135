import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  jest,
  test,
} from '@jest/globals'
import { wordsOf } from '../../src/commands/index.ts'
import { DumpTimes } from '../../src/migration/dump/table-times.ts'
import type { PlannedEntry } from '../../src/migration/restore/plan/planned-entry.ts'
import { RestoreTimes } from '../../src/migration/restore/run/times.ts'
import type { Archive } from '../../src/postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../src/postgres/archive/entry.ts'
import { newReport } from '../../src/report/model.ts'
import { ReportWriter } from '../../src/report/writer.ts'
import { archiveEntry } from '../support/archive-entry.ts'

describe('the report keeps of each step of a table', () => {
  beforeEach(() => {
    jest.useFakeTimers()
  })
  afterEach(() => {
    jest.useRealTimers()
  })
  const writer = () => {
    const record = new ReportWriter(newReport('migrate', wordsOf('migrate')))
    const began = performance.now()
    const database = record.database({ source: 'shop', target: 'shop', bytes: 0 })
    const compared = (...names: string[]) => {
      const tables = names.map((name) => ({
        ...{ schema: 'public', name, sourceRows: 1, targetRows: 1, match: true },
      }))
      database.compared({ tables, objects: [], verified: true })
      return record.report.databases[0]?.tables
    }
    return { began, record, database, compared }
  }

  test('when it began first and ended last, and how long it was worked on', () => {
    const { began, database, compared } = writer()
    const at = (from: number, to: number) => ({ from: began + from, to: began + to })
    database.ran('load', { schema: 'public', name: 'a' }, at(1000, 3500))
    database.ran('indexes', { schema: 'public', name: 'a' }, { ...at(9000, 9100), busy: 0.02 })
    database.ran('indexes', { schema: 'public', name: 'a' }, at(4000, 5000))
    database.ran('load', { schema: 'other', name: 'a' }, at(0, 1))
    expect(compared('a', 'b')).toMatchObject([
      {
        name: 'a',
        timeline: {
          load: { start: 1, end: 3.5, busy: 2.5 },
          indexes: { start: 4, end: 9.1, busy: 1.02 },
        },
      },
      { name: 'b' },
    ])
    expect(compared('b')?.[0]).not.toHaveProperty('timeline')
  })

  test('where nothing was compared, once the run is over', () => {
    const record = new ReportWriter(newReport('migrate', wordsOf('migrate')))
    const began = performance.now()
    const [bare, compared] = ['bare', 'compared'].map((source) =>
      record.database({ source, target: source, bytes: 1 }),
    )
    for (const database of [bare, compared])
      database?.ran('load', { schema: 's', name: 't' }, { from: began, to: began + 1000 })
    const table = { schema: 's', name: 't', sourceRows: 1, targetRows: 1, match: true }
    compared?.compared({ tables: [table], objects: [], verified: true })
    record.end('failed')
    const timeline = { load: { start: 0, end: 1, busy: 1 } }
    expect(record.report.databases).toMatchObject([
      { tables: [], timedTables: [{ schema: 's', name: 't', timeline }] },
      { tables: [{ timeline }] },
    ])
    expect(record.report.databases[1]).not.toHaveProperty('timedTables')
  })

  test('what really took place, whatever the clock is set to meanwhile', () => {
    const { record, database } = writer()
    const { startedAt } = record.report
    jest.advanceTimersByTime(2000)
    const over = record.phase('restore', 'shop')
    const from = performance.now()
    jest.setSystemTime(Date.now() - 3_600_000)
    jest.advanceTimersByTime(5000)
    database.ran('load', { schema: 's', name: 't' }, { from, to: performance.now() })
    over(true)
    record.skippedPhase('verify')
    record.end('succeeded')
    expect(record.report).toMatchObject({
      startedAt,
      phases: [
        { name: 'restore', startedAt: 2, seconds: 5 },
        { name: 'verify', startedAt: 7 },
      ],
      databases: [{ timedTables: [{ timeline: { load: { start: 2, end: 7, busy: 5 } } }] }],
    })
  })

  test('whoever asks for the record of the database', () => {
    const record = new ReportWriter(newReport('migrate', wordsOf('migrate')))
    const name = { source: 'shop', target: 'shop', bytes: 1 }
    expect(record.database(name)).toBe(record.database(name))
    expect(record.report.databases).toHaveLength(1)
  })

  test('of so many tables that a hundred thousand cost no more', () => {
    const { began, database, compared } = writer()
    const names = Array.from({ length: 20_100 }, (_, index) => `t${index}`)
    for (const name of names)
      database.ran('check', { schema: 'public', name }, { from: began, to: began })
    const timed = compared(...names)?.filter(({ timeline }) => timeline)
    expect(timed).toHaveLength(20_000)
  })
})

describe('what pg_restore and the statements of a restore did is noted', () => {
  const archive = { entries: [] as ArchiveEntry[] } as Archive
  const planned = (changes: Partial<ArchiveEntry>) => {
    const entry = archiveEntry({ dumpId: archive.entries.length + 1, ...changes })
    archive.entries.push(entry)
    return { archive, entry } as PlannedEntry
  }
  const orders = planned({ tag: 'orders' })
  const items = planned({ tag: 'items' })
  const ids = [orders.entry.dumpId, items.entry.dumpId]

  test('by table: an index by what it needs, a foreign key by the table that it names first', () => {
    const noted: unknown[] = []
    const times = new RestoreTimes((...note) => void noted.push(note))
    times.statements(
      [
        planned({ desc: 'INDEX', tag: 'by_note', dependencies: ids.slice(0, 1) }),
        planned({ desc: 'FK CONSTRAINT', tag: 'items items_fkey', dependencies: ids }),
        planned({ desc: 'TRIGGER', tag: 'orders stamp', dependencies: ids }),
        planned({ desc: 'MATERIALIZED VIEW DATA', tag: 'totals', dependencies: [] }),
      ],
      1000,
      3000,
    )
    const time = { from: 1000, to: 3000, busy: 0.5 }
    expect(noted).toEqual([
      ['indexes', { schema: 'public', name: 'orders' }, time],
      ['indexes', { schema: 'public', name: 'items' }, time],
      ['load', { schema: 'public', name: 'totals' }, time],
    ])
  })

  test('a load only once it is done', () => {
    const noted: unknown[] = []
    const times = new RestoreTimes((step, { name }) => void noted.push(`${step} ${name}`))
    const [a, b] = ['a', 'b'].map((tag) => planned({ desc: 'TABLE DATA', tag }))
    const broken = times.load()
    broken.at(a ?? null)
    broken.at(b ?? null)
    broken.end(false)
    expect(noted).toEqual(['load a'])
    const whole = times.load()
    whole.at(b ?? null)
    whole.end(true)
    expect(noted).toEqual(['load a', 'load b'])
  })
})

describe('what pg_dump says is read', () => {
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'table-times-'))
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))

  test('as nothing where it says nothing, without an archive', async () => {
    const times = new DumpTimes()
    times.read('pg_dump: reading extensions', 1)
    expect(await times.of(join(directory, 'none'), 2)).toEqual([])
  })

  test('and an archive that cannot be read is refused, which whoever asks has to bear', async () => {
    const times = new DumpTimes()
    times.read('pg_dump: dumping contents of table "public.a"', 1)
    await writeFile(join(directory, 'toc.dat'), 'PGDMP?')
    await expect(times.of(directory, 2)).rejects.toThrow()
  })
})
