import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Cancelled, Failure } from '../../src/failure.ts'
import { connect, serverVersion, withConnection } from '../../src/postgres/connection.ts'
import {
  type ConnectionParameters,
  conninfo,
  parseConnectionString,
} from '../../src/postgres/connection-string.ts'
import { Pooler } from '../support/pooler.ts'
import { type Major, TestServer } from '../support/server.ts'

let plain: TestServer
let tls: TestServer
let strict: TestServer

beforeAll(async () => {
  ;[plain, tls, strict] = await Promise.all([
    TestServer.start(15),
    TestServer.start(15, { tls: { hosts: ['db.example'] } }),
    TestServer.start(15, { tls: { hosts: ['localhost'] }, hba: 'hostssl all all all md5' }),
  ])
})
afterAll(() => Promise.all([plain, tls, strict].map((server) => server?.stop())))

const to = (server: TestServer, more = ''): ConnectionParameters =>
  parseConnectionString(server.uri().replace('sslmode=disable', more || 'sslmode=disable'))

/** Whether the session is encrypted, or the SQLSTATE or first words of the refusal. */
async function attempt(parameters: ConnectionParameters): Promise<string> {
  try {
    return await withConnection(parameters, {}, async (client) => {
      const { rows } = await client.query(
        'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
      )
      return rows[0].ssl ? 'encrypted' : 'plain'
    })
  } catch (error) {
    if (error instanceof Failure) return error.message
    throw error
  }
}

test('a database that allows no connections is said to be so', async () => {
  await plain.sql('CREATE DATABASE shut ALLOW_CONNECTIONS false')
  const shut = withConnection(to(plain), { database: 'shut', role: 'target' }, async () => {})
  await expect(shut).rejects.toMatchObject({
    message: 'The target lets nobody connect to the database',
    why: expect.stringContaining('"shut"'),
    remedy: expect.stringContaining('ALLOW_CONNECTIONS true'),
  })
})

describe("sslmode has libpq's own meaning", () => {
  test.each([
    ['disable', 'plain', 'plain', 'The server refused the login of "postgres"'],
    ['allow', 'plain', 'plain', 'encrypted'],
    ['prefer', 'plain', 'encrypted', 'encrypted'],
    ['require', 'The server does not offer TLS', 'encrypted', 'encrypted'],
  ])('%s', async (mode, withoutTls, withTls, requiringTls) => {
    expect(await attempt(to(plain, `sslmode=${mode}`))).toBe(withoutTls)
    expect(await attempt(to(tls, `sslmode=${mode}`))).toBe(withTls)
    expect(await attempt(to(strict, `sslmode=${mode}`))).toBe(requiringTls)
  })

  test('verify-ca trusts the certificate authority that is given, whatever the name', async () => {
    expect(await attempt(to(tls, `sslmode=verify-ca&sslrootcert=${tls.ca}`))).toBe('encrypted')
    expect(await attempt(to(tls, `sslmode=verify-ca&sslrootcert=${strict.ca}`))).toMatch(
      /cannot be trusted/,
    )
  })

  test('verify-full demands the name in the certificate, too', async () => {
    const named = {
      ...to(strict, `sslmode=verify-full&sslrootcert=${strict.ca}`),
      host: 'localhost',
    }
    expect(await attempt(named)).toBe('encrypted')
    expect(await attempt(to(tls, `sslmode=verify-full&sslrootcert=${tls.ca}`))).toMatch(
      /cannot be trusted/,
    )
  })

  test('require with a root certificate verifies the authority, as libpq does', async () => {
    expect(await attempt(to(tls, `sslmode=require&sslrootcert=${strict.ca}`))).toMatch(
      /cannot be trusted/,
    )
  })

  test('a root certificate that cannot be read is an error', async () => {
    expect(await attempt(to(tls, 'sslmode=verify-ca&sslrootcert=/nonexistent.pem'))).toMatch(
      /sslrootcert/,
    )
  })
})

describe('a session', () => {
  test('is not subject to the settings of the account or the database', async () => {
    await plain.sql(`
      CREATE ROLE slow LOGIN PASSWORD 'p';
      ALTER ROLE slow SET statement_timeout = '1ms';
      ALTER ROLE slow SET search_path = pg_temp, public;
      ALTER ROLE slow SET default_transaction_read_only = on;
      ALTER ROLE slow SET datestyle = 'German';
      ALTER ROLE slow SET role = 'pg_monitor'`)
    const client = await connect({ ...to(plain), user: 'slow', password: 'p' })
    const { rows } = await client.query(`
      SELECT current_setting('statement_timeout') AS timeout, current_setting('search_path') AS path,
             current_setting('transaction_read_only') AS ro, current_setting('datestyle') AS style, current_user::text AS who`)
    await client.end()
    expect(rows[0]).toEqual({
      timeout: '0',
      path: 'pg_catalog, pg_temp',
      ro: 'off',
      style: 'ISO, YMD',
      who: 'slow',
    })
  })

  test("has the user's own options, and ours after them", async () => {
    const options = '-c search_path=public -c work_mem=1234kB -c default_transaction_read_only=off'
    const client = await connect({ ...to(plain), options }, { readOnly: true })
    const { rows } = await client.query(
      `SELECT current_setting('search_path') AS path, current_setting('work_mem') AS memory, current_setting('transaction_read_only') AS ro`,
    )
    await client.end()
    expect(rows[0]).toEqual({ path: 'pg_catalog, pg_temp', memory: '1234kB', ro: 'on' })
  })

  describe('through a pooler', () => {
    test.each(['refuses options', 'throws options away'] as const)(
      'that %s is made safe by its first statements',
      async (how) => {
        await plain.sql(`
        DROP ROLE IF EXISTS pooled;
        CREATE ROLE pooled LOGIN PASSWORD 'p';
        ALTER ROLE pooled SET search_path = evil, pg_catalog;
        ALTER ROLE pooled SET quote_all_identifiers = on;
        ALTER ROLE pooled SET statement_timeout = '5min'`)
        const pooler = await Pooler.start(plain.port, how)
        try {
          const place = { ...to(plain), port: pooler.port, user: 'pooled', password: 'p' }
          const client = await connect(place, { readOnly: true })
          const { rows } = await client.query(
            `SELECT current_setting('search_path') AS path, current_setting('transaction_read_only') AS ro,
                    current_setting('statement_timeout') AS timeout`,
          )
          await client.end()
          expect(rows[0]).toEqual({ path: 'pg_catalog, pg_temp', ro: 'on', timeout: '0' })
          // the programs are then not given what would keep them out
          const given = conninfo(place, 'read').includes('search_path')
          expect(given).toBe(how === 'throws options away')
        } finally {
          await pooler.stop()
        }
      },
    )

    test("that refuses options says so where the user's own are meant", async () => {
      const pooler = await Pooler.start(plain.port, 'refuses options')
      try {
        const place = { ...to(plain), port: pooler.port, options: '-c work_mem=1MB' }
        await expect(connect(place)).rejects.toThrow(/does not take options=/)
      } finally {
        await pooler.stop()
      }
    })

    test('that gives one session to several clients is refused', async () => {
      const pooler = await Pooler.start(plain.port, 'shares sessions')
      try {
        await expect(connect({ ...to(plain), port: pooler.port })).rejects.toMatchObject({
          message: 'The pooler before the server gives one session to several clients',
        })
      } finally {
        await pooler.stop()
      }
    })

    test('that forgets settings from one message to the next is refused', async () => {
      const pooler = await Pooler.start(plain.port, 'forgets settings')
      try {
        await expect(connect({ ...to(plain), port: pooler.port })).rejects.toMatchObject({
          message: 'A session on the server cannot be made safe',
          why: expect.stringMatching(/search_path was set to .* and is/),
        })
      } finally {
        await pooler.stop()
      }
    })
  })

  test('is given up by the server three minutes after its client vanished', async () => {
    const client = await connect(to(plain))
    const { rows } = await client.query(
      `SELECT current_setting('tcp_keepalives_idle')::int
              + current_setting('tcp_keepalives_interval')::int * current_setting('tcp_keepalives_count')::int AS seconds`,
    )
    await client.end()
    expect(rows).toEqual([{ seconds: 180 }])
  })

  test('that only looks cannot write', async () => {
    const client = await connect(to(plain), { readOnly: true })
    await expect(client.query('CREATE TABLE public.x ()')).rejects.toMatchObject({ code: '25006' })
    await client.end()
  })

  test('has its running statement ended on the server when the job is cancelled', async () => {
    const stop = new AbortController()
    const parameters = to(plain)
    const work = withConnection(parameters, { signal: stop.signal }, async (client) => {
      await client.query('SELECT pg_sleep(1000) AS cancelled_by_test')
    })
    const ended = expect(work).rejects.toBeInstanceOf(Cancelled)
    const running = `SELECT FROM pg_stat_activity WHERE query ~ 'cancelled_by_te[s]t' AND state = 'active'`
    while ((await plain.sql(running)).rowCount === 0);
    stop.abort(new Cancelled())
    await ended
    // its session may need a moment to notice
    while ((await plain.sql(running)).rowCount !== 0);
  })

  test.each<Major>([10, 13, 18])('tells the version of a %i', async (major) => {
    const server = await TestServer.start(major)
    try {
      const client = await connect(to(server))
      expect(await serverVersion(client)).toMatchObject({ major, majorName: String(major) })
      await client.end()
    } finally {
      await server.stop()
    }
  })
})
