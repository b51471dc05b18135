import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { planRestore } from '../../src/migration/restore/plan-restore.ts'
import { compareFingerprints } from '../../src/migration/verify/compare/fingerprints.ts'
import { explainDifferences } from '../../src/migration/verify/rows/drill.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import {
  createRoles,
  Harness,
  type RestoreTarget,
  restoreDatabase,
} from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'
import { differencesIn, fingerprintOf, recordOf, testContext } from '../support/verify-run.ts'

type Target = RestoreTarget & { stop(): Promise<void> }

const roles = ['tenant', 'keeper', 'maker', 'poor']

/** Tables that even their owner may not read whole, each for a reason of its own, and what holds locks on them. */
const guarded = `
  CREATE TABLE account (id int PRIMARY KEY, owner name);
  INSERT INTO account SELECT g, 'a' || g FROM generate_series(1, 1000) g;
  ALTER TABLE account ENABLE ROW LEVEL SECURITY; ALTER TABLE account FORCE ROW LEVEL SECURITY;
  CREATE POLICY own ON account USING (owner = current_user);
  CREATE VIEW names AS SELECT owner FROM account WHERE id > 0;
  ALTER VIEW names OWNER TO tenant;
  ALTER TABLE account OWNER TO tenant;
  CREATE SCHEMA store AUTHORIZATION keeper;
  CREATE TABLE store.item (id int); INSERT INTO store.item VALUES (1); ALTER TABLE store.item OWNER TO maker;
  CREATE TABLE closed (id int); INSERT INTO closed VALUES (1), (2); ALTER TABLE closed OWNER TO poor;
  REVOKE ALL ON closed FROM poor;
  CREATE TABLE plain (id int); INSERT INTO plain VALUES (1)`

let source: TestServer
let plain: Target
let polar: Target
let harness: Harness

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  source = await TestServer.start(15)
  plain = await startPlainTarget(15)
  polar = await PolarStandIn.start({ major: 11 })
  for (const role of roles) await source.sql(`CREATE ROLE ${role}`)
  await source.sql('CREATE DATABASE guarded TEMPLATE template0')
  await source.sql(guarded, 'guarded')
  await createRoles(plain, roles)
  await createRoles(polar, roles)
})

afterAll(async () => {
  await harness?.close()
  await source?.stop()
  await plain?.stop()
  await polar?.stop()
})

/** What reading must leave as it was. */
async function stateOf(target: Target): Promise<unknown[]> {
  const { rows } = await target.backend.sql(
    `SELECT c.relname, c.relforcerowsecurity, c.relacl::text, n.nspacl::text
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relname IN ('account', 'item', 'closed') ORDER BY 1`,
    'guarded',
  )
  return rows
}

describe('tables that even their owner may not read whole', () => {
  test.each([
    ['a plain 15', () => plain],
    ['a stand-in for PolarDB 11', () => polar],
  ])('are read on %s, which nobody else uses, and stay as they are', async (_, which) => {
    const target = which()
    const dump = await harness.dump(source, 'guarded')
    const recipe = await fingerprintOf(source, 'guarded')
    const options = await harness.options(dump, target)
    const plan = await planRestore(options, harness.context)
    const restored = await restoreDatabase(options, plan, harness.context)
    await restored.settle()
    const connection = parseConnectionString(target.uri('postgres'))
    const read = (mayAlter: boolean | 'if unused') =>
      fingerprintOf(target.backend, 'guarded', { connection, recipe, mayAlter, jobs: 3 })
    const compare = (other: typeof recipe) =>
      compareFingerprints(
        recipe,
        other,
        restored.result.skipped,
        (restored.owners ?? []).map(({ role, owner, reason }) => ({
          role,
          instead: owner,
          reason,
        })),
      )
    try {
      const before = await stateOf(target)
      expect(differencesIn(compare(await read(true)))).toEqual([])
      expect(differencesIn(compare(await read('if unused')))).toEqual([])
      expect(await stateOf(target)).toEqual(before)

      // a session of somebody else's would have to wait for the table: then it is one unreadable table among the others
      const other = await target.backend.connect('guarded')
      try {
        const { tables, verified } = compare(await read('if unused'))
        expect(verified).toBe(false)
        expect(tables.filter(({ match }) => !match).map(({ name }) => name)).toContain('account')
        expect(tables.find(({ name }) => name === 'account')).toEqual({
          schema: 'public',
          name: 'account',
          sourceRows: 1000,
          targetRows: null,
          match: false,
          unreadable: expect.stringMatching(
            /^on the target: query would be affected by row-level security .* or verify while nobody else uses the database$/,
          ),
        })
        expect(tables.find(({ name }) => name === 'plain')?.match).toBe(true)
        // a lock on it is not waited for long, and is named
        await other.query('BEGIN; LOCK TABLE account IN ACCESS SHARE MODE')
        const locked = compare(await read(true)).tables.find(({ name }) => name === 'account')
        expect(locked?.unreadable).toMatch(/canceling statement due to lock timeout \[55P03\]/)
      } finally {
        await other.end()
      }

      // rows that differ are found in it as in any other
      const superuser = target.backend
      await superuser.sql(`UPDATE account SET owner = 'changed' WHERE id = 7`, 'guarded')
      const comparison = compare(await read(true))
      const context = testContext()
      const record = recordOf(context, comparison)
      await explainDifferences(
        {
          source: { connection: parseConnectionString(source.uri()), database: 'guarded' },
          target: { connection, database: 'guarded' },
          fingerprint: recipe,
          tables: comparison.tables,
          showKeys: true,
          mayAlter: true,
        },
        record,
        context,
      )
      expect(record.result.tables.filter(({ match }) => !match)).toEqual([
        expect.objectContaining({
          name: 'account',
          changedRows: 1,
          differingKeys: ['id=7: changed'],
        }),
      ])
      expect(await stateOf(target)).toEqual(before)
    } finally {
      await restored.release()
    }
  })
})
