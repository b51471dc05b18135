import type { Job, World } from '../../src/runner/context.ts'
import type { Send } from '../../src/runner/http.ts'
import type { Credentials } from '../../src/runner/signature.ts'
import type { CloudStandIn } from './cloud-standin.ts'

/** The world of start and stop in a test: no proxies, no runner, a clock that goes ahead as the test says. */
export class TestWorld implements World {
  readonly lines: string[] = []
  readonly outputs: Record<string, string> = {}
  readonly secrets: string[] = []
  readonly stop = new AbortController()
  readonly signal = this.stop.signal
  readonly pauses: readonly number[] = [0, 0, 0]
  readonly pace = 0.01
  /** Milliseconds that the clock goes ahead each time it is read. */
  step = 0
  readonly log = { debug: this.say, info: this.say, warning: this.say }
  readonly progress = { update: this.say }
  send: Send = async ({ method, url, headers, body }) => {
    const { host: _, ...rest } = headers
    const response = await fetch(url, { method, headers: rest, body: body ?? null })
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: await response.text(),
    }
  }
  #ahead = 0

  get say() {
    return (line: string) => void this.lines.push(line)
  }

  secret(value: string): void {
    this.secrets.push(value)
  }

  setOutput(name: string, value: string): void {
    this.outputs[name] = value
  }

  now(): number {
    this.#ahead += this.step
    return Date.now() + this.#ahead
  }
}

/** The inputs of a start that would succeed, as a workflow has them. */
export function startInputs(
  cloud: CloudStandIn,
  more: Record<string, string> = {},
): Record<string, string> {
  return {
    name: 'night',
    region: 'cn-hangzhou',
    vswitch: 'vsw-g\nvsw-h',
    'security-group': 'sg-runner',
    'instance-types': 'ecs.c7.xlarge\necs.g7.xlarge',
    image: 'acs:ubuntu_24_04_x64',
    'github-token': 'ghs_administers',
    cluster: cloud.cluster,
    'ecs-endpoint': cloud.url,
    'polardb-endpoint': cloud.url,
    ...more,
  }
}

export function jobOf(cloud: CloudStandIn, more: Partial<Job> = {}): Job {
  return {
    repository: cloud.github.repository,
    runId: '1234567890',
    attempt: '1',
    apiUrl: `${cloud.url}/api/v3`,
    ...more,
  }
}

export function credentialsOf(cloud: CloudStandIn): Credentials {
  return {
    accessKeyId: cloud.key.id,
    accessKeySecret: cloud.key.secret,
    securityToken: cloud.securityToken,
  }
}
