import { join } from 'node:path'

/**
 * Where the program lies that makes one call of GitHub's artifact client: a bundle beside ours, or the source when that is
 * what runs.
 */
export async function artifactProgram(): Promise<string> {
  return import.meta.filename.endsWith('.ts')
    ? join(import.meta.dirname, 'artifact-process.ts')
    : join(import.meta.dirname, '..', 'artifact', 'index.js')
}
