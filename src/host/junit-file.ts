import { writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Failure, messageOf } from '../failure.ts'
import type { Logger } from '../migration/context.ts'
import { temporaryFull, writingTo } from '../migration/free-space.ts'
import { renderJunit, renderUnfinishedJunit } from '../report/junit.ts'
import type { Report } from '../report/model.ts'
import { makePath } from './make-path.ts'

/**
 * Makes the file, before anything else: a verified migration must not end in a failure that could have been told before. Whatever an
 * earlier step has left there is not the result of this run; until there is one, the file says that the run has not ended.
 *
 * @param junit a path; its directories are made
 * @throws Failure
 */
export async function beginJunit(report: Report, junit: string): Promise<void> {
  try {
    await makePath(dirname(resolve(junit)), 0o777)
    await writeFile(resolve(junit), renderUnfinishedJunit(report))
  } catch (error) {
    throw new Failure(
      'The file for the JUnit XML cannot be written',
      `${junit}: ${messageOf(error)}`,
      'Set junit to the path of a file that can be made, junit.xml say',
      { cause: error },
    )
  }
}

/**
 * Writes the JUnit XML of a run that has ended.
 *
 * @param report without secrets
 * @throws Failure where the disk is full
 */
export async function writeJunit(report: Report, junit: string, log: Logger): Promise<void> {
  const path = resolve(junit)
  await writingTo(dirname(path), temporaryFull, () => writeFile(path, renderJunit(report)))
  log.info(`The verification as JUnit XML is in ${path}`)
}
