import { describe, expect, test } from '@jest/globals'
import type { Check } from '../../src/migration/checks/check.ts'
import {
  addedMembers,
  extensionLibraries,
  extensions,
  managedTables,
  specialExtensions,
  targetExtensions,
  targetLibraries,
} from '../../src/migration/checks/extensions.ts'
import { Known } from '../../src/migration/checks/known.ts'
import type { ReachedTarget, Source } from '../../src/migration/checks/preflight.ts'
import type { Question } from '../../src/migration/checks/question.ts'
import {
  dumpFiles,
  type FileSystem,
  fileSystem,
  runnerFiles,
  runnerMemory,
} from '../../src/migration/checks/runner.ts'
import { consoleNames, plainSetting, roleNames } from '../../src/migration/checks/settings.ts'
import { inheritedNotNull, lostNulls, placeOf } from '../../src/migration/checks/source/objects.ts'
import { existingDatabase } from '../../src/migration/checks/target/content.ts'
import {
  accountInherits,
  databaseRights,
  publicObjects,
  publicRights,
  sourceRoles,
  targetPrivilegeChecks,
  targetRoles,
} from '../../src/migration/checks/target/privileges.ts'
import { storage } from '../../src/migration/checks/target/room.ts'
import { parseInputs } from '../../src/migration/inputs.ts'

interface World {
  databases?: { source: string; target: string; bytes: number }[]
  polardb?: string | null
  inputs?: Record<string, string>
  source?: [Question<object>, object[]][]
  target?: [Question<object>, object[]][]
  files?: FileSystem
}

/** What a check says of two servers that exist nowhere. */
function judge(check: Check, world: World) {
  const inputs = parseInputs(
    (name) => world.inputs?.[name] ?? '',
    [{ name: world.inputs?.command ?? 'preflight', needs: [], dump: 'none' }],
  )
  const connection = { user: 'me', dbname: 'shop' }
  const account = { name: 'me', superuser: false, createRole: true, createDatabase: false }
  const databases = world.databases ?? [{ source: 'shop', target: 'shop', bytes: 1e9 }]
  const known = new Known(
    {
      source: { connection, databases } as Source,
      target: { connection, polardb: world.polardb ?? null, major: 15, account } as ReachedTarget,
      inputs,
      runner: {
        ...{ dumpDirectory: '/dump', free: 1, processors: 1, canUpload: false, environment: {} },
      },
    },
    [],
  )
  for (const side of ['source', 'target'] as const)
    for (const [question, rows] of world[side] ?? []) known[side].note(question, 'shop', rows)
  if (world.files) known.noteResult(fileSystem, { value: world.files })
  return check.judge(known)
}

const passed = expect.objectContaining({ status: 'passed' })
const terabyte = 1000 ** 4

describe('an extension whose library must be loaded', () => {
  const world = (name: string, libraries: string, more: World = {}): World => ({
    ...more,
    source: [[extensions, [{ name }]]],
    target: [
      [targetExtensions, [{ name }]],
      [targetLibraries, [{ libraries }]],
    ],
  })
  const polardb = { polardb: '2.0.15' }

  test('is a blocker where it cannot be created without, on PolarDB more often', () => {
    const blocker = { status: 'failed', severity: 'blocker' }
    expect(judge(extensionLibraries, world('pg_cron', 'x'))).toMatchObject(blocker)
    expect(judge(extensionLibraries, world('pg_bigm', 'x', polardb))).toMatchObject(blocker)
    expect(judge(extensionLibraries, world('pg_bigm', 'x'))).toEqual(passed)
    expect(judge(extensionLibraries, world('pldbgapi', '', polardb))).toMatchObject({
      remedy: expect.stringContaining('Add plugin_debugger to shared_preload_libraries'),
    })
  })

  test('is none where it is loaded, given up, or not offered anyway', () => {
    expect(judge(extensionLibraries, world('pg_cron', 'a, "pg_cron"', polardb))).toEqual(passed)
    const written = `$libdir/pg_hint_plan, '$libdir/x',"$libdir/pg_cron.so"`
    expect(judge(extensionLibraries, world('pg_cron', written, polardb))).toEqual(passed)
    const given = { inputs: { 'allow-missing': 'EXTENSION pg_cron' } }
    expect(judge(extensionLibraries, world('pg_cron', '', given))).toEqual(passed)
    const other = world('pg_cron', '')
    expect(judge(extensionLibraries, { ...other, target: [[targetExtensions, []]] })).toEqual(
      passed,
    )
  })
})

test('tables that TimescaleDB and Citus keep are a blocker', () => {
  const rows = [
    { extension: 'timescaledb', table: 'public.metrics' },
    { extension: 'citus', table: 'events' },
  ]
  expect(judge(specialExtensions, { source: [[managedTables, rows]] })).toMatchObject({
    status: 'failed',
    message: '2 tables of timescaledb and citus cannot be migrated by a dump alone',
    objects: ['public.metrics', 'events'],
  })
})

test('names that the console cannot have are told for PolarDB alone', () => {
  const world: World = {
    databases: [
      { source: 'shop', target: 'Shop 1', bytes: 1 },
      { source: 'ok', target: 'ok-1', bytes: 1 },
    ],
    source: [[roleNames, ['app', 'a', 'root', 'a_role_of_17_chars'].map((name) => ({ name }))]],
  }
  expect(judge(consoleNames, world)).toEqual(passed)
  expect(judge(consoleNames, { ...world, polardb: '1.1.20' })).toMatchObject({
    status: 'failed',
    objects: ['role "a"', 'role "root"', 'role "a_role_of_17_chars"', 'database "Shop 1"'],
  })
  const skipped = { ...world, polardb: '1.1.20', inputs: { roles: 'skip' } }
  expect(judge(consoleNames, skipped)).toMatchObject({ objects: ['database "Shop 1"'] })
})

test('the storage of the smallest class is too small from 40 TB on, or half of it beside the old database', () => {
  const world = (size: number): World => ({
    polardb: '2.0.15',
    databases: [{ source: 'a', target: 'a', bytes: size }],
  })
  expect(judge(storage, world(39 * terabyte))).toEqual(passed)
  expect(judge(storage, world(41 * terabyte))).toMatchObject({ status: 'failed' })
  expect(judge(storage, { ...world(41 * terabyte), polardb: null })).toEqual(passed)
  const swap = { 'if-target-not-empty': 'swap' }
  expect(judge(storage, { ...world(21 * terabyte), inputs: swap })).toMatchObject({
    status: 'failed',
  })
})

test('a dump needs a file for each table and large object', () => {
  const world = (files: number | null): World => ({
    source: [[dumpFiles, [{ tables: 500, objects: 100_000 }]]],
    files: { files, inMemory: false, memory: 1 },
  })
  expect(judge(runnerFiles, world(101_500))).toEqual(passed)
  expect(judge(runnerFiles, world(null))).toEqual(passed)
  expect(judge(runnerFiles, world(101_499))).toMatchObject({
    status: 'failed',
    message: 'The dump has about 101,500 files, and /dump can hold 101,499 more',
  })
})

test('a dump in memory must leave most of it to the programs', () => {
  const world = (inMemory: boolean, bytes: number): World => ({
    databases: [{ source: 'a', target: 'a', bytes }],
    files: { files: null, inMemory, memory: 16e9 },
  })
  expect(judge(runnerMemory, world(false, 100e9))).toEqual(passed)
  expect(judge(runnerMemory, world(true, 7e9))).toEqual(passed)
  expect(judge(runnerMemory, world(true, 9e9))).toMatchObject({ status: 'failed' })
})

test.each([
  ['postgres_fdw', null, ''],
  ['postgres_fdw', ['host=/var/run/postgresql'], ''],
  ['postgres_fdw', ['port=5432', 'host=db.example.org'], 'db.example.org'],
  ['postgres_fdw', ['host=db.example.org,localhost'], ''],
  ['postgres_fdw', ['hostaddr=127.0.0.1', 'host=db.example.org'], ''],
  ['file_fdw', null, ''],
  ['oracle_fdw', ['dbserver=//ora:1521/x'], undefined],
  ['mysql_fdw', ['host=10.0.0.7'], '10.0.0.7'],
])('a server of %s with %j is at %j', (wrapper, options, place) => {
  expect(placeOf({ name: 's', wrapper, options })).toBe(place)
})

test.each([
  ['TimeZone', 'Etc/UTC', 'GMT', true],
  ['TimeZone', 'UTC', 'Asia/Shanghai', false],
  ['lc_monetary', 'en_US.UTF-8', 'en_US.utf8', true],
  ['lc_time', 'C.UTF-8', 'POSIX', true],
  ['lc_numeric', 'C', 'de_DE.UTF-8', false],
  ['default_text_search_config', 'pg_catalog.simple', 'simple', true],
  ['DateStyle', 'ISO, MDY', 'ISO, DMY', false],
])('%s of %s and of %s is the same: %s', (name, one, other, isSame) => {
  expect(plainSetting(name, one) === plainSetting(name, other)).toBe(isSame)
})

test('what is added to an extension is taken out by statements that can be pasted', () => {
  const rows = [{ extension: 'my ext', kind: 'materialized view', object: 's."V"' }]
  const question = addedMembers.questions?.source?.[0]
  expect(judge(addedMembers, { source: question ? [[question, rows]] : [] })).toMatchObject({
    paste: 'ALTER EXTENSION "my ext" DROP MATERIALIZED VIEW s."V";',
  })
})

test('columns that lose their NULLs block where they are sure to be compared', () => {
  const severity = (inputs: Record<string, string>) =>
    judge(inheritedNotNull, {
      inputs,
      source: [[lostNulls, [{ schema: 'public', table: 'child', column: 'a' }]]],
    })
  expect(severity({})).toMatchObject({ severity: 'blocker' })
  expect(severity({ verify: 'counts' })).toMatchObject({ severity: 'warning' })
  expect(severity({ 'dump-options': '--exclude-table=child' })).toMatchObject({
    severity: 'warning',
  })
})

test('replace takes CREATEDB only where a database is dropped', () => {
  const [check] = targetPrivilegeChecks
  if (!check) throw new TypeError('no check')
  const objects = (owner: boolean, found: string[], there = ['shop']) =>
    judge(check, {
      inputs: { 'if-target-not-empty': 'replace' },
      source: [
        [publicObjects, []],
        [sourceRoles, []],
      ],
      target: [
        [databaseRights, there.map((name) => ({ name, connect: true, create: true, owner }))],
        [publicRights, []],
        [targetRoles, []],
        [existingDatabase, [{ objects: found, mark: null, mayCreate: true }]],
      ],
    })
  const needed = { status: 'failed', objects: ['CREATEDB'] }
  expect(objects(true, ['public.t'])).toMatchObject(needed)
  expect(objects(true, [], [])).toMatchObject(needed)
  expect(objects(true, [])).toEqual(passed)
  expect(objects(false, ['public.t'])).toEqual(passed)
})

test('a rehearsal takes an account that inherits, or it could not remove what it gives away', () => {
  const [check] = targetPrivilegeChecks
  if (!check) throw new TypeError('no check')
  const of = (command: string, inherits: boolean) =>
    judge(check, {
      inputs: { command },
      source: [
        [publicObjects, []],
        [sourceRoles, []],
      ],
      target: [
        [accountInherits, [{ inherits }]],
        [databaseRights, [{ name: 'shop', connect: true, create: true, owner: true }]],
        [publicRights, []],
        [targetRoles, []],
        [existingDatabase, []],
      ],
    })
  expect(of('rehearse', false)).toMatchObject({
    status: 'failed',
    objects: ['INHERIT'],
    paste: expect.stringMatching(/^ALTER ROLE "?\w+"? INHERIT;$/),
  })
  expect(of('rehearse', true)).toEqual(passed)
  expect(of('migrate', false)).toEqual(passed)
})
