import { Failure, messageOf } from '../failure.ts'
import { required } from '../migration/inputs.ts'
import { databasesOf, loadDump } from '../migration/load-dump.ts'
import { runPhase } from '../migration/phases.ts'
import { inspectSource, inspectTarget } from '../migration/preflight.ts'
import { refuseSameServer } from '../migration/same-server.ts'
import type { Session } from '../migration/session.ts'
import { resultOf } from '../migration/source-side.ts'
import { fingerprintDatabase } from '../migration/verify/fingerprint.ts'
import { readSubstitutes, verifyDatabase } from '../migration/verify-phase.ts'

/** Compares two live servers, or a target with what a dump holds. Changes nothing anywhere. */
export async function verify(session: Session): Promise<void> {
  const { inputs, report } = session
  const connection = required(inputs, 'target')
  const target = await runPhase(session, 'preflight', () =>
    inspectTarget(connection, inputs, session),
  )
  session.setOutput('target-version', target.version)
  if (inputs.verify === 'none') {
    throw new Failure(
      'There is nothing to do',
      'command is verify and verify is none',
      'Set verify to data or counts',
    )
  }
  const jobs =
    inputs.restoreJobs === 'auto'
      ? Math.min(8, Math.max(2, session.processors))
      : inputs.restoreJobs
  const substitutes = await readSubstitutes(connection, session)
  const failures: unknown[] = []
  for (const { source, target: name, bytes, fingerprint } of await sources(session)) {
    const result = resultOf(session, { source, target: name, bytes })
    try {
      await runPhase(
        session,
        'verify',
        async () =>
          verifyDatabase(
            {
              connection,
              name,
              fingerprint: await fingerprint(),
              announced: [],
              substitutes,
              jobs,
              mayAlter: 'if unused',
              source: inputs.source ? { connection: inputs.source, database: source } : undefined,
            },
            result,
            session,
          ),
        source,
      )
    } catch (error) {
      if (session.signal.aborted) throw error
      failures.push(error)
      session.log.warning(messageOf(error))
    }
  }
  report.verified =
    report.databases.length > 0 && report.databases.every(({ verified }) => verified)
  if (failures.length === 1) throw failures[0]
  if (failures.length > 1) {
    throw new Failure(
      `${failures.length} databases could not be verified`,
      failures.map(messageOf).join(' | '),
      'The report has each of them',
    )
  }
}

interface VerifySource {
  source: string
  target: string
  bytes: number
  fingerprint: () => Promise<unknown>
}

/** What the target is compared with: the live source where one is given, otherwise the dump. */
async function sources(session: Session): Promise<VerifySource[]> {
  const { inputs, report } = session
  if (inputs.source) {
    const { connection, databases, version } = await inspectSource(
      inputs.source,
      inputs.databases,
      session,
    )
    session.setOutput('source-version', version.version)
    const { ifTargetNotEmpty, sameServer } = inputs
    const target = required(inputs, 'target')
    await refuseSameServer(
      { source: connection, target, databases, writes: false, ifTargetNotEmpty, sameServer },
      session,
    )
    const jobs =
      inputs.dumpJobs === 'auto' ? Math.max(1, Math.floor(session.processors / 2)) : inputs.dumpJobs
    return databases.map((database) => ({
      ...database,
      fingerprint: () =>
        fingerprintDatabase(
          { connection, database: database.source, level: inputs.verify, jobs },
          session,
        ),
    }))
  }
  const { manifest } = await loadDump(session)
  report.source = { version: manifest.source.version, major: manifest.source.major }
  session.setOutput('source-version', manifest.source.version)
  return databasesOf(manifest.databases, inputs.databases).map(({ dumped, ...name }) => ({
    ...name,
    bytes: dumped.bytes,
    fingerprint: async () => dumped.fingerprint,
  }))
}
