import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Cancelled, Failure } from '../../src/failure.ts'
import { parseStartInputs, parseStopInputs } from '../../src/runner/inputs.ts'
import { startRunner } from '../../src/runner/start.ts'
import { stopRunner } from '../../src/runner/stop.ts'
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

function start(more: Record<string, string> = {}, attempt = '1', where = world): Promise<void> {
  const inputs = startInputs(cloud, more)
  return startRunner(
    where,
    parseStartInputs((name) => inputs[name] ?? ''),
    jobOf(cloud, { attempt }),
    credentialsOf(cloud),
  )
}

/** The line of the failure with which start ends. */
async function refused(more: Record<string, string> = {}): Promise<string> {
  const failure = await start(more).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(Failure)
  return (failure as Failure).line
}

function stop(pace = 0.01): Promise<void> {
  const inputs = startInputs(cloud)
  return stopRunner(
    Object.assign(new TestWorld(), { pace }),
    parseStopInputs((name) => inputs[name] ?? ''),
    jobOf(cloud, { attempt: '9' }),
    credentialsOf(cloud),
  )
}

describe('a start', () => {
  test('tries everything, registers, makes, lets in and waits, in this order', async () => {
    await start()
    expect(world.outputs).toEqual({
      'instance-id': 'i-standin1',
      label: 'night-1234567890-1',
      zone: 'cn-hangzhou-g',
    })
    const steps = cloud.calls.filter((call, index) => call !== cloud.calls[index - 1])
    expect(steps.slice(0, 6)).toEqual([
      'DescribeInstances',
      'RunInstances DryRun',
      'POST /actions/runners/generate-jitconfig',
      'RunInstances',
      'DescribeInstances',
      'ModifyDBClusterAccessWhitelist',
    ])
    expect([...cloud.github.runners.values()]).toMatchObject([
      { name: 'night-1234567890-1', labels: ['night-1234567890-1'], status: 'online' },
    ])
    expect([...cloud.groups.values()]).toEqual(['127.0.0.1', '10.0.0.1'])
  })

  test('asks for one hardened instance that is released by itself and carries no secret but one', async () => {
    const before = Date.now()
    await start({ 'limit-minutes': '120', 'disk-gib': '500' })
    const [instance] = cloud.instances.values()
    expect(instance?.parameters).toMatchObject({
      ...{ HttpTokens: 'required', InternetMaxBandwidthOut: '0', 'DataDisk.1.Size': '500' },
      ...{ ImageFamily: 'acs:ubuntu_24_04_x64', Amount: '1', PasswordInherit: 'false' },
      ...{ SecurityGroupId: 'sg-runner', VSwitchId: 'vsw-g', InstanceType: 'ecs.c7.xlarge' },
    })
    expect(Object.keys(instance?.parameters ?? {})).not.toContain('RamRoleName')
    const release = Date.parse(instance?.parameters.AutoReleaseTime ?? '') - before
    expect(Math.round(release / 60_000)).toBeGreaterThanOrEqual(149)
    expect(Math.round(release / 60_000)).toBeLessThanOrEqual(151)
    expect(instance?.tags).toMatchObject({
      'migrate-to-polardb': 'shop/migration',
      'migrate-to-polardb-run': '1234567890',
      'migrate-to-polardb-attempt': '1',
      'migrate-to-polardb-name': 'night',
    })
    const { configuration } = [...cloud.github.runners.values()][0] ?? { configuration: '' }
    expect(world.secrets).toEqual([configuration])
    expect(instance?.userData.split(configuration)).toHaveLength(2)
    for (const secret of [cloud.key.secret, cloud.securityToken, 'ghs_administers'])
      expect(instance?.userData).not.toContain(secret)
    expect(world.lines.join('\n')).not.toContain(configuration)
  })

  test('without a cluster leaves the whitelist alone, and public bandwidth is paid by traffic', async () => {
    await start({ cluster: '', 'public-bandwidth': '5' })
    expect(cloud.calls.filter((call) => call.includes('Whitelist'))).toEqual([])
    expect([...cloud.instances.values()][0]?.parameters).toMatchObject({
      ...{ InternetMaxBandwidthOut: '5', InternetChargeType: 'PayByTraffic' },
    })
  })

  test('takes the next zone, then the next type, where there is no stock', async () => {
    cloud.noStock.add('ecs.c7.xlarge vsw-g')
    cloud.lateNoStock.add('ecs.c7.xlarge vsw-h')
    await start()
    expect([...cloud.instances.values()]).toMatchObject([
      { InstanceType: 'ecs.g7.xlarge', ZoneId: 'cn-hangzhou-g' },
    ])
    expect(cloud.calls.filter((call) => call.startsWith('POST'))).toHaveLength(1)
    expect(world.lines).toContain('Not ecs.c7.xlarge in vsw-g: OperationDenied.NoStock')
  })

  test('that finds no stock anywhere says where it looked and leaves nothing', async () => {
    for (const type of ['ecs.c7.xlarge', 'ecs.g7.xlarge'])
      for (const zone of ['vsw-g', 'vsw-h']) cloud.lateNoStock.add(`${type} ${zone}`)
    const line = await refused()
    expect(line).toContain('ecs.g7.xlarge in vsw-h: OperationDenied.NoStock')
    expect(line).toContain('vSwitches of other zones')
    expect(cloud.left()).toEqual(nothing)
  })

  test('whose answer is lost makes no second instance', async () => {
    cloud.loseAnswers = 1
    await start()
    expect(cloud.calls.filter((call) => call === 'RunInstances')).toHaveLength(2)
    expect(cloud.made).toBe(1)
  })

  test('that is run twice in one attempt goes on with the instance that it finds', async () => {
    await start()
    await start()
    expect(cloud.made).toBe(1)
    expect(world.lines).toContain('i-standin1 was made by an earlier try of this attempt')
  })

  test('whose earlier try died after it registered a runner registers it anew', async () => {
    const stale = cloud.github.register('night-1234567890-1')
    await start()
    expect([...cloud.github.runners.keys()]).not.toContain(stale.id)
    expect(cloud.left().runners).toEqual(['night-1234567890-1'])
  })

  test('whose token was used for an instance that is gone says how to go on', async () => {
    await start()
    cloud.instances.clear()
    cloud.github.runners.clear()
    expect(await refused()).toContain('Re-run all jobs')
    expect(cloud.left()).toEqual(nothing)
  })

  test('of a new attempt makes a new instance, and stop removes those of all attempts', async () => {
    await start()
    await start({}, '2')
    expect(cloud.left().runners).toEqual(['night-1234567890-1', 'night-1234567890-2'])
    await stop()
    expect(cloud.left()).toEqual(nothing)
  })

  test.each([
    ['image', { image: 'acs:ubuntu_16_04_x64' }],
    ['cluster', { cluster: 'pc-other' }],
  ])('with a wrong %s says so', async (_, more) => {
    expect(await refused(more)).toMatch(/image|cluster/i)
    expect(cloud.left()).toEqual(nothing)
  })
})

describe('a right that is missing', () => {
  test.each([
    ['ecs:DescribeInstances', []],
    ['ecs:RunInstances', []],
    ['polardb:ModifyDBClusterAccessWhitelist', []],
  ])('%s is named, and nothing is left', async (right) => {
    cloud.denied.add(right)
    const line = await refused()
    expect(line).toContain(`has no right to ${right}`)
    expect(line).toContain('docs/runner.md')
    expect(cloud.left()).toEqual(nothing)
    if (right.startsWith('ecs:'))
      expect(cloud.calls.filter((call) => call.startsWith('POST'))).toEqual([])
  })

  test('ecs:DeleteInstance, found only when something fails, is a warning beside the failure', async () => {
    cloud.denied.add('ecs:DeleteInstance')
    cloud.state = 'Stopped'
    expect(await refused()).toContain('i-standin1 ended before its runner came online')
    expect(world.lines.join('\n')).toMatch(/runner\/stop tries again: .*ecs:DeleteInstance/)
    expect(cloud.left()).toMatchObject({ groups: [], runners: [] })
  })

  test('of the token of GitHub is named before an instance is made', async () => {
    expect(await refused({ 'github-token': 'ghs_only-sees' })).toContain('administration: write')
    expect(cloud.made).toBe(0)
  })
})

describe('a runner that does not come online', () => {
  test('is removed after its time, and its console is shown', async () => {
    cloud.looksUntilOnline = Number.POSITIVE_INFINITY
    cloud.console = 'booting\ngithub-runner: FAILED: the runner could not be downloaded\n'
    world.step = 20_000
    const line = await refused()
    expect(line).toContain('did not come online within 10 minutes')
    expect(world.lines).toContain('  github-runner: FAILED: the runner could not be downloaded')
    expect(world.lines.join('\n')).toMatch(/waiting for the runner to come online: i-standin1 is/)
    expect(cloud.left()).toEqual(nothing)
  })

  test('because its instance is gone is not waited for', async () => {
    cloud.looksUntilOnline = Number.POSITIVE_INFINITY
    const waiting = refused()
    while (!cloud.calls.includes('ModifyDBClusterAccessWhitelist'))
      await new Promise((resolve) => setImmediate(resolve))
    cloud.instances.clear()
    expect(await waiting).toMatch(/ended before its runner came online|has no address/)
    expect(cloud.left()).toEqual(nothing)
  })

  test('and whose console cannot be read says why', async () => {
    cloud.denied.add('ecs:GetInstanceConsoleOutput')
    cloud.state = 'Stopped'
    await refused()
    expect(world.lines.join('\n')).toContain('has no right to ecs:GetInstanceConsoleOutput')
    expect(cloud.left()).toEqual(nothing)
  })
})

describe('a job that is cancelled', () => {
  test.each([
    'DescribeInstances',
    'RunInstances DryRun',
    'POST /actions/runners/generate-jitconfig',
    'RunInstances',
    'ModifyDBClusterAccessWhitelist',
    'GET /actions/runners',
  ])('during %s leaves nothing once stop has run', async (step) => {
    cloud.looksUntilOnline = Number.POSITIVE_INFINITY
    const original = cloud.calls.push.bind(cloud.calls)
    cloud.calls.push = (...calls) => {
      if (calls[0] === step) world.stop.abort(new Cancelled())
      return original(...calls)
    }
    await expect(start()).rejects.toBeInstanceOf(Cancelled)
    expect(cloud.calls).toContain(step)
    await stop()
    expect(cloud.left()).toEqual(nothing)
  })

  test('while RunInstances is under way, and killed before it can clean up, leaves it to stop', async () => {
    const released = Promise.withResolvers<void>()
    cloud.hold = { action: 'RunInstances', until: released.promise }
    // nothing of the clean-up gets through: as if the process had been killed
    const { send } = world
    world.send = (request) =>
      world.signal.aborted ? new Promise<never>(() => undefined) : send(request)
    const starting = start().catch((error: unknown) => error)
    while (!cloud.calls.includes('RunInstances'))
      await new Promise((resolve) => setImmediate(resolve))
    world.stop.abort(new Cancelled())
    const stopping = stop(0.3)
    // the instance appears after stop has looked for the first time
    const looked = cloud.calls.length
    while (cloud.calls.length === looked) await new Promise((resolve) => setImmediate(resolve))
    released.resolve()
    await stopping
    expect(cloud.made).toBe(1)
    expect(cloud.left()).toEqual(nothing)
    expect(await starting).toBeInstanceOf(Cancelled)
  })
})

test('20 in parallel do not touch each other', async () => {
  const names = Array.from({ length: 20 }, (_, index) => `night-${index}`)
  const worlds = names.map(() => new TestWorld())
  await Promise.all(names.map((name, n) => start({ name }, '1', worlds[n])))
  expect(new Set(worlds.map(({ outputs }) => outputs['instance-id'])).size).toBe(20)
  expect(cloud.left().groups).toHaveLength(20)
  const inputs = startInputs(cloud, { name: 'night-7' })
  await stopRunner(
    new TestWorld(),
    parseStopInputs((name) => inputs[name] ?? ''),
    jobOf(cloud),
    credentialsOf(cloud),
  )
  expect(cloud.left().instances).toHaveLength(19)
  expect(cloud.left().groups).toHaveLength(19)
  expect(cloud.left().runners).not.toContain('night-7-1234567890-1')
})
