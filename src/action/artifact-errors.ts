import { Failure, messageOf } from '../failure.ts'
import { ArtifactNameTaken, type OtherRun } from '../migration/kept/artifact-store.ts'
import { ClientError, withoutSignatures } from './artifact-client.ts'

/** What the errors of GitHub's artifact client mean, and what to do about them. */

/** The run has an artifact of that name, or an upload has burnt it. */
export function isNameTaken(error: unknown): boolean {
  return error instanceof ClientError && /Failed to CreateArtifact: .*\(409\)/s.test(error.message)
}

/** There is no such artifact. */
export function isNotFound(error: unknown): boolean {
  return error instanceof ClientError && error.kind === 'ArtifactNotFoundError'
}

/** A file vanished or could not be read while the artifact was packed. */
export function isPackingError(error: unknown): boolean {
  return error instanceof ClientError && error.kind === 'PackingError'
}

/** For a name that a finished artifact has. */
export function nameTaken(name: string): ArtifactNameTaken {
  return new ArtifactNameTaken(
    `The artifact ${name} exists in this run already`,
    'Artifacts cannot be changed, and their names are unique in a run',
    'Give each job and step an artifact-name of its own',
  )
}

/** Would the same attempt fail again? */
export function isFinal(error: unknown): boolean {
  if (error instanceof Failure) return true
  if (!(error instanceof ClientError)) return false
  const { kind, status, message } = error
  return (
    isPackingError(error) ||
    ['GHESNotSupportedError', 'UsageError', 'FilesNotFoundError'].includes(kind) ||
    // 403 is not among them: the service has answered it to what it took a moment later
    [401, 404, 410].includes(status ?? 0) ||
    /\((400|401|404|410|422)\)|Unable to get the ACTIONS_|JWT|Invalid token/.test(message)
  )
}

/** What an upload ends with. */
export function uploadFailure(name: string, error: unknown): Failure {
  if (error instanceof Failure) return error
  return new Failure(
    `The artifact ${name} could not be uploaded`,
    whyOf(error),
    remedyOf(error, undefined),
  )
}

/** The reason in one line. */
export function whyOf(error: unknown): string {
  if (error instanceof ClientError && error.kind === 'GHESNotSupportedError')
    return 'GitHub Enterprise Server does not offer this kind of artifact'
  return withoutSignatures(messageOf(error))
}

/** The next step, in one line. @param run the other run that was asked, if any */
export function remedyOf(error: unknown, run: OtherRun | undefined): string {
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
