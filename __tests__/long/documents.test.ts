import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { parse, stringify } from 'yaml'
import { findAct, type Workflow, type WorkflowResult, withoutAct } from '../support/act.ts'
import { fence, headings, replaced } from '../support/documents.ts'
import { canLogIn, withoutPassword } from '../support/migration.ts'
import { MigrationWorld } from '../support/migration-world.ts'
import { PolarStandIn } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'

/**
 * The README's workflow, the tutorial and every section of docs/how-to.md followed literally, by act: their YAML is run as it stands
 * there, with local servers in the place of the addresses. Each section of the how-to is here, or says why it is not.
 */
const howTo = 'docs/how-to.md'
const notFollowed: Record<string, string> = {
  'How to …': 'the title',
  'An old source':
    'no server before 10 runs on this machine: integration/old-clients and integration/old-forms have what can be tried',
  'Decrypt and restore by hand': 'integration/by-hand follows it',
}
const followed = [
  'Two runners',
  'All databases, or some under other names',
  'Prove that the applications get in',
  'A private CA',
  'From ApsaraDB RDS, or another provider, without a superuser', // an account without a superuser stands in for the provider's
  'From another PolarDB', // the stand-in for PolarDB is the source
  'Resume a restore that was interrupted',
  'Replace a database that is in use',
  'Roll back',
] as const

/** What stands in the pages, and what a reader puts in its place. */
const there = {
  source: 'postgresql://postgres@10.0.0.5:5432/shop?sslmode=require',
  migrator: 'postgresql://migrator@10.0.0.5:5432/shop?sslmode=require',
  ca: 'postgresql://migrator@db.internal:5432/shop?sslmode=verify-full',
  target:
    'postgresql://migrator@pc-xxxxxxxx.pg.polardb.rds.aliyuncs.com:5432/postgres?sslmode=require',
  run: '1234567890',
}

test('every section of the how-to is followed, or says why not', () => {
  expect([...followed, ...Object.keys(notFollowed)].sort()).toEqual(headings(howTo).sort())
})

const act = await findAct()
const withAct = act ? describe : describe.skip

withAct(`followed literally,${act ? '' : withoutAct}`, () => {
  let world: MigrationWorld

  beforeAll(async () => {
    world = await MigrationWorld.start(act ?? '', { tls: true })
  })
  beforeEach(() => world.reset())
  afterAll(() => world?.stop())

  const source = (user = world.source.superuser, host = '127.0.0.1') =>
    `postgresql://${user}@${host}:${world.source.port}/shop?sslmode=require`
  const target = () => withoutPassword(world.target.uri('postgres'))

  let runs = 9000
  /** Runs a workflow's text. @param run its number, where another run is to find it again */
  const run = (text: string, more: Workflow = {}, run = ++runs): Promise<WorkflowResult> =>
    world.repository.runText('followed.yml', text, {
      ...more,
      secrets: { ...world.secrets(), GITHUB_TOKEN: world.results.githubToken, ...more.secrets },
      env: { ...world.results.environment(String(run)), ...more.env },
    })
  /** The workflow of the README, with what a fragment says in the place of the step's inputs, as the how-to has it. */
  const readme = (inputs: Record<string, string> = {}, permissions = {}): string => {
    const workflow = parse(
      replaced(fence('README.md', 'Use it', 0), {
        [there.source]: source(),
        [there.target]: target(),
      }),
    )
    Object.assign(workflow.jobs.migrate.steps[0].with, inputs)
    return stringify({ ...workflow, permissions })
  }
  const succeeded = ({ code, log, jobs }: WorkflowResult) => {
    expect({ log: code === 0 ? '' : log, jobs }).toEqual({
      log: '',
      jobs: { migrate: 'succeeded' },
    })
  }

  test('README: Use it', async () => {
    succeeded(await run(readme()))
    for (const database of ['shop', 'ledger']) await world.expectArrived(database)
    expect(await canLogIn(world.target, 'teller', "teller's own")).toBe(true)
  })

  describe('how to', () => {
    const name = (heading: (typeof followed)[number]) => heading
    const section = (heading: (typeof followed)[number], index = 0) => fence(howTo, heading, index)

    test(name('Two runners'), async () => {
      const directory = mkdtempSync(join(tmpdir(), 'two-runners-'))
      try {
        const [near, far] = ['near', 'far'].map((side) => join(directory, side)) as [string, string]
        const said = readFileSync(howTo, 'utf8')
        for (const input of ['`upload-dump: false`', '`keep-dump: true`', '`dump-directory`'])
          expect(said).toContain(input)
        const kept = { 'upload-dump': 'false', 'keep-dump': 'true', 'dump-directory': near }
        succeeded(await run(readme({ command: 'dump', ...kept, databases: 'shop' })))
        cpSync(near, far, { recursive: true })
        rmSync(near, { recursive: true })
        succeeded(await run(readme({ command: 'restore', 'dump-directory': far, databases: '' })))
        await world.expectArrived('shop')
      } finally {
        rmSync(directory, { recursive: true, force: true })
      }
    })

    test(name('All databases, or some under other names'), async () => {
      await world.source.sql('CREATE DATABASE "shop, old" TEMPLATE ledger')
      const [all = '', some = ''] = section('All databases, or some under other names').split(
        '# or\n',
      )
      succeeded(await run(readme(parse(all))))
      for (const database of ['shop', 'ledger', 'shop, old']) await world.expectArrived(database)
      await world.target.backend.sql('DROP DATABASE shop WITH (FORCE)')
      succeeded(await run(readme(parse(some))))
      await world.expectArrived('shop')
      await world.expectArrived('shop, old', 'shop_old')

      await world.reset()
      const [roles = '', one = ''] = section('All databases, or some under other names', 1).split(
        '# and in the jobs after that one\n',
      )
      for (const inputs of [roles, one]) succeeded(await run(readme(parse(inputs))))
      await world.expectArrived('shop')
      expect(await canLogIn(world.target, 'teller', "teller's own")).toBe(true)
    })

    test(name('Prove that the applications get in'), async () => {
      const inputs = parse(
        replaced(section('Prove that the applications get in'), {
          shop_app: 'web',
          'reports=': 'reporting=',
        }),
      )
      const secrets = { SHOP_APP_PASSWORD: 'demo web', REPORTS_PASSWORD: 'demo reporting' }
      succeeded(await run(readme({ ...inputs, databases: 'shop' }), { secrets }))
      await world.reset()
      const wrong = { secrets: { ...secrets, REPORTS_PASSWORD: 'another one' } }
      const failed = await run(readme({ ...inputs, databases: 'shop' }), wrong)
      expect(failed.jobs).toEqual({ migrate: 'failed' })
      expect(failed.log).toMatch(/::error.*reporting/)
      expect(failed.log).not.toContain('another one')
    })

    test(name('A private CA'), async () => {
      const [write, migrate] = parse(
        replaced(section('A private CA'), {
          [there.ca]: source(undefined, 'localhost').replace('=require', '=verify-full'),
        }),
      )
      const workflow = parse(readme())
      const [{ with: inputs }] = workflow.jobs.migrate.steps
      workflow.jobs.migrate.steps = [write, { ...migrate, with: { ...inputs, ...migrate.with } }]
      const secrets = { SOURCE_CA: readFileSync(world.source.ca ?? '', 'utf8') }
      succeeded(await run(stringify(workflow), { secrets }))
      await world.expectArrived('shop')
      // a CA that did not sign the server's certificate
      await world.reset()
      const other = await run(stringify(workflow), { secrets: { SOURCE_CA: '' } })
      expect(other.jobs).toEqual({ migrate: 'failed' })
    })

    test(name('From ApsaraDB RDS, or another provider, without a superuser'), async () => {
      const grants = fence('docs/permissions.md', 'On the source', 1)
      const modern = grants.replace(/^-- before 14[\s\S]*?(?=^--)/m, '')
      const large = `DO $$ DECLARE o oid; BEGIN FOR o IN SELECT oid FROM pg_largeobject_metadata LOOP EXECUTE 'GRANT SELECT ON LARGE OBJECT ' || o || ' TO migrator'; END LOOP; END $$`
      await world.source.sql(modern, 'shop')
      await world.source.sql(large, 'shop')
      try {
        const inputs = {
          ...parse(section('From ApsaraDB RDS, or another provider, without a superuser')),
          source: source('migrator'),
        }
        const secrets = { SOURCE_PASSWORD: 'a password of its own' }
        const done = await run(readme(inputs), { secrets })
        succeeded(done)
        expect(done.log).toMatch(/came without a password: .*teller/)
        for (const database of ['shop', 'ledger']) await world.expectArrived(database)
      } finally {
        for (const database of ['shop', 'ledger'])
          await world.source.sql('DROP OWNED BY migrator', database)
        await world.source.sql('DROP ROLE migrator')
      }
    })

    test(name('From another PolarDB'), async () => {
      const other = await PolarStandIn.start({ major: 15 })
      try {
        for (const [database, statement] of [
          ['postgres', 'CREATE DATABASE shop'],
          ['shop', 'CREATE TABLE entry AS SELECT generate_series(1, 500) AS n'],
        ] as const) {
          const account = await other.connect(database)
          await account.query(statement)
          await account.end()
        }
        const inputs = {
          ...parse(section('From ApsaraDB RDS, or another provider, without a superuser')),
          source: withoutPassword(other.uri('shop')),
        }
        const secrets = { SOURCE_PASSWORD: other.password }
        succeeded(await run(readme(inputs), { secrets }))
        const { rows } = await world.target.backend.sql('SELECT sum(n) FROM entry', 'shop')
        expect(rows).toEqual([{ sum: '125250' }])
      } finally {
        await other.stop()
      }
    })

    test(name('Resume a restore that was interrupted'), async () => {
      const dump = ++runs
      succeeded(await run(readme({ command: 'dump', databases: 'shop' }), {}, dump))
      const fragment = parse(
        replaced(section('Resume a restore that was interrupted'), { [there.run]: String(dump) }),
      )
      const { 'if-target-not-empty': _, ...first } = fragment
      const proxy = await TcpProxy.start(world.target.port)
      try {
        const loads = proxy.when(/COPY .*FROM stdin/, 'stall')
        const stop = new AbortController()
        const interrupted = run(
          readme(
            { ...first, databases: '', target: through(proxy, target()) },
            { actions: 'read' },
          ),
          { signal: stop.signal },
        )
        await loads
        stop.abort()
        expect((await interrupted).code).not.toBe(0)
      } finally {
        proxy.close()
        await proxy.stop()
      }
      const again = { ...fragment, databases: '' }
      succeeded(await run(readme(again, { actions: 'read' })))
      await world.expectArrived('shop')
    })

    test(name('Replace a database that is in use'), async () => {
      succeeded(await run(readme({ databases: 'shop' })))
      const user = await world.target.connect('shop')
      await world.source.sql('CREATE TABLE later AS SELECT 1 AS a', 'shop')
      try {
        const said = readFileSync(howTo, 'utf8')
        for (const input of ['`if-target-not-empty: swap`', '`drop-swapped: true`'])
          expect(said).toContain(input)
        const inputs = { 'if-target-not-empty': 'swap', 'drop-swapped': 'true' }
        succeeded(await run(readme({ databases: 'shop', ...inputs })))
        await world.expectArrived('shop')
      } finally {
        await world.source.sql('DROP TABLE later', 'shop')
        await user.end().catch(() => {})
      }
    })

    test(name('Roll back'), async () => {
      await world.source.sql('CREATE DATABASE till TEMPLATE ledger')
      const till = (text: string) => text.replaceAll('/shop?', '/till?')
      const inputs = { databases: 'till', 'freeze-source': 'true' }
      succeeded(await run(till(readme(inputs))))
      const unfreeze = parse(
        replaced(section('Roll back'), { [there.migrator]: source(), [there.target]: target() }),
      )
      await world.target.backend.sql('INSERT INTO entry VALUES (501)', 'till')
      const back = (more = {}) => run(till(readme({ ...unfreeze, databases: 'till', ...more })))
      const refused = await back()
      expect(refused.jobs).toEqual({ migrate: 'failed' })
      expect(refused.log).toContain('confirm-unfreeze')
      succeeded(await back({ 'confirm-unfreeze': 'true' }))
      await world.source.sql('INSERT INTO entry VALUES (501)', 'till')
    })
  })

  test('the tutorial, from the accounts to the week after', async () => {
    const permissions = 'docs/permissions.md'
    await world.source.sql(
      replaced(fence(permissions, 'On the source', 0), { "'2027-02-01'": "'infinity'" }),
    )
    const secrets = { SOURCE_PASSWORD: 'a password of its own' }
    const preflight = replaced(
      fence('docs/tutorial.md', 'Two months before: a runner, two accounts, one preflight', 0),
      { [there.migrator]: source('migrator'), [there.target]: target() },
    )
    const ready = await run(preflight, { secrets })
    expect(ready.jobs).toEqual({ preflight: 'succeeded' })
    expect(ready.log).toContain('Ready to migrate')

    const rehearsed = await world.run('examples/rehearsal.yml', {
      event: 'schedule',
      secrets,
      vars: {
        REHEARSAL_SOURCE: source('migrator'),
        REHEARSAL_TARGET: target(),
        REHEARSAL_RUNNER: 'polardb-vpc',
      },
    })
    expect(rehearsed.jobs).toEqual({ rehearse: 'succeeded' })

    const night = await world.run('examples/migrate.yml', {
      secrets,
      inputs: {
        source: source('migrator'),
        target: target(),
        databases: 'all',
        runner: 'polardb-vpc',
        environment: 'production',
        'if-target-not-empty': 'fail',
      },
    })
    expect(night.jobs).toEqual({ migrate: 'succeeded' })
    expect(night.log).toMatch(/\| verified=true/)
    for (const database of ['shop', 'ledger']) await world.expectArrived(database)

    // the week after
    await world.source.sql('DROP ROLE migrator')
  })
})
