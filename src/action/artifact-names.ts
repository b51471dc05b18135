import { constants } from 'node:fs'
import { access, lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, messageOf } from '../failure.ts'
import type { OtherRun, StoredArtifact } from '../migration/kept/artifact-store.ts'
import type { ListedArtifact } from './artifact-client.ts'

export function stored(artifact: ListedArtifact): StoredArtifact {
  const { id, name, size, digest } = artifact
  return { id, name, digest: digest || null, bytes: size }
}

export function findBy(run: OtherRun | undefined) {
  if (!run) return {}
  const [repositoryOwner = '', repositoryName = ''] = run.repository.split('/')
  return {
    findBy: { token: run.token, workflowRunId: run.id, repositoryOwner, repositoryName },
  }
}

/** `<base>-2`, `<base>-3`, …; nothing for the first. */
export function numbered(base: string, number: number): string | undefined {
  return number === 1 ? undefined : `${base}-${number}`
}

export function isAttemptOf(candidate: string, name: string): boolean {
  return candidate.startsWith(`${name}-attempt-`) && /^\d+$/.test(candidate.slice(name.length + 9))
}

/** @throws Failure naming a file that is no plain file or that the account may not read */
export async function checkReadable(directory: string, files: string[]): Promise<void> {
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
