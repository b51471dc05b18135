import { concerns, type Limit } from '../../../polardb/limits/limit.ts'
import { limitsBetween, superuserContexts } from '../../../polardb/limits/limits.ts'
import type { Archive } from '../../../postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { maskStatement, nameAt } from '../../../postgres/archive/statement.ts'
import { majorOf } from '../../../postgres/version.ts'
import { needless } from '../../../report/model.ts'
import { markSchema } from '../database/mark.ts'
import type { DatabaseProperties } from '../database/properties.ts'
import { decideAsleep, decideJobs } from './asleep.ts'
import { builtWithout, withoutCompression } from './built-without.ts'
import { decideAbsent, decideNotes } from './exceptions.ts'
import { decideExtension, decideExtensionMember } from './extensions.ts'
import { labelProvider, rolesNamed } from './needed-roles.ts'
import { type Decision, leaveOut, lossOf } from './planned-entry.ts'
import { cutAll, cutSettings } from './rewrite.ts'
import type { TargetFacts } from './target-facts.ts'
import { viewOnItself } from './view-on-itself.ts'

const there = (): Decision => ({
  ...leaveOut(needless.there, 'None needed', 'nothing'),
  there: true,
})

/** One archive before one target, and what is decided about each of its entries. */
export class Decisions {
  private readonly archive: Archive
  private readonly facts: TargetFacts
  private readonly byId: ReadonlyMap<number, ArchiveEntry>
  /** Languages that an extension in the archive brings: it is called like them. */
  private readonly extensions: ReadonlySet<string>
  private readonly partitioned: ReadonlySet<number>
  /** Names of multirange types as statements write them, where the target does not know such types. */
  private readonly multiranges: readonly string[]
  private readonly database: DatabaseProperties
  private readonly limitsOf: (kind: string) => readonly Limit[]
  /** The last statement that was masked: one rule after the other asks for it. */
  private last = { sql: '', masked: '' }

  constructor(archive: Archive, facts: TargetFacts, database: DatabaseProperties) {
    this.archive = archive
    this.facts = facts
    this.database = database
    this.byId = new Map(archive.entries.map((entry) => [entry.dumpId, entry]))
    const named = archive.entries.filter((entry) => entry.desc === 'EXTENSION')
    this.extensions = new Set(named.map((entry) => entry.tag))
    const partitioned = archive.entries.filter(
      (entry) =>
        entry.desc === 'TABLE' &&
        entry.definition.includes('PARTITION BY') &&
        /\)\s*PARTITION BY\b/.test(this.mask(entry)),
    )
    this.partitioned = new Set(partitioned.map((entry) => entry.dumpId))
    this.multiranges = facts.target.major >= 14 ? [] : multirangesOf(archive)
    this.limitsOf = limitsBetween({
      source: majorOf(archive.serverVersion),
      target: facts.target.major,
      isQualified: archive.searchPath !== null,
      has: (power) => this.has(power),
    })
  }

  /** What becomes of an entry, as far as that does not hang on others. */
  decide(entry: ArchiveEntry): Decision {
    return (
      this.existing(entry) ??
      decideAbsent(entry, this.facts.absent, this.database) ??
      decideJobs(entry, this.database) ??
      decideExtension(entry, this.facts, this.database) ??
      this.systemObject(entry) ??
      decideExtensionMember(entry, this.facts, this.database) ??
      this.label(entry) ??
      this.roles(entry) ??
      this.language(entry) ??
      this.collation(entry) ??
      this.ofOwnType(entry) ??
      builtWithout(entry, this.mask(entry), this.facts) ??
      viewOnItself(entry, this.mask(entry)) ??
      this.oids(entry) ??
      this.partition(entry) ??
      this.multirange(entry) ??
      this.limits(entry)
    )
  }

  private mask(entry: ArchiveEntry): string {
    return this.masked(entry.definition)
  }

  private masked(sql: string): string {
    if (sql !== this.last.sql)
      this.last = { sql, masked: maskStatement(sql, this.archive.standardStrings) }
    return this.last.masked
  }

  /** The account has the power: by itself, or as a polar_superuser where that is enough. */
  private has(power: Limit['needs']): boolean {
    const { superuser, polarSuperuser } = this.facts.target.account
    return superuser || (power === 'polar-superuser' && polarSuperuser)
  }

  /** Objects that every database has, or that this one got before. */
  private existing(entry: ArchiveEntry): Decision | undefined {
    if (entry.desc === 'SCHEMA') {
      const schema = this.facts.schemas.get(entry.tag)
      if (entry.tag === 'public') return there()
      if (entry.tag === markSchema) return decideNotes(this.archive)
      if (schema?.system) {
        return leaveOut(
          'the target has a schema of this name for itself',
          'Rename the schema on the source',
          'behaviour',
        )
      }
    }
    if (entry.desc === 'PROCEDURAL LANGUAGE' && this.facts.languages.has(entry.tag)) return there()
    if (entry.desc === 'EXTENSION' && this.facts.installed.has(entry.tag)) return there()
    return undefined
  }

  /** Comments, grants and labels on what is the server's own. */
  private systemObject(entry: ArchiveEntry): Decision | undefined {
    if (!/^(ACL|COMMENT)$/.test(entry.desc) || this.facts.target.account.superuser) return undefined
    const skip = (reason: string) => leaveOut(reason, 'None needed', 'nothing')
    if (/^EXTENSION /.test(entry.tag)) {
      return skip(needless.comment)
    }
    if (/^(LANGUAGE|PROCEDURAL LANGUAGE) /.test(entry.tag)) {
      return skip('languages belong to the superuser of the target')
    }
    if (entry.namespace === 'pg_catalog' || entry.namespace === 'information_schema') {
      return skip('system catalogs belong to the superuser of the target')
    }
    const schema = /^SCHEMA (.*)$/s.exec(entry.tag)?.[1]
    const found = schema === undefined ? undefined : this.facts.schemas.get(schema)
    if (found?.system && !found.administered) {
      return skip(`the schema ${schema} belongs to the superuser of the target`)
    }
    return undefined
  }

  private label(entry: ArchiveEntry): Decision | undefined {
    if (entry.desc !== 'SECURITY LABEL') return undefined
    const provider = labelProvider(entry.definition)
    if (provider !== null && this.facts.labelProviders.get(provider)) return undefined
    return leaveOut(
      `the target has not loaded the security label provider "${provider ?? ''}"`,
      'Have the provider loaded there (shared_preload_libraries), or do without the labels',
      'behaviour',
    )
  }

  /** Policies, user mappings and default privileges that name roles which the target does not have or protects. */
  private roles(entry: ArchiveEntry): Decision | undefined {
    const { roles, target } = this.facts
    if (entry.desc === 'DEFAULT ACL' && !target.account.superuser) {
      const role = entry.owner
      if (roles.get(role)?.superuser ?? true) {
        return leaveOut(
          `default privileges of "${role}" are a superuser's on the target, or nobody's`,
          `Set them for the role that will create objects: ALTER DEFAULT PRIVILEGES FOR ROLE …`,
          'nothing',
        )
      }
    }
    if (entry.desc !== 'POLICY' && entry.desc !== 'USER MAPPING') return undefined
    const missing = rolesNamed(entry, this.archive.standardStrings).find((role) => !roles.has(role))
    if (missing === undefined) return undefined
    return leaveOut(
      `the role "${missing}" does not exist on the target`,
      'Create the role there, or set roles to migrate',
      'behaviour',
    )
  }

  private language(entry: ArchiveEntry): Decision | undefined {
    if (entry.desc === 'PROCEDURAL LANGUAGE' && !this.facts.target.account.superuser) {
      return leaveOut(
        'only a superuser may create a language without an extension',
        `Create the extension ${entry.tag} on the source instead of the language`,
        'behaviour',
      )
    }
    if (entry.desc !== 'FUNCTION' && entry.desc !== 'PROCEDURE') return undefined
    const at = /\bLANGUAGE /.exec(this.mask(entry))
    const name = at && nameAt(entry.definition, at.index + at[0].length)?.name
    if (!name || name === 'c' || name === 'internal') return undefined
    const trusted = this.facts.languages.get(name)
    const usable =
      trusted === undefined ? this.extensions.has(name) : trusted || this.has('superuser')
    if (usable) return undefined
    return leaveOut(
      trusted === undefined
        ? `the target has no language ${name}`
        : `the language ${name} is not trusted: only a superuser may use it`,
      'Rewrite the function in PL/pgSQL or SQL on the source',
      'behaviour',
    )
  }

  /** Collations of the operating system or ICU that the target does not have. */
  private collation(entry: ArchiveEntry): Decision | undefined {
    if (!entry.definition.includes('COLLATE')) return undefined
    const masked = this.mask(entry)
    for (const found of masked.matchAll(/\bCOLLATE pg_catalog\./g)) {
      const name = nameAt(entry.definition, found.index + found[0].length)?.name
      if (name === undefined || this.facts.collations.has(name)) continue
      return leaveOut(
        `the target has no collation "${name}"`,
        'Change the collation on the source to one that the target has (pg_collation), "C" or an ICU collation',
        lossOf(entry),
      )
    }
    return undefined
  }

  /** A cast takes the owner of one of its types, a transform that of its type: where nobody owns them, a superuser. */
  private ofOwnType(entry: ArchiveEntry): Decision | undefined {
    const types = ownedTypes.get(entry.desc)
    if (types === undefined || this.has('superuser')) return undefined
    const ownType = entry.dependencies.some((id) =>
      /^(TYPE|DOMAIN|TABLE|VIEW)$/.test(this.byId.get(id)?.desc ?? ''),
    )
    if (ownType) return undefined
    const what = entry.desc.toLowerCase()
    return leaveOut(
      `only a superuser may create a ${what} ${types}`,
      `Do without the ${what} on the source, or let a superuser of the target create it`,
      'behaviour',
    )
  }

  /** Tables WITH OIDS, which the archive keeps beside their statement. */
  private oids(entry: ArchiveEntry): Decision | undefined {
    if (entry.desc !== 'TABLE' || !entry.withOids) return undefined
    if (this.facts.target.major < 12 && this.facts.settings.has('default_with_oids'))
      return undefined
    return leaveOut(
      'it is WITH OIDS, which PostgreSQL 12 removed',
      'On the source: ALTER TABLE … SET WITHOUT OIDS; where something reads its oid, give it a column of that name of type bigint first',
      'rows',
    )
  }

  /** What partitioned tables could not do before versions 12 and 13. */
  private partition(entry: ArchiveEntry): Decision | undefined {
    const { major } = this.facts.target
    if (major >= 13 || !/^(FK |TRIGGER|PUBLICATION TABLE)/.test(entry.desc)) return undefined
    const tables = entry.dependencies.filter((id) => this.partitioned.has(id))
    if (tables.length === 0) return undefined
    const since = (version: number, what: string, instead: string) =>
      leaveOut(
        `${what} partitioned tables came with PostgreSQL ${version}`,
        `${instead} on the source, or choose a newer target`,
        'behaviour',
      )
    if (entry.desc === 'PUBLICATION TABLE')
      return since(13, 'publications of', 'Publish each partition')
    const masked = this.mask(entry)
    if (entry.desc === 'TRIGGER') {
      if (!/\b(BEFORE|INSTEAD OF)\b.*\bFOR EACH ROW\b/s.test(masked)) return undefined
      return since(13, 'BEFORE … FOR EACH ROW triggers on', 'Create the trigger on each partition')
    }
    if (major >= 12 || !this.references(entry, masked, tables)) return undefined
    return since(12, 'foreign keys that reference', 'Do without the foreign key')
  }

  /** Uses of the multirange type that every range type has from version 14 on. */
  private multirange(entry: ArchiveEntry): Decision | undefined {
    const used =
      !/^(TYPE|COMMENT|ACL)$/.test(entry.desc) &&
      this.multiranges.find((name) => entry.definition.includes(name))
    if (!used) return undefined
    return leaveOut(
      `it uses ${used}, and multirange types came with PostgreSQL 14`,
      'Turn the column into an array of ranges on the source, or choose a newer target',
      lossOf(entry),
    )
  }

  /** Whether a foreign key references one of the tables. */
  private references(entry: ArchiveEntry, masked: string, tables: number[]): boolean {
    const at = /\bREFERENCES\s+/.exec(masked)
    if (!at) return false
    const schema = nameAt(entry.definition, at.index + at[0].length)
    const table = schema && nameAt(entry.definition, schema.end + 1)
    return tables.some((id) => {
      const found = this.byId.get(id)
      return found?.namespace === schema?.name && found?.tag === table?.name
    })
  }

  /** The rules of src/polardb/limits/limits.ts, and settings of functions that take a superuser. */
  private limits(entry: ArchiveEntry): Decision {
    let definition = entry.definition
    let masked = this.masked(definition)
    const reasons: string[] = []
    const facets = new Set<string>()
    for (const limit of this.limitsOf(entry.desc)) {
      if (!concerns(limit, masked, entry.desc)) continue
      if (!limit.without) {
        return leaveOut(limit.reason, limit.remedy, limit.trifle ? 'nothing' : lossOf(entry))
      }
      definition = cutAll(definition, limit.without.words, this.archive.standardStrings)
      for (const facet of limit.without.facets) facets.add(facet)
      masked = this.masked(definition)
      reasons.push(limit.reason)
    }
    if (/^(TABLE|MATERIALIZED VIEW)$/.test(entry.desc)) {
      const compressed = withoutCompression(definition, this.archive.standardStrings, this.facts)
      definition = compressed.definition
      reasons.push(...compressed.reasons)
      if (compressed.reasons.length > 0) facets.add('compression of')
    }
    if (/^(FUNCTION|PROCEDURE)$/.test(entry.desc)) {
      const settings = cutSettings(definition, this.archive.standardStrings, (name) =>
        this.refusedSetting(name),
      )
      definition = settings.definition
      reasons.push(...settings.reasons)
      if (settings.reasons.length > 0) facets.add('settings')
    }
    if (reasons.length === 0) return decideAsleep(entry, masked) ?? { kind: 'restore' }
    return { kind: 'otherwise', definition, reason: reasons.join('; '), facets: [...facets] }
  }

  private refusedSetting(name: string): string | undefined {
    const context = this.facts.settings.get(name)
    if (context === undefined) return `restored without SET ${name}: the target does not know it`
    if (!superuserContexts.has(context) || this.has('superuser')) return undefined
    return `restored without SET ${name}: only a superuser may set it`
  }
}

/** What takes the owner of a type, and of which types nobody owns one. */
const ownedTypes: ReadonlyMap<string, string> = new Map([
  ['CAST', 'between types of the system or of an extension'],
  ['TRANSFORM', 'for a type of the system or of an extension'],
])

/** Names of the multirange types that the range types of an archive bring along, as statements write them. */
function multirangesOf(archive: Archive): string[] {
  const names: string[] = []
  for (const entry of archive.entries) {
    if (entry.desc !== 'TYPE') continue
    const name = /\bmultirange_type_name = ([^,\n]+)/.exec(entry.definition)?.[1]
    if (name !== undefined) names.push(name.trim())
  }
  return names
}
