import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import type { Report } from '../../src/report/model.ts'
import { expectPublished } from './report-schema.ts'
import { type ActionOptions, type ActionResult, runAction } from './runner.ts'
import type { TestServer } from './server.ts'

const root = join(import.meta.dirname, '..', '..')
/** The bundles, or with RUN_FROM=src the source itself, which Node runs as it is: it may be ahead of the bundles. */
const [mainBundle, postBundle] = (['main', 'post'] as const).map((name) =>
  process.env.RUN_FROM === 'src'
    ? join(root, 'src', `${name}.ts`)
    : join(root, 'dist', name, 'index.js'),
) as [string, string]

export { mainBundle, postBundle }
export const metadata = join(root, 'action.yml')

/** What an account without superuser's powers cannot give the roles of scripts/demo-source.sql, as `allow-missing` says it. */
export const demoLosses = 'ROLE auditor BYPASSRLS\nROLE replicator_user REPLICATION'

/**
 * SQL of the demo's source with a twentieth of its rows, 2,000 customers: for all that does not need a migration to last a
 * while.
 */
export function smallShop(): string {
  const whole = readFileSync(join(root, 'scripts', 'demo-source.sql'), 'utf8')
  const small = whole
    .replace(/\b(4|18|15)0000\b/g, (rows) => `${Number(rows) / 20}`)
    .replace('7 minutes', '140 minutes') // the same years, so that every partition has some
  if (!small.includes('generate_series(1, 2000)')) throw new Error('the demo has other numbers')
  return small
}

/** Where a server is, for the inputs: its URI without the password, and the password. */
export interface Endpoint {
  uri(database?: string): string
  password: string
}

/** The inputs for a migration between two servers. */
export function between(
  source: Endpoint,
  target: Endpoint,
  database: string,
  more: Record<string, string> = {},
): Record<string, string> {
  return {
    source: withoutPassword(source.uri(database)),
    'source-password': source.password,
    target: withoutPassword(target.uri('postgres')),
    'target-password': target.password,
    ...more,
  }
}

export function withoutPassword(uri: string): string {
  return uri.replace(/^(postgresql:\/\/[^:/@]+):[^@]*@/, '$1@')
}

/** Runs main, then post as the runner would, and reads the report. */
export async function runJob(
  options: ActionOptions,
): Promise<ActionResult & { report: Report; html: string; post: ActionResult }> {
  const result = await runAction(mainBundle, { metadata, ...options })
  const { report, html } = readReport(result)
  const post = await runAction(postBundle, {
    metadata,
    ...options,
    state: result.state,
    directory: result.directory,
  })
  return { ...result, report, html, post }
}

export function readReport(result: ActionResult): { report: Report; html: string } {
  const path = result.outputs.report
  if (!path || !existsSync(path)) throw new Error(`there is no report; the log was:\n${result.log}`)
  const text = readFileSync(path, 'utf8')
  expectPublished(text)
  return {
    report: JSON.parse(text) as Report,
    html: readFileSync(join(path, '..', 'report.html'), 'utf8'),
  }
}

/** Row counts and contents of every user table, read by the test itself: what no report has to be trusted for. */
export async function readEverything(
  client: pg.Client,
): Promise<Record<string, { rows: number; hash: string }>> {
  await client.query(`SET timezone = 'UTC'; SET extra_float_digits = 3`)
  const { rows: tables } = await client.query<{ name: string }>(`
    SELECT format('%I.%I', n.nspname, c.relname) AS name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY 1`)
  const result: Record<string, { rows: number; hash: string }> = {}
  for (const { name } of tables) {
    const { rows } = await client.query<{ rows: number; hash: string }>(`
      SELECT count(*)::int AS rows, COALESCE(md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE "C")), '') AS hash
        FROM ${name} AS t`)
    if (rows[0]) result[name] = rows[0]
  }
  return result
}

/** Whether a role can log in with a password. */
export async function canLogIn(
  server: { connect: TestServer['connect'] },
  user: string,
  password: string,
): Promise<boolean> {
  try {
    const client = await server.connect('postgres', { user, password })
    await client.end()
    return true
  } catch {
    return false
  }
}
