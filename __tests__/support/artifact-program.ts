import { execFile } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { withLock } from './lock.ts'

const root = join(import.meta.dirname, '..', '..')
const source = join(root, 'src', 'action', 'artifact-process.ts')

/**
 * Stands in for src/action/artifact-program.ts in tests (jest.config.js): the program as a bundle, as in dist/, made once in
 * a run of the tests from the source as it is. It starts in a third of the time, and the tests start it some 200 times. What
 * GitHub's client waits for is what it is elsewhere, and it waits for a shorter time.
 */
export async function artifactProgram(): Promise<string> {
  const directory = join(process.env.TEST_RUN_DIRECTORY ?? '', 'artifact-program')
  const bundle = join(directory, 'bundle')
  await withLock(`${directory}.lock`, async () => {
    if (existsSync(bundle)) return
    mkdirSync(directory, { recursive: true })
    const made = { entry: join(directory, 'program.js'), bundle: join(directory, 'made') }
    if (!existsSync(made.entry))
      symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'))
    writeFileSync(join(directory, 'package.json'), '{"type":"module"}')
    writeFileSync(made.entry, stripTypeScriptTypes(readFileSync(source, 'utf8')))
    const ncc = join(root, 'node_modules', '@vercel', 'ncc', 'dist', 'ncc', 'cli.js')
    await promisify(execFile)(process.execPath, [
      ...[ncc, 'build', made.entry, '--out', made.bundle, '--no-cache', '--quiet'],
    ])
    const program = join(made.bundle, 'index.js')
    writeFileSync(join(made.bundle, 'client.js'), impatient(readFileSync(program, 'utf8')))
    writeFileSync(program, starter(join(directory, 'compiled')))
    renameSync(made.bundle, bundle)
  })
  return join(bundle, 'index.js')
}

/** Runs the bundle, as Node has compiled it for the first of these processes: each kills itself, so Node would not keep it. */
function starter(compiled: string): string {
  return `import { enableCompileCache, flushCompileCache } from 'node:module'
enableCompileCache(${JSON.stringify(compiled)})
const kill = process.kill.bind(process)
process.kill = (...call) => {
  flushCompileCache()
  return kill(...call)
}
await import('./client.js')
`
}

/** The client's program with a sixth of the time for a download that stalls, and a tenth of the pause before it asks again. */
function impatient(program: string): string {
  const times: [from: string, to: string][] = [
    ['timeout = 30 * 1000', 'timeout = 5 * 1000'],
    ['baseRetryIntervalMilliseconds = 3000', 'baseRetryIntervalMilliseconds = 300'],
  ]
  return times.reduce((text, [from, to]) => {
    if (text.split(from).length !== 2) throw new Error(`GitHub's client waits otherwise: ${from}`)
    return text.replace(from, to)
  }, program)
}
