import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import type { Report } from '../../src/report/model.ts'
import { renderJson } from './report-json.ts'

/** The published schema of report.json. */
export const reportSchema = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'report.schema.json'), 'utf8'),
)

let validate: ValidateFunction | undefined

/**
 * What is wrong with a report by the published schema.
 *
 * @param report or the text of a report.json
 * @returns a line for each mistake: where, and what
 */
export function mistakesIn(report: Report | string): string[] {
  // what `date-time` means is a matter of another package; that it is one is tested by hand
  validate ??= new Ajv2020({
    strict: true,
    allowUnionTypes: true,
    allErrors: true,
    formats: { 'date-time': (text: string) => !Number.isNaN(Date.parse(text)) },
  }).compile(reportSchema)
  const value: unknown = JSON.parse(typeof report === 'string' ? report : renderJson(report))
  if (validate(value)) return []
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  )
}

/** Refuses a report that docs/report.schema.json does not describe: whoever adds a field adds it there. */
export function expectPublished(report: Report | string): void {
  const mistakes = mistakesIn(report)
  if (mistakes.length > 0)
    throw new Error(`docs/report.schema.json says otherwise:\n${mistakes.slice(0, 20).join('\n')}`)
}
