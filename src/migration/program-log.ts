import { createWriteStream, type WriteStream } from 'node:fs'
import { ProgramLines } from '../postgres/server-message.ts'

/** Milliseconds for which lines are gathered: each write by itself takes more of a processor than all else that is done with a line. */
const gathering = 100

/**
 * What a client program says, as far as it may be shown, in a file of its own. Its lines come by the thousand, one by one, and
 * are written together.
 */
export class ProgramLog {
  /** Fires when the log cannot be written: without it the program is not let run on. */
  readonly signal: AbortSignal
  /** Why it cannot be written. */
  failed: NodeJS.ErrnoException | undefined
  private readonly stream: WriteStream
  private readonly lines: ProgramLines
  private waiting = ''
  private timer: NodeJS.Timeout | undefined

  /**
   * @param file is added to; private to its owner where it is new
   * @param program whose lines are kept, see ProgramLines
   * @param title the first line
   */
  constructor(file: string, program: string, title: string) {
    const stop = new AbortController()
    this.signal = stop.signal
    this.stream = createWriteStream(file, { flags: 'a', mode: 0o600 })
    this.stream.on('error', (error) => {
      this.failed = error
      stop.abort()
    })
    this.lines = new ProgramLines(program, (line) => this.write(line))
    this.write(title)
  }

  /** Takes a line that the program has written to stderr. */
  read(line: string): void {
    this.lines.read(line)
  }

  private write(line: string): void {
    this.waiting += `${line}\n`
    this.timer ??= setTimeout(() => this.flush(), gathering)
  }

  private flush(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    if (this.waiting !== '') this.stream.write(this.waiting)
    this.waiting = ''
  }

  /** Writes what is left, and closes the file. To be called when nothing more comes. */
  async end(): Promise<void> {
    this.lines.end()
    this.flush()
    await new Promise<void>((resolve) => this.stream.end(() => resolve()))
  }
}
