import type { DownloadArtifactOptions, FindOptions, UploadArtifactOptions } from '@actions/artifact'
import * as core from '@actions/core'
import * as v from 'valibot'
import { count, fields, flag, list, readBy } from '../migration/kept/schema.ts'
import { runProgram } from '../postgres/programs/process.ts'
import { artifactProgram } from './artifact-program.ts'

/**
 * GitHub's artifact client, in a process of its own for each call. In ours it could not be cancelled, would end the process
 * when it cannot read a file (it throws from an event handler), would write texts of the service unescaped into the
 * runner's log, and would leave 200 MB of memory behind.
 */

export type ClientRequest =
  | {
      call: 'upload'
      name: string
      files: string[]
      directory: string
      options: UploadArtifactOptions
      /** With a low claim to the processors. */
      isGentle?: boolean
    }
  | { call: 'list'; options: FindOptions }
  | { call: 'get'; name: string; options: FindOptions }
  | { call: 'delete'; artifacts: readonly { name: string; digest: string }[] }
  | { call: 'download'; id: number; options: DownloadArtifactOptions & FindOptions }

const words = v.string('is no text')

const artifact = fields({ name: words, id: count, size: count, digest: v.nullish(words) })
/** As GitHub has it in its list. */
export type ListedArtifact = v.InferOutput<typeof artifact>

/** What is read of the client's answer to each call. */
interface Answers {
  upload: { id?: number | undefined; size?: number | undefined }
  list: ListedArtifact[]
  get: ListedArtifact
  /** Those that could not be deleted, each with the reason. */
  delete: { name: string; why: string }[]
  download: { digestMismatch?: boolean | undefined }
}

const answers: { [C in ClientRequest['call']]: v.GenericSchema<unknown, Answers[C]> } = {
  upload: fields({ id: v.optional(count), size: v.optional(count) }),
  list: list(artifact),
  get: artifact,
  delete: list(fields({ name: words, why: words })),
  download: fields({ digestMismatch: v.optional(flag) }),
}

/** What the process says, one at a time: how far it is, a line of the client's log, and at last an error or a result. */
const clientMessage = v.union([
  fields({ bytes: count }),
  fields({ line: words }),
  fields({ error: fields({ name: words, message: words, status: v.optional(count) }) }),
  fields({ result: v.unknown() }),
])
export type ClientMessage = v.InferOutput<typeof clientMessage>

/** What went wrong in the client, or with its process. */
export class ClientError extends Error {
  /** The client's own name for it, `GHESNotSupportedError` say; `PackingError` for a file that could not be read. */
  readonly kind: string
  /** The HTTP status of GitHub's REST API. */
  readonly status: number | undefined

  constructor(kind: string, message: string, status?: number) {
    super(message)
    this.kind = kind
    this.status = status
  }
}

export type Environment = Record<string, string | undefined>

/** What the client and Node's TLS and proxies read; the job's other variables, secrets among them, stay here. */
const inherited =
  /^(ACTIONS_(RUNTIME_TOKEN|RESULTS_URL|ARTIFACT_\w+|ORCHESTRATION_ID)|GITHUB_(SERVER_URL|API_URL|RETENTION_DAYS)|(https?|no|all)_proxy|SSL_CERT_(FILE|DIR)|NODE_(OPTIONS|EXTRA_CA_CERTS|USE_ENV_PROXY|USE_SYSTEM_CA|TLS_REJECT_UNAUTHORIZED)|LANG|LC_ALL|TZ)$/i

/** With many small files, Node's and malloc's defaults keep twice the memory that is in use. */
const thrift = ['--max-semi-space-size=4']
const thriftyMalloc = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '131072' }

export interface Listener {
  /** Told every line of the client's log, without the signatures of URLs. */
  onLine: (line: string) => void
  /** Told the bytes sent or received so far. */
  onBytes?: ((bytes: number) => void) | undefined
}

/**
 * Makes one call of the client.
 *
 * @param patience milliseconds of silence after which the call has failed: the client itself would wait for ever for an
 *   answer of the service
 * @throws ClientError; Cancelled, when the process is gone
 */
export async function callClient<C extends ClientRequest['call']>(
  request: Extract<ClientRequest, { call: C }>,
  environment: Environment,
  listener: Listener,
  signal: AbortSignal,
  patience: number,
): Promise<Answers[C]> {
  const program = await artifactProgram()
  let last: Extract<ClientMessage, { error: unknown } | { result: unknown }> | undefined
  const silence = new AbortController()
  const timer = setTimeout(() => silence.abort(), patience)
  try {
    const { code, killedBy, stderr } = await runProgram(process.execPath, [...thrift, program], {
      env: { ...only(inherited, environment), ...thriftyMalloc },
      signal: AbortSignal.any([signal, silence.signal]),
      input: JSON.stringify(request),
      keep: 4096,
      onErrorLine(text) {
        timer.refresh()
        const message = parseMessage(text)
        if ('bytes' in message) listener.onBytes?.(message.bytes)
        else if ('line' in message) hear(message.line, listener.onLine)
        else last = message
      },
    })
    // it kills itself when it has answered
    if (last && 'result' in last) return readAnswer(request.call, last.result)
    if (last) throw new ClientError(last.error.name, last.error.message, last.error.status)
    const said = withoutSignatures(stderr.trim().split('\n').at(-1) ?? '')
    throw new ClientError(
      'ProcessError',
      `the artifact client ended with ${killedBy ?? `code ${code}`}: ${said}`,
    )
  } catch (error) {
    if (signal.aborted || !silence.signal.aborted) throw error
    throw new ClientError('Silence', `nothing happened for ${patience / 1000} s`)
  } finally {
    clearTimeout(timer)
  }
}

function only(names: RegExp, environment: Environment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter(
      (entry): entry is [string, string] => names.test(entry[0]) && entry[1] !== undefined,
    ),
  )
}

/**
 * What the client has answered to a call.
 *
 * @throws ClientError where something that is read of it is missing or of another type
 */
export function readAnswer<C extends ClientRequest['call']>(call: C, result: unknown): Answers[C] {
  const schema: v.GenericSchema<unknown, Answers[C]> = answers[call]
  return readBy(
    schema,
    result,
    { whole: 'result' },
    (flaw) => new ClientError('AnswerError', `GitHub's artifact client answered, but ${flaw}`),
  )
}

/**
 * One line of what the process writes to stderr.
 *
 * @returns a line of the log where it is no message: Node itself speaks there, too, a warning or the last words of a crash
 */
export function parseMessage(text: string): ClientMessage {
  try {
    const { success, output } = v.safeParse(clientMessage, JSON.parse(text))
    if (success) return output
  } catch {
    // no JSON
  }
  return { line: text }
}

function hear(line: string, onLine: (line: string) => void): void {
  const mask = /^::add-mask::(.+)$/.exec(line)?.[1]
  if (mask === undefined)
    onLine(withoutSignatures(line.replace(/^::\w+::/, '').replaceAll('%0A', ' ')))
  else core.setSecret(mask.replaceAll('%0D', '\r').replaceAll('%0A', '\n').replaceAll('%25', '%'))
}

/** A text without the queries of its URLs: the signature in one is as good as a password. */
export function withoutSignatures(text: string): string {
  return text.replace(/(https?:\/\/[^\s?'"]+)\?[^\s'"]*/g, '$1')
}
