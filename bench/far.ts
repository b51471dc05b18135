import { connect, createServer, type Socket } from 'node:net'

/**
 * Milliseconds of a line that may wait before it, as in the queue of a router: a sender is woken late by a millisecond or more, and
 * without a queue the line would be idle until then. A single connection would never get the rate that several get together.
 */
const queued = 20

/** A line on which bytes follow one another, whoever sends them. Times are milliseconds of one clock. */
export class Line {
  private readonly bytesPerMillisecond: number
  /** When all that was sent is on its way. */
  private free = 0

  /** @param rate bits per second */
  constructor(rate: number) {
    this.bytesPerMillisecond = rate / 8 / 1000
  }

  /** @returns when the last of so many bytes is on its way, and how long the sender waits with the next ones */
  send(bytes: number, now: number): { sent: number; pause: number } {
    this.free = Math.max(now, this.free) + bytes / this.bytesPerMillisecond
    return { sent: this.free, pause: Math.max(0, this.free - now - queued) }
  }
}

/**
 * A way to a server that is far away: every connection through it shares one rate, and every byte is late. A line of
 * its own rather than the kernel's, so that no rights and no network namespace are needed.
 *
 * @param port of the server on 127.0.0.1
 * @param rate bits per second, towards the client, of all connections together
 * @param delay milliseconds, each way
 */
export async function far(
  port: number,
  rate: number,
  delay: number,
): Promise<{ port: number; stop(): Promise<void> }> {
  const line = new Line(rate)
  const sockets = new Set<Socket>()
  /** Hands on what comes from one socket to another, in its order. */
  const carry = (from: Socket, to: Socket, limited: boolean) => {
    const underway: { chunk: Buffer | null; due: number }[] = []
    const arrive = () => {
      for (let [first] = underway; first; [first] = underway) {
        const wait = first.due - performance.now()
        if (wait > 0) {
          setTimeout(arrive, Math.ceil(wait))
          return
        }
        underway.shift()
        if (first.chunk === null) to.end()
        else if (!to.destroyed) to.write(first.chunk)
      }
    }
    const send = (chunk: Buffer | null) => {
      const now = performance.now()
      const { sent, pause } = limited ? line.send(chunk?.length ?? 0, now) : { sent: now, pause: 0 }
      underway.push({ chunk, due: sent + delay })
      if (underway.length === 1) arrive()
      // the next follows when there is room before the line and the other end keeps up, not when this one has arrived
      from.pause()
      const go = () => {
        if (to.writableLength > 1024 * 1024) to.once('drain', go)
        else from.resume()
      }
      if (pause < 1) go()
      else setTimeout(go, pause)
    }
    from.on('data', send)
    from.on('end', () => send(null))
  }
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay()
      socket.on('close', () => sockets.delete(socket))
      socket.on('error', () => {
        client.destroy()
        upstream.destroy()
      })
    }
    carry(client, upstream, false)
    carry(upstream, client, true)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it has no port')
  return {
    port: address.port,
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
