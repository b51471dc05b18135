import type { Socket } from 'node:net'
import type pg from 'pg'

/** What of the protocol's messages a COPY is told by `pg`, whose types leave it out. */
interface CopyConnection extends pg.Connection {
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
}

/**
 * A COPY as a query of `pg`, which brings none of its own (PostgreSQL, "Message Flow", COPY Operations). Whatever is read is
 * handed on and not kept.
 */
class Copy {
  readonly done: Promise<void>
  private readonly statement: string
  private readonly take: (chunk: Buffer) => void
  private readonly give: Iterable<Buffer>
  private readonly settle: { resolve: () => void; reject: (error: unknown) => void }
  private failed = false

  constructor(
    statement: string,
    { take = () => {}, give = [] }: { take?: (chunk: Buffer) => void; give?: Iterable<Buffer> },
  ) {
    this.statement = statement
    this.take = take
    this.give = give
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.done = promise
    this.settle = { resolve, reject }
  }

  submit(connection: pg.Connection): void {
    connection.query(this.statement)
  }

  handleCopyData({ chunk }: { chunk: Buffer }): void {
    this.take(chunk)
  }

  handleCopyInResponse(connection: CopyConnection): void {
    for (const chunk of this.give) connection.sendCopyFromChunk(chunk)
    connection.endCopyFrom()
  }

  handleError(error: unknown): void {
    this.failed = true
    this.settle.reject(error)
  }

  handleReadyForQuery(): void {
    if (!this.failed) this.settle.resolve()
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
}

/**
 * Runs a `COPY … TO STDOUT`.
 *
 * @param take gets what the server sends, in pieces of any size (one row each, mostly)
 * @throws the server's error, or that of a connection that was lost
 */
export async function copyOut(
  client: pg.Client,
  statement: string,
  take: (chunk: Buffer) => void,
): Promise<void> {
  const copy = new Copy(statement, { take })
  client.query(copy)
  await copy.done
}

/**
 * Runs a `COPY … FROM STDIN` with a few megabytes: all of them are handed to the socket at once.
 *
 * @param rows in the format that the statement names
 * @throws the server's error, or that of a connection that was lost
 */
export async function copyIn(
  client: pg.Client,
  statement: string,
  rows: Iterable<Buffer>,
): Promise<void> {
  const copy = new Copy(statement, { give: rows })
  client.query(copy)
  await copy.done
}

/**
 * A `COPY … FROM STDIN` that is fed piece by piece, as a query of `pg`: `client.query(copy)` begins it. Any number of bytes may
 * go through it, as fast as the server takes them: who sends waits for `drained` between pieces.
 */
export class CopyIn {
  /** Resolves when the server waits for rows. */
  readonly begun: Promise<void>
  /** Resolves with the number of rows once the server has taken all of them; rejects with its error, or that of a lost connection. */
  readonly done: Promise<number>
  private readonly statement: string
  private readonly beginning = Promise.withResolvers<void>()
  private readonly ending = Promise.withResolvers<number>()
  private stream: Socket | undefined
  private state: 'asked' | 'takes rows' | 'over' = 'asked'
  private rows: number | undefined
  private draining: Promise<void> | undefined

  constructor(statement: string) {
    this.statement = statement
    this.begun = this.beginning.promise
    this.done = this.ending.promise
    // whoever has given up does not ask any more
    this.begun.catch(() => {})
    this.done.catch(() => {})
  }

  /** The server waits for rows, and all that were sent are on their way: a watchdog has nothing to wait for (see watchSession). */
  get awaitsUs(): boolean {
    return this.state === 'takes rows' && this.queued === 0
  }

  /** Bytes that were sent and that the connection has not taken yet. */
  get queued(): number {
    return this.stream?.writableLength ?? 0
  }

  /** Whether to wait for `drained` before more is sent. */
  get isFull(): boolean {
    const { stream } = this
    // of a lost connection `done` tells: nobody waits for it here
    return stream !== undefined && !stream.destroyed && stream.writableNeedDrain
  }

  /** Resolves once more may be sent, and also when the connection is lost, of which `done` tells. Never rejects. */
  drained(): Promise<void> {
    const { stream } = this
    if (!stream || !this.isFull) return Promise.resolve()
    this.draining ??= new Promise((resolve) => {
      const go = () => {
        stream.off('drain', go)
        stream.off('close', go)
        this.draining = undefined
        resolve()
      }
      stream.on('drain', go)
      stream.on('close', go)
    })
    return this.draining
  }

  /** Sends bytes, which need not be whole rows (PostgreSQL, "Message Formats", CopyData). */
  send(bytes: Buffer): void {
    const { stream } = this
    if (this.state !== 'takes rows' || !stream?.writable) return
    const head = Buffer.alloc(5, 'd')
    head.writeInt32BE(4 + bytes.length, 1)
    // not copied into one message: these are gigabytes
    stream.cork()
    stream.write(head)
    stream.write(bytes)
    stream.uncork()
  }

  /** There are no more rows. */
  end(): void {
    if (this.state !== 'takes rows') return
    this.state = 'over'
    if (this.stream?.writable) this.stream.write(Buffer.from([0x63, 0, 0, 0, 4]))
  }

  submit(connection: pg.Connection): void {
    this.stream = connection.stream as Socket
    connection.query(this.statement)
  }

  handleCopyInResponse(): void {
    this.state = 'takes rows'
    this.beginning.resolve()
  }

  handleError(error: unknown): void {
    this.state = 'over'
    this.beginning.reject(error)
    this.ending.reject(error)
  }

  handleCommandComplete({ text }: { text: string }): void {
    const rows = /^COPY (\d+)$/.exec(text)?.[1]
    if (rows !== undefined) this.rows = Number(rows)
  }

  handleReadyForQuery(): void {
    if (this.rows === undefined)
      this.handleError(new Error('the server did not say how many rows it has taken'))
    else this.ending.resolve(this.rows)
  }

  handleCopyData(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleEmptyQuery(): void {}
}
