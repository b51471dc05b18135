import { Failure } from '../../../failure.ts'
import { isMajorName, parseVersion, type Version } from '../../version.ts'

export interface WantedClient {
  /** The majors that will do, the best first: `['15']`. */
  majors: string[]
  /** What the user should know of the choice. */
  warnings: string[]
}

/** `server_version_num` of the oldest source: its catalogs are the oldest that this project reads, by a client of 9.3 to 14. */
export const oldestSource = 80_400

/** Parallel dumps began with pg_dump 9.3 (release notes of 9.3). */
const firstParallel = 9.3
/** pg_dump 10 to 14 read servers from 8.0 on, 15 and newer from 9.2 on (release notes of 10 and 15). */
const lastForOldServers = 14
/** From the oldest that can dump in parallel to the newest that reads a server before 9.2. */
const forOldServers = ['9.3', '9.4', '9.5', '9.6', '10', '11', '12', '13', '14']

/**
 * The minor release of each major whose pg_dump no longer writes what a hostile source made of it into a script that psql
 * then runs (CVE-2025-8714 and CVE-2025-8715).
 */
const patchedMinors: Record<string, number> = { 13: 22, 14: 19, 15: 14, 16: 10, 17: 6 }
const lastUnpatchedMajor = 12

/**
 * The majors of client programs with which a source can be dumped: its own, unless it is so old that none of its own can
 * dump in parallel, or the user asks for another.
 *
 * @param requested the input `client-version`
 * @throws Failure when no client can dump the source, or the requested one cannot
 */
export function wantedClient(source: Version, requested?: string): WantedClient {
  if (source.number < oldestSource) {
    throw new Failure(
      `PostgreSQL ${source.majorName} is too old to be migrated`,
      'No source before 8.4 is migrated: 9.3 and newer are dumped by their own client programs, older ones by newer programs',
      'Upgrade the source to 8.4 or newer first',
    )
  }
  const unsynchronized =
    source.number < 90_200
      ? [
          `PostgreSQL ${source.majorName} cannot share a snapshot among sessions: a dump with several jobs is consistent ` +
            'only if nothing writes to the source while it runs',
        ]
      : []
  if (requested !== undefined && requested !== source.majorName) {
    checkRequested(requested, source)
    return {
      majors: [requested],
      warnings: [
        `The client programs are of PostgreSQL ${requested}, as client-version asks, the source is of ` +
          `${source.majorName}: what they write may not suit the source's and the target's version`,
        ...unsynchronized,
      ],
    }
  }
  if (Number(source.majorName) >= firstParallel) {
    return { majors: [source.majorName], warnings: [] }
  }
  return {
    majors: forOldServers,
    warnings: [
      `The client programs of PostgreSQL ${source.majorName} cannot dump in parallel (that began with ${firstParallel}): ` +
        'the nearest newer ones that can are used',
      ...unsynchronized,
    ],
  }
}

function checkRequested(requested: string, source: Version): void {
  const refuse = (why: string, remedy: string): never => {
    throw new Failure(`client-version ${requested} cannot be used`, why, remedy)
  }
  if (!isMajorName(requested)) {
    refuse(
      'It is no major version of PostgreSQL',
      'Give a major version such as 15 or 9.6, without a minor one, or leave client-version out',
    )
  }
  const major = Number(requested)
  if (major < Number(source.majorName)) {
    refuse(
      `pg_dump refuses servers newer than itself, and the source is of PostgreSQL ${source.majorName}`,
      `Use ${source.majorName} or a newer version, or leave client-version out`,
    )
  }
  if (major < firstParallel) {
    refuse(`pg_dump can dump in parallel from ${firstParallel} on`, 'Leave client-version out')
  }
  if (source.number < 90_200 && major > lastForOldServers) {
    refuse(
      `pg_dump reads servers before 9.2 only up to version ${lastForOldServers}`,
      `Use a version from ${firstParallel} to ${lastForOldServers}, or leave client-version out`,
    )
  }
}

/**
 * What a client program says of itself with `--version`.
 *
 * @param output `pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)`
 * @returns undefined when it is no program of PostgreSQL's that says so
 */
export function parseProgramVersion(output: string): Version | undefined {
  const text = /^\w+ \(PostgreSQL\) (.*)/.exec(output)?.[1]
  return text === undefined ? undefined : parseVersion(text)
}

/** A version in the form that the tool cache orders by: `15.20` is `15.20.0`, `19beta1` is `19.0.0-beta1`. */
export function semanticVersion(version: string): string {
  const [, numbers = '0', suffix = ''] = /^([\d.]+)(.*)$/.exec(version) ?? []
  const parts = [...numbers.split('.'), '0', '0'].slice(0, 3)
  return parts.join('.') + (suffix ? `-${suffix}` : '')
}

/** Whether programs of this version have a known vulnerability in what they dump, and why to care; undefined if not. */
export function knownVulnerability(found: Version): string | undefined {
  const hazard =
    'a hostile source can make the dump run commands where it is restored with psql (CVE-2025-8714, CVE-2025-8715)'
  const major = Number(found.majorName)
  if (major <= lastUnpatchedMajor) {
    return `The client programs of PostgreSQL ${found.version} have a known vulnerability that was never fixed in that major: ${hazard}`
  }
  const patched = patchedMinors[found.majorName]
  const minor = /^\d+\.(\d+)/.exec(found.version)?.[1]
  if (patched === undefined || (minor !== undefined && Number(minor) >= patched)) return undefined
  return (
    `The client programs are of PostgreSQL ${found.version}, which has a known vulnerability: ${hazard}. ` +
    `It is fixed in ${found.majorName}.${patched}`
  )
}
