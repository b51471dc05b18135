import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { RunnerLog } from '../../src/action/log.ts'
import { registerConnectionString, registerSecret } from '../../src/action/secrets.ts'
import { redact, redactedReport } from '../../src/host/secrets.ts'
import { runnerCommands } from '../support/runner.ts'
import { sampleForecast } from '../support/sample-history.ts'
import { failedReport } from '../support/sample-reports.ts'

let written = ''

beforeEach(() => {
  written = ''
  jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    written += String(chunk)
    return true
  })
})
afterEach(() => {
  jest.restoreAllMocks()
  jest.useRealTimers()
})

describe('the log', () => {
  test.each([
    '::error::x',
    '  ::add-mask::y',
    'text ##[error]z',
    'a\n::set-output name=a::b',
    'a\r::warning::b',
    '\u001b[2J::error::x',
    '::stop-commands::guess\n::error::x\n::guess::',
  ])('issues no command for %j', (hostile) => {
    const log = new RunnerLog()
    log.info(hostile)
    log.warning(hostile)
    log.update(hostile)
    const issued = runnerCommands(written).filter(({ command }) => command !== 'stop-commands')
    expect(issued).toEqual([])
    expect(written).not.toContain('\u001b')
  })

  test('shows progress at most every few seconds, the newest line when the time has come', () => {
    jest.useFakeTimers()
    const log = new RunnerLog()
    for (let i = 0; i < 100; i++) log.update(`line ${i}`)
    expect(written.split('\n').filter(Boolean)).toHaveLength(1)
    jest.advanceTimersByTime(5000)
    expect(written).toContain('line 99')
    expect(written.split('\n').filter(Boolean)).toHaveLength(2)
  })
})

describe('a secret', () => {
  test('is masked and redacted in every form in which it turns up', () => {
    const secret = `pä/ss:"w'rd\\${Math.random()}`
    registerSecret(secret)
    const masked = runnerCommands(written).map(({ message }) => message)
    for (const form of [
      secret,
      encodeURIComponent(secret),
      Buffer.from(secret).toString('base64'),
      JSON.stringify(secret).slice(1, -1),
      secret.replace(/[\\:]/g, '\\$&'),
    ]) {
      expect(masked).toContain(form)
      expect(redact(`before ${form} after`)).toBe('before *** after')
    }
  })

  test.each([
    ['postgresql://u:uri-secret-1@h/d', 'uri-secret-1'],
    ['postgresql://u:uri%2Fsecret%402@h/d', 'uri/secret@2'],
    ['postgresql://u:raw@sec:ret/3@h/d', 'raw@sec:ret/3'],
    ['postgresql://h/d?user=u&password=query-secret-4', 'query-secret-4'],
    ["host=h password='pair \\'secret 5' user=u", "pair 'secret 5"],
    ['host=h password=pair-secret-6', 'pair-secret-6'],
  ])('is found in the connection string %s, whether it can be parsed or not', (text, secret) => {
    registerConnectionString(text)
    expect(redact(`FATAL: ${secret}`)).toBe('FATAL: ***')
    expect(redact(text)).not.toContain(secret)
  })

  test('is hidden wherever a report has free text, and its names are left alone', () => {
    registerSecret('hunter22')
    const report = failedReport()
    report.warnings = ['with hunter22']
    report.error = { message: 'hunter22', cause: 'hunter22', remedy: 'hunter22' }
    const [shop] = report.databases
    const [objects] = shop?.objects ?? []
    if (!shop || !objects) throw new Error('the report has no database with objects')
    shop.tables = [
      { ...shop.tables[0], name: 'hunter22', unreadable: 'a', explained: 'hunter22' },
    ] as never
    const texts = { source: 'DEFAULT hunter22', target: null }
    objects.definitions = [{ name: 'public.hunter22', what: 'hunter22', ...texts }]
    report.forecast = { ...sampleForecast(), basis: ['GitHub said hunter22'] } as never
    const before = structuredClone(report)
    const redacted = redactedReport(report)
    expect(report).toEqual(before)
    expect(redacted.warnings).toEqual(['with ***'])
    expect(redacted.forecast?.basis).toEqual(['GitHub said ***'])
    expect(redacted.error).toEqual({ message: '***', cause: '***', remedy: '***' })
    expect(redacted.databases[0]?.tables[0]).toMatchObject({ name: 'hunter22', explained: '***' })
    expect(redacted.databases[0]?.objects[0]?.definitions).toEqual([
      { name: 'public.hunter22', what: '***', source: 'DEFAULT ***', target: null },
    ])
    expect(redacted.databases[1]).toEqual(report.databases[1])
  })
})
