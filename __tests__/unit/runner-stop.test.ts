import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { parseStartInputs, parseStopInputs } from '../../src/runner/inputs.ts'
import { startRunner } from '../../src/runner/start.ts'
import { stopRunner, sweepRunners } from '../../src/runner/stop.ts'
import { CloudStandIn } from '../support/cloud-standin.ts'
import { credentialsOf, jobOf, startInputs, TestWorld } from '../support/runner-world.ts'

let cloud: CloudStandIn
let world: TestWorld
const nothing = { instances: [], groups: [], runners: [] }

beforeEach(async () => {
  cloud = await CloudStandIn.start()
  world = new TestWorld()
})

afterEach(() => cloud.stop())

async function start(name: string, runId: string): Promise<void> {
  const inputs = startInputs(cloud, { name })
  await startRunner(
    new TestWorld(),
    parseStartInputs((input) => inputs[input] ?? ''),
    jobOf(cloud, { runId }),
    credentialsOf(cloud),
  )
}

function run(
  work: typeof stopRunner,
  more: Record<string, string> = {},
  runId = '1234567890',
): Promise<void> {
  const inputs = startInputs(cloud, more)
  return work(
    world,
    parseStopInputs((name) => inputs[name] ?? ''),
    jobOf(cloud, { runId }),
    credentialsOf(cloud),
  )
}

function backdate(minutes: number): void {
  for (const instance of cloud.instances.values())
    instance.CreationTime = `${new Date(Date.now() - minutes * 60_000).toISOString().slice(0, 16)}Z`
}

describe('stop', () => {
  test('removes instance, whitelist group and registration, and says what it cost', async () => {
    await start('night', '1234567890')
    backdate(90)
    await run(stopRunner)
    expect(cloud.left()).toEqual(nothing)
    // since the minute in which it was made, and a minute that has begun counts
    expect(world.lines.join('\n')).toMatch(
      /Released i-standin1 \(ecs\.c7\.xlarge, cn-hangzhou-g\): it ran for 9[0-2] minutes/,
    )
  })

  test('can be run again, and after everything is gone', async () => {
    await run(stopRunner)
    expect(world.lines).toContain('There is no instance to release')
    await start('night', '1234567890')
    cloud.instances.clear()
    await run(stopRunner)
    expect(cloud.left()).toEqual(nothing)
    await run(stopRunner)
  })

  test('leaves other names and other runs alone', async () => {
    await start('night', '1234567890')
    await start('night', '1234567891')
    await start('night-2', '1234567890')
    await run(stopRunner)
    expect(cloud.left().runners).toEqual(['night-1234567891-1', 'night-2-1234567890-1'])
    expect(cloud.left().instances).toHaveLength(2)
    expect(cloud.left().groups).toHaveLength(2)
  })

  test('needs no token: the registration of a runner for one job ends with it', async () => {
    await start('night', '1234567890')
    await run(stopRunner, { 'github-token': '' })
    expect(cloud.left()).toMatchObject({ instances: [], groups: [] })
  })

  test('does not fail where GitHub still takes the runner for busy', async () => {
    await start('night', '1234567890')
    for (const runner of cloud.github.runners.values()) runner.busy = true
    await run(stopRunner)
    expect(world.lines.join('\n')).toContain('for busy')
    expect(cloud.left()).toMatchObject({ instances: [], groups: [] })
  })

  test('waits for an instance that is just being made, and for a cluster that is being changed', async () => {
    await start('night', '1234567890')
    cloud.faults.push(
      ...[
        ['DeleteInstance', 'IncorrectInstanceStatus.Initializing'],
        ['ModifyDBClusterAccessWhitelist', 'OperationDenied.DBClusterStatus'],
      ].map(([action = '', code = '']) => ({ action, code, status: 403, times: 2 })),
    )
    await run(stopRunner)
    expect(cloud.left()).toEqual(nothing)
  })

  test.each([
    ['ecs:DescribeInstances', ['i-standin1'], 0],
    ['polardb:DescribeDBClusterAccessWhitelist', [], 1],
    ['polardb:ModifyDBClusterAccessWhitelist', [], 1],
  ])('without %s removes the rest, and names the right', async (right, instances, groups) => {
    await start('night', '1234567890')
    cloud.denied.add(right)
    const failure = await run(stopRunner).catch((error: unknown) => error)
    expect((failure as Failure).line).toContain(`has no right to ${right}`)
    expect(cloud.left()).toMatchObject({ instances, runners: [] })
    expect(cloud.left().groups).toHaveLength(groups)
  })

  test('without the right at GitHub removes the rest, and names the permission', async () => {
    await start('night', '1234567890')
    const failure = await run(stopRunner, { 'github-token': 'ghs_only-sees' }).catch(
      (error: unknown) => error,
    )
    expect((failure as Failure).line).toContain('administration: write')
    expect(cloud.left()).toMatchObject({ instances: [], groups: [] })
  })

  test('removes what it can, and fails with what it cannot', async () => {
    await start('night', '1234567890')
    cloud.denied.add('ecs:DeleteInstance')
    const failure = (await run(stopRunner).catch((error: unknown) => error)) as Failure
    expect(failure).toBeInstanceOf(Failure)
    expect(failure.line).toContain('has no right to ecs:DeleteInstance')
    expect(failure.line).toContain('costs until it is released')
    expect(cloud.left()).toEqual({ instances: ['i-standin1'], groups: [], runners: [] })
  })
})

describe('sweep', () => {
  test('removes what is past its time, and leaves what runs', async () => {
    await start('night', '1111111111')
    await start('night', '2222222222')
    const over = cloud.instances.get('i-standin1')
    if (over) over.tags['migrate-to-polardb-until'] = new Date(Date.now() - 1000).toISOString()
    const group = cloud.left().groups[1]
    await run(sweepRunners)
    expect(cloud.left()).toEqual({
      instances: ['i-standin2'],
      groups: [group],
      runners: ['night-2222222222-1'],
    })
  })

  test('removes groups and offline registrations whose instance is gone, and no others', async () => {
    await start('night', '1111111111')
    cloud.instances.clear()
    for (const runner of cloud.github.runners.values()) runner.status = 'offline'
    cloud.groups.set('office', '192.0.2.1')
    cloud.groups.set('gha00000000r12345n000000', '192.0.2.2')
    cloud.github.register('build-machine-1')
    cloud.github.register('build-20260101-1', ['self-hosted', 'linux'])
    await run(sweepRunners)
    expect(cloud.left()).toEqual({
      instances: [],
      groups: ['office', 'gha00000000r12345n000000'],
      runners: ['build-machine-1', 'build-20260101-1'],
    })
  })

  test('leaves a runner alone whose instance is just being made', async () => {
    cloud.github.register('night-3333333333-1')
    const looked = cloud.calls.push.bind(cloud.calls)
    let looks = 0
    cloud.calls.push = (...calls) => {
      // between the two looks the instance of that runner appears
      if (calls[0] === 'DescribeInstances' && ++looks === 3)
        cloud.instances.set('i-new', {
          ...{ InstanceId: 'i-new', ZoneId: 'cn-hangzhou-g', InstanceType: 'ecs.c7.xlarge' },
          ...{ Status: 'Running', parameters: {}, userData: '' },
          CreationTime: new Date().toISOString(),
          tags: {
            'migrate-to-polardb': 'shop/migration',
            'migrate-to-polardb-run': '3333333333',
            'migrate-to-polardb-attempt': '1',
            'migrate-to-polardb-name': 'night',
            'migrate-to-polardb-until': new Date(Date.now() + 1e6).toISOString(),
          },
        })
      return looked(...calls)
    }
    await run(sweepRunners)
    expect(cloud.left().runners).toEqual(['night-3333333333-1'])
  })
})
