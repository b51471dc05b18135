import { dirname, join } from 'node:path'
import { Cancelled, messageOf } from '../../failure.ts'
import { formatBytes } from '../../text/numbers.ts'
import { doStill } from '../cancellation.ts'
import { runPhase } from '../phases.ts'
import type { Run } from '../run.ts'
import { listFiles } from './directory.ts'
import { archivePath, type DumpedDatabase } from './manifest.ts'
import type { DumpUpload } from './upload.ts'

/** Milliseconds in which what is void is removed, where the job is not cancelled. */
const removalTime = 60_000

/** A complete archive that is not handed in yet. */
interface Arrival {
  /** Relative to the dump's directory. */
  path: string
  isLost: boolean
}

/**
 * Sends the archives of a dump while others are still being dumped: those that are complete, as soon as they are large enough
 * together to be worth a part (Limits.early) and while more is to come, or some were sent already. One part after the other, each
 * with few claims to the processors and the network. It is told of the dump as a DumpSink is.
 *
 * Nothing that goes wrong here fails the dump: what could not be sent is sent when the dump is complete.
 */
export class EarlyUpload {
  private readonly run: Run
  private readonly open: () => Promise<DumpUpload>
  private readonly expected: number
  private upload: DumpUpload | undefined
  private arrivals: Arrival[] = []
  private readonly known = new Set<string>()
  /** Databases that are not complete. */
  private databases: number
  /** Archives that are to come of a database that is dumped in parts. */
  private readonly ahead = new Map<string, number>()
  private readonly stopper = new AbortController()
  private isStopped = false
  private working: Promise<void> | undefined
  private removing: Promise<void> = Promise.resolve()
  /** The part that is being sent, and the directories of databases that were lost meanwhile. */
  private sending: { paths: string[]; stop: AbortController } | undefined
  private lostMeanwhile: string[] = []

  /**
   * @param open begins the upload, or throws where there can be none
   * @param databases that are dumped
   * @param run its `progress` is for the upload alone
   */
  constructor(open: () => Promise<DumpUpload>, databases: readonly { bytes: number }[], run: Run) {
    this.open = open
    this.databases = databases.length
    this.expected = databases.reduce((sum, { bytes }) => sum + bytes, 0)
    this.run = run
  }

  schema({ name, archives }: DumpedDatabase, ahead: readonly unknown[]): void {
    this.ahead.set(name, ahead.length)
    for (const { path } of archives) this.arrived(path)
  }

  data(database: string, path: string): void {
    this.ahead.set(database, (this.ahead.get(database) ?? 1) - 1)
    this.arrived(path)
  }

  dumped({ name, archives }: DumpedDatabase): void {
    this.databases--
    this.ahead.delete(name)
    for (const { path } of archives) this.arrived(path)
  }

  lost(database: string): void {
    this.ahead.delete(database)
    const directory = `${dirname(archivePath(database, 1))}/`
    const isGone = (path: string) => path.startsWith(directory)
    for (const arrival of this.arrivals) arrival.isLost ||= isGone(arrival.path)
    for (const path of this.known) if (isGone(path)) this.known.delete(path)
    this.forget(directory)
    if (!this.sending) return
    // what is being sent is in no list yet
    this.lostMeanwhile.push(directory)
    if (this.sending.paths.some(isGone)) this.sending.stop.abort(new Cancelled())
  }

  /** Begins no further part. @returns when the one that was being sent is sent, and what is void is removed */
  async stop(): Promise<void> {
    this.isStopped = true
    await this.working
    await this.removing
  }

  /** Ends what is being sent. */
  async abort(): Promise<void> {
    this.stopper.abort(new Cancelled())
    await this.stop()
  }

  private arrived(path: string): void {
    if (this.known.has(path)) return
    this.known.add(path)
    this.arrivals.push({ path, isLost: false })
    this.wake()
  }

  private wake(): void {
    this.working ??= this.work().finally(() => {
      this.working = undefined
      if (this.arrivals.length > 0 && !this.isStopped) this.wake()
    })
  }

  /** Never throws. */
  private async work(): Promise<void> {
    const { run } = this
    try {
      run.signal.throwIfAborted()
      this.upload ??= await this.open()
      const upload = this.upload
      await this.handIn(upload)
      if (!this.isWorthPart(upload)) return
      await runPhase(run, 'upload', async () => {
        while (this.isWorthPart(upload)) {
          await this.send(upload)
          // what was sent is sent: the phase has not failed for want of more
          await this.handIn(upload).catch((error: unknown) => this.giveUp(error))
        }
      })
    } catch (error) {
      this.giveUp(error)
    } finally {
      run.progress.update('')
    }
  }

  /** Leaves the rest to the end. */
  private giveUp(error: unknown): void {
    this.isStopped = true
    this.run.log.debug(`nothing more is uploaded while the dump goes on: ${messageOf(error)}`)
  }

  private isWorthPart(upload: DumpUpload): boolean {
    if (this.isStopped) return false
    // of the last database nothing is to come once all its parts are there
    const isMore = this.databases > 1 || (this.databases === 1 && !this.isLastArchive())
    return (isMore || upload.isBegun) && upload.isWorthPart(this.expected)
  }

  private isLastArchive(): boolean {
    return [...this.ahead.values()].some((left) => left === 0)
  }

  /** Lists the files of what has become complete. */
  private async handIn(upload: DumpUpload): Promise<void> {
    for (let next = this.arrivals[0]; next && !this.isStopped; next = this.arrivals[0]) {
      const { path } = next
      try {
        const files = await listFiles(join(this.run.dumpDirectory, path))
        if (!next.isLost)
          upload.add(files.map((file) => ({ ...file, path: `${path}/${file.path}` })))
      } catch (error) {
        // the files of a moment that is lost are removed
        if (!next.isLost) throw error
      }
      this.arrivals.shift()
    }
  }

  /** Sends one part. What could not be sent is left for the end, and so is all that follows. */
  private async send(upload: DumpUpload): Promise<void> {
    const { run } = this
    const stop = new AbortController()
    const signal = AbortSignal.any([run.signal, this.stopper.signal, stop.signal])
    const began = performance.now()
    const onPieces = (pieces: readonly { path: string }[]) => {
      this.sending = { paths: pieces.map(({ path }) => path), stop }
    }
    try {
      const context = { ...run, signal }
      const { name, bytes } = await upload.sendEarly({ context, expected: this.expected, onPieces })
      const seconds = ((performance.now() - began) / 1000).toFixed(1)
      run.log.info(
        `Uploaded ${name}, ${formatBytes(bytes)} in ${seconds} s, while the dump goes on`,
      )
    } catch (error) {
      // it may be there all the same: nothing but its confirmation was lost
      if (!this.stopper.signal.aborted && !run.signal.aborted) this.remove(upload.names.slice(-1))
      if (!stop.signal.aborted) {
        this.isStopped = true
        if (!signal.aborted)
          run.log.warning(
            `A part could not be uploaded while the dump goes on, and is uploaded with the rest when it is complete: ${messageOf(error)}`,
          )
      }
    } finally {
      this.sending = undefined
      for (const directory of this.lostMeanwhile.splice(0)) this.forget(directory)
    }
  }

  private forget(directory: string): void {
    const names = this.upload?.forget((path) => path.startsWith(directory)) ?? []
    if (names.length > 0) this.remove(names)
  }

  /** Removes parts that are void, beside everything else. */
  private remove(names: readonly string[]): void {
    this.removing = this.removing.then(() => removeParts(names, this.run))
  }
}

/** Removes parts of a dump that there will not be; where that fails, it is said which are left. Never throws. */
export async function removeParts(names: readonly string[], run: Run): Promise<void> {
  try {
    await doStill(run.signal, removalTime, (limit) => run.artifacts.remove(names, limit))
  } catch (error) {
    run.warn(messageOf(error))
  }
}
