import { Paced } from '../host/paced.ts'
import { redact } from '../host/secrets.ts'
import type { Logger, Progress } from '../migration/context.ts'
import { phaseMark } from '../migration/phases.ts'
import { printable, shorten } from '../text/text.ts'

/** Where the log goes: a terminal, a file, a pipe. */
export interface Screen {
  write(text: string): unknown
  readonly isTTY?: boolean
  /** The width of a terminal. */
  readonly columns?: number
}

/** Milliseconds between two progress lines of a log that is kept, and between two looks of a line that moves. */
const pace = { log: 5000, moving: 200 }

/**
 * Control sequences of ECMA-48 and DEC that every terminal of today knows: to the start of the line and clear it; do not go
 * on in the next line (DECAWM), so that a line that is wider than it seems still is one.
 */
const clear = '\r\u001b[K'
const oneLine = (text: string) => `\r\u001b[?7l${text}\u001b[K\u001b[?7h`

/**
 * Whether progress may be a line that moves. Not in a log that is kept, nor where somebody says that he wants none
 * (https://no-color.org, TERM=dumb, CI).
 */
export function mayMove(
  screen: Pick<Screen, 'isTTY'>,
  environment: Record<string, string | undefined>,
): boolean {
  const { CI, NO_COLOR, TERM } = environment
  return screen.isTTY === true && !CI && !NO_COLOR && TERM !== 'dumb'
}

/** The log of a run at a terminal. Names and messages of a database in it may hold anything: no control character gets through. */
export class TerminalLog implements Logger, Progress {
  private readonly screen: Screen
  private readonly verbose: boolean
  private readonly began = Date.now()
  private readonly paced: Paced
  private readonly timer: NodeJS.Timeout | undefined
  /** What moves; undefined where nothing does. */
  private moving: string | undefined

  /** @param moves progress is one line that moves, below the log, instead of a line every few seconds */
  constructor(screen: Screen, options: { moves: boolean; verbose: boolean }) {
    this.screen = screen
    this.verbose = options.verbose
    this.paced = options.moves
      ? new Paced(pace.moving, (line) => {
          this.moving = line
          this.draw()
        })
      : new Paced(pace.log, (line) => this.line(`  … ${line}`))
    if (!options.moves) return
    this.moving = ''
    this.timer = setInterval(() => this.draw(), 1000)
    this.timer.unref()
  }

  debug(message: string): void {
    if (this.verbose) this.print(`[debug] ${message}`)
  }

  info(message: string): void {
    // what moves was about the phase before
    if (this.moving !== undefined && message.startsWith(phaseMark)) {
      this.paced.settle()
      this.moving = message.slice(phaseMark.length)
    }
    this.print(message)
  }

  warning(message: string): void {
    this.print(`Warning: ${message}`)
  }

  update(line: string): void {
    this.paced.update(line)
  }

  /** Ends what moves. */
  settle(): void {
    this.paced.settle()
    clearInterval(this.timer)
    if (this.moving !== undefined) this.screen.write(clear)
    this.moving = undefined
  }

  private print(message: string): void {
    for (const line of message.split('\n')) this.line(line)
  }

  private line(text: string): void {
    const above = this.moving === undefined ? '' : clear
    this.screen.write(`${above}${printable(redact(text))}\n`)
    this.draw()
  }

  private draw(): void {
    if (this.moving === undefined) return
    const text = `${clock(Date.now() - this.began)} ${printable(redact(this.moving))}`
    // three columns are left for the ^C that a terminal shows behind it, which would go on in the next line
    this.screen.write(oneLine(shorten(text, Math.max(20, (this.screen.columns ?? 80) - 3))))
  }
}

/** `0:42`, `1:02:03` */
function clock(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000)
  const two = (value: number) => String(value).padStart(2, '0')
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor(seconds / 60) % 60
  return hours > 0
    ? `${hours}:${two(minutes)}:${two(seconds % 60)}`
    : `${minutes}:${two(seconds % 60)}`
}
