import { fastDirectory } from './cluster.ts'
import { guard, temporary, temporaryDirectory } from './server.ts'

/**
 * Jest's `globalSetup`: makes the directory of one run of the tests, for what is made once and copied (cluster.ts), and names
 * it to the workers as TEST_RUN_DIRECTORY. A guard removes it once the run has ended, also where it was killed.
 */
export default function makeRunDirectory(): void {
  const directory = temporaryDirectory('test-run-', fastDirectory(temporary()))
  guard(directory)
  process.env.TEST_RUN_DIRECTORY = directory
}
