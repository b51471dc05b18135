import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import {
  between,
  demoLosses,
  mainBundle,
  metadata,
  runJob,
  smallShop,
} from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { startAction } from '../support/runner.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: PlainTarget
const directory = mkdtempSync(join(tmpdir(), 'leftovers-'))

beforeAll(async () => {
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
  await source.sql('CREATE DATABASE shop')
  await source.sql(smallShop(), 'shop')
})
afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop()])
  rmSync(directory, { recursive: true })
})

/** Every file and directory below a path with its mode. */
const modes = (path: string) =>
  readdirSync(path, { recursive: true, withFileTypes: true }).map(
    (entry) =>
      `${entry.isDirectory() ? 'directory' : 'file'} ${(statSync(join(entry.parentPath, entry.name)).mode & 0o777).toString(8)}`,
  )

test('a runner that dies leaves a dump that nobody else can read, and the next run removes it', async () => {
  const dump = join(directory, 'dump')
  mkdirSync(dump)
  chmodSync(dump, 0o755)
  const inputs = between(source, target, 'shop', {
    'upload-dump': 'false',
    'dump-directory': dump,
    'if-target-not-empty': 'replace',
    'allow-missing': demoLosses,
  })
  const proxy = await TcpProxy.start(target.port)
  const loads = proxy.when(/COPY shop\.\w+ .*FROM stdin/, 'stall')
  const first = startAction(mainBundle, {
    metadata,
    inputs: { ...inputs, target: through(proxy, inputs.target ?? '') },
  })
  await Promise.race([loads, first.result.then(({ log }) => Promise.reject(new Error(log)))])
  first.kill('SIGKILL')
  const killed = await first.result
  await proxy.stop()
  expect(killed.signal).toBe('SIGKILL')
  expect(readdirSync(dump)).toEqual(expect.arrayContaining(['databases', 'roles.sql']))
  expect((statSync(dump).mode & 0o777).toString(8)).toBe('700')
  expect([...new Set(modes(dump))].sort()).toEqual(['directory 700', 'file 600'])
  expect(readdirSync(killed.temp).filter((name) => /^polardb-/.test(name)).length).toBe(2)

  // no post step: the next job on this runner finds what is left
  const next = await runJob({ inputs, directory: killed.directory })
  expect(next.report.error).toBeNull()
  expect(next.outputs.verified).toBe('true')
  expect(next.log).toContain('Removed what a killed run had left')
  expect(next.orphans()).toEqual([])
  expect(readdirSync(dump)).toEqual([])
  const [report, ...others] = readdirSync(next.temp)
  expect(report).toMatch(/^polardb-report-/)
  expect(others).toEqual([])
  const evidence = readdirSync(join(next.temp, report ?? ''))
  expect(evidence).toEqual(expect.arrayContaining(['report.html', 'report.json']))
  expect(evidence.filter((name) => name.endsWith('.sql'))).toEqual([])
  next.cleanUp()
})
