import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { Failure } from '../../failure.ts'
import { printable, shorten } from '../../text/text.ts'
import { flawOfName } from '../database-names.ts'
import { count, fields, list, matching, readBy, text } from './schema.ts'
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
const noSafePath = 'is no path inside the dump'

const version = matching(/^[\w.~+() -]{1,200}$/)
const safePath = v.pipe(
  v.string('is no text'),
  v.check((path) => isSafePath(path), noSafePath),
)

const dumpedFile = fields({
  /** Relative to the dump, with `/` between names that are safe on every file system. */
  path: safePath,
  bytes: count,
  /** 64 lower-case hexadecimal digits. */
  sha256: matching(/^[0-9a-f]{64}$/),
})
export type DumpedFile = v.InferOutput<typeof dumpedFile>

/** A directory that `pg_restore -Fd` reads, relative to the dump. */
const archive = fields({ path: safePath })

const noName = 'is no name of a database'
const dumpedDatabase = fields({
  /** As the source names it: hostile text. */
  name: v.pipe(
    v.string(noName),
    v.check((name) => name !== '' && name.length <= 1024 && !name.includes('\0'), noName),
  ),
  /** Its name on the target, where `databases` of the dump gave it another one. */
  target: v.exactOptional(
    v.pipe(
      v.string(noName),
      v.check((name) => flawOfName(name) === undefined, noName),
    ),
  ),
  /** Size on the source server. */
  bytes: count,
  /** In the order of their restore. */
  archives: v.pipe(list(archive, 10_000), v.nonEmpty('is empty')),
  /** Encoding, locale, settings, …: JSON that the restore reads. */
  properties: v.unknown(),
  /** What the verification compares the target with: JSON. */
  fingerprint: v.unknown(),
})
export type DumpedDatabase = v.InferOutput<typeof dumpedDatabase>

const lossText = v.pipe(text, v.maxLength(10_000, 'has more than 10000 characters'))

const dumpManifest = fields({
  formatVersion: v.literal(formatVersion, 'is of another version'),
  /** A random UUID: two dumps are the same dump only when they share it. */
  id: matching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
  /** ISO 8601, UTC. */
  createdAt: matching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/),
  source: fields({ version, major: count }),
  client: fields({ version }),
  /** In the order of their restore; none where only the roles were dumped. */
  databases: list(dumpedDatabase, 100_000),
  /** What of the source is in no dump, by what `allow-missing` calls it: a restore asks for it again. */
  losses: v.optional(
    list(
      fields({
        entry: lossText,
        database: v.nullable(lossText),
        reason: lossText,
        remedy: lossText,
      }),
      1_000_000,
    ),
    [],
  ),
  /** The catalog of roles (JSON) beside `roles.sql` and `roles.polardb.sql`; null when roles were skipped. */
  roles: v.nullable(fields({ catalog: v.unknown() })),
  /** Every file of the dump but the manifest itself, sorted by path. */
  files: list(dumpedFile, mostFiles),
})
export type Manifest = v.InferOutput<typeof dumpManifest>

/** What a dump's maker knows of it before its files are listed. */
export type DumpContents = Omit<Manifest, 'formatVersion' | 'id' | 'createdAt' | 'files'>

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
  const head = read(fields({ format: v.unknown(), formatVersion: v.unknown() }), value)
  if (head.format !== 'polardb-dump') throw malformed('`format` is not `polardb-dump`')
  if (head.formatVersion !== formatVersion)
    throw new Failure(
      `The dump has the format version ${shown(head.formatVersion)}`,
      `This version of the action reads the format version ${formatVersion}`,
      'Restore it with the version of the action that made it',
    )
  const manifest = read(dumpManifest, value)
  if (manifest.databases.length === 0 && manifest.roles === null)
    throw malformed('it names neither databases nor roles')
  checkFiles(manifest.files)
  checkDatabases(manifest.databases, manifest.files)
  const paths = new Set(manifest.files.map((file) => file.path))
  for (const name of [rolesFile, polardbRolesFile]) {
    if (manifest.roles !== null && !paths.has(name)) throw malformed(`\`files\` lacks ${name}`)
    // roles that were taken out of the manifest would be passed over without a word
    if (manifest.roles === null && paths.has(name))
      throw malformed(`\`roles\` is null, and \`files\` names ${name}`)
  }
  return manifest
}

function read<const T extends v.GenericSchema>(schema: T, value: unknown): v.InferOutput<T> {
  return readBy(schema, value, { whole: 'the manifest' }, (flaw, found) =>
    // a path is no secret, and whoever looks for its file needs it
    malformed(flaw.endsWith(noSafePath) ? `${flaw}: ${shown(found)}` : flaw),
  )
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
