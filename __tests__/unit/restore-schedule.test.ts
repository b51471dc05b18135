import { describe, expect, test } from '@jest/globals'
import type { ExpectedPart } from '../../src/migration/restore/arriving.ts'
import type { PlannedEntry } from '../../src/migration/restore/plan/planned-entry.ts'
import { withAnalyze } from '../../src/migration/restore/run/analyze-tasks.ts'
import { Costs } from '../../src/migration/restore/run/costs.ts'
import { IdleJobs } from '../../src/migration/restore/run/idle-jobs.ts'
import { makeLoads } from '../../src/migration/restore/run/load.ts'
import { makeTasks } from '../../src/migration/restore/run/make-tasks.ts'
import { Schedule } from '../../src/migration/restore/run/schedule.ts'
import { newTask, type Task } from '../../src/migration/restore/run/task.ts'
import type { Archive } from '../../src/postgres/archive/archive.ts'
import { type ArchiveEntry, entryName } from '../../src/postgres/archive/entry.ts'
import { archiveEntry } from '../support/archive-entry.ts'

const MB = 1024 * 1024

function itemsOf(entries: Partial<ArchiveEntry>[], directory = '/dump'): PlannedEntry[] {
  const archive = { directory, entries: [] as ArchiveEntry[] } as unknown as Archive
  return entries.map((given, index) => {
    const entry = archiveEntry({
      dumpId: index + 1,
      hasData: given.desc === 'TABLE DATA',
      section:
        given.desc === 'TABLE' ? 'pre-data' : given.desc === 'TABLE DATA' ? 'data' : 'post-data',
      copyStatement: given.desc === 'TABLE DATA' ? 'COPY t FROM stdin;' : null,
      ...given,
    })
    archive.entries.push(entry)
    return { archive, entry, name: entryName(entry), decision: { kind: 'restore' } }
  })
}

const never = new AbortController().signal
const namesOf = (tasks: Task[]) => tasks.map((task) => task.items.map(({ name }) => name))

/** Takes every task in turn, as one worker would, and tells the order. */
async function inOrder(items: PlannedEntry[]): Promise<string[]> {
  const schedule = new Schedule(
    makeTasks(items.filter(({ entry }) => entry.section !== 'pre-data')),
    1,
  )
  const order: string[] = []
  for (
    let tasks = await schedule.next(never);
    tasks.length > 0;
    tasks = await schedule.next(never)
  ) {
    for (const task of tasks) {
      order.push(...task.items.map(({ name }) => name))
      schedule.done(task)
    }
  }
  return order
}

describe('loads', () => {
  test('large tables go alone and first, small ones together', () => {
    const loads = makeLoads(
      itemsOf([
        { desc: 'TABLE DATA', tag: 'small', dataBytes: 10 },
        { desc: 'TABLE DATA', tag: 'huge', dataBytes: 100 * MB },
        { desc: 'TABLE DATA', tag: 'tiny', dataBytes: 1 },
        { desc: 'TABLE DATA', tag: 'large', dataBytes: 9 * MB },
      ]),
    )
    expect(loads.map(({ items }) => items.map(({ entry }) => entry.tag))).toEqual([
      ['huge'],
      ['large'],
      ['small', 'tiny'],
    ])
  })

  test('partitions that are loaded through their root are one load', () => {
    const through = { desc: 'TABLE DATA', definition: '-- load via partition root public.p' }
    const [load, ...rest] = makeLoads(
      itemsOf([
        { ...through, tag: 'p1', dataBytes: 50 * MB },
        { ...through, tag: 'p2', dataBytes: 20 * MB },
      ]),
    )
    expect(load).toMatchObject({ root: 'public.p', bytes: 70 * MB })
    expect(rest).toEqual([])
  })

  test('rows that must come after other rows go alone', () => {
    const loads = makeLoads(
      itemsOf([
        { desc: 'TABLE DATA', tag: 'a' },
        { desc: 'TABLE DATA', tag: 'b', dependencies: [1] },
        { desc: 'TABLE DATA', tag: 'c' },
      ]),
    )
    expect(loads.map(({ items }) => items.map(({ entry }) => entry.tag))).toEqual([
      ['a', 'c'],
      ['b'],
    ])
  })
})

describe('the order', () => {
  test('is rows before what needs them, keys before references to them', async () => {
    const order = await inOrder(
      itemsOf([
        { desc: 'TABLE', tag: 'a' },
        { desc: 'TABLE', tag: 'b' },
        { desc: 'FK CONSTRAINT', tag: 'b fk', dependencies: [1, 2, 4] },
        { desc: 'CONSTRAINT', tag: 'a pk', dependencies: [1] },
        { desc: 'TABLE DATA', tag: 'a', dependencies: [1] },
        { desc: 'TABLE DATA', tag: 'b', dependencies: [2], dataBytes: 20 * MB },
        { desc: 'TRIGGER', tag: 'b tr', dependencies: [2] },
      ]),
    )
    const at = (name: string) => order.indexOf(name)
    expect(order[0]).toBe('TABLE DATA public.b')
    expect(at('CONSTRAINT public.a pk')).toBeGreaterThan(at('TABLE DATA public.a'))
    expect(at('FK CONSTRAINT public.b fk')).toBeGreaterThan(at('CONSTRAINT public.a pk'))
    expect(order).toHaveLength(5)
  })

  test('puts what is on a partitioned table after the rows of every partition', async () => {
    const items = itemsOf([
      { desc: 'TABLE', tag: 'p' },
      { desc: 'TABLE', tag: 'p1' },
      { desc: 'TABLE', tag: 'p11' },
      { desc: 'TABLE ATTACH', tag: 'p1', section: 'pre-data', dependencies: [1, 2] },
      { desc: 'TABLE ATTACH', tag: 'p11', section: 'pre-data', dependencies: [2, 3] },
      { desc: 'TRIGGER', tag: 'p tr', dependencies: [1] },
      { desc: 'TABLE DATA', tag: 'p11', dependencies: [3] },
    ])
    const wanted = items.filter(({ entry }) => entry.section !== 'pre-data')
    const schedule = new Schedule(makeTasks(wanted), 2)
    const [load] = await schedule.next(never)
    if (!load) throw new Error('there is no load')
    expect(namesOf([load])).toEqual([['TABLE DATA public.p11']])
    // a second worker gets nothing as long as the rows are on their way
    let handed = false
    const trigger = schedule.next(never).then((tasks) => {
      handed = true
      return tasks
    })
    await new Promise(setImmediate)
    expect(handed).toBe(false)
    schedule.done(load)
    expect(namesOf(await trigger)).toEqual([['TRIGGER public.p tr']])
  })

  test('finds the rows of a table in another archive', async () => {
    const schema = itemsOf([
      { desc: 'TABLE', tag: 'a' },
      { desc: 'INDEX', tag: 'i', dependencies: [1] },
    ])
    const rows = itemsOf([{ desc: 'TABLE DATA', tag: 'a' }], '/dump/2')
    expect(await inOrder([...schema, ...rows])).toEqual(['TABLE DATA public.a', 'INDEX public.i'])
  })
})

describe('the schedule', () => {
  const indexed = (bytes: number) =>
    itemsOf([
      { desc: 'TABLE', tag: 'a' },
      { desc: 'INDEX', tag: 'i1', dependencies: [1] },
      { desc: 'INDEX', tag: 'i2', dependencies: [1] },
      { desc: 'FK CONSTRAINT', tag: 'a fk', dependencies: [1] },
      { desc: 'TABLE DATA', tag: 'a', dependencies: [1], dataBytes: bytes },
    ]).slice(1)

  const withKey = [
    { desc: 'INDEX', tag: 'i1', dependencies: [1] },
    { desc: 'FK CONSTRAINT', tag: 'a fk', dependencies: [1] },
    { desc: 'TABLE DATA', tag: 'a', dependencies: [1], dataBytes: 50 * MB },
  ]

  test('gives a table to several indexes at once, but to a key alone', async () => {
    const schedule = new Schedule(makeTasks(indexed(50 * MB)), 4)
    const [load] = await schedule.next(never)
    if (!load) throw new Error('there is no load')
    schedule.done(load)
    const first = await schedule.next(never)
    const second = await schedule.next(never)
    expect(namesOf([...first, ...second])).toEqual([['INDEX public.i1'], ['INDEX public.i2']])
    let handed = false
    const third = schedule.next(never).then((tasks) => {
      handed = true
      return tasks
    })
    for (const task of first) schedule.done(task)
    await Promise.resolve()
    expect(handed).toBe(false)
    for (const task of second) schedule.done(task)
    expect(namesOf(await third)).toEqual([['FK CONSTRAINT public.a fk']])
  })

  test('reads tables for the verification when there is nothing else to do, and lets others go first', async () => {
    const [index, ...rest] = indexed(50 * MB)
    const items = itemsOf([{ desc: 'TABLE', tag: 'a' }])
    const [table] = items
    if (!index || !table) throw new Error('there is no table')
    const reading = newTask('digest', items)
    reading.sharing = [`${table.archive.directory}\0${table.entry.dumpId}`]
    const schedule = new Schedule([reading, ...makeTasks([index, ...rest])], 2)
    const [load] = await schedule.next(never)
    expect(load?.kind).toBe('load')
    expect(await schedule.next(never)).toEqual([reading])
    expect(schedule.isMoreUrgent(reading)).toBe(false)
    if (load) schedule.done(load)
    expect(schedule.isMoreUrgent(reading)).toBe(true)
    schedule.putBack(reading)
    const others: Task[] = []
    for (let taken = await schedule.next(never); !taken.includes(reading); ) {
      others.push(...taken)
      for (const task of taken) schedule.done(task)
      taken = await schedule.next(never)
    }
    expect(others).toHaveLength(3)
    const more = newTask('digest', items)
    schedule.add([more])
    schedule.done(reading)
    expect(await schedule.next(never)).toEqual([more])
    schedule.done(more)
    expect(await schedule.next(never)).toEqual([])
  })

  const readersOf = (key: string, count: number) =>
    Array.from({ length: count }, () =>
      Object.assign(newTask('digest', itemsOf([{ desc: 'TABLE', tag: 'a' }])), { sharing: [key] }),
    )
  const taken = async (schedule: Schedule) => {
    const [task] = await schedule.next(never)
    if (!task) throw new Error('there is no task')
    return task
  }

  test('lets a key have the table that several sessions read for the verification', async () => {
    const tasks = makeTasks(itemsOf([{ desc: 'TABLE', tag: 'a' }, ...withKey]).slice(1))
    const schedule = new Schedule([...readersOf(['/dump', 1].join('\0'), 3), ...tasks], 2)
    const load = await taken(schedule)
    const one = await taken(schedule)
    schedule.done(load)
    const index = await taken(schedule)
    expect(namesOf([index])).toEqual([['INDEX public.i1']])
    // the key waits for the index in any case
    expect(schedule.isMoreUrgent(one)).toBe(false)
    const other = await taken(schedule)
    expect(other.kind).toBe('digest')
    schedule.done(index)
    expect(schedule.isMoreUrgent(other)).toBe(true)
    schedule.putBack(other)
    let next: Task[] = []
    const waiting = schedule.next(never).then((tasks) => {
      next = tasks
    })
    await new Promise(setImmediate)
    expect(namesOf(next)).toEqual([])
    expect(schedule.isMoreUrgent(one)).toBe(true)
    schedule.putBack(one)
    await waiting
    expect(namesOf(next)).toEqual([['FK CONSTRAINT public.a fk']])
  })

  test('what was put off waits for nobody who reads for the verification', async () => {
    const [first, second] = readersOf('other', 2)
    if (!first || !second) throw new Error('there is no reader')
    const tasks = makeTasks(itemsOf([{ desc: 'TABLE DATA', tag: 'a', dataBytes: MB }]))
    const schedule = new Schedule([first, second, ...tasks], 2)
    const load = await taken(schedule)
    expect(await taken(schedule)).toBe(first)
    expect(schedule.postpone(load)).toBe(true)
    expect(await taken(schedule)).toBe(load)
    schedule.done(first)
    expect(schedule.postpone(load)).toBe(false)
  })

  test('learns nothing from what reads for the verification', () => {
    const [reading] = readersOf('any', 1)
    const [statement] = makeTasks(itemsOf([{ desc: 'INDEX', tag: 'i' }]))
    if (!reading || !statement) throw new Error('there is no task')
    const costs = new Costs()
    costs.learn(statement, 0.25)
    costs.learn(reading, 600)
    expect(costs.seconds(statement)).toBe(0.25)
  })

  test('hands out small statements together, each worker its share', async () => {
    const many = itemsOf(
      Array.from({ length: 10 }, (_, index) => ({ desc: 'INDEX', tag: `i${index}` })),
    )
    const schedule = new Schedule(makeTasks(many), 2)
    expect(await schedule.next(never)).toHaveLength(5)
  })

  const index = (name: string, method: string, table: number) => ({
    desc: 'INDEX',
    tag: name,
    definition: `CREATE INDEX ${name} ON public.t USING ${method} (a)`,
    dependencies: [table],
  })

  test('begins with the longest chain of work, not with the largest table', async () => {
    const items = itemsOf([
      { desc: 'TABLE', tag: 'large' },
      { desc: 'TABLE', tag: 'documents' },
      index('large_i', 'btree', 1),
      index('documents_i', 'gin', 2),
      { desc: 'TABLE DATA', tag: 'large', dependencies: [1], dataBytes: 60 * MB },
      { desc: 'TABLE DATA', tag: 'documents', dependencies: [2], dataBytes: 40 * MB },
    ])
    expect(await inOrder(items)).toEqual([
      'TABLE DATA public.documents',
      'INDEX public.documents_i',
      'TABLE DATA public.large',
      'INDEX public.large_i',
    ])
  })

  test('counts the rows and indexes that a foreign key waits for', async () => {
    const items = itemsOf([
      { desc: 'TABLE', tag: 'orders' },
      { desc: 'TABLE', tag: 'alone' },
      { desc: 'CONSTRAINT', tag: 'orders_pkey', dependencies: [1] },
      { desc: 'FK CONSTRAINT', tag: 'orders_fk', dependencies: [1, 3] },
      { desc: 'TABLE DATA', tag: 'orders', dependencies: [1], dataBytes: 40 * MB },
      { desc: 'TABLE DATA', tag: 'alone', dependencies: [2], dataBytes: 50 * MB },
    ])
    // 40 and two times three tenths of it are more than 50
    expect((await inOrder(items))[0]).toBe('TABLE DATA public.orders')
  })

  test('corrects the order by what was measured on the way', async () => {
    const items = itemsOf([
      ...['a', 'b', 'c', 'd'].map((tag) => ({ desc: 'TABLE', tag })),
      index('a_gin', 'gin', 1),
      index('b_brin', 'brin', 2),
      index('c_gin', 'gin', 3),
      index('d_brin', 'brin', 4),
      ...[25, 20, 10, 10].map((megabytes, at) => ({
        desc: 'TABLE DATA',
        tag: 'abcd'[at] ?? '',
        dependencies: [at + 1],
        dataBytes: megabytes * MB,
      })),
    ])
    const schedule = new Schedule(
      makeTasks(items.filter(({ entry }) => entry.section !== 'pre-data')),
      1,
    )
    // here a GIN index takes next to nothing, and a BRIN index as long as ten loads
    const seconds = (name: string) => (/brin/.test(name) ? 200 : /gin/.test(name) ? 0.1 : 20)
    const order: string[] = []
    for (let tasks = await schedule.next(never); tasks[0]; tasks = await schedule.next(never)) {
      for (const task of tasks) {
        const name = task.items[0]?.name ?? ''
        order.push(name)
        schedule.done(task, seconds(name))
      }
    }
    const at = (name: string) => order.findIndex((one) => one.endsWith(name))
    expect(order[0]).toBe('TABLE DATA public.a')
    // both were presumed otherwise, until one of each was done
    expect(at('d_brin')).toBeLessThan(at('c_gin'))
  })

  /** A parent with another index, and two tables that refer to it. */
  const keyed = (bytes: number) =>
    itemsOf([
      ...['parent', 'a', 'b'].map((tag) => ({ desc: 'TABLE', tag })),
      {
        desc: 'CONSTRAINT',
        tag: 'parent key',
        definition: 'ALTER TABLE ONLY public.parent\n    ADD CONSTRAINT key PRIMARY KEY (id);\n',
        dependencies: [1],
      },
      index('parent_i', 'gin', 1),
      {
        desc: 'CONSTRAINT',
        tag: 'parent excludes',
        definition:
          'ALTER TABLE ONLY public.parent\n    ADD CONSTRAINT excludes EXCLUDE USING gist (r WITH &&);\n',
        dependencies: [1],
      },
      ...['a', 'b'].map((tag, at) => ({
        desc: 'FK CONSTRAINT',
        tag: `${tag} fk`,
        definition: `ALTER TABLE ONLY public.${tag}\n    ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES public.parent(id);\n`,
        dependencies: [1, at + 2, 4],
      })),
      { desc: 'TABLE DATA', tag: 'parent', dependencies: [1], dataBytes: bytes },
    ]).filter(({ entry }) => entry.section !== 'pre-data')
  const stepOf = ({ items: [item], step }: Task) =>
    `${item?.entry.tag}${step ? (step.isLast ? ' second' : ' first') : ''}`

  test('lets others work beside one of the two steps of a large key', async () => {
    const schedule = new Schedule(makeTasks(keyed(50 * MB)), 8)
    /** All that can be done at the same time, until everything is. */
    const rounds: string[][] = []
    for (let tasks = await schedule.next(never); tasks.length > 0; ) {
      const round = tasks
      let waiting = schedule.next(never)
      for (;;) {
        const more = await Promise.race([
          waiting,
          new Promise<null>((resolve) => setImmediate(() => resolve(null))),
        ])
        if (!more || more.length === 0) break
        round.push(...more)
        waiting = schedule.next(never)
      }
      rounds.push(round.map(stepOf).sort())
      for (const task of round) schedule.done(task)
      tasks = await waiting
    }
    expect(rounds).toEqual([
      ['parent'],
      ['parent key first', 'parent_i'],
      ['parent excludes'],
      ['parent key second'],
      ['a fk first'],
      ['a fk second', 'b fk first'],
      ['b fk second'],
    ])
  })

  test('adds a key to a table whose rows are read for another, but changes nothing else of it', () => {
    const tasks = makeTasks(keyed(50 * MB))
    const held = (name: string) => tasks.find((task) => stepOf(task) === name)
    const free = (one: string, other: string) => {
      const [a, b] = [held(one), held(other)]
      if (!a || !b) throw new Error('there is no such task')
      const keys = new Set([...b.exclusive, ...b.sharing])
      return (
        !a.exclusive.some((key) => keys.has(key)) &&
        !a.sharing.some((key) => b.exclusive.includes(key))
      )
    }
    expect(free('a fk second', 'b fk first')).toBe(true)
    expect(free('a fk second', 'parent_i')).toBe(true)
    expect(free('a fk second', 'a fk first')).toBe(false)
    expect(free('a fk second', 'parent key second')).toBe(false)
    expect(free('a fk second', 'parent excludes')).toBe(false)
    expect(free('a fk first', 'parent_i')).toBe(false)
  })

  test('weighs both steps by the rows when these come later', async () => {
    const items = keyed(0).filter(({ entry }) => !entry.hasData)
    const expected = [
      { tables: [{ schema: 'public', name: 'parent', bytes: 300 * MB }], isRest: false },
      { tables: [], isRest: true },
    ]
    const tasks = makeTasks(items, expected)
    const weights = () => tasks.flatMap((one) => (one.step ? [one.weight / MB] : []))
    expect(weights()).toEqual([300, 300, 300, 300, 300, 300])
    const schedule = new Schedule(tasks, 2)
    const [part, rest] = expected
    if (!part || !rest) throw new Error('nothing is expected')
    schedule.arrive(rest, [])
    const rows = itemsOf([{ desc: 'TABLE DATA', tag: 'parent', dataBytes: 90 * MB }], '/dump/2')
    schedule.arrive(part, makeTasks(rows))
    expect(weights()).toEqual([90, 90, 90, 90, 90, 90])
    expect((await schedule.next(never)).map(stepOf)).toEqual(['parent'])
  })

  test('collects statistics when all that they are of is there, and as the last of what can be done', async () => {
    const all = itemsOf([
      { desc: 'TABLE', tag: 'a' },
      { desc: 'TABLE', tag: 'later' },
      { desc: 'TABLE', tag: 'parent' },
      { desc: 'TABLE', tag: 'heir', dependencies: [3] },
      index('a_i', 'btree', 1),
      { desc: 'STATISTICS', tag: 'a_s', dependencies: [1] },
      { desc: 'COMMENT', tag: 'TABLE parent', dependencies: [3] },
      ...['a', 'parent', 'heir'].map((tag) => ({ desc: 'TABLE DATA', tag, dataBytes: 9 * MB })),
    ])
    const part = {
      tables: [{ schema: 'public', name: 'later', bytes: 9 * MB }],
      isRest: false,
    }
    const items = all.filter(({ entry }) => entry.section !== 'pre-data')
    const tasks = withAnalyze(makeTasks(items, [part]), all)
    const collecting = tasks.find(
      ({ kind, items: [item] }) => kind === 'analyze' && item?.entry.tag === 'a',
    )
    expect([...(collecting?.needs ?? [])].map(stepOf).sort()).toEqual(['a', 'a_i', 'a_s'])
    const schedule = new Schedule(tasks, 1)
    const order: string[] = []
    const drain = async (count: number) => {
      while (order.length < count) {
        for (const task of await schedule.next(never)) {
          order.push(`${task.kind} ${task.items[0]?.entry.tag}`)
          schedule.done(task)
        }
      }
    }
    await drain(8)
    expect(order.slice(0, 4).sort()).toEqual([
      'load a',
      'load heir',
      'load parent',
      'statement a_i',
    ])
    expect(order.slice(4, 6).sort()).toEqual(['statement TABLE parent', 'statement a_s'])
    expect(order.slice(6).sort()).toEqual(['analyze a', 'analyze heir'])
    const rows = itemsOf([{ desc: 'TABLE DATA', tag: 'later', dataBytes: 9 * MB }], '/dump/2')
    schedule.arrive(part, makeTasks(rows))
    await drain(10)
    expect(order.slice(8)).toEqual(['load later', 'analyze later'])
    expect(await schedule.next(never)).toEqual([])
  })

  test('makes a small key at once, and a large one that nothing can be done beside', () => {
    expect(makeTasks(keyed(1000)).filter(({ step }) => step)).toEqual([])
    const alone = keyed(50 * MB).filter(({ entry }) => /^parent( key)?$/.test(entry.tag))
    expect(makeTasks(alone).filter(({ step }) => step)).toEqual([])
  })

  test('ends sooner with it: the work of a measured restore, by two workers', async () => {
    // PostgreSQL 15, 1.7 GB: megabytes and seconds of each load, and of the indexes on it
    const tables = [
      { tag: 'accounts', megabytes: 90, load: 3.2, indexes: [['btree', 2.4]] },
      {
        tag: 'events',
        megabytes: 80,
        load: 3.5,
        indexes: [
          ['gin', 14],
          ['btree', 1.5],
          ['btree', 1.5],
          ['btree', 1.5],
        ],
      },
      { tag: 'orders', megabytes: 30, load: 1.6, indexes: [['btree', 0.8]] },
    ] as const
    const took = new Map<string, number>()
    const entries: Partial<ArchiveEntry>[] = tables.map(({ tag }) => ({ desc: 'TABLE', tag }))
    for (const [at, { tag, megabytes, load, indexes }] of tables.entries()) {
      for (const [number, [method, seconds]] of indexes.entries()) {
        entries.push(index(`${tag}_${number}`, method, at + 1))
        took.set(`INDEX public.${tag}_${number}`, seconds)
      }
      entries.push({ desc: 'TABLE DATA', tag, dependencies: [at + 1], dataBytes: megabytes * MB })
      took.set(`TABLE DATA public.${tag}`, load)
    }
    const items = itemsOf(entries).filter(({ entry }) => entry.section !== 'pre-data')
    const schedule = new Schedule(makeTasks(items), 2)
    const running: { task: Task; until: number }[] = []
    const done: Task[] = []
    let now = 0
    // an answer that is waited for is kept: what it brings must not be lost
    let asked: Promise<Task[]> | undefined
    for (;;) {
      while (running.length < 2) {
        asked ??= schedule.next(never)
        const answer = await Promise.race([
          asked,
          new Promise<null>((resolve) => setImmediate(() => resolve(null))),
        ])
        if (answer === null) break
        asked = undefined
        const [task] = answer
        if (!task) break
        running.push({ task, until: now + (took.get(task.items[0]?.name ?? '') ?? 0) })
      }
      const first = running.toSorted((one, other) => one.until - other.until)[0]
      if (!first) break
      now = first.until
      running.splice(running.indexOf(first), 1)
      schedule.done(first.task)
      done.push(first.task)
    }
    expect(done).toHaveLength(9)
    // 17.5 s are the load of events and its GIN index; with the largest table first it was 18.8
    expect(now).toBeCloseTo(17.5, 5)
  })

  test('puts a load off until the others are done, and gives up when nothing has changed', async () => {
    const items = itemsOf([
      { desc: 'TABLE DATA', tag: 'a', dataBytes: 20 * MB },
      { desc: 'TABLE DATA', tag: 'b', dataBytes: 10 * MB },
    ])
    const schedule = new Schedule(makeTasks(items), 1)
    const [a] = await schedule.next(never)
    if (!a) throw new Error('there is no load')
    expect(schedule.postpone(a)).toBe(true)
    const [b] = await schedule.next(never)
    if (!b) throw new Error('there is no second load')
    expect(namesOf([b])).toEqual([['TABLE DATA public.b']])
    schedule.done(b)
    expect(await schedule.next(never)).toEqual([a])
    expect(schedule.postpone(a)).toBe(true)
    expect(await schedule.next(never)).toEqual([a])
    expect(schedule.postpone(a)).toBe(false)
  })

  test('ends when it is closed or the job is cancelled', async () => {
    const schedule = new Schedule(makeTasks(indexed(1)), 1)
    const cancelled = new AbortController()
    cancelled.abort()
    await expect(schedule.next(cancelled.signal)).rejects.toThrow()
    schedule.close()
    expect(await schedule.next(never)).toEqual([])
  })

  test('says so when entries wait for one another in a circle', async () => {
    const circle = itemsOf([
      { desc: 'INDEX', tag: 'a', dependencies: [2] },
      { desc: 'INDEX', tag: 'b', dependencies: [1] },
    ])
    await expect(new Schedule(makeTasks(circle), 1).next(never)).rejects.toThrow('in a circle')
  })
})

describe('archives that are still to come', () => {
  const part = (...names: string[]): ExpectedPart => ({
    tables: names.map((name) => ({ schema: 'public', name, bytes: 100 * MB })),
    isRest: false,
  })
  const rest: ExpectedPart = { tables: [], isRest: true }
  const schema = () =>
    itemsOf([
      { desc: 'TABLE', tag: 'a' },
      { desc: 'TABLE', tag: 'b' },
      { desc: 'TABLE', tag: 'heir of a', dependencies: [1] },
      { desc: 'TABLE', tag: 'small' },
      { desc: 'INDEX', tag: 'i_a', dependencies: [1] },
      { desc: 'INDEX', tag: 'i_small', dependencies: [4] },
      { desc: 'FK CONSTRAINT', tag: 'b fk', dependencies: [2, 4] },
      { desc: 'FUNCTION', tag: 'f()', section: 'post-data' },
    ]).filter(({ entry }) => entry.section !== 'pre-data')
  const rows = (archive: string, ...tags: string[]) =>
    makeTasks(
      itemsOf(
        tags.map((tag) => ({ desc: 'TABLE DATA', tag, dataBytes: 20 * MB })),
        archive,
      ),
    )

  /** What is handed out until everything else waits, each done at once. */
  async function upTo(schedule: Schedule): Promise<string[]> {
    const order: string[] = []
    for (;;) {
      const stop = new AbortController()
      const asked = schedule.next(stop.signal).catch(() => null)
      await new Promise(setImmediate)
      stop.abort()
      const tasks = await asked
      if (tasks === null || tasks.length === 0) return order
      for (const task of tasks) {
        order.push(...task.items.map(({ name }) => name))
        schedule.done(task)
      }
    }
  }

  test('hold up what needs their rows, those of heirs too, and nothing else', async () => {
    const parts = [part('a'), part('b'), rest] as const
    const schedule = new Schedule(makeTasks(schema(), parts), 2)
    expect(await upTo(schedule)).toEqual(['FUNCTION public.f()'])
    schedule.arrive(parts[1], rows('/dump/3', 'b'))
    expect(await upTo(schedule)).toEqual(['TABLE DATA public.b'])
    schedule.arrive(parts[0], rows('/dump/2', 'a'))
    // the heir is in the last one
    expect(await upTo(schedule)).toEqual(['TABLE DATA public.a'])
    schedule.arrive(parts[2], rows('/dump/4', 'heir of a', 'small'))
    const loads = [...(await schedule.next(never)), ...(await schedule.next(never))]
    expect(namesOf(loads).flat().toSorted()).toEqual([
      'TABLE DATA public.heir of a',
      'TABLE DATA public.small',
    ])
    expect(await upTo(schedule)).toEqual([])
    for (const load of loads) schedule.done(load)
    expect((await upTo(schedule)).toSorted()).toEqual([
      'FK CONSTRAINT public.b fk',
      'INDEX public.i_a',
      'INDEX public.i_small',
    ])
    expect(await schedule.next(never)).toEqual([])
  })

  test('do not end the work while they are on their way, with nothing to do meanwhile', async () => {
    const schedule = new Schedule(makeTasks([], [rest]), 1)
    let ended = false
    const asked = schedule.next(never).then((tasks) => {
      ended = true
      return tasks
    })
    await new Promise(setImmediate)
    expect(ended).toBe(false)
    schedule.arrive(rest, [])
    expect(await asked).toEqual([])
  })

  test('are weighed by the bytes on the source, then by their own', async () => {
    const parts = [part('a'), part('b'), rest] as const
    const tasks = makeTasks(schema(), parts)
    const weight = (tag: string) =>
      tasks.find(({ items: [item] }) => item?.entry.tag === tag)?.weight
    expect(weight('i_a')).toBe(100 * MB)
    const schedule = new Schedule(tasks, 1)
    schedule.arrive(parts[0], rows('/dump/2', 'a'))
    expect(weight('i_a')).toBe(20 * MB)
    expect(weight('b fk')).toBe(100 * MB)
  })

  test('let a load that was put off wait for the others, and try it again behind them', async () => {
    const parts = [part('a'), rest] as const
    const schedule = new Schedule(makeTasks(schema(), parts), 1)
    await upTo(schedule)
    schedule.arrive(parts[0], rows('/dump/2', 'a'))
    const [load] = await schedule.next(never)
    if (!load) throw new Error('there is no load')
    expect(schedule.postpone(load)).toBe(true)
    expect(await upTo(schedule)).toEqual([])
    schedule.arrive(parts[1], rows('/dump/3', 'b', 'small', 'heir of a'))
    expect((await upTo(schedule)).indexOf('TABLE DATA public.a')).toBeGreaterThan(2)
  })

  test('free what waits for rows that never come: left out, or excluded by the user', async () => {
    const parts = [part('a'), part('b'), rest] as const
    const schedule = new Schedule(makeTasks(schema(), parts), 1)
    for (const one of parts) schedule.arrive(one, [])
    expect((await upTo(schedule)).toSorted()).toEqual([
      'FK CONSTRAINT public.b fk',
      'FUNCTION public.f()',
      'INDEX public.i_a',
      'INDEX public.i_small',
    ])
  })

  test('are refused a second time, unexpected, and with rows that another one was to bring', () => {
    const parts = [part('a'), part('b'), rest] as const
    const schedule = new Schedule(makeTasks(schema(), parts), 1)
    schedule.arrive(parts[0], [])
    expect(() => schedule.arrive(parts[0], [])).toThrow('not expected, or a second time')
    expect(() => schedule.arrive(part('c'), [])).toThrow('not expected')
    expect(() => schedule.arrive(parts[1], rows('/dump/3', 'small'))).toThrow('another archive')
    expect(() => schedule.arrive(rest, rows('/dump/4', 'b'))).toThrow('another archive')
  })

  test('end with the rest when the schedule is closed', async () => {
    const schedule = new Schedule(makeTasks(schema(), [part('a'), rest]), 1)
    await upTo(schedule)
    const asked = schedule.next(never)
    schedule.close()
    expect(await asked).toEqual([])
  })

  test('say so when what they bring waits in a circle', async () => {
    const schedule = new Schedule(makeTasks([], [rest]), 1)
    const circle = itemsOf([
      { desc: 'INDEX', tag: 'a', dependencies: [2] },
      { desc: 'INDEX', tag: 'b', dependencies: [1] },
    ])
    schedule.arrive(rest, makeTasks(circle))
    await expect(schedule.next(never)).rejects.toThrow('in a circle')
  })
})

test('whatever is set free at once is handed out in the order of the work that hangs on it', async () => {
  // a load of many tables sets all their indexes free, others are ready before
  const tables = Array.from({ length: 60 }, (_, at) => ({
    id: at + 1,
    bytes: ((at * 37) % 60) * MB,
  }))
  const items = itemsOf([
    ...tables.map(({ id }) => ({ desc: 'TABLE', dumpId: id, tag: `t${id}` })),
    ...tables.map(({ id, bytes }) => ({
      ...{ desc: 'TABLE DATA', dumpId: 100 + id, tag: `t${id}`, dataBytes: bytes },
      ...{ definition: '-- load via partition root public.p', dependencies: [id] },
    })),
    ...tables.map(({ id }) => ({
      ...{ desc: 'INDEX', dumpId: 200 + id, tag: `i${id}`, dependencies: [id] },
      definition: `CREATE INDEX i${id} ON public.t${id} USING btree (a);`,
    })),
  ])
  const order = await inOrder(items)
  const indexes = order.filter((name) => name.startsWith('INDEX'))
  const bytesOf = (name: string) => tables.find(({ id }) => name === `INDEX public.i${id}`)?.bytes
  expect(indexes.map(bytesOf)).toEqual(tables.map(({ bytes }) => bytes).sort((a, b) => b - a))
})

describe('what the end waits for', () => {
  /** A table of 1000 MB with a GIN index, and others, each with an index. */
  const items = (...others: number[]) =>
    itemsOf([
      { desc: 'TABLE', tag: 'big' },
      ...others.map((_, at) => ({ desc: 'TABLE', tag: `t${at}` })),
      { desc: 'TABLE DATA', tag: 'big', dependencies: [1], dataBytes: 1000 * MB },
      ...others.map((bytes, at) => ({
        ...{ desc: 'TABLE DATA', tag: `t${at}`, dependencies: [at + 2] },
        dataBytes: bytes * MB,
      })),
      ...['big', ...others.map((_, at) => `t${at}`)].map((tag, at) => ({
        ...{ desc: 'INDEX', tag: `i_${tag}`, dependencies: [at + 1] },
        definition: `CREATE INDEX i ON ${tag} USING ${at === 0 ? 'gin' : 'btree'} (a)`,
      })),
    ]).filter(({ entry }) => entry.section !== 'pre-data')

  const rest: ExpectedPart = { tables: [], isRest: true }

  function workersOf(count: number, all: PlannedEntry[], parts: ExpectedPart[] = []) {
    const jobs = new IdleJobs()
    const time = { now: 0, left: undefined as number | undefined }
    const leftOf = ({ items: [item] }: Task) =>
      item?.name === 'INDEX public.i_big' ? time.left : undefined
    const look = { now: () => time.now, leftOf }
    const schedule = new Schedule(makeTasks(all, parts), count, undefined, jobs, look)
    const handed: (Task | undefined)[] = []
    /** A worker asks for its next task: none is there as long as it waits. */
    const ask = async () => {
      const at = handed.push(undefined) - 1
      void schedule.next(never).then((tasks) => {
        handed[at] = tasks[0]
      })
      await new Promise(setImmediate)
    }
    /** A worker asks, and is handed something at once. */
    const work = async () => {
      await ask()
      const task = handed.at(-1)
      if (!task) throw new Error('nothing was handed out')
      return task
    }
    /** It is done, and its load gives back what jobs it had. */
    const end = (task: Task, seconds?: number) => {
      schedule.giveBack(task)
      schedule.done(task, seconds)
    }
    const names = () => handed.map((task) => task?.items[0]?.name)
    return { jobs, schedule, handed, ask, work, end, names, time }
  }

  test('is loaded by all jobs, and other work waits, where that has time until the end', async () => {
    const { jobs, schedule, handed, ask, names } = workersOf(2, items(100, 100))
    await ask()
    await ask()
    const [load] = handed
    expect(names()).toEqual(['TABLE DATA public.big', undefined])
    expect(load && jobs.lentTo(load)).toBe(1)
    if (!load) throw new Error('there is no load')
    expect(schedule.giveBack(load)).toBe(2)
    schedule.done(load, 100)
    await ask()
    expect(names().toSorted()).toEqual([
      'INDEX public.i_big',
      'TABLE DATA public.big',
      'TABLE DATA public.t0',
    ])
  })

  test('shares the jobs with the rest where that takes as long as it does', async () => {
    const { ask, names } = workersOf(2, items(2000, 2000))
    await ask()
    await ask()
    expect(names()).toEqual(['TABLE DATA public.big', 'TABLE DATA public.t0'])
  })

  test('holds up nothing when its load turns out to need one session', async () => {
    const { schedule, handed, ask, names } = workersOf(2, items(100))
    await ask()
    await ask()
    expect(names()).toEqual(['TABLE DATA public.big', undefined])
    if (handed[0]) schedule.giveBack(handed[0])
    await new Promise(setImmediate)
    expect(names()).toEqual(['TABLE DATA public.big', 'TABLE DATA public.t0'])
  })

  test('keeps its jobs also from several that look for work at the same moment', async () => {
    const all = itemsOf(
      [1, 2, 3, 4].map((table) => ({
        ...{ desc: 'TABLE DATA', tag: `t${table}`, dataBytes: 100 * MB },
      })),
    )
    const { jobs, schedule, ask, names } = workersOf(3, all)
    const early = { chain: Number.POSITIVE_INFINITY, isBehind: true }
    jobs.begins(early)
    for (let worker = 0; worker < 3; worker++) await ask()
    // where nothing is under way one begins in any case
    expect(names().filter(Boolean)).toHaveLength(1)
    early.chain = 101 * MB
    schedule.notify()
    await new Promise(setImmediate)
    expect(names().filter(Boolean)).toHaveLength(2)
  })

  test('lets others go on as soon as a load beside its dump gives its job back', async () => {
    const { jobs, names, ask } = workersOf(2, items(2000, 2000, 2000), [rest])
    const early = { chain: 1e12, isBehind: true }
    jobs.begins(early)
    await ask()
    await ask()
    expect(names()).toEqual([undefined, undefined])
    jobs.giveBack(early)
    await new Promise(setImmediate)
    expect(names()).toEqual(['TABLE DATA public.big', 'TABLE DATA public.t0'])
  })

  test('lets others go on where a load beside its dump comes before it that does not use them', async () => {
    const { jobs, names, ask } = workersOf(2, items(100))
    await ask()
    await ask()
    expect(names()).toEqual(['TABLE DATA public.big', undefined])
    jobs.begins({ chain: 1e12, isBehind: false })
    await new Promise(setImmediate)
    expect(names()).toEqual(['TABLE DATA public.big', 'TABLE DATA public.t0'])
  })

  test('asks the server nothing of the many small statements that go together', async () => {
    const all = itemsOf(Array.from({ length: 2000 }, (_, at) => ({ desc: 'INDEX', tag: `i${at}` })))
    const costs = new Costs()
    const [load] = makeTasks(items(100))
    if (load) costs.learn(load, 100)
    let asked = 0
    const leftOf = () => {
      asked++
      return undefined
    }
    const schedule = new Schedule(makeTasks(all), 8, costs, undefined, { now: () => 0, leftOf })
    let handed = 0
    while (handed < all.length) handed += (await schedule.next(never)).length
    expect(costs.inSeconds).toBe(true)
    expect(asked).toBe(0)
  })

  test('leaves alone the jobs that its load cannot use', async () => {
    const { ask, names } = workersOf(6, items(100, 90, 80))
    for (let worker = 0; worker < 6; worker++) await ask()
    // four sessions are as many as reading keeps busy
    expect(names().filter(Boolean)).toEqual([
      'TABLE DATA public.big',
      'TABLE DATA public.t0',
      'TABLE DATA public.t1',
    ])
  })

  test('has its processors to itself: what is built beside it is built in one process', async () => {
    const { work, end, time } = workersOf(2, items(100, 100))
    end(await work(), 100)
    const gin = await work()
    expect(gin).toMatchObject({ alone: false, items: [{ name: 'INDEX public.i_big' }] })
    end(await work(), 10)
    const beside = await work()
    expect(beside.items[0]?.name).toBe('TABLE DATA public.t1')
    end(beside, 10)
    expect(await work()).toMatchObject({ alone: true, items: [{ name: 'INDEX public.i_t0' }] })
    // so near to its end it is waited for no longer, unless it is seen to take longer than was thought
    time.now = 299
    const late = await work()
    expect(late).toMatchObject({ alone: false, items: [{ name: 'INDEX public.i_t1' }] })
  })

  test('is known by what the server says of its progress, whatever was thought of it', async () => {
    const { work, end, time } = workersOf(2, items(100, 100))
    end(await work(), 100)
    await work()
    end(await work(), 10)
    end(await work(), 10)
    Object.assign(time, { now: 299, left: 500 })
    expect(await work()).toMatchObject({ alone: true, items: [{ name: 'INDEX public.i_t0' }] })
    time.left = 1
    expect(await work()).toMatchObject({ alone: false, items: [{ name: 'INDEX public.i_t1' }] })
  })

  test('is the rest where that lasts longer: nothing is spared then', async () => {
    const { work, end } = workersOf(2, items(900, 900, 900, 900))
    end(await work(), 10)
    expect(await work()).toMatchObject({ alone: false, items: [{ name: 'INDEX public.i_big' }] })
    expect(await work()).toMatchObject({ alone: false, items: [{ name: 'TABLE DATA public.t0' }] })
  })
})

describe('a load beside its dump', () => {
  const early = (chain: number, isBehind: boolean) => ({ chain, isBehind })
  const task = (chain: number) => ({ chain, load: null }) as Task

  /** @param idle jobs that wait */
  function jobsOf(idle: number) {
    const jobs = new IdleJobs(MB)
    for (let one = 0; one < idle; one++) jobs.waits()
    return jobs
  }

  test('takes a job as long as it is behind the dump, and is more urgent than the task', () => {
    const jobs = jobsOf(1)
    const load = early(10, true)
    jobs.begins(load)
    expect(jobs.mayBegin(task(5), () => false)).toBe(false)
    expect(jobs.mayBegin(task(15), () => false)).toBe(true)
    load.isBehind = false
    expect(jobs.mayBegin(task(5), () => true)).toBe(true)
    jobs.giveBack(load)
    expect(jobs.mayBegin(task(5), () => true)).toBe(true)
  })

  test('has all jobs that it can use where the end waits for it', () => {
    const jobs = jobsOf(4)
    jobs.begins(early(10, true))
    expect(jobs.mayBegin(task(5), () => true)).toBe(false)
    expect(jobs.mayBegin(task(5), () => false)).toBe(true)
  })

  test('begins beside another one only with a job that is left, or where it is the most urgent', () => {
    const jobs = jobsOf(2)
    const [long, short] = [early(10, true), early(5, false)]
    const no = () => false
    expect(jobs.mayBeginEarly(short, no)).toBe(true)
    jobs.begins(long)
    expect(jobs.mayBeginEarly(short, no)).toBe(false)
    expect(jobs.mayBeginEarly(short, () => true)).toBe(false)
    expect(jobs.mayBeginEarly(early(20, false), () => true)).toBe(true)
    long.isBehind = false
    expect(jobs.mayBeginEarly(short, no)).toBe(true)
    const none = jobsOf(0)
    expect(none.mayBeginEarly(short, no)).toBe(false)
    expect(none.mayBeginEarly(short, () => true)).toBe(true)
  })
})
