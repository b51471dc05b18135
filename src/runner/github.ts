import { Cancelled, Failure, messageOf } from '../failure.ts'
import { retrying } from '../migration/retry.ts'
import { orCancelled } from './alibaba.ts'
import type { Job, World } from './context.ts'
import { type HttpResponse, parsedBody } from './http.ts'

export interface RegisteredRunner {
  id: number
  name: string
  online: boolean
  busy: boolean
  labels: string[]
}

/** One of the list, as GitHub writes it. */
interface ListedRunner {
  id: number
  name: string
  status: string
  busy: boolean
  labels?: { name: string }[]
}

/** An answer that may be another one in a moment: a failing service, a limit of requests. */
class Unavailable extends Error {}

/** The runners of one repository, as the REST API has them ("REST API endpoints for self-hosted runners"). */
export class RunnerRegistry {
  private readonly world: World
  private readonly job: Job
  private readonly token: string

  constructor(world: World, job: Job, token: string) {
    this.world = world
    this.job = job
    this.token = token
  }

  /**
   * Registers a runner that takes one job, and gives its configuration, which is a secret until it was used.
   *
   * @returns undefined where a runner of that name is registered already
   * @throws Failure that says what the token lacks
   */
  async register(
    name: string,
    labels: string[],
  ): Promise<{ id: number; configuration: string } | undefined> {
    const response = await this.request('POST', '/actions/runners/generate-jitconfig', {
      name,
      runner_group_id: 1,
      labels,
      work_folder: '_work',
    })
    if (response.status === 409) return undefined
    if (response.status !== 201) throw await this.refused(response, 'register a runner')
    const body = parsedBody(response) as {
      runner?: { id?: unknown }
      encoded_jit_config?: unknown
    }
    const { encoded_jit_config: configuration, runner } = body
    if (typeof configuration !== 'string' || typeof runner?.id !== 'number')
      throw new TypeError('GitHub gave no configuration for the runner')
    this.world.secret(configuration)
    return { id: runner.id, configuration }
  }

  /** Every registered runner of the repository, or those of one name. */
  async list(name = ''): Promise<RegisteredRunner[]> {
    const filter = name ? `&name=${encodeURIComponent(name)}` : ''
    const found: RegisteredRunner[] = []
    for (let page = 1; ; page++) {
      const response = await this.request(
        'GET',
        `/actions/runners?per_page=100&page=${page}${filter}`,
      )
      if (response.status !== 200) throw await this.refused(response, 'list the runners')
      const { runners = [], total_count: total = 0 } = parsedBody(response) as {
        runners?: ListedRunner[]
        total_count?: number
      }
      for (const { id, name, status, busy, labels = [] } of runners) {
        const names = labels.map((label) => label.name)
        found.push({ id, name, busy, online: status === 'online', labels: names })
      }
      if (runners.length === 0 || found.length >= total) return found
    }
  }

  async named(name: string): Promise<RegisteredRunner | undefined> {
    return (await this.list(name)).find((runner) => runner.name === name)
  }

  /** Removes a registration. @returns `gone` when it was gone already; `busy` while GitHub believes that a job runs on it */
  async remove(id: number): Promise<'removed' | 'gone' | 'busy'> {
    const response = await this.request('DELETE', `/actions/runners/${id}`)
    if (response.status === 204) return 'removed'
    if (response.status === 422) return 'busy'
    // a list a moment ago had it, so "not found" is about the runner
    if (response.status === 404) return 'gone'
    throw await this.refused(response, 'remove a runner')
  }

  private async request(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: object,
  ): Promise<HttpResponse> {
    const url = `${this.job.apiUrl}/repos/${this.job.repository}${path}`
    try {
      return await retrying(
        this.world,
        async () => {
          const sent = this.world.send({
            method,
            url,
            headers: {
              accept: 'application/vnd.github+json',
              authorization: `Bearer ${this.token}`,
              'x-github-api-version': '2022-11-28',
              ...(body ? { 'content-type': 'application/json' } : {}),
            },
            ...(body ? { body: JSON.stringify(body) } : {}),
          })
          const response = await orCancelled(sent, this.world.signal)
          const limited =
            response.status === 429 ||
            response.headers['retry-after'] !== undefined ||
            (response.status === 403 && response.headers['x-ratelimit-remaining'] === '0')
          if (limited || response.status >= 500)
            throw new Unavailable(
              limited
                ? 'GitHub has had too many requests with this token'
                : `GitHub answered with status ${response.status}`,
            )
          return response
        },
        { again: () => true, exhausted: (error) => error },
      )
    } catch (error) {
      if (error instanceof Cancelled) throw error
      throw new Failure(
        `GitHub's API (${this.job.apiUrl}) did not answer`,
        messageOf(error),
        'Run again; GitHub shows its state on githubstatus.com',
        { cause: error },
      )
    }
  }

  /**
   * What the token lacks. GitHub answers "Not Found" to whoever may not know that something exists; so the repository itself is
   * asked for, which tells a token that cannot see it from one that lacks a permission.
   */
  private async refused(response: HttpResponse, wish: string): Promise<Failure> {
    const { repository } = this.job
    const said = (answer: HttpResponse) =>
      String((parsedBody(answer) as { message?: unknown } | undefined)?.message ?? 'no message')
    const why = `GitHub answered ${response.status}: ${said(response)}`
    const failure = (what: string, remedy: string) =>
      new Failure(`The token may not ${wish} of ${repository}: ${what}`, why, remedy)
    if (response.status === 401)
      return failure(
        'GitHub does not accept it, it is wrong, revoked or expired',
        'Make a new token in the step before, and check the secret that github-token is read from',
      )
    if (response.headers['x-github-sso'])
      return failure(
        'the organization demands single sign-on, and the token is not authorized for it',
        'Authorize the token for the organization in the settings of your tokens',
      )
    if (![403, 404].includes(response.status))
      return new Failure(
        `GitHub did not ${wish} of ${repository}`,
        why,
        'Look at the message, and run again',
      )
    if (/self-hosted runners.*disabled|disabled.*self-hosted/i.test(said(response)))
      return failure(
        'self-hosted runners are disabled there',
        'Allow them for the repository in the settings of the organization, Actions, General',
      )
    const visible = await this.request('GET', '')
    if (visible.status !== 200)
      return failure(
        'it cannot even see the repository',
        'Install the GitHub App on this repository, or add the repository to the token; github.token cannot do this, and a token of another repository cannot either',
      )
    const scopes = response.headers['x-oauth-scopes']
    if (scopes !== undefined && scopes.trim() !== '')
      return failure(
        `it has the scopes ${scopes} and needs repo, of a user who administers the repository`,
        'Use a token with that scope or, better, a GitHub App with the repository permission "Administration: write"',
      )
    return failure(
      'it can see the repository and lacks the permission administration: write',
      'Give the GitHub App (or the fine-grained token) the repository permission "Administration: write" and accept it for the installation; github.token can never have it',
    )
  }
}
