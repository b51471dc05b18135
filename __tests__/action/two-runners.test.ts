import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { databasesOf, readParts, writerOf } from '../../src/migration/kept/load.ts'
import { parseManifest } from '../../src/migration/kept/manifest.ts'
import { planRoleScript } from '../../src/migration/roles/script.ts'
import { presumedTarget } from '../../src/polardb/presumed-target.ts'
import {
  demoLosses,
  readEverything,
  runJob,
  smallShop,
  withoutPassword,
} from '../support/migration.ts'
import { mutateJson } from '../support/mutate-json.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { randomIntegers } from '../support/random.ts'
import { ResultsServer } from '../support/results-server.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: PlainTarget
let results: ResultsServer
const directory = mkdtempSync(join(tmpdir(), 'two-runners-'))

beforeAll(async () => {
  ;[source, target, results] = await Promise.all([
    TestServer.start(15),
    startPlainTarget(15),
    ResultsServer.start(),
  ])
  await source.sql('CREATE DATABASE shop')
  await source.sql(smallShop(), 'shop')
})
afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop(), results?.stop()])
  rmSync(directory, { recursive: true })
})
afterEach(async () => {
  await target.backend.sql('DROP DATABASE IF EXISTS shop')
})

const dumpInputs = (more: Record<string, string> = {}) => ({
  command: 'dump',
  source: withoutPassword(source.uri('shop')),
  'source-password': source.password,
  ...more,
})
const targetInputs = (command: string, more: Record<string, string> = {}) => ({
  command,
  target: withoutPassword(target.uri('postgres')),
  'target-password': target.password,
  'allow-missing': demoLosses,
  ...more,
})

async function expectEqualData(): Promise<void> {
  const [here, there] = [await source.connect('shop'), await target.backend.connect('shop')]
  expect(await readEverything(there)).toEqual(await readEverything(here))
  await Promise.all([here.end(), there.end()])
}

describe('a dump made by one job and restored by another', () => {
  test.each([
    ['of the same run, as it is', 'same', {}],
    ['of the same run, encrypted', 'same', { passphrase: 'correct horse battery staple' }],
    ['of another run, encrypted', 'other', { passphrase: 'correct horse battery staple' }],
  ])('%s, is verified without a way to the source', async (_, run, more) => {
    const name = `dump-${Object.keys(more).length}-${run}`
    const dumped = await runJob({
      inputs: dumpInputs({ 'artifact-name': name, ...more }),
      env: results.environment('7', 'dump'),
    })
    expect(dumped.report.error).toBeNull()
    expect(dumped.outputs['artifact-id']).toBeTruthy()
    expect(readdirSync(dumped.temp).filter((file) => !file.startsWith('polardb-report'))).toEqual(
      [],
    )

    const elsewhere = run === 'other' ? { 'run-id': '7', 'github-token': results.githubToken } : {}
    const restored = await runJob({
      inputs: targetInputs('restore', { 'artifact-name': name, ...more, ...elsewhere }),
      env: {
        ...results.environment(run === 'other' ? '8' : '7', 'restore'),
        GITHUB_REPOSITORY: 'o/r',
      },
    })
    expect(restored.report.error).toBeNull()
    expect(restored.outputs.verified).toBe('true')
    expect(restored.report.phases.map((phase) => phase.name)).toContain('download')
    await expectEqualData()
    dumped.cleanUp()
    restored.cleanUp()
  })

  test('of the roles alone, and of one database without them, have names of their own', async () => {
    const env = { ...results.environment('9', 'matrix'), GITHUB_REPOSITORY: 'o/r' }
    const alone = { roles: 'only' }
    const one = { roles: 'skip', databases: 'shop' }
    for (const more of [alone, one] as Record<string, string>[]) {
      const dumped = await runJob({ inputs: dumpInputs(more), env })
      expect(dumped.report.error).toBeNull()
      expect(dumped.report.artifact?.name).toBe(`polardb-dump-${more.databases ?? 'roles'}`)
      dumped.cleanUp()
    }
    for (const more of [alone, one] as Record<string, string>[]) {
      const restored = await runJob({ inputs: targetInputs('restore', more), env })
      expect(restored.report.error).toBeNull()
      expect(restored.outputs.verified).toBe('true')
      restored.cleanUp()
    }
    await expectEqualData()
  })

  test('of everything is one of the roles, too', async () => {
    const whole = await runJob({ inputs: dumpInputs(), env: results.environment('10', 'whole') })
    expect(whole.report.artifact?.name).toBe('polardb-dump')
    const found = await runJob({
      inputs: targetInputs('restore', { roles: 'only' }),
      env: results.environment('10', 'roles'),
    })
    expect(found.report).toMatchObject({ error: null, verified: true, databases: [] })
    whole.cleanUp()
    found.cleanUp()
  })

  test('with the wrong passphrase is refused before anything is touched', async () => {
    const dumped = await runJob({
      inputs: dumpInputs({ 'artifact-name': 'wrong', passphrase: 'the right passphrase' }),
      env: results.environment(),
    })
    const restored = await runJob({
      inputs: targetInputs('restore', {
        'artifact-name': 'wrong',
        passphrase: 'another passphrase',
      }),
      env: results.environment(),
    })
    expect(JSON.stringify(restored.report.error)).toMatch(/passphrase/i)
    expect(await databases()).not.toContain('shop')
    dumped.cleanUp()
    restored.cleanUp()
  })

  test('that does not exist is an error that says where it was looked for', async () => {
    const restored = await runJob({
      inputs: targetInputs('restore', { 'artifact-name': 'never-made' }),
      env: results.environment(),
    })
    expect(restored.report.error?.message).toBe('There is no artifact never-made in this run')
    restored.cleanUp()
  })
})

describe('a dump in a directory', () => {
  const dump = join(directory, 'dump')
  beforeAll(async () => {
    const run = await runJob({
      inputs: dumpInputs({ 'dump-directory': dump, 'keep-dump': 'true', 'upload-dump': 'false' }),
    })
    expect(run.report.error).toBeNull()
    run.cleanUp()
  })

  test('is restored from there, with no artifact at all, and stays', async () => {
    const run = await runJob({ inputs: targetInputs('restore', { 'dump-directory': dump }) })
    expect(run.report.error).toBeNull()
    expect(run.outputs.verified).toBe('true')
    await expectEqualData()
    // the restore has given back what it lent itself: whoever verifies later must be able to read
    await target.backend.sql('GRANT shop_owner TO gctest')
    const again = await runJob({ inputs: targetInputs('verify', { 'dump-directory': dump }) })
    expect(again.report.error).toBeNull()
    expect(again.outputs.verified).toBe('true')
    for (const each of [run, again]) each.cleanUp()
  })

  test('proves a week later that a row was changed on the target, and names the table', async () => {
    const run = await runJob({
      inputs: targetInputs('restore', { 'dump-directory': dump, analyze: 'false' }),
    })
    expect(run.report.error).toBeNull()
    await target.backend.sql(
      'UPDATE shop.customer SET balance = balance + 0.01 WHERE id = 77',
      'shop',
    )
    const again = await runJob({ inputs: targetInputs('verify', { 'dump-directory': dump }) })
    expect(again.code).toBe(1)
    expect(again.outputs.verified).toBe('false')
    expect(again.report.error?.cause).toContain('shop.customer')
    for (const each of [run, again]) each.cleanUp()
  })

  test('is not mixed with what is already in a directory', async () => {
    const run = await runJob({
      inputs: dumpInputs({ 'dump-directory': dump, 'upload-dump': 'false', 'keep-dump': 'true' }),
    })
    expect(run.report.error?.message).toBe('The dump directory is not empty')
    expect(readdirSync(dump)).toContain('manifest.json')
    run.cleanUp()
  })

  test.each<[string, (copy: string, archive: string) => void, RegExp]>([
    ['a file that is missing', (_, archive) => rmSync(join(archive, 'toc.dat')), /toc\.dat/],
    [
      'a file that was cut off',
      (_, archive) => truncateSync(join(archive, 'toc.dat'), 100),
      /toc\.dat/,
    ],
    ['a file that was altered', (copy) => flip(join(copy, 'roles.sql')), /roles\.sql/],
    [
      'a file that was added',
      (copy) => writeFileSync(join(copy, 'extra.sql'), 'SELECT 1'),
      /extra\.sql/,
    ],
    [
      'a link out of it',
      (copy) => {
        renameSync(join(copy, 'roles.sql'), join(copy, '..', 'outside.sql'))
        symlinkSync(join(copy, '..', 'outside.sql'), join(copy, 'roles.sql'))
      },
      /roles\.sql/,
    ],
    [
      'a manifest that is cut off',
      (copy) => truncateSync(join(copy, 'manifest.json'), 300),
      /manifest\.json/,
    ],
    [
      'a manifest with a path out of it',
      (copy) => edit(copy, '"path":"roles.sql"', '"path":"../roles.sql"'),
      /\.\.\/roles\.sql/,
    ],
    [
      'another format version',
      (copy) => edit(copy, '"formatVersion": 1', '"formatVersion": 99'),
      /format version 99/,
    ],
    ['no manifest', (copy) => rmSync(join(copy, 'manifest.json')), /no dump/],
  ])('is refused with %s, before anything is restored', async (_, tamper, message) => {
    const copy = join(mkdtempSync(join(directory, 'tampered-')), 'dump')
    cpSync(dump, copy, { recursive: true })
    const [database = ''] = readdirSync(join(copy, 'databases'))
    tamper(copy, join(copy, 'databases', database, '1'))
    const run = await runJob({ inputs: targetInputs('restore', { 'dump-directory': copy }) })
    expect(run.code).toBe(1)
    expect(`${run.report.error?.message} ${run.report.error?.cause}`).toMatch(message)
    expect(await databases()).not.toContain('shop')
    run.cleanUp()
  })
})

describe('a manifest of which one part is wrong', () => {
  const dump = join(directory, 'whole')
  beforeAll(async () => {
    const run = await runJob({
      inputs: dumpInputs({ 'dump-directory': dump, 'keep-dump': 'true', 'upload-dump': 'false' }),
    })
    expect(run.report.error).toBeNull()
    run.cleanUp()
  })

  /** MANIFEST_SEED asks for other damage. */
  const seed = Number(process.env.MANIFEST_SEED ?? 1)

  test(`is used or refused, and nothing else happens (seed ${seed})`, () => {
    const next = randomIntegers(seed)
    const whole: unknown = JSON.parse(readFileSync(join(dump, 'manifest.json'), 'utf8'))
    const script = readFileSync(join(dump, 'roles.sql'), 'utf8')
    const refused = new Set<string>()
    for (let round = 0; round < 600; round++) {
      const damaged = mutateJson(whole, next)
      try {
        const manifest = parseManifest(Buffer.from(JSON.stringify(damaged)))
        const roles = readParts(manifest)
        const databases = databasesOf(manifest.databases, []).map((database) => database.source)
        if (roles)
          planRoleScript(script, roles.catalog, presumedTarget(roles.catalog, writerOf(manifest)), {
            superuserOption: 'auto',
            existingRoles: 'keep',
            rolePasswords: true,
            databases,
          })
      } catch (error) {
        if (!(error instanceof Failure)) throw new Error(JSON.stringify(damaged), { cause: error })
        refused.add(error.message)
      }
    }
    expect(refused.size).toBeGreaterThan(2)
  })

  test.each<[string, string, string, RegExp]>([
    ['roles that are null', '"roles": {', '"roles": null, "x": {', /`roles` is null/],
    [
      'a catalog that is null',
      '"roles": {',
      '"roles": { "catalog": null }, "x": {',
      /In its manifest, `roles` is no object/,
    ],
    ['a role that is null', '"roles": [', '"roles": [ null,', /`roles\.roles\[0\]`/],
  ])('with %s is refused in one line, before the target is touched', async (_, from, to, why) => {
    const copy = join(mkdtempSync(join(directory, 'roles-')), 'dump')
    cpSync(dump, copy, { recursive: true })
    edit(copy, from, to)
    const run = await runJob({ inputs: targetInputs('restore', { 'dump-directory': copy }) })
    expect(`${run.report.error?.message} ${run.report.error?.cause}`).toMatch(why)
    expect(run.report.phases.map(({ name }) => name)).not.toContain('restore-roles')
    run.cleanUp()
  })
})

describe('an unencrypted dump of a public repository', () => {
  const event = join(directory, 'event.json')
  beforeAll(() => writeFileSync(event, JSON.stringify({ repository: { visibility: 'public' } })))
  const environment = () => ({
    ...results.environment('public', 'dump'),
    GITHUB_EVENT_PATH: event,
    GITHUB_REPOSITORY: 'o/public',
  })

  test('is never uploaded', async () => {
    const run = await runJob({
      inputs: dumpInputs({ 'artifact-name': 'refused' }),
      env: environment(),
    })
    expect(run.report.error?.message).toBe('The dump is not uploaded: the repository is public')
    expect(results.artifacts().map(({ name }) => name)).not.toContain('refused')
    run.cleanUp()
  })

  test('is uploaded when that is allowed, with a warning', async () => {
    const run = await runJob({
      inputs: dumpInputs({ 'artifact-name': 'allowed', 'allow-public-artifact': 'true' }),
      env: environment(),
    })
    expect(run.report.error).toBeNull()
    expect(run.report.warnings.join()).toMatch(/public repository: everybody can download/)
    run.cleanUp()
  })
})

test('an upload that fails does not harm the migration, and fails the step at the end', async () => {
  const run = await runJob({
    inputs: { ...dumpInputs(), ...targetInputs('migrate') },
    // no artifact service for this step
  })
  expect(run.code).toBe(1)
  expect(run.report.error?.message).toBe('The dump cannot be kept as an artifact here')
  expect(run.outputs.verified).toBe('true')
  await expectEqualData()
  run.cleanUp()
})

async function databases(): Promise<string[]> {
  const { rows } = await target.backend.sql('SELECT datname FROM pg_database')
  return rows.map(({ datname }) => datname)
}

function flip(path: string): void {
  const bytes = readFileSync(path)
  bytes[10] = (bytes[10] ?? 0) ^ 1
  writeFileSync(path, bytes)
}

function edit(copy: string, from: string, to: string): void {
  const path = join(copy, 'manifest.json')
  const text = readFileSync(path, 'utf8')
  if (!text.includes(from)) appendFileSync(path, 'the test does not fit the manifest')
  writeFileSync(path, text.replace(from, to))
}
