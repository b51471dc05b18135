import { describe, expect, test } from '@jest/globals'
import { wordsOf } from '../../src/commands/index.ts'
import { fieldsOfReport } from '../../src/report/json.ts'
import { newReport, phaseNames } from '../../src/report/model.ts'
import { outagePhases } from '../../src/report/outage.ts'
import { mistakesIn, reportSchema } from '../support/report-schema.ts'
import {
  cancelledReport,
  failedReport,
  goodReport,
  hostileReport,
  largeReport,
  rehearsedReport,
} from '../support/sample-reports.ts'

interface Schema {
  $ref?: string
  anyOf?: Schema[]
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: boolean
  enum?: unknown[]
}

const definitions: Record<string, Schema> = reportSchema.$defs

/** A schema without the detours of references, lists and null. */
function direct(schema: Schema): Schema {
  if (schema.$ref) return direct(definitions[schema.$ref.replace('#/$defs/', '')] ?? {})
  if (schema.anyOf?.[0]) return direct(schema.anyOf[0])
  return schema.items ? direct(schema.items) : schema
}

/** Where the schema and the fields that are written are not the same, both ways. */
function unlike(schema: Schema, fields: object, path: string): string[] {
  const { properties = {} } = direct(schema)
  const names = new Set([...Object.keys(properties), ...Object.keys(fields)])
  return [...names].flatMap((name) => {
    const [described, written] = [properties[name], (fields as Record<string, object>)[name]]
    const where = `${path}.${name}`
    if (!described) return [`${where} is not in the schema`]
    if (written === undefined) return [`${where} is not in the report`]
    return typeof written === 'object' ? unlike(described, written, where) : []
  })
}

/** Every object that the schema describes. */
function objectsIn(schema: unknown): Schema[] {
  if (typeof schema !== 'object' || schema === null) return []
  const own = 'properties' in schema && 'type' in schema ? [schema as Schema] : []
  return [...own, ...Object.values(schema).flatMap(objectsIn)]
}

test('the schema has every field that report.json may have, and no other', () => {
  expect(unlike(reportSchema, fieldsOfReport, 'report')).toEqual([])
})

test('the schema allows no field that it does not describe', () => {
  const objects = objectsIn(reportSchema)
  expect(objects.length).toBeGreaterThan(30)
  expect(objects.filter(({ additionalProperties }) => additionalProperties !== false)).toEqual([])
  for (const { properties = {}, required = [] } of objects)
    expect(Object.keys(properties)).toEqual(expect.arrayContaining(required))
})

test('the schema knows the names of all phases', () => {
  expect(definitions.phase?.enum).toEqual(phaseNames)
  expect(definitions.outagePhase?.enum).toEqual(outagePhases)
})

describe('a report is as the schema says', () => {
  test.each([
    ['of a run that went well', goodReport()],
    ['of a failed run', failedReport()],
    ['of a cancelled run', cancelledReport()],
    ['with hostile names', hostileReport()],
    ['of a rehearsal', rehearsedReport()],
    ['of many tables', largeReport(50, true)],
    ['of a run that has done nothing', newReport('move', wordsOf('move'))],
  ])('%s', (_, report) => {
    expect(mistakesIn(report)).toEqual([])
  })
})

describe('a report is refused', () => {
  const parsed = () => JSON.parse(JSON.stringify({ ...goodReport(), words: undefined }))

  test.each<[string, (report: ReturnType<typeof parsed>) => void]>([
    ['with a field of its own', (report) => Object.assign(report, { extra: 1 })],
    [
      'with one further down',
      (report) => Object.assign(report.databases[0].tables[1].timeline.dump, { extra: 1 }),
    ],
    ['without a field', (report) => delete report.verified],
    ['without one further down', (report) => delete report.databases[0].tables[0].match],
    ['with a status that there is not', (report) => Object.assign(report, { status: 'done' })],
    ['with text for a number', (report) => Object.assign(report, { cutoverSeconds: '1' })],
    ['that began at no time', (report) => Object.assign(report, { startedAt: 'yesterday' })],
  ])('%s', (_, change) => {
    const report = parsed()
    expect(mistakesIn(JSON.stringify(report))).toEqual([])
    change(report)
    expect(mistakesIn(JSON.stringify(report))).toHaveLength(1)
  })
})
