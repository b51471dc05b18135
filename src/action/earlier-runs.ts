import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import { Cancelled, Failure, messageOf } from '../failure.ts'
import type { Logger } from '../migration/context.ts'
import { type EarlierRuns, noEarlierRuns } from '../migration/history/earlier-runs.ts'
import { mostReportBytes } from '../migration/history/point.ts'
import { count, fields, flag, list, readBy, wholeFrom } from '../migration/kept/schema.ts'
import { orCancelled } from '../runner/alibaba.ts'
import { type HttpResponse, parsedBody, type Send } from '../runner/http.ts'
import { counted } from '../text/numbers.ts'
import { printable } from '../text/text.ts'
import type { Environment } from './artifact-client.ts'
import { GitHubArtifacts, reportName } from './artifacts.ts'
import { httpSender } from './http.ts'

/** Runs that are looked into: of nights, a month of them. */
const mostRuns = 30
/** Artifacts that are fetched. A matrix leaves one a job, and which databases are in it shows only inside. */
const mostDownloads = 40
/** In a row: what keeps so many from being read keeps the next, too. */
const mostFailures = 3
/** Milliseconds for all of it: nothing depends on a history. */
const defaultTime = 120_000
/** The zip of a report, and what it may unpack to: the page beside the report is no larger than that. */
const mostZipBytes = 64 * 1024 * 1024
const mostUnpacked = 2 * mostReportBytes

/**
 * What starts a run with the workflow as it stands on the default branch, by somebody who may write to the repository or by its
 * schedule. Not among them: what anybody can start from a fork (`pull_request_target`, `workflow_run`, `issue_comment`).
 */
const events = ['schedule', 'workflow_dispatch', 'repository_dispatch', 'push']

const word = v.string('is no text')
const repository = fields({ default_branch: word })
const runs = fields({
  workflow_runs: list(
    fields({
      id: wholeFrom(1),
      event: word,
      path: v.nullish(word),
      head_branch: v.nullish(word),
      head_repository: v.nullish(fields({ full_name: word })),
    }),
    1000,
  ),
})
const artifacts = fields({
  artifacts: list(
    fields({
      id: wholeFrom(1),
      name: word,
      size_in_bytes: count,
      expired: flag,
      digest: v.nullish(word),
    }),
    1000,
  ),
})

/** What ends the reading, in a sentence. */
class NoHistory extends Error {}

/**
 * The reports that earlier runs of this workflow file left as artifacts: of runs on the default branch, from this repository
 * itself, and started by nobody from outside (GitHub, "REST API endpoints for workflow runs" and "for GitHub Actions artifacts").
 */
export class GitHubEarlierRuns implements EarlierRuns {
  readonly run: string
  readonly attempt: number
  readonly ways = 'set github-token (permissions: actions: read) or history'
  private readonly log: Logger
  private readonly environment: Environment
  private readonly send: Send
  private readonly pause: number
  private readonly time: number

  /**
   * @param environment the runner's
   * @param pause milliseconds before the second and last try of a question
   * @param time milliseconds for everything
   */
  constructor(
    log: Logger,
    environment: Environment = process.env,
    pause = 3000,
    time = defaultTime,
  ) {
    this.log = log
    this.environment = environment
    this.send = httpSender(20)
    this.pause = pause
    this.time = time
    const { GITHUB_RUN_ID: run, GITHUB_RUN_ATTEMPT: attempt } = environment
    this.run = run && /^\d{1,19}$/.test(run) ? run : noEarlierRuns().run
    this.attempt = Math.max(1, Number(attempt) || 1)
  }

  async read(
    token: string,
    take: (report: Uint8Array, whose: string) => boolean,
    scratch: string,
    signal: AbortSignal,
  ): Promise<string[]> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(this.time)])
    const notes: string[] = []
    try {
      await this.walk(token, take, scratch, limit, notes)
    } catch (error) {
      if (signal.aborted) throw new Cancelled()
      notes.push(
        limit.aborted
          ? `GitHub was asked for earlier runs for ${this.time / 1000} s, and not for all of them`
          : `Earlier runs could not be read from GitHub: ${printable(messageOf(error))}`,
      )
    }
    return notes
  }

  private async walk(
    token: string,
    take: (report: Uint8Array, whose: string) => boolean,
    scratch: string,
    signal: AbortSignal,
    notes: string[],
  ): Promise<void> {
    const { repository: name, file } = this.workflow()
    const store = new GitHubArtifacts(
      this.log,
      this.environment,
      [this.pause],
      60_000,
      undefined,
      mostUnpacked,
    )
    let [downloads, failures, expired] = [0, 0, 0]
    let isEnough = false
    const found = await this.runs(name, file, token, signal)
    for (const run of found) {
      const path = `/repos/${name}/actions/runs/${run}/artifacts?per_page=100`
      const { artifacts: listed } = await this.get(artifacts, path, token, signal)
      for (const artifact of listed
        .filter(({ name }) => isReport(name))
        .sort((a, b) => b.id - a.id)) {
        const whose = `${artifact.name} of run ${run}`
        if (artifact.expired) {
          expired++
          continue
        }
        if (artifact.size_in_bytes > mostZipBytes) {
          notes.push(`${printable(whose)} is larger than any report, and was not fetched`)
          continue
        }
        if (++downloads > mostDownloads) {
          notes.push(`No more than ${mostDownloads} reports of earlier runs were fetched`)
          return
        }
        const into = join(scratch, String(artifact.id))
        const { id, size_in_bytes: bytes, digest } = artifact
        const stored = { id, name: artifact.name, digest: digest || null, bytes }
        try {
          await store.download(stored, into, { id: run, token, repository: name }, signal)
          const report = await readFile(join(into, 'report.json'))
          failures = 0
          isEnough = !take(report, printable(whose))
        } catch (error) {
          if (signal.aborted) throw error
          const why = error instanceof Failure ? error.why : messageOf(error)
          notes.push(printable(`${whose} could not be read: ${why}`))
          if (++failures >= mostFailures) return
        }
        if (isEnough) return
      }
    }
    if (expired > 0)
      notes.push(
        `${counted(expired, 'report')} of earlier runs ${expired === 1 ? 'has' : 'have'} expired`,
      )
    if (found.length === 0)
      notes.push('GitHub has no earlier run of this workflow on the default branch')
  }

  /** The ids of the runs whose reports count, the newest first. */
  private async runs(
    name: string,
    file: string,
    token: string,
    signal: AbortSignal,
  ): Promise<number[]> {
    const { default_branch: branch } = await this.get(repository, `/repos/${name}`, token, signal)
    const workflow = encodeURIComponent(file.slice(file.lastIndexOf('/') + 1))
    const { workflow_runs: found } = await this.get(
      runs,
      `/repos/${name}/actions/workflows/${workflow}/runs?branch=${encodeURIComponent(branch)}&status=completed&exclude_pull_requests=true&per_page=100`,
      token,
      signal,
    )
    return found
      .filter(
        (run) =>
          run.head_branch === branch &&
          run.head_repository?.full_name.toLowerCase() === name.toLowerCase() &&
          events.includes(run.event) &&
          // the same file name in another folder is no workflow; a path may have its ref behind an @
          (run.path == null || run.path.split('@')[0] === file) &&
          String(run.id) !== this.run,
      )
      .map(({ id }) => id)
      .sort((a, b) => b - a)
      .slice(0, mostRuns)
  }

  /** This repository, and the file of this workflow in it. */
  private workflow(): { repository: string; file: string } {
    const { GITHUB_REPOSITORY: name = '', GITHUB_WORKFLOW_REF: ref = '' } = this.environment
    const [, owner, file] = /^([^/@]+\/[^/@]+)\/(\.github\/workflows\/[^/@]+)@/.exec(ref) ?? []
    if (!owner || !file || owner.toLowerCase() !== name.toLowerCase())
      throw new NoHistory(
        'this is no workflow of the repository (GITHUB_WORKFLOW_REF and GITHUB_REPOSITORY say which it is)',
      )
    return { repository: name, file }
  }

  private async get<const T extends v.GenericSchema>(
    schema: T,
    path: string,
    token: string,
    signal: AbortSignal,
  ): Promise<v.InferOutput<T>> {
    const response = await this.ask(path, token, signal).catch(async (error: unknown) => {
      if (signal.aborted) throw error
      this.log.debug(`GitHub is asked again: ${messageOf(error)}`)
      await sleep(this.pause, undefined, { signal })
      return await this.ask(path, token, signal)
    })
    if (response.status !== 200) throw refused(response)
    return readBy(
      schema,
      parsedBody(response),
      { whole: 'the answer' },
      (flaw) => new NoHistory(`GitHub answered, but ${flaw}`),
    )
  }

  /** @throws Error where another try may be answered */
  private async ask(path: string, token: string, signal: AbortSignal): Promise<HttpResponse> {
    const api = (this.environment.GITHUB_API_URL ?? 'https://api.github.com').replace(/\/$/, '')
    const sent = this.send({
      method: 'GET',
      url: `${api}${path}`,
      headers: {
        accept: 'application/vnd.github+json',
        authorization: `Bearer ${token}`,
        'x-github-api-version': '2022-11-28',
      },
    })
    const response = await orCancelled(sent, signal)
    if (response.status >= 500 || response.status === 429)
      throw new NoHistory(`GitHub answered ${response.status}`)
    return response
  }
}

function isReport(name: string): boolean {
  return name === reportName || name.startsWith(`${reportName}-`)
}

/** What GitHub's refusal means, and what gives it. */
function refused({ status }: HttpResponse): NoHistory {
  const allow = 'give the job permissions: actions: read, and set github-token to github.token'
  switch (status) {
    case 401:
      return new NoHistory(`GitHub does not accept github-token (401): ${allow}`)
    case 403:
      return new NoHistory(`github-token may not read the runs of this repository (403): ${allow}`)
    case 404:
      return new NoHistory(
        `GitHub knows no run of this workflow, or github-token may not see any (404): ${allow}`,
      )
    default:
      return new NoHistory(`GitHub answered ${status}`)
  }
}
