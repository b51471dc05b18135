import { Cancelled, Failure } from '../failure.ts'
import { callClient, type Environment, type Listener } from './artifact-client.ts'
import { whyOf } from './artifact-errors.ts'
import { isAttemptOf } from './artifact-names.ts'

/** Names that a message lists. */
const mostListed = 20

/**
 * One of them. An earlier attempt of the run may have an artifact of the same name, which the service shows until this one is
 * complete: only the digest tells them apart.
 */
export interface LooseArtifact {
  name: string
  /** `sha256:…` */
  digest: string
}

/**
 * The artifacts of a run that are worth nothing until another one follows, which makes something whole of them. Only what this run
 * has made is among them: another job may have an artifact whose name this one was refused.
 */
export class LooseArtifacts {
  private readonly digests = new Map<string, string>()
  private readonly leave: (artifacts: LooseArtifact[]) => void

  /** @param leave told all of them whenever they change, for the post step of a run that is killed */
  constructor(leave: (artifacts: LooseArtifact[]) => void) {
    this.leave = leave
  }

  /** All of it is with the service, which may show it from now on. */
  add(name: string, digest: string): void {
    this.digests.set(name, digest)
    this.tell()
  }

  /** What they were the parts of is whole, or about to be. */
  settle(): void {
    if (this.digests.size === 0) return
    this.digests.clear()
    this.tell()
  }

  /** Those that were made for a name that was asked for: the artifact itself, and what attempts that had failed may have left. */
  of(name: string): LooseArtifact[] {
    return this.all().filter((made) => made.name === name || isAttemptOf(made.name, name))
  }

  /** Deletes some. @throws Failure that names those that are left; they stay among the others */
  async delete(artifacts: readonly LooseArtifact[], ...call: Call): Promise<void> {
    if (artifacts.length === 0) return
    const left = await deleteArtifacts(artifacts, ...call)
    for (const { name } of artifacts) if (!left.names.includes(name)) this.digests.delete(name)
    this.tell()
    if (left.names.length > 0) throw undeleted(left.names, left.why)
  }

  private all(): LooseArtifact[] {
    return [...this.digests].map(([name, digest]) => ({ name, digest }))
  }

  private tell(): void {
    this.leave(this.all())
  }
}

type Call = [environment: Environment, listener: Listener, signal: AbortSignal, patience: number]

/**
 * Deletes artifacts of this run. One that is not there is none that is left.
 *
 * @returns those that could not be deleted, and why the first of them could not be. Never throws
 */
export async function deleteArtifacts(
  artifacts: readonly LooseArtifact[],
  ...[environment, listener, signal, patience]: Call
): Promise<{ names: readonly string[]; why: string }> {
  const gone = new Set<string>()
  const onLine = (line: string) => {
    listener.onLine(line)
    const name = /^Artifact '(.+)' \(ID: \d+\) deleted$/.exec(line)?.[1]
    if (name !== undefined) gone.add(name)
  }
  try {
    const request = { call: 'delete', artifacts } as const
    const left = await callClient(request, environment, { onLine }, signal, patience)
    return { names: left.map(({ name }) => name), why: left[0]?.why ?? '' }
  } catch (error) {
    const why = error instanceof Cancelled ? 'there was no time for it' : whyOf(error)
    return { names: artifacts.map(({ name }) => name).filter((name) => !gone.has(name)), why }
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
