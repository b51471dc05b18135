import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { runJob, withoutPassword } from '../support/migration.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: TestServer

beforeAll(async () => {
  ;[source, target] = await Promise.all([TestServer.start(15), TestServer.start(15)])
  const sql = readFileSync('scripts/demo-source.sql', 'utf8')
  for (const server of [source, target]) {
    await server.sql('CREATE DATABASE shop')
    await server.sql(sql, 'shop')
  }
})
afterAll(() => Promise.all([source?.stop(), target?.stop()]))

const verify = (more: Record<string, string> = {}) =>
  runJob({
    inputs: {
      command: 'verify',
      source: withoutPassword(source.uri('shop')),
      'source-password': source.password,
      target: withoutPassword(target.uri('postgres')),
      'target-password': target.password,
      ...more,
    },
  })

describe('two live servers', () => {
  test('that differ in some rows: the keys are named only when that is wished, values never', async () => {
    // what the same script made twice differs in: the time of its audit entries and its random keys
    for (const server of [source, target])
      await server.sql('TRUNCATE audit.log, shop.basket', 'shop')
    const equal = await verify()
    expect(equal.report.error).toBeNull()
    expect(equal.outputs.verified).toBe('true')

    await target.sql(
      `SET LOCAL session_replication_role = replica; -- without its foreign keys
       DELETE FROM shop.customer WHERE id = 39999;
       UPDATE shop.customer SET name = 'Somebody Secret' WHERE id = 4242;
       DELETE FROM audit.log`,
      'shop',
    )
    await source.sql('DELETE FROM audit.log', 'shop')
    const masked = await verify()
    expect(masked.report.warnings).toEqual([])
    expect(masked.code).toBe(1)
    const table = masked.report.databases[0]?.tables.find(({ name }) => name === 'customer')
    expect(table).toMatchObject({
      match: false,
      sourceRows: 40000,
      targetRows: 39999,
      missingRows: 1,
      changedRows: 1,
    })
    const shown = await verify({ 'show-keys': 'true' })
    const keys = shown.report.databases[0]?.tables
      .find(({ name }) => name === 'customer')
      ?.differingKeys?.join()
    expect(keys).toMatch(/39999/)
    expect(keys).toMatch(/4242/)
    expect(table?.differingKeys?.join()).not.toMatch(/39999|4242/)
    for (const run of [equal, masked, shown]) {
      expect(run.log + run.html + JSON.stringify(run.report) + run.summary).not.toContain(
        'Somebody Secret',
      )
      run.cleanUp()
    }
  })
})
