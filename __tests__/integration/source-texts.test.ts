import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Failure } from '../../src/failure.ts'
import { sourceTexts } from '../../src/migration/checks/source/texts.ts'
import { answerOf } from '../support/check-scenarios.ts'
import { type Major, TestServer } from '../support/server.ts'
import { fingerprintOf } from '../support/verify-run.ts'

describe.each<Major>([10, 15])('a source of %i in SQL_ASCII', (major) => {
  let server: TestServer

  beforeAll(async () => {
    server = await TestServer.start(major)
    for (const name of ['sound', 'strange']) {
      await server.sql(
        `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`,
      )
      await server.sql(
        `CREATE TABLE t (id int, path text); COMMENT ON TABLE t IS 'Größe in C:\\dir'; INSERT INTO t VALUES (1, E'\\351')`,
        name,
      )
    }
    // é in Latin-1, which no session of UTF-8 may send: made of bytes on the server
    await server.sql(
      `DO $$ BEGIN EXECUTE 'COMMENT ON COLUMN t.id IS ''caf' || pg_catalog.convert_from('\\xe9', 'SQL_ASCII') || ''''; END $$`,
      'strange',
    )
  })
  afterAll(() => server?.stop())

  const look = (database: string, verify: 'data' | 'counts' = 'data') =>
    answerOf(sourceTexts, new Map([['source', server]]), database, { inputs: { verify } })

  test('is a blocker for a text that is no UTF-8, which is named', async () => {
    expect(await look('strange')).toMatchObject({
      ...{ id: 'source-texts', severity: 'blocker', status: 'failed' },
      message: expect.stringMatching(/^1 text in the catalogs/),
      objects: [expect.stringMatching(/^the comment on \d+ in pg_class \(caf\\351\)$/)],
      remedy: expect.stringMatching(/verify: counts/),
    })
    expect(await look('strange', 'counts')).toMatchObject({ status: 'passed' })
  })

  test('is read whole where all texts are UTF-8, whatever bytes the rows hold', async () => {
    expect(await look('sound')).toMatchObject({ status: 'passed' })
    const { tables } = await fingerprintOf(server, 'sound')
    expect(tables).toMatchObject([{ name: 't', rows: 1 }])
  })

  test('says what is the matter where it is met in the comparison', async () => {
    const failed: unknown = await fingerprintOf(server, 'strange').catch((error: unknown) => error)
    expect((failed as Failure).line).toMatch(/is not UTF-8: invalid byte sequence.*verify: counts/)
  })
})
