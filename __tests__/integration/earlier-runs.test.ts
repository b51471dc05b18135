import { mkdirSync } from 'node:fs'
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { GitHubArtifacts } from '../../src/action/artifacts.ts'
import { GitHubEarlierRuns } from '../../src/action/earlier-runs.ts'
import { Cancelled } from '../../src/failure.ts'
import { takeMasks } from '../support/masks.ts'
import { type ListedRun, ResultsServer } from '../support/results-server.ts'
import { QuietContext, Scratch } from '../support/sample-dump.ts'

const file = '.github/workflows/rehearse.yml'
const repository = 'shop/migration'

afterAll(takeMasks().stop)
let scratch: Scratch
let server: ResultsServer
let context: QuietContext
let reads = 0

beforeEach(async () => {
  scratch = new Scratch()
  reads = 0
  context = new QuietContext()
  server = await ResultsServer.start()
})
afterEach(async () => {
  await server.stop()
  scratch[Symbol.dispose]()
})

const environment = (more: Record<string, string | undefined> = {}) => ({
  ...server.environment('900', 'rehearse'),
  GITHUB_REPOSITORY: repository,
  GITHUB_WORKFLOW_REF: `${repository}/${file}@refs/heads/main`,
  GITHUB_RUN_ATTEMPT: '2',
  ...more,
})

/** A run that left a report of this content, as our own upload makes it. */
async function leave(
  id: number,
  content: string,
  changes: Partial<ListedRun> = {},
  jobs = 1,
): Promise<void> {
  server.runs.unshift({
    ...{ id, event: 'schedule', path: file, head_branch: 'main' },
    head_repository: { full_name: repository },
    ...changes,
  })
  for (let job = 1; job <= jobs; job++) {
    scratch.write(`report-${id}-${job}/report.json`, content)
    scratch.write(`report-${id}-${job}/report.html`, 'page')
    const directory = scratch.of(`report-${id}-${job}`)
    const store = new GitHubArtifacts(
      context.log,
      { ...server.environment(String(id), `job-${job}`), GITHUB_JOB: 'rehearse' },
      [1],
    )
    const files = ['report.json', 'report.html'].map((name) => `${directory}/${name}`)
    await store.uploadReport(files, directory, context.signal)
  }
}

const read = async (
  isEnough: (content: string) => boolean = () => false,
  { env = environment(), token = server.githubToken, signal = context.signal, time = 60_000 } = {},
) => {
  const found: string[] = []
  const runs = new GitHubEarlierRuns(context.log, env, 1, time)
  const into = scratch.of(`read-${++reads}`)
  mkdirSync(into)
  const notes = await runs.read(
    token,
    (content) => {
      found.push(Buffer.from(content).toString())
      return !isEnough(found.at(-1) ?? '')
    },
    into,
    signal,
  )
  return { found, notes }
}

describe('the reports of earlier runs', () => {
  test('are those of the same workflow, the newest first, until that is enough', async () => {
    for (const id of [102, 103, 104]) await leave(id, `run ${id}`)
    expect(await read()).toEqual({
      found: [104, 103, 102].map((id) => `run ${id}`),
      notes: [],
    })
    const asked = server.requests.length
    const few = await read((content) => content === 'run 103')
    expect(few.found).toEqual(['run 104', 'run 103'])
    // the repository, the runs, and for each of two the list, its artifact and the blob behind it
    expect(server.requests.slice(asked).filter((line) => line.includes('/runs/102'))).toEqual([])
  })

  test('are all of a run with a matrix', async () => {
    await leave(101, 'of a matrix', {}, 3)
    expect((await read()).found).toEqual(Array(3).fill('of a matrix'))
  })

  test.each<[string, Partial<ListedRun>]>([
    ['another branch', { head_branch: 'feature' }],
    ['a fork', { head_repository: { full_name: 'stranger/migration' } }],
    ['a fork that is gone', { head_repository: null }],
    ['a pull request', { event: 'pull_request' }],
    ['a pull request from outside', { event: 'pull_request_target' }],
    ['another workflow', { path: '.github/workflows/migrate.yml' }],
    ['a file of that name elsewhere', { path: 'elsewhere/rehearse.yml' }],
    ['itself', { id: 900 }],
  ])('are none of %s', async (_, changes) => {
    await leave(changes.id ?? 101, 'foreign', changes)
    const { found, notes } = await read()
    expect(found).toEqual([])
    expect(notes).toEqual(['GitHub has no earlier run of this workflow on the default branch'])
  })

  test('may have expired, be damaged or be none: the others count', async () => {
    await leave(101, 'oldest')
    await leave(102, 'expired')
    await leave(103, 'newest')
    server.expired.add(server.artifacts()[1]?.id ?? 0)
    expect(await read()).toEqual({
      found: ['newest', 'oldest'],
      notes: ['1 report of earlier runs has expired'],
    })
    server.faults.corruptDownload = true
    const { found, notes } = await read()
    expect(found).toEqual([])
    expect(notes[0]).toContain('polardb-report of run 103 could not be read: ')
    expect(notes[0]).toContain('SHA-256')
    expect(notes).toHaveLength(3)
  })

  test('are passed over where one is no report of ours', async () => {
    const store = new GitHubArtifacts(context.log, server.environment('101', 'x'), [1])
    await leave(101, 'ours')
    scratch.write('other/other.txt', 'x')
    const request = { directory: scratch.of('other'), files: ['other.txt'], compressed: false }
    await store.upload({ ...request, name: 'polardb-report-evil' }, context.signal)
    await store.upload({ ...request, name: 'polardb-reports' }, context.signal)
    const { found, notes } = await read()
    expect(found).toEqual(['ours'])
    expect(notes).toEqual([
      expect.stringContaining('polardb-report-evil of run 101 could not be read'),
    ])
  })
})

describe('without a history', () => {
  test.each([
    [401, 'GitHub does not accept github-token (401)'],
    [403, 'github-token may not read the runs of this repository (403)'],
    [404, 'GitHub knows no run of this workflow, or github-token may not see any (404)'],
    [503, 'GitHub answered 503'],
    [301, 'GitHub answered 301'],
  ])('for a status of %d, that is said and no error', async (status, words) => {
    server.refusal = status
    const { found, notes } = await read()
    expect(found).toEqual([])
    expect(notes).toEqual([expect.stringContaining(words)])
    if (status < 500 && status > 400) expect(notes[0]).toContain('actions: read')
    expect(notes.join()).not.toContain(server.githubToken)
  })

  test('for a token that GitHub does not know', async () => {
    const { notes } = await read(undefined, { token: 'ghs_unknown' })
    expect(notes).toEqual([expect.stringContaining('does not accept github-token (401)')])
    expect(notes.join() + context.lines.join()).not.toContain('ghs_unknown')
  })

  test.each([
    ['outside of a workflow', { GITHUB_WORKFLOW_REF: undefined }],
    [
      'of a workflow of another repository',
      { GITHUB_WORKFLOW_REF: `stranger/flows/${file}@refs/heads/main` },
    ],
  ])('%s', async (_, more) => {
    const { found, notes } = await read(undefined, { env: environment(more) as never })
    expect(found).toEqual([])
    expect(notes).toEqual([expect.stringContaining('this is no workflow of the repository')])
    expect(server.requests).toEqual([])
  })

  test('where nobody listens', async () => {
    const { notes } = await read(undefined, {
      env: environment({ GITHUB_API_URL: 'http://127.0.0.1:1' }) as never,
    })
    expect(notes).toEqual([expect.stringContaining('Earlier runs could not be read from GitHub')])
  })

  test('where nothing arrives, after a while', async () => {
    await leave(101, 'x')
    server.faults.stallDownload = { after: 10, times: 9 }
    const { found, notes } = await read(undefined, { time: 3000 })
    expect(found).toEqual([])
    expect(notes).toEqual(['GitHub was asked for earlier runs for 3 s, and not for all of them'])
  })

  test('a cancelled job is cancelled', async () => {
    await leave(101, 'x')
    const stop = new AbortController()
    server.faults.stallDownload = { after: 10, times: 9 }
    const reading = read(undefined, { signal: stop.signal })
    const wait = setInterval(() => {
      if (server.requests.some((line) => line.includes('/blob/') && line.startsWith('GET')))
        stop.abort()
    }, 20)
    await expect(reading).rejects.toThrow(Cancelled)
    clearInterval(wait)
  })
})

test('a run is known by its id and attempt, and elsewhere by its moment', () => {
  const { run, attempt } = new GitHubEarlierRuns(context.log, environment())
  expect([run, attempt]).toEqual(['900', 2])
  const local = new GitHubEarlierRuns(context.log, {})
  expect(local.run).toMatch(/^local-\d{4}-/)
  expect(local.attempt).toBe(1)
})
