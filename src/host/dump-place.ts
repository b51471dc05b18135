import { constants } from 'node:fs'
import { mkdir, mkdtemp, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, messageOf } from '../failure.ts'
import { dumpFull, isFull, writingTo } from '../migration/free-space.ts'
import type { Inputs } from '../migration/inputs.ts'
import { manifestFile } from '../migration/kept/manifest.ts'
import { makePath } from './make-path.ts'
import type { PrivateDirectory } from './private-directory.ts'

/**
 * The directory of the dump. Where this run neither writes nor reads one it is only named. Where this run writes it, the directory is empty, belongs to this account and is private (0700)
 * before the first byte, and is noted for removal. A dump that is to be kept stays once it is one, which its manifest says: what
 * was never sealed can be restored by nobody, holds data and verifiers, and would be in the way of the next run.
 *
 * @param warn told when somebody else could read a dump that is written as root
 * @param lastFile what a finished dump holds
 * @throws Failure when the directory cannot be made, read or made private, or is not empty
 */
export async function openDumpPlace(
  inputs: Inputs,
  runnerTemporary: string,
  own: PrivateDirectory,
  warn: (message: string) => void,
  lastFile = manifestFile,
): Promise<string> {
  const given = inputs.dumpDirectory
  const downloads = inputs.runId !== undefined && inputs.dump === 'read'
  const writes = inputs.dump === 'written' || downloads
  try {
    if (given === undefined) {
      if (inputs.keepDump) {
        const kept = await mkdtemp(join(runnerTemporary, 'polardb-dump-'))
        await own.note([{ path: kept, contentsOnly: false, unless: lastFile }])
        return kept
      }
      await mkdir(join(own.path, 'dump'), { mode: 0o700 })
      return join(own.path, 'dump')
    }
    if (inputs.dump === 'none') return given
    if (!writes) {
      await readdir(given)
      return given
    }
    const wasThere = await writingTo(given, dumpFull, () => makePath(given))
    await checkEmpty(given)
    await makePrivate(given, warn)
    // somebody may have put something in before
    await checkEmpty(given)
    await own.note([
      { path: given, contentsOnly: wasThere, ...(inputs.keepDump ? { unless: lastFile } : {}) },
    ])
    return given
  } catch (error) {
    // what is noted lies elsewhere
    if (error instanceof Failure || isFull(error)) throw error
    throw new Failure(
      'The dump directory cannot be used',
      messageOf(error),
      `Set dump-directory to a directory that the account of the runner may ${writes ? 'write to' : 'read'}`,
    )
  }
}

async function checkEmpty(path: string): Promise<void> {
  const names = await readdir(path)
  if (names.length > 0)
    throw new Failure(
      'The dump directory is not empty',
      `${path} holds ${names.length} entries, and a dump never mixes with what is there`,
      'Name a new or an empty directory in dump-directory',
    )
}

/** Takes everybody else's rights away, without following a name that could be exchanged meanwhile. */
async function makePrivate(path: string, warn: (message: string) => void): Promise<void> {
  await using handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  const { uid } = await handle.stat()
  const self = process.getuid?.()
  if (uid !== self) {
    if (self !== 0)
      throw new Failure(
        'The dump directory belongs to another account',
        `${path} belongs to the user id ${uid}, who could read and change what is written there`,
        'Name a directory in dump-directory that does not exist yet, or one of the account of the runner',
      )
    warn(
      `The dump directory ${path} belongs to the user id ${uid}, who can read and change the dump: name one that does not exist yet`,
    )
  }
  await handle.chmod(0o700)
}
