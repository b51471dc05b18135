import * as core from '@actions/core'
import { messageOf } from '../failure.ts'
import { endPrograms, type Rubbish, removeRubbish } from '../host/rubbish.ts'
import { visible } from '../text/text.ts'

const state = 'rubbish'

/** Tells the post step what to remove if main cannot do it any more. Paths only, never a secret. */
export function leaveToPost(rubbish: Rubbish[]): void {
  core.saveState(state, JSON.stringify(rubbish))
}

/**
 * The post step: ends the programs and removes the files that main made and could not remove itself, because it was cancelled
 * or killed. It warns and never fails: the step's verdict is main's.
 */
export async function cleanUp(): Promise<void> {
  try {
    const rubbish = JSON.parse(core.getState(state) || '[]') as Rubbish[]
    for (const { path } of rubbish) await endPrograms(path)
    await removeRubbish([...rubbish].reverse())
  } catch (error) {
    core.warning(visible(`Not everything could be removed from the runner: ${messageOf(error)}`))
  }
}
