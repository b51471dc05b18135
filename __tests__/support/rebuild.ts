import type { Context } from '../../src/migration/context.ts'
import {
  type Comparison,
  compareFingerprints,
} from '../../src/migration/verify/compare/fingerprints.ts'
import type { RoleSubstitute } from '../../src/migration/verify/compare/sides.ts'
import type { DatabaseFingerprint } from '../../src/migration/verify/model.ts'
import type { MayAlter } from '../../src/migration/verify/read-session.ts'
import { rebuildDefinitions } from '../../src/migration/verify/rebuild/rebuild.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import type { EntryResult } from '../../src/report/model.ts'
import { awkwardDefinitions } from './awkward-definitions.ts'
import { type PlacedExpression, placedExpressions } from './expressions.ts'
import type { Dump, Harness, RestoreTarget } from './restore-harness.ts'
import type { TestServer } from './server.ts'
import { differencesIn, fingerprintOf, testContext } from './verify-run.ts'

/** Compares a target with a dump, definitions that are printed differently by a rebuild, as the action does. */
export async function compareWithDump(
  source: DatabaseFingerprint,
  dump: Pick<Dump, 'directory' | 'properties'>,
  target: RestoreTarget,
  database: string,
  expected: readonly EntryResult[] = [],
  substitutes: RoleSubstitute[] = [],
  context: Context = testContext(),
  mayAlter: MayAlter = false,
): Promise<Comparison & { printedDifferently: number }> {
  const connection = parseConnectionString(target.uri('postgres'))
  const recipe: DatabaseFingerprint = JSON.parse(JSON.stringify(source))
  const fingerprint = await fingerprintOf(target.backend, database, { recipe, connection })
  const first = compareFingerprints(recipe, fingerprint, expected, substitutes)
  const decisions = await rebuildDefinitions(
    {
      connection,
      database,
      schema: { properties: dump.properties, archives: async () => [dump.directory] },
      open: first.open,
      showDefinitions: true,
      mayAlter,
    },
    context,
  )
  const comparison = compareFingerprints(recipe, fingerprint, expected, substitutes, decisions)
  return { ...comparison, printedDifferently: first.open.filter(({ printed }) => printed).length }
}

/** `kind name: reason` of everything that could not be decided. */
export function undecidedIn({ objects }: Comparison): string[] {
  return objects.flatMap(({ kind, undecided = [] }) =>
    undecided.map(({ entry, reason }) => `${kind} ${entry}: ${reason}`),
  )
}

/** A target's account is no superuser, so what a superuser of the source owns becomes its own. */
const substitutes = [{ role: 'postgres', instead: null, reason: 'a superuser' }]

export interface TriedExpressions {
  /** Expressions that the source accepts where they stand. */
  accepted: number
  /** Definitions that are printed otherwise after the restore. */
  printedDifferently: number
  /** What differs or is undecided after the restore: it must be nothing. */
  before: string[]
  /** What differs or is undecided once each is changed on the target. */
  after: string[]
  /** What must differ then. */
  changed: string[]
}

/**
 * Creates generated expressions on a source, dumps and restores them as the action does, and compares; then changes each
 * on the target and compares again.
 */
export async function tryExpressions(
  harness: Harness,
  source: TestServer,
  target: RestoreTarget,
  { seed, count }: { seed: number; count: number },
): Promise<TriedExpressions> {
  const { setup, placed } = placedExpressions(
    seed,
    Math.min(source.major, target.backend.major),
    count,
  )
  const name = `expressions_${seed}_${source.major}_${Math.random().toString(36).slice(2, 8)}`
  const copy = `${name}_copy`
  await source.sql(`CREATE DATABASE ${name} TEMPLATE template0`)
  try {
    await source.sql(setup, name)
    const accepted: PlacedExpression[] = []
    const client = await source.connect(name)
    try {
      for (const one of placed) {
        try {
          await client.query(one.create)
          accepted.push(one)
        } catch (error) {
          // not every expression may stand everywhere: an index wants immutable ones, a publication simple ones
          if (!/^(42P17|0A000|42P10)$/.test((error as { code?: string }).code ?? '')) {
            throw new Error(`${one.name}: ${(error as Error).message}: ${one.create}`)
          }
        }
      }
    } finally {
      await client.end()
    }
    const fingerprint = await fingerprintOf(source, name, { targetMajor: target.backend.major })
    const dump = await harness.dump(source, name)
    await harness.restore(dump, target, { targetName: copy })
    const compare = () => compareWithDump(fingerprint, dump, target, copy, [], substitutes)
    const before = await compare()
    const changes = await target.connect(copy)
    try {
      for (const one of accepted) {
        await changes.query(one.change).catch((error: Error) => {
          throw new Error(`${one.name}: ${error.message}: ${one.change}`)
        })
      }
    } finally {
      await changes.end()
    }
    const after = await compare()
    return {
      accepted: accepted.length,
      printedDifferently: before.printedDifferently,
      before: [...differencesIn(before), ...undecidedIn(before)],
      after: [...differencesIn(after), ...undecidedIn(after)].sort(),
      changed: accepted.map(({ found }) => found).sort(),
    }
  } finally {
    await source.sql(`DROP DATABASE ${name}`)
    await target.backend.sql(`DROP DATABASE IF EXISTS ${copy}`)
  }
}

/**
 * Creates what servers print in unusual ways on a source, dumps and restores it as the action does, and compares.
 *
 * @returns what differs or is undecided, which must be nothing
 */
export async function tryAwkward(
  harness: Harness,
  source: TestServer,
  target: RestoreTarget,
): Promise<{ printedDifferently: number; found: string[] }> {
  const name = `awkward_${source.major}_${Math.random().toString(36).slice(2, 8)}`
  const copy = `${name}_copy`
  await source.sql(`CREATE DATABASE ${name} TEMPLATE template0`)
  try {
    const client = await source.connect(name)
    try {
      for (const sql of awkwardDefinitions(Math.min(source.major, target.backend.major))) {
        await client.query(sql).catch((error: Error) => {
          throw new Error(`${error.message}: ${sql}`)
        })
      }
    } finally {
      await client.end()
    }
    const fingerprint = await fingerprintOf(source, name, { targetMajor: target.backend.major })
    const dump = await harness.dump(source, name)
    const restored = await harness.restore(dump, target, { targetName: copy, allowMissing: ['*'] })
    const comparison = await compareWithDump(
      fingerprint,
      dump,
      target,
      copy,
      restored.result.skipped,
      substitutes,
    )
    return {
      printedDifferently: comparison.printedDifferently,
      found: [...differencesIn(comparison), ...undecidedIn(comparison)],
    }
  } finally {
    await source.sql(`DROP DATABASE ${name}`)
    await target.backend.sql(`DROP DATABASE IF EXISTS ${copy}`)
  }
}
