import { Failure } from '../../failure.ts'
import { explainConnectionError } from '../../postgres/connection-error.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { isIpv6, type Reach, reach } from '../../postgres/reach.ts'
import { printable } from '../../text/text.ts'
import type { Context } from '../context.ts'
import type { Answer, Check } from './check.ts'
import { resultOf } from './judge.ts'
import { noteFailure } from './note.ts'
import type { SideName } from './probe.ts'

/** Milliseconds before its end in which a certificate that is verified is a warning. */
const month = 30 * 24 * 3600 * 1000

const passed = (message: string): Answer => ({ status: 'passed', message })
const skipped = (message: string): Answer => ({ status: 'skipped', message })
const unasked = 'a step before it failed'

/** Where a runner is let in: the console's page and the API of the same purpose, each by its name. */
function openTheWay(side: SideName, own: readonly string[]): string {
  const runner = own.length > 0 ? own.join(', ') : "the runner's private IPv4 address"
  return side === 'target'
    ? `Add this runner's address (${runner}) to a whitelist of the cluster (console: Settings and Management, Cluster Whitelists; API: ModifyDBClusterAccessWhitelist), run the job inside the cluster's VPC, and check the port of the primary endpoint`
    : `Let this runner (${runner}) through firewalls and security groups to the port, and set listen_addresses on the source`
}

/** Whether the host's name means an address that this runner can use. */
export function judgeName(reach: Reach, { host }: ConnectionParameters, side: SideName): Answer {
  const { addresses } = reach
  const name = printable(host)
  if (addresses === null) return passed(`${name} is a directory of sockets on this machine`)
  if ('error' in addresses) {
    return {
      status: 'failed',
      message: `The name ${name} means no address on this runner (${addresses.error})`,
      remedy:
        side === 'target'
          ? "Copy the primary endpoint from the cluster's page in the console; a private endpoint resolves only inside its own VPC, so run the job there"
          : 'Check the spelling of the host, or give its address; a private name resolves only inside its own network, so run the job there',
    }
  }
  const routed = addresses.filter((address) => !/^(127\.|::1$)/.test(address))
  if (side === 'target' && routed.length > 0 && routed.every(isIpv6)) {
    return {
      status: 'failed',
      severity: 'warning',
      message: `${name} has addresses of IPv6 only (${addresses.join(', ')}), and whitelists of a cluster take IPv4 only`,
      remedy: 'Connect to the private IPv4 endpoint of the cluster',
    }
  }
  return passed(`${name} is ${addresses.join(', ')}`)
}

/** Whether something takes connections at the port. */
export function judgeConnection(
  reach: Reach,
  { port, connectTimeout }: ConnectionParameters,
  side: SideName,
): Answer {
  const { tcp, addresses, own } = reach
  if (addresses === null) return passed('no network is between')
  if (tcp === null) return skipped(unasked)
  if ('address' in tcp) return passed(`${tcp.address} takes connections at port ${port}`)
  const isRefused = tcp.refused.some(({ error }) => error === 'ECONNREFUSED')
  const said = tcp.refused.map(({ address, error }) => `${address}: ${error}`).join(', ')
  return isRefused
    ? {
        status: 'failed',
        message: `Nothing takes connections at port ${port} (${said})`,
        remedy:
          side === 'target'
            ? 'Check host and port: the console shows it beside the primary endpoint, and it need not be 5432. A cluster that is stopped or paused has to be started first'
            : 'Check host and port, that the server runs, and that listen_addresses has this address',
      }
    : {
        status: 'failed',
        message: `No answer from port ${port} within ${connectTimeout} s (${said})`,
        remedy: openTheWay(side, own),
      }
}

/** Whether the server speaks TLS as the connection string wants it. */
export function judgeTls(
  reach: Reach,
  { sslmode, connectTimeout }: ConnectionParameters,
  side: SideName,
): Answer {
  const { tls, addresses } = reach
  if (addresses === null) return passed('no network is between')
  if (tls === null)
    return sslmode === 'disable' ? passed('sslmode=disable does without TLS') : skipped(unasked)
  const wanted = sslmode === 'require' || sslmode.startsWith('verify')
  if ('error' in tls) {
    if (tls.error === 'ETIMEDOUT') {
      return {
        status: 'failed',
        message: `The server takes connections and answers nothing within ${connectTimeout} s`,
        remedy:
          'Check that a PostgreSQL server listens there, and look at what is between: a proxy or a full server accepts connections that nobody serves',
      }
    }
    const message = `The server did not agree on TLS (${printable(tls.error)})`
    return wanted
      ? {
          status: 'failed',
          message,
          remedy:
            'Check that a PostgreSQL server listens there and not a proxy, and that it speaks TLS 1.2 or newer',
        }
      : passed(`${message}; sslmode=${sslmode} does without`)
  }
  if (!tls.offered) {
    if (!wanted) return passed(`the server has no TLS, and sslmode=${sslmode} does without`)
    return {
      status: 'failed',
      message: `sslmode=${sslmode} wants TLS, and the server has none`,
      remedy:
        side === 'target'
          ? 'Turn SSL on for the primary endpoint (console: Settings and Management, Security Management, SSL Settings); the endpoint restarts. Inside one VPC sslmode=prefer is a way, too'
          : 'Set ssl = on with ssl_cert_file and ssl_key_file on the source, or use sslmode=prefer where the network between is yours alone',
    }
  }
  return passed(
    sslmode === 'disable'
      ? 'the server has TLS; sslmode=disable does without'
      : 'TLS was agreed on',
  )
}

/**
 * Whether the server's certificate is what sslmode wants, and for how long.
 *
 * @param now milliseconds since 1970
 */
export function judgeCertificate(
  reach: Reach,
  { sslmode, host }: ConnectionParameters,
  now: number,
): Answer {
  const { tls, addresses } = reach
  if (addresses === null || sslmode === 'disable') return passed('no certificate is asked for')
  if (tls === null || 'error' in tls) return skipped(unasked)
  if (!tls.offered) return passed('the server shows no certificate')
  const { certificate } = tls
  const ends = Number.isNaN(certificate.validTo)
    ? 'at an unknown time'
    : new Date(certificate.validTo).toISOString().slice(0, 10)
  if (!certificate.verified)
    return passed(`the certificate ends ${ends}; sslmode=${sslmode} does not verify it`)
  if (certificate.refused !== null) {
    const isName = certificate.refused === 'ERR_TLS_CERT_ALTNAME_INVALID'
    const isPast = certificate.refused === 'CERT_HAS_EXPIRED'
    return {
      status: 'failed',
      message: `sslmode=${sslmode} refuses the server's certificate (${printable(certificate.refused)}${isPast ? `, it ended ${ends}` : ''})`,
      remedy: isName
        ? `Connect by a name that is in the certificate instead of ${printable(host)}, or use sslmode=verify-ca`
        : isPast
          ? "Renew the server's certificate before the migration"
          : 'Download the certificate of the authority that signed it, and name its file with sslrootcert=… in the connection string',
    }
  }
  if (certificate.validTo - now < month) {
    return {
      status: 'failed',
      severity: 'warning',
      message: `The server's certificate ends ${ends}, in less than 30 days`,
      remedy:
        'Renew it well before the migration: a new certificate may close the connections of the server',
    }
  }
  return passed(`the certificate is good until ${ends}`)
}

/** What a refused login takes, where more can be said than the refusal itself does. */
export function loginRemedy(
  { why, remedy, sqlstate }: Failure,
  side: SideName,
): { remedy: string; paste?: string } {
  if (/client certificate/i.test(why)) {
    return {
      remedy:
        'The server asks for a certificate of the client: name its files with sslcert=… and sslkey=… in the connection string',
    }
  }
  const line = side === 'source' ? hbaLine(why) : undefined
  if (line !== undefined) {
    return {
      remedy: `${remedy}. In pg_hba.conf on the source: this line, above those that refuse, then pg_ctl reload`,
      paste: line,
    }
  }
  return sqlstate === '28P01' && side === 'target'
    ? { remedy: `${remedy}; in the console, that it exists and is not locked` }
    : { remedy }
}

/** The line that lets in who was refused, as the server named him (PostgreSQL source, auth.c, ClientAuthentication). */
function hbaLine(said: string): string | undefined {
  const [found, host = '', user = '', database = '', how = ''] =
    /no pg_hba\.conf entry for host "([^"]*)", user "([^"]*)", database "([^"]*)",? ?(.*)$/.exec(
      said,
    ) ?? []
  if (found === undefined) return undefined
  const mask = host.includes(':') ? 128 : 32
  const kind = /no encryption|SSL off/.test(how) ? 'host' : 'hostssl'
  const word = (name: string) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name}"`)
  return printable(`${kind} ${word(database)} ${word(user)} ${host}/${mask} scram-sha-256`)
}

interface Step {
  id: string
  why: string
  judge(reach: Reach, parameters: ConnectionParameters, side: SideName): Answer
  /** What a session would have failed by, for the words that every connection fails in. */
  error?(reach: Reach): unknown
}

const steps: readonly Step[] = [
  {
    id: 'dns',
    why: 'without an address for its name a server cannot be reached',
    judge: judgeName,
    error: ({ addresses }) =>
      addresses && 'error' in addresses ? { code: addresses.error } : undefined,
  },
  {
    id: 'tcp',
    why: 'a firewall, a whitelist or a wrong port between ends everything else',
    judge: judgeConnection,
    error: ({ tcp }) => {
      if (tcp === null || 'address' in tcp) return undefined
      const refused = tcp.refused.find(({ error }) => error === 'ECONNREFUSED') ?? tcp.refused[0]
      return { code: refused?.error, message: refused?.error }
    },
  },
  {
    id: 'tls',
    why: 'where sslmode wants TLS, nothing is sent without it',
    judge: judgeTls,
    error: ({ tls }) =>
      tls && 'offered' in tls && !tls.offered
        ? new Error('The server does not support SSL connections')
        : undefined,
  },
  {
    id: 'certificate',
    why: 'a certificate that is not trusted, or ends soon, stops the migration on its night',
    judge: (reach, parameters) => judgeCertificate(reach, parameters, Date.now()),
  },
]

/** The steps of the way to a server, as checks of their own. */
export const reachSteps: readonly Pick<Check, 'id' | 'severity' | 'why' | 'needs'>[] = (
  ['source', 'target'] as const
).flatMap((side) =>
  steps.map(({ id, why }) => ({
    id: `${side}-${id}`,
    severity: 'blocker' as const,
    why,
    needs: [side],
  })),
)

/**
 * Goes the way to a server step by step, and keeps what each step says in the report. It logs in nowhere.
 *
 * @returns whether a session can be tried
 * @throws Cancelled; Failure where a file of the connection string cannot be read
 */
export async function checkReach(
  side: SideName,
  parameters: ConnectionParameters,
  context: Pick<Context, 'record' | 'signal'>,
): Promise<boolean> {
  const found = await reach(parameters, context.signal)
  let isOpen = true
  for (const { id, why, judge, error } of steps) {
    const answer = judge(found, parameters, side)
    const check = { id: `${side}-${id}`, severity: 'blocker' as const, why }
    const refused = answer.status === 'failed' && (answer.severity ?? 'blocker') === 'blocker'
    const cause = refused ? error?.(found) : undefined
    const place = { database: parameters.dbname, role: side }
    if (refused && cause) {
      // in the words in which every connection fails there
      const said = explainConnectionError(cause, parameters, place)
      noteFailure(
        context,
        check.id,
        new Failure(said.message, said.why, answer.remedy, { cause }),
        check,
      )
    } else context.record.check(resultOf(check, answer))
    if (refused) isOpen = false
  }
  return isOpen
}
