import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import type { Context } from '../../src/migration/context.ts'
import type { DatabaseProperties } from '../../src/migration/restore/database/properties.ts'
import type { Run } from '../../src/migration/run.ts'
import { fingerprintDatabase } from '../../src/migration/verify/fingerprint.ts'
import type { DatabaseFingerprint } from '../../src/migration/verify/model.ts'
import { exportSnapshot } from '../../src/migration/verify/snapshot.ts'
import { verifyDatabase } from '../../src/migration/verify/verify-database.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { ReportWriter } from '../../src/report/writer.ts'
import { type PlainTarget, PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { goodReport } from '../support/sample-reports.ts'
import { recordOf } from '../support/verify-run.ts'

const said: string[] = []
const record = new ReportWriter(goodReport())
const context: Context = {
  log: { debug() {}, info() {}, warning() {} },
  progress: { update() {} },
  signal: new AbortController().signal,
  temporaryDirectory: '/nonexistent',
  record,
  report: record.report,
  warn: (message) => void said.push(message),
}

interface Server {
  uri(database?: string): string
  backend: { sql(sql: string, database?: string): Promise<{ rows: { id: number }[] }> }
}

const fingerprint = (
  server: Server,
  database: string,
  more: Partial<Parameters<typeof fingerprintDatabase>[0]> = {},
) =>
  fingerprintDatabase(
    {
      connection: parseConnectionString(server.uri(database)),
      database,
      level: 'data',
      jobs: 2,
      ...more,
    },
    context,
  )

const fill = async (server: Server, database: string) => {
  await server.backend.sql(`CREATE DATABASE ${database}`)
  await server.backend.sql(
    `CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);
     CREATE TABLE u (id int PRIMARY KEY); GRANT SELECT ON t, u TO PUBLIC`,
    database,
  )
}

describe.each(['good', 'refused'] as const)(
  'a PolarDB 11 whose imports of snapshots are %s',
  (snapshots) => {
    let polar: PolarStandIn
    let plain: PlainTarget
    beforeAll(async () => {
      polar = await PolarStandIn.start({ snapshots })
      plain = await startPlainTarget(15)
      for (const server of [polar, plain]) await fill(server, 'shop')
    })
    afterAll(() => Promise.all([polar?.stop(), plain?.stop()]))

    test('exports none that anybody could trust', async () => {
      const snapshot = await exportSnapshot(parseConnectionString(polar.uri('shop')), 'shop')
      await snapshot.close()
      expect(snapshot.id).toBeNull()
      expect(snapshot.unavailable).toContain('PolarDB misreads exported snapshots')
    })

    test('as a source and as a target is read by sessions that share no moment', async () => {
      // from here on an import would silently mean this moment, at which rows are missing
      if (snapshots === 'good') await polar.misread('shop')
      for (const server of [polar, plain])
        await server.backend.sql('INSERT INTO u SELECT generate_series(1, 50)', 'shop')
      const rows = ({ tables }: DatabaseFingerprint) =>
        tables.map(({ name, rows: count }) => [name, count])
      const expected = [
        ['t', 100],
        ['u', 50],
      ]
      const source = await fingerprint(polar, 'shop')
      expect(rows(source)).toEqual(expected)
      expect(source.moments).toContain('PolarDB misreads')
      const target = await fingerprint(polar, 'shop', { recipe: source })
      expect(rows(target)).toEqual(expected)
      expect(target.tables).toEqual(source.tables)
    })

    test('is proven only while nothing is written to it', async () => {
      const shop = recordOf(context, { tables: [], objects: [], verified: true })
      const verify = async (taken: DatabaseFingerprint) =>
        verifyDatabase(
          {
            connection: parseConnectionString(plain.uri('shop')),
            name: 'shop',
            fingerprint: JSON.parse(JSON.stringify(taken)),
            expected: [],
            substitutes: [],
            jobs: 1,
            mayAlter: false,
            // nothing is printed differently here
            schema: {
              properties: {} as DatabaseProperties,
              archives: async () => [],
            },
          },
          shop,
          { ...context, inputs: { verify: 'counts' } } as unknown as Run,
        ).then(
          () => 'proven',
          (error: unknown) => (error instanceof Failure ? error.line : String(error)),
        )
      const source = await fingerprint(polar, 'shop', { level: 'counts' })
      expect(await verify({ ...source, still: true })).toBe('proven')
      expect(await verify({ ...source, still: 'unknown' })).toBe('proven')
      expect(await verify({ ...source, still: false })).toMatch(
        /is not proven.*written to meanwhile: the two sides compared equal/,
      )
      expect(shop.result.verified).toBe(false)
      const moved = structuredClone(source)
      for (const table of moved.tables) table.rows++
      expect(await verify({ ...moved, still: 'unknown' })).toMatch(/is not proven.*nobody can tell/)
      expect(await verify({ ...moved, still: true })).toMatch(/target differs from the source/)
    })

    test('is known to be still, or written to', async () => {
      expect((await fingerprint(polar, 'shop')).still).not.toBe(false)
      const holder = await polar.backend.connect('shop', { port: polar.backend.port })
      try {
        // it writes while the other table is waited for
        await holder.query('BEGIN; LOCK TABLE u')
        const reading = fingerprint(polar, 'shop')
        const waiting = 'SELECT 1 AS id FROM pg_locks WHERE NOT granted'
        while ((await polar.backend.sql(waiting)).rows.length === 0) await sleep(20)
        await holder.query('INSERT INTO t VALUES (1000); COMMIT')
        expect((await reading).still).not.toBe(true)
      } finally {
        await holder.end()
      }
    })
  },
)

test('newer kernels of PolarDB share snapshots as every PostgreSQL does', async () => {
  const polar = await PolarStandIn.start({ major: 16 })
  try {
    const snapshot = await exportSnapshot(parseConnectionString(polar.uri()), 'postgres')
    await snapshot.close()
    expect(snapshot.id).not.toBeNull()
  } finally {
    await polar.stop()
  }
})
