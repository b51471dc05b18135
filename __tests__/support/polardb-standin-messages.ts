import type { Socket } from 'node:net'

/** A message. A text is one byte a character unless the encoding says otherwise, and ends with a zero byte. */
export function frame(
  type: string,
  body: string | Buffer,
  encoding: BufferEncoding = 'latin1',
): Buffer {
  const content = typeof body === 'string' ? Buffer.from(`${body}\0`, encoding) : body
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(content.length + 4, 1)
  return Buffer.concat([head, content])
}

/** Writes with back-pressure: a slow reader slows the writer down. */
export async function send(socket: Socket, data: Buffer): Promise<void> {
  if (data.length === 0 || socket.write(data)) return
  if (socket.destroyed) throw new Error('the connection is closed')
  await new Promise<void>((resolve) => {
    const go = () => {
      socket.off('drain', go)
      socket.off('close', go)
      resolve()
    }
    socket.on('drain', go)
    socket.on('close', go)
  })
}

/** Reads messages from a socket. */
export class Reader {
  readonly #chunks: AsyncIterator<Buffer>
  #buffer: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.#chunks = socket[Symbol.asyncIterator]()
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#chunks.next()
    if (done) return false
    this.#buffer = this.#buffer.length > 0 ? Buffer.concat([this.#buffer, value]) : value
    return true
  }

  /** @returns null at the end of the connection */
  async peekInteger(offset: number): Promise<number | null> {
    while (this.#buffer.length < offset + 4) if (!(await this.#more())) return null
    return this.#buffer.readInt32BE(offset)
  }

  async take(length: number): Promise<Buffer> {
    while (this.#buffer.length < length)
      if (!(await this.#more())) throw new Error('the connection ended within a message')
    const taken = this.#buffer.subarray(0, length)
    this.#buffer = this.#buffer.subarray(length)
    return taken
  }

  /** The length of the message at the front of the buffer, its type included. */
  get length(): number {
    return this.#buffer.readInt32BE(1) + 1
  }

  /** The message at the front of the buffer. */
  async message(): Promise<Buffer> {
    return this.take(this.length)
  }

  /** Hands on so many bytes as they arrive, without waiting for the last. */
  async stream(length: number, pass: (data: Buffer) => Promise<void>): Promise<void> {
    for (let missing = length; missing > 0; ) {
      if (this.#buffer.length === 0 && !(await this.#more())) return
      const part = this.#buffer.subarray(0, Math.min(missing, this.#buffer.length))
      this.#buffer = this.#buffer.subarray(part.length)
      missing -= part.length
      await pass(part)
    }
  }

  /**
   * Hands messages on until one of the wanted types comes, which stays in the buffer: its type is returned, or null at
   * the end. Runs of messages go on in one piece, and long ones as they arrive, so that COPY is as fast as the sockets.
   *
   * @param wanted asked anew whenever bytes have come
   */
  async passUntil(
    wanted: () => Types,
    pass: (data: Buffer) => Promise<void>,
  ): Promise<string | null> {
    for (;;) {
      const types = wanted()
      let at = 0
      let found: number | undefined
      while (at + 5 <= this.#buffer.length && found === undefined) {
        const type = this.#buffer[at] ?? 0
        if (types[type]) found = type
        else at += this.#buffer.readInt32BE(at + 1) + 1
      }
      await this.stream(at, pass)
      if (found !== undefined) return String.fromCharCode(found)
      if (this.#buffer.length < 5 && !(await this.#more())) return null
    }
  }
}

/** For each byte whether it is a wanted message type. */
export type Types = boolean[]

export function types(letters?: string): Types {
  const table = new Array<boolean>(256).fill(letters === undefined)
  for (const letter of letters ?? '') table[letter.charCodeAt(0)] = true
  return table
}
