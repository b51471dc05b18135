import { cpSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { GitHubArtifacts } from '../../src/action/artifacts.ts'
import { openDump } from '../../src/migration/kept/directory.ts'
import { extractZip } from '../../src/migration/kept/unzip.ts'
import { clientDirectory } from '../support/clients.ts'
import { fence, replaced } from '../support/documents.ts'
import { dumping, listener, newlyTold, tinyParts } from '../support/dump-in-parts.ts'
import { runInProcess } from '../support/in-process.ts'
import { uploadDump } from '../support/keep-dump.ts'
import { takeMasks } from '../support/masks.ts'
import { smallShop } from '../support/migration.ts'
import { everything } from '../support/migration-world.ts'
import { ResultsServer } from '../support/results-server.ts'
import { QuietContext, Scratch } from '../support/sample-dump.ts'
import { TestServer } from '../support/server.ts'
import { ShellWorld } from '../support/shell-world.ts'
import { missingForAge, typed } from '../support/typed.ts'

/**
 * docs/artifacts.md and docs/encryption.md followed literally, from the artifacts of a real dump to a server that has everything. `gh` is
 * a script that hands out what the stand-in for GitHub's service has kept.
 */
const artifacts = 'docs/artifacts.md'
const encryption = 'docs/encryption.md'
const passphrase = 'correct horse battery staple'
/** So small that the dump takes several artifacts, and its largest file several pieces. */
const limits = { bytes: 300_000, files: 20 }

afterAll(takeMasks().stop)

describe('a dump is restored by hand', () => {
  let source: TestServer
  let target: TestServer
  let results: ResultsServer
  let world: ShellWorld
  let scratch: Scratch
  let programs: string

  beforeEach(async () => {
    scratch = new Scratch()
    world = new ShellWorld()
    const found = await clientDirectory(15)
    if (!found) throw new Error('the client programs of 15 cannot be had on this machine')
    programs = found
    ;[source, target, results] = await Promise.all([
      TestServer.start(15),
      TestServer.start(15),
      ResultsServer.start(),
    ])
    await source.sql('CREATE DATABASE shop')
    await source.sql(smallShop(), 'shop')
  })
  afterEach(async () => {
    await Promise.all([source?.stop(), target?.stop(), results?.stop()])
    await world?.cleanUp()
    scratch[Symbol.dispose]()
  })

  /** Dumps, uploads, and lets `gh` have what a run would have kept. */
  async function kept(options: { parts: boolean; passphrase?: string }): Promise<void> {
    const told = newlyTold()
    const inputs = {
      command: 'dump',
      source: source.uri('shop'),
      'client-path': programs,
      'dump-directory': scratch.of('dump'),
      'keep-dump': 'true',
      'upload-dump': 'false',
      ...(options.passphrase ? { passphrase: options.passphrase } : {}),
    }
    const { error } = options.parts
      ? await runInProcess(inputs, { partSizes: tinyParts }, dumping(listener(told)))
      : await runInProcess(inputs)
    expect(error).toBeUndefined()
    const archives = readdirSync(join(scratch.of('dump'), 'databases', 'shop'))
    expect(archives.length > 2).toBe(options.parts)
    const context = new QuietContext()
    mkdirSync(scratch.of('scratch'))
    await uploadDump(
      new GitHubArtifacts(context.log, results.environment('7'), []),
      scratch.of('dump'),
      await openDump(scratch.of('dump'), context),
      {
        name: 'polardb-dump',
        compressed: true,
        scratch: scratch.of('scratch'),
        ...(options.parts ? { limits } : {}),
        ...(options.passphrase ? { passphrase: options.passphrase } : {}),
      },
      context,
    )
    const downloads = world.path('downloads')
    for (const { name, path } of results.artifacts())
      await extractZip(path, join(downloads, name), context.signal)
    expect(readdirSync(downloads).length > 2).toBe(options.parts)
    world.program(
      'gh',
      `test "$*" = "run download 7 --pattern polardb-dump*" && cp -r '${downloads}'/. .`,
    )
  }

  /** The variables of libpq that somebody has in his shell, and the programs that he has installed. */
  const shell = () => ({
    PGHOST: '127.0.0.1',
    PGPORT: String(target.port),
    PGUSER: target.superuser,
    PGPASSWORD: target.password,
    PATH: [world.path('bin'), programs, process.env.PATH ?? ''].join(':'),
  })
  const run = async (script: string, more: { cwd?: string; env?: Record<string, string> } = {}) => {
    const { code, log } = await world.run(script, { ...more, env: { ...shell(), ...more.env } })
    expect({ code, log: code === 0 ? '' : log }).toEqual({ code: 0, log: '' })
    return log
  }

  async function expectRestored(): Promise<void> {
    expect(await everything(target, 'shop')).toEqual(await everything(source, 'shop'))
    const { rows } = await target.sql(
      `SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = 'shop'`,
    )
    expect(rows).toEqual([{ owner: 'shop_owner' }])
  }

  test.each([
    ['of a single archive', false],
    ['in parts, from several artifacts', true],
  ])('%s', async (_, parts) => {
    await kept({ parts })
    await run(replaced(fence(artifacts, 'Restoring by hand', 0), { 'RUN-ID': '7' }))
    await run(fence(artifacts, 'Restoring by hand', 1), { cwd: world.path('dump') })
    await expectRestored()
  })

  test('encrypted and in parts, and its seal proves it', async () => {
    const missing = missingForAge()
    if (missing) return void console.warn(`SKIPPED: ${missing}`)
    await kept({ parts: true, passphrase })
    await run(replaced(fence(encryption, 'Decrypting by hand', 0), { 'RUN-ID': '7' }))
    const all = world.path('all')
    typed(fence(encryption, 'Decrypting by hand', 1), passphrase, { cwd: all })
    await run(fence(encryption, 'Decrypting by hand', 2), { cwd: all })
    const at = join(all, 'dump')
    await run(fence(artifacts, 'Restoring by hand', 1), { cwd: at })
    await expectRestored()

    cpSync(join(scratch.of('dump'), 'manifest.seal'), join(at, 'manifest.seal'))
    const seal = fence(encryption, 'The seal', 0)
    expect(await run(seal, { cwd: at, env: { PASSPHRASE: passphrase } })).toBe('true\n')
    expect(await run(seal, { cwd: at, env: { PASSPHRASE: 'another' } })).toBe('false\n')
  })
})
