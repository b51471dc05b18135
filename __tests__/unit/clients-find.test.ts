import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Cancelled } from '../../src/failure.ts'
import {
  findClient,
  type ProvideOptions,
  type ToolCache,
} from '../../src/postgres/programs/clients/provide.ts'
import { parseVersion } from '../../src/postgres/version.ts'
import { failureOf } from '../support/failure.ts'
import { testContext } from '../support/provide-client.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'find-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const all = ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql']

/** A directory with programs that say a version, as far as anybody who looks for programs can tell. */
function programs(name: string, version: string, names = all): string {
  const path = join(directory, name)
  mkdirSync(path, { recursive: true })
  for (const each of names) {
    writeFileSync(join(path, each), `#!/bin/sh\necho "${each} (PostgreSQL) ${version}"\n`)
    chmodSync(join(path, each), 0o755)
  }
  return path
}

interface Runner {
  installed?: string[]
  path?: string[]
  cache?: { version: string; directory: string }[]
}

async function find(
  major: string,
  runner: Runner,
  options: Omit<ProvideOptions, 'source'> = {},
  context = testContext(directory),
) {
  const source = parseVersion(major)
  if (!source) throw new Error(`${major} is no version`)
  const cache: ToolCache = {
    directory: undefined,
    find: () => runner.cache ?? [],
    store: async () => {
      throw new Error('A search stores nothing')
    },
  }
  return await findClient({ source, ...options }, context, cache, {
    path: ['relative/directory', join(directory, 'nowhere'), ...(runner.path ?? [])].join(':'),
    proxies: {},
    architecture: 'x64',
    installed: () => runner.installed ?? [],
  })
}

async function lineOf(work: Promise<unknown>): Promise<string> {
  return (await failureOf(work)).line
}

describe('the client programs of a source are found', () => {
  test('in the tool cache before the installed ones, and those before PATH', async () => {
    const installed = [programs('installed', '15.20')]
    const path = [programs('path', '15.21')]
    const entry = join(directory, 'entry')
    programs('entry/bin', '15.19')
    const cache = [{ version: '15.19.0', directory: entry }]
    expect(await find('15', { installed, path, cache })).toEqual({
      majorName: '15',
      version: '15.19',
      directory: join(entry, 'bin'),
      libraryPath: join(entry, 'lib'),
      origin: 'tool cache',
      warnings: [],
    })
    expect(await find('15', { installed, path })).toMatchObject({
      version: '15.20',
      origin: 'installed',
    })
    expect(await find('15', { path })).toMatchObject({ version: '15.21', origin: 'PATH' })
    expect(await find('15', {})).toBeUndefined()
  })

  test('in the newest entry of the tool cache that works', async () => {
    const cache = ['15.14', '15.20', '15.9', '16.1'].map((version) => {
      programs(`${version}/bin`, version, version === '15.20' ? ['pg_dump'] : all)
      return { version: `${version}.0`, directory: join(directory, version) }
    })
    expect(await find('15', { cache })).toMatchObject({ version: '15.14', origin: 'tool cache' })
  })

  test('rather where they have no known vulnerability', async () => {
    const runner = { installed: [programs('old', '15.2')], path: [programs('new', '15.20')] }
    expect(await find('15', runner)).toMatchObject({ version: '15.20', warnings: [] })
  })

  test('with a warning that names the fixed minor release when there are no others', async () => {
    const client = await find('15', { installed: [programs('old', '15.13')] })
    expect(client).toMatchObject({
      version: '15.13',
      warnings: [expect.stringMatching(/15\.13, which has a known vulnerability.*fixed in 15\.14/)],
    })
  })

  test('with a warning that says how to renew an entry of the tool cache', async () => {
    programs('entry/bin', '17.5')
    const cache = [{ version: '17.5.0', directory: join(directory, 'entry') }]
    const client = await find('17', { cache })
    expect(client?.warnings).toEqual([expect.stringContaining(`Remove ${directory}/entry from`)])
  })

  test('for a major before 10 by both its numbers', async () => {
    const installed = [programs('9.5', '9.5.25'), programs('9.6', '9.6.24')]
    expect(await find('9.6', { installed })).toMatchObject({ majorName: '9.6', version: '9.6.24' })
  })

  test('for a source before 9.3 in the nearest major that can dump in parallel', async () => {
    const installed = [
      programs('14', '14.19'),
      programs('9.4', '9.4.26'),
      programs('9.1', '9.1.24'),
    ]
    const client = await find('9.1', { installed })
    expect(client).toMatchObject({ majorName: '9.4' })
    expect(client?.warnings.join()).toMatch(/nearest newer ones that can are used/)
  })

  test('in client-path and nowhere else', async () => {
    const path = programs('mine', '15.20')
    const runner = { installed: [programs('installed', '15.21')] }
    expect(await find('15', runner, { path })).toMatchObject({
      directory: path,
      origin: 'client-path',
      version: '15.20',
    })
  })

  test('of the version that client-version asks for', async () => {
    const installed = [programs('15', '15.20'), programs('17', '17.6')]
    const client = await find('15', { installed }, { version: '17' })
    expect(client).toMatchObject({
      version: '17.6',
      warnings: [expect.stringContaining('as client-version asks')],
    })
  })
})

describe('a directory does not count', () => {
  test.each(all)('without %s', async (name) => {
    const rest = all.filter((each) => each !== name)
    expect(await find('15', { installed: [programs('some', '15.20', rest)] })).toBeUndefined()
  })

  test('when one program is of another major', async () => {
    const installed = [programs('mixed', '15.20')]
    programs('mixed', '16.10', ['psql'])
    expect(await find('15', { installed })).toBeUndefined()
  })

  test('when a program cannot be executed', async () => {
    const installed = [programs('some', '15.20')]
    chmodSync(join(directory, 'some/psql'), 0o644)
    expect(await find('15', { installed })).toBeUndefined()
  })

  test('when a program fails', async () => {
    const installed = [programs('some', '15.20')]
    writeFileSync(
      join(directory, 'some/psql'),
      '#!/bin/sh\necho "psql (PostgreSQL) 15.20"\nexit 1\n',
    )
    expect(await find('15', { installed })).toBeUndefined()
  })

  test("when it is Debian's wrapper, whatever version that says", async () => {
    const share = programs('share', '15.20', ['pg_wrapper'])
    writeFileSync(
      join(share, 'pg_wrapper'),
      '#!/bin/sh\necho "$(basename "$0") (PostgreSQL) 15.20"\n',
    )
    const bin = join(directory, 'bin')
    mkdirSync(bin)
    for (const name of all) symlinkSync(join(share, 'pg_wrapper'), join(bin, name))
    expect(await find('15', { path: [bin] })).toBeUndefined()
    expect(await lineOf(find('15', {}, { path: bin }))).toContain("Debian's pg_wrapper")
  })

  test("when it is a copy of Debian's wrapper", async () => {
    const bin = programs('bin', '15.20')
    const text = '#!/bin/sh\n# use PgCommon;\necho "pg_dump (PostgreSQL) 15.20"\n'
    writeFileSync(join(bin, 'pg_dump'), text)
    expect(await find('15', { path: [bin] })).toBeUndefined()
  })
})

describe('client-path is refused', () => {
  test('when the programs are of another major, which the message names', async () => {
    const line = await lineOf(find('15', {}, { path: programs('mine', '17.6') }))
    expect(line).toMatch(
      /client programs of PostgreSQL 15\. In it pg_dump is of PostgreSQL 17\.6\./,
    )
    expect(line).toContain('set client-version')
  })

  test('when a program is missing, which the message names', async () => {
    const path = programs('mine', '15.20', ['pg_dump', 'pg_dumpall', 'psql'])
    expect(await lineOf(find('15', {}, { path }))).toContain('In it there is no pg_restore')
  })

  test('when it is relative', async () => {
    expect(await lineOf(find('15', {}, { path: 'bin' }))).toContain('no absolute path')
  })
})

test('a cancelled job stops the search', async () => {
  const controller = new AbortController()
  controller.abort()
  const context = { ...testContext(directory), signal: controller.signal }
  const searching = find('15', { installed: [programs('some', '15.20')] }, {}, context)
  await expect(searching).rejects.toThrow(Cancelled)
})
