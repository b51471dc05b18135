import { lookup } from 'node:dns/promises'
import { connect, isIP, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { type ConnectionOptions, checkServerIdentity, connect as connectTls } from 'node:tls'
import { Cancelled, Failure, messageOf } from '../failure.ts'
import type { ConnectionParameters } from './connection-string.ts'
import { tlsAttempts } from './transport.ts'

/** The certificate that a server shows. */
export interface ServerCertificate {
  /** When it ends to be valid, in milliseconds since 1970. */
  validTo: number
  /** Why the connection string's sslmode would refuse it (Node's and OpenSSL's names); null where it would not. */
  refused: string | null
  /** The sslmode has it verified at all. */
  verified: boolean
}

/** What a server answers to the request for TLS; `error` where it could not be asked, or the handshake failed. */
export type TlsAnswer =
  | { offered: true; certificate: ServerCertificate }
  | { offered: false }
  | { error: string }

/** How far one gets towards a server before the login, each step by itself. What was not come to is null. */
export interface Reach {
  /** What the name of the host means; an address means itself. `error`: why it means nothing (ENOTFOUND, EAI_AGAIN). */
  addresses: string[] | { error: string } | null
  /** The address that took the connection, or what each one answered (ECONNREFUSED, ETIMEDOUT, …). */
  tcp: { address: string } | { refused: { address: string; error: string }[] } | null
  /** Null with sslmode=disable, too. */
  tls: TlsAnswer | null
  /** IPv4 addresses of this machine, as a firewall or whitelist in the same network would see them. */
  own: string[]
}

/**
 * Goes the way to a server step by step: name, connection, TLS. It logs in nowhere and sends no secret. A socket directory has
 * none of these steps.
 *
 * @throws Cancelled when the signal fires; Failure where a file of the connection string cannot be read
 */
export async function reach(parameters: ConnectionParameters, signal: AbortSignal): Promise<Reach> {
  const found: Reach = { addresses: null, tcp: null, tls: null, own: ownAddresses() }
  if (parameters.host.startsWith('/')) return found
  signal.throwIfAborted()
  try {
    const all = await lookup(parameters.host, { all: true })
    found.addresses = all.map(({ address }) => address)
  } catch (error) {
    found.addresses = { error: codeOf(error) }
    return found
  }
  signal.throwIfAborted()
  const refused: { address: string; error: string }[] = []
  for (const address of found.addresses) {
    const socket = await open(address, parameters, signal)
    if (!('error' in socket)) {
      found.tcp = { address }
      if (parameters.sslmode === 'disable') socket.socket.destroy()
      else found.tls = await askForTls(socket.socket, parameters, signal)
      return found
    }
    refused.push({ address, error: socket.error })
  }
  found.tcp = { refused }
  return found
}

/** IPv4 addresses that are not the loopback's. */
function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address)
}

/** A connection to one address, within the time that the connection string gives. */
async function open(
  host: string,
  { port, connectTimeout }: ConnectionParameters,
  signal: AbortSignal,
): Promise<{ socket: Socket } | { error: string }> {
  const socket = connect({ host, port })
  socket.on('error', () => {})
  try {
    await settled(socket, 'connect', connectTimeout, signal)
    return { socket }
  } catch (error) {
    socket.destroy()
    if (signal.aborted) throw new Cancelled()
    return { error: codeOf(error) }
  }
}

/** The protocol's SSLRequest: a length of 8, and a code in the place of a version (PostgreSQL, "Message Formats"). */
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

async function askForTls(
  socket: Socket,
  parameters: ConnectionParameters,
  signal: AbortSignal,
): Promise<TlsAnswer> {
  try {
    const answer = settled(socket, 'data', parameters.connectTimeout, signal)
    socket.write(sslRequest)
    const [data] = await answer
    const letter = String(data).charAt(0)
    if (letter === 'N') return { offered: false }
    if (letter !== 'S') return { error: 'it answers as no PostgreSQL server does' }
    return await shakeHands(socket, parameters, signal)
  } catch (error) {
    if (signal.aborted) throw new Cancelled()
    if (error instanceof Failure) throw error
    return { error: codeOf(error) }
  } finally {
    socket.destroy()
  }
}

async function shakeHands(
  socket: Socket,
  parameters: ConnectionParameters,
  signal: AbortSignal,
): Promise<TlsAnswer> {
  const options = tlsAttempts(parameters).find(
    (attempt): attempt is ConnectionOptions => attempt !== false,
  )
  const verified = options?.rejectUnauthorized === true
  let identity: string | undefined
  const secured = connectTls({
    ...options,
    socket,
    rejectUnauthorized: false,
    checkServerIdentity: (_, certificate) => {
      const check = options?.checkServerIdentity ?? checkServerIdentity
      const error = check(parameters.host, certificate)
      if (error) identity = codeOf(error)
      return undefined
    },
  })
  secured.on('error', () => {})
  try {
    await settled(secured, 'secureConnect', parameters.connectTimeout, signal)
    const { valid_to } = secured.getPeerCertificate()
    const error = secured.authorized ? identity : codeOf({ code: secured.authorizationError })
    const refused = verified ? (error ?? null) : null
    return {
      offered: true,
      certificate: { validTo: Date.parse(valid_to ?? ''), refused, verified },
    }
  } finally {
    secured.destroy()
  }
}

/** Waits for an event of a socket: it fails by the socket's error or end, after some seconds, and with the signal. */
async function settled(
  socket: Socket,
  event: string,
  seconds: number,
  signal: AbortSignal,
): Promise<unknown[]> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown[]>()
  const timer = setTimeout(() => reject({ code: 'ETIMEDOUT' }), seconds * 1000)
  const abort = () => reject(new Cancelled())
  const ended = () => reject({ code: 'ECONNRESET' })
  const happened = (...values: unknown[]) => resolve(values)
  socket.once(event, happened).once('error', reject).once('close', ended)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
    socket.off(event, happened).off('error', reject).off('close', ended)
  }
}

/** The name that Node, libuv or OpenSSL has for an error; its message where it has none. */
function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown }
  if (code instanceof Error) return codeOf(code)
  return typeof code === 'string' && code !== '' ? code : messageOf(error)
}

/** Whether a text is an IPv6 address: the white lists of clusters take IPv4 only. */
export function isIpv6(address: string): boolean {
  return isIP(address) === 6
}
