import pg from 'pg'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { qualifiedName, quoteIdentifier, quoteLiteral } from '../../../postgres/identifiers.ts'
import { saysExists } from '../../../postgres/sqlstates.ts'
import type { RestorePlan } from '../plan/plan.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { acrossNodes, builtAcrossNodes } from './across-nodes.ts'
import type { TargetSession } from './target-session.ts'

/** Large objects made in one statement: each takes a lock until it ends. */
const largeObjectsAtOnce = 1000

/**
 * The statements of an entry as text, complete with what must be set before them: several entries' texts may be sent as
 * one. Null where an entry has none (see runEntry).
 *
 * @param how `instead`: what is to be done in place of the archive's own statement; `alone`: an index is to be built by no process
 *   beside the session's
 */
export function sqlOf(
  planned: PlannedEntry,
  plan: RestorePlan,
  { instead, alone = false }: { instead?: string; alone?: boolean } = {},
): string | null {
  const { archive, entry, decision } = planned
  if (decision.kind === 'leave-out') throw new Error(`${planned.name} is to be left out`)
  if (archive.searchPath === null || (entry.bytes && decision.kind === 'restore')) return null
  const definition =
    instead ?? (decision.kind === 'otherwise' ? decision.definition : entry.definition)
  switch (entry.desc) {
    case 'EXTENSION':
      return createExtension(planned, plan)
    case 'SCHEMA':
      // an extension that was created beforehand may have brought the schema
      return definition.replace(/^CREATE SCHEMA (?!IF )/, 'CREATE SCHEMA IF NOT EXISTS ')
    case 'SERVER':
      // its foreign tables are the loader's to make
      return plan.loader === undefined
        ? definition
        : `${definition};GRANT USAGE ON FOREIGN SERVER ${quoteIdentifier(entry.tag)} TO ${quoteIdentifier(plan.loader)};`
    case 'BLOB':
      return createLargeObjects([entry.tag])
    case 'BLOB METADATA':
      return createLargeObjects(definition.split('\n').filter(Boolean))
  }
  return `${memory(entry, plan)}${alone ? oneProcess(entry, plan) : ''}${settings(planned, plan)}${definition}${accessMethodAfterwards(planned, plan)}`
}

/**
 * Carries out the statements of one entry: the archive's own, or those of the plan. Several statements are one simple
 * query, and so all or nothing.
 *
 * @throws the server's error as `pg` gives it
 */
export async function runEntry(
  session: TargetSession,
  planned: PlannedEntry,
  plan: RestorePlan,
  alone = false,
): Promise<void> {
  const { archive, entry } = planned
  const client = await session.foreign(archive, entry.namespace)
  const across = acrossNodes(planned, plan)
  const faster = across === null ? null : sqlOf(planned, plan, { instead: across })
  if (faster !== null && (await builtAcrossNodes(client, faster))) return
  const sql = sqlOf(planned, plan, { alone })
  if (sql !== null) {
    if (sql.trim() !== '') await client.query(sql)
    return
  }
  await client.query(settings(planned, plan) || ';')
  if (entry.bytes) await sendBytes(client, entry.bytes, archive.encoding)
  else if (entry.definition.trim() !== '') await client.query(entry.definition)
}

/**
 * Tablespace and table access method for what the next statement creates, the target's own where it lacks them. Nothing for
 * a database that uses neither: its target may have defaults of its own (docs/polardb.md, "Older than the source").
 */
function settings(planned: PlannedEntry, plan: RestorePlan): string {
  return `${places(planned, plan)}${oids(planned, plan)}`
}

/**
 * A GIN index is collected in maintenance_work_mem and written in between: with more than fits the processor's cache it is
 * built slower, by a third where jsonb has many keys (bench/indexes.ts). From version 18 on it is built by several processes,
 * each with a share of it. SET LOCAL ends with the message, which is a transaction of its own.
 */
function memory({ desc, definition }: ArchiveEntry, { facts }: RestorePlan): string {
  const isGin = desc === 'INDEX' && / USING gin \(/.test(definition)
  return isGin && facts.target.major < 18 ? `SET LOCAL maintenance_work_mem = '16MB'; ` : ''
}

/** Those who build an index beside the session take processors from others (max_parallel_maintenance_workers, from 11 on). */
function oneProcess({ desc }: ArchiveEntry, { facts }: RestorePlan): string {
  const setting = 'max_parallel_maintenance_workers'
  const isBuilt = /^(INDEX|CONSTRAINT)$/.test(desc)
  return isBuilt && facts.settings.has(setting) ? `SET LOCAL ${setting} = 0; ` : ''
}

/** As pg_restore does: the archive keeps WITH OIDS beside the statement (pg_backup_archiver.c, _doSetWithOids). */
function oids({ entry }: PlannedEntry, { facts }: RestorePlan): string {
  if (entry.desc !== 'TABLE' || !facts.settings.has('default_with_oids')) return ''
  return `SET default_with_oids = ${entry.withOids}; `
}

function places({ entry }: PlannedEntry, plan: RestorePlan): string {
  if (!plan.usesPlaces || !/^(TABLE|MATERIALIZED VIEW|INDEX|CONSTRAINT)$/.test(entry.desc))
    return ''
  const { target, tablespaces } = plan.facts
  const tablespace = tablespaces.has(entry.tablespace) ? entry.tablespace : ''
  const place = `SET default_tablespace = ${quoteLiteral(tablespace)}; `
  if (target.major < 12) return place
  const method =
    entry.relationKind !== 'p' && plan.accessMethods.has(entry.accessMethod)
      ? quoteLiteral(entry.accessMethod)
      : 'DEFAULT'
  return `${place}SET default_table_access_method = ${method}; `
}

/** A partitioned table takes its access method, which its partitions inherit, by a statement of its own (17 and later). */
function accessMethodAfterwards({ entry }: PlannedEntry, plan: RestorePlan): string {
  const { major } = plan.facts.target
  if (entry.desc !== 'TABLE' || entry.relationKind !== 'p' || major < 17) return ''
  if (!plan.accessMethods.has(entry.accessMethod)) return ''
  return `;ALTER TABLE ${qualifiedName(entry.namespace, entry.tag)} SET ACCESS METHOD ${quoteIdentifier(entry.accessMethod)};`
}

/** At the source's version if the target has that one, else at the target's own default. */
function createExtension({ entry }: PlannedEntry, plan: RestorePlan): string {
  const source = plan.database.extensions.find((extension) => extension.name === entry.tag)
  const available = plan.facts.available.get(entry.tag)
  const definition = entry.definition.trim().replace(/;$/, '')
  if (!source || !available?.versions.has(source.version)) return `${definition};`
  return `${definition} VERSION ${quoteLiteral(source.version)};`
}

/** Makes those that are not there yet: a large object has no other name than its number. */
function createLargeObjects(oids: string[]): string {
  const statements: string[] = []
  for (let from = 0; from < oids.length; from += largeObjectsAtOnce) {
    const list = oids
      .slice(from, from + largeObjectsAtOnce)
      .map(Number)
      .join(', ')
    statements.push(
      `SELECT pg_catalog.lo_create(o) FROM pg_catalog.unnest(ARRAY[${list}]::pg_catalog.oid[]) o
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata m WHERE m.oid = o);`,
    )
  }
  return statements.join('\n')
}

/** Sends a statement in the archive's own bytes, where they have no exact text (SQL_ASCII). */
async function sendBytes(client: pg.Client, bytes: Buffer, encoding: string): Promise<void> {
  await client.query(`SET client_encoding = ${quoteLiteral(encoding)}`)
  try {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const query = new BytesQuery(bytes)
    query.on('error', reject)
    query.on('end', () => resolve())
    client.query(query)
    await promise
  } finally {
    await client.query(`SET client_encoding = 'UTF8'`)
  }
}

/** A simple query whose text is given as bytes (PostgreSQL, "Message Formats", Query). */
class BytesQuery extends pg.Query {
  constructor(bytes: Buffer) {
    super('')
    this.submit = (connection: pg.Connection) => {
      const message = Buffer.alloc(bytes.length + 6)
      message.write('Q', 0, 'latin1')
      message.writeInt32BE(bytes.length + 5, 1)
      bytes.copy(message, 5)
      connection.stream.write(message)
    }
  }
}

/**
 * Whether an error says that the entry is there already. Asked only where the entry may have been restored before: the
 * answer to its commit was lost, or an earlier run did it.
 */
export function saysItExists(error: unknown): boolean {
  const { code = '', schema = '' } = error as { code?: string; schema?: string }
  // some catalogs have no check but their unique index (text search objects, large objects)
  return saysExists(code) && (code !== '23505' || schema === 'pg_catalog')
}

/**
 * Whether an entry that may have been restored before is there, for the few kinds whose repetition the server does not
 * refuse as a duplicate.
 */
export async function isThere(session: TargetSession, { entry }: PlannedEntry): Promise<boolean> {
  const exists = async (sql: string, values: string[]) =>
    (await session.query(sql, values)).rowCount !== 0
  if (entry.desc === 'TABLE ATTACH') {
    return exists(
      `SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = $2 AND c.relispartition`,
      [entry.namespace, entry.tag],
    )
  }
  if (entry.desc === 'CONSTRAINT') {
    // a second primary key is an invalid definition, not a duplicate
    return exists(
      `SELECT FROM pg_catalog.pg_constraint k
         JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname || ' ' || k.conname = $2`,
      [entry.namespace, entry.tag],
    )
  }
  return false
}
