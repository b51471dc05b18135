import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { assess } from '../migration/checks/assess.ts'
import { checkClientLogin } from '../migration/checks/client-login.ts'
import { checkDestination } from '../migration/checks/destination.ts'
import { refuseBlockers } from '../migration/checks/note.ts'
import { getClient } from '../migration/dump/source.ts'
import { tellCutover } from '../migration/freeze/unfreeze.ts'
import { goOnAfterRestore } from '../migration/go-on.ts'
import { required } from '../migration/inputs.ts'
import { databasesOf, loadDump, writerOf } from '../migration/kept/load.ts'
import { type Manifest, rolesFile } from '../migration/kept/manifest.ts'
import { runPhase } from '../migration/phases.ts'
import { warnOfOthers, whileMigrating } from '../migration/rehearsal/presence.ts'
import { restoreDatabases, restoreTheRoles } from '../migration/restore/everything.ts'
import { planEverything } from '../migration/restore/plan-everything.ts'
import type { Run } from '../migration/run.ts'
import type { ConnectionParameters } from '../postgres/connection-string.ts'
import { type ClientPrograms, writePasswordFile } from '../postgres/programs/programs.ts'
import type { Command } from './command.ts'

/** The target's half: from an artifact or a directory, verified by the dump's own fingerprint. */
export const restore: Command = {
  name: 'restore',
  needs: ['target'],
  dump: 'read',
  words: { did: 'Restored', noun: 'Restore', ends: 'compared' },
  steps,
}

async function steps(run: Run): Promise<void> {
  const { inputs } = run
  const named = required(inputs, 'target')
  const target = await runPhase(run, 'preflight', async () => {
    const { target } = await assess(['target'], run)
    refuseBlockers(run)
    if (!target) throw new TypeError('the target was not reached, and no check says so')
    return target
  })
  const { manifest, directory, roles, proven } = await loadDump(run)
  run.record.source({ version: manifest.source.version, major: manifest.source.major })
  run.setOutput('source-version', manifest.source.version)
  const databases = databasesOf(manifest.databases, inputs.databases)
  checkDestination(target.named ? named.dbname : undefined, databases)
  const dumped = databases.map(({ source }) => source)
  await tellCutover(inputs.source, dumped, manifest.id, run)
  const { connection } = target
  // roles take no client programs
  const client = databases.length === 0 ? null : await clientFor(manifest, connection, run)
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
  const planned = await runPhase(run, 'schema', () => planEverything(dump, connection, run))
  run.goOn = goOnAfterRestore(run, planned.swaps.size > 0)
  if (databases.length > 0) await warnOfOthers(target, run)
  await whileMigrating(connection, run, async () => {
    await restoreTheRoles(planned, run)
    await restoreDatabases(planned, undefined, run)
  })
}

/** Client programs that can log in to the target: a dump is read by the major that wrote it. */
async function clientFor(
  manifest: Manifest,
  target: ConnectionParameters,
  run: Run,
): Promise<ClientPrograms> {
  const client = await getClient(writerOf(manifest), run)
  const passwordFile = await writePasswordFile(run.temporaryDirectory, 'target', target)
  await checkClientLogin(client, target, 'target', passwordFile, run)
  return client
}
