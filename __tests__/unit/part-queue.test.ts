import { describe, expect, test } from '@jest/globals'
import { PartQueue, type PartTask } from '../../src/migration/dump/part-queue.ts'
import type { PartAhead } from '../../src/migration/dump/sink.ts'

const part = (name: string, bytes = 1000): PartAhead => ({
  path: name,
  tables: [{ schema: 'public', name, bytes }],
  isRest: name === 'rest',
  bytes,
})

/** A queue whose clock the test moves, with what it has handed out so far. */
class Watched {
  now = 0
  readonly begun: string[] = []
  /** Of each part. */
  readonly jobs = new Map<string, number>()
  readonly stop = new AbortController()
  readonly queue: PartQueue
  readonly parts: PartAhead[]

  constructor(names: readonly string[], { jobs = 1, sessions = 9, roundTrip = 0 } = {}) {
    this.parts = names.map((name) => part(name))
    this.queue = new PartQueue({ parts: this.parts, jobs, sessions, roundTrip }, () => this.now)
    for (let worker = 0; worker < this.queue.most; worker++) void this.work()
  }

  private async work(): Promise<void> {
    for (;;) {
      const task: PartTask | undefined = await this.queue.next(this.stop.signal)
      if (task === undefined) return
      this.begun.push(task === 'schema' ? task : task.path)
      if (task !== 'schema') this.jobs.set(task.path, this.queue.jobsOf(task))
    }
  }

  of(name: string): PartAhead {
    const found = this.parts.find(({ path }) => path === name)
    if (!found) throw new Error(`there is no part ${name}`)
    return found
  }

  /** Lets time pass, a look each second. @returns what was begun meanwhile */
  async until(seconds: number, bytes = 0): Promise<string[]> {
    const before = this.begun.length
    while (this.now < seconds * 1000) {
      this.now += 1000
      this.queue.look(this.now, bytes)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await new Promise((resolve) => setImmediate(resolve))
    return this.begun.slice(before)
  }

  /** A part of which rows come from a second on. */
  flowing(name: string): void {
    this.queue.flows(this.of(name))
  }
}

/** The definitions are dumped in three seconds, and the catalogs for the first part read in two. */
async function begin(...how: ConstructorParameters<typeof Watched>): Promise<Watched> {
  const watched = new Watched(...how)
  await watched.until(2)
  watched.flowing(watched.parts[0]?.path ?? '')
  await watched.until(3)
  watched.queue.schemaDone()
  return watched
}

describe('the next part of a dump', () => {
  test('begins beside the definitions where it is the first, and then alone', async () => {
    const watched = new Watched(['a', 'b', 'rest'])
    await watched.until(60)
    expect(watched.begun).toEqual(['schema', 'a'])
  })

  test('begins when the one before ends where nobody knows when that will be', async () => {
    const watched = await begin(['a', 'b', 'rest'])
    expect(await watched.until(60)).toEqual([])
    watched.queue.done(watched.of('a'))
    expect(await watched.until(60)).toEqual(['b'])
  })

  test('begins so early that its catalogs are read when the one before ends', async () => {
    const watched = await begin(['a', 'b', 'rest'])
    await watched.until(12)
    watched.queue.came(watched.of('a'), 0.5)
    expect(await watched.until(18)).toEqual([])
    // of the remaining ten seconds three are left: the catalogs took two
    expect(await watched.until(19)).toEqual(['b'])
    expect(await watched.until(60)).toEqual([])
  })

  test('begins no earlier for what was fast at the beginning, and at once where all that was known of has come', async () => {
    const watched = await begin(['a', 'b', 'rest'])
    await watched.until(4)
    watched.queue.came(watched.of('a'), 0.4)
    watched.now = 5000
    watched.queue.came(watched.of('a'), 0.41)
    expect(await watched.until(20)).toEqual([])
    watched.queue.came(watched.of('a'), 1.2)
    expect(await watched.until(21)).toEqual(['b'])
  })

  test('begins by the pace of the one before where the server does not say how far a table is', async () => {
    const watched = await begin(['a', 'b', 'rest'])
    await watched.until(12)
    watched.queue.done(watched.of('a'))
    await watched.until(14)
    watched.flowing('b')
    expect(await watched.until(19)).toEqual([])
    expect(await watched.until(20)).toEqual(['rest'])
  })

  test('begins earlier where it is the last one, which reads all that the definitions do', async () => {
    const watched = await begin(['a', 'rest'])
    await watched.until(12)
    watched.queue.came(watched.of('a'), 0.5)
    expect(await watched.until(17)).toEqual([])
    expect(await watched.until(18)).toEqual(['rest'])
  })

  test.each([
    // 4 tables take 12 round trips, and 1.5 times that beside the 4.5 s for the catalogs
    { roundTrip: 200, at: 14 },
    { roundTrip: 0.1, at: 18 },
  ])(
    'begins at $at s where it has four tables, a round trip takes $roundTrip ms',
    async ({ at, ...how }) => {
      const watched = await begin(['a', 'rest'], how)
      const rest = watched.of('rest')
      const [one] = rest.tables
      if (one) Object.assign(rest, { tables: [one, one, one, one] })
      // of the next ten seconds it is known how fast the first part is
      watched.now = 12_000
      watched.queue.came(watched.of('a'), 0.5)
      expect(await watched.until(at - 1)).toEqual([])
      expect(await watched.until(at)).toEqual(['rest'])
    },
  )

  test('does not begin twice early, nor when none is to begin any more', async () => {
    const watched = await begin(['a', 'b', 'c', 'rest'])
    await watched.until(12)
    watched.queue.came(watched.of('a'), 0.5)
    expect(await watched.until(40)).toEqual(['b'])
    // however long those that were to have ended by now take
    watched.flowing('b')
    watched.queue.came(watched.of('b'), 1)
    expect(await watched.until(60)).toEqual([])
    watched.queue.done(watched.of('a'))
    expect(await watched.until(61)).toEqual(['c'])
    const closed = await begin(['a', 'b', 'rest'])
    closed.queue.came(closed.of('a'), 1)
    closed.queue.close()
    expect(await closed.until(60)).toEqual([])
    const aborted = await begin(['a', 'b', 'rest'])
    aborted.queue.came(aborted.of('a'), 1)
    aborted.stop.abort()
    expect(await aborted.until(60)).toEqual([])
  })
})

describe('sessions of pg_dump', () => {
  test('are no more than may be had, with one job as well', async () => {
    const watched = await begin(['a', 'b', 'c', 'rest'], { sessions: 0 })
    watched.queue.came(watched.of('a'), 1)
    expect(await watched.until(10)).toEqual(['b'])
    watched.flowing('b')
    watched.queue.came(watched.of('b'), 1)
    expect(await watched.until(20)).toEqual([])
  })

  test.each([
    { sessions: 5, jobs: 3 },
    { sessions: 9, jobs: 4 },
  ])('are left for $jobs jobs of the last part where $sessions may be had', async (how) => {
    const watched = await begin(['a', 'rest'], { jobs: 4, sessions: how.sessions })
    watched.queue.came(watched.of('a'), 1)
    expect(await watched.until(10)).toEqual(['rest'])
    expect(watched.jobs).toEqual(
      new Map([
        ['a', 1],
        ['rest', how.jobs],
      ]),
    )
  })

  test('of a part that stays are not given to the last one', async () => {
    const watched = new Watched(['a', 'b', 'rest'], { jobs: 3 })
    await watched.until(1)
    watched.flowing('a')
    // a second stream is tried, and a third one since the second adds as much
    for (let second = 2; second <= 5; second++) await watched.until(second, second * 1000)
    watched.flowing('b')
    for (let second = 6; second <= 10; second++) await watched.until(second, second * 2000)
    expect(watched.begun).toEqual(['schema', 'a', 'b', 'rest'])
    expect(watched.jobs.get('rest')).toBe(1)
  })
})

test('what passes while one part more is under way than is to be measured says nothing of a second stream', async () => {
  const watched = await begin(['a', 'b', 'c', 'd', 'rest'], { jobs: 3 })
  watched.queue.came(watched.of('a'), 1)
  await watched.until(4)
  expect(watched.begun).toEqual(['schema', 'a', 'b'])
  watched.flowing('b')
  // many seconds with two parts: had they been counted, it would be known what one and two streams are worth
  await watched.until(30, 1000)
  watched.queue.done(watched.of('a'))
  for (let second = 31; second <= 32; second++) await watched.until(second, second * 1000)
  expect(watched.begun).toEqual(['schema', 'a', 'b'])
  await watched.until(33, 33_000)
  expect(watched.begun).toEqual(['schema', 'a', 'b', 'c'])
  watched.flowing('c')
  // twice as fast, so that a third one is worth trying
  for (let second = 34; second <= 38; second++) await watched.until(second, second * 2000)
  expect(watched.begun).toEqual(['schema', 'a', 'b', 'c', 'd'])
})

test('whether a second stream is worth it is tried with the smallest part, and the others keep their order', async () => {
  const watched = new Watched(['a', 'b', 'c', 'rest'], { jobs: 2 })
  Object.assign(watched.of('c'), { bytes: 10 })
  await watched.until(1)
  watched.flowing('a')
  for (let second = 2; second <= 5; second++) await watched.until(second, second * 1000)
  expect(watched.begun).toEqual(['schema', 'a', 'c'])
  watched.flowing('c')
  // none takes its place early: both together are no faster
  watched.queue.came(watched.of('c'), 1)
  for (let second = 6; second <= 20; second++) await watched.until(second, second * 1000)
  watched.queue.done(watched.of('c'))
  expect(await watched.until(30)).toEqual([])
  watched.queue.done(watched.of('a'))
  expect(await watched.until(31)).toEqual(['b'])
})

describe('a part that is begun to see whether a second stream is worth it', () => {
  interface Tried {
    watched: Watched
    givenUp: AbortSignal | undefined
    isKept: () => boolean
  }

  /** The smallest of several is tried beside the first one, which brings 1000 bytes a second. */
  async function tried(names: readonly string[], smallest: string, jobs = 2): Promise<Tried> {
    const watched = new Watched(names, { jobs })
    Object.assign(watched.of(smallest), { bytes: 10 })
    await watched.until(1)
    watched.flowing('a')
    for (let second = 2; second <= 5; second++) await watched.until(second, second * 1000)
    expect(watched.begun).toEqual(['schema', 'a', smallest])
    let isKept = false
    void watched.queue.kept(watched.of(smallest)).then(() => {
      isKept = true
    })
    const givenUp = watched.queue.givenUp(watched.of(smallest))
    watched.flowing(smallest)
    return { watched, givenUp, isKept: () => isKept }
  }

  /** Both together bring so much a second, until it is known what that is worth. */
  async function known({ watched }: Tried, bytes: number): Promise<void> {
    for (let second = 6; second <= 9; second++)
      await watched.until(second, 5000 + (second - 5) * bytes)
  }

  test('is no one but the second', async () => {
    const first = new Watched(['a', 'rest'])
    await first.until(1)
    expect(first.queue.givenUp(first.of('a'))).toBeUndefined()
    const { givenUp, isKept } = await tried(['a', 'b', 'c', 'rest'], 'c')
    expect(givenUp?.aborted).toBe(false)
    expect(isKept()).toBe(false)
  })

  test('is given up where it is not, and waits in its place', async () => {
    const one = await tried(['a', 'b', 'c', 'd', 'rest'], 'c')
    const { watched } = one
    await known(one, 1290)
    expect(one.givenUp?.aborted).toBe(true)
    // as long as its pg_dump is being ended
    watched.queue.came(watched.of('a'), 1)
    expect(await watched.until(12)).toEqual([])
    watched.queue.giveBack(watched.of('c'))
    expect(await watched.until(13)).toEqual(['b'])
    watched.queue.done(watched.of('a'))
    watched.flowing('b')
    watched.queue.done(watched.of('b'))
    expect(await watched.until(14)).toEqual(['c'])
    expect(watched.queue.givenUp(watched.of('c'))).toBeUndefined()
    await expect(watched.queue.kept(watched.of('c'))).resolves.toBeUndefined()
    watched.queue.done(watched.of('c'))
    expect(await watched.until(15)).toEqual(['d'])
    expect(one.isKept()).toBe(false)
  })

  test('is given up where it is the last one as well, which begins again with all jobs', async () => {
    const one = await tried(['a', 'rest'], 'rest')
    const { watched } = one
    expect(watched.jobs.get('rest')).toBe(1)
    await known(one, 1000)
    expect(one.givenUp?.aborted).toBe(true)
    const { signal } = watched.stop
    watched.queue.giveBack(watched.of('rest'))
    // as the worker does that has given it back
    const next = watched.queue.next(signal)
    watched.queue.done(watched.of('a'))
    expect(await next).toBe(watched.of('rest'))
    expect(watched.queue.jobsOf(watched.of('rest'))).toBe(2)
    expect(await watched.queue.next(signal)).toBeUndefined()
  })

  test.each([2, 3])('is kept where it is, with %i jobs', async (jobs) => {
    const one = await tried(['a', 'c', 'rest'], 'c', jobs)
    await known(one, 1300)
    expect(one.givenUp?.aborted).toBe(false)
    expect(one.isKept()).toBe(true)
  })

  test.each([
    { share: 0.4, isKept: false },
    { share: 0.5, isKept: true },
  ])('is kept where it is not: $isKept, when $share of it has come', async ({ share, isKept }) => {
    const one = await tried(['a', 'b', 'c', 'rest'], 'c')
    one.watched.now += 100
    one.watched.queue.came(one.watched.of('c'), share)
    await known(one, 1000)
    expect(one.isKept()).toBe(isKept)
    expect(one.givenUp?.aborted).toBe(!isKept)
  })

  test.each(['a', 'rest'])('is kept where %s has ended before that is known', async (ended) => {
    const one = await tried(['a', 'rest'], 'rest')
    one.watched.queue.done(one.watched.of(ended))
    await one.watched.until(6)
    expect(one.isKept()).toBe(true)
  })

  test('is the next one where it has ended before that is known', async () => {
    const { watched, givenUp } = await tried(['a', 'b', 'c', 'rest'], 'c')
    watched.queue.done(watched.of('c'))
    expect(await watched.until(6, 6000)).toEqual(['b'])
    const next = watched.queue.givenUp(watched.of('b'))
    watched.flowing('b')
    for (let second = 7; second <= 10; second++) await watched.until(second, second * 1000)
    expect(next?.aborted).toBe(true)
    expect(givenUp?.aborted).toBe(false)
  })

  test('is kept where it has ended all the same, and not because another one has', async () => {
    const one = await tried(['a', 'b', 'c', 'rest'], 'c')
    await known(one, 1000)
    one.watched.queue.done(one.watched.of('a'))
    await one.watched.until(10)
    expect(one.isKept()).toBe(false)
    one.watched.queue.done(one.watched.of('c'))
    await one.watched.until(11)
    expect(one.isKept()).toBe(true)
  })
})
