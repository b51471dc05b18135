import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { Failure } from '../../src/failure.ts'
import { parseStartInputs, parseStopInputs, readCredentials } from '../../src/runner/inputs.ts'
import {
  labelOf,
  tagsOf,
  tokenOf,
  whitelistGroupOf,
  whitelistPrefix,
} from '../../src/runner/names.ts'

const needed = {
  region: 'cn-hangzhou',
  vswitch: 'vsw-a',
  'security-group': 'sg-a',
  'github-token': 'ghs_x',
  image: 'acs:ubuntu_24_04_x64',
  'instance-types': 'ecs.c7.xlarge',
}

function documented(action: 'start' | 'stop') {
  const { inputs } = parse(readFileSync(`runner/${action}/action.yml`, 'utf8')) as {
    inputs: Record<string, { default?: string }>
  }
  return inputs
}

const parsers = { start: parseStartInputs, stop: parseStopInputs }

function lineOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof Failure) return error.line
    throw error
  }
  throw new Error('this was accepted')
}

describe.each(['start', 'stop'] as const)('the inputs of runner/%s', (action) => {
  test('are all read by the code, and the code reads no others', () => {
    const asked = new Set<string>()
    parsers[action]((name) => {
      asked.add(name)
      return needed[name as keyof typeof needed] ?? ''
    })
    expect([...asked].sort()).toEqual(Object.keys(documented(action)).sort())
  })

  test('have the defaults that action.yml documents', () => {
    const defaults = Object.fromEntries(
      Object.entries(documented(action)).map(([name, input]) => [name, input.default ?? '']),
    )
    const types = {
      image: defaults.image ?? '',
      'instance-types': defaults['instance-types'] ?? '',
    }
    const given: Record<string, string> = { ...needed, ...types }
    expect(parsers[action]((name) => given[name] || defaults[name] || '')).toEqual(
      parsers[action]((name) => given[name] ?? ''),
    )
  })
})

test('every mistake is reported in one message, never the token', () => {
  const given: Record<string, string> = {
    name: 'Night_1',
    region: '',
    vswitch: 'subnet-1',
    'security-group': 'default',
    'instance-types': 't3.large',
    image: '',
    'disk-gib': '5',
    'public-bandwidth': 'much',
    'runner-version': 'latest',
    'runner-sha256': 'abc',
    'runner-mirrors': "https://user:secret@mirror/'$(id)",
    'limit-minutes': '10',
    'wait-minutes': '0',
    cluster: 'rm-1',
    network: 'private',
    'ecs-endpoint': 'https://x/path',
    'polardb-endpoint': 'x',
  }
  const line = lineOf(() => parseStartInputs((name) => given[name] ?? ''))
  expect(line).toContain('18 inputs are wrong')
  for (const name of [...Object.keys(given), 'github-token']) expect(line).toContain(`${name}: `)
  expect(line).not.toContain('secret')
})

test('vSwitches are tried one after the other for each type', () => {
  const { candidates } = parseStartInputs(
    (name) =>
      ({ ...needed, vswitch: 'vsw-a, vsw-b', 'instance-types': 'ecs.c7.large\necs.g7.large' })[
        name
      ] ?? '',
  )
  expect(candidates.map(({ vswitch, instanceType }) => `${instanceType} ${vswitch}`)).toEqual([
    'ecs.c7.large vsw-a',
    'ecs.c7.large vsw-b',
    'ecs.g7.large vsw-a',
    'ecs.g7.large vsw-b',
  ])
})

test('another version of the runner needs its checksum, by processor or for both', () => {
  const sums = (more: Record<string, string>) =>
    parseStartInputs((name) => ({ ...needed, ...more })[name] ?? '').runnerSha256
  expect(lineOf(() => sums({ 'runner-version': '2.400.0' }))).toContain('runner-sha256')
  const [a, b] = ['a'.repeat(64), 'b'.repeat(64)]
  expect(sums({ 'runner-version': '2.400.0', 'runner-sha256': a })).toEqual({ x64: a, arm64: a })
  expect(sums({ 'runner-sha256': `x64=${a} arm64=${b}` })).toEqual({ x64: a, arm64: b })
})

test('the key comes from the environment, whole', () => {
  const line = lineOf(() => readCredentials({ ALIBABA_CLOUD_ACCESS_KEY_ID: 'id' }))
  expect(line).toContain('ALIBABA_CLOUD_ACCESS_KEY_SECRET')
  expect(
    readCredentials({
      ALIBABA_CLOUD_ACCESS_KEY_ID: 'id',
      ALIBABA_CLOUD_ACCESS_KEY_SECRET: 'secret',
      ALIBABA_CLOUD_SECURITY_TOKEN: '',
    }),
  ).toEqual({ accessKeyId: 'id', accessKeySecret: 'secret', securityToken: undefined })
})

test('names stay within what each service allows, and differ where they must', () => {
  const job = { repository: 'o/r', runId: '98765432109876', attempt: '123', apiUrl: '' }
  const name = 'a'.repeat(24)
  expect(labelOf(name, job).length).toBeLessThanOrEqual(64)
  const token = tokenOf(name, job, { vswitch: 'vsw-a', instanceType: 'ecs.c7.large' })
  expect(token).toMatch(/^[\x21-\x7e]{1,64}$/)
  expect(token).not.toBe(tokenOf(name, job, { vswitch: 'vsw-b', instanceType: 'ecs.c7.large' }))
  expect(token).not.toBe(
    tokenOf(name, { ...job, attempt: '124' }, { vswitch: 'vsw-a', instanceType: 'ecs.c7.large' }),
  )
  const group = whitelistGroupOf('a-b', job)
  expect(group).toMatch(/^[a-z][a-z0-9]{0,118}[a-z0-9]$/)
  expect(group).not.toBe(whitelistGroupOf('ab', job))
  expect(group.startsWith(whitelistPrefix(job))).toBe(true)
  expect(whitelistPrefix(job)).not.toBe(whitelistPrefix({ ...job, repository: 'o/other' }))
  expect(Object.values(tagsOf(name, job, '1'))).toEqual(['o/r', job.runId, name, '1'])
})
