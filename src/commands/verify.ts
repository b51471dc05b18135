import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { areDifferences, Failure, messageOf } from '../failure.ts'
import { checkDestination } from '../migration/checks/destination.ts'
import { refuseBlockers } from '../migration/checks/note.ts'
import { inspectSource, inspectTarget, type Source } from '../migration/checks/preflight.ts'
import { refuseSameServer } from '../migration/checks/same-server.ts'
import { dumpSchema } from '../migration/dump/programs.ts'
import { getClient } from '../migration/dump/source.ts'
import { readFreezeMark, withoutMark } from '../migration/freeze/mark.ts'
import { required } from '../migration/inputs.ts'
import { autoJobs, autoReaders } from '../migration/jobs.ts'
import { databasesOf, loadDump } from '../migration/kept/load.ts'
import { lossesAmong, refuseUnaccepted } from '../migration/losses.ts'
import { runPhase } from '../migration/phases.ts'
import {
  parseDatabaseProperties,
  readDatabaseProperties,
} from '../migration/restore/database/properties.ts'
import { refuseFailedLogins, requireLogins, tryLogins } from '../migration/roles/logins.ts'
import type { Run } from '../migration/run.ts'
import { acceptedInVerify } from '../migration/verify/accepted.ts'
import { fingerprintDatabase } from '../migration/verify/fingerprint.ts'
import { withLentRights } from '../migration/verify/lend.ts'
import type { SchemaSource } from '../migration/verify/rebuild/rebuild.ts'
import { exportSnapshot } from '../migration/verify/snapshot.ts'
import { readSubstitutes, verifyDatabase } from '../migration/verify/verify-database.ts'
import { withConnection } from '../postgres/connection.ts'
import type { ConnectionParameters } from '../postgres/connection-string.ts'
import { writePasswordFile } from '../postgres/programs/programs.ts'
import type { Loss } from '../report/model.ts'
import type { Command } from './command.ts'

/**
 * Compares two live servers, or a target with what a dump holds. Changes nothing anywhere but, where it is allowed, what the
 * account may read on the target meanwhile.
 */
export const verify: Command = {
  name: 'verify',
  needs: ['target'],
  dump: 'read without source',
  words: {
    did: 'Compared',
    noun: 'Verification',
    ends: 'compared',
    verified: 'Both sides are equal',
  },
  steps,
}

async function steps(run: Run): Promise<void> {
  const { inputs, report } = run
  const named = required(inputs, 'target')
  const target = await runPhase(run, 'preflight', async () => {
    const target = await inspectTarget(named, inputs, run)
    refuseBlockers(run)
    return target
  })
  const { connection } = target
  run.setOutput('target-version', target.version)
  await requireLogins(connection, [], run)
  if (inputs.verify === 'none') {
    throw new Failure(
      'There is nothing to do',
      'command is verify and verify is none',
      'Set verify to data or counts',
    )
  }
  const jobs = inputs.restoreJobs === 'auto' ? autoJobs(run.processors) : inputs.restoreJobs
  const substitutes = await readSubstitutes(connection, run)
  const failures: unknown[] = []
  const { databases, losses } = await sources(run, connection)
  checkDestination(target.named ? named.dbname : undefined, databases)
  try {
    refuseUnaccepted(losses, inputs.allowMissing, 'the source', run)
  } catch (error) {
    // everything else is compared all the same
    failures.push(error)
  }
  for (const compared of databases) {
    const { source, target: name, bytes } = compared
    const record = run.record.database({ source, target: name, bytes })
    try {
      await runPhase(
        run,
        'verify',
        () =>
          compared.open((fingerprint, schema) =>
            withLentRights(connection, name, run, async () =>
              verifyDatabase(
                {
                  connection,
                  name,
                  fingerprint,
                  schema,
                  expected: [
                    ...losses.filter(({ database }) => database === source),
                    ...(await acceptedInVerify({ connection, name }, schema, run)),
                  ],
                  substitutes,
                  jobs,
                  mayAlter: 'if unused',
                  source: inputs.source
                    ? { connection: inputs.source, database: source }
                    : undefined,
                },
                record,
                run,
              ),
            ),
          ),
        source,
      )
    } catch (error) {
      if (run.signal.aborted) throw error
      failures.push(error)
      run.log.warning(messageOf(error))
    }
  }
  const names = databases.map(({ target }) => target)
  await tryLogins(connection, names, run)
  try {
    refuseFailedLogins(run)
  } catch (error) {
    failures.push(error)
  }
  run.record.verified(
    failures.length === 0 &&
      report.databases.length > 0 &&
      report.databases.every(({ verified }) => verified),
  )
  if (failures.length === 1) throw failures[0]
  if (failures.length > 1) {
    throw new Failure(
      `${failures.length} comparisons or logins failed`,
      failures.map(messageOf).join(' | '),
      'The report has each of them',
      { isDifference: areDifferences(failures) },
    )
  }
}

interface VerifySource {
  source: string
  target: string
  bytes: number
  /** Hands on what is known of the source; a live one is held at its moment meanwhile. */
  open(work: (fingerprint: unknown, schema: SchemaSource) => Promise<void>): Promise<void>
}

/** What the target is compared with: the live source where one is given, otherwise the dump. */
async function sources(
  run: Run,
  target: ConnectionParameters,
): Promise<{ databases: VerifySource[]; losses: Loss[] }> {
  const { inputs } = run
  if (inputs.source) {
    const source = await inspectSource(inputs.source, inputs.databases, run)
    refuseBlockers(run)
    run.setOutput('source-version', source.version.version)
    const { ifTargetNotEmpty, sameServer } = inputs
    await refuseSameServer(
      {
        source: source.connection,
        target,
        databases: source.databases,
        writes: false,
        ifTargetNotEmpty,
        sameServer,
      },
      run,
    )
    const compared = source.databases.map(
      (database): VerifySource => ({
        ...database,
        open: (work) => openLive(source, database.source, run, work),
      }),
    )
    return { databases: compared, losses: source.losses }
  }
  const { manifest, directory } = await loadDump(run)
  run.record.source({ version: manifest.source.version, major: manifest.source.major })
  run.setOutput('source-version', manifest.source.version)
  if (manifest.databases.length === 0)
    throw new Failure(
      'There is nothing to compare',
      'The dump holds the roles alone, which migrate and restore compare themselves',
      'Name a dump that holds databases, or run restore again: what is there is compared, and nothing is sent a second time',
    )
  const chosen = databasesOf(manifest.databases, inputs.databases)
  const databases = chosen.map(
    ({ dumped, ...name }): VerifySource => ({
      ...name,
      bytes: dumped.bytes,
      open: (work) =>
        work(dumped.fingerprint, {
          properties: parseDatabaseProperties(dumped.properties),
          archives: async () => dumped.archives.map(({ path }) => join(directory, path)),
        }),
    }),
  )
  return { databases, losses: lossesAmong(manifest.losses, chosen, inputs.databases) }
}

/** Takes the fingerprint of a live source, and its schema where definitions are printed differently: of one moment. */
async function openLive(
  source: Source,
  database: string,
  run: Run,
  work: (fingerprint: unknown, schema: SchemaSource) => Promise<void>,
): Promise<void> {
  const { connection, version } = source
  const { inputs } = run
  const jobs = inputs.dumpJobs === 'auto' ? autoReaders(run.processors) : inputs.dumpJobs
  const snapshot = await exportSnapshot(connection, database, run.signal)
  const directory = join(run.temporaryDirectory, `schema-${randomUUID()}`)
  try {
    const place = { database, readOnly: true, role: 'source', signal: run.signal } as const
    const { properties, extra } = await withConnection(connection, place, async (client) => ({
      properties: await readDatabaseProperties(client),
      extra: withoutMark(await readFreezeMark(client)),
    }))
    const fingerprint = await fingerprintDatabase(
      { connection, database, snapshot, level: inputs.verify, jobs },
      run,
    )
    const archives = async () => {
      const client = await getClient(version, run)
      const passwordFile = await writePasswordFile(run.temporaryDirectory, 'source', connection)
      const logFile = join(run.reportDirectory, `pg_dump-schema-${randomUUID()}.log`)
      const { encoding } = properties
      await dumpSchema(
        { connection, client, passwordFile, number: version.number },
        { database, directory, encoding, snapshot: snapshot.id ?? undefined, extra, logFile },
        run,
      )
      return [directory]
    }
    await work(fingerprint, { properties, archives })
  } finally {
    await snapshot.close()
    await rm(directory, { recursive: true, force: true })
  }
}
