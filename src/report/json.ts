import { isPlain } from '../text/text.ts'
import type { Report } from './model.ts'

/** The fields of `T` in the order in which they are written; a forgotten or unknown one does not compile. */
type Shape<T> = T extends readonly (infer Item)[]
  ? Shape<Item>
  : T extends object
    ? { [Field in keyof T]-?: Shape<NonNullable<T[Field]>> }
    : true

const server = { version: true, major: true } as const
const span = { start: true, end: true, busy: true } as const
const timeline = { dump: span, load: span, indexes: span, check: span } as const
const entry = { entry: true, reason: true } as const
const error = { message: true, cause: true, remedy: true } as const

const range = { low: true, high: true } as const
const estimated = { name: true, seconds: range } as const
const stated = { ...range, confidence: true } as const

/** Every field that report.json may have, in the order in which they are written; docs/report.schema.json has the same. */
export const fieldsOfReport: Shape<Omit<Report, 'words'>> = {
  command: true,
  status: true,
  startedAt: true,
  source: server,
  target: { ...server, polardb: true, superuserOption: true },
  client: { version: true, directory: true, origin: true, bytes: true, seconds: true },
  phases: { name: true, database: true, status: true, startedAt: true, seconds: true },
  checks: {
    id: true,
    severity: true,
    status: true,
    message: true,
    objects: true,
    remedy: true,
    paste: true,
    why: true,
  },
  estimate: {
    seconds: range,
    dumpBytes: range,
    artifacts: true,
    phases: estimated,
    databases: { name: true, bytes: true, dumpBytes: range, seconds: range, phases: estimated },
    basis: true,
  },
  forecast: {
    ...stated,
    from: true,
    points: true,
    bytes: range,
    freeze: range,
    phases: { name: true, seconds: range, perGigabyte: true },
    heldUp: { what: true, seconds: true, remedy: true },
    basis: true,
  },
  history: {
    run: true,
    attempt: true,
    command: true,
    startedAt: true,
    source: true,
    target: true,
    databases: true,
    versions: { source: true, target: true },
    bytes: true,
    dumpBytes: true,
    tables: true,
    rows: true,
    processors: true,
    jobs: { dump: true, restore: true },
    compression: true,
    verify: true,
    seconds: true,
    phases: { name: true, seconds: true },
    verified: true,
    stated,
  },
  roles: {
    source: true,
    created: true,
    existing: true,
    updated: true,
    differences: { role: true, what: true, reason: true, explained: true },
    memberships: { source: true, restored: true },
    inOtherDatabases: { role: true, database: true, parameter: true },
    passwordsToSet: true,
    logins: { role: true, status: true, database: true, reason: true, remedy: true },
    verified: true,
  },
  databases: {
    name: true,
    target: true,
    bytes: true,
    dumpBytes: true,
    dumpSeconds: true,
    restoreSeconds: true,
    restore: {
      entries: true,
      restored: true,
      skipped: entry,
      failed: { ...entry, sqlstate: true, statement: true, remedy: true },
      attempts: true,
    },
    swapped: { kept: true },
    tables: {
      schema: true,
      name: true,
      sourceRows: true,
      targetRows: true,
      match: true,
      unreadable: true,
      explained: true,
      missingRows: true,
      changedRows: true,
      extraRows: true,
      differingKeys: true,
      timeline,
    },
    timedTables: { schema: true, name: true, timeline },
    objects: {
      kind: true,
      source: true,
      target: true,
      missing: true,
      different: true,
      extra: true,
      explained: entry,
      undecided: entry,
      definitions: { name: true, what: true, source: true, target: true },
    },
    verified: true,
    verifyRowsPerSecond: { source: true, target: true },
    notCompared: true,
    error,
  },
  dump: { id: true, createdAt: true },
  artifact: { id: true, name: true, digest: true, bytes: true },
  losses: { entry: true, database: true, reason: true, remedy: true },
  checklist: { what: true, side: true, database: true, lines: true, objects: true },
  sourceStill: true,
  freeze: {
    frozen: true,
    since: true,
    databases: true,
    ended: true,
    spared: true,
    written: true,
    next: true,
  },
  rehearsal: { name: true, outcome: true, note: true },
  verified: true,
  cutoverSeconds: true,
  warnings: true,
  error,
}

/**
 * `report.json`: the fields of the model, always in the same order, and no others; numbers to the thousandth. What a
 * terminal or the runner's log would act on is written as a JSON escape, which means the same to every reader of JSON.
 * In pieces, one after the other: a report of many tables is never there as one text.
 */
export function* jsonPieces(report: Report): Generator<string> {
  let piece = ''
  for (const part of partsOf(report, fieldsOfReport, '\n')) {
    piece += part
    if (piece.length < pieceLength) continue
    yield piece
    piece = ''
  }
  yield `${piece}\n`
}

/** Characters of a piece, at least. */
const pieceLength = 65_536

/**
 * A value as JSON.stringify() writes it with an indentation of two, in parts of which none holds a long list.
 *
 * @param line what a line of it begins with
 */
function* partsOf(value: unknown, fields: object | true, line: string): Generator<string> {
  if (isShort(value)) {
    yield textOf(value, fields, line)
    return
  }
  const inner = `${line}  `
  for (const [before, item, shape] of itemsOf(value, fields, inner)) {
    yield before
    yield* partsOf(item, shape, inner)
  }
  yield line + (Array.isArray(value) ? ']' : '}')
}

/** The same at once: handing on each part by itself takes longer than making it. */
function textOf(value: unknown, fields: object | true, line: string): string {
  if (typeof value !== 'object' || value === null) return leaf(value)
  const inner = `${line}  `
  let text = ''
  for (const [before, item, shape] of itemsOf(value, fields, inner))
    text += before + textOf(item, shape, inner)
  if (text === '') return Array.isArray(value) ? '[]' : '{}'
  return text + line + (Array.isArray(value) ? ']' : '}')
}

/** Whether no list in it has more than a hundred items. */
function isShort(value: unknown): value is unknown {
  if (typeof value !== 'object' || value === null) return true
  return !(Array.isArray(value) && value.length > 100) && Object.values(value).every(isShort)
}

type Item = readonly [before: string, item: unknown, fields: object | true]

/** What a list or an object holds, each with what stands before it. */
function itemsOf(value: object, fields: object | true, line: string): Item[] {
  if (Array.isArray(value))
    return value.map((item, at) => [`${at === 0 ? '[' : ','}${line}`, item ?? null, fields])
  const given = value as Record<string, unknown>
  const items: Item[] = []
  for (const name of Object.keys(fields === true ? given : fields)) {
    const shape = fields === true ? true : (fields as Record<string, object | true>)[name]
    if (given[name] === undefined) continue
    const before = `${items.length === 0 ? '{' : ','}${line}${leaf(name)}: `
    items.push([before, given[name], shape ?? true])
  }
  return items
}

/** A value without parts. */
function leaf(value: unknown): string {
  if (typeof value !== 'string') {
    return JSON.stringify(typeof value === 'number' ? Math.round(value * 1000) / 1000 : value)
  }
  const text = JSON.stringify(value)
  if (isPlain(text) && !text.includes('##[')) return text
  return text
    .replaceAll('##[', '#\\u0023[')
    .replace(/[\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\x7f-\x9f]/gu, (character) =>
      Array.from({ length: character.length }, (_, unit) => character.charCodeAt(unit))
        .map((code) => `\\u${code.toString(16).padStart(4, '0')}`)
        .join(''),
    )
}
