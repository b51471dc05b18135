import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { clientEnvironment, provideClient } from '../../postgres/programs/clients/provide.ts'
import { type ClientPrograms, writePasswordFile } from '../../postgres/programs/programs.ts'
import type { Version } from '../../postgres/version.ts'
import { checkClientLogin } from '../checks/client-login.ts'
import type { Source } from '../checks/preflight.ts'
import { runPhase } from '../phases.ts'
import type { Run } from '../run.ts'
import type { DumpSource } from './programs.ts'

/** Finds or installs the client programs for a source and notes them in the report. */
export async function getClient(source: Version, run: Run): Promise<ClientPrograms> {
  const { inputs } = run
  const client = await runPhase(run, 'client', () =>
    provideClient(
      {
        source,
        ...(inputs.clientVersion ? { version: inputs.clientVersion } : {}),
        ...(inputs.clientPath ? { path: inputs.clientPath } : {}),
        ...(inputs.clientMirror ? { mirror: inputs.clientMirror } : {}),
      },
      run,
      run.toolCache,
      clientEnvironment(run.environment),
    ),
  )
  for (const warning of client.warnings) run.warn(warning)
  const { version, directory, origin, bytes, seconds } = client
  run.record.client({
    version,
    directory,
    origin,
    ...(bytes === undefined ? {} : { bytes }),
    ...(seconds === undefined ? {} : { seconds }),
  })
  run.setOutput('client-version', version)
  run.log.info(`Client programs of PostgreSQL ${version} in ${directory} (${origin})`)
  return client
}

/** What is known of the target where the same job restores. */
export interface KnownTarget extends Version {
  connection: ConnectionParameters
}

/**
 * Finds or installs the client programs and makes sure that they can log in to both sides.
 *
 * @throws Failure; Cancelled
 */
export async function openDumpSource(
  source: Source,
  run: Run,
  target?: KnownTarget,
): Promise<DumpSource> {
  const client = await getClient(source.version, run)
  const { temporaryDirectory } = run
  const { connection } = source
  const passwordFile = await writePasswordFile(temporaryDirectory, 'source', connection)
  await checkClientLogin(client, connection, 'source', passwordFile, run)
  if (target) {
    const file = await writePasswordFile(temporaryDirectory, 'target', target.connection)
    await checkClientLogin(client, target.connection, 'target', file, run)
  }
  return { connection, client, passwordFile, number: source.version.number }
}
