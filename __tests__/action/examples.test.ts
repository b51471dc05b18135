import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { databasesInput } from '../../src/migration/database-names.ts'
import { findAct, type WorkflowResult, withoutAct } from '../support/act.ts'
import { canLogIn, withoutPassword } from '../support/migration.ts'
import { everything, MigrationWorld } from '../support/migration-world.ts'

/** The examples, unchanged, from a repository's own workflows to what is in the databases afterwards. */
const act = await findAct()
const withAct = act ? describe : describe.skip

withAct(`the example${act ? '' : withoutAct}`, () => {
  let world: MigrationWorld

  beforeAll(async () => {
    world = await MigrationWorld.start(act ?? '')
  })
  beforeEach(() => world.reset())
  afterAll(() => world?.stop())

  const run = (file: string, inputs: Record<string, string>): Promise<WorkflowResult> =>
    world.run(file, { inputs: { environment: 'production', ...inputs } })

  test('migrate.yml migrates all databases and roles', async () => {
    const done = await run('examples/migrate.yml', {
      ...world.servers(),
      databases: 'all',
      runner: 'polardb-vpc',
      'if-target-not-empty': 'fail',
    })
    expect({ ...done, log: done.code === 0 ? '' : done.log }).toEqual({
      code: 0,
      log: '',
      jobs: { migrate: 'succeeded' },
    })
    expect(done.log).toMatch(/\| verified=true after [\d.]+ seconds/)
    for (const database of ['shop', 'ledger']) await world.expectArrived(database)
    expect(await canLogIn(world.target, 'teller', "teller's own")).toBe(true)
    expect(world.repository.leftovers()).toEqual([])
  })

  test('preflight.yml says what is there, and fails where something is in the way', async () => {
    const inputs = { ...world.servers(), databases: 'all', runner: 'polardb-vpc' }
    await world.target.backend.sql('CREATE DATABASE occupied OWNER gctest')
    await world.target.backend.sql('CREATE TABLE here AS SELECT 1 AS a', 'occupied')
    const before = await everything(world.target.backend, 'occupied')
    const blocked = await run('examples/preflight.yml', {
      ...inputs,
      databases: 'shop=occupied',
      'preflight-restore': 'false',
    })
    expect(blocked.jobs).toEqual({ preflight: 'failed' })
    expect(blocked.log).toMatch(/\| ready=false/)
    expect(await everything(world.target.backend, 'occupied')).toEqual(before)

    const ready = await run('examples/preflight.yml', {
      ...inputs,
      databases: 'shop=other,ledger=another',
      'preflight-restore': 'true',
    })
    expect(ready.jobs).toEqual({ preflight: 'succeeded' })
    expect(ready.log).toMatch(/\| ready=true/)
    expect(ready.log).toMatch(/\| \[\{"name":"shop","target":"other","bytes":\d+,"estimate":/)
  })

  test('all-databases.yml migrates each database in a job of its own', async () => {
    const as = { shop: 'shop_own', ledger: 'ledger=own, too' }
    const done = await run('examples/all-databases.yml', {
      ...world.servers(),
      databases: Object.entries(as)
        .map(([source, target]) => databasesInput({ source, target }))
        .join(','),
      'allow-missing': '',
      runner: 'polardb-vpc',
    })
    if (done.code !== 0) throw new Error(done.log)
    expect(Object.values(done.jobs)).toEqual(Array(4).fill('succeeded'))
    for (const [database, target] of Object.entries(as)) {
      expect(done.log).toContain(`| ${database} verified=true`)
      await world.expectArrived(database, target)
    }
  })

  test('rehearsal.yml rehearses by itself, and leaves nothing on the target', async () => {
    const { source: from, target: to } = world.servers()
    const list = async () => {
      const { rows: databases } = await world.target.backend.sql('SELECT datname FROM pg_database')
      const { rows: roles } = await world.target.backend.sql('SELECT rolname FROM pg_roles')
      return [...databases.map(({ datname }) => datname), ...roles.map(({ rolname }) => rolname)]
    }
    const before = await list()
    const done = await world.run('examples/rehearsal.yml', {
      event: 'schedule',
      vars: { REHEARSAL_SOURCE: from, REHEARSAL_TARGET: to, REHEARSAL_RUNNER: 'polardb-vpc' },
    })
    if (done.code !== 0) throw new Error(done.log)
    expect(done.jobs).toEqual({ rehearse: 'succeeded' })
    expect((await list()).sort()).toEqual(before.sort())
  })

  test('notify.yml tells what became of a rehearsal, and that there is no report where there is none', async () => {
    const told: unknown[] = []
    const chat = createServer((request, response) => {
      void json(request).then((body) => {
        told.push(body)
        response.end('ok')
      })
    })
    await new Promise<void>((resolve) => chat.listen(0, '127.0.0.1', resolve))
    const { port } = chat.address() as AddressInfo
    const html_url = 'https://github.com/octocat/shop/actions/runs/7'
    const workflow_run = { id: 7, event: 'schedule', html_url }
    const tell = (conclusion: string) =>
      world.repository.run('examples/notify.yml', {
        event: 'workflow_run',
        payload: { action: 'completed', workflow_run: { ...workflow_run, conclusion } },
        secrets: { CHAT_WEBHOOK: `http://127.0.0.1:${port}/`, GITHUB_TOKEN: 'ghs_nothing' },
      })
    try {
      const report = { verified: true, databases: [{}, {}], cutoverSeconds: 12.7, error: null }
      const left = (artifact: string, startedAt: string, verified: boolean) =>
        `mkdir -p all/${artifact} && printf '%s' '${JSON.stringify({ ...report, startedAt, verified })}' > all/${artifact}/report.json`
      // the first attempt's keeps its name, the second's has another one
      world.repository.program(
        'gh',
        [
          left('polardb-report', '2026-11-29T01:00:00.000Z', false),
          left('polardb-report-rehearse', '2026-11-29T02:00:00.000Z', true),
        ].join(' && '),
      )
      expect((await tell('success')).jobs).toEqual({ tell: 'succeeded' })
      expect((await tell('cancelled')).jobs).toEqual({ tell: 'succeeded' })
      world.repository.program('gh', 'exit 1')
      expect((await tell('failure')).jobs).toEqual({ tell: 'succeeded' })
    } finally {
      chat.close()
    }
    const begin = 'Rehearsal of the migration: '
    expect(told).toEqual([
      { text: `${begin}verified, 2 databases in 12 s ${html_url}` },
      {
        text: `${begin}cancelled, although the report that was found says verified ${html_url}`,
      },
      { text: `${begin}failure, without a report ${html_url}` },
    ])
  })

  test('call.yml migrates by the reusable workflow, and goes on only where that is verified', async () => {
    const { source: from, target: to } = world.servers()
    const done = await world.run('examples/call.yml', {
      vars: { SHOP_SOURCE: from, SHOP_TARGET: to },
    })
    expect(done.log).toMatch(/\| Here your own step follows/)
    expect(Object.values(done.jobs)).toEqual(['succeeded', 'succeeded'])
    await world.expectArrived('shop')
  })

  test('two-runners.yml dumps in one job, restores in another, and gives the source its writes back where that fails', async () => {
    await world.source.sql('CREATE DATABASE till TEMPLATE ledger')
    const inputs = {
      ...world.servers(),
      source: withoutPassword(world.source.uri('till')),
      'source-runner': 'datacenter',
      'target-runner': 'polardb-vpc',
    }
    await world.target.backend.sql('CREATE DATABASE taken OWNER gctest')
    await world.target.backend.sql('CREATE TABLE here AS SELECT 1 AS a', 'taken')
    const failed = await run('examples/two-runners.yml', { ...inputs, databases: 'till=taken' })
    expect(failed.jobs).toEqual({ dump: 'succeeded', restore: 'failed', unfreeze: 'succeeded' })
    const isReadOnly = async () => {
      const { rows } = await world.source.sql('SHOW default_transaction_read_only', 'till')
      return rows[0]
    }
    expect(await isReadOnly()).toEqual({ default_transaction_read_only: 'off' })

    const done = await run('examples/two-runners.yml', { ...inputs, databases: 'till=moved' })
    expect(done.jobs).toEqual({ dump: 'succeeded', restore: 'succeeded' })
    expect(done.log).toMatch(/\| verified=true/)
    await world.expectArrived('till', 'moved')
    // it is the target that takes writes from now on
    expect(await isReadOnly()).toEqual({ default_transaction_read_only: 'on' })
  })
})
