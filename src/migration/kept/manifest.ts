import { createHash } from 'node:crypto'
import { Failure } from '../../failure.ts'
import type { Loss } from '../../report/model.ts'
import { printable, shorten } from '../../text/text.ts'
import { flawOfName } from '../inputs.ts'
import { sealFile } from './seal.ts'

/** Raised whenever a reader of the old format could misread the new one. */
export const formatVersion = 1
export const manifestFile = 'manifest.json'
export const rolesFile = 'roles.sql'
export const polardbRolesFile = 'roles.polardb.sql'

/** Bytes; above it a manifest is refused unread. The fingerprint of 100,000 tables takes about a third of it. */
export const mostBytes = 256 * 1024 * 1024
/** Objects and arrays inside one another: ours need eight. */
const mostLevels = 64
const mostFiles = 5_000_000

export interface DumpedFile {
  /** Relative to the dump, with `/` between names that are safe on every file system. */
  path: string
  bytes: number
  /** 64 lower-case hexadecimal digits. */
  sha256: string
}

export interface Archive {
  /** A directory that `pg_restore -Fd` reads, relative to the dump. */
  path: string
}

export interface DumpedDatabase {
  /** As the source names it: hostile text. */
  name: string
  /** Its name on the target, where `databases` of the dump gave it another one. */
  target?: string
  /** Size on the source server. */
  bytes: number
  /** In the order of their restore. */
  archives: Archive[]
  /** Encoding, locale, settings, …: JSON that the restore reads. */
  properties: unknown
  /** What the verification compares the target with: JSON. */
  fingerprint: unknown
}

export interface DumpContents {
  source: { version: string; major: number }
  client: { version: string }
  /** In the order of their restore. */
  databases: DumpedDatabase[]
  /** What of the source is in no dump, by what `allow-missing` calls it: a restore asks for it again. */
  losses: Loss[]
  /** The catalog of roles (JSON) beside `roles.sql` and `roles.polardb.sql`; null when roles were skipped. */
  roles: { catalog: unknown } | null
}

export interface Manifest extends DumpContents {
  formatVersion: typeof formatVersion
  /** A random UUID: two dumps are the same dump only when they share it. */
  id: string
  /** ISO 8601, UTC. */
  createdAt: string
  /** Every file of the dump but the manifest itself, sorted by path. */
  files: DumpedFile[]
}

/**
 * Is this a path that a dump may name? Names of letters, digits, `.`, `_` and `-` only, none of them starting with a
 * dot: such a path cannot leave its directory, hide, or be refused by an artifact, a zip or another file system.
 */
export function isSafePath(path: string): boolean {
  return (
    path.length <= 512 &&
    path.split('/').every((name) => name.length <= 128 && /^\w[\w.-]*$/.test(name)) &&
    !/\.(\/|$)/.test(path)
  )
}

/**
 * The directory of a database's archive in the dump, whatever the database is called: its own name where that is
 * harmless, otherwise what is harmless of it and a digest of the whole. Two names never share a directory, not even on
 * a file system that ignores case.
 *
 * @param number 1, 2, … in the order of restore
 */
export function archivePath(database: string, number: number): string {
  const digest = createHash('sha256').update(database).digest('hex').slice(0, 16)
  const harmless = database.replace(/[^A-Za-z0-9_-]+/g, '_').slice(0, 40)
  const directory = /^[a-z_][a-z0-9_-]{0,62}$/.test(database)
    ? database
    : `${harmless.replace(/^-/, '_')}.${digest}`
  return `databases/${directory}/${number}`
}

/** The text of `manifest.json`. @throws TypeError when a fingerprint, a property or a role is no JSON (a bigint, say) */
export function formatManifest(manifest: Manifest): string {
  const { files, ...rest } = manifest
  // one line a file keeps a manifest of 20,000 files readable, and a comparison of two short
  const lines = files.map((file) => `    ${JSON.stringify(file)}`)
  const text = JSON.stringify({ format: 'polardb-dump', ...rest, files: [] }, null, 1)
  const end = text.lastIndexOf('"files": []')
  return `${text.slice(0, end)}"files": [\n${lines.join(',\n')}\n ]\n}\n`
}

/**
 * Reads a manifest that anybody may have written: every field that we rely on is checked, unknown fields are dropped,
 * and nothing in it can reach a prototype. Fingerprint, properties and role catalog stay opaque JSON: who reads them
 * checks them.
 *
 * @param bytes the file's content
 * @throws Failure naming the field that is wrong
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > mostBytes) throw malformed(`it has more than ${mostBytes} bytes`)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    // JSON.parse quotes the text in its message: not for a log
    throw malformed('it is not JSON, or cut off')
  }
  checkShape(value)
  const root = object(value, 'the manifest')
  if (root.format !== 'polardb-dump') throw malformed('`format` is not `polardb-dump`')
  if (root.formatVersion !== formatVersion)
    throw new Failure(
      `The dump has the format version ${shown(root.formatVersion)}`,
      `This version of the action reads the format version ${formatVersion}`,
      'Restore it with the version of the action that made it',
    )
  const source = object(root.source, 'source')
  const client = object(root.client, 'client')
  const files = list(root.files, 'files', mostFiles).map(parseFile)
  checkFiles(files)
  const databases = list(root.databases, 'databases', 100_000).map(parseDatabase)
  checkDatabases(databases, files)
  const paths = new Set(files.map((file) => file.path))
  for (const name of [rolesFile, polardbRolesFile]) {
    if (root.roles !== null && !paths.has(name)) throw malformed(`\`files\` lacks ${name}`)
    // roles that were taken out of the manifest would be passed over without a word
    if (root.roles === null && paths.has(name))
      throw malformed(`\`roles\` is null, and \`files\` names ${name}`)
  }
  return {
    formatVersion,
    id: matching(root.id, 'id', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
    createdAt: matching(
      root.createdAt,
      'createdAt',
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/,
    ),
    source: {
      version: version(source.version, 'source.version'),
      major: count(source.major, 'source.major'),
    },
    client: { version: version(client.version, 'client.version') },
    databases,
    losses: root.losses === undefined ? [] : list(root.losses, 'losses', 1_000_000).map(parseLoss),
    roles: root.roles === null ? null : { catalog: object(root.roles, 'roles').catalog },
    files,
  }
}

function parseFile(value: unknown, index: number): DumpedFile {
  const where = `files[${index}]`
  const file = object(value, where)
  return {
    path: safePath(file.path, `${where}.path`),
    bytes: count(file.bytes, `${where}.bytes`),
    sha256: matching(file.sha256, `${where}.sha256`, /^[0-9a-f]{64}$/),
  }
}

function checkFiles(files: DumpedFile[]): void {
  const seen = new Set<string>()
  for (const { path } of files) {
    // two names that differ only in case are one file on many file systems
    const key = path.toLowerCase()
    if (seen.has(key)) throw malformed(`\`files\` names ${path} twice`)
    if (path === manifestFile || path === sealFile)
      throw malformed('`files` names the manifest itself, or its seal')
    seen.add(key)
  }
  for (const { path } of files)
    for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1))
      if (seen.has(path.slice(0, at).toLowerCase()))
        throw malformed(`\`files\` names ${path} below a file`)
}

function parseDatabase(value: unknown, index: number): DumpedDatabase {
  const where = `databases[${index}]`
  const database = object(value, where)
  const { name, target } = database
  if (typeof name !== 'string' || name === '' || name.length > 1024 || name.includes('\0'))
    throw malformed(`\`${where}.name\` is no name of a database`)
  if (target !== undefined && (typeof target !== 'string' || flawOfName(target)))
    throw malformed(`\`${where}.target\` is no name of a database`)
  const archives = list(database.archives, `${where}.archives`, 10_000).map((archive, at) => ({
    path: safePath(
      object(archive, `${where}.archives[${at}]`).path,
      `${where}.archives[${at}].path`,
    ),
  }))
  if (archives.length === 0) throw malformed(`\`${where}.archives\` is empty`)
  return {
    name,
    ...(target === undefined ? {} : { target }),
    bytes: count(database.bytes, `${where}.bytes`),
    archives,
    properties: database.properties,
    fingerprint: database.fingerprint,
  }
}

function parseLoss(value: unknown, index: number): Loss {
  const where = `losses[${index}]`
  const loss = object(value, where)
  const text = (key: string) => {
    const found = loss[key]
    if (typeof found !== 'string' || found.length > 10_000 || found.includes('\0'))
      throw malformed(`\`${where}.${key}\` is no text`)
    return found
  }
  return {
    entry: text('entry'),
    database: loss.database === null ? null : text('database'),
    reason: text('reason'),
    remedy: text('remedy'),
  }
}

function checkDatabases(databases: DumpedDatabase[], files: DumpedFile[]): void {
  const paths = new Set(files.map((file) => file.path))
  const names = new Set<string>()
  const targets = new Set<string>()
  const archives = new Set<string>()
  for (const [index, database] of databases.entries()) {
    if (names.has(database.name))
      throw malformed(`\`databases[${index}]\` names a database a second time`)
    names.add(database.name)
    const target = database.target ?? database.name
    if (targets.has(target))
      throw malformed(`\`databases[${index}]\` goes where another database goes`)
    targets.add(target)
    for (const { path } of database.archives) {
      if (archives.has(path)) throw malformed(`two archives share ${path}`)
      if (!paths.has(`${path}/toc.dat`)) throw malformed(`\`files\` lacks ${path}/toc.dat`)
      archives.add(path)
    }
  }
}

/** Refuses what would overflow a reader's stack or reach a prototype when an object is copied; without recursion. */
function checkShape(value: unknown): void {
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > mostLevels) throw malformed(`it nests deeper than ${mostLevels} levels`)
    const next: unknown[] = []
    for (const item of level) {
      if (typeof item !== 'object' || item === null) continue
      if (Object.hasOwn(item, '__proto__')) throw malformed('it holds a key `__proto__`')
      for (const child of Object.values(item))
        if (typeof child === 'object' && child !== null) next.push(child)
    }
    level = next
  }
}

function object(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed(`\`${where}\` is no object`)
  return value as Record<string, unknown>
}

function list(value: unknown, where: string, most: number): unknown[] {
  if (!Array.isArray(value)) throw malformed(`\`${where}\` is no list`)
  if (value.length > most) throw malformed(`\`${where}\` has more than ${most} entries`)
  return value
}

function count(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw malformed(`\`${where}\` is no whole number`)
  return value
}

function matching(value: unknown, where: string, pattern: RegExp): string {
  if (typeof value !== 'string' || !pattern.test(value))
    throw malformed(`\`${where}\` has not the form that it should have`)
  return value
}

function version(value: unknown, where: string): string {
  return matching(value, where, /^[\w.~+() -]{1,200}$/)
}

function safePath(value: unknown, where: string): string {
  if (typeof value !== 'string') throw malformed(`\`${where}\` is no text`)
  if (!isSafePath(value))
    throw malformed(`\`${where}\` is no path inside the dump: ${shown(value)}`)
  return value
}

/** A hostile value in one short, printable line. */
export function shown(value: unknown): string {
  return shorten(printable(JSON.stringify(value) ?? String(value)), 120)
}

function malformed(why: string): Failure {
  return new Failure(
    `${manifestFile} of the dump cannot be used`,
    why,
    'Make the dump again; nothing was restored',
  )
}
