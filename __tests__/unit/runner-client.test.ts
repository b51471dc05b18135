import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { Alibaba, AlibabaError } from '../../src/runner/alibaba.ts'
import { ecsApi, polardbApi } from '../../src/runner/endpoints.ts'
import { RunnerRegistry } from '../../src/runner/github.ts'
import { signatureOf, signedHeaders } from '../../src/runner/signature.ts'
import { CloudStandIn } from '../support/cloud-standin.ts'
import { credentialsOf, jobOf, TestWorld } from '../support/runner-world.ts'

let cloud: CloudStandIn
let world: TestWorld

beforeEach(async () => {
  cloud = await CloudStandIn.start()
  world = new TestWorld()
})

afterEach(() => cloud.stop())

describe('the signature', () => {
  test('is that of the example in its documentation', () => {
    // "V3 request structure and signature", Alibaba Cloud SDK documentation: the fixed example at its end
    const query = 'ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai'
    const headers = signedHeaders(
      {
        host: 'ecs.cn-shanghai.aliyuncs.com',
        action: 'RunInstances',
        version: '2014-05-26',
        body: '',
      },
      { accessKeyId: 'YourAccessKeyId', accessKeySecret: 'YourAccessKeySecret' },
      {
        date: new Date('2023-10-26T10:22:32Z'),
        nonce: '3156853299f313e23d1673dc12e1703d',
        query,
      },
    )
    expect(headers.authorization).toBe(
      'ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0',
    )
    expect(signatureOf('POST', query, { ...headers, 'x-acs-version': '1' }, 's')).not.toBe(
      signatureOf('POST', query, headers, 's'),
    )
  })

  test('holds for parameters of all characters, and they arrive as they are', async () => {
    const sent = { 'Tag.1.Key': "it's (a) *tag*!", 'Tag.1.Value': 'a+b c/d=é&f~g%20\n"' }
    await new Alibaba(world, credentialsOf(cloud)).call(api(), 'DescribeInstances', {
      ...{ ...sent, Force: true, NextToken: undefined },
    })
    expect(cloud.received).toEqual([{ ...sent, Force: 'true' }])
  })
})

describe('a call', () => {
  const call = (action = 'DescribeInstances') =>
    new Alibaba(world, credentialsOf(cloud)).call(api(), action, { RegionId: 'cn-hangzhou' })

  test('that is throttled, or finds a failing service, is made again and signed anew', async () => {
    cloud.faults.push(
      { action: 'DescribeInstances', code: 'Throttling.User', status: 400, times: 2 },
      { action: 'DescribeInstances', code: 'ServiceUnavailable', status: 503, times: 1 },
    )
    await call()
    expect(cloud.calls).toEqual(Array(4).fill('DescribeInstances'))
  })

  test('that keeps being throttled ends with the last answer', async () => {
    cloud.faults.push({ action: 'DescribeInstances', code: 'Throttling', status: 400, times: 99 })
    await expect(call()).rejects.toThrow(AlibabaError)
    expect(cloud.calls).toHaveLength(4)
  })

  test.each([
    ['InvalidAccessKeyId.NotFound', 'does not know the access key'],
    ['InvalidAccessKeyId.Inactive', 'or it is disabled'],
    ['SignatureDoesNotMatch', 'the secret does not belong to the access key'],
    ['InvalidSecurityToken.Expired', 'security token of the assumed role'],
    ['InvalidTimeStamp.Expired', 'clock of this runner'],
  ])('that is refused with %s says what is wrong with the key', async (code, words) => {
    cloud.faults.push({ action: 'DescribeInstances', code, status: 400, times: 1 })
    const failure = await call().catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(Failure)
    expect((failure as Failure).line).toContain(words)
    expect(cloud.calls).toHaveLength(1)
  })

  test('with another secret, or another token, is found out by the stand-in', async () => {
    for (const [change, words] of [
      [{ accessKeySecret: 'other' }, 'signature'],
      [{ securityToken: 'other' }, 'security token'],
      [{ accessKeyId: 'other' }, 'access key'],
    ] as const) {
      const alibaba = new Alibaba(world, { ...credentialsOf(cloud), ...change })
      await expect(alibaba.call(api(), 'DescribeInstances', { A: 1 })).rejects.toThrow(words)
    }
  })

  test('to an address that does not answer names the address', async () => {
    const closed = { endpoint: 'http://127.0.0.1:9', version: '2014-05-26' }
    const failure = await new Alibaba(world, credentialsOf(cloud))
      .call(closed, 'DescribeInstances', {})
      .catch((error: unknown) => error)
    expect((failure as Failure).line).toContain('http://127.0.0.1:9 could not be reached')
    expect((failure as Failure).remedy).toContain('network: vpc')
  })
})

function api() {
  return { endpoint: cloud.url, version: '2014-05-26' }
}

test('the addresses of the APIs', () => {
  const endpoints = (region: string, network: 'public' | 'vpc') => [
    ecsApi(region, network).endpoint,
    polardbApi(region, network).endpoint,
  ]
  expect(endpoints('cn-hangzhou', 'public')).toEqual([
    'https://ecs.cn-hangzhou.aliyuncs.com',
    'https://polardb.aliyuncs.com',
  ])
  expect(endpoints('eu-central-1', 'public')).toEqual([
    'https://ecs.eu-central-1.aliyuncs.com',
    'https://polardb.eu-central-1.aliyuncs.com',
  ])
  expect(endpoints('cn-hangzhou', 'vpc')).toEqual([
    'https://ecs-vpc.cn-hangzhou.aliyuncs.com',
    'https://polardb-vpc.cn-hangzhou.aliyuncs.com',
  ])
  expect(ecsApi('cn-hangzhou', 'vpc', 'https://proxy').endpoint).toBe('https://proxy')
})

describe('what GitHub refuses', () => {
  const register = (token: string) =>
    new RunnerRegistry(world, jobOf(cloud), token).register('night-1-1', ['night-1-1'])
  const line = async (token: string) => {
    const failure = await register(token).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(Failure)
    return (failure as Failure).line
  }

  test.each([
    ['ghs_unknown', 'it is wrong, revoked or expired'],
    ['ghs_elsewhere', 'it cannot even see the repository'],
    ['ghs_only-sees', 'lacks the permission administration: write'],
    ['ghp_scopes', 'it has the scopes read:org, gist and needs repo'],
    ['ghp_sso', 'single sign-on'],
  ])('with %s says what the token lacks', async (token, words) => {
    const said = await line(token)
    expect(said).toContain(words)
    expect(said).toContain('shop/migration')
    // "Not Found" may be quoted as GitHub's answer; it is never the explanation
    expect(said.split('GitHub answered')[0]).not.toMatch(/not found/i)
    expect(said).not.toContain(token)
  })

  test('for a moment is asked again', async () => {
    cloud.github.unavailable = { status: 503, times: 2 }
    await expect(register('ghs_administers')).resolves.toMatchObject({ id: 101 })
    expect(world.secrets).toEqual([cloud.github.runners.get(101)?.configuration])
  })

  test('because of too many requests is no missing permission', async () => {
    cloud.github.unavailable = {
      ...{ status: 403, times: 99, headers: { 'x-ratelimit-remaining': '0' } },
    }
    expect(await line('ghs_administers')).toContain('too many requests')
  })

  test('by a failing service ends with that', async () => {
    cloud.github.unavailable = { status: 502, times: 99 }
    expect(await line('ghs_administers')).toContain('did not answer')
  })
})

test('a list of runners is read to its end', async () => {
  for (let n = 0; n < 203; n++) cloud.github.register(`other-${n}`)
  const registry = new RunnerRegistry(world, jobOf(cloud), 'ghs_administers')
  expect(await registry.list()).toHaveLength(203)
  expect((await registry.named('other-150'))?.name).toBe('other-150')
  expect(await registry.named('none')).toBeUndefined()
})
