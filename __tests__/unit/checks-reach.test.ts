import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import {
  checkReach,
  judgeCertificate,
  judgeConnection,
  judgeName,
  judgeTls,
  loginRemedy,
} from '../../src/migration/checks/reach.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { type Reach, reach } from '../../src/postgres/reach.ts'
import { newContext } from '../support/context.ts'
import { refusingPort } from '../support/server.ts'

const parameters = (text = '') =>
  parseConnectionString(`host=db.example.org user=u connect_timeout=2 ${text}`)
const found: Reach = {
  addresses: ['10.0.0.1'],
  tcp: { address: '10.0.0.1' },
  tls: { offered: false },
  own: ['172.16.0.9'],
}
const day = 24 * 3600 * 1000

describe('each step of the way to a server says what is wrong there, and what to do', () => {
  test('its name', () => {
    const unknown = { ...found, addresses: { error: 'ENOTFOUND' }, tcp: null, tls: null }
    expect(judgeName(unknown, parameters(), 'target')).toMatchObject({
      status: 'failed',
      message: 'The name db.example.org means no address on this runner (ENOTFOUND)',
      remedy: expect.stringContaining('primary endpoint'),
    })
    expect(judgeConnection(unknown, parameters(), 'target').status).toBe('skipped')
    expect(judgeTls(unknown, parameters(), 'target').status).toBe('skipped')
    expect(judgeCertificate(unknown, parameters(), 0).status).toBe('skipped')
    expect(judgeName(found, parameters(), 'target').status).toBe('passed')
  })

  test('addresses of IPv6 only, which no whitelist of a cluster takes', () => {
    const six = { ...found, addresses: ['2001:db8::1'] }
    expect(judgeName(six, parameters(), 'target')).toMatchObject({
      status: 'failed',
      severity: 'warning',
    })
    expect(judgeName(six, parameters(), 'source').status).toBe('passed')
    expect(judgeName({ ...found, addresses: ['::1'] }, parameters(), 'target').status).toBe(
      'passed',
    )
  })

  test('its port: refused, or silent with the address to let in', () => {
    const refused = (error: string): Reach => ({
      ...found,
      tcp: { refused: [{ address: '10.0.0.1', error }] },
      tls: null,
    })
    expect(judgeConnection(refused('ECONNREFUSED'), parameters(), 'target')).toMatchObject({
      message: 'Nothing takes connections at port 5432 (10.0.0.1: ECONNREFUSED)',
      remedy: expect.stringContaining('need not be 5432'),
    })
    expect(judgeConnection(refused('ETIMEDOUT'), parameters(), 'target')).toMatchObject({
      message: 'No answer from port 5432 within 2 s (10.0.0.1: ETIMEDOUT)',
      remedy: expect.stringMatching(/172\.16\.0\.9.*ModifyDBClusterAccessWhitelist/),
    })
    expect(judgeConnection(refused('ETIMEDOUT'), parameters(), 'source')).toMatchObject({
      remedy: expect.stringMatching(/172\.16\.0\.9.*listen_addresses/),
    })
  })

  test('TLS, as far as sslmode wants it', () => {
    const status = (tls: Reach['tls'], sslmode: string) =>
      judgeTls({ ...found, tls }, parameters(`sslmode=${sslmode}`), 'target').status
    expect(status({ offered: false }, 'prefer')).toBe('passed')
    expect(status({ offered: false }, 'require')).toBe('failed')
    expect(status({ error: 'EPROTO' }, 'prefer')).toBe('passed')
    expect(status({ error: 'EPROTO' }, 'require')).toBe('failed')
    // whoever says nothing serves nobody
    expect(status({ error: 'ETIMEDOUT' }, 'prefer')).toBe('failed')
    expect(status(null, 'disable')).toBe('passed')
  })

  test('the certificate, where it is verified', () => {
    const judge = (refused: string | null, ends: number, verified = true) =>
      judgeCertificate(
        {
          ...found,
          tls: { offered: true, certificate: { validTo: ends, refused, verified } },
        },
        parameters('sslmode=verify-full'),
        100 * day,
      )
    expect(judge(null, 131 * day).status).toBe('passed')
    expect(judge(null, 129 * day)).toMatchObject({ status: 'failed', severity: 'warning' })
    expect(judge(null, 101 * day, false).status).toBe('passed')
    expect(judge('CERT_HAS_EXPIRED', 99 * day)).toMatchObject({
      message: expect.stringContaining('it ended 1970-04-10'),
      remedy: expect.stringContaining('Renew'),
    })
    expect(judge('ERR_TLS_CERT_ALTNAME_INVALID', 200 * day)).toMatchObject({
      remedy: expect.stringContaining('instead of db.example.org'),
    })
    expect(judge('SELF_SIGNED_CERT_IN_CHAIN', 200 * day)).toMatchObject({
      remedy: expect.stringContaining('sslrootcert='),
    })
  })

  test('the login: a line of pg_hba.conf, a certificate of the client', () => {
    const refusal = (why: string, sqlstate = '28000') =>
      new Failure('No', why, 'Look', { sqlstate })
    const said =
      'no pg_hba.conf entry for host "10.1.2.3", user "Odd one", database "shop", no encryption'
    expect(loginRemedy(refusal(said), 'source').paste).toBe(
      'host shop "Odd one" 10.1.2.3/32 scram-sha-256',
    )
    expect(
      loginRemedy(refusal(said.replace('no encryption', 'SSL encryption')), 'source').paste,
    ).toBe('hostssl shop "Odd one" 10.1.2.3/32 scram-sha-256')
    expect(loginRemedy(refusal(said), 'target')).toEqual({ remedy: 'Look' })
    expect(
      loginRemedy(refusal('connection requires a valid client certificate'), 'source').remedy,
    ).toContain('sslcert=')
    expect(loginRemedy(refusal('password', '28P01'), 'target').remedy).toContain('not locked')
  })
})

describe('the way itself', () => {
  const servers: Server[] = []
  const sockets: Socket[] = []
  const releases: (() => void)[] = []

  afterEach(async () => {
    for (const release of releases.splice(0)) release()
    for (const socket of sockets.splice(0)) socket.destroy()
    for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve))
  })

  async function listener(answer: (socket: Socket) => void): Promise<number> {
    const server = createServer((socket) => {
      sockets.push(socket)
      socket.on('error', () => {})
      socket.once('data', () => answer(socket))
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return (server.address() as { port: number }).port
  }
  const at = (port: number, more = '') =>
    parseConnectionString(`host=127.0.0.1 port=${port} user=u connect_timeout=2 ${more}`)
  const never = new AbortController().signal

  test('ends where nothing listens', async () => {
    const { port, release } = await refusingPort()
    releases.push(release)
    expect(await reach(at(port), never)).toMatchObject({
      addresses: ['127.0.0.1'],
      tcp: { refused: [{ address: '127.0.0.1', error: 'ECONNREFUSED' }] },
      tls: null,
    })
  })

  test.each([
    ['N', { offered: false }],
    ['HTTP/1.1 400', { error: 'it answers as no PostgreSQL server does' }],
  ])('asks for TLS: %s', async (answer, tls) => {
    const port = await listener((socket) => socket.write(answer))
    expect((await reach(at(port), never)).tls).toEqual(tls)
    expect((await reach(at(port, 'sslmode=disable'), never)).tls).toBeNull()
  })

  test('gives up on a peer that says nothing, and at once when it is cancelled', async () => {
    const port = await listener(() => {})
    const controller = new AbortController()
    const cancelled = reach(at(port), controller.signal)
    setTimeout(() => controller.abort(), 50)
    await expect(cancelled).rejects.toThrow('cancelled')
    expect((await reach(at(port), never)).tls).toEqual({ error: 'ETIMEDOUT' })
  })

  test('is in the report, each step by itself', async () => {
    const context = newContext('preflight')
    const { port, release } = await refusingPort()
    releases.push(release)
    expect(await checkReach('target', at(port), context)).toBe(false)
    expect(context.report.checks.map(({ id, status, message }) => [id, status, message])).toEqual([
      ['target-dns', 'passed', '127.0.0.1 is 127.0.0.1'],
      ['target-tcp', 'failed', expect.stringContaining('connection refused')],
      ['target-tls', 'skipped', 'a step before it failed'],
      ['target-certificate', 'skipped', 'a step before it failed'],
    ])
  })
})
