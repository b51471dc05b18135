import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'
import type { Report } from '../../src/report/model.ts'
import { fence, replaced } from '../support/documents.ts'
import { demoLosses, smallShop, withoutPassword } from '../support/migration.ts'
import { everything } from '../support/migration-world.ts'
import { PolarStandIn } from '../support/polardb-standin.ts'
import { TestServer } from '../support/server.ts'
import { type ShellResult, ShellWorld } from '../support/shell-world.ts'

/**
 * The command line where it is used outside of GitHub: its page, followed literally, and the examples for GitLab CI and Jenkins, every
 * line that they give to a shell, as it stands there and in the order in which the pipeline runs it, with the variables that the file sets.
 * The pipelines themselves (approvals, artifacts, limits) are not run.
 */
const example = (name: string) =>
  readFileSync(join(import.meta.dirname, '..', '..', 'examples', name), 'utf8')

describe('every line of', () => {
  let source: TestServer
  let target: PolarStandIn
  let world: ShellWorld

  beforeAll(async () => {
    ;[source, target] = await Promise.all([TestServer.start(15), PolarStandIn.start({ major: 15 })])
    await source.sql('CREATE DATABASE shop')
    await source.sql(smallShop(), 'shop')
    world = new ShellWorld()
  })
  afterAll(async () => {
    await Promise.all([source?.stop(), target?.stop()])
    await world?.cleanUp()
  })
  beforeEach(async () => {
    await target.backend.sql('DROP DATABASE IF EXISTS shop WITH (FORCE)')
  })

  /** What stands in the files, and what is meant on this machine. */
  const here = (text: string) =>
    [
      [
        'postgresql://postgres@10.0.0.5:5432/shop?sslmode=require',
        withoutPassword(source.uri('shop')),
      ],
      [
        'postgresql://migrator@pc-xxxxxxxx.pg.polardb.rds.aliyuncs.com:5432/postgres?sslmode=require',
        withoutPassword(target.uri('postgres')),
      ],
      // a container of its own there
      ['/opt/', `${world.path('opt')}/`],
      ['/usr/local/bin/', `${world.path('bin')}/`],
    ].reduce((so, [there = '', meant = '']) => so.replaceAll(there, meant), text)

  /** The secret variables of the project, and what its runner sets. */
  const secrets = () => ({
    CI: 'true',
    MIGRATE_SOURCE_PASSWORD: source.password,
    MIGRATE_TARGET_PASSWORD: target.password,
    MIGRATE_PASSPHRASE: 'correct horse battery staple',
    // what the demo's source has, and this target cannot take
    MIGRATE_ALLOW_MISSING: demoLosses,
  })

  async function expectMigrated(at: string, dump: string, report: string): Promise<void> {
    expect(await everything(target.backend, 'shop')).toEqual(await everything(source, 'shop'))
    const written = JSON.parse(readFileSync(join(at, report, 'report.json'), 'utf8')) as Report
    expect(written).toMatchObject({ status: 'succeeded', verified: true })
    expect(readFileSync(join(at, report, 'junit.xml'), 'utf8')).toContain('<testsuite')
    const kept = readdirSync(join(at, dump))
    expect(kept).toContain('identity.age')
    expect(kept.filter((name) => !name.endsWith('.age'))).toEqual([])
  }
  const expectDone = ({ code, log }: ShellResult) =>
    expect({ code, log: code === 0 ? '' : log }).toEqual({ code: 0, log: '' })

  test('gitlab-ci.yml', async () => {
    const { variables, default: common, stages, ...jobs } = parse(here(example('gitlab-ci.yml')))
    for (const stage of stages) {
      const [, job] = Object.entries<{ stage: string; script: string[] }>(jobs).find(
        ([, one]) => one.stage === stage,
      ) ?? ['', undefined]
      // each job has a fresh container, and the project checked out in it
      const at = world.path(`gitlab-${stage}`)
      mkdirSync(at)
      rmSync(world.path('opt'), { recursive: true, force: true })
      rmSync(world.path('bin', 'migrate-to-polardb'), { force: true })
      const lines = [...common.before_script, ...(job?.script ?? [])].join('\n')
      expectDone(await world.run(lines, { cwd: at, env: { ...variables, ...secrets() } }))
    }
    await expectMigrated(world.path('gitlab-migrate'), 'dump', 'evidence')
    const preflight = join(world.path('gitlab-preflight'), 'evidence', 'report.json')
    expect(JSON.parse(readFileSync(preflight, 'utf8'))).toMatchObject({ status: 'succeeded' })
  })

  test('Jenkinsfile', async () => {
    const text = here(example('Jenkinsfile'))
    const variables = Object.fromEntries(
      [...text.matchAll(/^ {4}(MIGRATE_\w+) = '(.*)'$/gm)].map(([, name, value]) => [name, value]),
    )
    expect(Object.keys(variables)).toEqual([
      'MIGRATE_SOURCE',
      'MIGRATE_TARGET',
      'MIGRATE_DATABASES',
    ])
    const named = [...text.matchAll(/^ {4}(MIGRATE_\w+) = credentials\(/gm)].map(([, name]) => name)
    expect(secrets()).toMatchObject(
      Object.fromEntries(named.map((name) => [name, expect.any(String)])),
    )
    const lines = [...text.matchAll(/^\s*sh '(.*)'$/gm)].map(([, line = '']) => line)
    expect(lines).toHaveLength(3)
    const at = world.path('jenkins')
    mkdirSync(at)
    const env = { ...variables, ...secrets(), BUILD_NUMBER: '12' }
    for (const line of lines)
      expectDone(await world.run(line, { cwd: at, env, shell: ['sh', '-xe'] }))
    await expectMigrated(at, 'dump-12', join('evidence', 'migrate'))
  })

  test('docs/command-line.md, from the clone to a migration, and the README', async () => {
    const page = 'docs/command-line.md'
    world.program('sudo', 'exec "$@"')
    const addresses = {
      'postgresql://postgres@10.0.0.5/shop': withoutPassword(source.uri('shop')),
      'postgresql://migrator@pc-xxx.pg.polardb.rds.aliyuncs.com/postgres': withoutPassword(
        target.uri('postgres'),
      ),
    }
    const at = world.path('followed')
    mkdirSync(at)
    rmSync(world.path('bin', 'migrate-to-polardb'), { force: true })
    const run = async (script: string) => {
      const result = await world.run(script, { cwd: at, env: secrets() })
      expectDone(result)
      return result.log
    }
    const install = replaced(fence(page, 'The command line', 0), {
      '/usr/local/bin/': `${world.path('bin')}/`,
    })
    expect(await run(install)).toMatch(/^Usage: migrate-to-polardb COMMAND/m)
    const whole = await run(replaced(fence(page, 'The command line', 1), addresses))
    expect(whole).toMatch(/^Ready to migrate: /m)
    expect(whole).toMatch(/^Migrated 1 database, .* compared equal/m)
    expect(await everything(target.backend, 'shop')).toEqual(await everything(source, 'shop'))
    expect(readdirSync(join(at, 'evidence'))).toContain('report.html')

    await target.backend.sql('DROP DATABASE shop WITH (FORCE)')
    const readme = fence('README.md', 'Use it', 1)
    await run(
      replaced(readme, {
        'postgresql://postgres@10.0.0.5/shop': withoutPassword(source.uri('shop')),
        'postgresql://migrator@pc-xxxxxxxx.pg.polardb.rds.aliyuncs.com/postgres': withoutPassword(
          target.uri('postgres'),
        ),
      }),
    )
    expect(await everything(target.backend, 'shop')).toEqual(await everything(source, 'shop'))

    // the file that the page shows, with databases that this source has
    const config = replaced(fence(page, 'Inputs', 0), {
      ...addresses,
      '[shop, billing=invoices]': '[shop=invoices]',
    })
    writeFileSync(join(at, 'migration.yml'), config)
    await run('migrate-to-polardb preflight --config migration.yml')
  })
})
