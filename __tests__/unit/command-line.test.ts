import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { parse } from 'yaml'
import { passwordsToAsk } from '../../src/cli/ask.ts'
import { exitCode } from '../../src/cli/exit-code.ts'
import { helpOf, overview } from '../../src/cli/help.ts'
import { readInputs } from '../../src/cli/inputs.ts'
import { KeptDirectory } from '../../src/cli/kept-directory.ts'
import { ownOptions, readPackage, variableOf } from '../../src/cli/options.ts'
import { readSettings } from '../../src/cli/settings.ts'
import { mayMove, TerminalLog } from '../../src/cli/terminal.ts'
import { commands } from '../../src/commands/index.ts'
import { Failure } from '../../src/failure.ts'
import { rememberSecret } from '../../src/host/secrets.ts'
import { openDumpDirectory } from '../../src/migration/kept/download.ts'
import { newReport } from '../../src/report/model.ts'
import { failureOf } from '../support/failure.ts'
import { uploadDump } from '../support/keep-dump.ts'
import { QuietContext, Scratch, sampleDump } from '../support/sample-dump.ts'
import { cancelledReport, failedReport, goodReport } from '../support/sample-reports.ts'

const about = readPackage()
const action = parse(readFileSync('action.yml', 'utf8')) as { inputs: Record<string, object> }
let scratch: Scratch
beforeEach(() => {
  scratch = new Scratch()
  mkdirSync(scratch.of('.'), { recursive: true })
})
afterEach(() => scratch[Symbol.dispose]())

const read = (words: string[], environment: Record<string, string> = {}) =>
  readSettings(words, environment, about, scratch.of('.'))
const servers = ['--source', 'postgresql://u@s/shop', '--target', 'postgresql://u@t/postgres']
function file(text: string, mode = 0o600): string {
  const path = scratch.of('inputs.yml')
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

describe('the words of a command line', () => {
  test('name inputs, with their values behind them or a sign between', () => {
    const { get, command, mistakes } = read(['migrate', '--verify', 'counts', '--dump-jobs=4'])
    expect([command, get('verify'), get('dump-jobs'), mistakes]).toEqual([
      'migrate',
      'counts',
      '4',
      [],
    ])
  })

  test('turn on what is true or false without a value, and with one set it', () => {
    const { get, command, mistakes } = read(
      '--freeze-source migrate --analyze false --show-keys=true --role-passwords TRUE'.split(' '),
    )
    expect(['freeze-source', 'analyze', 'show-keys', 'role-passwords'].map(get)).toEqual([
      'true',
      'false',
      'true',
      'TRUE',
    ])
    expect([command, mistakes]).toEqual(['migrate', []])
  })

  test('say several times what is a list, and nothing else', () => {
    const words = ['--databases', 'a,b', '--databases', 'c', '--verify', 'data', '--verify', 'none']
    const { get, mistakes } = read(['migrate', ...words])
    expect(get('databases')).toBe('a,b\nc')
    expect(mistakes).toEqual(['--verify: it is given 2 times'])
  })

  test('are refused where they are none of ours, and never repeated: they may be secrets', () => {
    const { mistakes } = read([
      'migrate',
      '--passwort',
      'hunter2',
      'hunter3',
      '--source',
      '--target',
      'x',
      '-x',
    ])
    expect(mistakes).toEqual([
      '--passwort: there is no such option',
      '--source: a value is missing',
      '-x: there is no such option',
      '3 words stand behind no option; write --name value, and quote a value with blanks',
    ])
    expect(read(['preflight', '--databases=--odd']).get('databases')).toBe('--odd')
  })
})

describe('an input', () => {
  test('of the command line counts before that of the environment, and that before the one of the file', () => {
    const config = file('verify: none\ndump-jobs: 2\nrestore-jobs: 3\ncommand: preflight\n')
    const environment = {
      MIGRATE_VERIFY: 'counts',
      MIGRATE_DUMP_JOBS: '5',
      MIGRATE_RESTORE_JOBS: '',
    }
    const { get, command } = read(['--config', config, '--verify', 'data'], environment)
    expect(['verify', 'dump-jobs', 'restore-jobs', 'analyze'].map(get)).toEqual([
      'data',
      '5',
      '3',
      '',
    ])
    expect(command).toBe('preflight')
    expect(read(['dump'], { MIGRATE_CONFIG: config }).command).toBe('dump')
  })

  test('of a file is the text that stands there, and a list several lines', () => {
    const { get, mistakes } = read([
      'migrate',
      '--config',
      file(
        'client-version: 9.10\nanalyze: no\ndatabases: [a, b=c]\nallow-missing: |\n  ROLE r\n  *\n',
      ),
    ])
    expect(['client-version', 'analyze', 'databases', 'allow-missing'].map(get)).toEqual([
      '9.10',
      'no',
      'a\nb=c',
      'ROLE r\n*',
    ])
    expect(mistakes).toEqual([])
  })

  test('that is a path counts from the directory of the caller', () => {
    expect(read(['dump', '--dump-directory', 'd']).get('dump-directory')).toBe(scratch.of('d'))
    expect(read(['dump', '--dump-directory', '/d']).get('dump-directory')).toBe('/d')
    expect(read(['dump', '--report-directory=r']).reportDirectory).toBe(scratch.of('r'))
  })

  test.each([...about.elsewhere.keys()])(
    '%s makes sense on GitHub only: refused wherever it is set',
    (name) => {
      const config = file(`${name}: '7'\n`)
      const { get, mistakes } = read(['migrate', `--${name}`, '7', '--config', config], {
        [variableOf(name)]: '7',
      })
      expect(mistakes).toEqual([
        `--${name}, ${variableOf(name)}, ${name} in ${config}: ${about.elsewhere.get(name)}`,
      ])
      expect(get(name)).toBe('')
    },
  )

  test('that there is none of is a mistake in a file, and a remark in the environment', () => {
    const config = file('sources: hunter2\n')
    const { mistakes, remarks } = read(['migrate', '--config', config], {
      MIGRATE_SOURCE_PASWORD: 'hunter2',
      MIGRATE_VERIFY: 'data',
    })
    expect(mistakes).toEqual([`the file ${config}: sources: there is no such input`])
    expect(remarks).toEqual([
      'The variable MIGRATE_SOURCE_PASWORD is not used: there is no such input',
    ])
  })
})

describe('a secret', () => {
  const secrets = about.options.filter(({ kind }) => kind === 'secret').map(({ name }) => name)

  test.each(secrets)(
    '%s is refused on the command line, and taken from elsewhere as it is',
    (name) => {
      const refused = read(['migrate', `--${name}`, 'hunter2'])
      expect(refused.mistakes.join()).toContain(`--${name}: everybody on this machine can read`)
      expect(refused.mistakes.join()).not.toContain('hunter2')
      expect(refused.get(name)).toBe('')
      expect(read(['migrate'], { [variableOf(name)]: ' blanks ' }).get(name)).toBe(' blanks ')
      expect(read(['migrate', '--config', file(`${name}: " blanks "\n`)]).get(name)).toBe(
        ' blanks ',
      )
    },
  )

  test.each([
    'postgresql://u:hunter2@h/d',
    'postgresql://h/d?password=hunter2',
    'host=h password=hunter2',
  ])('within %s is refused on the command line, and taken from elsewhere', (source) => {
    expect(read(['dump', '--source', source]).mistakes.join()).toMatch(
      /^--source: it holds a password[^2]*$/,
    )
    expect(read(['dump'], { MIGRATE_SOURCE: source }).mistakes).toEqual([])
  })

  test.each([
    ['source-password: hunter2\n', 0o640, 'it holds a secret, and others can read or change it'],
    ['source: postgresql://u:hunter2@h/d\n', 0o604, 'it holds a secret'],
    ['source: postgresql://u@h/d\n', 0o644, undefined],
    ['source-password: hunter2\n', 0o600, undefined],
    ['source-password: [hunter2\n', 0o600, 'is no YAML'],
    ['source-password: {a: hunter2}\n', 0o600, 'neither a text nor a list of texts'],
    ['hunter2\n', 0o600, 'it is no list of name: value'],
    ['verify: data\nverify: hunter2\n', 0o600, 'line 2 is no YAML'],
  ])('in the file %j of mode %o', (text, mode, mistake) => {
    const { mistakes } = read(['dump', '--config', file(text, mode)])
    expect(mistakes.join('\n')).toEqual(
      mistake === undefined ? '' : expect.stringContaining(mistake),
    )
    expect(mistakes.join('\n')).not.toContain('hunter2')
  })

  test('is asked for where a server is given without one', () => {
    const asked = (given: Record<string, string>) => passwordsToAsk((name) => given[name] ?? '')
    expect(asked({ source: 'postgresql://u@s/d', target: 'host=t user=v password=x' })).toEqual([
      { name: 'source-password', prompt: 'Password of the source, u at s: ' },
    ])
    expect(asked({ target: 'host=t user=v' })).toHaveLength(1)
    expect(asked({ source: 'postgresql://u@s/d', 'source-password': 'x' })).toEqual([])
    expect(asked({ source: 'no connection string' })).toEqual([])
  })

  test('that was asked for counts', async () => {
    const inputs = await readInputs(read(['migrate', ...servers]), async (prompt) =>
      prompt.includes('source') ? 'typed-1' : 'typed-2',
    )
    expect([inputs.source?.password, inputs.target?.password]).toEqual(['typed-1', 'typed-2'])
  })
})

describe('a dump', () => {
  const inputs = (words: string[], environment = {}) =>
    readInputs(read(words, environment), undefined)
  const secret = { MIGRATE_PASSPHRASE: 'correct horse battery' }

  test.each([
    ['migrate without a place for it', ['migrate', ...servers], {}, false, false],
    ['migrate with one', ['migrate', ...servers, '--dump-directory', 'd'], {}, true, false],
    ['with a passphrase', ['migrate', ...servers, '--dump-directory', 'd'], secret, false, true],
    ['of dump', ['dump', ...servers, '--dump-directory', 'd'], {}, true, false],
    ['of dump, encrypted', ['dump', ...servers, '--dump-directory', 'd'], secret, false, true],
    ['that is read', ['restore', ...servers, '--dump-directory', 'd'], secret, false, false],
  ])(
    'of %s is kept as it is, or encrypted',
    async (_, words, environment, keepDump, uploadDump) => {
      expect(await inputs(words, environment)).toMatchObject({ keepDump, uploadDump })
    },
  )

  test.each([
    ['dump', ['dump', ...servers], 'writes its dump there'],
    ['restore', ['restore', ...servers], 'reads the dump there'],
    ['verify without a source', ['verify', ...servers.slice(2)], 'reads the dump there'],
  ])('of %s needs a directory', async (_, words, why) => {
    const failure = await failureOf(inputs(words))
    expect([failure.message, failure.why]).toEqual([
      'An input is wrong',
      expect.stringMatching(`^dump-directory: it is not set; .*${why}$`),
    ])
  })

  test('of a rehearsal is kept encrypted, or refused in words that a command line knows', async () => {
    const words = ['rehearse', ...servers, '--dump-directory', 'd']
    expect(await inputs(words, secret)).toMatchObject({ keepDump: false, uploadDump: true })
    expect(await inputs(words.slice(0, -2))).toMatchObject({ keepDump: false, uploadDump: false })
    const failure = await failureOf(inputs(words))
    expect([failure.message, failure.why]).toEqual([
      'An input is wrong',
      'passphrase: it is not set; allowed: a passphrase, where dump-directory keeps the dump of a rehearsal',
    ])
  })

  test('that is encrypted lies in its directory as dump-directory takes it, parts and all', async () => {
    const manifest = await sampleDump(scratch.of('dump'))
    for (const name of ['kept', 'scratch', 'plain']) mkdirSync(scratch.of(name))
    const store = new KeptDirectory(scratch.of('kept'))
    const passphrase = 'a long passphrase'
    const limits = { bytes: 100_000, files: 3, least: 1000 }
    const options = {
      name: 'd',
      compressed: true,
      scratch: scratch.of('scratch'),
      limits,
      passphrase,
    }
    const context = new QuietContext()
    const { parts } = await uploadDump(store, scratch.of('dump'), manifest, options, context)
    expect(parts.length).toBeGreaterThan(3)
    const files = readdirSync(scratch.of('kept'))
    expect(files.filter((name) => !/^(\d{6}|identity|index)\.age$/.test(name))).toEqual([])
    const opened = await openDumpDirectory(
      scratch.of('kept'),
      passphrase,
      scratch.of('plain'),
      context,
    )
    expect(opened.manifest).toEqual(manifest)
  })
})

describe('help', () => {
  const texts = commands.map(({ name }) => helpOf(name, about, 80))

  test('has every input of action.yml, but for those that make sense on GitHub only', () => {
    const lines = [...texts.join('\n').matchAll(/^ {2}(?:--([a-z-]+)|MIGRATE_([A-Z_]+))\b/gm)]
    const shown = new Set(
      lines.map(([, name, variable = '']) => name ?? variable.toLowerCase().replaceAll('_', '-')),
    )
    for (const { name } of ownOptions) shown.delete(name)
    const expected = Object.keys(action.inputs).filter(
      (name) => name !== 'command' && !about.elsewhere.has(name),
    )
    expect([...shown].sort()).toEqual(expected.sort())
  })

  test('of a command has what it needs, and no secret as an option', () => {
    const of = (name: string) => helpOf(name, about, 80)
    expect(of('dump')).not.toContain('--target ')
    expect(of('restore')).not.toContain('--source ')
    // a preflight has a test suite of its checks
    expect(of('preflight')).toContain('--junit ')
    for (const { name, kind } of about.options)
      if (kind === 'secret') expect(texts.join()).not.toContain(`--${name}`)
  })

  test('names every command, and fits into 80 columns', () => {
    const whole = overview(about, 80)
    for (const { name } of commands)
      expect(whole).toMatch(new RegExp(`^ {2}${name} {2,}[A-Z].{20}`, 'm'))
    for (const line of [whole, ...texts].join('\n').split('\n'))
      expect(line.length).toBeLessThanOrEqual(80)
  })
})

test.each(['docs/command-line.md', 'README.md', 'examples/gitlab-ci.yml', 'examples/Jenkinsfile'])(
  '%s shows options and variables that there are',
  (path) => {
    const text = readFileSync(path, 'utf8')
    const names = [...about.options, ...ownOptions].map(({ name }) => name)
    const calls = text.matchAll(
      /(?:migrate-to-polardb|index\.js) [a-z]+(?:[^\n`]|\\\n)* --[^`\n]*/g,
    )
    const options = [...calls].flatMap(([call]) => [...call.matchAll(/ --([a-z-]+)/g)])
    const variables = [...text.matchAll(/MIGRATE_[A-Z_]+/g)]
    expect(options.length + variables.length).toBeGreaterThan(2)
    for (const [, name = ''] of options) expect(names).toContain(name)
    for (const [name] of variables) expect(names.map(variableOf)).toContain(name)
  },
)

describe('the log on a terminal', () => {
  const screen = () => {
    let text = ''
    return { write: (more: string) => (text += more), isTTY: true, columns: 40, text: () => text }
  }
  afterEach(() => void jest.useRealTimers())

  test('shows nothing that a terminal would obey, nor a secret', () => {
    rememberSecret('hunter2-terminal')
    const out = screen()
    const log = new TerminalLog(out, { moves: false, verbose: true })
    for (const say of ['info', 'warning', 'debug', 'update'] as const)
      log[say]('a\u001b[2Jb\rc\u009bd\u202ee hunter2-terminal')
    const shown = 'a\\x1b[2Jb\\rc\\x9bd\\u202ee ***'
    expect(out.text()).toBe(`${shown}\nWarning: ${shown}\n[debug] ${shown}\n  … ${shown}\n`)
  })

  test('moves one line below it, cut to the width, and takes it away at the end', () => {
    jest.useFakeTimers()
    const out = screen()
    const log = new TerminalLog(out, { moves: true, verbose: false })
    log.debug('not asked for')
    log.info('▶ dump shop')
    jest.advanceTimersByTime(61_000)
    log.update(`${'x'.repeat(100)}\u001b[2J`)
    log.info('done')
    log.settle()
    const lines = out.text().replaceAll('\u001b', 'ESC')
    expect(lines).toMatch(/^\rESC\[K▶ dump shop\n\rESC\[\?7l0:00 dump shopESC\[KESC\[\?7h/)
    expect(lines).toMatch(/\rESC\[\?7l1:01 x{31}…ESC\[KESC\[\?7h\rESC\[Kdone\n/)
    expect(lines).toMatch(/\rESC\[K$/)
    jest.advanceTimersByTime(10_000)
    log.info('after')
    expect(out.text().replaceAll('\u001b', 'ESC')).toBe(`${lines}after\n`)
  })

  test.each([
    [true, {}, true],
    [false, {}, false],
    [true, { CI: 'true' }, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [true, { TERM: 'dumb' }, false],
  ])('on a terminal (%s) with %j moves: %s', (isTTY, environment, moves) => {
    expect(mayMove({ isTTY }, environment)).toBe(moves)
  })
})

describe('the exit status', () => {
  const wording = { did: 'Migrated', noun: 'Migration', ends: 'compared' } as const
  const failure = new Failure('what', 'why', 'remedy')
  const difference = new Failure('what', 'why', 'remedy', { isDifference: true })
  const check = { id: 'x', message: '', objects: [], remedy: '', severity: 'blocker' } as const
  const preflight = { name: 'preflight', status: 'failed', seconds: 1, startedAt: 0 } as const
  const blocked = {
    ...newReport('migrate', wording),
    phases: [preflight],
    checks: [{ ...check, status: 'failed' as const }],
  }

  test.each([
    ['success', goodReport(), undefined, 0],
    ['a failure', failedReport(), failure, 1],
    ['a difference', failedReport(), difference, 3],
    ['the same with another next step', failedReport(), difference.withRemedy('another'), 3],
    ['a cancellation', cancelledReport(), failure, 130],
    ['a blocker', blocked, failure, 4],
    [
      'a blocker that could not be asked',
      { ...blocked, checks: [{ ...check, status: 'skipped' as const }] },
      failure,
      4,
    ],
    ['a preflight that itself failed', { ...blocked, checks: [] }, failure, 1],
    [
      'a failure after a blocker was passed over',
      { ...failedReport(), checks: blocked.checks },
      failure,
      1,
    ],
  ])('of %s', (_, report, thrown, code) => {
    expect(exitCode(report, thrown)).toBe(code)
  })
})
