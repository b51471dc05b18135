import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'

/** Where Debian, Ubuntu and Google install it. */
const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** The Chromium of this machine; undefined where there is none: skip visibly then. */
export function findBrowser(): string | undefined {
  return places.find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** What a page met while it was open. */
export interface Met {
  /** Messages on the console, and exceptions. */
  complaints: string[]
  /** Addresses that were asked for. */
  requests: string[]
}

type Message = { id?: number; method?: string; params?: unknown; result?: unknown; error?: unknown }

/** A Chromium without a window, spoken to over a pipe (Chrome DevTools Protocol). */
export class Browser {
  readonly met: Met = { complaints: [], requests: [] }
  private readonly child: ChildProcess
  private readonly directory: string
  private readonly waiting = new Map<number, (message: Message) => void>()
  private loaded: () => void = () => {}
  private session = ''
  private last = 0
  private rest = ''

  static async start(path: string): Promise<Browser> {
    const directory = await mkdtemp(join(tmpdir(), 'browser-'))
    const browser = new Browser(path, directory)
    const { targetId } = (await browser.send('Target.createTarget', { url: 'about:blank' })) as {
      targetId: string
    }
    const attached = await browser.send('Target.attachToTarget', { targetId, flatten: true })
    browser.session = (attached as { sessionId: string }).sessionId
    for (const domain of ['Page', 'Log', 'Runtime', 'Network'])
      await browser.send(`${domain}.enable`)
    return browser
  }

  private constructor(path: string, directory: string) {
    this.directory = directory
    this.child = spawn(
      path,
      [
        ...['--headless', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
        ...['--remote-debugging-pipe', `--user-data-dir=${directory}`],
        // it works neither for root nor in every container, and the pages are our own
        '--no-sandbox',
      ],
      {
        stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
        env: { HOME: directory, PATH: process.env.PATH },
        detached: true,
      },
    )
    const output = this.child.stdio[4] as Readable
    output.setEncoding('utf8')
    output.on('data', (text: string) => this.read(text))
  }

  /** Opens a file as a phone or a desktop would: so wide, in that colour scheme, with scripts or without. */
  async open(file: string, { width = 1400, scheme = 'light', scripts = true } = {}): Promise<void> {
    const mobile = width < 500
    const metrics = { width, height: 900, deviceScaleFactor: 1, mobile }
    await this.send('Emulation.setDeviceMetricsOverride', metrics)
    const features = [{ name: 'prefers-color-scheme', value: scheme }]
    await this.send('Emulation.setEmulatedMedia', { features })
    await this.send('Emulation.setScriptExecutionDisabled', { value: !scripts })
    const loaded = new Promise<void>((resolve) => {
      this.loaded = resolve
    })
    await this.send('Page.navigate', { url: `file://${file}` })
    await loaded
  }

  /** The value of an expression in the page, as JSON has it. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = (await this.send('Runtime.evaluate', {
      ...{ expression, returnByValue: true, awaitPromise: true },
    })) as { result: { value: T }; exceptionDetails?: { text: string } }
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails))
    return result.value
  }

  /** The page that is open as a PNG, from its top down to a height in pixels. */
  async picture(height: number): Promise<Buffer> {
    const width = await this.evaluate<number>('innerWidth')
    const { data } = (await this.send('Page.captureScreenshot', {
      ...{ format: 'png', captureBeyondViewport: true },
      clip: { x: 0, y: 0, width, height, scale: 1 },
    })) as { data: string }
    return Buffer.from(data, 'base64')
  }

  async stop(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.child.once('exit', () => resolve()))
    if (this.child.exitCode === null && this.child.signalCode === null) {
      process.kill(-(this.child.pid ?? 0), 'SIGKILL')
      await ended
    }
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }

  private send(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.last
    const { session } = this
    const message = { id, method, params, ...(session ? { sessionId: session } : {}) }
    const answer = new Promise<unknown>((resolve, reject) => {
      this.waiting.set(id, ({ result, error }) =>
        error ? reject(new Error(`${method}: ${JSON.stringify(error)}`)) : resolve(result),
      )
    })
    ;(this.child.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`)
    return answer
  }

  private read(text: string): void {
    const parts = (this.rest + text).split('\0')
    this.rest = parts.pop() ?? ''
    for (const part of parts) this.hear(JSON.parse(part) as Message)
  }

  private hear({ id, method, params, ...message }: Message): void {
    if (id !== undefined) {
      this.waiting.get(id)?.(message)
      this.waiting.delete(id)
    } else if (method === 'Page.loadEventFired') this.loaded()
    else if (method === 'Network.requestWillBeSent')
      this.met.requests.push((params as { request: { url: string } }).request.url)
    else if (
      method &&
      /^(Log\.entryAdded|Runtime\.(consoleAPICalled|exceptionThrown))$/.test(method)
    )
      this.met.complaints.push(JSON.stringify(params))
  }
}
