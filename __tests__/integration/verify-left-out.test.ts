import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { compareFingerprints } from '../../src/migration/verify/compare/fingerprints.ts'
import type { DatabaseFingerprint } from '../../src/migration/verify/model.ts'
import { readArchive } from '../../src/postgres/archive/archive.ts'
import { entryName } from '../../src/postgres/archive/entry.ts'
import type { EntryResult } from '../../src/report/model.ts'
import { clientDirectory } from '../support/clients.ts'
import { TestServer } from '../support/server.ts'
import { createRichDatabase } from '../support/verify-database.ts'
import { differencesIn, fingerprintOf } from '../support/verify-run.ts'

const run = promisify(execFile)

/** Kinds that the rich database has none of, and their like with names that a pattern could stumble over. */
const more = (major: number) => `
  CREATE SCHEMA more;
  CREATE TYPE more.shell;
  CREATE FUNCTION more."odd (fn), x"(a int, VARIADIC b text[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
  CREATE OPERATOR more.!== (leftarg = int, rightarg = int, procedure = int4ne);
  CREATE OPERATOR more.@-@ (rightarg = int, procedure = int4um);
  CREATE OPERATOR FAMILY more."a USING b" USING btree;
  CREATE OPERATOR CLASS more."c USING d" FOR TYPE int USING btree FAMILY more."a USING b" AS OPERATOR 1 <, FUNCTION 1 btint4cmp(int, int);
  CREATE TEXT SEARCH PARSER more.parser (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype);
  CREATE TEXT SEARCH TEMPLATE more.template (init = dsimple_init, lexize = dsimple_lexize);
  CREATE LANGUAGE more_language HANDLER plpgsql_call_handler;
  CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal));
  CREATE TABLE more."t a" (a int CONSTRAINT "a b" CHECK (a > 0), b int UNIQUE); COMMENT ON COLUMN more."t a".a IS 'x';
  CREATE TABLE more.keyed (a int REFERENCES more."t a" (b));
  CREATE RULE "r b" AS ON DELETE TO more."t a" DO INSTEAD NOTHING;
  CREATE FUNCTION more.trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER "t b" BEFORE INSERT ON more."t a" FOR EACH ROW EXECUTE PROCEDURE more.trg();
  CREATE VIEW more.looks AS SELECT 1 AS one; CREATE MATERIALIZED VIEW more.held AS SELECT 1 AS one;
  CREATE AGGREGATE more.agg(ORDER BY int) (sfunc = int4_sum, stype = bigint, finalfunc = more.fin);
  CREATE CAST (more.en AS int) WITH FUNCTION more.to_int(more.en);
  ${major >= 12 ? 'CREATE ACCESS METHOD more_heap TYPE TABLE HANDLER heap_tableam_handler; CREATE TABLE more.in_heap (a int) USING more_heap;' : ''}
  ${major >= 15 ? 'CREATE PUBLICATION more_schemas FOR TABLES IN SCHEMA more;' : ''}
  CREATE SUBSCRIPTION more_sub CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false);
  CREATE SERVER "s v" FOREIGN DATA WRAPPER rich_fdw; CREATE USER MAPPING FOR rich_reader SERVER "s v" OPTIONS (user 'x');
  CREATE USER MAPPING FOR PUBLIC SERVER "s v";
  CREATE SEQUENCE more."Seq"; CREATE DOMAIN more.dom AS int CONSTRAINT "d c" CHECK (VALUE > 0);
  COMMENT ON FUNCTION more."odd (fn), x"(int, text[]) IS 'x'; COMMENT ON OPERATOR more.!== (int, int) IS 'x';
  COMMENT ON OPERATOR more.@-@ (NONE, int) IS 'x'; COMMENT ON OPERATOR FAMILY more."a USING b" USING btree IS 'x';
  COMMENT ON OPERATOR CLASS more."c USING d" USING btree IS 'x'; COMMENT ON TEXT SEARCH PARSER more.parser IS 'x';
  COMMENT ON TEXT SEARCH TEMPLATE more.template IS 'x'; COMMENT ON TEXT SEARCH CONFIGURATION rich.config IS 'x';
  COMMENT ON TRANSFORM FOR int LANGUAGE sql IS 'x'; COMMENT ON CONSTRAINT "a b" ON more."t a" IS 'x';
  COMMENT ON RULE "r b" ON more."t a" IS 'x'; COMMENT ON TRIGGER "t b" ON more."t a" IS 'x'; COMMENT ON VIEW more.looks IS 'x';
  COMMENT ON MATERIALIZED VIEW more.held IS 'x'; COMMENT ON AGGREGATE more.agg(ORDER BY int) IS 'x'; COMMENT ON CAST (more.en AS int) IS 'x';
  COMMENT ON SUBSCRIPTION more_sub IS 'x'; COMMENT ON SERVER "s v" IS 'x'; COMMENT ON SEQUENCE more."Seq" IS 'x';
  COMMENT ON CONSTRAINT "d c" ON DOMAIN more.dom IS 'x'; COMMENT ON FOREIGN TABLE rich.far IS 'x'; COMMENT ON COLUMN more.looks.one IS 'x';
  COMMENT ON STATISTICS rich.orders_stats IS 'x'; COMMENT ON PUBLICATION rich_publication IS 'x'; COMMENT ON CONVERSION rich.conv IS 'x';
  COMMENT ON COLLATION rich.plain IS 'x'; COMMENT ON FOREIGN DATA WRAPPER rich_fdw IS 'x'; COMMENT ON INDEX rich.customers_name IS 'y';
  GRANT SELECT ON more."t a" TO rich_reader; GRANT UPDATE (a) ON more."t a" TO rich_reader; GRANT SELECT (one) ON more.looks TO rich_reader;
  REVOKE ALL ON FUNCTION more."odd (fn), x"(int, text[]) FROM PUBLIC; GRANT USAGE ON SEQUENCE more."Seq" TO rich_reader;
  REVOKE ALL ON TYPE more.en FROM PUBLIC; REVOKE ALL ON DOMAIN more.dom FROM PUBLIC; GRANT USAGE ON SCHEMA more TO rich_reader;
  GRANT USAGE ON FOREIGN DATA WRAPPER rich_fdw TO rich_reader; GRANT USAGE ON FOREIGN SERVER "s v" TO rich_reader;
  GRANT SELECT ON more.held TO rich_reader; GRANT EXECUTE ON FUNCTION more.agg(int) TO rich_reader WITH GRANT OPTION;
  ${major >= 11 ? 'GRANT EXECUTE ON PROCEDURE rich.proc(int, text) TO rich_reader WITH GRANT OPTION;' : ''}
  ALTER DEFAULT PRIVILEGES FOR ROLE rich_owner IN SCHEMA more GRANT SELECT ON TABLES TO rich_reader;`

const before = `
  CREATE SCHEMA IF NOT EXISTS more;
  CREATE FUNCTION more.fin(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1';
  CREATE TYPE more.en AS ENUM ('a'); CREATE FUNCTION more.to_int(more.en) RETURNS int LANGUAGE sql AS 'SELECT 1';`

describe.each([10, 15, 18] as const)(
  'what an archive of PostgreSQL %i calls its objects',
  (major) => {
    let server: TestServer
    let directory: string
    let source: DatabaseFingerprint
    let nothing: DatabaseFingerprint
    let bare: DatabaseFingerprint
    let entries: EntryResult[]

    beforeAll(async () => {
      const programs = await clientDirectory(Math.max(15, major))
      if (programs === undefined) throw new Error('no client programs on this machine')
      directory = await mkdtemp(join(tmpdir(), 'verify-left-out-'))
      server = await TestServer.start(major, { settings: { wal_level: 'logical' } })
      await createRichDatabase(server, 'rich', major)
      await server.sql(before + more(major).replace('CREATE SCHEMA more;', ''), 'rich')
      await server.sql('CREATE DATABASE nothing TEMPLATE template0')
      source = await fingerprintOf(server, 'rich', { targetMajor: major })
      nothing = await fingerprintOf(server, 'nothing', { recipe: source })
      await server.sql('CREATE DATABASE bare TEMPLATE template0')
      const file = join(directory, 'bare.sql')
      const options = ['--no-owner', '--no-privileges', '--no-comments']
      await run(join(programs, 'pg_dump'), [...options, '-f', file, '-d', server.uri('rich')])
      await run(join(programs, 'psql'), ['-Xqo/dev/null', '-d', server.uri('bare'), '-f', file])
      bare = await fingerprintOf(server, 'bare', { recipe: source })
      const archive = join(directory, 'archive')
      await run(join(programs, 'pg_dump'), ['-Fd', '-f', archive, '-d', server.uri('rich')])
      entries = (await readArchive(archive)).entries.map((entry) => ({
        entry: entryName(entry),
        reason: 'left out',
      }))
    })

    afterAll(async () => {
      await server?.stop()
      await rm(directory, { recursive: true, force: true })
    })

    const ofDatabase = /^database|^schema public/

    test('explains everything that is missing, when all of it was left out', () => {
      const left = compareFingerprints(source, nothing, entries)
      expect(differencesIn(left).filter((name) => !ofDatabase.test(name))).toEqual([])
    })

    test('explains comments, grants and owners that are missing, each by its own entry', () => {
      const about = entries.flatMap(({ entry, reason }) =>
        /^(COMMENT|ACL|DEFAULT ACL) /.test(entry)
          ? { entry, reason }
          : { entry: `OWNER ${entry}`, reason },
      )
      const left = compareFingerprints(source, bare, about)
      // what a client newer than its server wrote may have failed as a whole
      const found = differencesIn(left).filter((name) => !ofDatabase.test(name))
      expect(found.filter((name) => name.includes(': '))).toEqual([])
      // and each kind of entry explains its own differences only
      for (const kind of [/^COMMENT /, /^(DEFAULT )?ACL /, /^OWNER /]) {
        const others = compareFingerprints(
          source,
          bare,
          about.filter(({ entry }) => !kind.test(entry)),
        )
        expect(differencesIn(others).length).toBeGreaterThan(2)
      }
    })

    test('explains nothing, when nothing was left out', () => {
      const lost = compareFingerprints(source, nothing, [])
      for (const { kind, source: count, missing } of lost.objects) {
        if (/^(database|large object)/.test(kind) || kind === 'member of an extension') continue
        const known = kind === 'extension' || kind === 'schema' ? 1 : 0
        expect({ kind, missing: missing.length }).toEqual({ kind, missing: count - known })
      }
    })
  },
)
