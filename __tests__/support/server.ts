import { execFile, execFileSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'

/** The majors that package.json brings as embedded binaries (Linux x64 only). */
export const majors = [10, 11, 13, 15, 16, 17, 18] as const
export type Major = (typeof majors)[number]

const run = promisify(execFile)
const root = join(import.meta.dirname, '..', '..')

/** PostgreSQL refuses to run as root: as root, its programs run as this unprivileged user. */
const nobody = 65534
const asServerUser = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {}

export interface ServerOptions {
  /** Extra settings for postgresql.conf: `{ max_connections: '20' }`. */
  settings?: Record<string, string>
  /** pg_hba.conf; by default everybody must give a password (SCRAM or md5) over TCP. */
  hba?: string
  /** Arguments for initdb beyond the usual, `['-E', 'SQL_ASCII', '--locale=C']` say. */
  initdb?: string[]
  /** The superuser's name. */
  superuser?: string
}

/** A real PostgreSQL server on a free port of 127.0.0.1, with its data in a directory of its own. */
export class TestServer {
  readonly superuser: string
  readonly password = 'Sup3r user/pass'
  readonly major: Major
  readonly port: number
  readonly directory: string

  private constructor(major: Major, port: number, directory: string, superuser: string) {
    this.major = major
    this.port = port
    this.directory = directory
    this.superuser = superuser
  }

  static async start(major: Major, options: ServerOptions = {}): Promise<TestServer> {
    const port = await freePort()
    const directory = mkdtempSync(join(tmpdir(), `pg${major}-`))
    const superuser = options.superuser ?? 'postgres'
    const server = new TestServer(major, port, directory, superuser)
    if (asServerUser.uid !== undefined) chownSync(directory, asServerUser.uid, asServerUser.gid)
    chmodSync(directory, 0o700)
    const data = join(directory, 'data')
    await server.program('initdb', [
      ...['-D', data, '-U', superuser, '-A', 'trust', '-N'],
      ...(options.initdb ?? ['-E', 'UTF8', '--locale=C.UTF-8']),
    ])
    const settings: Record<string, string> = {
      port: String(port),
      listen_addresses: "'127.0.0.1'",
      unix_socket_directories: `'${directory}'`,
      fsync: 'off',
      full_page_writes: 'off',
      ...options.settings,
    }
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
    await server.write('postgresql.auto.conf', `${lines.join('\n')}\n`)
    await server.write('pg_hba.conf', 'local all all trust\n')
    await server.up()
    const admin = await server.connect('postgres', { host: directory })
    await admin.query(`ALTER ROLE "${superuser}" PASSWORD '${server.password}'`)
    await admin.end()
    await server.write(
      'pg_hba.conf',
      `local all all trust\n${options.hba ?? 'host all all all md5'}\n`,
    )
    await server.program('pg_ctl', ['-D', data, 'reload'])
    return server
  }

  /** A connection URI for the superuser, or for somebody else. */
  uri(database = 'postgres', user = this.superuser, password = this.password): string {
    const [u, p, d] = [user, password, database].map(encodeURIComponent)
    return `postgresql://${u}:${p}@127.0.0.1:${this.port}/${d}?sslmode=disable`
  }

  /** A connected client: the superuser's, unless the configuration says otherwise. */
  async connect(database = 'postgres', config: pg.ClientConfig = {}): Promise<pg.Client> {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: this.port,
      user: this.superuser,
      password: this.password,
      database,
      ...config,
    })
    client.on('error', () => {}) // a server that a test stops ends its connections
    await client.connect()
    return client
  }

  /** Runs SQL (one simple query, so several statements are one transaction) as the superuser. */
  async sql(text: string, database = 'postgres'): Promise<pg.QueryResult> {
    const client = await this.connect(database)
    try {
      return await client.query(text)
    } finally {
      await client.end()
    }
  }

  async up(): Promise<void> {
    // -l, not a pipe: the server inherits pg_ctl's stdout, and a pipe would never close
    await this.program('pg_ctl', ['-D', this.data, '-l', this.logFile, '-w', '-t', '60', 'start'])
  }

  async down(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    await this.program('pg_ctl', ['-D', this.data, '-m', mode, '-w', 'stop'])
  }

  /** Stops the server and removes its data. */
  async stop(): Promise<void> {
    if (existsSync(join(this.data, 'postmaster.pid'))) await this.down('immediate').catch(() => {})
    rmSync(this.directory, { recursive: true, force: true })
  }

  get data(): string {
    return join(this.directory, 'data')
  }

  get logFile(): string {
    return join(this.directory, 'log')
  }

  log(): string {
    return readFileSync(this.logFile, 'utf8')
  }

  /** Writes a file of the data directory, owned by the server's user. */
  async write(name: string, content: string): Promise<void> {
    const { writeFile } = await import('node:fs/promises')
    const path = join(this.data, name)
    await writeFile(path, content, { mode: 0o600 })
    if (asServerUser.uid !== undefined) chownSync(path, asServerUser.uid, asServerUser.gid)
  }

  private async program(name: string, args: string[]): Promise<void> {
    const path = join(root, 'node_modules', `pg${this.major}`, 'native', 'bin', name)
    const env = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }
    await run(path, args, { ...asServerUser, env, cwd: '/' })
  }
}

/** Whether embedded binaries of a major are installed (they exist for Linux x64 only). */
export function hasServer(major: Major): boolean {
  return existsSync(join(root, 'node_modules', `pg${major}`, 'native', 'bin', 'postgres'))
}

export async function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const server = createServer()
  server.on('error', reject)
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number }
    server.close(() => resolve(port))
  })
  return promise
}

/** Whether the current user is root: some tests then step down to an ordinary user. */
export const isRoot = process.getuid?.() === 0

/** Runs a query as `psql` would for a whole script file; needs a psql of the machine's. */
export function psqlFile(psql: string, uri: string, file: string): void {
  execFileSync(psql, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', uri, '-f', file], {
    stdio: 'pipe',
  })
}
