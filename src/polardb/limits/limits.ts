import { concernsPair, type Limit, type Pair } from './limit.ts'
import { removedInNewer } from './newer.ts'
import { lackedByOlder } from './older.ts'

const routine = ['FUNCTION', 'PROCEDURE', 'AGGREGATE'] as const

/**
 * What takes a superuser. Rests on docs/polardb.md, "Objects that take more power", and for what was not tried there on
 * PostgreSQL's page of the CREATE statement (https://www.postgresql.org/docs/current/sql-commands.html).
 */
const privileged: readonly Limit[] = [
  {
    kinds: routine,
    syntax: /\bLANGUAGE (c|internal)\s/,
    needs: 'superuser',
    reason: 'only a superuser may create functions in the languages c and internal',
    remedy: 'Install the extension that brings it, or rewrite it in SQL or PL/pgSQL on the source',
  },
  {
    kinds: routine,
    syntax: /\bLEAKPROOF\b/,
    needs: 'superuser',
    without: { words: /\s+LEAKPROOF\b/g, facets: ['attributes'] },
    reason: 'restored without LEAKPROOF: only a superuser may define a leakproof function',
    remedy: 'Ask the support of the cluster to mark it LEAKPROOF where row security needs it',
  },
  {
    kinds: ['FUNCTION'],
    syntax: /\bSUPPORT\s+\S+/,
    needs: 'superuser',
    without: { words: /\s+SUPPORT\s+\S+/g, facets: ['support'] },
    reason: 'restored without its planner support function, which only a superuser may name',
    remedy: 'None needed: only plans may differ',
  },
  {
    kinds: ['AGGREGATE'],
    syntax: /\bSTYPE\s*=\s*internal\b/,
    needs: 'superuser',
    reason: 'only a superuser may create an aggregate with an internal state',
    remedy: 'Install the extension that brings it, or give it a state of an ordinary type',
  },
  {
    kinds: ['TYPE'],
    syntax: /\bINPUT\s*=|^\s*CREATE TYPE [^(]*;\s*$/,
    needs: 'superuser',
    reason: 'only a superuser may create a base type',
    remedy:
      'Install the extension that brings it; without one, change the columns to another type on the source',
  },
  {
    kinds: ['SHELL TYPE'],
    needs: 'superuser',
    reason: 'only a superuser may create a base type',
    remedy:
      'Install the extension that brings it; without one, change the columns to another type on the source',
  },
  {
    kinds: ['CAST'],
    syntax: /\bWITHOUT FUNCTION\b/,
    needs: 'superuser',
    reason: 'only a superuser may create a cast WITHOUT FUNCTION',
    remedy: 'Create the cast WITH INOUT or with a function on the source',
  },
  ...['OPERATOR CLASS', 'OPERATOR FAMILY', 'TEXT SEARCH PARSER', 'ACCESS METHOD'].map(
    (kind): Limit => ({
      kinds: [kind],
      needs: 'superuser',
      reason: `only a superuser may create ${/^[AO]/.test(kind) ? 'an' : 'a'} ${kind.toLowerCase()}`,
      remedy: 'Install the extension that brings it, or do without it on the source first',
    }),
  ),
  {
    kinds: ['TEXT SEARCH TEMPLATE'],
    needs: 'polar-superuser',
    reason: 'only a superuser may create a text search template',
    remedy: 'Install the extension that brings it, or do without it on the source first',
  },
  {
    kinds: ['FOREIGN DATA WRAPPER'],
    needs: 'superuser',
    reason: 'only a superuser may create a foreign-data wrapper',
    remedy: 'Install the extension that brings it, or drop the foreign tables on the source',
  },
  {
    kinds: ['EVENT TRIGGER'],
    needs: 'polar-superuser',
    reason: 'only a superuser may create an event trigger',
    remedy:
      'Migrate as a polar_superuser where the cluster has them, or do without the event trigger',
  },
  {
    kinds: ['PUBLICATION'],
    syntax: /\bFOR ALL (TABLES|SEQUENCES)\b/,
    needs: 'polar-superuser',
    reason: 'only a superuser may create a publication FOR ALL TABLES',
    remedy:
      'Name the tables of the publication on the source, or create it anew after the migration',
  },
  {
    kinds: ['PUBLICATION TABLES IN SCHEMA'],
    needs: 'superuser',
    since: 15,
    reason: 'only a superuser of PostgreSQL 15 or later may publish all tables of a schema',
    remedy:
      'Name the tables of the publication on the source, or create it anew after the migration',
  },
  {
    kinds: ['SUBSCRIPTION', 'SUBSCRIPTION TABLE'],
    needs: 'superuser',
    reason: 'only a superuser may create a subscription',
    remedy: 'Subscribe anew after the migration, as an account that may',
  },
]

/** All rules, those about privileges first: what takes a superuser takes one in every version. */
export const limits: readonly Limit[] = [...privileged, ...lackedByOlder, ...removedInNewer]

/** The rules that say something between two servers, by kind of entry: looked for once a kind, since archives have thousands. */
export function limitsBetween(pair: Pair): (kind: string) => readonly Limit[] {
  const found = new Map<string, readonly Limit[]>()
  return (kind) => {
    const those =
      found.get(kind) ??
      limits.filter((limit) => limit.kinds.includes(kind) && concernsPair(limit, pair))
    found.set(kind, those)
    return those
  }
}

/** Settings whose context makes a function's SET clause fail (docs/polardb.md, "Objects that take more power"). */
export const superuserContexts: ReadonlySet<string> = new Set(['superuser', 'superuser-backend'])

/** Databases of PostgreSQL's and PolarDB's own, never dropped (docs/polardb.md, "Databases"). */
export const systemDatabases: ReadonlySet<string> = new Set([
  'postgres',
  'template0',
  'template1',
  'polardb_admin',
])
