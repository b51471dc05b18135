import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fastDirectory } from './cluster.ts'
import { giveToServer, guard, temporary, temporaryDirectory } from './server.ts'

/**
 * Jest's `globalSetup`: makes the directory of one run of the tests, for what is made once and copied (cluster.ts), and names
 * it to the workers as TEST_RUN_DIRECTORY. A guard removes it once the run has ended, also where it was killed.
 *
 * In it Node keeps what it has compiled (NODE_COMPILE_CACHE), since the tests start the same programs, of megabytes each, hundreds
 * of times. What it keeps of a file is used for that text alone.
 */
export default function makeRunDirectory(): void {
  const directory = temporaryDirectory('test-run-', fastDirectory(temporary()))
  guard(directory)
  process.env.TEST_RUN_DIRECTORY = directory
  const compiled = join(directory, 'compiled')
  mkdirSync(compiled)
  mkdirSync(`${compiled}-by-servers`)
  giveToServer(`${compiled}-by-servers`)
  process.env.NODE_COMPILE_CACHE = compiled
}

/**
 * The variable for programs that get an environment of their own.
 *
 * @param user whose processes they are: each has a directory to itself, since what is in it is run
 */
export function compileCache(user: 'own' | 'server' = 'own'): Record<string, string> {
  const { NODE_COMPILE_CACHE: directory } = process.env
  if (directory === undefined) return {}
  return { NODE_COMPILE_CACHE: user === 'own' ? directory : `${directory}-by-servers` }
}
