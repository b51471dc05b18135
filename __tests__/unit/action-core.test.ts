import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as toolkit from '@actions/core'
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import * as core from '../../src/action/core.ts'

let directory: string
const before = { ...process.env }

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'core-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
  process.env = { ...before }
  process.exitCode = undefined
})

/** What one of the two writes: to the log, and into the files of the runner, where it has any. */
function saidBy(use: (core: Both) => void, library: Both, hasFiles: boolean) {
  const files = ['GITHUB_OUTPUT', 'GITHUB_STATE'].map((name) => {
    const path = join(directory, name)
    writeFileSync(path, '')
    process.env[name] = hasFiles ? path : ''
    return path
  })
  const lines: string[] = []
  const write = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    lines.push(String(text))
    return true
  })
  process.exitCode = undefined
  use(library)
  write.mockRestore()
  const written = files.map((path) => readFileSync(path, 'utf8'))
  // each value has an end of its own
  const ends = /ghadelimiter_[\da-f-]{36}/g
  const log = lines.join('').replace(/^\n/gm, '')
  return { log, written: written.map((text) => text.replace(ends, 'END')), code: process.exitCode }
}

/** What the two have in common. */
interface Both {
  getInput(name: string, options?: { trimWhitespace: boolean }): string
  getState(name: string): string
  isDebug(): boolean
  saveState(name: string, value: string): void
  setOutput(name: string, value: string | number | boolean): void
  setSecret(secret: string): void
  setFailed(message: string): void
  debug(message: string): void
  info(message: string): void
  error(message: string, properties?: { title: string }): void
  warning(message: string, properties?: { title: string }): void
  notice(message: string, properties?: { title: string }): void
}

const texts = ['', 'plain', '100 %\r\nand: a, b', '::error::no command', ' blanks ', 'é 🐘\u2028']

test.each([true, false])(
  'the runner is told the same as by the toolkit, with files: %s',
  (hasFiles) => {
    const use = (library: Both) => {
      for (const text of texts) {
        library.info(text)
        library.debug(text)
        library.setSecret(text)
        library.saveState('state', text)
        library.setOutput('text', text)
        for (const annotate of [library.error, library.warning, library.notice]) {
          annotate(text)
          annotate(text, { title: `about ${text}` })
        }
      }
      library.setOutput('number', 1.5)
      library.setOutput('truth', false)
      library.setFailed('it failed')
    }
    const said = saidBy(use, core, hasFiles)
    expect(said).toEqual(saidBy(use, toolkit, hasFiles))
    expect(said.code).toBe(1)
    expect(said.log).toContain(
      '::error title=about 100 %25%0D%0Aand%3A a%2C b::100 %25%0D%0Aand: a, b\n',
    )
    expect(said.written.join('').includes('truth<<END\nfalse\nEND\n')).toBe(hasFiles)
  },
)

test('what the runner says is read as the toolkit reads it', () => {
  process.env.INPUT_ONE_INPUT = ' value\n'
  process.env.STATE_left = '[1]'
  for (const debugging of ['1', 'true', undefined]) {
    if (debugging === undefined) delete process.env.RUNNER_DEBUG
    else process.env.RUNNER_DEBUG = debugging
    const read = (library: Both) => [
      library.getInput('one input'),
      library.getInput('One Input', { trimWhitespace: false }),
      library.getInput('another'),
      library.getState('left'),
      library.getState('other'),
      library.isDebug(),
    ]
    expect(read(core)).toEqual(read(toolkit))
    expect(read(core)).toEqual(['value', ' value\n', '', '[1]', '', debugging === '1'])
  }
})

test('the summary is added to what other steps have said', () => {
  const file = join(directory, 'summary.md')
  writeFileSync(file, 'before\n')
  core.addSummary(file, '# Migrated\n')
  expect(readFileSync(file, 'utf8')).toBe('before\n# Migrated\n')
})
