import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import {
  access,
  chmod,
  glob,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { withLock } from './lock.ts'

const run = promisify(execFile)
const programs = ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql']

/** The Debian release whose own packages hold a major. */
const suites: Record<number, string> = { 13: 'bullseye', 15: 'bookworm', 17: 'trixie', 18: 'forky' }

/** Where unpacked clients are kept between runs; `TEST_CLIENTS_DIRECTORY` overrides it. */
const store =
  process.env.TEST_CLIENTS_DIRECTORY ?? join(tmpdir(), `postgresql-clients-${process.getuid?.()}`)
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
const loaders = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu', 'usr/lib64', 'lib64']

/**
 * A directory with pg_dump, pg_dumpall, pg_restore and psql of a major: the installed one, or else one unpacked (once, 5 to
 * 10 s) from the Debian release that has it, with its own C library beside it.
 *
 * @returns undefined where this machine cannot have it (no Debian sources, not x64, no such major): skip visibly then
 * @throws what apt says, when it should have worked
 */
export async function clientDirectory(major: number): Promise<string | undefined> {
  const installed = `/usr/lib/postgresql/${major}/bin`
  if (await complete(installed)) return installed
  const suite = suites[major]
  if (suite === undefined || !(await hasDebianPackages())) return undefined
  await privateStore()
  const root = join(store, String(major))
  const directory = join(root, 'usr/lib/postgresql', String(major), 'bin')
  if (await complete(directory)) return directory
  await withLock(join(store, `${major}.lock`), async () => {
    if (await complete(directory)) return
    const work = join(store, `${major}.${process.pid}.${Date.now()}`)
    try {
      const packages = await debianPackages(suite, `postgresql-client-${major}`, 'closure')
      await unpack(packages, join(work, 'root'))
      await makeSelfSufficient(work, root, major)
      await rm(root, { recursive: true, force: true })
      await rename(join(work, 'root'), root)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  })
  return directory
}

/** Server and client programs of PostgreSQL's newest minor release, and which that is. */
export interface NewestMinor {
  /** `15.20`, as the server says it. */
  version: string
  major: number
  /** The directory of postgres, initdb, pg_ctl and the client programs. */
  directory: string
}

/**
 * The newest minor release that this machine's own apt sources offer, security updates included: unpacked once, without
 * installing it. It uses the machine's libraries, which it must have.
 *
 * @returns undefined where that cannot be had: skip visibly then
 * @throws what apt says, when it should have worked
 */
export async function newestMinor(): Promise<NewestMinor | undefined> {
  if (!(await hasDebianPackages())) return undefined
  await privateStore()
  const major = { bookworm: 15, trixie: 17, forky: 18 }[await ownSuite()]
  if (major === undefined) return undefined
  const root = join(store, `newest-${major}`)
  const directory = join(root, 'usr/lib/postgresql', String(major), 'bin')
  await withLock(`${root}.lock`, async () => {
    if (await stat(join(directory, 'postgres')).catch(() => undefined)) return
    const work = `${root}.${process.pid}`
    try {
      await mkdir(join(work, 'lists/partial'), { recursive: true })
      const options = ['-qq', '-o', `Dir::State::Lists=${join(work, 'lists')}`]
      options.push('-o', 'APT::Sandbox::User=', '-o', 'Debug::NoLocking=true')
      options.push('-o', `Dir::Cache::pkgcache=`, '-o', `Dir::Cache::srcpkgcache=`)
      await run('apt-get', [...options, 'update'])
      const names = [`postgresql-${major}`, `postgresql-client-${major}`, 'libpq5']
      await run('apt-get', [...options, 'download', ...names], { cwd: work })
      const packages = (await readdir(work)).filter(isPackage).map((file) => join(work, file))
      await unpack(packages, join(work, 'root'))
      await chmod(join(work, 'root'), 0o755)
      await rename(join(work, 'root'), root)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  })
  const { stdout: libraries } = await run('ldd', [join(directory, 'postgres')])
  if (libraries.includes('not found')) return undefined
  const { stdout } = await run(join(directory, 'postgres'), ['--version'])
  return { version: /\d+\.\d+/.exec(stdout)?.[0] ?? '', major, directory }
}

/** Whether this machine can download packages of Debian's for its own processor. */
export async function hasDebianPackages(): Promise<boolean> {
  return process.arch === 'x64' && (await debianUri()) !== undefined
}

/**
 * Paths of a package's .deb file, alone or with those of everything it depends on, downloaded once from a Debian release.
 *
 * @throws what apt says
 */
export async function debianPackages(
  suite: string,
  name: string,
  extent: 'alone' | 'closure',
): Promise<string[]> {
  await privateStore()
  const directory = join(store, 'packages', `${suite}-${name}-${extent}`)
  const list = async () => (await readdir(directory).catch(() => [])).filter(isPackage)
  await withLock(`${directory.replaceAll('/packages/', '/')}.lock`, async () => {
    if ((await list()).length > 0) return
    const work = `${directory}.${process.pid}`
    try {
      await download(suite, name, extent, work)
      await rename(join(work, 'archives'), directory)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  })
  return (await list()).map((file) => join(directory, file))
}

async function complete(directory: string): Promise<boolean> {
  const found = programs.map((name) => access(join(directory, name), constants.X_OK))
  return (await Promise.allSettled(found)).every((result) => result.status === 'fulfilled')
}

/** The mirror that this machine's own sources name: undefined on a machine that is no Debian. */
async function debianUri(): Promise<string | undefined> {
  if (!(await stat(keyring).catch(() => undefined))) return undefined
  const deb822 = await readFile('/etc/apt/sources.list.d/debian.sources', 'utf8').catch(() => '')
  const list = await readFile('/etc/apt/sources.list', 'utf8').catch(() => '')
  return /^URIs:\s*(\S+)/m.exec(deb822)?.[1] ?? /^deb\s+(?:\[.*?\]\s+)?(\S+)/m.exec(list)?.[1]
}

function isPackage(file: string): boolean {
  return file.endsWith('.deb')
}

async function download(
  suite: string,
  name: string,
  extent: 'alone' | 'closure',
  apt: string,
): Promise<void> {
  await mkdir(join(apt, 'lists/partial'), { recursive: true })
  await mkdir(join(apt, 'archives/partial'), { recursive: true })
  await writeFile(join(apt, 'status'), '')
  const source = `deb [signed-by=${keyring}] ${await debianUri()} ${suite} main\n`
  await writeFile(join(apt, 'sources.list'), source)
  const settings: Record<string, string> = {
    'Dir::State': apt,
    'Dir::State::status': join(apt, 'status'),
    'Dir::Cache': apt,
    'Dir::Log': apt,
    'Dir::Etc::sourcelist': join(apt, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Debug::NoLocking': 'true',
    'APT::Sandbox::User': '',
    'APT::Install-Recommends': 'false',
    'Acquire::Languages': 'none',
    'Acquire::Check-Valid-Until': 'false',
    'Acquire::Retries': '3',
  }
  // read after the machine's own apt.conf, whose hooks must not run here and whose proxies must stay
  const lines = Object.entries(settings).map(([key, value]) => `${key} "${value}";`)
  lines.unshift('#clear APT::Update::Post-Invoke;', '#clear APT::Update::Post-Invoke-Success;')
  await writeFile(join(apt, 'apt.conf'), `${lines.join('\n')}\n`)
  const options = ['-qq', '-c', join(apt, 'apt.conf')]
  await run('apt-get', [...options, 'update'])
  if (extent === 'closure') {
    await run('apt-get', [...options, '-y', '--download-only', 'install', name])
  } else {
    await run('apt-get', [...options, 'download', name], { cwd: join(apt, 'archives') })
  }
}

/** Unpacks packages below a directory. */
export async function unpack(packages: string[], root: string): Promise<void> {
  await mkdir(root, { recursive: true })
  for (const file of packages) await run('dpkg-deb', ['-x', file, root])
}

/** Points the programs at the loader and the libraries that they will have at their final place. */
async function makeSelfSufficient(work: string, final: string, major: number): Promise<void> {
  const root = join(work, 'root')
  await unpack(await debianPackages(await ownSuite(), 'patchelf', 'alone'), join(work, 'patchelf'))
  const bin = join(root, 'usr/lib/postgresql', String(major), 'bin')
  const loader = await findLoader(root)
  const libraries = loaders.slice(0, 2).map((directory) => join(final, directory))
  for (const name of await readdir(bin)) {
    await run(join(work, 'patchelf/usr/bin/patchelf'), [
      ...['--set-interpreter', join(final, loader)],
      ...['--force-rpath', '--set-rpath', libraries.join(':')],
      join(bin, name),
    ])
  }
}

/** The loader's path below the root; its name in lib64 may be an absolute link (bullseye). */
async function findLoader(root: string): Promise<string> {
  for (const directory of loaders) {
    for await (const path of glob(join(root, directory, 'ld-*.so*'))) {
      const real = await realpath(path).catch(() => '')
      if (real.startsWith(await realpath(root))) return path.slice(root.length + 1)
    }
  }
  throw new Error(`No loader below ${root}`)
}

/** The release's name of this machine's own Debian. */
export async function ownSuite(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8')
  return /^VERSION_CODENAME="?([a-z]+)/m.exec(text)?.[1] ?? 'bookworm'
}

/** The store belongs to this user alone to write; everybody may run what is in it. */
async function privateStore(): Promise<void> {
  await mkdir(store, { recursive: true, mode: 0o755 })
  const { uid } = await stat(store)
  if (uid !== process.getuid?.()) throw new Error(`${store} belongs to user ${uid}`)
  await chmod(store, 0o755)
}
