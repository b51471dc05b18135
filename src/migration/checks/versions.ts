import { counted } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import type { Answer, Check } from './check.ts'
import { extensions } from './extensions.ts'
import { pastedName } from './paste.ts'
import type { Question } from './question.ts'

const versionText: Question<{ version: string }> = {
  id: 'version-text',
  scope: 'server',
  sql: () => `SELECT pg_catalog.version() AS version`,
}

/** Servers that speak the protocol and are no PostgreSQL inside: neither pg_dump nor the catalogs are what they should be. */
const others =
  /\b(Greenplum|YugabyteDB|YB|CockroachDB|Redshift|Materialize|openGauss|GaussDB|KingbaseES|Vastbase|CrateDB|H2)\b/i

/** Whether a server that calls itself by `version()` is PostgreSQL. */
export function judgeKind(version: string): Answer {
  const [found] = others.exec(version) ?? []
  if (found !== undefined) {
    return {
      status: 'failed',
      message: `The source is no PostgreSQL: ${printable(version.slice(0, 120))}`,
      remedy: `Migrate ${printable(found)} by its own tools: pg_dump cannot read it whole, and nothing could be proven`,
    }
  }
  // what it adds is not in PostgreSQL's grammar; without that it is dumped like any other
  if (/EnterpriseDB|Advanced Server/i.test(version)) {
    return {
      status: 'failed',
      severity: 'warning',
      message: `The source is EnterpriseDB: ${printable(version.slice(0, 120))}`,
      remedy:
        "Rehearse with the preflight's plan first: packages, synonyms and other Oracle features are unknown to PolarDB for PostgreSQL (PolarDB for Oracle has its own)",
    }
  }
  return { status: 'passed', message: 'the source is PostgreSQL' }
}

/** Majors in which clusters have been offered; nobody has seen others (docs/polardb.md, "Detection"). */
const offered = [11, 14, 15, 16, 17, 18]

/** Whether the target's version is one that this action knows. */
export function judgeMajor(
  { version, major }: { version: string; major: number },
  polardb: string | null,
): Answer {
  if (polardb !== null && !offered.includes(major)) {
    return {
      status: 'failed',
      message: `The target is a PolarDB of PostgreSQL ${version}, which this action does not know`,
      remedy:
        'Rehearse first, and look for a newer version of this action: what such a cluster refuses may be missed beforehand',
    }
  }
  return {
    status: 'passed',
    message:
      polardb === null
        ? `the target is PostgreSQL ${version}, and no PolarDB`
        : `the target is PolarDB ${printable(polardb)}, PostgreSQL ${version}`,
  }
}

/** The kernel of PolarDB 11 from which on all of its extensions can be created again (Alibaba Cloud's announcement of April 2023). */
const repaired = [1, 1, 31]

/** Extensions that older kernels of PolarDB 11 no longer create, by the beginnings of their names. */
const refused = /^(pg_cron|cube|earthdistance|postgis|ganos|pase|pg_bigm|hypopg)/

/**
 * Whether the cluster's kernel is known to refuse extensions that the source has.
 *
 * @param extensions names of the source's
 */
export function judgeKernel(polardb: string | null, extensions: readonly string[]): Answer {
  const parts = /^1\.(\d+)\.(\d+)/.exec(polardb ?? '')
  const concerned = [...new Set(extensions.filter((name) => refused.test(name)))]
  if (!parts || concerned.length === 0)
    return { status: 'passed', message: 'nothing is known against its kernel' }
  const [, second = 0, third = 0] = parts.map(Number)
  const [, wantedSecond = 0, wantedThird = 0] = repaired
  if (second > wantedSecond || (second === wantedSecond && third >= wantedThird))
    return { status: 'passed', message: 'its kernel is recent enough' }
  return {
    status: 'failed',
    message: `The kernel ${printable(polardb ?? '')} is older than 1.1.31: since 27 April 2023 such a cluster may refuse to create ${counted(concerned.length, 'extension')} that the source has`,
    objects: concerned.map((name) => pastedName(name)),
    remedy:
      'Update the minor version of the cluster before the migration, outside of its night (console: Settings and Management, Version Management)',
  }
}

export const versionChecks: readonly Check[] = [
  {
    id: 'source-kind',
    severity: 'blocker',
    why: 'some servers speak the protocol of PostgreSQL and are none inside',
    needs: ['source'],
    questions: { source: [versionText] },
    judge: ({ source }) => judgeKind(source.row(versionText).version),
  },
  {
    id: 'target-major',
    severity: 'info',
    why: 'what a version refuses is known for those that clusters are offered in',
    needs: ['target'],
    judge: ({ target }) => judgeMajor(target, target.polardb),
  },
  {
    id: 'target-kernel',
    severity: 'warning',
    why: 'old kernels of PolarDB 11 refuse extensions that they once had',
    needs: ['source', 'target'],
    questions: { source: [extensions] },
    judge: ({ source, target }) =>
      judgeKernel(
        target.polardb,
        source.rows(extensions).map(({ name }) => name),
      ),
  },
]
