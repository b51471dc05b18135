import { createHash } from 'node:crypto'
import { type Alibaba, AlibabaError, type Api } from './alibaba.ts'

/** What is asked of RunInstances beside where and of which type. */
export interface Machine {
  name: string
  securityGroup: string
  /** An image's id, or a family of images as `acs:ubuntu_24_04_x64`. */
  image: string
  /** GiB of the data disk. */
  diskGib: number
  /** Mbit/s of public bandwidth; 0 is no public address. */
  publicBandwidth: number
  /** When Alibaba Cloud releases it whatever happens, milliseconds since 1970. */
  releaseAt: number
  tags: Record<string, string>
}

/** One zone (that of the vSwitch) and one type of instance. */
export interface Candidate {
  vswitch: string
  instanceType: string
}

export interface Instance {
  id: string
  zone: string
  type: string
  status: string
  /** Milliseconds since 1970; Alibaba Cloud gives minutes. */
  createdAt: number
  address: string | undefined
  tags: Record<string, string>
}

/** Codes that mean: not here, not of this type, not now. Another zone or type may do. */
const notHere =
  /^(OperationDenied\.NoStock|NoInstanceStock|Zone\.NotOnSale|Zone\.NotOpen|ZoneId\.NotFound|InvalidResourceType\.NotSupported|InvalidInstanceType\.(NotSupported|ZoneNotSupported|NotSupportDiskCategory|ValueNotSupported|ValueUnauthorized)|InvalidVSwitchId\.IpNotEnough|QuotaExceed(ed)?\..*|QuotaExceed\.ElasticQuota|InvalidSystemDiskCategory\.ValueNotSupported|InvalidDataDiskCategory\.(NotSupported|ValueNotSupported))$/

/** Whether another zone or another type of instance is worth a try. */
export function isNoStock(error: unknown): error is AlibabaError {
  return error instanceof AlibabaError && notHere.test(error.code)
}

/** The few calls of the ECS API that are needed, each by its own name in the API reference. */
export class Ecs {
  private readonly alibaba: Alibaba
  private readonly api: Api
  private readonly region: string

  constructor(alibaba: Alibaba, api: Api, region: string) {
    this.alibaba = alibaba
    this.api = api
    this.region = region
  }

  /** Whether RunInstances would be accepted: rights, parameters, stock. @throws what it would be refused with */
  async check(machine: Machine, candidate: Candidate, userData: string): Promise<void> {
    try {
      await this.call('RunInstances', {
        ...this.parameters(machine, candidate, userData),
        DryRun: true,
      })
    } catch (error) {
      // the dry run answers "it would have worked" as an error of this code
      if (error instanceof AlibabaError && error.code === 'DryRunOperation') return
      throw error
    }
  }

  /**
   * Makes one instance. The same token never makes a second one: asked again, the API answers with the first.
   *
   * @param token at most 64 ASCII characters
   * @returns the instance's id
   */
  async run(
    machine: Machine,
    candidate: Candidate,
    userData: string,
    token: string,
  ): Promise<string> {
    const answer = await this.call('RunInstances', {
      ...this.parameters(machine, candidate, userData),
      ClientToken: token,
    })
    const [id] = list<string>(answer.InstanceIdSets, 'InstanceIdSet')
    if (!id) throw new TypeError('RunInstances gave no instance id')
    return id
  }

  /** All instances of the region that have these tags. */
  async find(tags: Record<string, string>): Promise<Instance[]> {
    const found: Instance[] = []
    let next: string | undefined
    do {
      const answer = await this.call('DescribeInstances', {
        ...numbered('Tag', tags),
        MaxResults: 100,
        NextToken: next,
      })
      for (const instance of list<Described>(answer.Instances, 'Instance'))
        found.push(readInstance(instance))
      next = typeof answer.NextToken === 'string' && answer.NextToken ? answer.NextToken : undefined
    } while (next)
    return found
  }

  /** Releases an instance, running or not. @returns false when it was gone already */
  async release(id: string): Promise<boolean> {
    try {
      await this.call('DeleteInstance', { InstanceId: id, Force: true })
      return true
    } catch (error) {
      if (error instanceof AlibabaError && /^InvalidInstanceId\.NotFound$/.test(error.code))
        return false
      throw error
    }
  }

  /** What the instance has written to its console so far. */
  async console(id: string): Promise<string> {
    const answer = await this.call('GetInstanceConsoleOutput', { InstanceId: id })
    return Buffer.from(String(answer.ConsoleOutput ?? ''), 'base64').toString('utf8')
  }

  private call(action: string, parameters: Record<string, string | number | boolean | undefined>) {
    return this.alibaba.call(this.api, action, { RegionId: this.region, ...parameters })
  }

  private parameters(machine: Machine, candidate: Candidate, userData: string) {
    const family = machine.image.startsWith('acs:')
    return {
      ...(family ? { ImageFamily: machine.image } : { ImageId: machine.image }),
      InstanceType: candidate.instanceType,
      VSwitchId: candidate.vswitch,
      SecurityGroupId: machine.securityGroup,
      InstanceName: machine.name,
      Description: 'A GitHub Actions runner, made by migrate-to-polardb and released by it',
      InstanceChargeType: 'PostPaid',
      Amount: 1,
      // no key, no password and no RAM role: nobody logs in, and the instance can do nothing in the account
      PasswordInherit: false,
      HttpEndpoint: 'enabled',
      HttpTokens: 'required',
      InternetMaxBandwidthOut: machine.publicBandwidth,
      ...(machine.publicBandwidth > 0 ? { InternetChargeType: 'PayByTraffic' } : {}),
      'SystemDisk.Category': 'cloud_essd',
      'SystemDisk.Size': 40,
      'DataDisk.1.Category': 'cloud_essd',
      'DataDisk.1.Size': machine.diskGib,
      'DataDisk.1.DeleteWithInstance': true,
      AutoReleaseTime: `${new Date(machine.releaseAt).toISOString().slice(0, 16)}:00Z`,
      UserData: Buffer.from(userData).toString('base64'),
      ...numbered('Tag', machine.tags),
    }
  }
}

/** A short digest of texts, for names that must not collide and may not be long. */
export function digest(length: number, ...texts: string[]): string {
  return createHash('sha256').update(texts.join('\0')).digest('hex').slice(0, length)
}

interface Described {
  InstanceId?: unknown
  ZoneId?: unknown
  InstanceType?: unknown
  Status?: unknown
  CreationTime?: unknown
  VpcAttributes?: { PrivateIpAddress?: { IpAddress?: unknown[] } }
  Tags?: { Tag?: { TagKey?: unknown; TagValue?: unknown }[] }
}

function readInstance(found: Described): Instance {
  const address = found.VpcAttributes?.PrivateIpAddress?.IpAddress?.[0]
  return {
    id: String(found.InstanceId),
    zone: String(found.ZoneId ?? ''),
    type: String(found.InstanceType ?? ''),
    status: String(found.Status ?? ''),
    createdAt: Date.parse(String(found.CreationTime)),
    address: typeof address === 'string' ? address : undefined,
    tags: Object.fromEntries(
      (found.Tags?.Tag ?? []).map(({ TagKey, TagValue }) => [String(TagKey), String(TagValue)]),
    ),
  }
}

function numbered(name: string, tags: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(tags).flatMap(([key, value], index) => [
      [`${name}.${index + 1}.Key`, key],
      [`${name}.${index + 1}.Value`, value],
    ]),
  )
}

/** Alibaba Cloud wraps a list in an object of one field. */
function list<T>(wrapped: unknown, field: string): T[] {
  const inner = (wrapped as Record<string, unknown> | undefined)?.[field]
  return Array.isArray(inner) ? (inner as T[]) : []
}
