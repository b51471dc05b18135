import { privileges, rowSecurity } from '../../src/migration/checks/source/privileges.ts'
import { describeScenarios } from '../support/check-scenarios.ts'

const reader = {
  prepare: {
    source: `CREATE ROLE reader LOGIN PASSWORD 'p'; CREATE SCHEMA store; GRANT USAGE ON SCHEMA store TO reader`,
  },
  account: { source: 'reader' },
  clean: { source: 'DROP ROLE reader' },
}

describeScenarios(
  [{ source: 10 }, { source: 18 }],
  [
    {
      ...reader,
      name: 'tables, sequences and a schema that the account may not read',
      check: privileges,
      trip: {
        source: `CREATE TABLE store."a ""b""\n" (n serial); CREATE SCHEMA closed; CREATE TABLE closed.t ()`,
      },
      expected: {
        message: /"reader" may not read 3 tables or sequences/,
        objects: [
          '"closed"."t"',
          '"store".U&"a ""b""\\+00000a"',
          '"store".U&"a ""b""\\+00000a_n_seq"',
        ],
      },
      remedy: { paste: 'source' },
    },
    {
      ...reader,
      name: 'with options for pg_dump, which may leave them out',
      check: privileges,
      inputs: { 'dump-options': '--schema=store' },
      trip: { source: 'CREATE TABLE public.t ()' },
      expected: { severity: 'warning', objects: ['"public"."t"'] },
    },
    {
      ...reader,
      name: 'row-level security for the account',
      check: rowSecurity,
      trip: {
        source: `CREATE TABLE store.t (); GRANT SELECT ON store.t TO reader; ALTER TABLE store.t ENABLE ROW LEVEL SECURITY`,
      },
      expected: { objects: ['"store"."t"'] },
      remedy: { paste: 'source' },
    },
  ],
)
