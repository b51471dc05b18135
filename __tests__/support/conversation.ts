/** Bytes of the longest message that is looked at. */
const longest = 1024 * 1024

/** What a client says on one connection, counted: it is told of the bytes of both directions as they go by, without TLS. */
export class Conversation {
  /** Of the startup packet: `database`, `user`, `application_name`, `options`. */
  readonly settings: Record<string, string> = {}
  /** The texts of what it asked, simple queries and parsed statements, in their order. */
  readonly statements: string[] = []
  /** How often it waited for an answer before it went on: what a server far away costs. */
  roundTrips = 0
  private begun = false
  private waits = false
  private rest = Buffer.alloc(0)
  /** Bytes still to come of what is not looked at. */
  private passing = 0

  /**
   * Bytes from the client.
   *
   * @returns what came before of the message that they begin with: the network may cut one in two anywhere
   */
  asks(bytes: Buffer): Buffer {
    this.waits = true
    const before = this.rest
    const passed = Math.min(this.passing, bytes.length)
    this.passing -= passed
    this.rest = Buffer.concat([before, bytes.subarray(passed)])
    for (let length = this.next(); length > 0; length = this.next()) {
      this.read(this.rest.subarray(0, length))
      this.rest = this.rest.subarray(length)
    }
    return before
  }

  /** Bytes from the server. */
  hears(): void {
    if (this.waits) this.roundTrips++
    this.waits = false
  }

  /** Length of the next message, 0 while it is not whole: the first ones have no type (PostgreSQL, "Message Formats"). */
  private next(): number {
    const header = this.begun ? 1 : 0
    if (this.rest.length < header + 4) return 0
    const length = header + this.rest.readInt32BE(header)
    if (length < header + 4 || length > longest) {
      // long rows, or what no message is, as TLS
      const size = length > longest ? length : Number.POSITIVE_INFINITY
      this.passing = size - this.rest.length
      this.rest = Buffer.alloc(0)
      return 0
    }
    return this.rest.length < length ? 0 : length
  }

  private read(message: Buffer): void {
    if (!this.begun) {
      // 3.0; anything else asks for encryption, or cancels
      if (message.readInt32BE(4) !== 196_608) return
      this.begun = true
      const words = message.toString('utf8', 8).split('\0')
      for (let at = 0; at + 1 < words.length && words[at] !== ''; at += 2)
        this.settings[words[at] ?? ''] = words[at + 1] ?? ''
      return
    }
    const type = String.fromCharCode(message[0] ?? 0)
    if (type !== 'Q' && type !== 'P') return
    const texts = message.toString('utf8', 5).split('\0')
    this.statements.push(texts[type === 'Q' ? 0 : 1] ?? '')
  }
}
