import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Runs a program of the machine's and gives its stdout; a failure carries what it said. */
export async function run(
  name: string,
  args: string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  const env = { PATH: process.env.PATH ?? '', LC_ALL: 'C', ...options.env }
  const { stdout } = await execute(name, args, { ...options, env, maxBuffer: 1 << 26 })
  return stdout
}

/** Whether the machine has all of some programs. */
export function hasPrograms(...names: string[]): boolean {
  const path = (process.env.PATH ?? '').split(delimiter)
  return names.every((name) => path.some((directory) => existsSync(join(directory, name))))
}

/** An OpenPGP key that signs packages and repositories, in a directory of its own. */
export class SigningKey {
  readonly home: string
  readonly publicKey: string
  private readonly options: string[]

  private constructor(home: string, publicKey: string, options: string[]) {
    this.home = home
    this.publicKey = publicKey
    this.options = options
  }

  /** @param past makes a key that expired years ago, and signs as of then */
  static async create(home: string, past = false): Promise<SigningKey> {
    await mkdir(home, { recursive: true, mode: 0o700 })
    const options = ['--homedir', home, '--batch', '--quiet']
    if (past) options.push('--faked-system-time', '20200101T000000')
    const protection = ['--pinentry-mode', 'loopback', '--passphrase', '']
    const user = 'Test repository <test@example.com>'
    await run('gpg', [...options, ...protection, '--quick-gen-key', user, 'rsa2048', 'sign', '1y'])
    const publicKey = await run('gpg', [...options, '--armor', '--export'])
    return new SigningKey(home, publicKey, options)
  }

  async clearsign(file: string, to: string): Promise<void> {
    await run('gpg', [...this.options, '--yes', '--clearsign', '--output', to, file])
  }

  async detach(file: string, to: string): Promise<void> {
    await run('gpg', [...this.options, '--yes', '--armor', '--detach-sign', '--output', to, file])
  }

  async signPackage(file: string): Promise<void> {
    const gpg = (await run('which', ['gpg'])).trim()
    const macros = { _gpg_name: 'test@example.com', _gpg_path: this.home, __gpg: gpg }
    await run('rpmsign', [...defines(macros), '--addsign', file])
  }

  /** Ends the agent that gpg started for the key. */
  async close(): Promise<void> {
    await run('gpgconf', ['--homedir', this.home, '--kill', 'all'])
  }
}

/**
 * Builds an apt repository, signed as a real one.
 *
 * @param debs the .deb files that it holds
 * @param key unsigned when undefined
 */
export async function buildAptRepository(
  directory: string,
  suite: string,
  debs: string[],
  key: SigningKey | undefined,
): Promise<void> {
  const index = `dists/${suite}/main/binary-amd64`
  await mkdir(join(directory, 'pool'), { recursive: true })
  await mkdir(join(directory, index), { recursive: true })
  for (const deb of debs) await cp(deb, join(directory, 'pool', deb.split('/').at(-1) ?? ''))
  const packages = await run('apt-ftparchive', ['packages', 'pool'], { cwd: directory })
  await writeFile(join(directory, index, 'Packages'), packages)
  await signAptRepository(directory, suite, key)
}

/** Writes the Release file anew, and its signature. */
export async function signAptRepository(
  directory: string,
  suite: string,
  key: SigningKey | undefined,
): Promise<void> {
  const fields = { Suite: suite, Codename: suite, Components: 'main', Architectures: 'amd64' }
  const options = Object.entries(fields).flatMap(([name, value]) => [
    '-o',
    `APT::FTPArchive::Release::${name}=${value}`,
  ])
  const at = join(directory, 'dists', suite)
  const release = await run('apt-ftparchive', [...options, 'release', '.'], { cwd: at })
  await writeFile(join(at, 'Release'), release)
  await key?.clearsign(join(at, 'Release'), join(at, 'InRelease'))
}

/** Builds a .deb from files below a root directory. */
export async function buildDeb(
  root: string,
  fields: Record<string, string>,
  to: string,
): Promise<void> {
  const control = Object.entries(fields).map(([name, value]) => `${name}: ${value}\n`)
  await mkdir(join(root, 'DEBIAN'), { recursive: true })
  await writeFile(join(root, 'DEBIAN/control'), control.join(''))
  await run('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z1', '--build', root, to])
}

/** Builds an .rpm from files below a root directory. */
export async function buildRpm(
  work: string,
  root: string,
  name: string,
  version: string,
  to: string,
): Promise<string> {
  const spec = `Name: ${name}
Version: ${version}
Release: 1PGDG.rhel9
Summary: PostgreSQL
License: PostgreSQL
AutoReqProv: no
%description
Repackaged for a test.
%install
cp -a ${root}/. %{buildroot}/
%files
/*
`
  await mkdir(work, { recursive: true })
  const file = join(work, `${name}.spec`)
  await writeFile(file, spec)
  const macros = {
    _topdir: work,
    _rpmdir: to,
    _dbpath: join(work, 'db'),
    _build_id_links: 'none',
    debug_package: '%{nil}',
    __os_install_post: '%{nil}',
    _build_name_fmt: '%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm',
    _binary_payload: 'w1.gzdio',
  }
  await run('rpmbuild', [...defines(macros), '--target', 'x86_64', '-bb', file])
  return join(to, `${name}-${version}-1PGDG.rhel9.x86_64.rpm`)
}

function defines(macros: Record<string, string>): string[] {
  return Object.entries(macros).flatMap(([name, value]) => ['--define', `${name} ${value}`])
}

/** Builds a yum repository's metadata over the .rpm files of a directory, and signs it. */
export async function buildYumRepository(
  directory: string,
  key: SigningKey | undefined,
): Promise<void> {
  await run('createrepo_c', ['--quiet', directory])
  await key?.detach(
    join(directory, 'repodata/repomd.xml'),
    join(directory, 'repodata/repomd.xml.asc'),
  )
}

export type Answer = (request: IncomingMessage, response: ServerResponse) => boolean

/** A web server on a free port of 127.0.0.1 that serves a directory. */
export class FileServer {
  readonly requests: string[] = []
  private readonly server: Server

  private constructor(server: Server) {
    this.server = server
  }

  /** @param answer may answer a request itself, and returns true then */
  static async start(directory: string, answer: Answer = () => false): Promise<FileServer> {
    const server = createServer(async (request, response) => {
      const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname)
      files.requests.push(path)
      if (answer(request, response)) return
      const file = join(directory, path)
      const found = await stat(file).catch(() => undefined)
      if (!found?.isFile()) response.writeHead(404).end()
      else response.writeHead(200, { 'content-length': found.size }).end(await readFile(file))
    })
    const files = new FileServer(server)
    const { promise, resolve } = Promise.withResolvers<void>()
    server.listen(0, '127.0.0.1', resolve)
    await promise
    return files
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.server.close(() => resolve())
    this.server.closeAllConnections()
    await promise
  }
}
