import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Cancelled, Failure, messageOf } from '../../../failure.ts'
import { entryName } from '../../../postgres/archive/entry.ts'
import { aborted } from '../../../postgres/programs/messages.ts'
import { type ProgramOptions, runProgram } from '../../../postgres/programs/process.ts'
import { programEnvironment, programPath } from '../../../postgres/programs/programs.ts'
import { SilentPeer } from '../../../postgres/watchdog.ts'
import { isFull, temporaryFull } from '../../free-space.ts'
import { ProgramLog } from '../../program-log.ts'
import type { RestoreOptions } from '../options.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { ErrorReader, isExpected, LoadFailure, mayAllPass } from './load-errors.ts'

/** One run of pg_restore. */
export interface RestoreRun {
  /** The application_name of its session, where it has one. */
  name: string
  /** Its arguments, for a list of entries in this file. */
  arguments(list: string): string[]
  /** Takes each line of stderr. */
  onErrorLine?(line: string): void
  onOutput?: ProgramOptions['onOutput']
  watch?: ProgramOptions['watch']
}

/**
 * Runs pg_restore for some entries of one archive. What it writes to stderr goes to the log, as far as it may be shown.
 *
 * @param directory for a list that is removed at the end
 * @throws LoadFailure with every error that pg_restore reported; Failure when it cannot be started; Cancelled
 */
export async function runPgRestore(
  options: RestoreOptions,
  items: readonly PlannedEntry[],
  directory: string,
  signal: AbortSignal,
  run: RestoreRun,
): Promise<void> {
  const list = join(directory, `${run.name.replace(/[^\w-]/g, '-')}.list`)
  await writeFile(list, items.map(({ entry }) => `${entry.dumpId};\n`).join(''), { mode: 0o600 })
  const reader = new ErrorReader()
  const title = `# pg_restore of ${items.map(({ entry }) => entryName(entry)).join(', ')}`
  const log = new ProgramLog(options.logFile, 'pg_restore', title)
  try {
    const result = await runProgram(
      programPath(options.client, 'pg_restore'),
      run.arguments(list),
      {
        env: {
          ...programEnvironment(options.passwordFile, options.client.libraryPath),
          PGAPPNAME: run.name,
        },
        signal: AbortSignal.any([signal, log.signal]),
        ...(run.watch ? { watch: run.watch } : {}),
        ...(run.onOutput ? { onOutput: run.onOutput } : {}),
        onErrorLine: (line) => {
          log.read(line)
          reader.read(line)
          run.onErrorLine?.(line)
        },
      },
    )
    const errors = reader.errors.filter((error) => !isExpected(error, options))
    if (result.code === 0 && errors.length === 0) return
    if (result.code === 1 && errors.length === 0 && reader.ignored === reader.errors.length) return
    if (result.killedBy || (result.code ?? 0) > 128) {
      throw new LoadFailure(
        `pg_restore was killed by ${result.killedBy ?? 'a signal'}`,
        errors,
        true,
      )
    }
    const told = errors.find(({ sqlstate }) => sqlstate !== aborted) ?? errors[0]
    const message = told?.message ?? `pg_restore ended with ${result.code} ${reader.place}`
    throw new LoadFailure(message, errors, mayAllPass(errors))
  } catch (error) {
    if (signal.aborted) throw new Cancelled()
    if (isFull(log.failed)) throw temporaryFull(options.logFile)
    if (log.failed) {
      throw new Failure(
        'The log of pg_restore cannot be written',
        messageOf(log.failed),
        'Check the disk and the directory where RUNNER_TEMP is, the temporary directory of the runner (TMPDIR on a command line), then run again',
        { cause: log.failed },
      )
    }
    if (error instanceof LoadFailure || error instanceof Cancelled) throw error
    if (error instanceof SilentPeer) {
      throw new LoadFailure(`pg_restore had no answer: ${error.message}`, [], true)
    }
    throw new Failure(
      'pg_restore could not be run',
      messageOf(error),
      'Check the client programs: client-path, or let the action install them',
      { cause: error },
    )
  } finally {
    await log.end()
    await rm(list, { force: true })
  }
}
