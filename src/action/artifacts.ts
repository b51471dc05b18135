import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cancelled, Failure } from '../failure.ts'
import type { Logger } from '../migration/context.ts'
import { dumpFull, freeSpace, refuseUnlessFree } from '../migration/free-space.ts'
import type {
  ArtifactStore,
  OtherRun,
  StoredArtifact,
  UploadRequest,
} from '../migration/kept/artifact-store.ts'
import { extractZip } from '../migration/kept/unzip.ts'
import { formatBytes } from '../text/numbers.ts'
import {
  type ClientRequest,
  callClient,
  type Environment,
  type Listener,
} from './artifact-client.ts'
import {
  isFinal,
  isNameTaken,
  isNotFound,
  isPackingError,
  nameTaken,
  remedyOf,
  uploadFailure,
  whyOf,
} from './artifact-errors.ts'
import { checkReadable, findBy, isAttemptOf, numbered, stored } from './artifact-names.ts'
import { type Attempt, attemptUpload } from './artifact-upload.ts'
import { type LooseArtifact, LooseArtifacts } from './loose-artifacts.ts'

/** What the artifact of a report is called; jobs of a matrix add their own name. */
export const reportName = 'polardb-report'

/** The client itself gives up an upload after 5 to 10 minutes, and a download after 30 s, without a byte. */
const defaultPatience = 15 * 60_000

/** Bytes: where fewer are free, a download has failed for lack of room. */
const leastFree = 65_536
/** A matrix has 256 jobs at most. */
const mostNames = 300

/** Milliseconds for the report, all attempts together. */
const defaultReportTime = 30_000

/** The client itself has tried for half a minute before each. */
const defaultPauses = [10_000, 30_000, 90_000]

/** GitHub's artifacts, through its own client. Needs the runner's ACTIONS_RUNTIME_TOKEN and ACTIONS_RESULTS_URL. */
export class GitHubArtifacts implements ArtifactStore {
  private readonly log: Logger
  private readonly environment: Environment
  private readonly pauses: number[]
  private readonly patience: number
  private readonly reportTime: number
  private readonly mostUnpacked: number
  private readonly loose = new LooseArtifacts((artifacts) => this.leave(artifacts))
  /** Told what is to be removed if this run is killed, whenever that changes. */
  leave: (artifacts: LooseArtifact[]) => void = () => {}

  /**
   * @param log gets the client's own log as debug lines
   * @param environment the runner's
   * @param pauses milliseconds before the second, third, … attempt; their number is that of further attempts
   * @param patience milliseconds without a sign of life after which an attempt has failed
   * @param reportTime milliseconds for the report, all attempts together
   * @param mostUnpacked bytes that an artifact may unpack to
   */
  constructor(
    log: Logger,
    environment: Environment = process.env,
    pauses = defaultPauses,
    patience = defaultPatience,
    reportTime = defaultReportTime,
    mostUnpacked = Number.POSITIVE_INFINITY,
  ) {
    this.log = log
    this.environment = environment
    this.pauses = pauses
    this.patience = patience
    this.reportTime = reportTime
    this.mostUnpacked = mostUnpacked
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

  async remove(names: readonly string[], signal: AbortSignal): Promise<void> {
    const made = names.flatMap((name) => this.loose.of(name))
    await this.loose.delete(made, this.environment, this.listener(), signal, this.patience)
  }

  settle(): void {
    this.loose.settle()
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
    // the step waits for it: seconds, not the minutes that a dump is worth
    const limit = AbortSignal.any([signal, AbortSignal.timeout(this.reportTime)])
    try {
      return await this.store(request, name, true, limit)
    } catch (error) {
      if (signal.aborted || !limit.aborted) throw error
      throw new Failure(
        'The report was not uploaded',
        `The artifact service did not take it within ${this.reportTime / 1000} s`,
        'The report is on the disk of the runner and in the summary of the job',
      )
    }
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
        return await attemptUpload(request, name, attempt, {
          environment: this.environment,
          signal,
          patience: this.patience,
          ...this.listener(onBytes),
          onCreated: (made) => request.onName?.(made),
          onSent: (made, digest) => {
            if (request.isLoose) this.loose.add(made, digest)
          },
        })
      } catch (error) {
        if (signal.aborted) throw new Cancelled()
        if (isNameTaken(error)) {
          if (number > mostNames || (!evade && (await this.get(name, undefined, signal))))
            throw nameTaken(name)
          number++
          continue
        }
        // the client does not say which file it could not pack
        if (isPackingError(error)) await checkReadable(request.directory, request.files)
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
        return await callClient(request, this.environment, this.listener(), signal, this.patience)
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
    await refuseUnlessFree(into, artifact.bytes, (free) => [
      'The artifact does not fit on the disk',
      `${artifact.name} has ${formatBytes(artifact.bytes)}, and ${formatBytes(free)} are free at ${into}`,
      'Free space, or set dump-directory to a larger disk',
    ])
    const directory = await mkdtemp(join(into, '.zip-'))
    try {
      const zip = await this.fetch(artifact, directory, run, signal, onBytes)
      await extractZip(zip, into, signal, this.mostUnpacked)
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
          this.listener(onBytes),
          signal,
          this.patience,
        )
        const [file] = await readdir(path)
        if (digestMismatch) throw new Error(`what arrived has not the SHA-256 ${artifact.digest}`)
        if (file === undefined) throw new Error('nothing arrived')
        onBytes?.((await stat(join(path, file))).size)
        return join(path, file)
      } catch (error) {
        if (signal.aborted) throw new Cancelled()
        // the client has other words for it, and what it has written is still there
        if ((await freeSpace(directory)) < leastFree) throw dumpFull(dirname(directory))
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
      }
    }
  }

  private listener(onBytes?: (bytes: number) => void): Listener {
    return { onLine: (line) => this.log.debug(line), onBytes }
  }

  private async pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    // jobs of a matrix that failed together must not come back together
    const spread = milliseconds * (0.75 + Math.random() / 2)
    await sleep(spread, undefined, { signal }).catch(() => {
      throw new Cancelled()
    })
  }
}
