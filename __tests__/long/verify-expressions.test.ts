import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { newestMinor } from '../support/clients.ts'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { tryAwkward, tryExpressions } from '../support/rebuild.ts'
import { Harness, type RestoreTarget } from '../support/restore-harness.ts'
import { type Major, TestServer } from '../support/server.ts'

type Target = RestoreTarget & { stop(): Promise<void> }

const settings = { wal_level: 'logical' }

/** A server of the newest minor release that apt offers, with an ordinary account; undefined where it cannot be had. */
async function startNewest(): Promise<Target | undefined> {
  const newest = await newestMinor()
  if (!newest) return undefined
  console.info(`the newest minor release: ${newest.version}`)
  return startPlainTarget(15, { settings, programs: newest.directory })
}

interface Way {
  name: string
  client: number
  source: Major
  target: () => Promise<Target | undefined>
}

const ways: Way[] = [
  { name: '15 to 15', client: 15, source: 15, target: () => startPlainTarget(15, { settings }) },
  { name: '18 to 18', client: 18, source: 18, target: () => startPlainTarget(18, { settings }) },
  { name: '10 to 15', client: 15, source: 10, target: () => startPlainTarget(15, { settings }) },
  { name: '13 to 18', client: 15, source: 13, target: () => startPlainTarget(18, { settings }) },
  { name: '15 to its newest minor', client: 15, source: 15, target: startNewest },
  {
    name: '11 to the stand-in of 11',
    client: 15,
    source: 11,
    target: () => PolarStandIn.start({ major: 11, settings }),
  },
]

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
const count = Number(process.env.COUNT ?? 500)

describe.each(ways)('from $name', ({ name, client, source: major, target: startTarget }) => {
  let harness: Harness | undefined
  let source: TestServer
  let target: Target | undefined

  beforeAll(async () => {
    harness = await Harness.open(client)
    if (!harness) return
    source = await TestServer.start(major, { settings })
    target = await startTarget()
  })

  afterAll(async () => {
    await harness?.close()
    await source?.stop()
    await target?.stop()
  })

  test(`${count} expressions compare equal, and each that is changed is named (SEED=${seed})`, async () => {
    if (!harness || !target) {
      console.warn(`skipped: this machine cannot have what it takes from ${name}`)
      return
    }
    const found = await tryExpressions(harness, source, target, { seed, count })
    console.info(
      `${name}: SEED=${seed}, ${found.accepted} expressions, ${found.printedDifferently} definitions printed differently`,
    )
    expect(found.before).toEqual([])
    expect(found.after).toEqual(found.changed)
    expect(found.accepted).toBeGreaterThan(count * 0.75)
  })

  test('what servers print in unusual ways compares equal', async () => {
    if (!harness || !target) return
    const { found, printedDifferently } = await tryAwkward(harness, source, target)
    console.info(`${name}: ${printedDifferently} unusual definitions printed differently`)
    expect(found).toEqual([])
  })
})
