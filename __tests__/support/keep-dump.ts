import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KeptDirectory } from '../../src/cli/kept-directory.ts'
import type { ArtifactStore } from '../../src/migration/kept/artifact-store.ts'
import { type Manifest, manifestFile, parseManifest } from '../../src/migration/kept/manifest.ts'
import {
  DumpUpload,
  type UploadedDump,
  type UploadOptions,
} from '../../src/migration/kept/upload.ts'
import type { QuietContext } from './sample-dump.ts'

/** Uploads a sealed dump as a DumpKeeper does that was told of none of its archives before. */
export async function uploadDump(
  store: ArtifactStore,
  directory: string,
  manifest: Manifest,
  options: UploadOptions,
  context: QuietContext,
): Promise<UploadedDump> {
  const upload = await DumpUpload.begin(store, directory, options, context)
  return await upload.finish(manifest, context)
}

/**
 * Encrypts a sealed dump as a command line keeps it.
 *
 * @param out is made
 */
export async function encryptDump(
  directory: string,
  out: string,
  passphrase: string,
  context: QuietContext,
): Promise<void> {
  const manifest = parseManifest(await readFile(join(directory, manifestFile)))
  await mkdir(out, { mode: 0o700 })
  const scratch = await mkdtemp(join(tmpdir(), 'encrypt-'))
  try {
    const options = { name: 'polardb-dump', compressed: true, scratch, passphrase }
    await uploadDump(new KeptDirectory(out), directory, manifest, options, context)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}
