import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { temporaryRole } from '../../src/migration/restore/owners/login-role.ts'
import {
  between,
  mainBundle,
  metadata,
  postBundle,
  readEverything,
  readReport,
} from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { type ActionResult, runAction, runnerCommands, startAction } from '../support/runner.ts'
import { TestServer } from '../support/server.ts'

/** The action from source, which tries for a second where users' runs try for minutes. */
const hastyMain = join(import.meta.dirname, '..', 'support', 'hasty-main.ts')

let source: TestServer
let target: PlainTarget

beforeAll(async () => {
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
  await source.sql('CREATE DATABASE shop')
  // its rows are more than what is on its way between two programs
  await source.sql(
    `CREATE TABLE blob (id int PRIMARY KEY, data text);
     ALTER TABLE blob ALTER COLUMN data SET STORAGE EXTERNAL;
     INSERT INTO blob SELECT i, repeat(md5(i::text), 1000) FROM generate_series(1, 1000) AS i`,
    'shop',
  )
})
afterAll(() => Promise.all([source?.stop(), target?.stop()]))

/** The inputs of a migration in which one side is behind a proxy. */
function inputs(side: 'source' | 'target', proxy: TcpProxy): Record<string, string> {
  const plain = between(source, target, 'shop', {
    'upload-dump': 'false',
    'if-target-not-empty': 'replace',
  })
  return { ...plain, [side]: through(proxy, plain[side] ?? '') }
}

/** What a run that is over has left on the runner: programs, and files beside its report. */
async function leftovers(run: ActionResult): Promise<string[]> {
  const { state, directory } = run
  await runAction(postBundle, { metadata, state, directory })
  return [
    ...run.orphans().map(({ command }) => command),
    ...readdirSync(run.temp).filter((name) => !name.startsWith('polardb-report-')),
  ]
}

async function standing(server: TestServer): Promise<unknown[]> {
  const { rows } = await server.sql(
    `SELECT 'role ' || rolname AS name FROM pg_roles
     UNION ALL SELECT 'database ' || oid || ' ' || datname FROM pg_database ORDER BY 1`,
  )
  return rows
}

describe('the source crashes while rows are dumped', () => {
  /** Migrates, and lets the source crash while pg_dump copies; slowly, so that this is in the middle. */
  async function crash(bundle: string, how: (proxy: TcpProxy) => Promise<void>) {
    const proxy = await TcpProxy.start(source.port)
    const copies = proxy.when(/COPY public\.blob .*TO stdout/, 'slow')
    const running = startAction(bundle, { metadata, inputs: inputs('source', proxy) })
    try {
      await Promise.race([copies, running.result.then(({ log }) => Promise.reject(new Error(log)))])
      await how(proxy)
      return await running.result
    } finally {
      running.kill('SIGKILL')
      await proxy.stop()
    }
  }

  test('and comes back: the dump is made again, and everything arrives', async () => {
    const run = await crash(mainBundle, async () => {
      await source.down('immediate')
      await source.up()
    })
    const { report } = readReport(run)
    expect(report.error).toBeNull()
    expect({ code: run.code, verified: report.verified }).toEqual({ code: 0, verified: true })
    expect(report.warnings.join('\n')).toContain('its dump is made again from the beginning')
    expect(report.sourceStill).toBe(true)
    const [here, there] = [await source.connect('shop'), await target.backend.connect('shop')]
    expect(await readEverything(there)).toEqual(await readEverything(here))
    await Promise.all([here.end(), there.end()])
    expect(await leftovers(run)).toEqual([])
    run.cleanUp()
  })

  test('and stays down: one line says what, why and what to do, and nothing is left', async () => {
    const before = await standing(target.backend)
    try {
      // from the first try on nobody listens any more
      const run = await crash(hastyMain, async (proxy) => {
        await proxy.stop()
        await source.down('immediate')
      })
      expect(run.code).toBe(1)
      const { report } = readReport(run)
      expect({ status: report.status, phase: run.outputs['failed-phase'] }).toEqual({
        status: 'failed',
        phase: 'dump',
      })
      expect(report.verified).toBe(false)
      // the dump waits for the source as long as it may; whether it was written to is asked once more, without waiting again
      const waits = [
        ...run.log.matchAll(/Cannot connect to the source.*trying again in ([\d.]+) s/g),
      ]
      expect(waits.map(([, seconds]) => Number(seconds))).toEqual([0.1, 0.2, 0.4])
      expect(report.warnings.join()).toContain('could not be found out: Cannot connect')
      const errors = runnerCommands(run.log).filter(({ command }) => command === 'error')
      expect(errors.map(({ message }) => message)).toEqual([
        expect.stringMatching(
          /^Cannot connect to the source\. Nothing accepts connections at 127\.0\.0\.1:\d+ \(connection refused\)\. Check host and port/,
        ),
      ])
      expect(await leftovers(run)).toEqual([])
      expect(await standing(target.backend)).toEqual(before)
      run.cleanUp()
    } finally {
      await source.up()
    }
  })
})

test('a job that is cancelled while the target has fallen silent ends before it is killed, with a report of what could not be given back', async () => {
  const proxy = await TcpProxy.start(target.port)
  const loads = proxy.when(/COPY public\.blob .*FROM stdin/, 'stall')
  const running = startAction(mainBundle, { metadata, inputs: inputs('target', proxy) })
  try {
    await Promise.race([loads, running.result.then(({ log }) => Promise.reject(new Error(log)))])
    proxy.disturb('stall')
    proxy.deaf = true
    running.cancel()
    const run = await running.result
    // none of the runner's signals has ended it
    expect({ code: run.code, signal: run.signal }).toEqual({ code: 1, signal: null })
    const { report, html } = readReport(run)
    expect({ status: report.status, phase: run.outputs['failed-phase'] }).toEqual({
      status: 'cancelled',
      phase: 'restore',
    })
    expect(report.verified).toBe(false)
    expect(report.error?.remedy).toBeTruthy()
    const { rows } = await target.backend.sql(
      `SELECT rolname AS name FROM pg_roles WHERE rolcanlogin AND starts_with(rolname, '${temporaryRole}')`,
    )
    const names = rows.map(({ name }) => String(name))
    expect(names).toHaveLength(1)
    const said = `The temporary role ${names[0]}, if it was made, can still log in on the target`
    expect(report.warnings).toEqual(
      expect.arrayContaining([
        expect.stringMatching(`^${said}.*end that by hand, or let the next run do it`),
      ]),
    )
    for (const shown of [html, run.summary, run.log]) {
      expect(shown).toContain(said)
      expect(shown).toMatch(/Migration cancelled in phase restore/)
    }
    expect(await leftovers(run)).toEqual([])
    run.cleanUp()
  } finally {
    running.kill('SIGKILL')
    await proxy.stop()
  }
})
