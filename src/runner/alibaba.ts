import { Cancelled, Failure, messageOf } from '../failure.ts'
import { retrying } from '../migration/retry.ts'
import type { World } from './context.ts'
import { parsedBody } from './http.ts'
import { type Credentials, signedHeaders } from './signature.ts'

/** An API of Alibaba Cloud: its address and the version that the calls are written for. */
export interface Api {
  /** `https://ecs.cn-hangzhou.aliyuncs.com`, without a path. */
  endpoint: string
  version: string
}

/** What an API refused. `code` decides what is made of it; the message is Alibaba Cloud's. */
export class AlibabaError extends Error {
  override readonly name = 'AlibabaError'
  readonly action: string
  readonly code: string
  readonly status: number
  /** The RAM action that the key lacks, where the answer names it. */
  readonly denied: string | undefined

  constructor(
    action: string,
    code: string,
    status: number,
    message: string,
    denied: string | undefined,
  ) {
    super(`${action}: ${code}: ${message}`)
    this.action = action
    this.code = code
    this.status = status
    this.denied = denied
  }
}

export type Parameters = Record<string, string | number | boolean | undefined>

/** Codes that pass by themselves: load, a failing service, a cluster that is being changed by somebody else. */
const passing =
  /^(Throttling(\..*)?|ServiceUnavailable(\..*)?|InternalError(\..*)?|LastTokenProcessing|IdempotentProcessing|OperationDenied\.DBClusterStatus|ConcurrentTaskExceeded|IncorrectInstanceStatus(\..*)?|UnknownError)$/

/** Calls RPC APIs of Alibaba Cloud with one key. What passes is tried again: callers give what may be made once a ClientToken. */
export class Alibaba {
  private readonly world: World
  private readonly credentials: Credentials

  constructor(world: World, credentials: Credentials) {
    this.world = world
    this.credentials = credentials
  }

  /**
   * @returns the answer's fields
   * @throws AlibabaError for what is refused; Failure for a key that is not accepted or lacks a right, and for an address that
   *   does not answer; Cancelled
   */
  async call(api: Api, action: string, parameters: Parameters): Promise<Record<string, unknown>> {
    try {
      return await retrying(this.world, () => this.once(api, action, parameters), {
        again: (error) => (error instanceof AlibabaError ? mayPass(error) : true),
        exhausted: (error) => error,
      })
    } catch (error) {
      if (error instanceof Cancelled) throw error
      if (error instanceof AlibabaError) throw refusal(error) ?? error
      throw new Failure(
        `${api.endpoint} could not be reached for ${action}`,
        messageOf(error),
        'Check region, the way of this job to the internet (https_proxy) or, inside a VPC, set network: vpc',
        { cause: error },
      )
    }
  }

  private async once(
    api: Api,
    action: string,
    parameters: Parameters,
  ): Promise<Record<string, unknown>> {
    const body = Object.entries(parameters)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value ?? '')}`)
      .join('&')
    const { host } = new URL(api.endpoint)
    const headers = signedHeaders({ host, action, version: api.version, body }, this.credentials)
    const sent = this.world.send({
      method: 'POST',
      url: `${api.endpoint}/`,
      headers: { ...headers, accept: 'application/json' },
      body,
    })
    const response = await orCancelled(sent, this.world.signal)
    const answer = (parsedBody(response) ?? {}) as Record<string, unknown>
    if (response.status >= 200 && response.status < 300 && answer.RequestId !== undefined)
      return answer
    const denied = (answer.AccessDeniedDetail as { AuthAction?: unknown } | undefined)?.AuthAction
    throw new AlibabaError(
      action,
      typeof answer.Code === 'string' ? answer.Code : 'UnknownError',
      response.status,
      typeof answer.Message === 'string' ? answer.Message : `HTTP status ${response.status}`,
      typeof denied === 'string' ? denied : undefined,
    )
  }
}

function mayPass(error: AlibabaError): boolean {
  return passing.test(error.code) || error.status === 429
}

/** A refusal that is the key's, in words; undefined for any other. */
function refusal(error: AlibabaError): Failure | undefined {
  const failure = (what: string, remedy: string) =>
    new Failure(what, error.message, remedy, { cause: error })
  const isRight = /^(Forbidden(\.RAM|\.NoPermission|\.SubUser)?|NoPermission)$/.test(error.code)
  if (isRight || error.denied !== undefined) {
    const right = error.denied ?? rightFor(error.action)
    return failure(
      `The RAM user or role has no right to ${right}`,
      `Allow ${right} in its policy; docs/runner.md has the whole policy to paste, with its conditions on tags`,
    )
  }
  if (/^InvalidAccessKeyId/.test(error.code))
    return failure(
      'Alibaba Cloud does not know the access key, or it is disabled',
      'Check ALIBABA_CLOUD_ACCESS_KEY_ID, or the step that assumes the role',
    )
  if (/^(SignatureDoesNotMatch|IncompleteSignature|InvalidSignature)/.test(error.code))
    return failure(
      'Alibaba Cloud does not accept the signature: the secret does not belong to the access key',
      'Check ALIBABA_CLOUD_ACCESS_KEY_SECRET for a missing character or a line break',
    )
  if (/^(InvalidSecurityToken|MissingSecurityToken|SecurityTokenExpired)/.test(error.code))
    return failure(
      'The security token of the assumed role is missing, wrong or expired',
      'Assume the role again right before this step, and pass ALIBABA_CLOUD_SECURITY_TOKEN together with its key',
    )
  if (/^(InvalidTimeStamp|IllegalTimestamp)/.test(error.code))
    return failure(
      'The clock of this runner is more than 15 minutes off',
      'Set the clock of the runner',
    )
  return undefined
}

function rightFor(action: string): string {
  return `${/DBCluster/.test(action) ? 'polardb' : 'ecs'}:${action}`
}

/** What `work` gives, unless the job is cancelled first; a request that was sent cannot be taken back. */
export async function orCancelled<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw new Cancelled()
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = () => reject(new Cancelled())
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', stop)
    work.catch(() => undefined)
  }
}
