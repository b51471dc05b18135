import { Failure } from '../../failure.ts'
import type { Compression } from '../../postgres/programs/arguments.ts'
import { formatBytes } from '../../text/numbers.ts'
import { asText } from '../dump/compression.ts'
import { leavesOut } from '../estimate/answers.ts'
import type { Inputs } from '../inputs.ts'
import type { Answer, Check } from './check.ts'
import { checkDestination } from './destination.ts'
import type { Probe, RunnerFacts } from './probe.ts'
import { NotAsked } from './question.ts'
import { decideSameServer, sameServerId } from './same-server.ts'

/** Leave this much of the runner's disk alone. */
const reserve = 16 * 1024 * 1024

const relation: Probe<string> = {
  id: 'relation-of-servers',
  needs: ['source', 'target'],
  async run({ source, target, inputs: { ifTargetNotEmpty, sameServer } }, context) {
    if (!source || !target) throw new NotAsked('it takes both servers')
    const { databases } = source
    const sides = { source: source.connection, target: target.connection, databases }
    return await decideSameServer({ ...sides, writes: true, ifTargetNotEmpty, sameServer }, context)
  },
}

const bothServers: Check = {
  id: sameServerId,
  severity: 'blocker',
  why: 'a database that is migrated into itself would be dropped before it is read',
  needs: ['source', 'target'],
  probes: [relation],
  judge: (known) => ({ status: 'passed', message: known.result(relation) }),
}

const destination: Check = {
  id: 'target-destination',
  severity: 'blocker',
  why: 'the database in target is where the account connects first, and whoever wrote it may have meant that the data go there',
  needs: ['source', 'target'],
  judge({ source, inputs, target }): Answer {
    if (inputs.command === 'rehearse')
      return { status: 'passed', message: 'a rehearsal goes into databases of its own' }
    checkDestination(target.named ? inputs.target?.dbname : undefined, source.databases)
    return { status: 'passed', message: 'where the data go is said without a contradiction' }
  },
}

const downgrade: Check = {
  id: 'version-downgrade',
  severity: 'warning',
  why: 'what only the newer version knows is left out on the older one, or stops the restore',
  needs: ['source', 'target'],
  judge({ source, target }): Answer {
    if (target.major >= source.version.major)
      return { status: 'passed', message: 'the target is not older than the source' }
    return {
      status: 'failed',
      message: `The target (${target.version}) is older than the source (${source.version.version}): what it does not know is left out or stops the restore`,
      remedy: 'Prefer a cluster of the same major or newer',
    }
  },
}

/**
 * So many times its size on the server a database needs at most, nearly: what TOAST has compressed there is text in a dump, and bytea
 * has two digits for each byte, which gzip and zstd write in a little more than one. Uncompressed a dump of nothing but long texts has been
 * seen at 13 times the database; how large it will be, preflight estimates by a sample.
 */
function roomFor({ method }: Compression): number {
  switch (method) {
    case 'none':
      return asText
    case 'lz4':
      return 2
    default:
      return 1.2
  }
}

/** A compressed dump has been seen at a tenth to a half of the database. */
const disk: Check = {
  id: 'runner-disk',
  severity: 'warning',
  why: "the dump is written to the runner's disk before it is restored",
  needs: ['source'],
  judge({ source, inputs, runner }): Answer {
    const bytes = source.databases.reduce((sum, database) => sum + database.bytes, 0)
    return judgeDisk(bytes, inputs, runner)
  },
}

/** @param bytes of the databases on the server */
export function judgeDisk(
  bytes: number,
  inputs: Pick<Inputs, 'compression' | 'dumpOptions'>,
  { free, dumpDirectory }: Pick<RunnerFacts, 'free' | 'dumpDirectory'>,
): Answer {
  if (free === undefined) throw new NotAsked(`${dumpDirectory} does not say how much is free`)
  if (free < reserve + bytes / 20 && !leavesOut(inputs.dumpOptions)) {
    throw new Failure(
      "The runner's disk is too small for the dump",
      `${formatBytes(free)} are free in ${dumpDirectory}, and the databases hold ${formatBytes(bytes)}`,
      'Free space, or set dump-directory to a larger disk',
      { sqlstate: '53100' },
    )
  }
  const message = `${formatBytes(free)} free for the dump of ${formatBytes(bytes)} of databases`
  const needed = roomFor(inputs.compression) * bytes
  if (free - reserve > needed) return { status: 'passed', message }
  const isText = inputs.compression.method === 'none'
  const more = isText ? ', which may be several times as much without compression' : ''
  return {
    status: 'failed',
    message: `${message}${more}`,
    remedy: `Set dump-directory to a larger disk${isText ? ', or compression to auto' : ''}`,
  }
}

/** What the two sides, the inputs and the runner mean for each other. */
export const together: readonly Check[] = [bothServers, destination, downgrade, disk]
