import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { tableSteps } from '../../src/report/model.ts'
import { clientDirectory } from '../support/clients.ts'
import { runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TestServer } from '../support/server.ts'

describe.each([13, 15] as const)('a migration from PostgreSQL %i', (major) => {
  let source: TestServer
  let target: PlainTarget
  let client: string

  beforeAll(async () => {
    const found = await clientDirectory(major)
    if (!found) throw new Error(`the client programs of ${major} cannot be had on this machine`)
    client = found
    ;[source, target] = await Promise.all([TestServer.start(major), startPlainTarget(15)])
    await source.sql('CREATE DATABASE shop')
    // the same names in several schemas: which of them is done, pg_dump says by the id of the entry alone
    await source.sql(
      [
        ...['one', 'two', 'three', 'public'].map(
          (schema) => `
            CREATE SCHEMA IF NOT EXISTS ${schema};
            CREATE TABLE ${schema}.orders (id int PRIMARY KEY, note text);
            INSERT INTO ${schema}.orders SELECT i, 'note ' || i FROM generate_series(1, 20000) i;
            CREATE INDEX ON ${schema}.orders (note)`,
        ),
        'CREATE TABLE "Mixed ""Case" (a int); INSERT INTO "Mixed ""Case" VALUES (1)',
        'CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM one.orders',
      ].join(';'),
      'shop',
    )
  })
  afterAll(async () => {
    await Promise.all([source, target].map((one) => one?.stop()))
  })

  test.each(['1', '3'])('with %s jobs times every step of every table', async (jobs) => {
    const { report, error } = await runInProcess({
      ...between(source, target, 'shop'),
      'client-path': client,
      roles: 'skip',
      'dump-jobs': jobs,
      'restore-jobs': jobs,
      'allow-writes': 'true',
      'upload-dump': 'false',
      'if-target-not-empty': 'replace',
    })
    expect(error).toBeUndefined()
    const [shop] = report.databases
    const steps = new Map(
      shop?.tables.map(({ schema, name, timeline = {} }) => [
        `${schema}.${name}`,
        tableSteps.filter((step) => timeline[step]),
      ]),
    )
    expect([...steps].sort()).toEqual([
      ['one.orders', [...tableSteps]],
      ['public.Mixed "Case', ['dump', 'load', 'check']],
      ['public.orders', [...tableSteps]],
      ['public.totals', ['load', 'check']],
      ['three.orders', [...tableSteps]],
      ['two.orders', [...tableSteps]],
    ])
    // each within its phase, one after the other
    const phase = (name: string) => {
      const all = report.phases.filter((one) => one.name === name)
      return {
        start: Math.min(...all.map(({ startedAt }) => startedAt)),
        end: Math.max(...all.map(({ startedAt, seconds }) => startedAt + seconds)),
      }
    }
    const phases = { dump: 'dump', load: 'restore', indexes: 'restore', check: 'verify' }
    for (const { timeline = {} } of shop?.tables ?? []) {
      for (const step of tableSteps) {
        const span = timeline[step]
        if (!span) continue
        const { start, end } = phase(phases[step])
        expect(span.start).toBeGreaterThanOrEqual(start - 0.002)
        expect(span.end).toBeGreaterThanOrEqual(span.start)
        expect(span.end).toBeLessThanOrEqual(end + 0.002)
        expect(span.busy).toBeLessThanOrEqual(span.end - span.start + 0.002)
      }
    }
  })
})
