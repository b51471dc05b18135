import { Cancelled, Failure } from '../failure.ts'
import { callClient, type Environment, type Listener } from './artifact-client.ts'
import { whyOf } from './artifact-errors.ts'
import { isAttemptOf } from './artifact-names.ts'

/** Names that a message lists. */
const mostListed = 20

/**
 * The artifacts of a run that are worth nothing until another one follows, which makes something whole of them. Only what this run
 * has made is among them: another job may have an artifact whose name this one was refused.
 */
export class LooseArtifacts {
  private readonly names = new Set<string>()
  private readonly leave: (names: string[]) => void

  /** @param leave told all names whenever they change, for the post step of a run that is killed */
  constructor(leave: (names: string[]) => void) {
    this.leave = leave
  }

  /** The service has given this run the name. */
  add(name: string): void {
    this.names.add(name)
    this.leave([...this.names])
  }

  /** What they were the parts of is whole, or about to be. */
  settle(): void {
    if (this.names.size === 0) return
    this.names.clear()
    this.leave([])
  }

  /** Those that were made for a name that was asked for: the artifact itself, and what attempts that had failed may have left. */
  of(name: string): string[] {
    return [...this.names].filter((made) => made === name || isAttemptOf(made, name))
  }

  /** Deletes some. @throws Failure that names those that are left; they stay among the others */
  async delete(names: readonly string[], ...call: Call): Promise<void> {
    if (names.length === 0) return
    const left = await deleteArtifacts(names, ...call)
    for (const name of names) if (!left.names.includes(name)) this.names.delete(name)
    this.leave([...this.names])
    if (left.names.length > 0) throw undeleted(left.names, left.why)
  }
}

type Call = [environment: Environment, listener: Listener, signal: AbortSignal, patience: number]

/**
 * Deletes artifacts of this run. One that is not there is none that is left.
 *
 * @returns those that could not be deleted, and why the first of them could not be. Never throws
 */
export async function deleteArtifacts(
  names: readonly string[],
  ...[environment, listener, signal, patience]: Call
): Promise<{ names: readonly string[]; why: string }> {
  const gone = new Set<string>()
  const onLine = (line: string) => {
    listener.onLine(line)
    const name = /^Artifact '(.+)' \(ID: \d+\) deleted$/.exec(line)?.[1]
    if (name !== undefined) gone.add(name)
  }
  try {
    const request = { call: 'delete', names } as const
    const left = await callClient(request, environment, { onLine }, signal, patience)
    return { names: left.map(({ name }) => name), why: left[0]?.why ?? '' }
  } catch (error) {
    const why = error instanceof Cancelled ? 'there was no time for it' : whyOf(error)
    return { names: names.filter((name) => !gone.has(name)), why }
  }
}

/** What it is that some are left. */
export function undeleted(names: readonly string[], why: string): Failure {
  const more = names.length > mostListed ? ` and ${names.length - mostListed} more` : ''
  return new Failure(
    `Parts of a dump that there will not be could not be deleted: ${names.slice(0, mostListed).join(', ')}${more}`,
    why,
    'Nothing is restored from them; delete them on the page of the run, or let them expire',
  )
}
