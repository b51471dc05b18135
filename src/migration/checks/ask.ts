import type pg from 'pg'
import { Cancelled, messageOf } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { mayPass, sqlstateOf } from '../../postgres/errors.ts'
import { together } from '../../postgres/together.ts'
import type { Version } from '../../postgres/version.ts'
import { printable } from '../../text/text.ts'
import type { Context } from '../context.ts'
import { inPool } from '../pool.ts'
import { retrying } from '../retry.ts'
import type { Check } from './check.ts'
import { Known, type KnownServer } from './known.ts'
import type { Probe, Sides } from './probe.ts'
import { type About, NotAsked, type Question } from './question.ts'

/** Milliseconds that a question may take, and may wait for a lock: a catalog answers in a fraction of it. */
const patience = 60_000
const lockPatience = 5_000

/** Databases of a side that are asked at once. */
const most = 4

/**
 * Asks everything that the checks want to know, each thing once: first the probes, one after the other, then the questions, over
 * one session a database, several databases at once, and both sides at the same time. Changes nothing. What a server refuses to answer costs nothing but its own answer.
 *
 * @throws Cancelled
 */
export async function ask(
  sides: Sides,
  checks: readonly Check[],
  context: Context,
): Promise<Known> {
  const { source, target } = sides
  const existing = target ? await existingDatabases(sides, target.connection, context) : []
  const known = new Known(sides, existing)
  const given = checks.filter(({ needs }) => needs.every((side) => known.has(side)))
  const questions = (side: 'source' | 'target') =>
    distinct(checks.flatMap(({ questions }) => questions?.[side] ?? []))
  // one after the other and before the questions: an account may have a limit of few sessions, which is no finding
  for (const probe of distinct(given.flatMap(({ probes = [] }) => probes)))
    await find(probe, sides, known, context)
  const work: Promise<void>[] = []
  if (source) {
    const databases = source.databases.map((database) => database.source)
    const { superuser, freeConnections } = source
    const about = { ...source.version, polardb: null, superuser }
    const workers = Math.min(most, freeConnections - 2)
    const server = { ...source, role: 'source', databases, about, workers } as const
    work.push(askServer(server, questions('source'), known.source, context))
  }
  if (target) {
    const { superuser } = target.account
    const about = { ...numbers(target), polardb: target.polardb, superuser }
    const server = { ...target, role: 'target', databases: existing, about, workers: most } as const
    work.push(askServer(server, questions('target'), known.target, context))
  }
  // one that is cancelled ends the others by the same signal
  await Promise.allSettled(work)
  await Promise.all(work)
  return known
}

const numbers = ({ number, major }: Version) => ({ number, major })

function distinct<T extends { id: string }>(list: readonly T[]): T[] {
  return [...new Map(list.map((item) => [item.id, item])).values()]
}

interface Asked {
  role: 'source' | 'target'
  connection: ConnectionParameters
  databases: readonly string[]
  about: About
  /** Sessions at once. */
  workers: number
}

async function askServer(
  server: Asked,
  questions: readonly Question<object>[],
  known: KnownServer,
  context: Context,
): Promise<void> {
  for (const question of questions) known.expect(question)
  const first = server.connection.dbname
  const ofScope = (wanted: string) => questions.filter(({ scope }) => scope === wanted)
  const tasks = [...new Set([first, ...server.databases])]
    .map((database) => ({
      database,
      questions: [
        ...(database === first ? ofScope('server') : []),
        ...(server.databases.includes(database) ? ofScope('database') : []),
      ],
    }))
    .filter(({ questions }) => questions.length > 0)
  await inPool(tasks, { workers: server.workers, signal: context.signal }, (task) =>
    askDatabase(server, task, known, context),
  )
}

async function askDatabase(
  { role, connection, about }: Asked,
  task: { database: string; questions: readonly Question<object>[] },
  known: KnownServer,
  context: Context,
): Promise<void> {
  const { database, questions } = task
  const options = { role, database, readOnly: true, signal: context.signal } as const
  const left = new Set(questions)
  try {
    // what was answered before a connection was lost is not asked again
    await retrying(context, () =>
      withConnection(connection, options, async (client) => {
        const limits = [`SET statement_timeout = ${patience}`]
        if (about.number >= 90_300) limits.push(`SET lock_timeout = ${lockPatience}`)
        const [, complete] = await together(client, [
          () => client.query(limits.join('; ')),
          () => completed(client, about),
        ])
        const note = async (question: Question<object>) => {
          known.note(question, database, await answerOf(client, question, complete))
          left.delete(question)
        }
        const alone = [...left].filter((question) => 'alone' in question)
        await together(
          client,
          [...left].filter((question) => !alone.includes(question)).map((one) => () => note(one)),
        )
        for (const question of alone) await note(question)
      }),
    )
  } catch (error) {
    if (context.signal.aborted || error instanceof Cancelled) throw error
    const why = `the database "${printable(database)}" of the ${role}: ${messageOf(error)}`
    for (const question of left) known.note(question, database, new NotAsked(why))
  }
}

/** A source may be a PolarDB, too. */
async function completed(client: pg.Client, about: About): Promise<About> {
  if (about.polardb !== null || about.number < 90_600) return about
  const { rows } = await client.query<{ polardb: string | null }>(
    `SELECT pg_catalog.current_setting('polar_version', true) AS polardb`,
  )
  return { ...about, polardb: rows[0]?.polardb ?? null }
}

/** What a server answers, or why it does not. @throws what ended the session, or will pass */
export async function answerOf(
  client: pg.Client,
  question: Question<object>,
  about: About,
): Promise<object[] | NotAsked> {
  try {
    if ('read' in question) return await question.read(client, about)
    const sql = question.sql(about)
    return sql === undefined ? [] : (await client.query<object>(sql)).rows
  } catch (error) {
    if (error instanceof NotAsked) return error
    const sqlstate = sqlstateOf(error)
    // what the session's own limits have ended, they would end again
    const isLimit = sqlstate === '55P03' || sqlstate === '57014'
    if (sqlstate === undefined || (mayPass(error) && !isLimit)) throw error
    return new NotAsked(`${question.id} could not be asked: ${messageOf(error)} [${sqlstate}]`)
  }
}

async function find(
  probe: Probe<unknown>,
  sides: Sides,
  known: Known,
  context: Context,
): Promise<void> {
  try {
    known.noteResult(probe, { value: await probe.run(sides, context) })
  } catch (error) {
    if (context.signal.aborted || error instanceof Cancelled) throw error
    known.noteResult(probe, { error })
  }
}

/** Of the databases that are to be written to those that exist and let the account in. */
async function existingDatabases(
  { source, inputs }: Sides,
  connection: ConnectionParameters,
  context: Context,
): Promise<string[]> {
  const wanted =
    source?.databases.map(({ target }) => target) ??
    (typeof inputs.databases === 'string' ? [] : inputs.databases.map(({ target }) => target))
  const options = { role: 'target', readOnly: true, signal: context.signal } as const
  try {
    const names = await retrying(context, () =>
      withConnection(connection, options, async (client) => {
        const { rows } = await client.query<{ name: string }>(
          `SELECT datname AS name FROM pg_catalog.pg_database
            WHERE datallowconn AND pg_catalog.has_database_privilege(oid, 'CONNECT')`,
        )
        return new Set(rows.map(({ name }) => name))
      }),
    )
    return wanted.filter((name) => names.has(name))
  } catch (error) {
    if (context.signal.aborted || error instanceof Cancelled) throw error
    // whoever asks a database finds out why
    return wanted
  }
}
