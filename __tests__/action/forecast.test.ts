import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { between, metadata, runJob } from '../support/migration.ts'
import { ResultsServer } from '../support/results-server.ts'
import { type ActionResult, visibleLog } from '../support/runner.ts'
import { TestServer } from '../support/server.ts'

const repository = 'shop/migration'
const file = '.github/workflows/rehearse.yml'

let source: TestServer
let target: TestServer
let results: ResultsServer
const done: ActionResult[] = []

beforeAll(async () => {
  ;[source, target, results] = await Promise.all([
    TestServer.start(15),
    TestServer.start(15),
    ResultsServer.start(),
  ])
  await source.sql('CREATE DATABASE shop')
  await source.sql(
    'CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 3000) g',
    'shop',
  )
})
afterAll(async () => {
  for (const result of done) result.cleanUp()
  await Promise.all([source?.stop(), target?.stop(), results?.stop()])
})

/** A rehearsal as the job of a scheduled run, which is in GitHub's list from then on. */
async function night(run: number, more: Record<string, string> = {}) {
  const result = await runJob({
    metadata,
    inputs: between(source, target, 'shop', {
      ...{ command: 'rehearse', roles: 'skip', 'github-token': results.githubToken },
      ...more,
    }),
    env: {
      ...results.environment(String(run), 'rehearse'),
      ...{ GITHUB_REPOSITORY: repository, GITHUB_RUN_ATTEMPT: '1' },
      GITHUB_WORKFLOW_REF: `${repository}/${file}@refs/heads/main`,
    },
  })
  done.push(result)
  results.runs.unshift({
    ...{ id: run, event: 'schedule', path: file, head_branch: 'main' },
    head_repository: { full_name: repository },
  })
  return result
}

test('the report of one night is found by the next, and what it says by a workflow', async () => {
  const first = await night(101)
  expect({ code: first.code, error: first.report.error }).toEqual({ code: 0, error: null })
  expect(first.report.forecast?.basis).toContain(
    'GitHub has no earlier run of this workflow on the default branch',
  )
  expect(first.log).toContain('From an estimate, no rehearsal yet')
  expect(Number(first.outputs.forecast)).toBe(Math.ceil(first.report.forecast?.high ?? 0))

  // the night after finds the first one's report, which then expires: the third still knows both
  const second = await night(102)
  expect(second.report.history?.map(({ run }) => run)).toEqual(['101', '102'])
  expect(second.report.forecast).toMatchObject({ points: 2, confidence: 0.33 })
  for (const artifact of results.artifacts())
    if (artifact.run === '101') results.expired.add(artifact.id)
  const third = await night(103, { 'max-outage': '1s' })
  expect(third.report.history?.map(({ run }) => run)).toEqual(['101', '102', '103'])
  expect(third.report.forecast?.basis).toContain('1 report of earlier runs has expired')
  // and fails, since nothing fits a second
  expect(third.code).toBe(1)
  expect(third.log).toContain('The outage does not fit max-outage')
  expect(third.log).toMatch(/at least 50 % sure, from 3 runs/)
  expect(third.report).toMatchObject({ verified: true, rehearsal: { outcome: 'removed' } })
  for (const { log } of [first, second, third])
    expect(visibleLog(log)).not.toContain(results.githubToken)
})
