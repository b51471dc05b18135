import { Failure, messageOf } from '../../failure.ts'
import { runPhase, skipPhase } from '../phases.ts'
import type { Run } from '../run.ts'
import { artifactName } from './artifact-name.ts'
import type { Manifest } from './manifest.ts'
import { uploadDump } from './upload.ts'

/** An upload that runs beside the restore: its failure never harms the restore, but fails the step at the end. */
export interface Upload {
  /** Resolves when the upload has ended, well or not. */
  done: Promise<void>
  /** @throws Failure when it did not end well */
  check(): void
}

/**
 * Starts keeping a sealed dump as an artifact. Never from a public repository without encryption, unless that was allowed:
 * whoever can read the repository can download its artifacts.
 */
export function startUpload(manifest: Manifest, run: Run): Upload {
  const { inputs } = run
  if (!inputs.uploadDump) {
    skipPhase(run, 'upload')
    return { done: Promise.resolve(), check: () => {} }
  }
  let failure: unknown
  const done = runPhase(run, 'upload', () => upload(manifest, run)).catch((error: unknown) => {
    failure = error
    if (!run.signal.aborted)
      run.log.warning(`The dump was not kept as an artifact: ${messageOf(error)}`)
  })
  return {
    done,
    check() {
      if (failure) throw failure
    },
  }
}

async function upload(manifest: Manifest, run: Run): Promise<void> {
  const { inputs } = run
  if (!run.canUpload) {
    throw new Failure(
      'The dump cannot be kept as an artifact here',
      'The runner offers no artifact service to this step (ACTIONS_RUNTIME_TOKEN and ACTIONS_RESULTS_URL are not set)',
      'Run on GitHub Actions, or set upload-dump: false and keep the dump with dump-directory and keep-dump',
    )
  }
  if (inputs.passphrase === undefined && (await run.isPublicRepository())) {
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
  const uploaded = await uploadDump(
    run.artifacts,
    run.dumpDirectory,
    manifest,
    {
      name: artifactName(inputs),
      compressed: inputs.compression.method !== 'none',
      retentionDays: inputs.retentionDays,
      passphrase: inputs.passphrase,
      scratch: run.temporaryDirectory,
    },
    run,
  )
  const { id, name, digest, bytes } = uploaded
  run.record.artifact({ id, name, digest, bytes })
  run.setOutput('artifact-id', id)
  if (digest) run.setOutput('artifact-digest', digest)
}
