import { Failure, messageOf } from '../../failure.ts'
import type { Progress } from '../context.ts'
import { type DumpSink, tellingAll } from '../dump/sink.ts'
import { halvesOf } from '../halves.ts'
import { runPhase, skipPhase } from '../phases.ts'
import type { Run } from '../run.ts'
import { artifactName } from './artifact-name.ts'
import { EarlyUpload, removeParts } from './early-upload.ts'
import type { Manifest } from './manifest.ts'
import { DumpUpload } from './upload.ts'

/** An upload that runs beside the restore: its failure never harms the restore, but fails the step at the end. */
export interface Upload {
  /** Resolves when the upload has ended, well or not. */
  done: Promise<void>
  /** @throws Failure when it did not end well */
  check(): void
}

/**
 * Makes a dump and keeps it as an artifact. Parts of it that were sent are removed again where it does not become whole: where it
 * fails, cannot be sealed or uploaded, or the job is cancelled.
 *
 * @param databases that are dumped
 * @param work what dumps, seals and does all that follows, and tells the keeper
 * @throws what `work` throws
 */
export async function keepingDump<T>(
  databases: readonly { bytes: number }[],
  run: Run,
  work: (keeper: DumpKeeper) => Promise<T>,
): Promise<T> {
  const keeper = new DumpKeeper(databases, run)
  // a cancelled job has seconds, which all shares that is still to be done
  const cancelled = () => void keeper.end()
  run.signal.addEventListener('abort', cancelled, { once: true })
  try {
    return await work(keeper)
  } finally {
    run.signal.removeEventListener('abort', cancelled)
    await keeper.end()
  }
}

/** Keeps one dump: what is complete of it while it is made, and the rest when it is sealed. */
export class DumpKeeper {
  /** For whatever goes on beside the upload. */
  readonly progress: Progress
  /** Where something is sent before the dump is sealed. */
  private readonly early: EarlyUpload | undefined
  private readonly run: Run
  private begun: Promise<DumpUpload> | undefined
  private upload: DumpUpload | undefined
  private finishing: Promise<void> = Promise.resolve()
  private isWhole = false
  private ending: Promise<void> | undefined

  constructor(databases: readonly { bytes: number }[], run: Run) {
    const [progress, uploading] = halvesOf(run.progress)
    this.run = run
    this.progress = progress
    // a directory of this machine is no place for a part
    if (run.inputs.uploadDump && run.artifacts.keptIn === undefined)
      this.early = new EarlyUpload(() => this.begin(), databases, { ...run, progress: uploading })
  }

  /**
   * Who is to be told of the dump, so that what is complete can be sent.
   *
   * @param restoring who is to be told as well; without it no database is dumped in parts
   */
  sink(restoring?: DumpSink): DumpSink | undefined {
    const { early, run } = this
    if (!early) return restoring
    if (restoring) return tellingAll([restoring, early], run)
    return { ...tellingAll([early], run), wholeOnly: true }
  }

  /** Starts keeping what is not kept yet of the dump, which is sealed by now. */
  start(manifest: Manifest): Upload {
    const { run } = this
    if (!run.inputs.uploadDump) {
      skipPhase(run, 'upload')
      return { done: Promise.resolve(), check: () => {} }
    }
    let failure: unknown
    const done = this.finish(manifest).catch((error: unknown) => {
      failure = error
      if (!run.signal.aborted)
        run.log.warning(`The dump was not kept as an artifact: ${messageOf(error)}`)
    })
    this.finishing = done
    return {
      done,
      check() {
        if (failure) throw failure
      },
    }
  }

  /** Removes what was sent, where the dump has not become whole. Never throws. */
  end(): Promise<void> {
    this.ending ??= this.clear()
    return this.ending
  }

  private async finish(manifest: Manifest): Promise<void> {
    const { run } = this
    await this.early?.stop()
    await runPhase(run, 'upload', async () => {
      const upload = await this.begin()
      const { id, name, digest, bytes } = await upload.finish(manifest, run)
      this.isWhole = true
      run.record.artifact({ id, name, digest, bytes })
      run.setOutput('artifact-id', id)
      if (digest) run.setOutput('artifact-digest', digest)
    })
  }

  private async clear(): Promise<void> {
    const { run } = this
    // sealed, it becomes whole also where its restore has failed
    if (!run.signal.aborted) await this.finishing
    if (this.isWhole) return
    await this.early?.abort()
    await this.finishing
    if (this.isWhole || !this.upload || run.artifacts.keptIn !== undefined) return
    const { names, isBegun, isMainMade } = this.upload
    if (!isMainMade) await removeParts(names, run)
    else if (isBegun)
      run.warn(
        `Parts of the dump were uploaded, and it is not known whether the artifact that makes a dump of them was: they are not deleted. Delete them on the page of the run where there is no ${artifactName(run.inputs)}, or let them expire`,
      )
  }

  /** The upload, which is begun once. @throws Failure where there can be none */
  private begin(): Promise<DumpUpload> {
    this.begun ??= this.open().catch((error: unknown) => {
      // what cannot be done early may be done later: a question is asked again then
      this.begun = undefined
      throw error
    })
    return this.begun
  }

  private async open(): Promise<DumpUpload> {
    const { run } = this
    const { inputs } = run
    await refuseUpload(run)
    const options = {
      name: artifactName(inputs),
      compressed: inputs.compression.method !== 'none',
      retentionDays: inputs.retentionDays,
      passphrase: inputs.passphrase,
      scratch: run.temporaryDirectory,
      limits: run.uploadLimits,
    }
    this.upload = await DumpUpload.begin(run.artifacts, run.dumpDirectory, options, run)
    return this.upload
  }
}

/**
 * Never from a public repository without encryption, unless that was allowed: whoever can read the repository can download its
 * artifacts.
 *
 * @throws Failure where the dump cannot or may not be uploaded
 */
async function refuseUpload(run: Run): Promise<void> {
  const { inputs } = run
  if (!run.canUpload) {
    throw new Failure(
      'The dump cannot be kept as an artifact here',
      'The runner offers no artifact service to this step (ACTIONS_RUNTIME_TOKEN and ACTIONS_RESULTS_URL are not set)',
      'Run on GitHub Actions, or set upload-dump: false and keep the dump with dump-directory and keep-dump',
    )
  }
  if (inputs.passphrase !== undefined || !(await run.isPublicRepository())) return
  if (!inputs.allowPublicArtifact) {
    throw new Failure(
      'The dump is not uploaded: the repository is public',
      'Everybody could download it, with all data, the password hashes of the roles and the connection strings inside',
      'Set passphrase to encrypt it, or upload-dump: false; allow-public-artifact: true uploads it as it is',
    )
  }
  run.warn(
    'The dump is uploaded unencrypted from a public repository: everybody can download its data, password hashes and connection strings',
  )
}
