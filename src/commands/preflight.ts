import { assess } from '../migration/checks/assess.ts'
import { estimateAhead } from '../migration/checks/estimate-ahead.ts'
import { notReady } from '../migration/checks/note.ts'
import { planAhead } from '../migration/checks/plan-ahead.ts'
import { databasesJson } from '../migration/estimate/estimate.ts'
import { expectNoWriters } from '../migration/freeze/writers.ts'
import { runPhase } from '../migration/phases.ts'
import type { Run } from '../migration/run.ts'
import { keepingSessions } from '../postgres/kept-sessions.ts'
import { isReady } from '../report/model.ts'
import type { Command } from './command.ts'

/** Everything that can be known before a migration, of the sides that are given. Changes nothing that lasts. */
export const preflight: Command = {
  name: 'preflight',
  needs: [],
  needsOneOf: ['source', 'target'],
  dump: 'none',
  words: { did: 'Checked', noun: 'Preflight', ends: 'checked' },
  steps,
}

async function steps(run: Run): Promise<void> {
  await keepingSessions(run.signal, () => look(run))
}

async function look(run: Run): Promise<void> {
  const assessed = await runPhase(run, 'preflight', () => assess(['source', 'target'], run))
  const { source } = assessed
  const sayWriters = source && (await expectNoWriters(source, run))
  const estimate = await estimateAhead(assessed, await planAhead(assessed, run), run)
  await sayWriters?.()
  for (const database of source?.databases ?? []) run.record.database(database)
  const ready = isReady(run.report)
  run.setOutput('databases-json', databasesJson(source, estimate))
  run.setOutput('ready', ready)
  if (!ready) throw notReady(run.report)
}
