/**
 * A stand-in for GitHub's results service: what `@actions/artifact` talks to. It keeps artifacts in files, speaks the
 * service's Twirp methods and its blob store's uploads in blocks, and the REST routes by which another run's artifacts
 * are found and fetched. It checks what the real one checks: tokens, signatures of URLs, names, sizes and digests.
 */
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { guard } from './server.ts'

/** What may go wrong; a test sets and clears these while the server runs. */
export interface Faults {
  /** Names for which the answer is 409, as when another job of the run has taken them. */
  takenNames: Set<string>
  /** So many calls of the service's methods answer this status first. */
  rpc: { status: number; times: number }
  /** So many uploads and downloads answer this status first. */
  blob: { status: number; times: number }
  /** So many upload requests are cut after so many bytes of their body. */
  cutUpload: { after: number; times: number }
  /** So many downloads are cut after so many bytes. */
  cutDownload: { after: number; times: number }
  /** So many upload requests are never answered, their body read no further than this. */
  stallUpload: { after: number; times: number }
  /** So many downloads stop after so many bytes and stay open. */
  stallDownload: { after: number; times: number }
  /** After so many blocks the upload URL has expired: 401 from then on. */
  unauthorizedAfterBlocks: number
  /** Downloads have one byte changed in the middle. */
  corruptDownload: boolean
}

export interface StoredArtifact {
  id: number
  name: string
  run: string
  job: string
  size: number
  /** `sha256:…` of the file at `path`. */
  digest: string
  /** The zip (or the raw file) as it was uploaded. */
  path: string
  mimeType: string
  expiresAt: string | null
}

/** A run of a workflow, as the REST API lists it. */
export interface ListedRun {
  id: number
  event: string
  path: string
  head_branch: string
  head_repository: { full_name: string } | null
}

interface Entry extends StoredArtifact {
  blob: string
  createdAt: string
  finalized: boolean
}

type Answer = { status: number; body?: unknown; headers?: Record<string, string> }
type Fields = Record<string, string | undefined>

const service = '/twirp/github.actions.results.api.v1.ArtifactService/'

export class ResultsServer {
  /** The token for the REST routes: what `github-token` takes. */
  readonly githubToken = `ghs_${randomUUID().replaceAll('-', '')}`
  /** With which its URLs give access to blobs. */
  readonly signature = randomUUID()
  /** Every request so far: method and path, without what is secret in it. */
  readonly requests: string[] = []
  readonly faults: Faults = noFaults()
  /** Bits a second that it takes of all uploads together. */
  uploadRate = Number.POSITIVE_INFINITY
  /** The completed runs of `shop/migration`, whose default branch is `main`, by the file of their workflow. */
  readonly runs: ListedRun[] = []
  /** The status that the routes for runs answer with instead. */
  refusal: number | undefined
  /** Ids of artifacts whose time is over: they are listed, and cannot be had. */
  readonly expired = new Set<number>()
  readonly directory: string
  readonly #dismissGuard: (() => Promise<void>) | undefined
  readonly #tokens = new Set<string>()
  readonly #artifacts: Entry[] = []
  readonly #server = createServer((request, response) => void this.#serve(request, response))
  #lastId = 0
  /** Names of artifacts of earlier attempts of a run do not stand in the way of this one's; a list shows them all the same. */
  readonly #earlier = new Set<Entry>()
  #blocks = 0
  /** When what was taken by now has gone over a line of the rate. */
  #taken = 0
  #url = ''

  private constructor(directory: string | undefined) {
    this.directory = directory ?? mkdtempSync(join(tmpdir(), 'results-'))
    this.#dismissGuard = directory === undefined ? guard(this.directory) : undefined
    mkdirSync(this.directory, { recursive: true })
  }

  /** @param options `directory`: where artifacts are kept, and stay; without it a temporary one, removed by `stop` */
  static async start(options: { directory?: string } = {}): Promise<ResultsServer> {
    const server = new ResultsServer(options.directory)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    server.#server.on('error', reject)
    server.#server.listen(0, '127.0.0.1', resolve)
    await promise
    const address = server.#server.address()
    if (!address || typeof address === 'string') throw new Error('the server has no port')
    server.#url = `http://127.0.0.1:${address.port}`
    return server
  }

  get url(): string {
    return this.#url
  }

  /** The token that a job's runner hands to its actions; an unsigned JWT, which is all that the client reads. */
  runtimeToken(run = '1', job = '1'): string {
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const claims = { scp: `Actions.Results:${run}:${job}`, jti: randomUUID() }
    const token = `${encode({ alg: 'none', typ: 'JWT' })}.${encode(claims)}.signature`
    this.#tokens.add(token)
    return token
  }

  /** The environment of an action in such a job. */
  environment(run = '1', job = '1'): Record<string, string> {
    return {
      ACTIONS_RUNTIME_TOKEN: this.runtimeToken(run, job),
      ACTIONS_RESULTS_URL: `${this.url}/`,
      GITHUB_API_URL: this.url,
      GITHUB_RUN_ID: run,
    }
  }

  /** The artifacts whose upload is complete, the oldest first. */
  artifacts(): StoredArtifact[] {
    return this.#artifacts
      .filter((one) => one.finalized)
      .map(({ blob: _, createdAt: __, finalized: ___, ...artifact }) => artifact)
  }

  /** The job is run again: what there is by now belongs to an earlier attempt. */
  newAttempt(): void {
    for (const one of this.#artifacts) this.#earlier.add(one)
  }

  /** Takes every fault back. */
  heal(): void {
    Object.assign(this.faults, noFaults())
  }

  async stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#server.close(() => resolve())
    this.#server.closeAllConnections()
    await promise
    if (!this.#dismissGuard) return
    rmSync(this.directory, { recursive: true, force: true })
    await this.#dismissGuard()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url)
    this.requests.push(`${request.method} ${url.pathname}`)
    try {
      if (url.pathname.startsWith('/blob/')) return await this.#blob(url, request, response)
      const answer = url.pathname.startsWith(service)
        ? await this.#rpc(url.pathname.slice(service.length), request)
        : this.#rest(url, request)
      response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers })
      response.end(answer.body === undefined ? undefined : JSON.stringify(answer.body))
    } catch (error) {
      if (response.headersSent || request.destroyed) response.destroy()
      else response.writeHead(500).end(String(error))
    }
  }

  async #rpc(method: string, request: IncomingMessage): Promise<Answer> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    if (!token || !this.#tokens.has(token)) return refuse(401, 'unauthenticated', 'invalid token')
    if (spend(this.faults.rpc))
      return refuse(this.faults.rpc.status, 'unavailable', 'a fault that the test asked for')
    const fields = JSON.parse(Buffer.concat(chunks).toString()) as Fields
    const run = fields.workflow_run_backend_id ?? ''
    const ofRun = this.#artifacts.filter((one) => one.run === run)
    const named =
      ofRun.find((one) => one.name === fields.name && !this.#earlier.has(one)) ??
      (method === 'CreateArtifact'
        ? undefined
        : ofRun.findLast((one) => one.name === fields.name && one.finalized))
    switch (method) {
      case 'CreateArtifact':
        return this.#create(fields, named)
      case 'FinalizeArtifact':
        return named ? this.#finalize(named, fields) : refuse(404, 'not_found', 'no such artifact')
      case 'ListArtifacts': {
        const wanted = ofRun.filter(
          (one) =>
            one.finalized &&
            (!fields.name_filter || one.name === fields.name_filter) &&
            (!fields.id_filter || String(one.id) === fields.id_filter),
        )
        return { status: 200, body: { artifacts: wanted.map(listed) } }
      }
      case 'GetSignedArtifactURL':
        return named?.finalized && named.job === fields.workflow_job_run_backend_id
          ? { status: 200, body: { signed_url: this.#signed(named) } }
          : refuse(404, 'not_found', 'no such artifact')
      case 'DeleteArtifact':
        return this.#delete(
          ofRun.find(
            (one) => one.name === fields.name && one.job === fields.workflow_job_run_backend_id,
          ),
        )
      default:
        return refuse(404, 'bad_route', `no method ${method}`)
    }
  }

  #delete(entry: Entry | undefined): Answer {
    if (!entry) return refuse(404, 'not_found', 'no such artifact')
    this.#forget(entry)
    return { status: 200, body: { ok: true, artifact_id: String(entry.id) } }
  }

  #create(fields: Fields, existing: Entry | undefined): Answer {
    const name = fields.name ?? ''
    if (existing?.finalized || this.faults.takenNames.has(name))
      return refuse(
        409,
        'already_exists',
        'an artifact with this name already exists on the workflow run',
      )
    if (!name || /[":<>|*?\r\n\\/]/.test(name))
      return refuse(400, 'invalid_argument', 'the artifact name is not valid')
    if (existing) this.#forget(existing)
    const mimeType = fields.mime_type ?? 'application/zip'
    const id = ++this.#lastId
    const blob = `${id}${mimeType === 'application/zip' ? '.zip' : ''}`
    const entry: Entry = {
      ...{ id, name, blob, mimeType, size: 0, digest: '', finalized: false },
      run: fields.workflow_run_backend_id ?? '',
      job: fields.workflow_job_run_backend_id ?? '',
      path: join(this.directory, blob),
      expiresAt: fields.expires_at ?? null,
      createdAt: new Date().toISOString(),
    }
    this.#artifacts.push(entry)
    return { status: 200, body: { ok: true, signed_upload_url: this.#signed(entry) } }
  }

  async #finalize(entry: Entry, fields: Fields): Promise<Answer> {
    const { size } = await stat(entry.path)
    const hash = createHash('sha256')
    await pipeline(createReadStream(entry.path), hash)
    const digest = `sha256:${hash.digest('hex')}`
    if (String(size) !== fields.size || digest !== fields.hash)
      return refuse(400, 'invalid_argument', 'size or hash do not match what was uploaded')
    Object.assign(entry, { size, digest, finalized: true })
    return { status: 200, body: { ok: true, artifact_id: String(entry.id) } }
  }

  #forget(entry: Entry): void {
    this.#artifacts.splice(this.#artifacts.indexOf(entry), 1)
    rmSync(entry.path, { force: true })
  }

  #signed(entry: Entry): string {
    return `${this.url}/blob/${entry.blob}?sig=${this.signature}`
  }

  /** The routes of api.github.com. */
  #rest(url: URL, request: IncomingMessage): Answer {
    const ofRuns = this.#runs(url, request)
    if (ofRuns) return ofRuns
    const route =
      /^\/repos\/[^/]+\/[^/]+\/actions\/(?:runs\/(\d+)\/artifacts|artifacts\/(\d+)(\/zip)?)$/
    const [matched, run, id, zip] = route.exec(url.pathname) ?? []
    if (!matched) return { status: 404, body: { message: 'Not Found' } }
    if (!/^(token|bearer) /i.test(request.headers.authorization ?? ''))
      return { status: 401, body: { message: 'Requires authentication' } }
    if (!request.headers.authorization?.endsWith(` ${this.githubToken}`))
      return { status: 401, body: { message: 'Bad credentials' } }
    const done = this.#artifacts.filter((one) => one.finalized)
    if (run) {
      const name = url.searchParams.get('name')
      const all = done.filter((one) => one.run === run && (!name || one.name === name))
      const size = Number(url.searchParams.get('per_page') ?? 30)
      const from = (Number(url.searchParams.get('page') ?? 1) - 1) * size
      const page = all
        .slice(from, from + size)
        .map((entry) => ({ ...published(entry), expired: this.expired.has(entry.id) }))
      return { status: 200, body: { total_count: all.length, artifacts: page } }
    }
    const entry = done.find((one) => String(one.id) === id)
    if (!entry) return { status: 404, body: { message: 'Not Found' } }
    if (request.method === 'DELETE') {
      this.#forget(entry)
      return { status: 204 }
    }
    if (this.expired.has(entry.id))
      return { status: 410, body: { message: 'Artifact has expired' } }
    if (!zip) return { status: 200, body: published(entry) }
    return { status: 302, headers: { location: this.#signed(entry) } }
  }

  /** The repository and the runs of a workflow; nothing where the path is another one. */
  #runs(url: URL, request: IncomingMessage): Answer | undefined {
    const [matched, file] =
      /^\/repos\/shop\/migration(?:\/actions\/workflows\/([^/]+)\/runs)?$/.exec(url.pathname) ?? []
    if (!matched) return undefined
    if (this.refusal !== undefined)
      return { status: this.refusal, body: { message: 'Resource not accessible by integration' } }
    if (request.headers.authorization !== `Bearer ${this.githubToken}`)
      return { status: 401, body: { message: 'Bad credentials' } }
    if (file === undefined) return { status: 200, body: { default_branch: 'main' } }
    // of all branches, whatever was asked for: whoever relies on the branch looks at it
    const name = `/${decodeURIComponent(file)}`
    const all = this.runs.filter(({ path }) => path.split('@')[0]?.endsWith(name))
    return { status: 200, body: { total_count: all.length, workflow_runs: all } }
  }

  async #blob(url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const entry = this.#artifacts.find((one) => url.pathname === `/blob/${one.blob}`)
    if (!entry) return void response.writeHead(404).end()
    const block = url.searchParams.get('comp') === 'block'
    const expired = block && this.#blocks >= this.faults.unauthorizedAfterBlocks
    if (url.searchParams.get('sig') !== this.signature || expired) {
      request.resume()
      return void response.writeHead(401, { 'x-ms-error-code': 'AuthenticationFailed' }).end()
    }
    if (spend(this.faults.blob)) {
      request.resume()
      return void response.writeHead(this.faults.blob.status).end()
    }
    if (request.method === 'GET') return this.#download(entry, response)
    if (block) {
      const id = Buffer.from(url.searchParams.get('blockid') ?? '', 'base64').toString('hex')
      await this.#receive(request, `${entry.path}.${id}`)
      this.#blocks++
    } else if (url.searchParams.get('comp') === 'blocklist') {
      await this.#assemble(entry, request)
    } else {
      await this.#receive(request, entry.path)
    }
    response.writeHead(201).end()
  }

  /** Streams a body to disk; a cut connection leaves no block behind. */
  async #receive(request: IncomingMessage, path: string): Promise<void> {
    const { cutUpload, stallUpload } = this.faults
    const cut = spend(cutUpload) ? cutUpload.after : Number.POSITIVE_INFINITY
    const stall = spend(stallUpload) ? stallUpload.after : Number.POSITIVE_INFINITY
    const part = `${path}.part`
    let received = 0
    const watch = new Transform({
      transform: (chunk: Buffer, _, next) => {
        received += chunk.length
        const now = performance.now()
        this.#taken = Math.max(now, this.#taken) + (chunk.length * 8000) / this.uploadRate
        if (received > cut) request.destroy()
        else if (received <= stall && this.#taken - now < 1) next(null, chunk)
        else if (received <= stall) setTimeout(next, this.#taken - now, null, chunk)
      },
    })
    try {
      await pipeline(request, watch, createWriteStream(part))
      await rename(part, path)
    } finally {
      await rm(part, { force: true })
    }
  }

  async #assemble(entry: Entry, request: IncomingMessage): Promise<void> {
    let xml = ''
    for await (const chunk of request) xml += String(chunk)
    await rm(entry.path, { force: true })
    for (const [, id] of xml.matchAll(/<Latest>([^<]*)<\/Latest>/g)) {
      const block = `${entry.path}.${Buffer.from(id ?? '', 'base64').toString('hex')}`
      await pipeline(createReadStream(block), createWriteStream(entry.path, { flags: 'a' }))
      await rm(block)
    }
  }

  async #download(entry: Entry, response: ServerResponse): Promise<void> {
    const { cutDownload, stallDownload, corruptDownload } = this.faults
    const cut = spend(cutDownload) ? cutDownload.after : Number.POSITIVE_INFINITY
    const stall = spend(stallDownload) ? stallDownload.after : Number.POSITIVE_INFINITY
    const end = Math.min(cut, stall, entry.size)
    response.writeHead(200, {
      'content-type': entry.mimeType,
      'content-length': entry.size,
      'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(entry.name)}`,
    })
    const file = end > 0 ? createReadStream(entry.path, { end: end - 1 }) : Readable.from([])
    const damage = corruptDownload ? Math.floor(entry.size / 2) : -1
    let at = 0
    const change = new Transform({
      transform(chunk: Buffer, _, next) {
        const offset = damage - at
        if (offset >= 0 && offset < chunk.length) chunk[offset] = (chunk[offset] ?? 0) ^ 0xff
        at += chunk.length
        next(null, chunk)
      },
    })
    await pipeline(file, change, response, { end: end === entry.size })
    if (end < entry.size && cut <= stall) response.destroy()
  }
}

function noFaults(): Faults {
  const never = () => ({ after: 0, times: 0 })
  return {
    takenNames: new Set(),
    rpc: { status: 503, times: 0 },
    blob: { status: 503, times: 0 },
    cutUpload: never(),
    cutDownload: never(),
    stallUpload: never(),
    stallDownload: never(),
    unauthorizedAfterBlocks: Number.POSITIVE_INFINITY,
    corruptDownload: false,
  }
}

function spend(fault: { times: number }): boolean {
  if (fault.times <= 0) return false
  fault.times--
  return true
}

function refuse(status: number, code: string, msg: string): Answer {
  return { status, body: { code, msg } }
}

function listed(entry: Entry) {
  return {
    workflow_run_backend_id: entry.run,
    workflow_job_run_backend_id: entry.job,
    database_id: String(entry.id),
    name: entry.name,
    size: String(entry.size),
    created_at: entry.createdAt,
    digest: entry.digest,
  }
}

function published(entry: Entry) {
  return {
    id: entry.id,
    name: entry.name,
    size_in_bytes: entry.size,
    created_at: entry.createdAt,
    expires_at: entry.expiresAt,
    expired: false,
    digest: entry.digest,
    workflow_run: { id: Number(entry.run) },
  }
}
