import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { commands } from '../../src/commands/index.ts'
import type { Failure } from '../../src/failure.ts'
import { databasesInput, parseDatabases } from '../../src/migration/database-names.ts'
import { type Inputs, parseInputs } from '../../src/migration/inputs.ts'
import { parseCompression } from '../../src/postgres/programs/arguments.ts'
import { failureThrown } from '../support/failure.ts'

const servers = { source: 'postgresql://u@s/shop', target: 'postgresql://u@t/postgres' }
const read = (given: Record<string, string>): Inputs =>
  parseInputs((name) => given[name] ?? '', commands)
const mistakes = (given: Record<string, string>): Failure => failureThrown(() => read(given))

describe('the inputs', () => {
  test('have the defaults that action.yml documents', () => {
    const { inputs } = parse(readFileSync('action.yml', 'utf8')) as {
      inputs: Record<string, { default?: string }>
    }
    const documented = Object.fromEntries(
      Object.entries(inputs).map(([name, input]) => [name, input.default ?? '']),
    )
    expect(read({ ...documented, ...servers })).toEqual(read(servers))
  })

  test('are all read by the code, and the code reads no others', () => {
    const { inputs } = parse(readFileSync('action.yml', 'utf8')) as { inputs: object }
    const asked = new Set<string>()
    parseInputs((name) => {
      asked.add(name)
      return servers[name as keyof typeof servers] ?? ''
    }, commands)
    expect([...asked].sort()).toEqual(Object.keys(inputs).sort())
  })

  test('move no database, and freeze nothing, with roles: only', () => {
    const only = { ...servers, roles: 'only' }
    expect(read({ ...only, databases: 'all' })).toMatchObject({ roles: 'only', databases: 'none' })
    expect(mistakes({ ...only, 'freeze-source': 'true' }).why).toMatch(/^freeze-source: true; /)
    for (const command of ['rehearse', 'verify', 'unfreeze'])
      expect(mistakes({ ...only, command }).why).toMatch(/^roles: "only"; allowed: migrate, skip /)
  })

  test('refuse to hold an outage against a limit that nothing proves', () => {
    const given = { ...servers, command: 'rehearse', 'max-outage': '90m' }
    expect(read(given).maxOutage).toBe(5400)
    expect(mistakes({ ...given, verify: 'counts' }).why).toContain(
      'verify: "counts" with max-outage',
    )
  })

  test('report all their mistakes in one message, never a secret', () => {
    const failure = mistakes({
      command: 'move',
      source: 'postgresql://u:s3cret@/d',
      'source-password': 'multi\nline-s3cret',
      analyze: 'yes',
      'dump-jobs': '0',
      compression: 'zip',
      'dump-options': '--schema-only\nfoo',
      'retention-days': '91',
      'dump-directory': 'relative/path',
      'artifact-name': 'a/b',
      'run-id': '42',
    })
    expect(failure.message).toBe('12 inputs are wrong')
    for (const name of [
      'command',
      'source',
      'source-password',
      'analyze',
      'dump-jobs',
      'compression',
      'dump-options',
    ]) {
      expect(failure.why).toContain(`${name}: `)
    }
    expect(failure.why).toContain('"move"; allowed: migrate, preflight, dump, restore, verify')
    expect(failure.line).not.toContain('s3cret')
  })

  test('of a preflight name one server at least', () => {
    expect(mistakes({ command: 'preflight' }).why).toContain('source and target: neither is set')
    expect(read({ command: 'preflight', target: servers.target }).source).toBeUndefined()
  })

  test.each(['migrate', 'dump'])(
    'refuse run-id and dump-id where %s makes its own dump',
    (command) => {
      const id = '0f8fad5b-d9cb-469f-a165-70867728950e'
      const { why } = mistakes({ ...servers, command, 'run-id': '42', 'dump-id': id })
      expect(why).toContain('run-id: "42"; allowed: with restore, and with verify without source')
      expect(why).toContain(`dump-id: "${id}"; allowed: with restore`)
      expect(why).not.toContain('github-token')
    },
  )

  test('take a history with what goes into one, and no outage that is none', () => {
    expect(read({ ...servers, history: 'reports' }).history).toBe('reports')
    const dump = { source: servers.source, command: 'dump', history: 'reports' }
    expect(mistakes(dump).why).toContain(
      'history: "reports"; allowed: with command rehearse or migrate',
    )
    const { why } = mistakes({ ...servers, 'max-outage': 'an hour' })
    expect(why).toContain('max-outage: "an hour"; allowed: such as 90m, 1h30m')
    expect(why).toContain('allowed: with command rehearse')
  })

  test('take the id of a dump, and nothing else for one', () => {
    const given = { target: servers.target, command: 'restore' }
    const id = '0F8FAD5B-d9cb-469f-a165-70867728950e'
    expect(read({ ...given, 'dump-id': id }).dumpId).toBe(id.toLowerCase())
    expect(mistakes({ ...given, 'dump-id': 'latest' }).why).toContain('dump-id: "latest"; allowed')
  })

  test('take a password exactly as given, but for the line break that pasting leaves', () => {
    const password = ' p w '
    const inputs = read({ ...servers, 'source-password': `${password}\n` })
    expect(inputs.source?.password).toBe(password)
  })

  test.each([
    ['migrate', ['source', 'target']],
    ['dump', ['source']],
    ['restore', ['target']],
    ['verify', ['target']],
  ])('command %s says which servers it needs', (command, needed) => {
    const { why } = mistakes({ command, 'upload-dump': 'true' })
    for (const name of needed) expect(why).toContain(`${name}: it is not set`)
  })

  test.each(['--dbname=x', '-d', '--jobs=3', '--file=/etc/passwd', '--verbose', '-Fc', '--clean'])(
    'refuse the option %s, which is the action’s own',
    (option) => {
      expect(mistakes({ ...servers, 'dump-options': option }).why).toContain('dump-options')
    },
  )

  test.each(['--exclude-table-data=audit.*', '-Tlog', '--lock-wait-timeout=5s', '--no-comments'])(
    'pass the option %s on',
    (option) => {
      expect(read({ ...servers, 'dump-options': option }).dumpOptions).toEqual([option])
    },
  )
})

describe('databases', () => {
  test.each([
    ['', []],
    ['all', 'all'],
    ['"all"', [{ source: 'all', target: 'all' }]],
    ['a', [{ source: 'a', target: 'a' }]],
    [
      'a, b=c\n d ',
      [
        { source: 'a', target: 'a' },
        { source: 'b', target: 'c' },
        { source: 'd', target: 'd' },
      ],
    ],
    ['"a,b"="c=""d"""', [{ source: 'a,b', target: 'c="d"' }]],
    [
      'my shop\nother',
      [
        { source: 'my shop', target: 'my shop' },
        { source: 'other', target: 'other' },
      ],
    ],
  ])('%j', (text, expected) => {
    expect(parseDatabases(text)).toEqual(expected)
  })

  test.each([
    'shop',
    'all',
    'a,b',
    'a=b',
    ' blanks at its ends ',
    'c="d"',
    '"',
    'two\nlines',
    "it's $HOME {{ x }} \\",
  ])('that is written for one of them is read as that one: %j', (name) => {
    for (const [source, target] of [
      [name, name],
      [name, 'x'],
      ['x', name],
    ] as const) {
      const text = databasesInput({ source, target })
      expect(parseDatabases(text)).toEqual([{ source, target }])
      expect(text.trim()).toBe(text)
    }
  })

  test.each([
    ['""', 'without a name'],
    ['shop=""', 'without a name'],
    ['ä'.repeat(32), 'of 64 bytes; PostgreSQL has 63 at most'],
    [`shop="${'x'.repeat(64)}"`, 'of 64 bytes'],
    ['a\0b', 'with a NUL'],
  ])('%j names no database', (text, flaw) => {
    expect(() => parseDatabases(text)).toThrow(flaw)
    expect(mistakes({ ...servers, databases: text }).why).toMatch(/^databases: it names/)
  })

  test('may be as long as the server allows', () => {
    expect(parseDatabases('x'.repeat(63))).toHaveLength(1)
  })

  test.each(['template0', 'template1', 'polardb_admin'])('never go into %s', (name) => {
    const target = `postgresql://u@t/${name}`
    expect(mistakes({ ...servers, target }).why).toContain(`target: the database "${name}"`)
    const { why } = mistakes({ ...servers, databases: `shop=${name}` })
    expect(why).toContain(`databases: the database "${name}"`)
  })

  test.each(['source', 'target'] as const)('of a connection are measured, too: %s', (side) => {
    const long = `postgresql://u@h/${'x'.repeat(64)}`
    expect(mistakes({ ...servers, [side]: long }).why).toContain(
      `${side}: the name of a database of`,
    )
    const nul = `postgresql://u@h/a%00b`
    expect(mistakes({ ...servers, [side]: nul }).why).toContain(`${side}: `)
  })

  test.each([['a=b=c'], ['a='], ['a,,b'], ['a\na'], ['a=x\nb=x'], ['"a']])(
    '%j is refused',
    (text) => {
      expect(() => parseDatabases(text)).toThrow(SyntaxError)
    },
  )
})

describe('compression', () => {
  test.each([
    ['auto', { method: 'auto' }],
    ['none', { method: 'none' }],
    ['gzip:9', { method: 'gzip', level: 9 }],
    ['zstd', { method: 'zstd' }],
  ])('%s', (text, expected) => expect(parseCompression(text)).toEqual(expected))

  test.each([['gzip:0'], ['gzip:10'], ['none:1'], ['brotli'], ['zstd:'], ['']])(
    '%j is refused',
    (text) => {
      expect(() => parseCompression(text)).toThrow(SyntaxError)
    },
  )
})
