import * as core from '@actions/core'
import { messageOf } from '../failure.ts'
import { endPrograms, type Rubbish, removeRubbish } from '../host/rubbish.ts'
import { visible } from '../text/text.ts'
import { deleteArtifacts, type LooseArtifact, undeleted } from './loose-artifacts.ts'

const state = 'rubbish'
const partsState = 'parts'
/** Milliseconds for the artifacts that are to be deleted. */
const deletionTime = 60_000

/** Tells the post step what to remove if main cannot do it any more. Paths only, never a secret. */
export function leaveToPost(rubbish: Rubbish[]): void {
  core.saveState(state, JSON.stringify(rubbish))
}

/** Tells the post step which artifacts to delete if main cannot do it any more: those that it said before are void. */
export function leavePartsToPost(artifacts: LooseArtifact[]): void {
  core.saveState(partsState, JSON.stringify(artifacts))
}

/**
 * The post step: ends the programs and removes the files and the parts of a dump that main made and could not remove itself, because
 * it was cancelled or killed. It warns and never fails: the step's verdict is main's.
 */
export async function cleanUp(): Promise<void> {
  try {
    const rubbish = JSON.parse(core.getState(state) || '[]') as Rubbish[]
    for (const { path } of rubbish) await endPrograms(path)
    await removeRubbish([...rubbish].reverse())
  } catch (error) {
    core.warning(visible(`Not everything could be removed from the runner: ${messageOf(error)}`))
  }
  await deleteParts()
}

/** After the programs have ended: one of them might still be sending a part. */
async function deleteParts(): Promise<void> {
  try {
    const artifacts = JSON.parse(core.getState(partsState) || '[]') as LooseArtifact[]
    if (artifacts.length === 0) return
    const listener = { onLine: (line: string) => core.debug(visible(line)) }
    const limit = AbortSignal.timeout(deletionTime)
    const left = await deleteArtifacts(artifacts, process.env, listener, limit, deletionTime)
    if (left.names.length > 0) throw undeleted(left.names, left.why)
    core.info('Deleted the parts of a dump that there will not be')
  } catch (error) {
    core.warning(visible(messageOf(error)))
  }
}
