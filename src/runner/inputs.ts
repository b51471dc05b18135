import { Failure } from '../failure.ts'
import { type InputReader, readInputs } from '../migration/input-reader.ts'
import type { Candidate } from './ecs.ts'
import type { Credentials } from './signature.ts'

/** Inputs whose value is a secret, in both actions. */
export const secretInputs = ['github-token'] as const

/** What both actions are told. */
export interface CommonInputs {
  name: string
  region: string
  /** The PolarDB cluster whose whitelist gets an entry. */
  cluster: string | undefined
  githubToken: string | undefined
  network: 'public' | 'vpc'
  ecsEndpoint: string | undefined
  polardbEndpoint: string | undefined
}

export interface StartInputs extends CommonInputs {
  githubToken: string
  /** What is tried, in this order. */
  candidates: Candidate[]
  securityGroup: string
  image: string
  diskGib: number
  publicBandwidth: number
  runnerVersion: string
  /** The SHA-256 of the runner's package, by processor (`x64`, `arm64`). */
  runnerSha256: Partial<Record<'x64' | 'arm64', string>>
  /** Base URLs, each with what GitHub has under `/actions/runner/releases/download`; GitHub's own comes last. */
  runnerMirrors: string[]
  limitMinutes: number
  waitMinutes: number
}

export interface StopInputs extends CommonInputs {
  mode: 'stop' | 'sweep'
}

/** The runner that is installed unless another is asked for; its checksums are those of its release notes. */
const pinned = {
  version: '2.337.0',
  sha256: {
    x64: '70920811a4f8ad4328818682bca5c6469c1c942fab52448868071d0063816613',
    arm64: '9b1dc70626422526e3c94767cf024896beb15da5342a3f4819bf2feac13e0393',
  },
}

const remedy = 'Correct the step in the workflow; docs/runner.md lists every input'

/** @throws Failure with all mistakes together */
export function parseStartInputs(get: (name: string) => string): StartInputs {
  const reader = readInputs(get)
  const { wrong, shown, number, lines } = reader
  const list = (name: string) => lines(name).flatMap((line) => line.split(/[\s,]+/).filter(Boolean))
  const ids = (name: string, pattern: RegExp, allowed: string) => {
    const values = list(name)
    if (values.length === 0) wrong(name, 'it is not set', `allowed: ${allowed}`)
    for (const value of values) {
      if (!pattern.test(value)) wrong(name, shown(value), `allowed: ${allowed}`)
    }
    return values
  }
  const common = parseCommon(reader, get)
  const githubToken = get('github-token').trim()
  if (githubToken === '')
    wrong(
      'github-token',
      'it is not set',
      'allowed: a token with the repository permission administration: write; github.token has it never',
    )
  const vswitches = ids('vswitch', /^vsw-[a-z0-9]+$/, 'ids of vSwitches as vsw-…, one a line')
  const types = ids('instance-types', /^ecs\.[a-z0-9.-]+$/, 'instance types as ecs.…, one a line')
  const [securityGroup = ''] = ids('security-group', /^sg-[a-z0-9]+$/, 'one id as sg-…')
  const image = get('image')
  if (!/^[A-Za-z][A-Za-z0-9._:-]{1,127}$/.test(image))
    wrong('image', shown(image), 'allowed: the id of an image, or a family as acs:ubuntu_24_04_x64')
  const runnerVersion = get('runner-version') || pinned.version
  if (!/^2\.\d{1,4}\.\d{1,3}$/.test(runnerVersion))
    wrong('runner-version', shown(runnerVersion), 'allowed: a version of actions/runner as 2.337.0')
  const sums = list('runner-sha256').map((sum) => sum.toLowerCase())
  for (const sum of sums) {
    if (!/^((x64|arm64)=)?[0-9a-f]{64}$/.test(sum))
      wrong('runner-sha256', shown(sum), 'allowed: 64 hexadecimal digits, or x64=… and arm64=…')
  }
  if (runnerVersion !== pinned.version && sums.length === 0)
    wrong(
      'runner-sha256',
      'it is not set',
      `allowed: the SHA-256 from the notes of release ${runnerVersion}; only that of ${pinned.version} is known here`,
    )
  const inputs: StartInputs = {
    ...common,
    githubToken,
    candidates: types.flatMap((instanceType) =>
      vswitches.map((vswitch) => ({ vswitch, instanceType })),
    ),
    securityGroup,
    image,
    diskGib: number('disk-gib', 20, 32768) ?? 100,
    publicBandwidth: number('public-bandwidth', 0, 100) ?? 0,
    runnerVersion,
    runnerSha256: sums.length === 0 ? pinned.sha256 : sumsByProcessor(sums),
    runnerMirrors: lines('runner-mirrors'),
    limitMinutes: number('limit-minutes', 30, 7200) ?? 720,
    waitMinutes: number('wait-minutes', 1, 60) ?? 10,
  }
  for (const mirror of inputs.runnerMirrors) {
    if (!/^https?:\/\/[A-Za-z0-9.:/_~%-]+$/.test(mirror))
      wrong(
        'runner-mirrors',
        'one is no plain http(s) URL',
        'allowed: base URLs without user, password or query, one a line',
      )
  }
  reader.refuse(remedy)
  return inputs
}

/** @throws Failure with all mistakes together */
export function parseStopInputs(get: (name: string) => string): StopInputs {
  const reader = readInputs(get)
  const mode = reader.choice('mode', ['stop', 'sweep'], 'stop')
  const inputs: StopInputs = { ...parseCommon(reader, get), mode }
  reader.refuse(remedy)
  return inputs
}

function parseCommon(reader: InputReader, get: (name: string) => string): CommonInputs {
  const { wrong, shown, optional, choice } = reader
  const name = get('name') || 'polardb'
  if (!/^[a-z][a-z0-9-]{0,23}$/.test(name))
    wrong('name', shown(name), 'allowed: up to 24 lower-case letters, digits and hyphens')
  const region = get('region')
  if (!/^[a-z]{2,4}-[a-z]+[a-z0-9-]*$/.test(region))
    wrong('region', region ? shown(region) : 'it is not set', 'allowed: a region as cn-hangzhou')
  const cluster = optional('cluster')
  if (cluster && !/^pc-[a-z0-9]+$/.test(cluster))
    wrong('cluster', shown(cluster), 'allowed: the id of a PolarDB cluster as pc-…')
  const endpoint = (input: 'ecs-endpoint' | 'polardb-endpoint') => {
    const text = optional(input)?.replace(/\/$/, '')
    return text && !/^https?:\/\/[A-Za-z0-9.:-]+$/.test(text)
      ? wrong(input, 'it is no plain http(s) address', 'allowed: https:// and a host')
      : text
  }
  return {
    name,
    region,
    cluster,
    githubToken: get('github-token').trim() || undefined,
    network: choice('network', ['public', 'vpc'], 'public'),
    ecsEndpoint: endpoint('ecs-endpoint'),
    polardbEndpoint: endpoint('polardb-endpoint'),
  }
}

function sumsByProcessor(sums: string[]): StartInputs['runnerSha256'] {
  return Object.fromEntries(
    sums.flatMap((sum) => {
      const [processor, digits] = sum.includes('=') ? sum.split('=') : [undefined, sum]
      return processor
        ? [[processor, digits]]
        : [
            ['x64', digits],
            ['arm64', digits],
          ]
    }),
  ) as StartInputs['runnerSha256']
}

/** The key from the environment, as `aliyun/configure-aliyun-credentials-action` leaves it there. @throws Failure */
export function readCredentials(environment: Record<string, string | undefined>): Credentials {
  const {
    ALIBABA_CLOUD_ACCESS_KEY_ID: accessKeyId = '',
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: accessKeySecret = '',
    ALIBABA_CLOUD_SECURITY_TOKEN: securityToken,
  } = environment
  if (accessKeyId && accessKeySecret)
    return { accessKeyId, accessKeySecret, securityToken: securityToken || undefined }
  throw new Failure(
    'There is no key for Alibaba Cloud',
    'ALIBABA_CLOUD_ACCESS_KEY_ID or ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set in the environment',
    'Run aliyun/configure-aliyun-credentials-action with OIDC in a step before, or set both from secrets; docs/runner.md shows both',
  )
}
