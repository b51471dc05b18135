import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import {
  between,
  demoLosses,
  mainBundle,
  metadata,
  postBundle,
  readEverything,
  readReport,
  runJob,
  smallShop,
} from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { randomNumbers } from '../support/random.ts'
import { runAction, startAction } from '../support/runner.ts'
import { TestServer } from '../support/server.ts'

/** What is cancelled at, in turn, one of the first so many: a statement of the preflight, the dump, the restore and the verification. */
const statements = [
  ['source', /pg_stat_activity/, 3],
  ['source', /COPY shop\.\w+ .*TO stdout/, 3],
  ['target', /COPY shop\.\w+ .*FROM stdin/, 3],
  // it reads several small tables at once
  ['target', /SELECT 0 AS i/, 1],
] as const
/** How many times to cancel; CANCEL_MOMENTS=10 and more for a longer look. */
const moments = Number(process.env.CANCEL_MOMENTS ?? statements.length)
/** CANCEL_SEED asks for others of the statements of a kind. */
const seed = Number(process.env.CANCEL_SEED ?? 1)

let source: TestServer
let target: PlainTarget

beforeAll(async () => {
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
  await source.sql('CREATE DATABASE shop')
  await source.sql(smallShop(), 'shop')
})
afterAll(() => Promise.all([source?.stop(), target?.stop()]))

const inputs = (): Record<string, string> => ({
  ...between(source, target, 'shop', { 'allow-missing': demoLosses }),
  'upload-dump': 'false',
})

/** What a migration leaves in force: sessions, and memberships that are not the source's. */
async function traces(): Promise<unknown[]> {
  const sessions = `SELECT application_name AS name FROM pg_stat_activity WHERE application_name ~ '^migrate-to-polardb'`
  const [here, there] = [await source.sql(sessions), await target.backend.sql(sessions)]
  const lent = await target.backend.sql(
    `SELECT r.rolname AS name FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
      WHERE m.member = 'gctest'::regrole`,
  )
  return [...here.rows, ...there.rows, ...lent.rows]
}

test(`cancelled at ${moments} statements (seed ${seed}) it ends at once and leaves nothing; the next run does the work`, async () => {
  const random = randomNumbers(seed)
  const plain = inputs()
  const proxies = {
    source: await TcpProxy.start(source.port),
    target: await TcpProxy.start(target.port),
  }
  for (let moment = 0; moment < moments; moment++) {
    const [side, statement, first] = statements[moment % statements.length] ?? statements[0]
    const running = startAction(mainBundle, {
      metadata,
      inputs: {
        ...plain,
        source: through(proxies.source, plain.source ?? ''),
        target: through(proxies.target, plain.target ?? ''),
        'if-target-not-empty': 'replace',
      },
    })
    const ended = running.result.then(({ log }) => Promise.reject(new Error(log)))
    // its answer comes when the job is cancelled
    const skipped = Math.floor(random() * first)
    await Promise.race([proxies[side].nth(skipped + 1, statement, 'hold'), ended])
    running.cancel()
    proxies[side].release()
    ended.catch(() => {})
    const run = await running.result
    const post = await runAction(postBundle, {
      metadata,
      state: run.state,
      directory: run.directory,
    })
    expect(post.code).toBe(0)
    const { report } = readReport(run)
    expect([report.status, report.error?.message]).toEqual(['cancelled', 'The job was cancelled'])
    expect(run.orphans()).toEqual([])
    expect(readdirSync(run.temp).filter((name) => !name.startsWith('polardb-report-'))).toEqual([])
    for (const patience = Date.now() + 60_000; (await traces()).length > 0; await setTimeout(50)) {
      if (Date.now() > patience) break
    }
    expect(await traces()).toEqual([])
    run.cleanUp()
  }
  await Promise.all(Object.values(proxies).map((proxy) => proxy.stop()))
  const last = await runJob({ inputs: { ...inputs(), 'if-target-not-empty': 'replace' } })
  expect(last.report.error).toBeNull()
  expect(last.outputs.verified).toBe('true')
  const [here, there] = [await source.connect('shop'), await target.backend.connect('shop')]
  expect(await readEverything(there)).toEqual(await readEverything(here))
  await Promise.all([here.end(), there.end()])
  last.cleanUp()
})

/** Cancels a migration while it loads rows. @returns what its report says to do */
async function cancelLoading(more: Record<string, string>): Promise<string> {
  const proxy = await TcpProxy.start(target.port)
  const plain = { ...inputs(), ...more }
  const loads = proxy.when(/COPY .*FROM stdin/, 'stall')
  const running = startAction(mainBundle, {
    metadata,
    inputs: { ...plain, target: through(proxy, plain.target ?? '') },
  })
  try {
    await Promise.race([loads, running.result.then(({ log }) => Promise.reject(new Error(log)))])
    running.cancel()
    const run = await running.result
    const { report } = readReport(run)
    expect(report.status).toBe('cancelled')
    const { state, directory } = run
    await runAction(postBundle, { metadata, state, directory })
    run.cleanUp()
    return report.error?.remedy ?? ''
  } finally {
    running.kill('SIGKILL')
    await proxy.stop()
  }
}

/** The inputs that a remedy names. */
function named(remedy: string): Record<string, string> {
  return Object.fromEntries(
    [...remedy.matchAll(/\b(command|dump-directory|if-target-not-empty): ([^\s,;]+)/g)].map(
      ([, name, value]) => [name, value],
    ),
  )
}

const answers = async (table: string) =>
  (await target.backend.sql(`SELECT FROM pg_class WHERE relname = '${table}'`, 'shop')).rows
    .length > 0

test.each([
  ['into a new database', 'fail', 'resume', 'replace'],
  ['beside the old one', 'swap', 'swap', 'swap'],
])(
  'cancelled while it restores %s, it names a way on that leads to the end',
  async (_, mode, kept, lost) => {
    const scratch = mkdtempSync(join(tmpdir(), 'cancel-'))
    const directory = join(scratch, 'dump')
    try {
      await target.backend.sql('DROP DATABASE IF EXISTS shop')
      if (mode === 'swap') {
        await target.backend.sql('CREATE DATABASE shop OWNER gctest')
        await target.backend.sql('CREATE TABLE irreplaceable ()', 'shop')
      }
      const where = { 'dump-directory': directory, 'keep-dump': 'true' }
      const remedy = await cancelLoading({ 'if-target-not-empty': mode, ...where })
      const way = named(remedy)
      expect(way).toEqual({
        ...{ command: 'restore', 'dump-directory': directory, 'if-target-not-empty': kept },
      })
      expect(await answers('irreplaceable')).toBe(mode === 'swap')
      const { source: _source, 'source-password': _password, ...rest } = inputs()
      const last = await runJob({ inputs: { ...rest, ...way } })
      expect(last.report.error).toBeNull()
      expect(last.outputs.verified).toBe('true')
      last.cleanUp()
      const other = await cancelLoading({ 'if-target-not-empty': lost })
      expect(other).toMatch(/^The dump is not kept, so another migration begins anew/)
      expect(named(other)).toEqual({ 'if-target-not-empty': lost })
    } finally {
      rmSync(scratch, { recursive: true, force: true })
    }
  },
)
