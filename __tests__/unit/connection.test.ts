import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from '@jest/globals'
import { Cancelled } from '../../src/failure.ts'
import { connect } from '../../src/postgres/connection.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'

const sockets: Socket[] = []
const silent = createServer((socket) => sockets.push(socket.on('error', () => {})))

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  silent.close()
  await once(silent, 'close')
})

test('a session that is begun with a silent server is given up at once by the signal', async () => {
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as AddressInfo
  const stop = new AbortController()
  const uri = `postgresql://u@127.0.0.1:${port}/d?sslmode=disable&connect_timeout=3600`
  const beginning = connect(parseConnectionString(uri), { signal: stop.signal })
  beginning.catch(() => {})
  const [socket] = (await once(silent, 'connection')) as [Socket]
  const closed = once(socket.resume(), 'close')
  stop.abort()
  await expect(beginning).rejects.toBeInstanceOf(Cancelled)
  await closed
})
