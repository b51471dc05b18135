import { removedInNewer } from './newer.ts'
import { lackedByOlder } from './older.ts'

/**
 * What an account that is no superuser cannot restore, what PolarDB forbids, what a server older than the source does not
 * know, and what a newer one has removed: one rule a line of polardb-behaviour, sections 6a and 6b, and of the release notes
 * where they go further. The rules are data; the restore's plan asks them (src/migration/restore/plan/plan.ts).
 */
export type Power =
  /** Only a real superuser. */
  | 'superuser'
  /** A superuser, or a polar_superuser of PolarDB. */
  | 'polar-superuser'

export interface Limit {
  /** Kinds of archive entries that the rule is about. */
  kinds: readonly string[]
  /** Must be found in the statement, whose names and strings are masked; without it every entry of the kinds. */
  syntax?: RegExp | ((masked: string, kind: string) => boolean)
  /** The power that restoring it takes. */
  needs?: Power
  /** The first major version that knows it. */
  since?: number
  /** The last major version that knows it. */
  until?: number
  /** The source is of this version or newer: before, such a name was a user's own. */
  from?: number
  /** It counts on names without a schema being the system's, which they are in archives that set an empty search_path. */
  qualified?: true
  /** Why it cannot be restored as it is, as the end of "it is left out: …". */
  reason: string
  remedy: string
  /** Takes it out of the statement, so that the rest can be restored; what is lost then is `reason`. */
  without?: RegExp
  /** Nothing is lost that rows or behaviour depend on. */
  trifle?: true
  source: string
}

const behaviour6b = 'polardb-behaviour 6b'
const routine = ['FUNCTION', 'PROCEDURE', 'AGGREGATE'] as const

const privileged: readonly Limit[] = [
  // what takes a superuser
  {
    kinds: routine,
    syntax: /\bLANGUAGE (c|internal)\s/,
    needs: 'superuser',
    reason: 'only a superuser may create functions in the languages c and internal',
    remedy: 'Install the extension that brings it, or rewrite it in SQL or PL/pgSQL on the source',
    source: behaviour6b,
  },
  {
    kinds: routine,
    syntax: /\bLEAKPROOF\b/,
    needs: 'superuser',
    without: /\s+LEAKPROOF\b/g,
    reason: 'restored without LEAKPROOF: only a superuser may define a leakproof function',
    remedy: 'Ask the support of the cluster to mark it LEAKPROOF where row security needs it',
    source: behaviour6b,
  },
  {
    kinds: ['AGGREGATE'],
    syntax: /\bSTYPE\s*=\s*internal\b/,
    needs: 'superuser',
    reason: 'only a superuser may create an aggregate with an internal state',
    remedy: 'Install the extension that brings it, or give it a state of an ordinary type',
    source: 'PostgreSQL, CREATE AGGREGATE',
  },
  {
    kinds: ['TYPE'],
    syntax: /\bINPUT\s*=|^\s*CREATE TYPE [^(]*;\s*$/,
    needs: 'superuser',
    reason: 'only a superuser may create a base type',
    remedy:
      'Install the extension that brings it; without one, change the columns to another type on the source',
    source: 'PostgreSQL, CREATE TYPE',
  },
  {
    kinds: ['SHELL TYPE'],
    needs: 'superuser',
    reason: 'only a superuser may create a base type',
    remedy:
      'Install the extension that brings it; without one, change the columns to another type on the source',
    source: 'PostgreSQL, CREATE TYPE',
  },
  {
    kinds: ['CAST'],
    syntax: /\bWITHOUT FUNCTION\b/,
    needs: 'superuser',
    reason: 'only a superuser may create a cast WITHOUT FUNCTION',
    remedy: 'Create the cast WITH INOUT or with a function on the source',
    source: 'PostgreSQL, CREATE CAST',
  },
  ...['OPERATOR CLASS', 'OPERATOR FAMILY', 'TEXT SEARCH PARSER', 'ACCESS METHOD'].map(
    (kind): Limit => ({
      kinds: [kind],
      needs: 'superuser',
      reason: `only a superuser may create ${/^[AO]/.test(kind) ? 'an' : 'a'} ${kind.toLowerCase()}`,
      remedy: 'Install the extension that brings it, or do without it on the source first',
      source: behaviour6b,
    }),
  ),
  {
    kinds: ['TEXT SEARCH TEMPLATE'],
    needs: 'polar-superuser',
    reason: 'only a superuser may create a text search template',
    remedy: 'Install the extension that brings it, or do without it on the source first',
    source: 'polardb-behaviour 8.3',
  },
  {
    kinds: ['FOREIGN DATA WRAPPER'],
    needs: 'superuser',
    reason: 'only a superuser may create a foreign-data wrapper',
    remedy: 'Install the extension that brings it, or drop the foreign tables on the source',
    source: behaviour6b,
  },
  {
    kinds: ['EVENT TRIGGER'],
    needs: 'polar-superuser',
    reason: 'only a superuser may create an event trigger',
    remedy:
      'Migrate as a polar_superuser where the cluster has them, or do without the event trigger',
    source: behaviour6b,
  },
  {
    kinds: ['PUBLICATION'],
    syntax: /\bFOR ALL (TABLES|SEQUENCES)\b/,
    needs: 'polar-superuser',
    reason: 'only a superuser may create a publication FOR ALL TABLES',
    remedy:
      'Name the tables of the publication on the source, or create it anew after the migration',
    source: behaviour6b,
  },
  {
    kinds: ['PUBLICATION TABLES IN SCHEMA'],
    needs: 'superuser',
    since: 15,
    reason: 'only a superuser of PostgreSQL 15 or later may publish all tables of a schema',
    remedy:
      'Name the tables of the publication on the source, or create it anew after the migration',
    source: behaviour6b,
  },
  {
    kinds: ['SUBSCRIPTION', 'SUBSCRIPTION TABLE'],
    needs: 'superuser',
    reason: 'only a superuser may create a subscription',
    remedy: 'Subscribe anew after the migration, as an account that may',
    source: behaviour6b,
  },
]

/** All rules, those about privileges first: what takes a superuser takes one in every version. */
export const limits: readonly Limit[] = [...privileged, ...lackedByOlder, ...removedInNewer]

/** Settings whose superuser-only context makes a function's SET clause fail (polardb-behaviour 6b). */
export const superuserContexts: ReadonlySet<string> = new Set(['superuser', 'superuser-backend'])

/** Databases of PostgreSQL's and PolarDB's own, never dropped (polardb-behaviour, "Fresh PolarDB"). */
export const systemDatabases: ReadonlySet<string> = new Set([
  'postgres',
  'template0',
  'template1',
  'polardb_admin',
])
