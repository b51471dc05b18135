import { Failure } from '../../failure.ts'
import { partsFile } from './directory.ts'

/** The run whose artifact is wanted, when it is not this one. */
export interface OtherRun {
  id: number
  /** Needs the permission `actions: read`. */
  token: string
  /** `owner/name` */
  repository: string
}

export interface StoredArtifact {
  id: number
  /** As it was given, or with `-attempt-2` … behind it when the service had lost an upload under that name. */
  name: string
  /** `sha256:` and 64 hexadecimal digits, of the zip file; null where the service does not tell it. */
  digest: string | null
  /** Size of the zip file. */
  bytes: number
}

export interface UploadRequest {
  name: string
  directory: string
  /** Relative to the directory, every one a plain file. */
  files: string[]
  /** Is the content compressed or encrypted already? It is then stored as it is. */
  compressed: boolean
  /** Days; the repository's setting when undefined. */
  retentionDays?: number | undefined
  /** It is worth nothing until `settle` is called: who cleans up after a run that was killed before that removes it. */
  isLoose?: boolean
  /** Takes little of the processors and of the network, for what goes on beside it. */
  isGentle?: boolean
  /** Told each name that the service has given away for it, before anything is there under that name. */
  onName?: (name: string) => void
}

/** The name is that of an artifact that this run has already. */
export class ArtifactNameTaken extends Failure {}

/**
 * Keeps files beyond the job: GitHub's artifacts, as the engine sees them, or a directory. Every method retries what may pass, a bounded
 * number of times, and throws a Failure with the next step, or Cancelled once the signal is aborted.
 */
export interface ArtifactStore {
  /** What `dump-directory` can name afterwards, where a dump is kept in a directory. */
  readonly keptIn?: string

  /**
   * Uploads files as one artifact. An attempt that failed burns its name: the next takes another one (see `StoredArtifact`).
   *
   * @param onBytes told the bytes sent so far, of the attempt under way
   * @throws ArtifactNameTaken
   */
  upload(
    request: UploadRequest,
    signal: AbortSignal,
    onBytes?: (bytes: number) => void,
  ): Promise<StoredArtifact>

  /**
   * Removes what `upload` has made for these names, and what attempts that had failed may have left. Never what it has not made:
   * where a name was taken, the artifact is somebody else's. One that is not there is no error.
   *
   * @param names of requests that were loose
   * @throws Failure that says which are left
   */
  remove(names: readonly string[], signal: AbortSignal): Promise<void>

  /** All that was loose belongs to something whole from now on: it is removed no more. */
  settle(): void

  /** The newest artifact that `upload` made for this name, of this run or another; undefined when there is none. */
  find(
    name: string,
    run: OtherRun | undefined,
    signal: AbortSignal,
  ): Promise<StoredArtifact | undefined>

  /**
   * Downloads and unpacks an artifact.
   *
   * @param into a directory, made with mode 0700 if missing; a file that exists in it already is an error, not overwritten
   * @param onBytes told the bytes received so far, of the attempt under way
   * @throws Failure when the content has not the artifact's digest, or would be written outside `into`
   */
  download(
    artifact: StoredArtifact,
    into: string,
    run: OtherRun | undefined,
    signal: AbortSignal,
    onBytes?: (bytes: number) => void,
  ): Promise<void>

  /**
   * Uploads the report as `polardb-report`, or under that name with the job's name and a number behind it.
   *
   * @param files absolute paths of files in `directory`
   */
  uploadReport(files: string[], directory: string, signal: AbortSignal): Promise<StoredArtifact>
}

/** The text of `parts.json`, one line a part. */
export function formatParts(parts: readonly StoredArtifact[]): string {
  const lines = parts.map(({ id, name, digest, bytes }) =>
    JSON.stringify({ id, name, digest, bytes }),
  )
  return `{"format":"polardb-dump-parts","formatVersion":1,"parts":[\n${lines.join(',\n')}\n]}\n`
}

/** The parts that `parts.json` lists; none when there is no such file. @throws Failure when it is malformed */
export function parseParts(text: string): StoredArtifact[] {
  const wrong = () =>
    new Failure(
      `The dump is refused: ${partsFile} cannot be used`,
      'It is not what this action writes',
      'Upload the dump again; nothing was restored',
    )
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw wrong()
  }
  if (typeof value !== 'object' || value === null) throw wrong()
  const { format, formatVersion, parts } = value as Record<string, unknown>
  if (format !== 'polardb-dump-parts' || formatVersion !== 1) throw wrong()
  if (!Array.isArray(parts) || parts.length === 0 || parts.length > 1000) throw wrong()
  const ids = new Set<number>()
  return parts.map((part: unknown) => {
    if (typeof part !== 'object' || part === null) throw wrong()
    const { id, name, digest, bytes } = part as Record<string, unknown>
    if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0 || ids.has(id)) throw wrong()
    if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0) throw wrong()
    if (typeof name !== 'string' || name.length > 300) throw wrong()
    if (digest !== null && (typeof digest !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(digest)))
      throw wrong()
    ids.add(id)
    return { id, name, digest, bytes }
  })
}
