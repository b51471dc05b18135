import type { Archive } from '../../../postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { maskStatement, nameAt, splitStatements } from '../../../postgres/archive/statement.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { smallWeight, type Task, type TwoSteps } from './task.ts'

/** Identifiers as pg_dump (fmtId) and the server (quote_identifier) write them. */
const name = '(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_]*)'
const names = `${name}(?:, ${name})*`
const head = `ALTER TABLE ONLY (?<table>(?<schema>${name})\\.(?<relation>${name}))\\n    ADD CONSTRAINT (?<name>${name}) `
const deferrable = ' DEFERRABLE(?: INITIALLY DEFERRED)?'
const action = `(?:RESTRICT|CASCADE|SET (?:NULL|DEFAULT)(?: \\(${names}\\))?)`
const option = `[a-z_][a-z0-9_]*=(?:'[^'\\\\]*'|[a-z0-9_]+)`

/** What dumpConstraint() of pg_dump.c writes for a primary key or a unique constraint that no partitioned or temporal one is. */
const keyed = new RegExp(
  `^${head}(?<kind>PRIMARY KEY|UNIQUE)(?<nulls> NULLS NOT DISTINCT)? \\((?<columns>${names})\\)(?<include> INCLUDE \\(${names}\\))?(?<options> WITH \\(${option}(?:, ${option})*\\))?(?<deferrable>${deferrable})?;$`,
)

/** The same for a foreign key that is enforced, validated and not temporal (pg_get_constraintdef). */
const referring = new RegExp(
  `^(?<all>${head}FOREIGN KEY \\(${names}\\) REFERENCES (?<parentSchema>${name})\\.(?<parent>${name})\\(${names}\\)(?: MATCH FULL)?(?: ON UPDATE ${action})?(?: ON DELETE ${action})?(?:${deferrable})?);$`,
)

/**
 * The two statements that stand for an entry's one, or null where they would not be the same, or the entry is not written as
 * pg_dump writes it. A partitioned table can have neither (before version 18), and where one is referred to, its partitions'
 * halves of the key would stay unvalidated; a partition's key may be taken for a half of its parent's.
 */
export function twoStepsOf({ archive, entry, decision }: PlannedEntry): TwoSteps | null {
  if (decision.kind !== 'restore' || entry.bytes || archive.searchPath === null) return null
  if (!/^(FK )?CONSTRAINT$/.test(entry.desc)) return null
  const [statement = '', ...rest] = splitStatements(entry.definition, archive.standardStrings)
  const isKey = entry.desc === 'CONSTRAINT'
  const parts = (isKey ? keyed : referring).exec(statement)?.groups
  if (!parts) return null
  const table = {
    schema: unquoted(parts.schema),
    table: unquoted(parts.relation),
    name: unquoted(parts.name),
  }
  const own = tableNamed(archive, entry, table.schema, table.table)
  if (!own || isPartitioned(own)) return null
  if (isKey) {
    // oid is a column of such a table that its definition does not list
    if (own.withOids) return null
    // from version 18 on, NOT NULL that a column inherits becomes the table's own by ADD PRIMARY KEY USING INDEX
    if (parts.kind === 'PRIMARY KEY' && (isHeir(own) || isPartition(archive, own))) return null
    const { kind, nulls = '', columns, include = '', options = '', deferrable = '' } = parts
    return {
      kind: 'index',
      ...table,
      first: `CREATE UNIQUE INDEX ${parts.name} ON ${parts.table} USING btree (${columns})${include}${nulls}${options};`,
      second: [
        `ALTER TABLE ONLY ${parts.table} ADD CONSTRAINT ${parts.name} ${kind} USING INDEX ${parts.name}${deferrable};`,
        ...rest,
      ].join('\n'),
    }
  }
  const parent = tableNamed(archive, entry, unquoted(parts.parentSchema), unquoted(parts.parent))
  // beside itself it could do nothing
  if (rest.length > 0 || !parent || parent === own) return null
  if (isPartitioned(parent) || isPartition(archive, own) || isPartition(archive, parent)) {
    return null
  }
  return {
    kind: 'reference',
    ...table,
    first: `${parts.all} NOT VALID;`,
    second: `ALTER TABLE ONLY ${parts.table} VALIDATE CONSTRAINT ${parts.name};`,
  }
}

function unquoted(identifier = ''): string {
  return nameAt(identifier, 0)?.name ?? ''
}

/** A table that an entry depends on, by its name. */
function tableNamed(
  archive: Archive,
  entry: ArchiveEntry,
  schema: string,
  table: string,
): ArchiveEntry | undefined {
  return tablesOf(archive, entry).find((one) => one.namespace === schema && one.tag === table)
}

function tablesOf(archive: Archive, entry: ArchiveEntry): ArchiveEntry[] {
  const { tables } = shapeOf(archive)
  return entry.dependencies.flatMap((id) => tables.get(id) ?? [])
}

/** Archives before version 17 say it in the definition alone. */
function isPartitioned({ relationKind, definition }: ArchiveEntry): boolean {
  return (
    relationKind === 'p' ||
    (relationKind === '' && /\)\s*PARTITION BY /.test(maskStatement(definition)))
  )
}

/** Before version 14 a partition is attached in its own entry. */
function isPartition(archive: Archive, { namespace, tag, definition }: ArchiveEntry): boolean {
  return (
    shapeOf(archive).attached.has(`${namespace}\0${tag}`) ||
    /\bPARTITION OF\b|\bATTACH PARTITION\b/.test(maskStatement(definition))
  )
}

function isHeir({ definition }: ArchiveEntry): boolean {
  return /\)\s*INHERITS \(/.test(maskStatement(definition))
}

interface Shape {
  tables: ReadonlyMap<number, ArchiveEntry>
  /** Partitions that are attached to their parents. */
  attached: ReadonlySet<string>
}

const shapes = new WeakMap<readonly ArchiveEntry[], Shape>()

function shapeOf({ entries }: Archive): Shape {
  const known = shapes.get(entries)
  if (known) return known
  const shape = {
    tables: new Map(entries.filter(({ desc }) => desc === 'TABLE').map((one) => [one.dumpId, one])),
    attached: new Set(
      entries
        .filter(({ desc }) => desc === 'TABLE ATTACH')
        .map(({ namespace, tag }) => `${namespace}\0${tag}`),
    ),
  }
  shapes.set(entries, shape)
  return shape
}

/**
 * Makes two tasks of one where others can go on beside it for that: what builds on the same table, or what works on the table
 * that a key refers to. Small tables are not worth another way to the server.
 *
 * @param tasks all of a restore, linked, with the tables they lock
 */
export function inTwoSteps(tasks: readonly Task[]): Task[] {
  const builders = new Map<string, Task[]>()
  for (const task of tasks) {
    if (!isLarge(task) || !/^(INDEX|(FK )?CONSTRAINT)$/.test(task.items[0]?.entry.desc ?? '')) {
      continue
    }
    for (const key of [...task.exclusive, ...task.sharing]) {
      const list = builders.get(key)
      if (list) list.push(task)
      else builders.set(key, [task])
    }
  }
  const chosen = tasks.map((task) => chosenSteps(task, builders))
  const all = tasks.flatMap((task, index) => {
    const choice = chosen[index]
    return choice ? [task, secondOf(task, choice)] : [task]
  })
  const read = new Set(chosen.flatMap((choice) => (choice ? choice.others : [])))
  for (const task of all) {
    if (letsRead.test(task.items[0]?.entry.desc ?? '')) continue
    task.exclusive.push(...task.exclusive.filter((key) => read.has(key)).map(rowsOf))
  }
  return all
}

/** What keeps others from changing a table, but lets VALIDATE CONSTRAINT read its rows (SHARE ROW EXCLUSIVE, not ACCESS EXCLUSIVE). */
const letsRead = /^(FK CONSTRAINT|TRIGGER)$/

/** A lock of its own for those who only read the rows of a table, so that the keys of other tables can be added meanwhile. */
const rowsOf = (table: string) => `${table}\0rows`

interface Choice {
  steps: TwoSteps
  /** The constraint's own table among those that the task locks, and the other ones. */
  own: string
  others: string[]
}

function chosenSteps(task: Task, builders: ReadonlyMap<string, Task[]>): Choice | null {
  const [item] = task.items
  const steps = item && isLarge(task) ? twoStepsOf(item) : null
  if (!item || !steps) return null
  const table = tableNamed(item.archive, item.entry, steps.schema, steps.table)
  const own = `${item.archive.directory}\0${table?.dumpId}`
  if (!task.exclusive.includes(own)) return null
  const others = task.exclusive.filter((key) => key !== own)
  const beside = (key: string) =>
    builders.get(key)?.some((one) => one !== task && !task.needs.has(one)) ?? false
  return (steps.kind === 'index' ? beside(own) : others.some(beside))
    ? { steps, own, others }
    : null
}

const isLarge = ({ kind, weight }: Task) => kind === 'statement' && weight >= smallWeight

/** Leaves the first step to a task, and makes the one of the second, for which everything waits that waited for the task. */
function secondOf(task: Task, { steps, own, others }: Choice): Task {
  const isIndex = steps.kind === 'index'
  // its own weight is put right as well when the rows come
  const arrivals = [...task.needs].filter(({ kind }) => kind === 'arrival')
  const second: Task = {
    ...task,
    awaited: task.awaited && new Map(task.awaited),
    needs: new Set([task, ...arrivals]),
    exclusive: [own],
    sharing: others.map(rowsOf),
    step: { steps, isLast: true },
  }
  for (const arrival of arrivals) arrival.neededBy.push(second)
  for (const next of second.neededBy) {
    next.needs.delete(task)
    next.needs.add(second)
  }
  task.neededBy = [second]
  task.step = { steps, isLast: false }
  if (isIndex) {
    task.exclusive = []
    task.sharing = [own]
  }
  return second
}
