import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext, TLSSocket } from 'node:tls'
import { makeCertificates } from './certificates.ts'
import { guard } from './server.ts'

/**
 * Hosts of the internet on this machine: a proxy that answers for them over TLS, with certificates of a CA of its own, and hands the
 * requests to local servers. So a workflow keeps the addresses that it has. Every other host is refused.
 */
export class TlsFront {
  /** The hosts that were asked for, with their ports. */
  readonly asked: string[] = []
  private readonly directory: string
  private readonly dismiss: () => Promise<void>
  private readonly server: Server
  private readonly sockets = new Set<Socket>()

  private constructor(directory: string, server: Server) {
    this.directory = directory
    this.dismiss = guard(directory)
    this.server = server
  }

  /** @param hosts the local server in the place of each, as `http://127.0.0.1:1234` */
  static async start(hosts: Record<string, string>): Promise<TlsFront> {
    const front = new TlsFront(mkdtempSync(join(tmpdir(), 'tls-front-')), createServer())
    const { key, certificate } = await makeCertificates(front.directory, Object.keys(hosts))
    const secureContext = createSecureContext({
      key: readFileSync(key),
      cert: readFileSync(certificate),
    })
    front.server.on('connect', (request, client: Socket) => {
      front.asked.push(request.url ?? '')
      const local = hosts[(request.url ?? '').replace(/:443$/, '')]
      if (local === undefined) return void client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      const secure = new TLSSocket(client, { isServer: true, secureContext })
      const upstream = connect(Number(new URL(local).port), '127.0.0.1')
      for (const [socket, other] of [
        [secure, upstream],
        [upstream, secure],
      ] as const) {
        front.sockets.add(socket)
        socket.on('error', () => other.destroy())
        socket.on('close', () => front.sockets.delete(socket))
        socket.pipe(other)
      }
    })
    await new Promise<void>((resolve) => front.server.listen(0, '127.0.0.1', resolve))
    return front
  }

  /** The variables of a job that goes through it. */
  environment(): Record<string, string> {
    return {
      https_proxy: `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`,
      no_proxy: '127.0.0.1', // whatever else is local
      NODE_EXTRA_CA_CERTS: join(this.directory, 'ca.crt'),
    }
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve())
      this.server.closeAllConnections()
    })
    rmSync(this.directory, { recursive: true, force: true })
    await this.dismiss()
  }
}
