import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, messageOf } from '../../../failure.ts'
import { type Platform, patienceOf, type Repositories } from './platform.ts'
import { dnfProblem, lastLine, type Problem, RepositoryProblem } from './problems.ts'
import {
  fileSize,
  firstThatGives,
  type Installation,
  runTool,
  type Unpacked,
  withProgress,
} from './repository.ts'
import { unpackCpio } from './rpm.ts'

interface Source {
  majorName: string
  url: string
  shown: string
}

/** A mirror's base URL may be the one of its yum repository, or of what also holds the apt repository. */
const belowMirror = ['', '/repos/yum', '/pub/repos/yum']
/** The project signs 11 and newer with the keys that we have, older ones with keys that are no longer in use. */
const oldestSigned = 11
const mostUnpacked = 256 * 1024 * 1024

/**
 * Gets the packages of a major with dnf as an ordinary user: its metadata and downloads are in a private directory, the
 * runner's own package database is not changed. rpm verifies every package's signature before it is unpacked.
 *
 * @returns the packages, or why none of the repositories has them
 * @throws Failure when a repository must not be trusted, the mirror does not answer, or the runner's release is none that
 * the PostgreSQL project has packages for; Cancelled
 */
export async function installWithYum(
  installation: Installation,
  platform: Platform,
  repositories: Repositories,
): Promise<Unpacked | RepositoryProblem[]> {
  const { mirror, context } = installation
  const majors = installation.majors.filter((major) => Number(major) >= oldestSigned)
  const key = repositories.yumKeys[installation.environment.architecture]
  const architecture = platform.rpmArchitecture
  const releases = platform.enterpriseLinux ?? []
  if (key === undefined || architecture === undefined) {
    throw new Failure(
      `There are no packages of the client programs for ${platform.title} on ${installation.environment.architecture}`,
      'The PostgreSQL project builds RPM packages for x86_64 and aarch64',
      'Use client-path',
    )
  }
  const bases = mirror
    ? belowMirror.map((below) => ({
        origin: 'mirror' as const,
        url: mirror.url + below,
        shown: mirror.shown + below,
      }))
    : [
        { origin: 'project' as const, url: repositories.yum, shown: repositories.yum },
        // retired releases and majors (yum-archive.postgresql.org)
        {
          origin: 'archive' as const,
          url: repositories.yumArchive,
          shown: repositories.yumArchive,
        },
      ]
  if (majors.length === 0) {
    const why = `its packages of ${installation.majors.join(' or ')} are signed with keys that are no longer in use`
    return [new RepositoryProblem('absent', 'the PostgreSQL project', why)]
  }
  const attempts = majors.flatMap((majorName) =>
    bases.flatMap(({ origin, url, shown }) =>
      releases.map((release) => {
        const path = `/${majorName}/redhat/rhel-${release}-${architecture}`
        return { origin, source: { majorName, url: url + path, shown: shown + path } }
      }),
    ),
  )
  return await firstThatGives(
    attempts.map(({ origin, source }, index) => ({
      origin,
      get: async () => {
        const directory = join(installation.directory, `yum-${index}`)
        return await new Yum(directory, source, installation, platform, key).getClient()
      },
    })),
    context,
  )
}

/** One repository of one major, with dnf's and rpm's data about it. */
class Yum {
  private readonly directory: string
  private readonly source: Source
  private readonly installation: Installation
  private readonly platform: Platform
  private readonly key: string

  constructor(
    directory: string,
    source: Source,
    installation: Installation,
    platform: Platform,
    key: string,
  ) {
    this.directory = directory
    this.source = source
    this.installation = installation
    this.platform = platform
    this.key = key
  }

  async getClient(): Promise<Unpacked> {
    for (const name of ['repositories', 'cache', 'log', 'state', 'packages', 'rpmdb', 'root']) {
      await mkdir(join(this.directory, name), { recursive: true })
    }
    const { majorName, shown } = this.source
    const undotted = majorName.replace('.', '')
    const files = await this.download([`postgresql${undotted}`, `postgresql${undotted}-libs`])
    await this.verify(files)
    for (const file of files) await this.unpack(file)
    const home = join(this.directory, 'root/usr', `pgsql-${majorName}`)
    const sizes = await Promise.all(files.map(fileSize))
    return {
      majorName,
      programs: join(home, 'bin'),
      libraries: [join(home, 'lib')],
      bytes: sizes.reduce((sum, size) => sum + size, 0),
      origin: `dnf (${shown})`,
    }
  }

  /** The runner's own dnf.conf stays in force, its proxies above all; its repositories do not (dnf.conf(5)). */
  private async download(packages: string[]): Promise<string[]> {
    const { silence, retries } = patienceOf(this.installation.environment)
    const at = (name: string) => join(this.directory, name)
    await writeFile(at('key.asc'), this.key)
    const repository = [
      '[postgresql]',
      'name=PostgreSQL',
      `baseurl=${this.source.url}`,
      'enabled=1',
      'gpgcheck=1',
      'repo_gpgcheck=1',
      `gpgkey=file://${encodeURI(at('key.asc'))}`,
      'skip_if_unavailable=0',
      'metadata_expire=0',
      'module_hotfixes=1', // a module of the distribution's would hide the packages
      `timeout=${silence}`,
      `retries=${retries}`,
      `minrate=1`,
      '',
    ]
    await writeFile(at('repositories/postgresql.repo'), repository.join('\n'), { mode: 0o600 })
    const settings = {
      reposdir: at('repositories'),
      cachedir: at('cache'),
      logdir: at('log'),
      persistdir: at('state'),
    }
    const directory = at('packages')
    const what = `Downloading the client programs of PostgreSQL ${this.source.majorName} from ${this.source.shown}`
    const result = await withProgress(directory, what, this.installation.context, () =>
      this.run('dnf', [
        '-y',
        ...Object.entries(settings).map(([name, value]) => `--setopt=${name}=${value}`),
        `--releasever=${this.platform.enterpriseLinux?.at(-1)}`,
        '--repo=postgresql',
        'download',
        `--destdir=${directory}`,
        `--arch=${this.platform.rpmArchitecture}`,
        ...packages,
      ]),
    )
    const said = `${result.stderr}\n${result.stdout}`
    if (/No such command: \W?download/i.test(said)) {
      throw new Failure(
        "The runner's dnf cannot download packages",
        'Its download command is missing',
        'Install dnf-plugins-core on the runner, or use client-path',
      )
    }
    const files = (await readdir(directory)).filter((name) => name.endsWith('.rpm'))
    if (result.code !== 0) throw this.problem(dnfProblem(said))
    for (const name of packages) {
      if (!files.some((file) => file.startsWith(`${name}-`))) {
        throw this.problem({ kind: 'absent', why: `it has no ${name}` })
      }
    }
    return files.map((name) => join(directory, name))
  }

  /** dnf download compares checksums with the signed metadata, but leaves the packages' own signatures to rpm. */
  private async verify(files: string[]): Promise<void> {
    const database = `--dbpath=${join(this.directory, 'rpmdb')}`
    const imported = await this.run('rpmkeys', [
      database,
      '--import',
      join(this.directory, 'key.asc'),
    ])
    if (imported.code !== 0) throw this.problem({ kind: 'failed', why: lastLine(imported.stderr) })
    for (const file of files) {
      const result = await this.run('rpmkeys', [database, '--checksig', file])
      // a package without any signature is "digests OK", with exit code 0 unless rpm is configured otherwise
      if (result.code !== 0 || !/: digests signatures OK$/m.test(result.stdout)) {
        const said = lastLine(result.stdout).replace(`${this.directory}/packages/`, '')
        throw this.problem({ kind: 'untrusted', why: `rpm does not accept the package: ${said}` })
      }
    }
  }

  private async unpack(file: string): Promise<void> {
    const chunks: Buffer[] = []
    let size = 0
    const result = await this.run('rpm2cpio', [file], (chunk) => {
      size += chunk.length
      if (size <= mostUnpacked) chunks.push(chunk)
    })
    try {
      if (result.code !== 0) throw new Error(lastLine(result.stderr))
      await unpackCpio(Buffer.concat(chunks), join(this.directory, 'root'))
    } catch (error) {
      throw this.problem({ kind: 'failed', why: `rpm2cpio: ${messageOf(error)}` })
    }
  }

  private async run(name: string, args: string[], onOutput?: (chunk: Buffer) => void) {
    return await runTool(name, args, this.installation, {
      repository: this.source.shown,
      ...(onOutput ? { onOutput } : {}),
    })
  }

  private problem({ kind, why }: Problem): RepositoryProblem {
    return new RepositoryProblem(kind, this.source.shown, why)
  }
}
