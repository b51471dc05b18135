import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import type { Inputs } from '../inputs.ts'
import type { ReachedTarget, Source } from './preflight.ts'
import type { Probe, RunnerFacts, Sides } from './probe.ts'
import { NotAsked, type Question } from './question.ts'

/** Rows of a question in each database, or why there are none. */
type Answers = Map<string, readonly object[] | NotAsked>

/** One server and what it has answered. */
export class KnownServer {
  private readonly answers = new Map<string, Answers>()

  /** @throws NotAsked where the question could not be asked, of whichever database: a failed query never reads as no rows */
  rows<Row extends object>(question: Question<Row>): (Row & { database: string })[] {
    const answers = this.answers.get(question.id)
    if (!answers) throw new NotAsked(`nobody has asked for ${question.id}`)
    // several databases are asked at once, and a message does not hang on which of them answers first
    const inOrder = [...answers].sort(([one], [other]) => (one < other ? -1 : 1))
    return inOrder.flatMap(([database, rows]) => {
      if (rows instanceof NotAsked) throw rows
      return rows.map((row) => ({ ...(row as Row), database }))
    })
  }

  /** The only row of a question. @throws NotAsked, without a row too */
  row<Row extends object>(question: Question<Row>): Row & { database: string } {
    const [row] = this.rows(question)
    if (!row) throw new NotAsked(`the server did not answer ${question.id}`)
    return row
  }

  /** Notes that a question arises, so that it has an answer where no database was asked. */
  expect(question: Question<object>): void {
    if (!this.answers.has(question.id)) this.answers.set(question.id, new Map())
  }

  note(question: Question<object>, database: string, rows: readonly object[] | NotAsked): void {
    this.expect(question)
    this.answers.get(question.id)?.set(database, rows)
  }
}

/** Never holds the password, since messages are made of it. */
type Connection = Omit<ConnectionParameters, 'password'>
type KnownSource = KnownServer & Omit<Source, 'connection'> & { connection: Connection }
type KnownTarget = KnownServer &
  Omit<ReachedTarget, 'connection'> & {
    connection: Connection
    /** Databases that are to be written to and exist. */
    databases: string[]
  }

/** Everything that checks judge by: facts, asked once each. */
export class Known {
  readonly inputs: Inputs
  readonly runner: RunnerFacts
  private readonly servers: { source?: KnownSource; target?: KnownTarget } = {}
  private readonly results = new Map<string, { value: unknown } | { error: unknown }>()

  /** @param existing databases that are to be written to and exist on the target */
  constructor({ source, target, inputs, runner }: Sides, existing: string[]) {
    this.inputs = inputs
    this.runner = runner
    if (source) {
      const connection = withoutPassword(source.connection)
      this.servers.source = Object.assign(new KnownServer(), source, { connection })
    }
    if (target) {
      const connection = withoutPassword(target.connection)
      this.servers.target = Object.assign(new KnownServer(), target, {
        ...{ connection, databases: existing },
      })
    }
  }

  /** @throws NotAsked where it was not reached */
  get source(): KnownSource {
    const { source } = this.servers
    if (!source) throw new NotAsked('the source was not reached')
    return source
  }

  /** @throws NotAsked where it was not reached */
  get target(): KnownTarget {
    const { target } = this.servers
    if (!target) throw new NotAsked('the target was not reached')
    return target
  }

  /** Whether a side was reached. */
  has(side: 'source' | 'target'): boolean {
    return this.servers[side] !== undefined
  }

  /** What a probe has found. @throws what it threw; NotAsked where it did not run */
  result<Result>(probe: Probe<Result>): Result {
    const found = this.results.get(probe.id)
    if (!found) throw new NotAsked(`${probe.id} did not run`)
    if ('error' in found) throw found.error
    return found.value as Result
  }

  noteResult(probe: Probe<unknown>, found: { value: unknown } | { error: unknown }): void {
    this.results.set(probe.id, found)
  }
}

function withoutPassword({ password: _, ...connection }: ConnectionParameters): Connection {
  return connection
}
