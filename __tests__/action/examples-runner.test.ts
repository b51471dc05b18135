import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { parseStartInputs } from '../../src/runner/inputs.ts'
import { startRunner } from '../../src/runner/start.ts'
import { findAct, type Workflow, withoutAct } from '../support/act.ts'
import { CloudStandIn } from '../support/cloud-standin.ts'
import { MigrationWorld } from '../support/migration-world.ts'
import { credentialsOf, jobOf, startInputs, TestWorld } from '../support/runner-world.ts'
import { TlsFront } from '../support/tls-front.ts'

/**
 * The examples that make their runner themselves, unchanged: a stand-in answers for the addresses of Alibaba Cloud, and the job whose
 * label `runner/start` has made runs here.
 */
const act = await findAct()
const withAct = act ? describe : describe.skip

withAct(`the example${act ? '' : withoutAct}`, () => {
  let world: MigrationWorld
  let cloud: CloudStandIn
  let front: TlsFront
  const nothing = { instances: [], groups: [], runners: [] }

  beforeAll(async () => {
    world = await MigrationWorld.start(act ?? '')
  })
  afterAll(() => world?.stop())
  beforeEach(async () => {
    await world.reset()
    cloud = await CloudStandIn.start({ cluster: 'pc-xxxxxxxx', repository: 'octocat/shop' })
    cloud.looksUntilOnline = 0 // there are ten seconds between two looks
    front = await TlsFront.start({
      'ecs.cn-hangzhou.aliyuncs.com': cloud.url,
      'polardb.aliyuncs.com': cloud.url,
      'api.github.com': cloud.url,
    })
    const { repository } = world
    repository.stub('actions/create-github-app-token', {
      inputs: ['client-id', 'private-key', 'permission-administration'],
      outputs: { token: 'ghs_administers' },
    })
    repository.stub('aliyun/configure-aliyun-credentials-action', {
      inputs: ['role-to-assume', 'oidc-provider-arn'],
      env: {
        ALIBABA_CLOUD_ACCESS_KEY_ID: cloud.key.id,
        ALIBABA_CLOUD_ACCESS_KEY_SECRET: cloud.key.secret,
        ALIBABA_CLOUD_SECURITY_TOKEN: cloud.securityToken,
      },
    })
  })
  afterEach(async () => {
    await front.stop()
    await cloud.stop()
  })

  const run = (file: string, runId: string, more: Workflow = {}) => {
    const environment = world.results.environment(runId)
    return world.run(file, {
      ...more,
      labels: [`polardb-${runId}-1`],
      vars: {
        RUNNER_APP_CLIENT_ID: 'Iv23standin',
        ALIBABA_CLOUD_ROLE: 'acs:ram::1234567890123456:role/runner',
        ALIBABA_CLOUD_OIDC_PROVIDER: 'acs:ram::1234567890123456:oidc-provider/github',
      },
      secrets: { RUNNER_APP_PRIVATE_KEY: 'a private key' },
      env: {
        ...environment,
        ...front.environment(),
        GITHUB_API_URL: 'https://api.github.com/api/v3',
      },
    })
  }

  test('runner.yml starts a runner, migrates on it, and releases it', async () => {
    const done = await run('examples/runner.yml', '7001', {
      inputs: { ...world.servers(), databases: 'shop' },
    })
    expect({ ...done, log: done.code === 0 ? '' : done.log }).toEqual({
      code: 0,
      log: '',
      jobs: {
        approve: 'succeeded',
        start: 'succeeded',
        migrate: 'succeeded',
        stop: 'succeeded',
      },
    })
    await world.expectArrived('shop')
    expect(cloud.made).toBe(1)
    expect(cloud.left()).toEqual(nothing)
    expect(cloud.calls).toContain('POST /actions/runners/generate-jitconfig')
    expect(new Set(front.asked)).toEqual(
      new Set(
        ['ecs.cn-hangzhou.aliyuncs.com', 'polardb.aliyuncs.com', 'api.github.com'].map(
          (host) => `${host}:443`,
        ),
      ),
    )
    const said = done.log.match(/\]\s+\| .*$/gm)?.join('\n') ?? ''
    expect(said).toContain('Released i-standin1')
    for (const secret of [cloud.key.secret, cloud.securityToken, 'ghs_administers'])
      expect(said).not.toContain(secret)
  })

  test('runner.yml releases the runner of a migration that is not ready', async () => {
    await world.target.backend.sql('CREATE DATABASE shop OWNER gctest')
    await world.target.backend.sql('CREATE TABLE here AS SELECT 1 AS a', 'shop')
    const done = await run('examples/runner.yml', '7002', {
      inputs: { ...world.servers(), databases: 'shop' },
    })
    expect(done.jobs).toEqual({
      approve: 'succeeded',
      start: 'succeeded',
      migrate: 'failed',
      stop: 'succeeded',
    })
    expect(cloud.made).toBe(1)
    expect(cloud.left()).toEqual(nothing)
  })

  test('runner-sweep.yml removes what a run has left past its time', async () => {
    const inputs = startInputs(cloud)
    for (const runId of ['7003', '7004'])
      await startRunner(
        new TestWorld(),
        parseStartInputs((name) => inputs[name] ?? ''),
        jobOf(cloud, { runId }),
        credentialsOf(cloud),
      )
    const over = cloud.instances.get('i-standin1')
    if (over) over.tags['migrate-to-polardb-until'] = new Date(Date.now() - 1000).toISOString()
    // its job came and went; a registration without an instance is looked at twice, a minute apart
    const [group = ''] = cloud.left().groups
    cloud.groups.delete(group)
    cloud.github.runners.delete(Math.min(...cloud.github.runners.keys()))
    const done = await run('examples/runner-sweep.yml', '7005', { event: 'schedule' })
    expect({ ...done, log: done.code === 0 ? '' : done.log }).toEqual({
      code: 0,
      log: '',
      jobs: { sweep: 'succeeded' },
    })
    expect(cloud.left()).toMatchObject({
      instances: ['i-standin2'],
      runners: ['night-7004-1'],
    })
  })
})
