import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** How a pooler treats the `options` of a startup packet, or the settings of a session. */
export type PoolerManner =
  | 'refuses options'
  | 'throws options away'
  | 'forgets settings'
  | 'shares sessions'
  | 'passes everything on'

/** As much of a connection pooler as matters to what a session's settings are: it stands between a client and one server. */
export class Pooler {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(port: number, manner: PoolerManner): Promise<Pooler> {
    const server = createServer()
    const pooler = new Pooler(server)
    server.on('connection', (client) => pooler.serve(client, port, manner))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return pooler
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  private serve(client: Socket, port: number, manner: PoolerManner): void {
    const upstream = connect(port, '127.0.0.1')
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
    }
    upstream.on('close', () => client.destroy())
    client.on('close', () => upstream.destroy())
    upstream.pipe(client)
    client.once('data', (packet) => {
      const names = packet.subarray(8).toString('latin1').split('\0')
      const at = names.indexOf('options')
      if (at >= 0 && manner === 'refuses options') {
        client.end(refusal('unsupported startup parameter: options'))
        return
      }
      if (at >= 0 && manner !== 'passes everything on') names.splice(at, 2)
      upstream.write(startupPacket(packet.subarray(4, 8), names.join('\0')))
      client.on('data', (message) => {
        // as where each message goes to another session: SHOW answers something else than what was set
        const text = message.toString('latin1')
        if (manner === 'shares sessions' && text.includes(process)) {
          // two clients that have one session see the same process
          upstream.write(
            Buffer.from(text.replaceAll(process, '7'.padStart(process.length)), 'latin1'),
          )
          return
        }
        const other = manner === 'forgets settings' && text.startsWith('Q')
        upstream.write(
          other
            ? Buffer.from(text.replaceAll('SHOW search_path', 'SHOW lc_monetary'), 'latin1')
            : message,
        )
      })
    })
  }
}

const process = 'pg_catalog.pg_backend_pid()'

/** An ErrorResponse that ends the connection (PostgreSQL, "Message Formats"). */
function refusal(message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C08P01\0M${message}\0\0`)
  const head = Buffer.from([0x45, 0, 0, 0, 0])
  head.writeInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields])
}

function startupPacket(protocol: Buffer, parameters: string): Buffer {
  const body = Buffer.from(parameters, 'latin1')
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length + 8, 0)
  return Buffer.concat([length, protocol, body])
}
