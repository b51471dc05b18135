import type { ExpectedPart } from '../../src/migration/restore/arriving.ts'
import type { PlannedEntry } from '../../src/migration/restore/plan/planned-entry.ts'
import { withAnalyze } from '../../src/migration/restore/run/analyze-tasks.ts'
import { Costs } from '../../src/migration/restore/run/costs.ts'
import { type EarlyShare, IdleJobs } from '../../src/migration/restore/run/idle-jobs.ts'
import { makeTasks } from '../../src/migration/restore/run/make-tasks.ts'
import { ReadingAhead } from '../../src/migration/restore/run/reading-ahead.ts'
import { Schedule } from '../../src/migration/restore/run/schedule.ts'
import type { Task } from '../../src/migration/restore/run/task.ts'
import type { Archive } from '../../src/postgres/archive/archive.ts'
import { type ArchiveEntry, entryName } from '../../src/postgres/archive/entry.ts'
import { archiveEntry } from './archive-entry.ts'
import { randomNumbers } from './random.ts'

const MB = 1024 * 1024
const never = new AbortController().signal

function itemOf(archive: Archive, given: Partial<ArchiveEntry>): PlannedEntry {
  const { desc = 'TABLE' } = given
  const entry = archiveEntry({
    dumpId: archive.entries.length + 1,
    hasData: desc === 'TABLE DATA',
    section: desc === 'TABLE' ? 'pre-data' : desc === 'TABLE DATA' ? 'data' : 'post-data',
    copyStatement: desc === 'TABLE DATA' ? 'COPY t FROM stdin;' : null,
    ...given,
  })
  archive.entries.push(entry)
  return { archive, entry, name: entryName(entry), decision: { kind: 'restore' } }
}

const archiveIn = (directory: string) =>
  ({ directory, entries: [] as ArchiveEntry[] }) as unknown as Archive

interface Table {
  tag: string
  id: number
  bytes: number
  /** The table of its rows, where they come with a part of their own. */
  part: ExpectedPart | undefined
  /** Its rows are not restored. */
  isLeftOut: boolean
  key: number | undefined
}

/** The load of a part beside its dump, as EarlyLoad behaves towards the schedule. */
interface Early extends EarlyShare {
  isBehind: boolean
  isBegun: boolean
  isOver: boolean
}

/** What is done at a moment; `idle` where it only looks again whether something has changed. */
interface Event {
  at: number
  isLook: boolean
  run(): void
}

/** What a seed makes of a restore, for whoever looks into one that went wrong. */
export interface Outcome {
  ended: number
  handed: string[]
}

/**
 * Carries out a restore that was made up, by the real schedule, with workers, archives that come and loads beside their dump that only
 * take their time: tables, indexes and keys, the order in which archives come, what fails, what is put off, and how long everything
 * takes, all hang on the seed.
 *
 * @throws Error where workers wait for ever, or would go on if they only looked; where something is begun too early, beside what locks
 *   the same table, twice or never
 */
export async function simulateRestore(seed: number): Promise<Outcome> {
  const random = randomNumbers(seed)
  const below = (most: number) => Math.floor(random() * most)
  const chance = (of: number) => random() < of
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T

  // the database
  const schema = archiveIn('/dump')
  const workers = 1 + below(6)
  const isEmpty = chance(0.1)
  const inParts = chance(0.7)
  const sizeOf = () =>
    isEmpty ? 0 : pick([0, 10, MB / 2, 2 * MB, 9 * MB, 40 * MB, 200 * MB, 900 * MB]) * random()
  const tables: Table[] = []
  const all: PlannedEntry[] = []
  const add = (archive: Archive, given: Partial<ArchiveEntry>) => {
    const item = itemOf(archive, given)
    all.push(item)
    return item.entry
  }
  for (let at = 1 + below(8); at > 0; at--) {
    const tag = `t${at}`
    const { dumpId: id } = add(schema, { desc: 'TABLE', tag })
    const isLeftOut = inParts && chance(0.1)
    tables.push({ tag, id, bytes: sizeOf(), part: undefined, isLeftOut, key: undefined })
  }
  for (const table of tables) {
    const { tag, id } = table
    const on = { dependencies: [id] }
    const builds = (method: string) => `CREATE INDEX i ON public.${tag} USING ${method} (a)`
    if (chance(0.6)) {
      const definition = `ALTER TABLE ONLY public.${tag}\n    ADD CONSTRAINT key PRIMARY KEY (id);\n`
      table.key = add(schema, { desc: 'CONSTRAINT', tag: `${tag} key`, definition, ...on }).dumpId
    }
    for (let at = below(4); at > 0; at--) {
      const definition = builds(pick(['btree', 'gin', 'brin']))
      const { dumpId } = add(schema, { desc: 'INDEX', tag: `i${at}_${tag}`, definition, ...on })
      if (chance(0.3))
        add(schema, { desc: 'COMMENT', tag: `INDEX i${at}_${tag}`, dependencies: [dumpId] })
    }
    if (chance(0.3)) add(schema, { desc: 'TRIGGER', tag: `${tag} tr`, ...on })
    if (chance(0.2)) add(schema, { desc: 'FUNCTION', tag: `f_${tag}()`, section: 'post-data' })
  }
  for (const { tag, id } of tables) {
    const parent = pick(tables)
    if (parent.key === undefined || parent.tag === tag || chance(0.4)) continue
    const definition = `ALTER TABLE ONLY public.${tag}\n    ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES public.${parent.tag}(id);\n`
    add(schema, {
      ...{ desc: 'FK CONSTRAINT', tag: `${tag} fk`, definition },
      dependencies: [id, parent.id, parent.key],
    })
  }
  const rowsOf = (archive: Archive, { tag, bytes, id }: Table, own: boolean) =>
    itemOf(archive, {
      ...{ desc: 'TABLE DATA', tag, dataBytes: Math.floor(bytes) },
      dependencies: own ? [id] : [],
    })
  const parts: { part: ExpectedPart; items: PlannedEntry[] }[] = []
  if (inParts) {
    for (const table of tables) {
      if (!chance(0.5)) continue
      const bytes = chance(0.1) ? 0 : table.bytes * (0.5 + random())
      const part = { tables: [{ schema: 'public', name: table.tag, bytes }], isRest: false }
      table.part = part
      const archive = archiveIn(`/dump/${table.tag}`)
      parts.push({ part, items: table.isLeftOut ? [] : [rowsOf(archive, table, false)] })
    }
    const part = { tables: [], isRest: true }
    const archive = archiveIn('/dump/rest')
    const rest = tables.filter((table) => !table.part && !table.isLeftOut)
    for (const table of tables) table.part ??= part
    parts.push({ part, items: rest.map((table) => rowsOf(archive, table, false)) })
  } else all.push(...tables.map((table) => rowsOf(schema, table, true)))

  // the clock
  let now = 0
  const events: Event[] = []
  const at = (seconds: number, run: () => void, isLook = false) =>
    events.push({ at: now + seconds, run, isLook })
  const passed = (seconds: number) => new Promise<void>((resolve) => at(seconds, resolve))
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

  // the schedule
  const wanted = all.filter(({ entry }) => entry.section !== 'pre-data')
  const made = makeTasks(
    wanted,
    parts.map(({ part }) => part),
  )
  const analyzed = chance(0.7) ? withAnalyze(made, all) : made
  const ahead = new ReadingAhead({
    context: { aheadSizes: { from: pick([0, 5 * MB, 50 * MB]), piece: MB, whole: MB } },
  } as unknown as ConstructorParameters<typeof ReadingAhead>[0])
  const tasks = chance(0.7) ? ahead.withTasks(analyzed, all) : analyzed
  const jobs = new IdleJobs(pick([0, MB, 30 * MB, 1e12]))
  const known = chance(0.5) ? () => (chance(0.5) ? random() * 100 : undefined) : () => undefined
  const look = { now: () => now, leftOf: known }
  const schedule = new Schedule(tasks, workers, new Costs(), jobs, look)

  // what has become of everything
  const problem = (said: string) => new Error(`seed ${seed}: ${said}`)
  const running = new Set<Task>()
  const ended = new Set<Task>()
  const entries = new Set<ArchiveEntry>()
  const loaded = new Set<string>()
  const handed: string[] = []
  let isFailed = false
  let putBack: { task: Task; at: number; handed: number } | undefined
  let broken: Error | undefined
  const nameOf = ({ kind, step, items: [item] }: Task) =>
    `${kind} ${item?.name}${step ? (step.isLast ? ' second' : ' first') : ''}`
  const byId = new Map(schema.entries.map((entry) => [entry.dumpId, entry]))
  const isThere = (tag: string) => {
    const table = tables.find((one) => one.tag === tag)
    if (!table) return true
    return table.isLeftOut ? !inParts || came.has(table.part) : loaded.has(tag)
  }
  const came = new Set<ExpectedPart | undefined>()
  const begins = (task: Task) => {
    const name = nameOf(task)
    if (running.has(task) || ended.has(task)) throw problem(`${name} is begun a second time`)
    const shares = ({ exclusive, sharing }: Task, keys: readonly string[]) =>
      keys.some((key) => exclusive.includes(key) || sharing.includes(key))
    for (const other of running)
      if (shares(other, task.exclusive) || shares(task, other.exclusive))
        throw problem(`${name} is begun beside ${nameOf(other)}`)
    for (const { entry, archive } of task.items) {
      const isOfTable = /^(digest|analyze)$/.test(task.kind)
      if (isOfTable && !isThere(entry.tag)) throw problem(`${name} is begun before its rows`)
      if (isOfTable || archive !== schema) continue
      for (const needed of entry.dependencies.map((id) => byId.get(id))) {
        if (needed?.section === 'post-data' && !entries.has(needed))
          throw problem(`${name} is begun before ${needed.tag}`)
        if (needed?.desc === 'TABLE' && task.kind === 'statement' && !isThere(needed.tag))
          throw problem(`${name} is begun before the rows of ${needed.tag}`)
      }
    }
    if (putBack?.task === task && putBack.at === now && putBack.handed === handed.length)
      throw problem(`${name} was put back for nothing`)
    running.add(task)
    handed.push(`${now.toFixed(2)} ${name}`)
  }
  const ends = (task: Task) => {
    running.delete(task)
    ended.add(task)
    if (task.kind === 'load') for (const { entry } of task.items) loaded.add(entry.tag)
    if (task.kind === 'statement' && (!task.step || task.step.isLast))
      for (const { entry } of task.items) entries.add(entry)
  }

  // loads beside their dump
  const earlies = new Map<ExpectedPart, Early>()
  const endEarly = (early: Early) => {
    if (early.isOver) return
    early.isOver = true
    early.isBehind = false
    jobs.giveBack(early)
  }
  const stubborn = chance(0.2)
  const flow = (part: ExpectedPart) => {
    const share: Early = {
      get chain() {
        return schedule.chainOf(part)
      },
      isBehind: false,
      isBegun: false,
      isOver: false,
    }
    earlies.set(part, share)
    const again = () => {
      if (share.isOver) return
      if (!share.isBegun) share.isBegun = jobs.mayBeginEarly(share, () => schedule.isLongest(part))
      else if (chance(0.03) && !stubborn) return endEarly(share)
      else {
        if (!taken.has(share)) jobs.lentTo(share)
        const isBehind = stubborn || chance(0.5)
        if (isBehind !== share.isBehind) {
          share.isBehind = isBehind
          schedule.notify()
        }
      }
      at(0.1 + random() * 3, again, true)
    }
    again()
  }
  const taken = new Set<Early>()

  // workers
  const spanOf = (task: Task) =>
    chance(0.1) ? 0 : (task.weight / MB / 50 + 0.01) * (0.2 + 2 * random())
  const load = async (task: Task): Promise<boolean> => {
    const own = parts.find(({ items }) => items.some((item) => task.items.includes(item)))
    const early = own && earlies.get(own.part)
    if (own) earlies.delete(own.part)
    let isPutOff = false
    if (chance(0.3)) await passed(random())
    for (let tries = 0; ; tries++) {
      const isGoneOn = tries === 0 && early?.isBegun && !early.isOver && chance(0.8)
      if (isGoneOn) {
        jobs.giveBack(early)
        taken.add(early)
        task.wasBegun = chance(0.9)
      } else if (early) endEarly(early)
      const isStreamed = isGoneOn || (task.putOffAt === null && task.items.length === 1)
      if (!isStreamed) schedule.giveBack(task)
      for (let left = 1 + below(4); left > 0; left--) {
        if (isStreamed) jobs.lentTo(task)
        await passed(spanOf(task) / 4)
      }
      if (isFailed || !chance(0.2)) break
      schedule.giveBack(task)
      if (chance(0.5) && schedule.postpone(task)) {
        isPutOff = true
        running.delete(task)
        break
      }
      await passed(random() * 10)
    }
    if (early) {
      if (chance(0.3)) await passed(random())
      endEarly(early)
    }
    task.sessions = schedule.giveBack(task)
    return !isPutOff
  }
  const readings = new Map<string, { left: number; isBegun: boolean }>()
  const digest = async (task: Task): Promise<boolean> => {
    const [item] = task.items
    const key = item?.name ?? ''
    const reading = readings.get(key) ?? { left: 1 + below(12), isBegun: false }
    readings.set(key, reading)
    if (reading.left === 0) return true
    if (chance(0.5)) await passed(random() / 10)
    if (!reading.isBegun) {
      reading.isBegun = true
      const others = Math.min(reading.left, workers) - 1
      schedule.add(Array.from({ length: others }, () => ({ ...task, neededBy: [] })))
    }
    while (reading.left > 0) {
      reading.left--
      await passed(0.05 + random() * 3)
      if (chance(0.02)) reading.left = 0
      if (reading.left === 0 || !schedule.isMoreUrgent(task)) continue
      running.delete(task)
      putBack = { task, at: now, handed: handed.length }
      schedule.putBack(task)
      return false
    }
    return true
  }
  const isDoomed = chance(0.1)
  const perform = async (own: Task[]): Promise<boolean> => {
    const [first] = own
    if (!first) return true
    if (isDoomed && handed.length > 5 && chance(0.1)) {
      await passed(random())
      isFailed = true
      schedule.close()
      return false
    }
    if (first.load) return await load(first)
    if (first.kind === 'digest') return await digest(first)
    await passed(spanOf(first))
    return true
  }
  let open = workers
  const work = async () => {
    for (;;) {
      const own = await schedule.next(never)
      if (own.length === 0) return
      for (const task of own) begins(task)
      const begun = now
      if (!(await perform(own))) {
        if (isFailed) return
        continue
      }
      const seconds = now - begun
      for (const task of own) {
        ends(task)
        schedule.done(task, task.wasBegun ? undefined : seconds * task.sessions, own.length)
      }
    }
  }
  for (let worker = 0; worker < workers; worker++)
    void work()
      .catch((error) => {
        broken ??= error
      })
      .finally(() => open--)

  // archives, in any order
  for (const { part, items } of parts) {
    const comes = random() * 60
    if (!part.isRest && workers > 1 && chance(0.8)) at(comes * random(), () => flow(part))
    at(comes, () => {
      came.add(part)
      const early = earlies.get(part)
      if (early && items.length === 0) endEarly(early)
      if (!isFailed) schedule.arrive(part, makeTasks(items))
    })
  }

  for (let looks = 0; ; ) {
    await settled()
    if (broken) throw broken
    const before = handed.length
    schedule.notify()
    await settled()
    if (broken) throw broken
    if (handed.length > before)
      throw problem(`nobody looked although this could be begun: ${handed.slice(before)}`)
    if (open === 0) break
    events.sort((one, other) => one.at - other.at)
    const event = events.shift()
    looks = event?.isLook ? looks + 1 : 0
    if (!event || looks > 1000)
      throw problem(`${open} wait for ever at ${now}, with ${schedule.left().map(nameOf)} left`)
    now = event.at
    event.run()
  }
  if (isFailed) return { ended: ended.size, handed }
  const left = schedule.left()
  if (left.length > 0 || running.size > 0)
    throw problem(`nobody did ${[...left, ...running].map(nameOf)}`)
  for (const { name, entry } of wanted)
    if (entry.desc === 'TABLE DATA' ? !loaded.has(entry.tag) : !entries.has(entry))
      throw problem(`nobody did ${name}`)
  for (const { part } of parts) if (!came.has(part)) throw problem('it ended before all had come')
  for (const { items } of parts)
    for (const { entry, name } of items)
      if (!loaded.has(entry.tag)) throw problem(`nobody did ${name}`)
  return { ended: ended.size, handed }
}
