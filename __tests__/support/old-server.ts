import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'

/** A row as text, by column; null is null. */
export type AnswerRow = Record<string, string | null>

/** What a statement that matches is answered with. */
export interface Answer {
  statement: RegExp
  rows: (statement: string) => AnswerRow[]
}

/**
 * What speaks PostgreSQL's protocol as a server of some version does (PostgreSQL, "Message Formats"), keeps every statement,
 * and answers from a list, or with no rows. It runs nothing: no server this old can be installed here.
 */
export class OldServer {
  /** Every statement, of all sessions. */
  readonly statements: string[] = []
  /** What the startup packets named. */
  readonly startup: string[] = []
  readonly number: number
  private readonly version: string
  private readonly answers: readonly Answer[]
  private readonly server: Server
  private readonly sockets = new Set<Socket>()

  private constructor(number: number, answers: readonly Answer[]) {
    this.number = number
    const [first, second, third] = [number / 10_000, (number / 100) % 100, number % 100].map(
      Math.floor,
    )
    this.version = number < 100_000 ? `${first}.${second}.${third}` : `${first}.${third}`
    this.answers = answers
    this.server = createServer((socket) => this.serve(socket))
  }

  static async start(number: number, answers: readonly Answer[]): Promise<OldServer> {
    const old = new OldServer(number, answers)
    await new Promise<void>((done) => old.server.listen(0, '127.0.0.1', done))
    return old
  }

  uri(database = 'shop'): string {
    return `postgresql://reader@127.0.0.1:${(this.server.address() as AddressInfo).port}/${database}?sslmode=disable`
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise((done) => this.server.close(done))
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket)
    socket.on('error', () => {}).on('close', () => this.sockets.delete(socket))
    let buffer: Buffer = Buffer.alloc(0)
    let started = false
    let prepared = ''
    // the packet's search_path is shown as it came, until a statement sets it
    let isSet = false
    const answer = (sql: string) => {
      isSet ||= sql.startsWith('SET search_path')
      const asCame = sql === 'SHOW search_path' && !isSet
      return this.result(sql, true, asCame ? [{ search_path: 'pg_catalog,pg_temp' }] : undefined)
    }
    socket.on('data', (data) => {
      buffer = Buffer.concat([buffer, data])
      for (;;) {
        const header = started ? 1 : 0
        if (buffer.length < header + 4) return
        const length = buffer.readInt32BE(header) + header
        if (buffer.length < length) return
        const type = started ? String.fromCharCode(buffer[0] ?? 0) : 'start'
        const body = buffer.subarray(header + 4, length)
        buffer = buffer.subarray(length)
        if (type === 'start') {
          const refused = this.refusal(body)
          socket.write(refused ?? this.welcome())
          if (refused) return void socket.end()
          started = true
        } else if (type === 'Q') {
          const statements = body.toString('utf8', 0, body.length - 1).split(/; (?=SET|SHOW)/)
          socket.write(Buffer.concat([...statements.map(answer), ready]))
        } else if (type === 'P') {
          prepared =
            body
              .subarray(body.indexOf(0) + 1)
              .toString('utf8')
              .split('\0', 1)[0] ?? ''
          socket.write(message('1'))
        } else if (type === 'B') socket.write(message('2'))
        else if (type === 'E') socket.write(this.result(prepared, false))
        else if (type === 'D') socket.write(described(this.rowsOf(prepared)))
        else if (type === 'S') socket.write(ready)
        else if (type === 'X') return void socket.end()
      }
    })
  }

  /** An unknown name in the startup packet keeps everybody out, as it does on a server. */
  private refusal(body: Buffer): Buffer | undefined {
    const text = body.subarray(4).toString()
    this.startup.push(text)
    const newer: [string, number][] = [
      ['event_triggers', 170_000],
      ['application_name', 90_000],
    ]
    const name = newer.find(([word, since]) => text.includes(word) && this.number < since)?.[0]
    if (!name) return undefined
    const words = `unrecognized configuration parameter "${name}"`
    return message('E', `SFATAL\0C42704\0M${words}\0\0`)
  }

  private welcome(): Buffer {
    const parameter = (name: string, value: string) => message('S', `${name}\0${value}\0`)
    const authenticated = message('R', Buffer.alloc(4))
    return Buffer.concat([authenticated, parameter('server_version', this.version), ready])
  }

  private rowsOf(statement: string): AnswerRow[] {
    if (/current_setting\('server_version_num'\)/.test(statement)) {
      return [{ version: this.version, number: String(this.number) }]
    }
    if (statement === 'SHOW server_version_num') return [{ number: String(this.number) }]
    if (statement === 'SHOW server_version') return [{ version: this.version }]
    return this.answers.find((answer) => answer.statement.test(statement))?.rows(statement) ?? []
  }

  private result(statement: string, describe: boolean, answer = this.rowsOf(statement)): Buffer {
    this.statements.push(statement)
    const rows = answer.map((row) => {
      const values = Object.values(row).map((value) => {
        const bytes = Buffer.from(value ?? '')
        return Buffer.concat([int32(value === null ? -1 : bytes.length), bytes])
      })
      return message('D', Buffer.concat([int16(values.length), ...values]))
    })
    const done = message('C', `SELECT ${rows.length}\0`)
    return Buffer.concat([...(describe ? [described(answer)] : []), ...rows, done])
  }
}

/** The columns of an answer: arrays of text where a value looks like one (`{…}`), else text. */
function described(rows: readonly AnswerRow[]): Buffer {
  const columns = Object.keys(rows[0] ?? {})
  const fields = columns.map((name) => {
    const end = Buffer.alloc(18)
    end.writeInt32BE(rows[0]?.[name]?.startsWith('{') ? 1009 : 25, 6)
    end.writeInt16BE(-1, 10)
    return Buffer.concat([Buffer.from(`${name}\0`), end])
  })
  return message('T', Buffer.concat([int16(columns.length), ...fields]))
}

function int16(value: number): Buffer {
  const buffer = Buffer.alloc(2)
  buffer.writeInt16BE(value)
  return buffer
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32BE(value)
  return buffer
}

function message(type: string, body: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(body)
  return Buffer.concat([Buffer.from(type), int32(bytes.length + 4), bytes])
}

const ready = message('Z', 'I')
