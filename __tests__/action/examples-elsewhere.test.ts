import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'
import type { Report } from '../../src/report/model.ts'
import { demoLosses, smallShop, withoutPassword } from '../support/migration.ts'
import { everything } from '../support/migration-world.ts'
import { PolarStandIn } from '../support/polardb-standin.ts'
import { TestServer } from '../support/server.ts'
import { type ShellResult, ShellWorld } from '../support/shell-world.ts'

/**
 * The examples for GitLab CI and Jenkins: every line that they give to a shell, as it stands there and in the order in which the pipeline
 * runs it, with the variables that the file sets. The pipelines themselves (approvals, artifacts, limits) are not run.
 */
const example = (name: string) =>
  readFileSync(join(import.meta.dirname, '..', '..', 'examples', name), 'utf8')

describe('the lines of', () => {
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
      await world.run(`rm -rf ${world.path('opt')} ${world.path('bin')}/migrate-to-polardb`)
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
})
