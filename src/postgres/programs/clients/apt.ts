import { access, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Platform, patienceOf, type Repositories } from './platform.ts'
import { aptProblem, lastLine, type Problem, RepositoryProblem } from './problems.ts'
import {
  fileSize,
  firstThatGives,
  type Installation,
  runTool,
  type Unpacked,
  withProgress,
} from './repository.ts'

/** Where apt takes packages from: one signed repository, or whatever the runner itself is configured with. */
type Source =
  | { url: string; suite: string; key: string; shown: string }
  | { distribution: string; shown: string }

/** A mirror's base URL may be the one of its apt repository, or of what also holds the yum repository. */
const belowMirror = ['', '/repos/apt', '/pub/repos/apt']

/** Where Debian and Ubuntu keep the certificates that apt trusts (package ca-certificates). */
const certificates = '/etc/ssl/certs/ca-certificates.crt'

/** What of a package's dependencies its programs link against; its C library is the runner's own. */
const library = /^(?:lib(?!c6$|c-bin$|pq5$|perl|gcc-)|zlib)/

/**
 * Gets the packages of a major with apt as an ordinary user: everything that apt writes is in a private directory, the
 * runner's own package database is neither read nor changed.
 *
 * @returns the packages, or why none of the repositories has them
 * @throws Failure when a repository must not be trusted or the mirror does not answer; Cancelled
 */
export async function installWithApt(
  installation: Installation,
  platform: Platform,
  repositories: Repositories,
): Promise<Unpacked | RepositoryProblem[]> {
  const { mirror } = installation
  const { codename } = platform
  // a bare container has no certificates to check a server's with; apt checks the packages' signatures either way
  const secure = await access(certificates).then(
    () => true,
    () => false,
  )
  const signed = (url: string, suite: string, shown = url): Source => ({
    url,
    suite,
    key: repositories.aptKey,
    shown: `${shown} ${suite}`,
  })
  const project = (url: string, suite: string): Source =>
    signed(secure ? url : url.replace(/^https:/, 'http:'), suite)
  const sources: { origin: 'mirror' | 'project' | 'archive' | 'distribution'; source: Source }[] =
    []
  if (codename && mirror) {
    for (const below of belowMirror) {
      const source = signed(mirror.url + below, `${codename}-pgdg`, mirror.shown + below)
      sources.push({ origin: 'mirror', source })
    }
  } else if (codename) {
    sources.push(
      { origin: 'project', source: project(repositories.apt, `${codename}-pgdg`) },
      // retired releases, and every version that ever was in the main repository (apt-archive.postgresql.org)
      { origin: 'archive', source: project(repositories.aptArchive, `${codename}-pgdg`) },
      { origin: 'archive', source: project(repositories.aptArchive, `${codename}-pgdg-archive`) },
    )
  }
  const distribution = `the runner's own package sources (${platform.title})`
  sources.push({ origin: 'distribution', source: { distribution, shown: distribution } })
  return await firstThatGives(
    sources.map(({ origin, source }, index) => ({
      origin,
      get: async () => {
        const directory = join(installation.directory, `apt-${index}`)
        const apt = await Apt.open(directory, source, installation, platform)
        return await apt.getClient()
      },
    })),
    installation.context,
  )
}

/** One private apt: its configuration, package lists and downloads. */
class Apt {
  private readonly directory: string
  private readonly source: Source
  private readonly installation: Installation
  private readonly platform: Platform

  private constructor(
    directory: string,
    source: Source,
    installation: Installation,
    platform: Platform,
  ) {
    this.directory = directory
    this.source = source
    this.installation = installation
    this.platform = platform
  }

  static async open(
    directory: string,
    source: Source,
    installation: Installation,
    platform: Platform,
  ): Promise<Apt> {
    for (const name of ['lists/partial', 'archives/partial', 'sources', 'keys', 'root']) {
      await mkdir(join(directory, name), { recursive: true })
    }
    const apt = new Apt(directory, source, installation, platform)
    await writeFile(join(directory, 'status'), '')
    await writeFile(join(directory, 'apt.conf'), apt.configuration(), { mode: 0o600 })
    if ('url' in source) {
      const paragraph = [
        'Types: deb',
        `URIs: ${source.url}`,
        `Suites: ${source.suite}`,
        'Components: main',
      ]
      const file = join(directory, 'sources', 'postgresql.sources')
      await writeFile(file, `${paragraph.join('\n')}\n`, { mode: 0o600 })
      await writeFile(join(directory, 'keys', 'postgresql.asc'), source.key)
    }
    await apt.update()
    return apt
  }

  /** Downloads and unpacks the client programs of the best major that the source has. */
  async getClient(): Promise<Unpacked> {
    const majorName = await this.bestMajor()
    const packages = [`postgresql-client-${majorName}`, 'libpq5']
    const what = `Downloading the client programs of PostgreSQL ${majorName} from ${this.source.shown}`
    const files = await this.download(packages, what)
    for (const file of files) await this.unpack(file)
    return {
      majorName,
      programs: join(this.directory, 'root/usr/lib/postgresql', majorName, 'bin'),
      libraries: await this.libraries(),
      bytes: await totalSize(files),
      origin: `apt (${this.source.shown})`,
      fetchDependencies: async () => await this.fetchDependencies(files),
    }
  }

  private get repository(): string {
    return this.source.shown
  }

  /**
   * Settings that are read after the runner's own, whose proxies, certificates and time limits for Release files stay,
   * whose hooks, pins and leave to take unsigned packages do not (apt.conf(5), apt-secure(8)).
   */
  private configuration(): string {
    const { silence, retries } = patienceOf(this.installation.environment)
    const at = (name: string) => join(this.directory, name)
    const settings: [string, string][] = [
      ['Dir::State', this.directory],
      ['Dir::State::lists', 'lists'],
      ['Dir::State::status', at('status')],
      ['Dir::Cache', this.directory],
      ['Dir::Cache::archives', 'archives'],
      ['Dir::Log', this.directory],
      ['Dir::Etc::preferences', '/dev/null'],
      ['Dir::Etc::preferencesparts', '/dev/null'],
      ['APT::Architecture', this.platform.debianArchitecture ?? ''],
      ['APT::Architectures::', this.platform.debianArchitecture ?? ''],
      ['APT::Default-Release', ''],
      ['APT::Sandbox::User', ''],
      ['APT::Install-Recommends', 'false'],
      ['APT::Get::AllowUnauthenticated', 'false'],
      ['Acquire::AllowInsecureRepositories', 'false'],
      ['Acquire::AllowWeakRepositories', 'false'],
      ['Acquire::AllowDowngradeToInsecureRepositories', 'false'],
      ['Acquire::Languages', 'none'],
      ['Acquire::Retries', String(retries)],
      ['Acquire::http::Timeout', String(silence)],
      ['Acquire::https::Timeout', String(silence)],
      ['Debug::NoLocking', 'true'],
    ]
    if ('url' in this.source) {
      settings.push(
        ['Dir::Etc::sourcelist', '/dev/null'],
        ['Dir::Etc::sourceparts', at('sources')],
        // one key, and none of those that the runner trusts for other repositories
        ['Dir::Etc::trusted', '/dev/null'],
        ['Dir::Etc::trustedparts', at('keys')],
      )
    }
    const hooks = ['Pre-Invoke', 'Post-Invoke', 'Post-Invoke-Success']
    return [
      ...hooks.map((hook) => `#clear APT::Update::${hook};`),
      '#clear APT::Architectures;',
      ...settings.map(([name, value]) => `${name} "${value}";`),
      '',
    ].join('\n')
  }

  private async run(name: string, args: string[], cwd?: string) {
    const { aptConfig } = this.installation.environment
    return await runTool(
      name,
      ['-c', join(this.directory, 'apt.conf'), ...args],
      this.installation,
      {
        repository: this.repository,
        ...(cwd ? { cwd } : {}),
        ...(aptConfig ? { env: { APT_CONFIG: aptConfig } } : {}),
      },
    )
  }

  private async update(): Promise<void> {
    const what = `Reading ${this.repository}`
    const result = await withProgress(
      join(this.directory, 'lists'),
      what,
      this.installation.context,
      () => this.run('apt-get', ['-qq', 'update']),
    )
    // of the runner's own sources one may be broken that we do not need: a package that is missing then tells
    if ('distribution' in this.source) return
    // a list that could not be fetched is a warning to apt, since it can go on with an older one
    if (result.code !== 0 || /^[EW]: .*(?:fetch|not updated)/m.test(result.stderr)) {
      throw this.problem(aptProblem(result.stderr))
    }
  }

  private async bestMajor(): Promise<string> {
    const { majors } = this.installation
    const names = majors.map((major) => `postgresql-client-${major}`)
    const { stdout } = await this.run('apt-cache', ['policy', ...names])
    for (const [index, name] of names.entries()) {
      const paragraph = stdout.split(/^(?=\S)/m).find((text) => text.startsWith(`${name}:\n`))
      const candidate = /^ {2}Candidate: (\S+)$/m.exec(paragraph ?? '')?.[1]
      const major = majors[index]
      if (major !== undefined && candidate !== undefined && candidate !== '(none)') return major
    }
    throw this.problem({ kind: 'absent', why: `it has no ${names.join(', ')}` })
  }

  private async download(packages: string[], what: string): Promise<string[]> {
    const directory = join(this.directory, 'archives')
    const before = new Set(await readdir(directory))
    const result = await withProgress(directory, what, this.installation.context, () =>
      this.run('apt-get', ['-qq', 'download', ...packages], directory),
    )
    if (result.code !== 0) throw this.problem(aptProblem(result.stderr))
    const names = await readdir(directory)
    return names
      .filter((name) => name.endsWith('.deb') && !before.has(name))
      .map((name) => join(directory, name))
  }

  private async unpack(file: string): Promise<void> {
    const args = ['-x', file, join(this.directory, 'root')]
    const result = await runTool('dpkg-deb', args, this.installation, {
      repository: this.repository,
    })
    if (result.code !== 0) {
      throw this.problem({ kind: 'failed', why: lastLine(result.stderr) })
    }
  }

  /** Directories below the root that may hold shared libraries. */
  private async libraries(): Promise<string[]> {
    const found: string[] = []
    for (const name of ['usr/lib', 'lib']) {
      const directory = join(this.directory, 'root', name)
      const entries = await readdir(directory, { withFileTypes: true }).catch(() => [])
      found.push(directory)
      for (const entry of entries) {
        if (entry.isDirectory() && /-linux-gnu\w*$/.test(entry.name)) {
          found.push(join(directory, entry.name))
        }
      }
    }
    return found
  }

  /** What the packages depend on, from the runner's own sources and by the runner's own keys. */
  private async fetchDependencies(
    files: string[],
  ): Promise<{ libraries: string[]; bytes: number }> {
    if ('url' in this.source) {
      const distribution = `the runner's own package sources (${this.platform.title})`
      const own = await Apt.open(
        `${this.directory}-libraries`,
        { distribution, shown: distribution },
        this.installation,
        this.platform,
      )
      return await own.getLibraries(await this.dependencies(files))
    }
    return await this.getLibraries(await this.dependencies(files))
  }

  private async dependencies(files: string[]): Promise<string[]> {
    const names = new Set<string>()
    for (const file of files) {
      const options = { repository: this.repository }
      const result = await runTool('dpkg-deb', ['-f', file, 'Depends'], this.installation, options)
      for (const [name] of result.stdout.matchAll(/(?<=^|,\s*)[a-z0-9][a-z0-9+.-]+/g)) {
        if (library.test(name)) names.add(name)
      }
    }
    return [...names]
  }

  private async getLibraries(names: string[]): Promise<{ libraries: string[]; bytes: number }> {
    const simulation = await this.run('apt-get', ['-s', '-qq', '-y', 'install', ...names])
    if (simulation.code !== 0) throw this.problem(aptProblem(simulation.stderr))
    const needed = [...simulation.stdout.matchAll(/^Inst (\S+)/gm)]
      .map(([, name = '']) => name)
      .filter((name) => library.test(name))
    const what = `Downloading libraries of the client programs from ${this.repository}`
    const files = await this.download(needed, what)
    for (const file of files) await this.unpack(file)
    return { libraries: await this.libraries(), bytes: await totalSize(files) }
  }

  private problem({ kind, why }: Problem): RepositoryProblem {
    return new RepositoryProblem(kind, this.repository, why)
  }
}

async function totalSize(files: string[]): Promise<number> {
  const sizes = await Promise.all(files.map(fileSize))
  return sizes.reduce((sum, size) => sum + size, 0)
}
