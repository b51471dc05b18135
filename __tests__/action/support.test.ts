import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { ResultsServer } from '../support/results-server.ts'
import {
  type ActionOptions,
  type ActionResult,
  runAction,
  runnerCommands,
  startAction,
  visibleLog,
} from '../support/runner.ts'
import { isRoot } from '../support/server.ts'

const root = join(import.meta.dirname, '..', '..')
const packageUrl = (path: string) => pathToFileURL(join(root, 'node_modules', path)).href

let directory: string
const results: ActionResult[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'support-test-'))
})

afterEach(() => {
  for (const result of results.splice(0)) result.cleanUp()
  rmSync(directory, { recursive: true, force: true })
})

function action(code: string): string {
  mkdirSync(join(directory, 'dist'), { recursive: true })
  writeFileSync(join(directory, 'dist', 'index.mjs'), code)
  return join(directory, 'dist', 'index.mjs')
}

async function run(code: string, options: ActionOptions = {}): Promise<ActionResult> {
  const result = await runAction(action(code), options)
  results.push(result)
  return result
}

describe('the runner', () => {
  test('gives an action its inputs, with the defaults of action.yml, and nothing of our environment', async () => {
    const metadata = join(directory, 'action.yml')
    writeFileSync(metadata, 'inputs:\n  compression: {default: auto}\n  dump-jobs: {default: 4}\n')
    process.env.SUPPORT_TEST_SECRET = 'ours'
    const { code, log } = await run('console.log(JSON.stringify(process.env))', {
      metadata,
      inputs: { 'dump-jobs': '2', 'my input': 'a\nb' },
      state: { started: 'yes' },
      env: { GITHUB_RUN_ID: undefined, EXTRA: 'x' },
    })
    delete process.env.SUPPORT_TEST_SECRET
    expect(code).toBe(0)
    const env = JSON.parse(log) as Record<string, string>
    expect(env).toMatchObject({
      INPUT_COMPRESSION: 'auto',
      'INPUT_DUMP-JOBS': '2',
      INPUT_MY_INPUT: 'a\nb',
      STATE_started: 'yes',
      EXTRA: 'x',
      GITHUB_ACTIONS: 'true',
    })
    expect(env).not.toHaveProperty('GITHUB_RUN_ID')
    expect(env).not.toHaveProperty('SUPPORT_TEST_SECRET')
  })

  test('returns what an action wrote with the real toolkit: outputs, state, environment, summary', async () => {
    const result = await run(`
      import * as core from '${packageUrl('@actions/core/lib/core.js')}'
      core.setOutput('report', 'two\\nlines')
      core.saveState('password-file', '/x=y')
      core.exportVariable('PGHOST', 'h')
      await core.summary.addHeading('Done').write()
      core.setFailed('no')`)
    expect(result).toMatchObject({
      code: 1,
      outputs: { report: 'two\nlines' },
      state: { 'password-file': '/x=y' },
      env: { PGHOST: 'h' },
    })
    expect(result.summary).toContain('Done')
    expect(runnerCommands(result.log)).toEqual([
      { command: 'error', properties: {}, message: 'no' },
    ])
  })

  test('runs a bundle under Node 24 in an empty directory, without node_modules', async () => {
    const { code, log } = await run(
      `console.log(process.version, process.cwd()); await import('pg')`,
      { isolated: true },
    )
    expect(code).toBe(1)
    expect(log).toMatch(/^v2[4-9]\S+ \/.*\/workspace\n/)
    expect(log).toContain("Cannot find package 'pg'")
  })

  test('lets post go on in the job of main', async () => {
    const main = await run(`
      import { writeFileSync } from 'node:fs'
      writeFileSync(process.env.RUNNER_TEMP + '/file', 'left by main')`)
    const { log } = await run(
      `import { readFileSync } from 'node:fs'
      console.log(readFileSync(process.env.RUNNER_TEMP + '/file', 'utf8'))`,
      { directory: main.directory },
    )
    expect(log).toBe('left by main\n')
  })

  test('cancels an action as a cancelled job does', async () => {
    const running = startAction(
      action(`process.on('SIGINT', () => { console.log('cancelled'); process.exit(3) })
        console.log('ready'); setInterval(() => {}, 1000)`),
    )
    await running.logged(/ready/)
    running.cancel()
    const result = await running.result
    results.push(result)
    expect(result).toMatchObject({ code: 3, signal: null, log: 'ready\ncancelled\n' })
  })

  test('finds and ends what an action left behind', async () => {
    const result = await run(`
      import { spawn } from 'node:child_process'
      spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' }).unref()
      spawn('sleep', ['2000'], { detached: true, stdio: 'ignore', env: {} }).unref()`)
    expect(
      result
        .orphans()
        .map(({ command }) => command)
        .sort(),
    ).toEqual(['sleep 1000', 'sleep 2000'])
    result.cleanUp()
    expect(existsSync(result.directory)).toBe(false)
  })
  ;(isRoot ? test : test.skip)('runs an action as somebody else', async () => {
    const { code, log } = await run(
      `import { writeFileSync } from 'node:fs'
      writeFileSync(process.env.RUNNER_TEMP + '/file', '')
      console.log(process.getuid(), process.getgid())`,
      { isolated: true, user: { uid: 65_534, gid: 65_534 } },
    )
    expect({ code, log }).toEqual({ code: 0, log: '65534 65534\n' })
  })
})

describe('the commands that a runner reads', () => {
  const none: [string, string][] = [
    ['unknown name', '::hello::there'],
    ['no end', '::error file=x'],
    ['text before it', 'NOTICE: ::error::no'],
    ['a line break that is escaped', 'x%0A::error::no'],
    ['first format, unknown name', '##[hello]there'],
    ['first format, open', '##[error there'],
    ['stopped', '::stop-commands::t\n::error::no\n##[error]no'],
  ]
  test.each(none)('none: %s', (_, log) => {
    const found = runnerCommands(log).filter(({ command }) => command !== 'stop-commands')
    expect(found).toEqual([])
  })

  const some: [string, string, object][] = [
    ['a message', '::error::no', { command: 'error', message: 'no' }],
    ['spaces before it', '  \t::warning::x', { command: 'warning' }],
    ['any case', '::Add-Mask::x', { command: 'Add-Mask', message: 'x' }],
    ['a carriage return before it', 'progress\r::error::no', { command: 'error' }],
    [
      'properties, escaped',
      '::error file=a%2Cb,line=1::50%25%0Aof%3A',
      { properties: { file: 'a,b', line: '1' }, message: '50%\nof%3A' },
    ],
    ['the first format, anywhere', 'text ##[error]no', { command: 'error', message: 'no' }],
    ['a token that was not the one', '::stop-commands::t\n::u::\n::T::\n::error::yes', {}],
  ]
  test.each(some)('one: %s', (_, log, expected) => {
    const found = runnerCommands(log).filter(({ command }) => command !== 'stop-commands')
    expect(found).toEqual([expect.objectContaining(expected)])
  })

  test('masks are applied to what follows them, and commands are not shown', () => {
    expect(visibleLog('a secret\n::add-mask::secret\nthe secret\n::debug::x\nend')).toBe(
      'a secret\nthe ***\nend',
    )
  })
})

describe('the results service', () => {
  let service: ResultsServer

  beforeEach(async () => {
    service = await ResultsServer.start()
  })

  afterEach(async () => {
    await service.stop()
  })

  /** Runs a script with the real client in a job of the service's. */
  async function client(code: string, environment = service.environment()): Promise<ActionResult> {
    return run(
      `import { DefaultArtifactClient } from '${packageUrl('@actions/artifact/lib/artifact.js')}'
      const client = new DefaultArtifactClient()
      const root = ${JSON.stringify(directory)}
      const print = (value) => console.log('RESULT ' + JSON.stringify(value))
      try {
        ${code}
      } catch (error) {
        print({ name: error.name, message: error.message })
      }`,
      { env: environment },
    )
  }

  function printed(result: ActionResult): unknown {
    const line = /^RESULT (.*)$/m.exec(result.log)?.[1]
    if (!line) throw new Error(result.log)
    return JSON.parse(line)
  }

  const upload = "const up = await client.uploadArtifact('dump', [root + '/toc.dat'], root)"

  test('keeps what the real client uploads, and gives the same bytes back', async () => {
    const content = randomBytes(20_000_000)
    writeFileSync(join(directory, 'toc.dat'), content)
    const result = await client(`
      ${upload}
      const { artifacts } = await client.listArtifacts()
      const down = await client.downloadArtifact(up.id, { path: root + '/down', expectedHash: artifacts[0].digest })
      print({ id: up.id, digest: up.digest, names: artifacts.map((one) => one.name), mismatch: down.digestMismatch })`)
    const [stored] = service.artifacts()
    expect(stored).toMatchObject({ id: 1, name: 'dump', run: '1', job: '1' })
    expect(printed(result)).toEqual({
      ...{ id: 1, names: ['dump'], mismatch: false },
      digest: stored?.digest.replace('sha256:', ''),
    })
    expect(readFileSync(join(directory, 'down', 'toc.dat')).equals(content)).toBe(true)
    expect(readFileSync(stored?.path ?? '')).toHaveLength(stored?.size ?? 0)
    await client(`await client.deleteArtifact('dump')`)
    expect(service.artifacts()).toEqual([])
    expect(existsSync(stored?.path ?? '')).toBe(false)
  })

  test('gives an artifact to another run by its token, and to no other', async () => {
    writeFileSync(join(directory, 'toc.dat'), 'x')
    await client(upload, service.environment('42'))
    const find = (token: string) => `
      const findBy = { token: '${token}', workflowRunId: 42, repositoryOwner: 'o', repositoryName: 'r' }
      const { artifact } = await client.getArtifact('dump', { findBy })
      await client.downloadArtifact(artifact.id, { path: root + '/down', findBy })
      print(artifact.name)`
    const other = service.environment('43')
    expect(printed(await client(find(service.githubToken), other))).toBe('dump')
    expect(readFileSync(join(directory, 'down', 'toc.dat'), 'utf8')).toBe('x')
    expect(printed(await client(find('ghs_wrong'), other))).toMatchObject({ name: 'HttpError' })
    expect(printed(await client(`print((await client.listArtifacts()).artifacts)`, other))).toEqual(
      [],
    )
  })

  const faults: [string, (service: ResultsServer) => void, object][] = [
    [
      'a name that is taken',
      ({ faults }) => faults.takenNames.add('dump'),
      { message: expect.stringContaining('(409) Conflict') },
    ],
    [
      'an upload URL that expires',
      ({ faults }) => Object.assign(faults, { unauthorizedAfterBlocks: 1 }),
      { name: 'RestError' },
    ],
  ]
  test.each(faults)('plays a fault: %s', async (_, set, expected) => {
    writeFileSync(join(directory, 'toc.dat'), randomBytes(10_000_000))
    set(service)
    expect(printed(await client(`${upload}\nprint(up)`))).toMatchObject(expected)
  })

  test('plays its faults as often as it is told, and no more', async () => {
    writeFileSync(join(directory, 'toc.dat'), randomBytes(10_000_000))
    service.faults.cutUpload = { after: 1000, times: 1 }
    service.faults.rpc = { status: 503, times: 1 }
    expect(printed(await client(`${upload}\nprint(up.id)`))).toBe(1)
    const count = (line: string) => service.requests.filter((one) => one === line).length
    expect(count('POST /twirp/github.actions.results.api.v1.ArtifactService/CreateArtifact')).toBe(
      2,
    )
    // two blocks, one of them again, and their list
    expect(count('PUT /blob/1.zip')).toBeGreaterThanOrEqual(4)
    expect(service.faults).toMatchObject({ cutUpload: { times: 0 }, rpc: { times: 0 } })
  })

  async function download(): Promise<{ original: Buffer; answer: Response }> {
    writeFileSync(join(directory, 'toc.dat'), randomBytes(100_000))
    await client(upload)
    const original = readFileSync(service.artifacts()[0]?.path ?? '')
    const answer = await fetch(`${service.url}/repos/o/r/actions/artifacts/1/zip`, {
      headers: { authorization: `token ${service.githubToken}` },
    })
    return { original, answer }
  }

  test('plays a fault: a download that is cut', async () => {
    service.faults.cutDownload = { after: 50, times: 1 }
    const { answer } = await download()
    await expect(answer.arrayBuffer()).rejects.toThrow('terminated')
  })

  test('plays a fault: a download that stalls', async () => {
    service.faults.stallDownload = { after: 50, times: 1 }
    const { answer } = await download()
    const reader = answer.body?.getReader()
    expect((await reader?.read())?.value).toHaveLength(50)
    const more = reader?.read().then(() => 'more')
    const soon = new Promise((resolve) => setTimeout(resolve, 300, 'nothing'))
    expect(await Promise.race([more, soon])).toBe('nothing')
    await reader?.cancel()
  })

  test('plays a fault: a download with one byte changed', async () => {
    service.faults.corruptDownload = true
    const { original, answer } = await download()
    const bytes = Buffer.from(await answer.arrayBuffer())
    expect(bytes).toHaveLength(original.length)
    expect(bytes.filter((byte, at) => byte !== original[at])).toHaveLength(1)
  })
})
