import type { IncomingMessage } from 'node:http'

export interface StandInRunner {
  id: number
  name: string
  status: 'online' | 'offline'
  busy: boolean
  labels: string[]
  configuration: string
  /** How often was looked since it was registered. */
  looks: number
}

interface Token {
  /** It can see the repository. */
  sees: boolean
  administers: boolean
  headers?: Record<string, string>
}

interface Answer {
  status: number
  body?: unknown
  headers?: Record<string, string>
}

/** GitHub's REST routes for the runners of one repository, below `/api/v3`. */
export class GitHubRunners {
  readonly repository: string
  readonly runners = new Map<number, StandInRunner>()
  /** The tokens that are known, and what they may. */
  readonly tokens = new Map<string, Token>([
    ['ghs_administers', { sees: true, administers: true }],
    ['ghs_only-sees', { sees: true, administers: false }],
    ['ghs_elsewhere', { sees: false, administers: false }],
    [
      'ghp_scopes',
      { sees: true, administers: false, headers: { 'x-oauth-scopes': 'read:org, gist' } },
    ],
    [
      'ghp_sso',
      {
        sees: false,
        administers: false,
        headers: { 'x-github-sso': 'required; url=https://github.com/orgs/shop/sso' },
      },
    ],
  ])
  /** So many requests are answered with this status first. */
  unavailable: { status: number; times: number; headers?: Record<string, string> } = {
    status: 503,
    times: 0,
  }
  readonly #calls: string[]
  #last = 100

  constructor(calls: string[], repository = 'shop/migration') {
    this.#calls = calls
    this.repository = repository
  }

  register(name: string, labels: string[] = [name]): StandInRunner {
    const id = ++this.#last
    const runner: StandInRunner = {
      ...{ id, name, labels, status: 'offline', busy: false, looks: 0 },
      configuration: Buffer.from(`configuration of ${name}, ${id}, ${'k'.repeat(3000)}`).toString(
        'base64',
      ),
    }
    this.runners.set(id, runner)
    return runner
  }

  answer(request: IncomingMessage, body: string): Answer {
    const url = new URL(request.url ?? '', 'http://x')
    const root = `/api/v3/repos/${this.repository}`
    const path = url.pathname.slice(root.length)
    this.#calls.push(`${request.method} ${path}`)
    if (this.unavailable.times-- > 0)
      return { headers: {}, ...this.unavailable, body: { message: 'Unavailable' } }
    const token = this.tokens.get(
      String(request.headers.authorization ?? '').replace('Bearer ', ''),
    )
    if (!token) return { status: 401, body: { message: 'Bad credentials' } }
    const headers = token.headers ?? {}
    const notFound = { status: 404, body: { message: 'Not Found' }, headers }
    if (!url.pathname.startsWith(root) || !token.sees)
      return headers['x-github-sso'] ? { ...notFound, status: 403 } : notFound
    if (path === '') return { status: 200, body: { full_name: this.repository }, headers }
    if (!token.administers)
      return {
        status: 403,
        body: { message: 'Resource not accessible by integration' },
        headers,
      }
    return this.#runner(String(request.method), path, url, body)
  }

  #runner(method: string, path: string, url: URL, body: string): Answer {
    const [, id] = /^\/actions\/runners\/(\d+)$/.exec(path) ?? []
    if (method === 'POST' && path === '/actions/runners/generate-jitconfig') {
      const { name, labels, runner_group_id: group } = JSON.parse(body) as Record<string, unknown>
      if (typeof name !== 'string' || name.length > 64 || group !== 1 || !Array.isArray(labels))
        return { status: 422, body: { message: 'Invalid request' } }
      if ([...this.runners.values()].some((runner) => runner.name === name))
        return { status: 409, body: { message: 'Already exists' } }
      const runner = this.register(name, labels as string[])
      return {
        status: 201,
        body: { runner: { id: runner.id, name }, encoded_jit_config: runner.configuration },
      }
    }
    if (method === 'GET' && path === '/actions/runners') {
      const name = url.searchParams.get('name')
      const all = [...this.runners.values()].filter((one) => !name || one.name === name)
      const size = Number(url.searchParams.get('per_page'))
      const from = (Number(url.searchParams.get('page')) - 1) * size
      const runners = all
        .slice(from, from + size)
        .map(({ id: number, name: called, status, busy, labels }) => ({
          ...{ id: number, name: called, status, busy, os: 'linux' },
          labels: labels.map((label) => ({ id: 1, name: label, type: 'custom' })),
        }))
      return { status: 200, body: { total_count: all.length, runners } }
    }
    if (method === 'DELETE' && id) {
      const runner = this.runners.get(Number(id))
      if (!runner) return { status: 404, body: { message: 'Not Found' } }
      if (runner.busy) return { status: 422, body: { message: 'Runner is running a job' } }
      this.runners.delete(runner.id)
      return { status: 204 }
    }
    return { status: 404, body: { message: 'Not Found' } }
  }
}
