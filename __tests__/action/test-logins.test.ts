import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { between, runJob } from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { visibleLog } from '../support/runner.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: PlainTarget
const right = `right'"%$\\secret=with:signs`
const wrong = 'wr0ng secret, which nobody has'

beforeAll(async () => {
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
  await source.sql('CREATE DATABASE shop')
  await source.sql(
    `CREATE ROLE app LOGIN PASSWORD '${right.replaceAll("'", "''")}'; CREATE ROLE other LOGIN PASSWORD 'x'`,
  )
})
afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop()])
})

test('secrets of test-logins are masked before anything is said, and stand in no file', async () => {
  const run = await runJob({
    inputs: between(source, target, 'shop', {
      'upload-dump': 'false',
      'test-logins': `app=${right}\nother=${wrong}\n`,
    }),
  })
  expect(run.report.error?.message).toBe('1 test login of 2 failed')
  expect(run.report.roles?.logins?.map(({ role, status }) => [role, status])).toEqual([
    ['app', 'succeeded'],
    ['other', 'failed'],
  ])
  const files = readdirSync(run.directory, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name))
  expect(files.length).toBeGreaterThan(3)
  const said = { log: visibleLog(run.log), summary: run.summary, state: JSON.stringify(run.state) }
  const read = files.map((file) => [file, readFileSync(file, 'latin1')] as const)
  for (const [place, text] of [...Object.entries(said), ...read])
    for (const secret of [right, wrong])
      expect([place, text.includes(secret)]).toEqual([place, false])
  run.cleanUp()
})

test('secrets of test-logins that cannot be read are masked and not repeated', async () => {
  const run = await runJob({
    inputs: between(source, target, 'shop', { 'test-logins': `${wrong}\napp: ${right}` }),
  })
  expect(run.report.error?.cause).toContain('test-logins: entry 1 is not of the form name=secret')
  expect(visibleLog(run.log)).not.toContain(wrong)
  expect(run.log).not.toMatch(/^(?!::add-mask::).*wr0ng/m)
  run.cleanUp()
})
