import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { exchange } from '../../src/migration/restore/swap/exchange.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { clientDirectory } from '../support/clients.ts'
import { newContext } from '../support/context.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: PlainTarget
let client: string

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 are missing')
  client = found
  const settings = { max_prepared_transactions: '2', wal_level: 'logical' }
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15, { settings })])
  await source.sql('CREATE DATABASE shop')
  await source.sql('CREATE TABLE t AS SELECT 1 AS version', 'shop')
})

afterAll(async () => {
  await source?.stop()
  await target?.stop()
})

/** The target has a database of that name, and only that. */
beforeEach(async () => {
  const { rows } = await target.backend.sql(
    `SELECT datname AS name FROM pg_database WHERE datname LIKE 'shop%'`,
  )
  for (const { name } of rows) await target.backend.sql(`DROP DATABASE ${name} WITH (FORCE)`)
  await target.backend.sql(`CREATE DATABASE shop OWNER ${target.account}`)
  await target.backend.sql('CREATE TABLE t AS SELECT 0 AS version', 'shop')
})

const migrate = (ifTargetNotEmpty: string, more: Record<string, string> = {}) =>
  runInProcess({
    ...{ command: 'migrate', source: source.uri(), target: target.uri(), databases: 'shop' },
    ...{ 'client-path': client, 'allow-missing': '*', 'upload-dump': 'false' },
    'if-target-not-empty': ifTargetNotEmpty,
    ...more,
  })

const versionIn = async (name: string) =>
  (await target.backend.sql('SELECT version FROM t', name)).rows[0]?.version

const failureOf = ({ error }: CommandResult) => {
  if (!(error instanceof Failure)) throw error ?? new Error('it did not fail')
  return error
}

describe('a transaction that is prepared in the database of the target', () => {
  /** Nobody is connected for it. */
  async function prepare(): Promise<void> {
    const session = await target.backend.connect('shop')
    await session.query(`BEGIN; UPDATE t SET version = 7; PREPARE TRANSACTION 'it''s left'`)
    await session.end()
  }
  const end = () => target.backend.sql(`ROLLBACK PREPARED 'it''s left'`, 'shop')

  test.each(['replace', 'swap'])('is told by %s before anything is dumped', async (how) => {
    await prepare()
    try {
      const result = await migrate(how)
      const { line, paste } = failureOf(result)
      expect(line).toContain('"shop" can be neither dropped nor renamed')
      expect(line).toContain(`'it''s left' by postgres`)
      expect(paste).toBe(`ROLLBACK PREPARED 'it''s left';`)
      expect(result.report.phases.map(({ name }) => name)).not.toContain('dump')
      expect(await versionIn('shop')).toBe(0)
    } finally {
      await end()
    }
    expect((await migrate(how)).report.verified).toBe(true)
    expect(await versionIn('shop')).toBe(1)
  })

  test('is named where it is prepared after that', async () => {
    await target.backend.sql(`CREATE DATABASE shop_new OWNER ${target.account}`)
    await prepare()
    try {
      const place = { target: parseConnectionString(target.uri()), targetName: 'shop' }
      const swap = { name: 'shop', building: 'shop_new', begun: false }
      await expect(exchange(place, swap, newContext('migrate'), 1)).rejects.toMatchObject({
        why: expect.stringContaining(`it is used by the prepared transaction 'it''s left'`),
      })
    } finally {
      await end()
    }
  })
})

describe('a subscription of the database of the target', () => {
  const lines =
    'ALTER SUBSCRIPTION "feed" DISABLE;\nALTER SUBSCRIPTION "feed" SET (slot_name = NONE);\nDROP SUBSCRIPTION "feed";'

  beforeEach(() =>
    target.backend.sql(
      `CREATE SUBSCRIPTION feed CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false)`,
      'shop',
    ),
  )

  const dropIt = async (name: string) => {
    for (const sql of lines.split('\n')) await target.backend.sql(sql, name)
  }

  test('that belongs to somebody else is told by replace with what drops it', async () => {
    const { line, paste } = failureOf(await migrate('replace'))
    expect(line).toContain('"shop" cannot be dropped as long as it has the subscription "feed"')
    expect(line).toContain('it belongs to postgres')
    expect(paste).toBe(lines)
    expect(await versionIn('shop')).toBe(0)
    await dropIt('shop')
  })

  test('that belongs to somebody else is told where swap is to drop the old database', async () => {
    const { line, paste } = failureOf(await migrate('swap', { 'drop-swapped': 'true' }))
    const kept = /old database, "(\w+)" now/.exec(line)?.[1] ?? ''
    expect(line).toContain(
      `The new one has its name. Drop the old one by hand: DROP DATABASE "${kept}"`,
    )
    expect(paste).toBe(lines)
    expect(await versionIn('shop')).toBe(1)
    await dropIt(kept)
  })

  test.each(['replace', 'swap'])(
    'of the account is dropped by %s, and so is a template',
    async (how) => {
      await target.backend.sql(
        `ALTER ROLE ${target.account} SUPERUSER; ALTER SUBSCRIPTION feed OWNER TO ${target.account};
       ALTER ROLE ${target.account} NOSUPERUSER; ALTER DATABASE shop IS_TEMPLATE true`,
        'shop',
      )
      const { error } = await migrate(how, how === 'swap' ? { 'drop-swapped': 'true' } : {})
      expect(error).toBeUndefined()
      const { rows } = await target.backend.sql(
        `SELECT datname AS name FROM pg_database WHERE datname LIKE 'shop%'`,
      )
      expect(rows).toEqual([{ name: 'shop' }])
      expect(await versionIn('shop')).toBe(1)
    },
  )
})
