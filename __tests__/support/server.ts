import { execFile, execFileSync, spawn } from 'node:child_process'
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { cp, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { makeCertificates } from './certificates.ts'
import { fastDirectory, makeCluster } from './cluster.ts'

/** The majors that package.json brings as embedded binaries (Linux x64 only). */
export const majors = [10, 11, 13, 15, 16, 17, 18] as const
export type Major = (typeof majors)[number]

const run = promisify(execFile)
const root = join(import.meta.dirname, '..', '..')

/** Whether the current user is root: some tests then step down to an ordinary user. */
export const isRoot = process.getuid?.() === 0

/** PostgreSQL refuses to run as root: as root, its programs run as this unprivileged user. */
const nobody = 65534
const asServerUser = isRoot ? { uid: nobody, gid: nobody } : {}

export interface ServerOptions {
  /** Extra settings for postgresql.conf, as written there: `{ max_connections: '20' }`. */
  settings?: Record<string, string>
  /** pg_hba.conf; by default everybody must give a password (SCRAM or md5) over TCP. */
  hba?: string
  /** Arguments for initdb beyond the usual, `['-E', 'SQL_ASCII', '--locale=C']` say. */
  initdb?: string[]
  /** The superuser's name. */
  superuser?: string
  /**
   * SQL for single-user mode, before the first start: what it makes has an OID below 16384, as the objects that a
   * vendor's initdb brings. No statement may hold a semicolon at the end of a line before an empty one.
   */
  initial?: { database: string; statements: string[] }[]
  /** A directory with locales that the system does not have, made by localedef. */
  locales?: string
  /** Where its programs are, instead of the embedded ones: those of the newest minor release, say (clients.ts). */
  programs?: string
  /** Its data are on the disk even where the machine has a file system in memory to spare. */
  onDisk?: boolean
  /** TLS with a certificate of a CA of its own; the certificate is for these names and addresses. */
  tls?: boolean | { hosts: string[] }
}

/** A real PostgreSQL server on a free port of 127.0.0.1, with its data in a directory of its own. */
export class TestServer {
  readonly superuser: string
  readonly password = 'Sup3r user/pass'
  readonly major: Major
  readonly directory: string
  /** PEM file of the CA that signed the server's certificate: what `sslrootcert` takes. Null without TLS. */
  readonly ca: string | null
  /** The port that `uri` and `connect` name where a front stands before the server. */
  frontPort: number | null = null
  #port = 0
  readonly #programs: string
  #locales: string | undefined
  readonly #dismissGuard: () => Promise<void>

  private constructor(
    major: Major,
    superuser: string,
    tls: boolean,
    programs?: string,
    onDisk = false,
  ) {
    this.major = major
    this.#programs = programs ?? binaries(major)
    this.superuser = superuser
    this.directory = temporaryDirectory(
      `pg${major}-`,
      onDisk ? temporary() : fastDirectory(temporary()),
    )
    this.#dismissGuard = guard(this.directory)
    this.ca = tls ? join(this.directory, 'ca.crt') : null
  }

  get port(): number {
    return this.#port
  }

  static async start(major: Major, options: ServerOptions = {}): Promise<TestServer> {
    const server = new TestServer(
      major,
      options.superuser ?? 'postgres',
      Boolean(options.tls),
      options.programs,
      options.onDisk,
    )
    try {
      await server.initialise(options)
    } catch (error) {
      await server.stop()
      throw error
    }
    return server
  }

  private async initialise(options: ServerOptions): Promise<void> {
    const { data, directory } = this
    this.#locales = options.locales
    const initdb = options.initdb ?? ['-E', 'UTF8', '--locale=C.UTF-8']
    const initial = options.initial ?? []
    const key = [options.programs ?? this.major, this.superuser, initdb, initial]
    await makeCluster(data, key, async (path) => {
      const account = ['-U', this.superuser, '-A', 'trust', '-N']
      await this.program('initdb', ['-D', path, ...account, ...initdb])
      for (const { database, statements } of initial)
        await this.singleUser(path, database, statements)
    })
    if (options.tls) {
      const { ca, key, certificate } = await makeCertificates(
        directory,
        options.tls === true ? undefined : options.tls.hosts,
      )
      for (const [made, name] of [
        [key, 'server.key'],
        [certificate, 'server.crt'],
      ] as const) {
        renameSync(made, join(data, name))
        giveToServer(join(data, name))
      }
      chmodSync(join(data, 'server.key'), 0o600)
      giveToServer(ca)
    }
    const settings: Record<string, string> = {
      listen_addresses: "'127.0.0.1'",
      unix_socket_directories: `'${directory}'`,
      fsync: 'off',
      full_page_writes: 'off',
      // nobody but the tests has a transaction there, and statistics are as they left them
      autovacuum: 'off',
      ...(options.tls ? { ssl: 'on', ssl_cert_file: "'server.crt'" } : {}),
      ...(options.tls ? { ssl_key_file: "'server.key'" } : {}),
      ...options.settings,
    }
    await this.startOnFreePort(settings, 'local all all trust\n')
    const admin = await this.connect('postgres', { host: directory })
    const { rows } = await admin.query(`SELECT current_setting('password_encryption') AS how`)
    const scram = rows[0]?.how === 'scram-sha-256'
    const password = scram ? scramSecret(this.password) : this.password
    await admin.query(`ALTER ROLE "${this.superuser}" PASSWORD '${password}'`)
    await admin.end()
    const hba = options.hba ?? 'host all all all md5'
    await this.write('pg_hba.conf', `local all all trust\n${hba}\n`)
    await this.program('pg_ctl', ['-D', data, 'reload'])
  }

  /** Another process may take a port between our choice and the server's start: then another port. */
  private async startOnFreePort(settings: Record<string, string>, hba?: string): Promise<void> {
    if (hba) await this.write('pg_hba.conf', hba)
    for (let attempt = 1; ; attempt++) {
      this.#port = await freePort()
      const lines = Object.entries({ ...settings, port: String(this.port) })
      const text = lines.map(([name, value]) => `${name} = ${value}\n`).join('')
      await this.write('postgresql.auto.conf', text)
      try {
        await this.up()
        return
      } catch (error) {
        const taken = existsSync(this.logFile) && /Address already in use/.test(this.log())
        if (!taken || attempt === 5) throw error
        rmSync(this.logFile)
      }
    }
  }

  /**
   * A hot standby of this server, in recovery and read-only, made from a copy of its data; this server is restarted on
   * the way, so its sessions end. The standby follows nobody: it stays at the state of the copy.
   */
  async standby(): Promise<TestServer> {
    const standby = new TestServer(this.major, this.superuser, this.ca !== null, this.#programs)
    try {
      await this.down()
      try {
        await cp(this.data, standby.data, { recursive: true, verbatimSymlinks: true })
        if (this.ca && standby.ca) await cp(this.ca, standby.ca)
      } finally {
        await this.up()
      }
      if (isRoot) execFileSync('chown', ['-R', `${nobody}:${nobody}`, standby.directory])
      chmodSync(standby.data, 0o700)
      if (this.major >= 12) await standby.write('standby.signal', '')
      else await standby.write('recovery.conf', "standby_mode = 'on'\n")
      const settings: Record<string, string> = {}
      for (const line of readFileSync(join(this.data, 'postgresql.auto.conf'), 'utf8').split(
        '\n',
      )) {
        const [, name, value] = /^(\w[\w.]*) = (.*)$/.exec(line) ?? []
        if (name && value) settings[name] = value
      }
      settings.unix_socket_directories = `'${standby.directory}'`
      settings.hot_standby = 'on'
      await standby.startOnFreePort(settings)
    } catch (error) {
      await standby.stop()
      throw error
    }
    return standby
  }

  /** A connection URI for the superuser, or for somebody else. */
  uri(database = 'postgres', user = this.superuser, password = this.password): string {
    const [u, p, d] = [user, password, database].map(encodeURIComponent)
    return `postgresql://${u}:${p}@127.0.0.1:${this.frontPort ?? this.port}/${d}?sslmode=disable`
  }

  /** A connected client: the superuser's, unless the configuration says otherwise. */
  async connect(database = 'postgres', config: pg.ClientConfig = {}): Promise<pg.Client> {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: config.host?.startsWith('/') ? this.port : (this.frontPort ?? this.port),
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
    // past a password, which takes more than most of what is asked; not past a front
    const local = this.frontPort === null ? { host: this.directory } : {}
    const client = await this.connect(database, local)
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
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 })
    await this.#dismissGuard()
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
    const path = join(this.data, name)
    await writeFile(path, content, { mode: 0o600 })
    giveToServer(path)
  }

  private async program(name: string, args: string[]): Promise<void> {
    const locales = this.#locales === undefined ? {} : { LOCPATH: this.#locales }
    const env = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC', ...locales }
    await run(join(this.#programs, name), args, { ...asServerUser, env, cwd: '/' })
  }

  private async singleUser(data: string, database: string, statements: string[]): Promise<void> {
    const args = ['--single', '-j', '-O', '-D', data, database]
    const env = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }
    const options = { ...asServerUser, env, cwd: '/' }
    const child = run(join(this.#programs, 'postgres'), args, options)
    child.child.stdin?.end(statements.map((statement) => `${statement};\n\n`).join(''))
    const { stderr } = await child // its exit status is 0 even where a statement failed
    if (/^.*(ERROR|FATAL|PANIC):/m.test(stderr)) throw new Error(stderr)
  }
}

/**
 * A password as PostgreSQL keeps it for SCRAM (RFC 5803), of one iteration instead of its 4096: every connection repeats them, the
 * tests make some ten thousand of them, and nothing here is guarded by how long it takes to guess a password.
 */
export function scramSecret(password: string): string {
  const salt = randomBytes(16)
  const salted = pbkdf2Sync(password, salt, 1, 32, 'sha256')
  const keyOf = (name: string) => createHmac('sha256', salted).update(name).digest()
  const stored = createHash('sha256').update(keyOf('Client Key')).digest('base64')
  return `SCRAM-SHA-256$1:${salt.toString('base64')}$${stored}:${keyOf('Server Key').toString('base64')}`
}

/** Whether embedded binaries of a major are installed (they exist for Linux x64 only). */
export function hasServer(major: Major): boolean {
  return existsSync(join(root, 'node_modules', `pg${major}`, 'native', 'bin', 'postgres'))
}

/** So many of Jest's workers have ports to themselves. */
const workers = 32

/**
 * A port that was free a moment ago. Below the range from which the kernel gives ports to outgoing connections, and one that no test
 * in another worker looks at, so that it is still free when a server that was stopped starts again.
 */
export async function freePort(): Promise<number> {
  const own = Number(process.env.JEST_WORKER_ID ?? 0) % workers
  for (let attempt = 1; ; attempt++) {
    const port = 10_240 + workers * Math.floor(Math.random() * 687) + own
    try {
      return await probe(port)
    } catch (error) {
      if (attempt === 100) throw error
    }
  }
}

/** A port of 127.0.0.1 that refuses connections, and stays taken until `release` is called: nobody begins to listen there. */
export async function refusingPort(): Promise<{ port: number; release: () => void }> {
  const server = createServer((socket) => socket.on('error', () => {}).resume())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // the client's end of a connection has a port of its own, at which nobody listens
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await new Promise<void>((resolve, reject) => client.on('connect', resolve).on('error', reject))
  server.close()
  return { port: client.localPort ?? 0, release: () => client.destroy() }
}

async function probe(port: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const server = createServer()
  server.on('error', reject)
  server.listen(port, '127.0.0.1', () => server.close(() => resolve(port)))
  return promise
}

/** Runs a query as `psql` would for a whole script file; needs a psql of the machine's. */
export function psqlFile(psql: string, uri: string, file: string): void {
  execFileSync(psql, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', uri, '-f', file], {
    stdio: 'pipe',
  })
}

/** A directory that the server's user owns and can reach. */
export function temporaryDirectory(prefix: string, parent = temporary()): string {
  const directory = mkdtempSync(join(parent, prefix))
  giveToServer(directory)
  chmodSync(directory, 0o755) // tests of another user read the CA certificate; the data is 0700
  return directory
}

/** The directory for temporary files, if the server's user can reach it. */
export function temporary(): string {
  return reachable(tmpdir()) ? tmpdir() : '/tmp'
}

/** Makes a directory one that the server may write to. */
export function giveToServer(path: string): void {
  if (isRoot) chownSync(path, nobody, nobody)
}

/** The directory of a major's programs; a copy of it where the server's user cannot read the original. */
function binaries(major: Major): string {
  const original = join(root, 'node_modules', `pg${major}`, 'native')
  if (reachable(join(original, 'bin', 'postgres'))) return join(original, 'bin')
  const copy = join(temporary(), `pg${major}-programs-${process.pid}`)
  if (!existsSync(copy)) {
    const incomplete = temporaryDirectory(`pg${major}-programs-`)
    guard(incomplete, copy)
    cpSync(original, join(incomplete, 'native'), { recursive: true, verbatimSymlinks: true })
    execFileSync('chmod', ['-R', 'a+rX', incomplete])
    renameSync(incomplete, copy)
  }
  return join(copy, 'native', 'bin')
}

/** Whether the server's user can read a file (or enter a directory), as root sees it from the permission bits. */
export function reachable(path: string): boolean {
  if (!isRoot) return true
  for (let at = path; ; at = dirname(at)) {
    if ((statSync(at).mode & 0o5) !== 0o5) return false
    if (at === dirname(at)) return true
  }
}

const guardScript = `
trap '' HUP INT TERM
cat
for directory; do
  pid=
  [ -f "$directory/data/postmaster.pid" ] && read -r pid <"$directory/data/postmaster.pid"
  [ -n "$pid" ] && kill -QUIT "$pid"
  for attempt in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$directory" && break
    sleep 0.1
  done
done`

/**
 * A process that outlives this one, however it ends, then stops the server of a directory and removes the directory.
 * It learns of the end by its standard input, which closes with us.
 *
 * @returns what to call once the directories are gone
 */
export function guard(...directories: string[]): () => Promise<void> {
  const child = spawn('/bin/sh', ['-c', guardScript, 'guard', ...directories], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
  })
  const closed = new Promise<void>((resolve) => child.on('close', () => resolve()))
  child.unref()
  const { stdin } = child
  if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref()
  return async () => {
    child.ref()
    stdin.end()
    await closed
  }
}
