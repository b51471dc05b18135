import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { checkClientLogin } from '../migration/checks/client-login.ts'
import { checkDestination } from '../migration/checks/destination.ts'
import { inspectTarget } from '../migration/checks/preflight.ts'
import { getClient } from '../migration/dump/everything.ts'
import { required } from '../migration/inputs.ts'
import { databasesOf, loadDump, writerOf } from '../migration/kept/load.ts'
import { rolesFile } from '../migration/kept/manifest.ts'
import { runPhase } from '../migration/phases.ts'
import { restoreDatabases, restoreTheRoles } from '../migration/restore/everything.ts'
import { planEverything } from '../migration/restore/plan-everything.ts'
import type { Session } from '../migration/run.ts'
import { writePasswordFile } from '../postgres/programs/programs.ts'
import type { Command } from './command.ts'

/** The target's half: from an artifact or a directory, verified by the dump's own fingerprint. */
export const restore: Command = {
  name: 'restore',
  needs: ['target'],
  dump: 'read',
  words: { did: 'Restored', noun: 'Restore', ends: 'compared' },
  run,
}

async function run(session: Session): Promise<void> {
  const { inputs } = session
  const named = required(inputs, 'target')
  const target = await runPhase(session, 'preflight', () => inspectTarget(named, inputs, session))
  session.setOutput('target-version', target.version)
  const { manifest, directory, roles, proven } = await loadDump(session)
  session.report.source = { version: manifest.source.version, major: manifest.source.major }
  session.setOutput('source-version', manifest.source.version)
  checkDestination(
    target.named ? named.dbname : undefined,
    databasesOf(manifest.databases, inputs.databases),
  )
  // a dump is read by the major that wrote it
  const client = await getClient(writerOf(manifest), session)
  const { connection } = target
  const passwordFile = await writePasswordFile(session.temporaryDirectory, 'target', connection)
  await checkClientLogin(client, connection, 'target', passwordFile, session)
  const dump = {
    ...{ directory, client, proven },
    databases: manifest.databases,
    losses: manifest.losses,
    roles: roles && {
      ...roles,
      script: await readFile(join(directory, rolesFile), 'utf8'),
    },
    isSchema: false,
  }
  const planned = await runPhase(session, 'schema', () => planEverything(dump, connection, session))
  await restoreTheRoles(planned, session)
  await restoreDatabases(planned, undefined, session)
}
