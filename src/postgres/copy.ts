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
