import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { runJob, smallShop, withoutPassword } from '../support/migration.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: TestServer

beforeAll(async () => {
  ;[source, target] = await Promise.all([TestServer.start(15), TestServer.start(15)])
  const sql = smallShop()
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
       DELETE FROM shop.customer WHERE id = 1999;
       UPDATE shop.customer SET name = 'Somebody Secret' WHERE id = 1242;
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
      sourceRows: 2000,
      targetRows: 1999,
      missingRows: 1,
      changedRows: 1,
    })
    const shown = await verify({ 'show-keys': 'true', junit: 'results/junit.xml' })
    const keys = shown.report.databases[0]?.tables
      .find(({ name }) => name === 'customer')
      ?.differingKeys?.join()
    expect(keys).toMatch(/1999/)
    expect(keys).toMatch(/1242/)
    expect(table?.differingKeys?.join()).not.toMatch(/1999|1242/)
    const junit = readFileSync(join(shown.workspace, 'results', 'junit.xml'), 'utf8')
    expect(junit).toMatch(
      /name="shop\.customer"[^>]*><failure message="1 row missing, 1 row changed"/,
    )
    for (const run of [equal, masked, shown]) {
      expect(run.log + run.html + JSON.stringify(run.report) + run.summary).not.toContain(
        'Somebody Secret',
      )
      run.cleanUp()
    }
  })

  test('whose definitions are printed differently are equal; of one that differs the report alone shows both sides', async () => {
    for (const server of [source, target]) {
      await server.sql('CREATE DATABASE printed')
      await server.sql('CREATE TABLE ticket (id int PRIMARY KEY, state varchar(9))', 'printed')
    }
    const asWritten = `CHECK (state IN ('open', 'shut'))`
    // what pg_dump makes of it, and what the server makes of that
    const asDumped = `CHECK (((state)::text = ANY ((ARRAY['open'::character varying, 'shut'::character varying])::text[])))`
    const define = (check: string) => `ALTER TABLE ticket ADD CONSTRAINT known ${check}`
    await source.sql(define(asWritten), 'printed')
    await target.sql(define(asDumped), 'printed')
    const inputs = { source: withoutPassword(source.uri('printed')) }
    const equal = await verify(inputs)
    expect(equal.report.error).toBeNull()
    expect(equal.outputs.verified).toBe('true')
    expect(equal.log).toMatch(/1 definition printed differently, decided by rebuilding/)

    await target.sql(
      `ALTER TABLE ticket DROP CONSTRAINT known, ADD CONSTRAINT known ${asDumped.replace('shut', 'gone')}`,
      'printed',
    )
    for (const [server, secret] of [
      [source, 'none'],
      [target, target.password],
    ] as const) {
      await server.sql(`ALTER TABLE ticket ALTER state SET DEFAULT '${secret}'`, 'printed')
    }
    const different = await verify(inputs)
    expect(different.code).toBe(1)
    expect(JSON.stringify(different.report)).toMatch(/'none'::character varying/)
    expect(different.html + JSON.stringify(different.report)).not.toContain(target.password)
    expect(different.report.error?.cause).toMatch(/constraint public\.ticket known: definition/)
    const [definition] =
      different.report.databases[0]?.objects.flatMap(({ definitions = [] }) => definitions) ?? []
    expect(definition?.source).toMatch(/'shut'::character varying/)
    expect(definition?.target).toMatch(/'gone'::character varying/)
    expect(different.html).toContain('<mark>gone</mark>')
    expect(different.log + different.summary).not.toMatch(/gone|character varying/)

    const hidden = await verify({ ...inputs, 'show-definitions': 'false' })
    expect(hidden.code).toBe(1)
    expect(JSON.stringify(hidden.report) + hidden.html).not.toMatch(/gone|character varying/)
    for (const run of [equal, different, hidden]) run.cleanUp()
  })
})
