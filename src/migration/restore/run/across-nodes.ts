import type pg from 'pg'
import { splitStatements } from '../../../postgres/archive/statement.ts'
import { mayPass, sqlstateOf } from '../../../postgres/errors.ts'
import type { RestorePlan } from '../plan/plan.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'

/** PolarDB's setting that lets a b-tree be built by all nodes of the cluster (docs/polardb.md, "Indexes built by all nodes"). */
export const acrossSetting = 'polar_px_enable_btbuild'

const name = '(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_]*)'

/** A b-tree on nothing but columns, as pg_get_indexdef prints it: PolarDB builds no other one so. */
const plain = new RegExp(
  `^(CREATE INDEX (?<index>${name}) ON (?<schema>${name})\\.${name} USING btree \\(${name}(?:, ${name})*\\));$`,
)

/**
 * The statements that build an index by all nodes and then take the option back, which would stay with the index otherwise.
 *
 * @returns null where the server has nothing of the kind, or not for such an index
 */
export function acrossNodes({ archive, entry, decision }: PlannedEntry, plan: RestorePlan) {
  if (!plan.facts.settings.has(acrossSetting) || entry.desc !== 'INDEX') return null
  if (decision.kind !== 'restore' || entry.bytes || archive.searchPath === null) return null
  const [statement = '', ...rest] = splitStatements(entry.definition, archive.standardStrings)
  const found = plain.exec(statement)
  if (!found?.groups) return null
  const { index, schema } = found.groups
  return [
    `${found[1]} WITH (px_build = on);`,
    `ALTER INDEX ${schema}.${index} RESET (px_build);`,
    ...rest,
  ].join('\n')
}

/**
 * Builds an index by all nodes where whoever runs the cluster has switched that on.
 *
 * @param sql what acrossNodes() says, complete with what must be set before it
 * @returns false when it is switched off, or the server refuses: nothing has been done then
 * @throws what may pass: the connection is lost, say
 */
export async function builtAcrossNodes(client: pg.Client, sql: string): Promise<boolean> {
  const { rows } = await client.query<{ value: string | null }>(
    `SELECT pg_catalog.current_setting('${acrossSetting}', true) AS value`,
  )
  if (rows[0]?.value !== 'on') return false
  try {
    await client.query(sql)
    return true
  } catch (error) {
    if (sqlstateOf(error) === undefined || mayPass(error)) throw error
    return false
  }
}
