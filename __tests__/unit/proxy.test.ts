import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { TcpProxy } from '../support/proxy.ts'

let server: Server
let proxy: TcpProxy
let client: Socket
/** What has arrived behind the proxy. */
let arrived: Buffer

beforeEach(async () => {
  arrived = Buffer.alloc(0)
  server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      arrived = Buffer.concat([arrived, bytes])
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  proxy = await TcpProxy.start((server.address() as { port: number }).port)
  proxy.listens = true
  client = connect(proxy.port, '127.0.0.1')
  client.on('error', () => {})
})
afterEach(async () => {
  client.destroy()
  await proxy.stop()
  await new Promise((resolve) => server.close(resolve))
})

/** Sends bytes, and waits until they are behind the proxy: they are no part of what is sent next. */
async function send(bytes: Buffer): Promise<void> {
  const all = arrived.length + bytes.length
  client.write(bytes)
  while (arrived.length < all) await new Promise(setImmediate)
}

const withLength = (type: string, body: string) => {
  const bytes = Buffer.from(`${type}\0\0\0\0${body}\0`)
  bytes.writeInt32BE(bytes.length - type.length, type.length)
  return bytes
}
const startup = withLength('', '\0\x03\0\0user\0me\0')
const query = (sql: string) => withLength('Q', sql)

/** Which of several promises are kept by now. */
async function kept(all: Promise<void>[]): Promise<boolean[]> {
  const done = all.map(() => false)
  all.forEach((one, at) => {
    void one.then(() => {
      done[at] = true
    })
  })
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
  return done
}

test.each<[string, RegExp | Buffer]>([
  ['a text', /COPY public\.big /],
  ['a text with what is before it', /SELECT 1.* COPY public\.big /],
  ['bytes', Buffer.from('COPY public.big ')],
])('%s is seen once, wherever the network cuts it', async (_, pattern) => {
  const met = [proxy.when(pattern, 'none'), proxy.when(pattern, 'none')]
  await send(startup)
  const sql = query(`SELECT 1, $$ COPY public.big ${'x'.repeat(100)}$$`)
  const at = sql.indexOf('public')
  await send(sql.subarray(0, at))
  expect(await kept(met)).toEqual([false, false])
  await send(sql.subarray(at, at + 30))
  expect(await kept(met)).toEqual([true, false])
  await send(Buffer.concat([sql.subarray(at + 30), query('SELECT 2'), sql.subarray(0, 3)]))
  expect(await kept(met)).toEqual([true, false])
  await send(sql.subarray(3))
  expect(await kept(met)).toEqual([true, true])
  expect(proxy.conversations[0]?.statements).toHaveLength(3)
})

test('what is too long, or no message, is passed on, and what follows the one is seen', async () => {
  const met = proxy.when(/SELECT 3/, 'none')
  await send(startup)
  const long = query('y'.repeat(3_000_000))
  await send(long.subarray(0, 1_500_000))
  await send(Buffer.concat([long.subarray(1_500_000), query('SELECT 3')]))
  await met
  expect(proxy.conversations[0]?.statements).toEqual(['SELECT 3'])
  await send(Buffer.from('\x16\xff\xff\xff\xff', 'latin1'))
  await send(query('SELECT 4'))
})

test('a connection that has asked something else before is not meant', async () => {
  const met = [/COPY b/, /COPY a/].map((after) => proxy.when(/SELECT 1/, 'none', { after }))
  await send(Buffer.concat([startup, query('COPY a'), query('SELECT 1')]))
  expect(await kept(met)).toEqual([false, true])
})

test('a connection is held until something is so, and disturbed then', async () => {
  const so = Promise.withResolvers<void>()
  const met = [proxy.when(/SELECT 1/, 'cut', { until: () => so.promise })]
  await send(Buffer.concat([startup, query('SELECT 1')]))
  const before = arrived.length
  client.write(query('SELECT 2'))
  expect(await kept(met)).toEqual([false])
  so.resolve()
  await Promise.all([...met, once(client, 'close')])
  expect(arrived).toHaveLength(before)
})
