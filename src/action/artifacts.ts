import { constants } from 'node:fs'
import { access, lstat, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Artifact } from '@actions/artifact'
import { Cancelled, Failure, messageOf } from '../failure.ts'
import {
  ArtifactNameTaken,
  type ArtifactStore,
  type OtherRun,
  type StoredArtifact,
  type UploadRequest,
} from '../migration/artifact-store.ts'
import type { Logger } from '../migration/context.ts'
import { extractZip } from '../migration/unzip.ts'
import {
  ClientError,
  type ClientRequest,
  callClient,
  type Environment,
  withoutSignatures,
} from './artifact-client.ts'

const reportName = 'polardb-report'
/** A matrix has 256 jobs at most. */
const mostNames = 300

/** The client itself has tried for half a minute before each. */
const defaultPauses = [10_000, 30_000, 90_000]

/** GitHub's artifacts, through its own client. Needs the runner's ACTIONS_RUNTIME_TOKEN and ACTIONS_RESULTS_URL. */
export class GitHubArtifacts implements ArtifactStore {
  private readonly log: Logger
  private readonly environment: Environment
  private readonly pauses: number[]

  /**
   * @param log gets the client's own log as debug lines
   * @param environment the runner's
   * @param pauses milliseconds before the second, third, … attempt; their number is that of further attempts
   */
  constructor(log: Logger, environment: Environment = process.env, pauses = defaultPauses) {
    this.log = log
    this.environment = environment
    this.pauses = pauses
  }

  upload(
    request: UploadRequest,
    signal: AbortSignal,
    onBytes?: (bytes: number) => void,
  ): Promise<StoredArtifact> {
    return this.store(
      request,
      (number) => numbered(`${request.name}-attempt`, number) ?? request.name,
      false,
      signal,
      onBytes,
    )
  }

  async uploadReport(
    files: string[],
    directory: string,
    signal: AbortSignal,
  ): Promise<StoredArtifact> {
    // jobs of a matrix have the same id: hence the number
    const job = (this.environment.GITHUB_JOB ?? 'job').replace(/[^\w.-]/g, '-')
    const request = {
      name: reportName,
      directory,
      files: files.map((file) => relative(directory, file)),
      compressed: false,
    }
    const name = (number: number) => numbered(`${reportName}-${job}`, number) ?? reportName
    return this.store(request, name, true, signal)
  }

  /**
   * Uploads under the first name that can be had. A failed upload burns its name: the service then neither shows an
   * artifact of that name nor lets one be made.
   *
   * @param nameOf the name to try first (1), second (2), …
   * @param evade also pass over names that finished artifacts have
   */
  private async store(
    request: UploadRequest,
    nameOf: (number: number) => string,
    evade: boolean,
    signal: AbortSignal,
    onBytes?: (bytes: number) => void,
  ): Promise<StoredArtifact> {
    await checkReadable(request.directory, request.files)
    let number = 1
    for (let failures = 0; ; ) {
      const name = nameOf(number)
      const attempt: Attempt = { created: false, digest: null }
      try {
        return await this.attempt(request, name, attempt, signal, onBytes)
      } catch (error) {
        if (signal.aborted) throw new Cancelled()
        if (isNameTaken(error)) {
          if (number > mostNames || (!evade && (await this.get(name, undefined, signal))))
            throw nameTaken(name)
          number++
          continue
        }
        const pause = this.pauses[failures++]
        const failure = uploadFailure(name, error)
        if (pause === undefined || isFinal(error)) throw failure
        this.log.warning(`${failure.message}: ${failure.why}. The next attempt follows shortly`)
        await this.pause(pause, signal)
        if (!attempt.created) continue
        // perhaps nothing but the confirmation was lost
        const existing = attempt.digest && (await this.get(name, undefined, signal))
        if (existing && existing.digest === attempt.digest) return existing
        number++
      }
    }
  }

  private async attempt(
    request: UploadRequest,
    name: string,
    attempt: Attempt,
    signal: AbortSignal,
    onBytes: ((bytes: number) => void) | undefined,
  ): Promise<StoredArtifact> {
    const files = request.files.map((file) => join(request.directory, file))
    const { retentionDays } = request
    const options = {
      compressionLevel: request.compressed ? 0 : 6,
      ...(retentionDays === undefined ? {} : { retentionDays }),
    }
    const { id, size } = await callClient(
      { call: 'upload', name, files, directory: request.directory, options },
      this.environment,
      signal,
      (line) => {
        this.log.debug(line)
        if (line.startsWith('Uploading artifact: ')) attempt.created = true
        const digest = /^SHA256 digest of uploaded artifact is ([0-9a-f]{64})$/.exec(line)?.[1]
        if (digest) attempt.digest = `sha256:${digest}`
      },
      onBytes,
    )
    if (id === undefined) throw new Error('the service gave the artifact no id')
    return { id, name, digest: attempt.digest, bytes: size ?? 0 }
  }

  async find(
    name: string,
    run: OtherRun | undefined,
    signal: AbortSignal,
  ): Promise<StoredArtifact | undefined> {
    const exact = await this.get(name, run, signal)
    if (exact) return exact
    const artifacts = await this.ask({ call: 'list', options: findBy(run) }, run, signal)
    return artifacts
      .filter((artifact) => isAttemptOf(artifact.name, name))
      .sort((a, b) => b.id - a.id)
      .map(stored)[0]
  }

  private async get(
    name: string,
    run: OtherRun | undefined,
    signal: AbortSignal,
  ): Promise<StoredArtifact | undefined> {
    try {
      return stored(await this.ask({ call: 'get', name, options: findBy(run) }, run, signal))
    } catch (error) {
      if (isNotFound(error)) return undefined
      throw error
    }
  }

  /** A question to the service, asked again when the answer may be better next time. */
  private async ask<C extends 'get' | 'list'>(
    request: Extract<ClientRequest, { call: C }>,
    run: OtherRun | undefined,
    signal: AbortSignal,
  ) {
    for (let attempt = 0; ; attempt++) {
      try {
        return await callClient(request, this.environment, signal, (line) => this.log.debug(line))
      } catch (error) {
        if (signal.aborted) throw new Cancelled()
        if (isNotFound(error)) throw error
        const pause = this.pauses[attempt]
        if (pause === undefined || isFinal(error))
          throw new Failure(
            `The artifacts of ${run ? `run ${run.id}` : 'this run'} could not be listed`,
            whyOf(error),
            remedyOf(error, run),
          )
        await this.pause(pause, signal)
      }
    }
  }

  async download(
    artifact: StoredArtifact,
    into: string,
    run: OtherRun | undefined,
    signal: AbortSignal,
    onBytes?: (bytes: number) => void,
  ): Promise<void> {
    await mkdir(into, { recursive: true, mode: 0o700 })
    const directory = await mkdtemp(join(into, '.zip-'))
    try {
      const zip = await this.fetch(artifact, directory, run, signal, onBytes)
      await extractZip(zip, into, signal)
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }

  /** Downloads the zip file, and returns its path once its digest is right. */
  private async fetch(
    artifact: StoredArtifact,
    directory: string,
    run: OtherRun | undefined,
    signal: AbortSignal,
    onBytes: ((bytes: number) => void) | undefined,
  ): Promise<string> {
    for (let attempt = 0; ; attempt++) {
      const path = await mkdtemp(join(directory, 'attempt-'))
      // the client says nothing while it downloads
      const poll = setInterval(() => void downloaded(path).then(onBytes), 1000)
      try {
        const options = {
          path,
          // unpacked here, after the check: the client would unpack first, and hold nothing against a list
          skipDecompress: true,
          ...(artifact.digest === null ? {} : { expectedHash: artifact.digest }),
          ...findBy(run),
        }
        const { digestMismatch } = await callClient(
          { call: 'download', id: artifact.id, options },
          this.environment,
          signal,
          (line) => this.log.debug(line),
        )
        const [file] = await readdir(path)
        if (digestMismatch) throw new Error(`what arrived has not the SHA-256 ${artifact.digest}`)
        if (file === undefined) throw new Error('nothing arrived')
        onBytes?.(await downloaded(path))
        return join(path, file)
      } catch (error) {
        if (signal.aborted) throw new Cancelled()
        const failure = new Failure(
          `The artifact ${artifact.name} could not be downloaded`,
          isNotFound(error)
            ? 'It is no longer there: artifacts expire, and can be deleted'
            : whyOf(error),
          remedyOf(error, run),
        )
        const pause = this.pauses[attempt]
        if (pause === undefined || isFinal(error)) throw failure
        this.log.warning(`${failure.message}: ${failure.why}. The next attempt follows shortly`)
        await rm(path, { recursive: true, force: true })
        await this.pause(pause, signal)
      } finally {
        clearInterval(poll)
      }
    }
  }

  private async pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    // jobs of a matrix that failed together must not come back together
    const spread = milliseconds * (0.75 + Math.random() / 2)
    await sleep(spread, undefined, { signal }).catch(() => {
      throw new Cancelled()
    })
  }
}

/** What is known of an upload that may have failed. */
interface Attempt {
  /** The service has given the name away. */
  created: boolean
  /** Of all that was sent. */
  digest: string | null
}

function stored(artifact: Artifact): StoredArtifact {
  const { id, name, size, digest } = artifact
  return { id, name, digest: digest || null, bytes: size }
}

function findBy(run: OtherRun | undefined) {
  if (!run) return {}
  const [repositoryOwner = '', repositoryName = ''] = run.repository.split('/')
  return {
    findBy: { token: run.token, workflowRunId: run.id, repositoryOwner, repositoryName },
  }
}

/** `<base>-2`, `<base>-3`, …; nothing for the first. */
function numbered(base: string, number: number): string | undefined {
  return number === 1 ? undefined : `${base}-${number}`
}

function isAttemptOf(candidate: string, name: string): boolean {
  return candidate.startsWith(`${name}-attempt-`) && /^\d+$/.test(candidate.slice(name.length + 9))
}

/** @throws Failure naming a file that is no plain file or that the account may not read */
async function checkReadable(directory: string, files: string[]): Promise<void> {
  for (const file of files) {
    try {
      await access(join(directory, file), constants.R_OK)
      if (!(await lstat(join(directory, file))).isFile()) throw new Error('it is no plain file')
    } catch (error) {
      throw new Failure(
        `${file} cannot be uploaded`,
        messageOf(error),
        'Check the disk, and that the file belongs to the user who runs the job',
      )
    }
  }
}

async function downloaded(path: string): Promise<number> {
  try {
    const [file] = await readdir(path)
    return file === undefined ? 0 : (await stat(join(path, file))).size
  } catch {
    return 0 // the attempt was given up in between
  }
}

function isNameTaken(error: unknown): boolean {
  return error instanceof ClientError && /Failed to CreateArtifact: .*\(409\)/s.test(error.message)
}

function isNotFound(error: unknown): boolean {
  return error instanceof ClientError && error.kind === 'ArtifactNotFoundError'
}

function nameTaken(name: string): ArtifactNameTaken {
  return new ArtifactNameTaken(
    `The artifact ${name} exists in this run already`,
    'Artifacts cannot be changed, and their names are unique in a run',
    'Give each job and step an artifact-name of its own',
  )
}

/** Would the same attempt fail again? */
function isFinal(error: unknown): boolean {
  if (error instanceof Failure) return true
  if (!(error instanceof ClientError)) return false
  const { kind, status, message } = error
  return (
    ['GHESNotSupportedError', 'UsageError', 'FilesNotFoundError', 'PackingError'].includes(kind) ||
    // 403 is not among them: the service has answered it to what it took a moment later
    [401, 404, 410].includes(status ?? 0) ||
    /\((400|401|404|410|422)\)|Unable to get the ACTIONS_|JWT|Invalid token/.test(message)
  )
}

function uploadFailure(name: string, error: unknown): Failure {
  if (error instanceof Failure) return error
  return new Failure(
    `The artifact ${name} could not be uploaded`,
    whyOf(error),
    remedyOf(error, undefined),
  )
}

/** The reason in one line. */
function whyOf(error: unknown): string {
  if (error instanceof ClientError && error.kind === 'GHESNotSupportedError')
    return 'GitHub Enterprise Server does not offer this kind of artifact'
  return withoutSignatures(messageOf(error))
}

function remedyOf(error: unknown, run: OtherRun | undefined): string {
  const text = error instanceof ClientError ? `${error.kind} ${error.message}` : ''
  if (/GHESNotSupportedError|Unable to get the ACTIONS_/.test(text))
    return 'Set upload-dump to false and pass the dump on in dump-directory (with keep-dump: true), on a disk that both jobs see or by a copy'
  if (/UsageError/.test(text))
    return 'Delete artifacts, raise the storage limit of the account, or use dump-directory instead'
  if (run) return 'Check run-id, and that github-token has the permission actions: read'
  if (/\(401\)|expired/i.test(text))
    return 'The job has outlived its token: keep the dump in dump-directory with keep-dump: true, and upload it in a job of its own'
  return 'Run the job again; with keep-dump: true the dump also stays in dump-directory'
}
