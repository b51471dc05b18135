import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { ask } from '../../src/migration/checks/ask.ts'
import type { Check } from '../../src/migration/checks/check.ts'
import { judge } from '../../src/migration/checks/judge.ts'
import { inspectSource, inspectTarget } from '../../src/migration/checks/preflight.ts'
import { type Inputs, parseInputs } from '../../src/migration/inputs.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import type { CheckResult, Severity } from '../../src/report/model.ts'
import { newContext } from './context.ts'
import { hasServer, type Major, type ServerOptions, TestServer } from './server.ts'

type Side = 'source' | 'target'

/** Statements for a server, run by its superuser in the scenario's database; one string is one transaction. */
type Sql = string | string[]

/** A server that a check finds fault with, and how it is mended. */
export interface Scenario {
  /** What is the matter, for the test's title. */
  name: string
  check: Check
  /** Before anything: roles and objects that are no fault. `:database` in any SQL here is the scenario's database, quoted. */
  prepare?: Partial<Record<Side, Sql>>
  /** What trips the check; it passes before. */
  trip: Partial<Record<Side, Sql>>
  /** What it says then. */
  expected?: { severity?: Severity; objects?: unknown[]; message?: RegExp; remedy?: RegExp }
  /**
   * What mends it: the lines to paste that the check gives (SQL on the side given, or inputs of the workflow), or SQL; after it
   * the check passes. Undefined where neither does.
   */
  remedy?: { paste: Side | 'workflow' } | Partial<Record<Side, Sql>>
  /** Undoes what outlives the database: roles, settings of the server. */
  clean?: Partial<Record<Side, Sql>>
  /** Who asks, by default the superuser; a role of that name with the password `p`, which `prepare` makes. */
  account?: Partial<Record<Side, string>>
  inputs?: Record<string, string>
  /** Whether it can be had on servers of these majors; by default on all. */
  on?: (majors: { source: Major; target: Major }) => boolean
}

interface Pair {
  source?: Major
  target?: Major
  /** Settings and the like for both servers. */
  options?: ServerOptions
}

/**
 * Tests of checks: each scenario has a database of its own on the servers of a pair. The check passes, is tripped, fails as
 * expected, is mended, and passes.
 *
 * @param pairs the servers; a side that is left out is not given. The lowest and the highest major that the checks concern
 */
export function describeScenarios(pairs: readonly Pair[], scenarios: readonly Scenario[]): void {
  for (const pair of pairs) {
    const sides = (['source', 'target'] as const).filter((side) => pair[side] !== undefined)
    const title = sides.map((side) => `${side} ${pair[side]}`).join(', ')
    const majors = { source: pair.source ?? 0, target: pair.target ?? 0 } as Record<Side, Major>
    const there = sides.every((side) => hasServer(majors[side]))
    ;(there ? describe : describe.skip)(title, () => {
      const servers = new Map<Side, TestServer>()
      beforeAll(async () => {
        await Promise.all(
          sides.map(async (side) =>
            servers.set(side, await TestServer.start(majors[side], pair.options)),
          ),
        )
      })
      afterAll(async () => {
        await Promise.all([...servers.values()].map((server) => server.stop()))
      })
      const possible = scenarios.filter(({ on }) => on === undefined || on(majors))
      for (const [index, scenario] of possible.entries()) {
        test(`${scenario.check.id}: ${scenario.name}`, () =>
          play(scenario, `scenario ${index}`, servers))
      }
    })
  }
}

async function play(
  scenario: Scenario,
  database: string,
  servers: ReadonlyMap<Side, TestServer>,
): Promise<void> {
  const run = async (sql: Partial<Record<Side, Sql>> = {}, where = database) => {
    for (const [side, server] of servers) {
      for (const text of [sql[side] ?? []].flat()) {
        await server.sql(text.replaceAll(':database', `"${database}"`), where)
      }
    }
  }
  const answer = (pasted: Record<string, string> = {}) =>
    answerOf(scenario.check, servers, database, {
      ...scenario,
      inputs: { ...scenario.inputs, ...pasted },
    })
  for (const server of servers.values()) await server.sql(`CREATE DATABASE "${database}"`)
  try {
    await run(scenario.prepare)
    expect(await answer()).toMatchObject({ status: 'passed' })
    await run(scenario.trip)
    const failed = await answer()
    const { message, remedy, ...exact } = scenario.expected ?? {}
    expect(failed).toMatchObject({
      ...{ id: scenario.check.id, status: 'failed', severity: scenario.check.severity },
      ...exact,
      message: expect.stringMatching(message ?? /./),
      remedy: expect.stringMatching(remedy ?? /./),
    })
    if (!scenario.remedy) return
    const mended = 'paste' in scenario.remedy ? scenario.remedy.paste : undefined
    let pasted: Record<string, string> = {}
    if (!('paste' in scenario.remedy)) await run(scenario.remedy)
    else if (mended === 'workflow') {
      const [, name = '', value = ''] = /^([a-z-]+): (.*)$/.exec(failed?.paste ?? '') ?? []
      pasted = { [name]: value }
    } else if (mended) {
      // a line is a statement, and some of them allow no other in their transaction
      await run({ [mended]: (failed?.paste ?? 'nothing to paste').split('\n') })
    }
    expect(await answer(pasted)).toMatchObject({ status: 'passed' })
  } finally {
    for (const server of servers.values()) {
      await server.sql(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}'`,
      )
      await server.sql(`ALTER DATABASE "${database}" IS_TEMPLATE false`)
      await server.sql(`DROP DATABASE "${database}"`)
    }
    await run(scenario.clean, 'postgres')
  }
}

/** What a check says of a database of real servers, as a preflight would ask. */
export async function answerOf(
  check: Check,
  servers: ReadonlyMap<Side, TestServer>,
  database: string,
  who: Pick<Scenario, 'account' | 'inputs'> = {},
): Promise<CheckResult | undefined> {
  return (await answersOf([check], servers, database, who))[0]
}

/** What checks say of a database of real servers, as a preflight would ask. */
export async function answersOf(
  checks: readonly Check[],
  servers: ReadonlyMap<Side, TestServer>,
  database: string,
  { account, inputs: more }: Pick<Scenario, 'account' | 'inputs'> = {},
): Promise<CheckResult[]> {
  const context = newContext('preflight', { pauses: [] })
  const uri = (side: Side) => {
    const user = account?.[side]
    return user === undefined
      ? servers.get(side)?.uri(database)
      : servers.get(side)?.uri(database, user, 'p')
  }
  const texts: Record<string, string | undefined> = {
    ...{ source: uri('source'), target: uri('target'), databases: `"${database}"` },
    ...more,
  }
  const inputs: Inputs = parseInputs(
    (name) => texts[name] ?? '',
    [{ name: texts.command ?? 'preflight', needs: [], dump: 'none' }],
  )
  const connection = (side: Side) => parseConnectionString(uri(side) ?? '')
  const source =
    servers.has('source') && (await inspectSource(connection('source'), inputs.databases, context))
  const target =
    servers.has('target') && (await inspectTarget(connection('target'), inputs, context))
  const sides = { ...(source ? { source } : {}), ...(target ? { target } : {}) }
  const runner = {
    ...{ dumpDirectory: '/', free: 2 ** 40, processors: 2, canUpload: false, environment: {} },
  }
  const known = await ask({ ...sides, inputs, runner }, checks, context)
  const before = context.report.checks.length
  judge(known, checks, [...servers.keys()], context)
  return context.report.checks.slice(before)
}
