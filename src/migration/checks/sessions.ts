import type pg from 'pg'
import { Failure, messageOf } from '../../failure.ts'
import {
  type Opened,
  openConnection,
  serverVersion,
  withConnection,
} from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { together } from '../../postgres/together.ts'
import { formatDuration } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import { exportFrom } from '../verify/snapshot.ts'
import type { Answer, Check } from './check.ts'
import type { Probe, SideName } from './probe.ts'
import { NotAsked } from './question.ts'

/** What several sessions that are open at once show of what is behind one address. */
export interface Sessions {
  /** When the server of each session was started: one server has one such moment. */
  starts: readonly string[]
  /** Whether a second session could take over the snapshot of the first: why not, null where it could. */
  snapshot: string | null
  /** Such a server is known not to share snapshots, whatever is tried. */
  snapshotKnown: boolean
  /** The quickest of a few round trips, in milliseconds: what the network takes, whatever the runner is busy with. */
  roundTrip: number
  /** Seconds that the server's clock is ahead of the runner's, to the nearest that the round trip allows. */
  ahead: number
}

/** How many sessions are opened: a proxy that spreads sessions over two servers gives all four to one in one of eight cases. */
const sessions = 4
const roundTrips = 3

/**
 * Opens several sessions at once in one database and looks at what each of them meets. Changes nothing.
 *
 * @throws Failure where they cannot be opened; Cancelled
 */
export async function probeSessions(
  connection: ConnectionParameters,
  database: string,
  role: 'source' | 'target',
  signal: AbortSignal,
): Promise<Sessions> {
  const options = { database, role, signal, readOnly: true }
  return await withConnection(connection, options, async (first) => {
    const opening = Array.from({ length: sessions - 1 }, () => openConnection(connection, options))
    const tried = await Promise.allSettled(opening)
    try {
      const others = await Promise.all(opening)
      return await compare(
        first,
        others.map(({ client }) => client),
        role,
      )
    } finally {
      const opened = tried.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
      await Promise.all(opened.map(({ close }: Opened) => close()))
    }
  })
}

async function compare(
  first: pg.Client,
  others: readonly pg.Client[],
  role: SideName,
): Promise<Sessions> {
  const { number } = await serverVersion(first)
  const starts = await Promise.all([first, ...others].map(startOf))
  const pace = await measure(first)
  const [second] = others
  const isSource = role === 'source' && second !== undefined
  return {
    ...pace,
    ...(isSource
      ? await shareSnapshot(first, second, number)
      : { snapshot: null, snapshotKnown: false }),
    starts,
  }
}

async function startOf(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ started: string }>(
    'SELECT pg_catalog.pg_postmaster_start_time()::pg_catalog.text AS started',
  )
  const [row] = rows
  if (!row) throw new Error('the server did not tell when it was started')
  return row.started
}

async function measure(client: pg.Client): Promise<{ roundTrip: number; ahead: number }> {
  let [roundTrip, ahead] = [Number.POSITIVE_INFINITY, 0]
  for (let trip = 0; trip < roundTrips; trip++) {
    const [began, wall] = [performance.now(), Date.now()]
    const { rows } = await client.query<{ now: number }>(
      `SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::pg_catalog.float8 AS now`,
    )
    const took = performance.now() - began
    if (took >= roundTrip) continue
    roundTrip = took
    ahead = Number(rows[0]?.now) - (wall + took / 2) / 1000
  }
  return { roundTrip, ahead }
}

/** Tries what the dump will do: one session exports its snapshot, another one imports it. */
async function shareSnapshot(
  first: pg.Client,
  second: pg.Client,
  number: number,
): Promise<{ snapshot: string | null; snapshotKnown: boolean }> {
  const { id, unavailable } = await exportFrom(first, number)
  if (id === null) return { snapshot: unavailable ?? 'it names none', snapshotKnown: true }
  try {
    await together(second, [
      () => second.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'),
      // an identifier that the server made: hexadecimal digits and dashes
      () => second.query(`SET TRANSACTION SNAPSHOT '${id.replace(/[^0-9A-Za-z-]/g, '')}'`),
    ])
    await first.query('COMMIT')
    return { snapshot: null, snapshotKnown: false }
  } catch (error) {
    return { snapshot: messageOf(error), snapshotKnown: false }
  }
}

/** Whether one and the same server is behind the address. */
export function judgeEndpoint({ starts }: Sessions, side: SideName): Answer {
  const several = new Set(starts).size
  if (several <= 1) return { status: 'passed', message: 'all sessions meet one server' }
  return {
    status: 'failed',
    message: `${starts.length} sessions met ${several} different servers: a proxy or a read/write splitting endpoint is between`,
    remedy:
      side === 'target'
        ? 'Connect to the primary endpoint of the cluster: sessions of a cluster endpoint or a custom one are spread over its nodes'
        : 'Connect to one server, not to what spreads sessions over several: all sessions of a dump have to see one moment',
  }
}

/** Whether the sessions of a dump can see one moment. */
export function judgeSnapshot({ snapshot, snapshotKnown }: Sessions): Answer {
  if (snapshot === null) return { status: 'passed', message: 'sessions can share a snapshot' }
  return snapshotKnown
    ? {
        status: 'failed',
        severity: 'warning',
        message: `Sessions cannot share a snapshot: ${printable(snapshot)}`,
        remedy:
          'Stop all writes to the source for the time of the dump: only then do its sessions see one moment',
      }
    : {
        status: 'failed',
        message: `A snapshot of one session cannot be taken over by another one: ${printable(snapshot)}`,
        remedy:
          'Connect to the server itself instead of a pooler or proxy: the dump works with several sessions that must see one moment',
      }
}

/** Milliseconds of a round trip beyond which the runner is in another place than the server. */
const near = 5

/** How far away the server is. */
export function judgeLatency({ roundTrip }: Sessions, side: SideName): Answer {
  const took = `the quickest of ${roundTrips} round trips took ${roundTrip.toFixed(1)} ms`
  if (roundTrip <= near) return { status: 'passed', message: took }
  return {
    status: 'failed',
    message: `The ${side} is far from the runner: ${took}`,
    remedy:
      side === 'target'
        ? "Use a self-hosted runner in the cluster's VPC and zone (docs/runner.md): a restore of many small tables waits for every statement"
        : 'Use a self-hosted runner near the source, or `dump` and `restore` in two jobs, each on a runner near its server',
  }
}

/** Seconds that clocks may be apart. */
const apart = 60

/** Whether the clocks of server and runner agree. */
export function judgeClock({ ahead }: Sessions, side: SideName): Answer {
  const by = formatDuration(Math.abs(ahead))
  if (Math.abs(ahead) <= apart)
    return { status: 'passed', message: 'the clocks of server and runner agree' }
  return {
    status: 'failed',
    message: `The clock of the ${side} is ${by} ${ahead > 0 ? 'ahead of' : 'behind'} the runner's`,
    remedy:
      'Set both clocks by NTP (timedatectl set-ntp true): times in the report, VALID UNTIL of roles and the ends of certificates are compared with them',
  }
}

function probe(side: SideName): Probe<Sessions> {
  return {
    id: `${side}-sessions`,
    needs: [side],
    async run({ source, target }, { signal }) {
      const server = side === 'source' ? source : target
      if (!server) throw new NotAsked(`the ${side} was not reached`)
      const database = (side === 'source' && source?.databases[0]?.source) || undefined
      try {
        return await probeSessions(
          server.connection,
          database ?? server.connection.dbname,
          side,
          signal,
        )
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        // one session was opened before: why there are no more is what the check of connections says
        throw new NotAsked(`${sessions} sessions at once could not be opened: ${error.line}`)
      }
    },
  }
}

/** The checks of one side that take several sessions. */
export function sessionChecks(side: SideName): Check[] {
  const sessions = probe(side)
  const one = (
    step: string,
    severity: Check['severity'],
    why: string,
    judge: (sessions: Sessions, side: SideName) => Answer,
  ): Check => ({
    id: `${side}-${step}`,
    severity,
    why,
    needs: [side],
    probes: [sessions],
    judge: (known) => judge(known.result(sessions), side),
  })
  const snapshot = one(
    'snapshot',
    'blocker',
    'all sessions of a dump, and of what verifies it, must see one moment',
    judgeSnapshot,
  )
  return [
    one(
      'endpoint',
      'blocker',
      'sessions that are spread over several servers cannot migrate together',
      judgeEndpoint,
    ),
    ...(side === 'source' ? [snapshot] : []),
    one(
      'latency',
      'warning',
      'many small tables take a round trip for every statement',
      judgeLatency,
    ),
    one('clock', 'warning', 'times of both sides are compared with each other', judgeClock),
  ]
}
