/**
 * A stand-in for the APIs that make and release a runner: Alibaba Cloud's ECS and PolarDB (RPC, signed with ACS3-HMAC-SHA256) and
 * GitHub's runners of a repository. It checks what the real ones check (signature, nonce, clock, every parameter by its name and
 * form, rights, idempotency by ClientToken) and keeps what was made, so that a test can see what is left.
 */
import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { GitHubRunners, type StandInRunner } from './github-runners-standin.ts'

export interface MadeInstance {
  InstanceId: string
  ZoneId: string
  InstanceType: string
  Status: string
  CreationTime: string
  tags: Record<string, string>
  parameters: Record<string, string>
  userData: string
}

type Parameters = Record<string, string>
type Fields = Record<string, unknown>

class Refusal {
  readonly status: number
  readonly body: Fields

  constructor(status: number, code: string, message: string, more: Fields = {}) {
    this.status = status
    this.body = { Code: code, Message: message, ...more }
  }
}

/** Parameters of RunInstances that are known here, as patterns of name and value. Anything else is refused. */
const runParameters: [RegExp, RegExp][] = [
  [/^RegionId$/, /^cn-hangzhou$/],
  [/^ImageFamily$/, /^acs:[a-z0-9_]+$/],
  [/^ImageId$/, /^[a-z0-9_.-]+$/],
  [/^InstanceType$/, /^ecs\.[a-z0-9.]+$/],
  [/^VSwitchId$/, /^vsw-[a-z0-9]+$/],
  [/^SecurityGroupId$/, /^sg-[a-z0-9]+$/],
  [/^InstanceName$/, /^[a-z][a-z0-9-]{1,127}$/],
  [/^Description$/, /^.{2,256}$/],
  [/^InstanceChargeType$/, /^PostPaid$/],
  [/^Amount$/, /^1$/],
  [/^PasswordInherit$/, /^false$/],
  [/^HttpEndpoint$/, /^enabled$/],
  [/^HttpTokens$/, /^(optional|required)$/],
  [/^InternetMaxBandwidthOut$/, /^\d{1,3}$/],
  [/^InternetChargeType$/, /^PayByTraffic$/],
  [/^(System|Data)Disk(\.1)?\.Category$/, /^cloud_essd$/],
  [/^(System|Data)Disk(\.1)?\.Size$/, /^\d+$/],
  [/^DataDisk\.1\.DeleteWithInstance$/, /^true$/],
  [/^AutoReleaseTime$/, /^\d{4}-\d\d-\d\dT\d\d:\d\d:00Z$/],
  [/^UserData$/, /^[A-Za-z0-9+/=]+$/],
  [/^Tag\.\d\.Key$/, /^(?!aliyun|acs:)[^:]{1,128}$/],
  [/^Tag\.\d\.Value$/, /^.{1,128}$/],
  [/^ClientToken$/, /^[\x21-\x7e]{1,64}$/],
  [/^DryRun$/, /^true$/],
]

export interface CloudOptions {
  /** The id of the one cluster that there is. */
  cluster?: string
  /** The repository whose runners there are, `owner/name`. */
  repository?: string
}

export class CloudStandIn {
  readonly key = { id: 'LTAI5tStandIn', secret: 'stand-in secret/with+signs' }
  readonly securityToken = 'sts-token+of/the=role'
  /** Actions in the order in which they came: `RunInstances DryRun`, `POST /actions/runners/generate-jitconfig`. */
  readonly calls: string[] = []
  /** The parameters of each call to Alibaba Cloud. */
  readonly received: Parameters[] = []
  readonly instances = new Map<string, MadeInstance>()
  /** How many instances were ever made. */
  made = 0
  /** Groups of the cluster's whitelist. */
  readonly groups = new Map<string, string>([['default', '127.0.0.1']])
  readonly cluster: string
  readonly github: GitHubRunners

  /** RAM actions that the key lacks. */
  readonly denied = new Set<string>()
  /** `type vswitch` pairs without stock; `late` ones are found out only after the dry run. */
  readonly noStock = new Set<string>()
  readonly lateNoStock = new Set<string>()
  /** So many calls of an action are answered with this code and status first. */
  readonly faults: { action: string; code: string; status: number; times: number }[] = []
  /** So many calls of RunInstances make their instance and then lose the answer. */
  loseAnswers = 0
  /** Calls of this action are answered only when the promise resolves. */
  hold: { action: string; until: Promise<void> } | undefined
  /** Runners come online after so many looks; Infinity for never. */
  looksUntilOnline = 2
  /** What the console shows. */
  console = ''
  /** What a new instance's state becomes. */
  state = 'Running'

  readonly #tokens = new Map<string, { id: string; parameters: string }>()
  readonly #nonces = new Set<string>()
  readonly #server = createServer((request, response) => void this.#serve(request, response))
  #url = ''

  private constructor({ cluster, repository }: CloudOptions) {
    this.cluster = cluster ?? 'pc-standin'
    this.github = new GitHubRunners(this.calls, repository)
  }

  static async start(options: CloudOptions = {}): Promise<CloudStandIn> {
    const cloud = new CloudStandIn(options)
    await new Promise<void>((resolve) => cloud.#server.listen(0, '127.0.0.1', resolve))
    const address = cloud.#server.address()
    if (!address || typeof address === 'string') throw new Error('the server has no port')
    cloud.#url = `http://127.0.0.1:${address.port}`
    return cloud
  }

  get url(): string {
    return this.#url
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeAllConnections()
    await closed
  }

  /** What is left of everything that start makes. */
  left(): { instances: string[]; groups: string[]; runners: string[] } {
    return {
      instances: [...this.instances.keys()],
      groups: [...this.groups.keys()].filter((name) => name !== 'default'),
      runners: [...this.github.runners.values()].map(({ name }) => name),
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks).toString()
    const send = (status: number, fields: unknown, headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(fields === undefined ? undefined : JSON.stringify(fields))
    }
    if (request.url?.startsWith('/api/')) {
      this.#bringOnline()
      const answer = this.github.answer(request, body)
      return send(answer.status, answer.body, answer.headers)
    }
    const action = String(request.headers['x-acs-action'])
    try {
      this.#checkSignature(request, body)
      const parameters = Object.fromEntries(new URLSearchParams(body)) as Parameters
      this.received.push(parameters)
      this.calls.push(parameters.DryRun === 'true' ? `${action} DryRun` : action)
      if (this.hold?.action === action && parameters.DryRun !== 'true') await this.hold.until
      const answer = this.#act(action, parameters, String(request.headers['x-acs-version']))
      if (action === 'RunInstances' && this.loseAnswers-- > 0) return void response.destroy()
      send(200, { RequestId: 'R', ...answer })
    } catch (error) {
      if (!(error instanceof Refusal))
        return send(500, { Code: 'StandInError', Message: String(error) })
      send(error.status, { RequestId: 'R', ...error.body })
    }
  }

  /** Written from the documentation of the signature, apart from the client's own code. */
  #checkSignature(request: IncomingMessage, body: string): void {
    const header = (name: string) => String(request.headers[name] ?? '')
    const [, id, signed = '', given] =
      /^ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})$/.exec(
        header('authorization'),
      ) ?? []
    if (id !== this.key.id)
      throw new Refusal(404, 'InvalidAccessKeyId.NotFound', 'Specified access key is not found.')
    const bodyHash = createHash('sha256').update(body).digest('hex')
    let canonical = `${request.method}\n/\n${(request.url ?? '').split('?')[1] ?? ''}\n`
    for (const name of signed.split(';')) canonical += `${name}:${header(name)}\n`
    canonical += `\n${signed}\n${bodyHash}`
    const hash = createHash('sha256').update(canonical).digest('hex')
    const expected = createHmac('sha256', this.key.secret)
      .update(`ACS3-HMAC-SHA256\n${hash}`)
      .digest('hex')
    const mustBeSigned = Object.keys(request.headers).filter((name) =>
      /^(host|content-type|x-acs-.*)$/.test(name),
    )
    if (
      given !== expected ||
      header('x-acs-content-sha256') !== bodyHash ||
      mustBeSigned.some((name) => !signed.split(';').includes(name))
    )
      throw new Refusal(400, 'SignatureDoesNotMatch', 'Specified signature does not match.')
    if (Math.abs(Date.parse(header('x-acs-date')) - Date.now()) > 15 * 60_000)
      throw new Refusal(400, 'InvalidTimeStamp.Expired', 'Specified time stamp is expired.')
    const nonce = header('x-acs-signature-nonce')
    if (nonce.length < 16 || this.#nonces.has(nonce))
      throw new Refusal(400, 'SignatureNonceUsed', 'Specified signature nonce was used already.')
    this.#nonces.add(nonce)
    const token = request.headers['x-acs-security-token']
    if (token !== undefined && token !== this.securityToken)
      throw new Refusal(400, 'InvalidSecurityToken.Expired', 'Specified SecurityToken is expired.')
  }

  #act(action: string, parameters: Parameters, version: string): Fields {
    const product = /DBCluster/.test(action) ? 'polardb' : 'ecs'
    if (version !== (product === 'ecs' ? '2014-05-26' : '2017-08-01'))
      throw new Refusal(400, 'InvalidVersion', 'Specified parameter Version is not valid.')
    if (this.denied.has(`${product}:${action}`))
      throw new Refusal(403, 'Forbidden.RAM', 'User not authorized to operate on the resource.', {
        AccessDeniedDetail: { AuthAction: `${product}:${action}` },
      })
    const fault = this.faults.find((one) => one.action === action && one.times > 0)
    if (fault) {
      fault.times--
      throw new Refusal(fault.status, fault.code, 'a fault that the test asked for')
    }
    switch (action) {
      case 'RunInstances':
        return this.#run(parameters)
      case 'DescribeInstances':
        return this.#describe(parameters)
      case 'DeleteInstance':
        return this.#delete(parameters)
      case 'GetInstanceConsoleOutput':
        return { ConsoleOutput: Buffer.from(this.console).toString('base64') }
      case 'DescribeDBClusterAccessWhitelist':
        this.#checkCluster(parameters)
        return {
          Items: {
            DBClusterIPArray: [...this.groups].map(([DBClusterIPArrayName, SecurityIps]) => ({
              ...{ DBClusterIPArrayName, SecurityIps, DBClusterIPArrayAttribute: '' },
            })),
          },
        }
      case 'ModifyDBClusterAccessWhitelist':
        return this.#modifyWhitelist(parameters)
      default:
        throw new Refusal(404, 'InvalidAction.NotFound', `no action ${action}`)
    }
  }

  #run(parameters: Parameters): Fields {
    for (const [name, value] of Object.entries(parameters)) {
      const known = runParameters.find(([pattern]) => pattern.test(name))
      if (!known?.[1].test(value))
        throw new Refusal(400, `Invalid${name}`, `The parameter ${name} is not valid.`)
    }
    for (const name of ['InstanceType', 'VSwitchId', 'SecurityGroupId', 'UserData'])
      if (!parameters[name]) throw new Refusal(400, `MissingParameter`, `${name} is missing`)
    const userData = Buffer.from(parameters.UserData ?? '', 'base64').toString()
    if (Buffer.byteLength(userData) > 32768)
      throw new Refusal(400, 'InvalidUserData.SizeExceeded', 'The user data is too large.')
    if (Date.parse(parameters.AutoReleaseTime ?? '') < Date.now() + 29 * 60_000)
      throw new Refusal(400, 'InvalidAutoReleaseTime.Malformed', 'The time is too near.')
    if (parameters.ImageFamily === 'acs:ubuntu_16_04_x64')
      throw new Refusal(404, 'InvalidImageFamily.NotFound', 'The image family does not exist.')
    const where = `${parameters.InstanceType} ${parameters.VSwitchId}`
    const isDry = parameters.DryRun === 'true'
    if (this.noStock.has(where) || (!isDry && this.lateNoStock.has(where)))
      throw new Refusal(403, 'OperationDenied.NoStock', 'The resource is out of stock.')
    if (isDry) throw new Refusal(400, 'DryRunOperation', 'Request validation has been passed.')
    const token = parameters.ClientToken ?? ''
    const same = JSON.stringify(Object.entries(parameters).sort())
    const earlier = this.#tokens.get(token)
    if (earlier && earlier.parameters !== same)
      throw new Refusal(400, 'IdempotentParameterMismatch', 'The token was used otherwise.')
    if (earlier) return { InstanceIdSets: { InstanceIdSet: [earlier.id] } }
    const id = `i-standin${++this.made}`
    if (token) this.#tokens.set(token, { id, parameters: same })
    this.instances.set(id, {
      ...{ InstanceId: id, InstanceType: parameters.InstanceType ?? '', Status: this.state },
      ZoneId: `cn-hangzhou-${parameters.VSwitchId?.slice(-1)}`,
      CreationTime: `${new Date().toISOString().slice(0, 16)}Z`,
      tags: tagsIn(parameters),
      parameters,
      userData,
    })
    return { InstanceIdSets: { InstanceIdSet: [id] } }
  }

  /** One instance a page, so that every client has to turn pages. */
  #describe(parameters: Parameters): Fields {
    const wanted = Object.entries(tagsIn(parameters))
    const all = [...this.instances.values()].filter(({ tags }) =>
      wanted.every(([key, value]) => tags[key] === value),
    )
    const from = Number(parameters.NextToken ?? 0)
    const Instance = all.slice(from, from + 1).map((instance, index) => ({
      ...instance,
      ...{ tags: undefined, parameters: undefined, userData: undefined },
      Tags: {
        Tag: Object.entries(instance.tags).map(([TagKey, TagValue]) => ({ TagKey, TagValue })),
      },
      VpcAttributes: { PrivateIpAddress: { IpAddress: [`10.0.0.${from + index + 1}`] } },
    }))
    return {
      Instances: { Instance },
      NextToken: from + 1 < all.length ? String(from + 1) : '',
    }
  }

  #delete({ InstanceId = '', Force }: Parameters): Fields {
    const instance = this.instances.get(InstanceId)
    if (!instance)
      throw new Refusal(404, 'InvalidInstanceId.NotFound', 'The instance does not exist.')
    if (Force !== 'true' && instance.Status === 'Running')
      throw new Refusal(403, 'IncorrectInstanceStatus', 'The instance is running.')
    this.instances.delete(InstanceId)
    const runner = this.#runnerOf(instance)
    if (runner) runner.status = 'offline'
    return {}
  }

  #modifyWhitelist(parameters: Parameters): Fields {
    this.#checkCluster(parameters)
    const { DBClusterIPArrayName: name = 'default', SecurityIps = '', ModifyMode } = parameters
    if (!/^[a-z][a-z0-9]{0,118}[a-z0-9]$/.test(name) || name === 'default')
      throw new Refusal(400, 'InvalidSecurityIPListName', 'The name of the group is not valid.')
    if (!/^\d+(\.\d+){3}$/.test(SecurityIps))
      throw new Refusal(400, 'InvalidSecurityIPList.Format', 'The list is not valid.')
    if (ModifyMode === 'Cover') this.groups.set(name, SecurityIps)
    else if (ModifyMode === 'Delete' && this.groups.get(name) === SecurityIps)
      this.groups.delete(name)
    else throw new Refusal(400, 'InvalidModifyMode', 'The mode is not valid.')
    return {}
  }

  #checkCluster({ DBClusterId }: Parameters): void {
    if (DBClusterId !== this.cluster)
      throw new Refusal(404, 'InvalidDBClusterId.NotFound', 'The cluster does not exist.')
  }

  /** The runner of an instance whose user data hold its configuration comes online after some looks. */
  #bringOnline(): void {
    for (const instance of this.instances.values()) {
      const runner = this.#runnerOf(instance)
      if (runner && instance.Status === 'Running' && ++runner.looks > this.looksUntilOnline)
        runner.status = 'online'
    }
  }

  #runnerOf({ userData }: MadeInstance): StandInRunner | undefined {
    const configuration = /^configuration='([^']+)'$/m.exec(userData)?.[1]
    return [...this.github.runners.values()].find((one) => one.configuration === configuration)
  }
}

function tagsIn(parameters: Parameters): Record<string, string> {
  const tags: Record<string, string> = {}
  for (let n = 1; parameters[`Tag.${n}.Key`] !== undefined; n++)
    tags[parameters[`Tag.${n}.Key`] ?? ''] = parameters[`Tag.${n}.Value`] ?? ''
  return tags
}
