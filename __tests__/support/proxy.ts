import { connect, createServer, type Server, type Socket } from 'node:net'
import { Conversation } from './conversation.ts'

/** What a bad network does to a connection. */
export type Disturbance =
  /** Nothing: it is only said that what was waited for went by. */
  | 'none'
  /** Both ends see it closed. */
  | 'cut'
  /** Both ends see a reset (RST). */
  | 'reset'
  /** Nothing is passed on any more, and nothing is closed. */
  | 'stall'
  /** Nothing is passed on until release(), and nothing is lost. */
  | 'hold'
  /** A few kilobytes at a time. */
  | 'slow'
  /** What the client has sent arrives, the answer does not: the client's side is closed. */
  | 'swallow'
  /** Of what the server says from then on so many bytes arrive (see TcpProxy.portion), and the rest when it is released. */
  | 'portion'

/** What else a connection must be, and when it is disturbed. */
interface Rules {
  /** That connection alone is held before, until this is so. */
  until?: () => Promise<unknown>
  /** What it has asked before. */
  after?: RegExp
}

interface Rule extends Rules {
  pattern: RegExp | Buffer
  disturbance: Disturbance
  met: () => void
}

/** Whether a pattern ends in bytes that go by now; it may have begun in those before them, of the same message. */
function endsIn(pattern: RegExp | Buffer, before: Buffer, bytes: Buffer): boolean {
  const all = before.length === 0 ? bytes : Buffer.concat([before, bytes])
  if (Buffer.isBuffer(pattern))
    return all.includes(pattern, Math.max(0, before.length - pattern.length + 1))
  const text = all.toString('latin1')
  if (before.length === 0) return pattern.test(text)
  for (const found of text.matchAll(new RegExp(pattern, `${pattern.flags}g`)))
    if (found.index + found[0].length > before.length) return true
  return false
}

/** A connection of a client through the proxy to the server. */
class Link {
  private readonly client: Socket
  private readonly server: Socket
  readonly conversation: Conversation
  private stalled = false
  private slow = false
  private held = false
  /** Bytes of the server that still pass. */
  private portion = Number.POSITIVE_INFINITY
  private readonly released = Promise.withResolvers<void>()

  constructor(
    client: Socket,
    port: number,
    sees: (link: Link, before: Buffer, bytes: Buffer) => void,
    conversation: Conversation,
  ) {
    this.client = client
    this.server = connect(port, '127.0.0.1')
    this.conversation = conversation
    const pass = (from: Socket, to: Socket) => {
      from.on('data', (bytes: Buffer) => {
        if (from === client) sees(this, conversation.asks(bytes), bytes)
        else conversation.hears()
        if (this.stalled || to.destroyed) return
        if (from === this.server && this.portion < bytes.length) {
          from.pause()
          to.write(bytes.subarray(0, this.portion))
          const rest = bytes.subarray(this.portion)
          this.portion = 0
          void this.released.promise.then(() => {
            this.portion = Number.POSITIVE_INFINITY
            to.write(rest)
            from.resume()
          })
          return
        }
        if (from === this.server) this.portion -= bytes.length
        if (!this.slow) {
          if (!to.write(bytes)) {
            from.pause()
            to.once('drain', () => this.goOn(from))
          }
          return
        }
        from.pause()
        const trickle = (rest: Buffer) => {
          if (to.destroyed || this.stalled) return
          to.write(rest.subarray(0, 8192))
          const left = rest.subarray(8192)
          setTimeout(() => (left.length > 0 ? trickle(left) : this.goOn(from)), 5)
        }
        trickle(bytes)
      })
      from.on('error', () => {})
      from.on('close', () => {
        if (!this.stalled) to.destroy()
      })
    }
    pass(client, this.server)
    pass(this.server, client)
  }

  disturb(disturbance: Disturbance, portion: number): void {
    const { client, server } = this
    switch (disturbance) {
      case 'none':
        break
      case 'cut':
        client.destroy()
        server.destroy()
        break
      case 'reset':
        client.resetAndDestroy()
        server.resetAndDestroy()
        break
      case 'stall':
        this.stalled = true
        break
      case 'hold':
        this.held = true
        client.pause()
        server.pause()
        break
      case 'slow':
        this.slow = true
        break
      case 'portion':
        this.portion = portion
        break
      case 'swallow':
        // the server works on for a client that is gone, as after a cable was pulled
        client.removeAllListeners('close')
        client.destroy()
        break
    }
  }

  private goOn(socket: Socket): void {
    if (!this.held) socket.resume()
  }

  release(): void {
    this.released.resolve()
    if (!this.held) return
    this.held = false
    this.client.resume()
    this.server.resume()
  }

  get open(): boolean {
    return !this.client.destroyed
  }

  get isStalled(): boolean {
    return this.stalled
  }

  /** Neither side has anything of it any more; the server's side of what stalls stays when its client is gone. */
  get over(): boolean {
    return this.client.destroyed && this.server.destroyed
  }

  close(): void {
    this.client.destroy()
    this.server.destroy()
  }
}

/** A TCP proxy before a server that can do to its connections what networks do. */
export class TcpProxy {
  readonly port: number
  private readonly server: Server
  private links: Link[] = []
  private rules: Rule[] = []
  /** New connections get no answer either. */
  deaf = false
  /** What the clients said, by connection, where `listens`. */
  readonly conversations: Conversation[] = []
  /** What new connections say is kept. */
  listens = false

  /** Bytes that pass of a connection that is to have a portion. */
  portion = 1024 * 1024

  private constructor(server: Server, port: number) {
    this.server = server
    this.port = port
  }

  /** @param port of the server on 127.0.0.1 */
  static async start(port: number): Promise<TcpProxy> {
    let proxy: TcpProxy | undefined
    const server = createServer((socket) => proxy?.accept(socket, port))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
    proxy = new TcpProxy(server, address.port)
    return proxy
  }

  private accept(socket: Socket, port: number): void {
    const conversation = new Conversation()
    if (this.listens) this.conversations.push(conversation)
    const link = new Link(socket, port, (...seen) => this.see(...seen), conversation)
    if (this.deaf) link.disturb('stall', this.portion)
    this.links = this.links.filter((one) => !one.over)
    this.links.push(link)
  }

  private see(link: Link, before: Buffer, bytes: Buffer): void {
    if (this.rules.length === 0) return
    const { statements } = link.conversation
    const rule = this.rules.find(
      ({ pattern, after }) =>
        endsIn(pattern, before, bytes) &&
        (after === undefined || statements.some((one) => after.test(one))),
    )
    if (!rule) return
    this.rules = this.rules.filter((one) => one !== rule)
    // after this chunk went out
    setImmediate(async () => {
      if (rule.until) {
        link.disturb('hold', this.portion)
        await rule.until()
        link.release()
      }
      link.disturb(rule.disturbance, this.portion)
      rule.met()
    })
  }

  /**
   * Disturbs the first connection whose client sends something that matches, right after that.
   *
   * @returns when it has
   */
  when(pattern: RegExp | Buffer, disturbance: Disturbance, rules: Rules = {}): Promise<void> {
    return new Promise((met) => {
      this.rules.push({ pattern, disturbance, ...rules, met })
    })
  }

  /** The same for one of those that match, by its number from 1 on: several of them may come at the same time. */
  nth(number: number, pattern: RegExp | Buffer, disturbance: Disturbance): Promise<void> {
    for (let before = 1; before < number; before++) void this.when(pattern, 'none')
    return this.when(pattern, disturbance)
  }

  /** Disturbs every connection that is open now. @returns how many that were */
  disturb(disturbance: Disturbance): number {
    const open = this.links.filter((link) => link.open)
    for (const link of open) link.disturb(disturbance, this.portion)
    return open.length
  }

  /** How many connections pass nothing on any more. */
  get stalled(): number {
    return this.links.filter((link) => link.isStalled && link.open).length
  }

  /** Lets what is held go on. */
  release(): void {
    for (const link of this.links) link.release()
  }

  /** Closes both ends of what is stalled, as a router that comes back does: neither tells the other by itself. */
  closeStalled(): void {
    for (const link of this.links) if (link.isStalled) link.close()
  }

  /** Closes every connection, also those that no longer pass anything on. */
  close(): void {
    for (const link of this.links) link.close()
  }

  /** Forgets what it was to wait for, and lets what is held go on. */
  calm(): void {
    this.rules = []
    this.deaf = false
    this.release()
  }

  async stop(): Promise<void> {
    this.close()
    await new Promise<void>((resolve) => this.server.close(() => resolve()))
  }
}

/** The same URI with the port of the proxy, without TLS: what goes through it is looked at. */
export function through(proxy: TcpProxy, uri: string): string {
  const url = new URL(uri)
  url.port = String(proxy.port)
  url.searchParams.set('sslmode', 'disable')
  return url.href
}
