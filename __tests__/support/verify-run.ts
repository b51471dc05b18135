import type { Context } from '../../src/migration/context.ts'
import type { Comparison } from '../../src/migration/verify/compare/fingerprints.ts'
import { compareFingerprints } from '../../src/migration/verify/compare/fingerprints.ts'
import {
  type FingerprintOptions,
  fingerprintDatabase,
} from '../../src/migration/verify/fingerprint.ts'
import type { DatabaseFingerprint } from '../../src/migration/verify/model.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import type { EntryResult } from '../../src/report/model.ts'
import type { DatabaseRecord } from '../../src/report/writer.ts'
import { newContext, type TestContext } from './context.ts'
import type { TestServer } from './server.ts'

/** The context of a verification, whose `lines` are those of its progress. */
export function testContext(signal = new AbortController().signal): TestContext {
  const context = newContext('verify', { signal })
  return { ...context, lines: context.progressLines }
}

/** The fingerprint of a test server's database, by its superuser unless told otherwise. */
export function fingerprintOf(
  server: TestServer,
  database: string,
  options: Partial<FingerprintOptions> = {},
  context = testContext(),
): Promise<DatabaseFingerprint> {
  const connection = parseConnectionString(server.uri())
  return fingerprintDatabase({ connection, database, level: 'data', jobs: 2, ...options }, context)
}

/** Compares a target with a source's fingerprint, after its own way through JSON as in a manifest. */
export async function compareWith(
  source: DatabaseFingerprint,
  server: TestServer,
  database: string,
  expected: readonly EntryResult[] = [],
): Promise<Comparison> {
  const recipe: DatabaseFingerprint = JSON.parse(JSON.stringify(source))
  const target = await fingerprintOf(server, database, { recipe })
  return compareFingerprints(recipe, target, expected)
}

/** The record of a database, in the report of a context, of which so much is compared. */
export function recordOf(
  context: Context,
  compared: Pick<Comparison, 'tables' | 'objects' | 'verified'>,
): DatabaseRecord {
  const record = context.record.database({ source: 'shop', target: 'shop', bytes: 0 })
  record.compared(compared)
  return record
}

/** `kind name` of everything that differs without an explanation, sorted. */
export function differencesIn({ tables, objects }: Comparison): string[] {
  return [
    ...tables
      .filter(({ match, explained }) => !match && explained === undefined)
      .map(({ schema, name }) => `table ${schema}.${name.replaceAll('\n', '\\n')}: rows`),
    ...objects.flatMap(({ kind, missing, different, extra = [] }) =>
      [...missing, ...different, ...extra].map((name) => `${kind} ${name}`),
    ),
  ].sort()
}
