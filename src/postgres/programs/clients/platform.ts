import { readFile } from 'node:fs/promises'
import { Failure } from '../../../failure.ts'

/** What the client programs' search and installation need to know of the runner. */
export interface ClientEnvironment {
  /** The runner's PATH. */
  path: string
  /** Proxy variables, as the package tools read them: `{ https_proxy: 'http://…' }`. */
  proxies: Record<string, string>
  /** Node's name of the processor: `x64`, `arm64`. */
  architecture: string
  /** The user's own apt configuration file, where the job names one (APT_CONFIG). */
  aptConfig?: string
  /** Where the runner says what it is; `/etc/os-release` by default. */
  osRelease?: string
  /** Where a major is looked for besides PATH; the packages' own directories by default. */
  installed?: (majorName: string) => string[]
  /** The PostgreSQL project's repositories; its own hosts by default. */
  repositories?: Repositories
  /** How long to wait; 20 s for an answer, 5 min in all by default. */
  patience?: Patience
}

export interface Repositories {
  apt: string
  aptArchive: string
  yum: string
  yumArchive: string
  /** The armoured public keys that must have signed them. */
  aptKey: string
  yumKeys: Record<string, string>
}

/** Bounds of the waiting for a package repository. */
export interface Patience {
  /** Seconds without a byte until a connection is given up. */
  silence: number
  /** How often a download is tried again. */
  retries: number
  /** Milliseconds for one package tool's whole run. */
  deadline: number
  /** Milliseconds after which another job's installation that shows no sign of life is taken over. */
  takeover: number
}

const usualPatience: Patience = { silence: 20, retries: 2, deadline: 300_000, takeover: 15_000 }

export function patienceOf(environment: ClientEnvironment): Patience {
  return environment.patience ?? usualPatience
}

const proxyNames = ['http_proxy', 'https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy']

/**
 * What of the job's environment variables concerns the client programs.
 *
 * @param variables the job's environment; nothing else of it reaches a package tool
 */
export function clientEnvironment(
  variables: Record<string, string | undefined>,
): ClientEnvironment {
  const proxies: Record<string, string> = {}
  for (const name of proxyNames) {
    const value = variables[name] ?? variables[name.toUpperCase()]
    if (value) proxies[name] = value
  }
  return {
    path: variables.PATH ?? '/usr/local/bin:/usr/bin:/bin',
    proxies,
    architecture: process.arch,
    ...(variables.APT_CONFIG ? { aptConfig: variables.APT_CONFIG } : {}),
  }
}

/** The runner's operating system, as its packages see it. */
export interface Platform {
  /** Distinguishes entries of a tool cache that several systems share: `x64-debian-12`. */
  id: string
  /** For people: `Debian GNU/Linux 12 (bookworm)`. */
  title: string
  packages: 'apt' | 'yum' | undefined
  /** The release's name in apt repositories: `bookworm`. */
  codename?: string
  /** The Enterprise Linux releases whose packages fit, the closest first: `['9.6', '9']`. */
  enterpriseLinux?: string[]
  /** `amd64`, `arm64`: how Debian calls the processor; undefined where the project has no packages. */
  debianArchitecture?: string
  /** `x86_64`, `aarch64`. */
  rpmArchitecture?: string
}

const architectures: Record<string, { debian: string; rpm: string }> = {
  x64: { debian: 'amd64', rpm: 'x86_64' },
  arm64: { debian: 'arm64', rpm: 'aarch64' },
}

/** Reads what the runner is from its os-release file (freedesktop.org, os-release(5)); a missing file is an unknown system. */
export async function detectPlatform(environment: ClientEnvironment): Promise<Platform> {
  const path = environment.osRelease ?? '/etc/os-release'
  const text = await readFile(path, 'utf8').catch(() => '')
  return platformOf(text, environment.architecture)
}

/** The platform that an os-release text describes. */
export function platformOf(osRelease: string, architecture: string): Platform {
  const fields = parseOsRelease(osRelease)
  const id = fields.ID ?? 'linux'
  const family = [id, ...(fields.ID_LIKE ?? '').split(/\s+/)]
  const version = fields.VERSION_ID ?? fields.VERSION_CODENAME ?? ''
  const names = architectures[architecture]
  const platform: Platform = {
    id: `${architecture}-${id}-${version}`.replace(/[^\w.-]/g, '_').replace(/-$/, ''),
    title: fields.PRETTY_NAME ?? id,
    packages: undefined,
    ...(names ? { debianArchitecture: names.debian, rpmArchitecture: names.rpm } : {}),
  }
  if (family.includes('debian') || family.includes('ubuntu')) {
    platform.packages = 'apt'
    // a derivative says which release of its parent's it is built on
    const codename = fields.UBUNTU_CODENAME ?? fields.DEBIAN_CODENAME ?? fields.VERSION_CODENAME
    if (codename && /^[a-z]+$/.test(codename)) platform.codename = codename
  } else if (
    family.some((name) => ['rhel', 'centos', 'fedora', 'anolis', 'alinux'].includes(name))
  ) {
    platform.packages = 'yum'
    const releases = enterpriseLinuxReleases(id, fields)
    if (releases.length > 0) platform.enterpriseLinux = releases
  }
  return platform
}

/**
 * The project has a repository for a minor release (`rhel-9.6`), where it exists, and one for all of a major. Alibaba Cloud
 * Linux 3 and Anolis OS 8 are built on Enterprise Linux 8 and number themselves in their own way.
 */
function enterpriseLinuxReleases(id: string, fields: Record<string, string>): string[] {
  const version = fields.VERSION_ID ?? ''
  const major =
    /^platform:(?:el|al|an)(\d+)$/.exec(fields.PLATFORM_ID ?? '')?.[1] ??
    (id === 'alinux' && /^3(?:\.|$)/.test(version) ? '8' : undefined) ??
    (['rhel', 'centos', 'rocky', 'almalinux', 'ol', 'anolis'].includes(id)
      ? /^\d+/.exec(version)?.[0]
      : undefined)
  if (major === undefined || !['8', '9', '10'].includes(major)) return []
  return /^\d+\.\d+$/.test(version) && version.startsWith(`${major}.`) ? [version, major] : [major]
}

function parseOsRelease(text: string): Record<string, string> {
  const fields: Record<string, string> = {}
  for (const line of text.split('\n')) {
    const [, name, value] = /^([A-Z_0-9]+)=(.*)$/.exec(line.trim()) ?? []
    if (name !== undefined && value !== undefined) {
      fields[name] = value.replace(/^(["'])(.*)\1$/, '$2').replace(/\\(.)/g, '$1')
    }
  }
  return fields
}

/**
 * A URL of the user's without what must not be shown of it: its user and password.
 *
 * @throws Failure when it is none that a package tool can use
 */
export function parseMirror(mirror: string): { url: string; shown: string } {
  let url: URL | undefined
  if (!/[\s"\p{Cc}]/u.test(mirror.trim())) url = URL.parse(mirror.trim()) ?? undefined
  if (!url || !['http:', 'https:', 'file:'].includes(url.protocol) || url.search || url.hash) {
    throw new Failure(
      'client-mirror is not usable',
      "It must be the base URL of a mirror of the PostgreSQL project's package repositories",
      'Give a URL such as https://mirror.example.com/postgresql',
    )
  }
  const shown = new URL(url)
  shown.username = ''
  shown.password = ''
  return { url: url.href.replace(/\/+$/, ''), shown: shown.href.replace(/\/+$/, '') }
}
