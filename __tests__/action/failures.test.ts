import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import {
  between,
  mainBundle,
  metadata,
  postBundle,
  readReport,
  runJob,
  withoutPassword,
} from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { ResultsServer } from '../support/results-server.ts'
import {
  type ActionResult,
  type RunningAction,
  runAction,
  runnerCommands,
  startAction,
} from '../support/runner.ts'
import { isRoot, refusingPort, TestServer } from '../support/server.ts'

let source: TestServer
let target: PlainTarget
let results: ResultsServer
let refusing: Awaited<ReturnType<typeof refusingPort>>

beforeAll(async () => {
  ;[source, target, results, refusing] = await Promise.all([
    TestServer.start(15),
    startPlainTarget(15),
    ResultsServer.start(),
    refusingPort(),
  ])
  await source.sql('CREATE DATABASE shop')
  await source.sql(
    `CREATE TABLE blob (id int PRIMARY KEY, data text);
     ALTER TABLE blob ALTER COLUMN data SET STORAGE EXTERNAL;
     INSERT INTO blob SELECT i, (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 1000) AS j)
       FROM generate_series(1, 1000) AS i;
     CREATE TABLE many AS SELECT i, md5(i::text) FROM generate_series(1, 200000) AS i`,
    'shop',
  )
})
afterAll(() => Promise.all([source?.stop(), target?.stop(), results?.stop(), refusing?.release()]))

const secrets = () => [source.password, target.password, encodeURIComponent(source.password)]

/** What every failed run owes its user, whatever failed. */
function expectCleanFailure(run: ActionResult & { post?: ActionResult }): string {
  expect(run.code).toBe(1)
  const { report, html } = readReport(run)
  expect(report.status).toBe('failed')
  expect(report.error?.message).toBeTruthy()
  expect(report.error?.cause).toBeTruthy()
  expect(report.error?.remedy).toBeTruthy()
  const errors = runnerCommands(run.log).filter(({ command }) => command === 'error')
  const last = errors.at(-1)?.message ?? ''
  expect(last).toContain(report.error?.message)
  expect(run.log.trimEnd().split('\n').at(-1)).toMatch(/^(Not ready|\w+ failed)/)
  expect(run.orphans()).toEqual([])
  expectNoSecret(run, html)
  return last
}

function expectNoSecret(run: ActionResult, html: string): void {
  const shown = run.log
    .split('\n')
    .filter((line) => !line.startsWith('::add-mask::'))
    .join('\n')
  const report = readFileSync(run.outputs.report ?? '', 'utf8')
  const places = { shown, report, html, summary: run.summary, state: JSON.stringify(run.state) }
  for (const secret of secrets()) {
    for (const [place, text] of Object.entries(places)) {
      expect([place, text.includes(secret)]).toEqual([place, false])
    }
  }
}

const migrate = (inputs: Record<string, string>) =>
  runJob({
    inputs: { ...between(source, target, 'shop'), ...inputs },
    env: results.environment(),
  })

describe('a migration that cannot begin says what, why and what to do', () => {
  const uri = (server: { uri(database?: string): string }, database: string) =>
    withoutPassword(server.uri(database))

  test.each<[string, () => Promise<Record<string, string>>, RegExp]>([
    [
      'a host that DNS does not know',
      async () => ({ source: 'postgresql://postgres@no-such-host.invalid/shop' }),
      /host name of the source cannot be resolved.*no-such-host\.invalid/,
    ],
    [
      'a port where nothing listens',
      async () => ({ target: `postgresql://u@127.0.0.1:${refusing.port}/postgres` }),
      /Cannot connect to the target\. .*connection refused.*Check host and port/,
    ],
    [
      'a wrong password',
      async () => ({ 'source-password': 'not this one' }),
      /The source refused the password of "postgres".*source-password/,
    ],
    ['no password', async () => ({ 'source-password': '' }), /source.*password.*source-password/],
    [
      'an unknown database',
      async () => ({ source: uri(source, 'nowhere') }),
      /The database "nowhere" does not exist on the source/,
    ],
    [
      'an unknown database among those to migrate',
      async () => ({ databases: 'shop, shup' }),
      /A database does not exist on the source\. "shup"/,
    ],
    [
      'a server without TLS where TLS is demanded',
      async () => ({ source: uri(source, 'shop').replace('sslmode=disable', 'sslmode=require') }),
      /The source does not offer TLS/,
    ],
    [
      'a file for JUnit XML where none can be made',
      async () => ({ junit: '/dev/null/junit.xml' }),
      /The file for the JUnit XML cannot be written\. \/dev\/null\/junit\.xml/,
    ],
    [
      'client programs that are not where they should be',
      async () => ({ 'client-path': '/nonexistent/bin' }),
      /\/nonexistent\/bin/,
    ],
    [
      'several wrong inputs',
      async () => ({ analyze: 'perhaps', 'dump-jobs': 'many' }),
      /2 inputs are wrong.*dump-jobs.*analyze/,
    ],
  ])('%s', async (_, inputs, message) => {
    const run = await migrate(await inputs())
    expect(expectCleanFailure(run)).toMatch(message)
    run.cleanUp()
  })

  test('a server that requires TLS, without it', async () => {
    const strict = await TestServer.start(15, { tls: true, hba: 'hostssl all all all md5' })
    try {
      const run = await migrate({
        source: uri(strict, 'postgres'),
        'source-password': strict.password,
      })
      expect(expectCleanFailure(run)).toMatch(/refused the login.*sslmode=require/)
      run.cleanUp()
    } finally {
      await strict.stop()
    }
  })

  test('a target that is a read-only standby', async () => {
    const primary = await TestServer.start(15)
    const standby = await primary.standby()
    try {
      const run = await migrate({
        target: uri(standby, 'postgres'),
        'target-password': standby.password,
      })
      expect(expectCleanFailure(run)).toMatch(/The target is read-only.*primary endpoint/)
      run.cleanUp()
    } finally {
      await Promise.all([standby.stop(), primary.stop()])
    }
  })
})

const mounts = isRoot && canMount()
const withMounts = mounts ? describe : describe.skip
withMounts(
  `a full disk under the dump directory${mounts ? '' : ' (skipped: only root may mount one)'}`,
  () => {
    test('ends the dump with what to do about it', async () => {
      const disk = mkdtempSync(join(tmpdir(), 'disk-'))
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=20m', 'tmpfs', disk])
      try {
        const run = await migrate({ 'dump-directory': join(disk, 'dump') })
        expect(expectCleanFailure(run)).toMatch(/The disk of the runner is full.*Free space/)
        expect(readdirSync(disk)).toEqual([])
        run.cleanUp()
      } finally {
        execFileSync('umount', [disk])
        rmSync(disk, { recursive: true })
      }
    })
  },
)

describe('something is killed in the middle', () => {
  /** Keeps pg_dump waiting, so that there is a middle. */
  async function whileDumpWaits(
    during: (running: RunningAction) => Promise<void>,
  ): Promise<ActionResult> {
    const locker = await source.connect('shop')
    await locker.query('BEGIN; LOCK TABLE many IN ACCESS EXCLUSIVE MODE')
    const running = startAction(mainBundle, {
      metadata,
      // who holds such a lock has a transaction number, and counts as one who writes
      inputs: { ...between(source, target, 'shop'), verify: 'none', 'allow-writes': 'true' },
      env: results.environment(),
    })
    try {
      await until(running, async () => {
        const { rows } = await locker.query(
          `SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.query ~ 'LOCK TABLE'`,
        )
        return rows.length > 0
      })
      await during(running)
      return await running.result
    } finally {
      running.kill('SIGKILL')
      await locker.end()
    }
  }

  test('pg_dump: the run fails and says so', async () => {
    const run = await whileDumpWaits(async (running) => {
      for (const pid of programs(running.temp, 'pg_dump')) process.kill(pid, 'SIGKILL')
    })
    expect(expectCleanFailure(run)).toMatch(/could not be dumped.*pg_dump was killed by SIGKILL/)
    run.cleanUp()
  })

  test('pg_restore: the table is loaded again, and everything arrives once', async () => {
    const inputs = between(source, target, 'shop', { 'artifact-name': 'killed' })
    const proxy = await TcpProxy.start(target.port)
    // slowly, so that this is in the middle of the table
    const loads = proxy.when(/COPY public\.blob .*FROM stdin/, 'slow')
    const running = startAction(mainBundle, {
      metadata,
      inputs: { ...inputs, target: through(proxy, inputs.target ?? '') },
      env: results.environment(),
    })
    await Promise.race([loads, running.result.then(({ log }) => Promise.reject(new Error(log)))])
    const pids = programs(running.temp, 'pg_restore')
    expect(pids).not.toEqual([])
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    const run = await running.result
    await proxy.stop()
    const { report } = readReport(run)
    expect(report.error).toBeNull()
    expect(report.verified).toBe(true)
    expect(report.databases[0]?.restore?.attempts).toBeGreaterThan(1)
    await target.backend.sql('DROP DATABASE shop')
    run.cleanUp()
  })

  test.each(['SIGINT', 'SIGTERM'] as const)(
    'the job, by %s: everything ends at once, here and on the server',
    async (signal) => {
      const run = await whileDumpWaits(async (running) => running.kill(signal))
      const { report, html } = readReport(run)
      expect({ code: run.code, status: report.status }).toEqual({ code: 1, status: 'cancelled' })
      expect(report.error?.message).toBe('The job was cancelled')
      expect(run.orphans()).toEqual([])
      expectNoSecret(run, html)
      await until(undefined, async () => {
        const { rows } = await source.sql(
          `SELECT FROM pg_stat_activity WHERE application_name ~ '^migrate-to-polardb'`,
        )
        return rows.length === 0
      })
      run.cleanUp()
    },
  )

  test('the action itself: the post step ends what is left and removes every file', async () => {
    let state = {}
    const run = await whileDumpWaits(async (running) => {
      running.kill('SIGKILL')
      state = (await running.result).state
      expect(programs(running.temp, 'pg_dump').length).toBeGreaterThan(0)
      await runAction(postBundle, { metadata, state, directory: running.directory })
      expect(programs(running.temp, 'pg_dump')).toEqual([])
    })
    expect(run.signal).toBe('SIGKILL')
    expect(run.orphans()).toEqual([])
    expect(readdirSync(run.temp).filter((name) => !name.startsWith('polardb-report-'))).toEqual([])
    run.cleanUp()
  })
})

test('no argument of any program holds a secret, and no environment either', async () => {
  const seen = new Set<string>()
  // pg_dump waits for its table until it was looked at; who holds such a lock counts as one who writes
  const locker = await source.connect('shop')
  await locker.query('BEGIN; LOCK TABLE many IN ACCESS EXCLUSIVE MODE')
  const isSeen = () => [...seen].some((program) => program.endsWith('/pg_dump'))
  let isLocked = true
  const running = startAction(mainBundle, {
    metadata,
    inputs: between(source, target, 'shop', { 'artifact-name': 'ps', 'allow-writes': 'true' }),
    env: results.environment(),
  })
  let done = false
  void running.result.then(() => {
    done = true
  })
  while (!done) {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
        if (!environment.includes(running.temp) || Number(pid) === running.pid) continue
        // a child that has not yet become its program is still a copy of the action, inputs and all
        if (command.includes(mainBundle)) continue
        seen.add(command.split('\0')[0] ?? '')
        for (const secret of secrets())
          expect([command, `${command}${environment}`.includes(secret)]).toEqual([command, false])
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === undefined) throw error // a failed expectation
      }
    }
    if (isLocked && isSeen()) {
      await locker.query('COMMIT')
      isLocked = false
    }
    await setTimeout(5)
  }
  await locker.end()
  const run = await running.result
  expect(run.code).toBe(0)
  expect(isSeen()).toBe(true)
  await target.backend.sql('DROP DATABASE shop')
  run.cleanUp()
})

/** Programs of a run, by the password file that their environment names. */
function programs(temp: string, name: string): number[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .map(Number)
    .filter((pid) => {
      try {
        const [command = '', first] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
        // pg_dumpall asks the pg_dump beside it for its version
        const isAtWork = command.endsWith(`/${name}`) && first !== '-V'
        return isAtWork && environment.includes(`PGPASSFILE=${temp}/`)
      } catch {
        return false
      }
    })
}

/** Waits for a condition, as long as the test may. @throws when the run ends before */
async function until(
  running: RunningAction | undefined,
  condition: () => Promise<boolean>,
): Promise<void> {
  let log: string | undefined
  void running?.result.then((run) => {
    log = run.log
  })
  while (!(await condition())) {
    if (log !== undefined) throw new Error(`what the test waits for did not happen:\n${log}`)
    await setTimeout(5)
  }
}

function canMount(): boolean {
  const disk = join(mkdtempSync(join(tmpdir(), 'disk-')), 'probe')
  mkdirSync(disk)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'pipe' })
    execFileSync('umount', [disk])
    return true
  } catch {
    return false
  } finally {
    rmSync(join(disk, '..'), { recursive: true, force: true })
  }
}
