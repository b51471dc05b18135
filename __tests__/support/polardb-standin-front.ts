import { once } from 'node:events'
import { createServer, type Socket, connect as tcpConnect } from 'node:net'
import pg from 'pg'
import { frame, Reader, send, types } from './polardb-standin-messages.ts'
import { type Imitation, imitate, settingNames } from './polardb-standin-statements.ts'
import { literal, statements } from './polardb-standin-tokens.ts'
import type { TestServer } from './server.ts'

const sslRequest = 80_877_103
const gssRequest = 80_877_104
const cancelRequest = 80_877_102
/** Longer messages go through unread: no role statement is that long, and multi-row INSERTs may be. */
const longestQuery = 4 * 1024 * 1024

const allTypes = types()
/** Query, Parse, Sync, FunctionCall */
const fromClientTypes = types('QPSF')
/** CommandComplete, ErrorResponse, EmptyQueryResponse, NoticeResponse, ReadyForQuery */
const fromServerTypes = types('CEINZ')
const readyForQuery = types('Z')

/** Where queries name PolarDB's settings. */
const settings = new RegExp(
  `((?:current_setting|set_config)\\s*\\(\\s*e?'|\\bname\\s*=\\s*e?')polar_(${settingNames.join('|')})(?=')`,
  'gi',
)

/** PolarDB needs no rows for the memberships of a polar_superuser; the stand-in's are shown to nobody. */
const memberships = /(?<!['"\w])pg_auth_members\b/gi

function rename(sql: string): string {
  return sql.replace(settings, '$1polar.$2').replace(memberships, 'polar_standin_auth_members')
}

/** How imported snapshots are misread: by database the older moment that an import means, or refused everywhere. */
export interface Snapshots {
  refused: boolean
  older: Map<string, string>
}

/** What comes back for one Query message that was changed. */
interface Expectation {
  /** For each statement sent, the command tag to show, or null to leave it. */
  tags: (string | null)[]
  /** Where the statements are in what was sent and in what the client wrote. */
  ranges: { sent: number; original: number }[]
  /** What the client wrote. */
  sql: string
  sent: string
  /** A query of the front's own: its messages are collected, not passed on. */
  own?: Buffer[]
  done?: () => void
}

/** The front: a TCP server that passes the protocol on, message by message, and changes what PolarDB does otherwise. */
export class StandInFront {
  readonly #backend: TestServer
  readonly #snapshots: Snapshots
  readonly #server = createServer((socket) => void this.#serve(socket))
  readonly #sockets = new Set<Socket>()

  constructor(backend: TestServer, snapshots: Snapshots) {
    this.#backend = backend
    this.#snapshots = snapshots
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    if (!address || typeof address === 'string') throw new Error('the front has no port')
    return address.port
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async #serve(client: Socket): Promise<void> {
    const server = tcpConnect(this.#backend.port, '127.0.0.1')
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        client.destroySoon()
        server.destroySoon()
      })
    }
    const session = new Session(client, server, this.#backend, this.#snapshots)
    try {
      await Promise.all([session.fromClient(), session.fromServer()])
    } catch {
      client.destroy() // a broken message or connection: the client sees it end, as with a server that dies
      server.destroy()
    }
  }
}

/** One client's connection. */
class Session {
  readonly #client: Socket
  readonly #server: Socket
  readonly #backend: TestServer
  readonly #snapshots: Snapshots
  #database = ''
  readonly #expected: (Expectation | null)[] = []
  #status = 'I'
  #begun = false
  #idle: (() => void) | undefined

  constructor(client: Socket, server: Socket, backend: TestServer, snapshots: Snapshots) {
    this.#client = client
    this.#server = server
    this.#backend = backend
    this.#snapshots = snapshots
  }

  async fromClient(): Promise<void> {
    const reader = new Reader(this.#client)
    const pass = (data: Buffer) => send(this.#server, data)
    if (!(await this.#startup(reader))) return
    for (;;) {
      const type = await reader.passUntil(() => fromClientTypes, pass)
      if (type === null) break
      if (!this.#begun) await this.#begin()
      const short = reader.length <= longestQuery
      if (type === 'Q' && short) await this.#query(await reader.message())
      else if (type === 'P' && short) await pass(this.#parse(await reader.message()))
      else {
        if (type !== 'P') this.#expected.push(null) // all but Parse end with ReadyForQuery
        await reader.stream(reader.length, pass)
      }
    }
    this.#server.end()
  }

  /** Before the session's first query, whatever that is. */
  async #begin(): Promise<void> {
    this.#begun = true
    await this.#quiet()
    const answer = await this.#ask('CALL pg_catalog.polar_standin_begin()')
    const error = answer.find((message) => message[0] === 0x45)
    if (error) throw new Error(error.toString())
  }

  /** @returns false where no session follows: a cancel request, or nothing at all */
  async #startup(reader: Reader): Promise<boolean> {
    for (;;) {
      const length = await reader.peekInteger(0)
      const code = await reader.peekInteger(4)
      if (length === null || code === null) return false
      const packet = await reader.take(length)
      if (code === sslRequest || code === gssRequest) {
        await send(this.#client, Buffer.from('N'))
        continue
      }
      if (code === cancelRequest) {
        await send(this.#server, packet)
        this.#server.end()
        return false
      }
      const parameters = packet.toString('utf8', 8).split('\0')
      this.#database = parameters[parameters.indexOf('database') + 1] ?? ''
      this.#begun = packet.includes('\0replication\0') // such a session knows no CALL
      this.#expected.push(null) // the end of authentication
      await send(this.#server, packet)
      return true
    }
  }

  async #query(message: Buffer): Promise<void> {
    const sql = message.toString('latin1', 5, message.length - 1)
    const renamed = rename(sql)
    const ranges = statements(renamed)
    const imitations = ranges.map(({ start, end }) => this.#imitate(renamed.slice(start, end)))
    const [first] = imitations
    if (first?.alone && imitations.length === 1) return this.#alone(first, renamed)
    if (!imitations.some((one) => one && !one.alone)) {
      this.#expected.push(null)
      return send(this.#server, renamed === sql ? message : frame('Q', renamed))
    }
    const expectation: Expectation = { tags: [], ranges: [], sql, sent: '' }
    for (const [index, { start, end }] of ranges.entries()) {
      const one = imitations[index]
      const imitation = one?.alone ? null : one
      const text = imitation?.sql ?? renamed.slice(start, end)
      expectation.tags.push(imitation?.tag ?? null)
      expectation.ranges.push({ sent: expectation.sent.length, original: start })
      expectation.sent += `${text};\n`
    }
    this.#expected.push(expectation)
    await send(this.#server, frame('Q', expectation.sent))
  }

  #imitate(text: string): Imitation | null {
    const imitation = imitate(text)
    if (!imitation?.snapshot) return imitation
    const older = this.#snapshots.older.get(this.#database)
    if (older !== undefined)
      return { ...imitation, sql: `SET TRANSACTION SNAPSHOT ${literal(older)}` }
    if (!this.#snapshots.refused) return null
    const refusal = `DO $$ BEGIN RAISE 'invalid snapshot data' USING ERRCODE = '22P02'; END $$`
    return { ...imitation, sql: refusal }
  }

  /** A statement that may not run in a transaction: the session is asked what PolarDB would do with it. */
  async #alone(imitation: Imitation, sql: string): Promise<void> {
    await this.#quiet()
    if (this.#status !== 'I') {
      this.#expected.push(null)
      return send(this.#server, frame('Q', sql))
    }
    const answer = await this.#ask(imitation.sql)
    const error = answer.find((message) => message[0] === 0x45)
    const ready = answer.at(-1) ?? Buffer.alloc(0)
    const notices = answer.filter((message) => message[0] === 0x4e)
    if (error)
      return send(this.#client, Buffer.concat([...notices, error, ready].map((one) => plain(one))))
    const row = answer.find((message) => message[0] === 0x44)
    const size = row?.readInt32BE(7) ?? -1
    if (!row || size < 0) {
      this.#expected.push(null)
      return send(this.#server, frame('Q', sql))
    }
    const order = row.toString('utf8', 11, 11 + size)
    const outcome = order === '' ? null : await this.#asSuperuser(order)
    const end = outcome ?? frame('C', imitation.tag)
    await send(this.#client, Buffer.concat([...notices.map((one) => plain(one)), end, ready]))
  }

  /** @returns an ErrorResponse, or null */
  async #asSuperuser(sql: string): Promise<Buffer | null> {
    const admin = await this.#backend.connect('postgres', { port: this.#backend.port })
    try {
      await admin.query(sql)
      return null
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error
      const fields = {
        S: error.severity,
        V: error.severity,
        C: error.code,
        M: error.message,
        D: error.detail,
        H: error.hint,
      }
      const given = Object.entries(fields).filter(([, value]) => value)
      return frame('E', given.map(([name, value]) => `${name}${value}\0`).join(''), 'utf8')
    } finally {
      await admin.end()
    }
  }

  /** Waits until every query so far is answered. */
  async #quiet(): Promise<void> {
    while (this.#expected.length > 0)
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
  }

  async #ask(sql: string): Promise<Buffer[]> {
    const own: Buffer[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#expected.push({ tags: [], ranges: [], sql, sent: sql, own, done: resolve })
    await send(this.#server, frame('Q', sql))
    await promise
    return own
  }

  #parse(message: Buffer): Buffer {
    const name = message.indexOf(0, 5) + 1
    const end = message.indexOf(0, name)
    const sql = message.toString('latin1', name, end)
    let changed = rename(sql)
    const imitation = this.#imitate(changed)
    if (imitation?.tag === 'SHOW') changed = imitation.sql
    else if (imitation) {
      const reason = 'the PolarDB stand-in takes this statement in the simple query protocol only'
      changed = `DO $$ BEGIN RAISE ${literal(reason)} USING ERRCODE = '0A000'; END $$`
    }
    if (changed === sql) return message
    const body = [message.subarray(5, name), Buffer.from(changed, 'latin1'), message.subarray(end)]
    return frame('P', Buffer.concat(body))
  }

  async fromServer(): Promise<void> {
    const reader = new Reader(this.#server)
    const pass = (data: Buffer) => send(this.#client, data)
    for (;;) {
      const type = await reader.passUntil(() => {
        const [expectation] = this.#expected
        if (expectation?.own) return allTypes
        return expectation ? fromServerTypes : readyForQuery
      }, pass)
      if (type === null) break
      const message = await reader.message()
      const now = this.#expected[0]
      if (type === 'Z') {
        this.#status = String.fromCharCode(message[5] ?? 0)
        this.#expected.shift()
      }
      if (now?.own) now.own.push(message)
      else await pass(now ? translate(message, now) : message)
      if (type !== 'Z') continue
      now?.done?.()
      this.#idle?.()
    }
    this.#client.end()
  }
}

/** A message for the client: the tag of the statement that it wrote, and errors without the procedure's part in them. */
function translate(message: Buffer, expectation: Expectation): Buffer {
  const type = String.fromCharCode(message[0] ?? 0)
  if (type === 'C' || type === 'I') {
    const tag = expectation.tags.shift()
    const own = type === 'C' && /^(CALL|SELECT)\b/.test(message.toString('latin1', 5))
    return tag && own ? frame('C', tag) : message
  }
  return type === 'E' || type === 'N' ? plain(message, expectation) : message
}

/** An error or a notice without the context of the stand-in's procedures, its position in the client's text. */
function plain(message: Buffer, expectation?: Expectation): Buffer {
  if (message[0] !== 0x45 && message[0] !== 0x4e) return message
  const fields = new Map(
    message
      .toString('latin1', 5)
      .split('\0')
      .filter(Boolean)
      .map((field) => [field.charAt(0), field.slice(1)]),
  )
  const imitated = /PL\/pgSQL function (pg_catalog\.)?polar_standin_/.test(fields.get('W') ?? '')
  const query = fields.get('q')
  const inner = Number(fields.get('p'))
  if (imitated) for (const name of ['W', 'q', 'p', 'P']) fields.delete(name)
  const position = Number(fields.get('P'))
  const range = expectation?.ranges[expectation.ranges.length - expectation.tags.length]
  if (expectation && range) {
    const start = characters(expectation.sql.slice(0, range.original))
    const shift = start - characters(expectation.sent.slice(0, range.sent))
    if (imitated && query && inner > 0) fields.set('P', String(start + inner))
    else if (position > 0) fields.set('P', String(position + shift))
  }
  const text = [...fields].map(([name, value]) => `${name}${value}\0`).join('')
  return frame(String.fromCharCode(message[0] ?? 0), text)
}

/** How many characters these bytes are, UTF-8 supposed: positions count characters. */
function characters(bytes: string): number {
  return bytes.replace(/[\x80-\xbf]/g, '').length
}
