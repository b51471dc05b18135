import { join } from 'node:path'
import { Cancelled } from '../../failure.ts'
import type { PartAhead } from '../dump/sink.ts'
import type { DumpedDatabase } from '../kept/manifest.ts'
import type { ArrivingPart, ArrivingParts } from '../restore/arriving.ts'
import { rowsIn } from '../restore/options-for.ts'

/** One database of a dump that is being made: what the dump has told of it so far. */
export class ArrivingDatabase {
  /** Of the whole dump. */
  private readonly directory: string
  private schema: DumpedDatabase | undefined
  private parts: readonly (ArrivingPart & Pick<PartAhead, 'path'>)[] = []
  /** Parts of which rows come, and that nobody has taken yet. */
  private readonly flowing: ArrivingPart[] = []
  /** Parts that are complete, and not taken yet. */
  private readonly complete: ArrivingPart[] = []
  private taken = 0
  private dumped: DumpedDatabase | undefined
  private readonly loss = new AbortController()
  private wake = Promise.withResolvers<void>()

  constructor(directory: string) {
    this.directory = directory
  }

  /** Fires when the moment of the dump is lost: nothing that was told of it holds any more. */
  get lost(): AbortSignal {
    return this.loss.signal
  }

  /** See DumpSink. */
  tellSchema(database: DumpedDatabase, ahead: readonly PartAhead[]): void {
    this.schema = database
    this.parts = ahead.map((part) => ({ ...part, directory: join(this.directory, part.path) }))
    this.notify()
  }

  /** See DumpSink. */
  tellFlows(path: string): void {
    this.queue(path, this.flowing)
  }

  /** See DumpSink. */
  tellData(path: string): void {
    this.queue(path, this.complete)
  }

  private queue(path: string, parts: ArrivingPart[]): void {
    const part = this.parts.find((one) => one.path === path)
    if (part) parts.push(part)
    this.notify()
  }

  /** See DumpSink. */
  tellLost(): void {
    this.loss.abort(new Cancelled())
    this.notify()
  }

  /** See DumpSink. */
  tellDumped(database: DumpedDatabase): void {
    this.dumped = database
    this.notify()
  }

  /**
   * Waits until it is known how the database is dumped.
   *
   * @returns its definitions, where the archives with its rows come one by one; undefined where it comes as a whole
   * @throws Cancelled as soon as the signal fires
   */
  async begun(signal: AbortSignal): Promise<DumpedDatabase | undefined> {
    await this.until(signal, () => this.schema ?? this.dumped)
    return this.lost.aborted ? undefined : this.schema
  }

  /**
   * Waits until the database is dumped.
   *
   * @returns the whole of it; undefined where the moment that was told of is lost
   * @throws Cancelled as soon as the signal fires
   */
  async whole(signal: AbortSignal): Promise<DumpedDatabase | undefined> {
    await this.until(signal, () => (this.lost.aborted ? this.lost : this.dumped))
    return this.lost.aborted ? undefined : this.dumped
  }

  /** The archives with its rows, for the restore. */
  arriving(check: ArrivingParts['check']): ArrivingParts {
    return {
      parts: this.parts,
      check,
      flowing: (signal) => this.until(signal, () => this.flowing.shift()),
      next: async (signal) => {
        if (this.taken === this.parts.length) return undefined
        const part = await this.until(signal, () => this.complete.shift())
        this.taken++
        return part
      },
      expectedRows: async (signal) => rowsIn(await this.until(signal, () => this.dumped)),
    }
  }

  private async until<T>(signal: AbortSignal, look: () => T | undefined): Promise<T> {
    const aborted = () => this.notify()
    signal.addEventListener('abort', aborted)
    try {
      for (;;) {
        if (signal.aborted) throw new Cancelled()
        const found = look()
        if (found !== undefined) return found
        await this.wake.promise
      }
    } finally {
      signal.removeEventListener('abort', aborted)
    }
  }

  private notify(): void {
    this.wake.resolve()
    this.wake = Promise.withResolvers<void>()
  }
}
