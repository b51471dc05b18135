import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { commands } from '../../src/commands/index.ts'
import { Failure } from '../../src/failure.ts'
import { openDumpPlace } from '../../src/host/dump-place.ts'
import { PrivateDirectory, removeLeftovers } from '../../src/host/private-directory.ts'
import { parseInputs } from '../../src/migration/inputs.ts'
import { Scratch } from '../support/sample-dump.ts'

let scratch: Scratch
let temp: string
let own: PrivateDirectory
const children: ChildProcess[] = []
beforeEach(async () => {
  scratch = new Scratch()
  temp = scratch.of('temp')
  mkdirSync(temp)
  own = await PrivateDirectory.make(temp, () => {})
})
afterEach(async () => {
  await own.remove()
  for (const child of children.splice(0)) child.kill('SIGKILL')
  scratch[Symbol.dispose]()
})

/** What the next run says that it removed. */
const clean = async () => {
  const lines: string[] = []
  await removeLeftovers(temp, (line) => lines.push(line))
  return lines
}
const owner = () => JSON.parse(readFileSync(join(own.path, 'owner'), 'utf8'))
/** Makes the private directory that of another process. */
const belongTo = (change: object) =>
  writeFileSync(join(own.path, 'owner'), JSON.stringify({ ...owner(), ...change }))
const startOf = (pid: number | undefined) =>
  readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19]
/** A process that is killed, and one that runs. */
const dead = { pid: 2 ** 22, started: '1' }
const alive = () => {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' })
  children.push(child)
  return { pid: child.pid, started: startOf(child.pid) }
}

describe('what a run has left that was killed', () => {
  test('is removed by the next run: its private directory, its dump, and what it put where it was told to', async () => {
    const [made, given] = [scratch.of('made'), scratch.of('given')]
    await own.note([
      { path: made, contentsOnly: false },
      { path: given, contentsOnly: true },
    ])
    for (const directory of [made, given]) {
      scratch.write(`${basename(directory)}/roles.sql`, 'x')
      scratch.write(`${basename(directory)}/databases/shop/1/toc.dat`, 'x')
    }
    scratch.write(`temp/${basename(own.path)}/source.pgpass`, 'secret')
    belongTo(dead)
    expect(await clean()).toEqual([
      expect.stringMatching(`^Removed what a killed run had left: ${own.path}`),
    ])
    expect(readdirSync(temp)).toEqual([])
    expect(existsSync(made)).toBe(false)
    expect(readdirSync(given)).toEqual([])
  })

  test('is not a dump that was to be kept, nor a report that was written', async () => {
    const [kept, report, log] = ['polardb-dump-1', 'polardb-report-1', 'polardb-report-2']
    scratch.write(`temp/${kept}/manifest.json`, '{}')
    scratch.write(`temp/${report}/report.json`, '{}')
    scratch.write(`temp/${log}/pg_dump.log`, '')
    for (const name of [report, log])
      await own.note([{ path: join(temp, name), contentsOnly: false, unless: 'report.json' }])
    belongTo(dead)
    await clean()
    expect(readdirSync(temp).sort()).toEqual([kept, report])
  })

  test('is nothing of a run that lives, whatever the dead one names', async () => {
    const given = scratch.of('given')
    scratch.write('given/roles.sql', 'of the run that lives')
    await own.note([{ path: given, contentsOnly: true }])
    belongTo(dead)
    const other = await PrivateDirectory.make(temp, () => {})
    await other.note([{ path: given, contentsOnly: true }])
    await clean()
    expect(readdirSync(temp)).toEqual([basename(other.path)])
    expect(readdirSync(given)).toEqual(['roles.sql'])
    await other.remove()
  })

  test('is nothing where a directory holds more than a dump by now', async () => {
    await own.note([{ path: scratch.of('given'), contentsOnly: false }])
    scratch.write('given/roles.sql', 'x')
    scratch.write('given/thesis.tex', 'x')
    belongTo(dead)
    await clean()
    expect(readdirSync(scratch.of('given')).sort()).toEqual(['roles.sql', 'thesis.tex'])
    expect(readdirSync(temp)).toEqual([])
  })

  test.each<[string, () => object]>([
    ['a process that runs', () => alive()],
    [
      'a run in another container that shows signs of life',
      () => ({ ...dead, namespace: 'pid:[1]' }),
    ],
  ])('is nothing of %s', async (_, process) => {
    belongTo(process())
    expect(await clean()).toEqual([])
    expect(existsSync(own.path)).toBe(true)
  })

  test.each<[string, () => object]>([
    ['before the machine was started', () => ({ ...alive(), boot: 'another' })],
    ['whose process id another process has now', () => ({ ...alive(), started: '1' })],
  ])('is what a run left %s', async (_, process) => {
    belongTo(process())
    expect(await clean()).toHaveLength(1)
    expect(existsSync(own.path)).toBe(false)
  })

  test('is what a run in another container left, once it showed no sign of life for an hour', async () => {
    belongTo({ ...dead, namespace: 'pid:[1]' })
    const long = Date.now() / 1000 - 3601
    utimesSync(join(own.path, 'owner'), long, long)
    await clean()
    expect(existsSync(own.path)).toBe(false)
  })

  test.each<[string, string]>([
    ['no JSON', '1234'],
    ['null', 'null'],
    ['other rubbish', '{"pid":1,"started":"","boot":"","namespace":"","rubbish":[null]}'],
    [
      'a path that is not absolute',
      '{"pid":1,"started":"","boot":"","namespace":"","rubbish":[{"path":"x","contentsOnly":true}]}',
    ],
  ])('is not found in a note that holds %s', async (_, note) => {
    writeFileSync(join(own.path, 'owner'), note)
    expect(await clean()).toEqual([])
    expect(existsSync(own.path)).toBe(true)
  })

  test('is never what a link leads to', async () => {
    scratch.write('elsewhere/roles.sql', 'x')
    await own.note([{ path: scratch.of('link'), contentsOnly: true }])
    symlinkSync(scratch.of('elsewhere'), scratch.of('link'))
    symlinkSync(scratch.of('elsewhere'), join(temp, 'polardb-migration-planted'))
    belongTo(dead)
    await clean()
    expect(readdirSync(scratch.of('elsewhere'))).toEqual(['roles.sql'])
    expect(lstatSync(join(temp, 'polardb-migration-planted')).isSymbolicLink()).toBe(true)
  })
})

describe('the directory of a dump', () => {
  const servers = { source: 'postgresql://u@s/shop', target: 'postgresql://u@t/postgres' }
  const place = (given: Record<string, string>, warnings: string[] = []) => {
    const inputs = parseInputs((name) => ({ ...servers, ...given })[name] ?? '', commands)
    return openDumpPlace(inputs, temp, own, (message) => warnings.push(message))
  }
  const refusal = async (given: Record<string, string>) => {
    try {
      await place(given)
    } catch (error) {
      if (error instanceof Failure) return error.line
      throw error
    }
    throw new Error('it was accepted')
  }
  const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)

  test('is in the private directory, or beside it when it is to be kept', async () => {
    expect(await place({})).toBe(join(own.path, 'dump'))
    const kept = await place({ 'keep-dump': 'true' })
    expect(kept).toMatch(/\/polardb-dump-\w+$/)
    expect([mode(own.path), mode(kept)]).toEqual(['700', '700'])
    writeFileSync(join(kept, 'manifest.json'), '{}')
    await own.remove()
    expect(readdirSync(temp)).toEqual([basename(kept)])
  })

  test('that is to be kept stays once it is sealed, and goes otherwise', async () => {
    const given = scratch.of('given')
    mkdirSync(given)
    for (const [name, left] of [
      ['roles.sql', []],
      ['manifest.json', ['manifest.json']],
    ] as const) {
      own = await PrivateDirectory.make(temp, () => {})
      await place({ 'dump-directory': given, 'keep-dump': 'true' })
      scratch.write(`given/${name}`, 'x')
      await own.remove()
      expect(readdirSync(given)).toEqual(left)
    }
  })

  test('that a killed run was to keep is removed by the next without a manifest, and what stays is not named', async () => {
    const [half, whole] = [scratch.of('half'), scratch.of('whole')]
    for (const directory of [half, whole]) {
      mkdirSync(directory)
      await place({ 'keep-dump': 'true', 'dump-directory': directory })
      scratch.write(`${basename(directory)}/roles.sql`, 'x')
    }
    scratch.write('half/manifest.json.tmp', '{')
    scratch.write('whole/manifest.json', '{}')
    belongTo(dead)
    expect(await clean()).toEqual([`Removed what a killed run had left: ${own.path}, ${half}`])
    expect(readdirSync(half)).toEqual([])
    expect(readdirSync(whole).sort()).toEqual(['manifest.json', 'roles.sql'])
  })

  test('is private before the first byte, also where it was there before', async () => {
    const given = scratch.of('given')
    mkdirSync(given, { mode: 0o755 })
    expect(await place({ 'dump-directory': given })).toBe(given)
    expect(mode(given)).toBe('700')
    scratch.write('given/roles.sql', 'x')
    await own.remove()
    expect(readdirSync(given)).toEqual([])
  })

  test('is made with those above it, and removed itself', async () => {
    const given = scratch.of('a/b/c')
    expect(await place({ 'dump-directory': given })).toBe(given)
    expect(mode(scratch.of('a/b'))).toBe('700')
    await own.remove()
    expect(readdirSync(scratch.of('a/b'))).toEqual([])
  })

  test.each([
    ['/proc/nope', /cannot be used.*ENOENT/],
    ['/proc/nope/deeper', /cannot be used.*ENOENT/],
    ['/dev/null', /cannot be used.*ENOTDIR/],
    ['/dev/null/x', /cannot be used/],
  ])('cannot be %s', async (path, reason) => {
    expect(await refusal({ 'dump-directory': path })).toMatch(reason)
    expect(await refusal({ 'dump-directory': path, command: 'restore' })).toMatch(/cannot be used/)
  })

  test('cannot be one that holds something, which stays as it is', async () => {
    scratch.write('given/thesis.tex', 'x')
    chmodSync(scratch.of('given'), 0o750)
    expect(await refusal({ 'dump-directory': scratch.of('given') })).toContain('is not empty')
    expect(readdirSync(scratch.of('given'))).toEqual(['thesis.tex'])
    expect(mode(scratch.of('given'))).toBe('750')
  })

  const asRoot = process.getuid?.() === 0 ? test : test.skip
  asRoot('that belongs to another account is told to root', async () => {
    mkdirSync(scratch.of('given'))
    chownSync(scratch.of('given'), 12345, 12345)
    const warnings: string[] = []
    await place({ 'dump-directory': scratch.of('given') }, warnings)
    expect(warnings.join()).toContain('belongs to the user id 12345')
  })
})
