import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { OverlapScene } from '../support/overlap-scene.ts'

/** Sequences go on while they are dumped, and no snapshot holds them still. */

let scene: OverlapScene

/** As many that some are bound to be dumped where they stand neither before nor after the dump. */
const many = 12

beforeAll(async () => {
  scene = await OverlapScene.start({
    shop: `
      CREATE TABLE big (id int GENERATED ALWAYS AS IDENTITY (MAXVALUE 7 CYCLE), t text);
      INSERT INTO big (t) SELECT repeat(md5(g::text), 3) FROM generate_series(1, 5000) g;
      CREATE TABLE ours (id serial, t text); INSERT INTO ours (t) SELECT g::text FROM generate_series(1, 10) g;
      DO $$ BEGIN FOR i IN 1..${many} LOOP
        EXECUTE format('CREATE SEQUENCE round_%s MAXVALUE %s CYCLE', i, i % 5 + 3);
        EXECUTE format('CREATE SEQUENCE back_%s INCREMENT -1 MINVALUE -4 MAXVALUE 5 CYCLE', i);
      END LOOP; END $$`,
  })
})

afterEach(() => scene.clear())

afterAll(() => scene?.stop())

/** Moves every sequence by one step after the other until it is told to end: nothing but sequences is written. */
async function moving<T>(work: () => Promise<T>): Promise<T> {
  const client = await scene.source.connect('shop')
  let isOver = false
  const move = async () => {
    while (!isOver) {
      await client.query(
        `SELECT nextval(oid::regclass) FROM pg_class WHERE relkind = 'S' AND relname <> 'ours_id_seq'`,
      )
      await sleep(1)
    }
  }
  const moved = move()
  try {
    return await work()
  } finally {
    isOver = true
    await moved
    await client.end()
  }
}

describe('sequences that cycle while they are dumped', () => {
  test.each([
    ['a whole database', { if: 'one archive' }],
    ['parts, which hold some of them twice', {}],
  ])('%s: the target has them as they are in the dump', async (_, how) => {
    const whole = 'if' in how
    const result = await moving(() =>
      scene.migrate(
        { 'allow-writes': 'true' },
        whole ? { partSizes: { database: 1e12, table: 1, share: 0, parts: 8 } } : {},
      ),
    )
    await scene.expectWhole(result, 'shop')
    expect(result.report.sourceStill).toBe(false)
    expect(result.report.warnings.join()).toMatch(/sequences moved \(public\./)
  })

  test('whoever moves nothing but sequences writes as well', async () => {
    const { error, report } = await moving(() => scene.migrate())
    expect(String(error)).toMatch(/The source is being written to/)
    expect(report.checks.find(({ id }) => id === 'source-writers')).toMatchObject({
      status: 'failed',
      message: expect.stringMatching(/"shop": \d+ sequences moved \(public\./),
    })
  })
})
