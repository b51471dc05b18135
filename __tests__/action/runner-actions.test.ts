import { writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { CloudStandIn } from '../support/cloud-standin.ts'
import {
  type ActionOptions,
  type ActionResult,
  runAction,
  runnerCommands,
  startAction,
  visibleLog,
} from '../support/runner.ts'
import { startInputs } from '../support/runner-world.ts'

const root = join(import.meta.dirname, '..', '..')
const bundle = (action: 'start' | 'stop') => join(root, 'dist', `runner-${action}`, 'index.js')
const nothing = { instances: [], groups: [], runners: [] }

let cloud: CloudStandIn
const results: ActionResult[] = []

beforeEach(async () => {
  cloud = await CloudStandIn.start()
})

afterEach(async () => {
  for (const result of results.splice(0)) result.cleanUp()
  await cloud.stop()
})

function options(action: 'start' | 'stop', more: Record<string, string> = {}): ActionOptions {
  const { 'instance-types': _, image: __, ...inputs } = startInputs(cloud)
  return {
    metadata: join(root, 'runner', action, 'action.yml'),
    inputs: { ...inputs, ...more },
    env: {
      GITHUB_REPOSITORY: cloud.github.repository,
      GITHUB_RUN_ID: '1234567890',
      GITHUB_RUN_ATTEMPT: '1',
      GITHUB_API_URL: `${cloud.url}/api/v3`,
      ALIBABA_CLOUD_ACCESS_KEY_ID: cloud.key.id,
      ALIBABA_CLOUD_ACCESS_KEY_SECRET: cloud.key.secret,
      ALIBABA_CLOUD_SECURITY_TOKEN: cloud.securityToken,
    },
  }
}

async function run(
  action: 'start' | 'stop',
  more: Record<string, string> = {},
  env: Record<string, string | undefined> = {},
): Promise<ActionResult> {
  const given = options(action, more)
  const result = await runAction(bundle(action), { ...given, env: { ...given.env, ...env } })
  results.push(result)
  return result
}

function errors({ log }: ActionResult): string[] {
  return runnerCommands(log)
    .filter(({ command }) => command === 'error')
    .map(({ message }) => message)
}

describe('runner/start and runner/stop', () => {
  test('make a runner and release it, without a secret in the log', async () => {
    const given = options('start')
    const started = await runAction(bundle('start'), { ...given, isolated: true })
    results.push(started)
    expect(started.code).toBe(0)
    expect(started.outputs).toEqual({
      label: 'night-1234567890-1',
      'instance-id': 'i-standin1',
      zone: 'cn-hangzhou-g',
    })
    const [runner] = cloud.github.runners.values()
    const secrets = [
      runner?.configuration ?? '',
      cloud.key.secret,
      cloud.securityToken,
      'ghs_administers',
    ]
    for (const secret of secrets) expect(visibleLog(started.log)).not.toContain(secret)
    const stopped = await run('stop')
    expect(stopped.code).toBe(0)
    expect(visibleLog(stopped.log)).toMatch(/Released i-standin1 .*: it ran for \d+ minutes?/)
    expect(cloud.left()).toEqual(nothing)
    const swept = await run('stop', { mode: 'sweep' })
    expect(swept.code).toBe(0)
  })

  test('fail in one line that says what is wrong', async () => {
    const wrong = await run('start', { vswitch: 'subnet', 'github-token': '' })
    expect(errors(wrong)).toEqual([expect.stringMatching(/^2 inputs are wrong\. .*vswitch.*/)])
    expect(wrong.code).toBe(1)
    const keyless = await run('stop', {}, { ALIBABA_CLOUD_ACCESS_KEY_ID: undefined })
    expect(errors(keyless)).toEqual([expect.stringContaining('There is no key for Alibaba Cloud')])
    cloud.denied.add('ecs:RunInstances')
    expect(errors(await run('start'))).toEqual([
      expect.stringContaining('has no right to ecs:RunInstances'),
    ])
    expect(cloud.left()).toEqual(nothing)
  })

  test('show the console of an instance that did not make it, and none of its lines as a command', async () => {
    cloud.state = 'Stopped'
    cloud.console = '::error::planted\n##[add-mask]x\n\x1b[31mgithub-runner: FAILED: no way out\n'
    const result = await run('start')
    expect(errors(result)).toEqual([expect.stringContaining('i-standin1 ended before')])
    expect(visibleLog(result.log)).toContain('\\x1b[31mgithub-runner: FAILED: no way out')
    expect(cloud.left()).toEqual(nothing)
  })

  test('clean up after themselves when the job is cancelled', async () => {
    cloud.looksUntilOnline = Number.POSITIVE_INFINITY
    const running = startAction(bundle('start'), options('start'))
    await running.logged(/waiting for the runner to come online/)
    running.cancel()
    const result = await running.result
    results.push(result)
    expect(result.code).toBe(1)
    expect(errors(result)).toEqual([expect.stringContaining('The job was cancelled')])
    expect(cloud.left()).toEqual(nothing)
  })

  test('warn where the repository is public', async () => {
    const given = options('start')
    const first = await runAction(bundle('start'), given)
    results.push(first)
    expect(runnerCommands(first.log).filter(({ command }) => command === 'warning')).toEqual([])
    const path = join(first.directory, 'public.json')
    writeFileSync(path, JSON.stringify({ repository: { visibility: 'public' } }))
    const second = await run('start', {}, { GITHUB_EVENT_PATH: path })
    expect(runnerCommands(second.log).filter(({ command }) => command === 'warning')).toEqual([
      expect.objectContaining({ message: expect.stringContaining('is public') }),
    ])
  })
})

test('every request goes through the proxy', async () => {
  // the client of requests never asks a proxy for a loopback address, so the stand-in has other names here
  const { port } = new URL(cloud.url)
  const tunnels: string[] = []
  const proxy: Server = createServer()
  proxy.on('connect', (request, client) => {
    tunnels.push(request.url ?? '')
    const upstream = connect(Number(port), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      upstream.pipe(client)
      client.pipe(upstream)
    })
    for (const socket of [upstream, client]) socket.on('error', () => socket.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  try {
    const started = await run(
      'start',
      {
        'ecs-endpoint': `http://ecs.example:${port}`,
        'polardb-endpoint': `http://polardb.example:${port}`,
      },
      {
        GITHUB_API_URL: `http://api.example:${port}/api/v3`,
        http_proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      },
    )
    expect(errors(started)).toEqual([])
    expect(new Set(tunnels)).toEqual(
      new Set(['ecs', 'polardb', 'api'].map((name) => `${name}.example:${port}`)),
    )
  } finally {
    proxy.closeAllConnections()
    await new Promise((resolve) => proxy.close(resolve))
  }
})
