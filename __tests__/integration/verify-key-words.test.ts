import { expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { clientDirectory } from '../support/clients.ts'
import { runInProcess } from '../support/in-process.ts'
import { startPlainTarget } from '../support/polardb-standin.ts'
import { hasServer, TestServer } from '../support/server.ts'

/** Names that no server before 16 puts into quotes, and every newer one does. */
const schema = `
  CREATE DOMAIN json_scalar AS int CONSTRAINT json CHECK (VALUE > 0);
  CREATE TYPE json_object AS ENUM ('a'); CREATE TYPE pair AS (json int, json_exists json_scalar);
  CREATE DOMAIN further AS json_scalar;
  CREATE TABLE doc (json json, normalize int PRIMARY KEY, json_value json_scalar, "char" "char", c char, p pair, f further);
  INSERT INTO doc VALUES ('{}', 1, 2, 'y', 'z', (1, 2), 3);
  CREATE TABLE kid (own json_object[], json json) INHERITS (doc);
  CREATE INDEX json ON doc (json_value, (normalize + 1)); CREATE VIEW json_array AS SELECT json, json_value FROM doc;
  CREATE ROLE merge_action; CREATE POLICY json_query ON doc TO merge_action USING (json_value > 1);
  CREATE SCHEMA more; CREATE FUNCTION more.system_user() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER json_table BEFORE UPDATE ON doc FOR EACH ROW EXECUTE PROCEDURE more.system_user();
  CREATE TYPE more.json_query AS (json json_object); CREATE TYPE normalize AS ENUM ('a'); CREATE TABLE typed OF more.json_query;
  CREATE FUNCTION f(json_scalar, json_object[] DEFAULT NULL) RETURNS SETOF more.json_query LANGUAGE sql AS 'SELECT $2[1]';
  COMMENT ON FUNCTION f(json_scalar, json_object[]) IS 'two'; GRANT EXECUTE ON FUNCTION f(json_scalar, json_object[]) TO merge_action;
  CREATE FUNCTION json_serialize(json_object, json_object) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0';
  CREATE FUNCTION public.normalize(public.normalize) RETURNS public.normalize LANGUAGE sql IMMUTABLE AS 'SELECT $1';
  CREATE FUNCTION json_query(json_object, json_object) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
  CREATE FUNCTION json_exists(json_object) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
  CREATE FUNCTION json_value(json_scalar, json_object) RETURNS json_scalar LANGUAGE sql AS 'SELECT $1';
  CREATE AGGREGATE json_arrayagg(json_object) (SFUNC = json_value, STYPE = json_scalar, INITCOND = 1);
  CREATE CAST (json_object AS int) WITH FUNCTION json_exists(json_object);
  CREATE OPERATOR <<< (LEFTARG = json_object, RIGHTARG = json_object, PROCEDURE = json_query);
  CREATE OPERATOR CLASS json_objectagg FOR TYPE json_object USING btree AS OPERATOR 1 <<<, FUNCTION 1 json_serialize(json_object, json_object);
  CREATE TYPE json_objectagg AS RANGE (SUBTYPE = json_object);
  CREATE FUNCTION more.json_value() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
  CREATE EVENT TRIGGER json_value ON ddl_command_end EXECUTE PROCEDURE more.json_value();
  CREATE PUBLICATION json FOR TABLE typed`

test.each(
  (
    [
      [15, 18],
      [10, 15],
      [10, 18],
    ] as const
  ).filter((pair) => pair.every(hasServer)),
)('names that have become key words between %s and %s are no differences', async (here, there) => {
  const client = await clientDirectory(15)
  if (!client) throw new Error('the client programs of 15 are missing')
  const [source, target] = await Promise.all([TestServer.start(here), startPlainTarget(there)])
  try {
    await source.sql('CREATE DATABASE shop')
    await source.sql(schema, 'shop')
    const inputs = { source: source.uri(), target: target.uri(), databases: 'shop' }
    const migration = {
      command: 'migrate',
      'client-version': '15',
      'client-path': client,
      'upload-dump': 'false',
    }
    const { error, report } = await runInProcess({
      ...inputs,
      ...migration,
      'allow-missing': '*',
    })
    if (error) throw error instanceof Failure ? new Error(error.line) : error
    expect(report.verified).toBe(true)
    // what is another type, or has another name, is one
    await target.backend.sql(
      'ALTER TABLE doc ALTER "char" TYPE char; ALTER TYPE pair RENAME ATTRIBUTE json TO jason CASCADE;' +
        'ALTER TYPE json_object RENAME TO "json_ object"; ALTER FUNCTION f RENAME TO "F"',
      'shop',
    )
    const verify = { ...inputs, command: 'verify', 'client-path': client, 'lend-rights': 'true' }
    const again = await runInProcess(verify)
    const objects = again.report.databases[0]?.objects ?? []
    const different = objects.flatMap((one) => one.different)
    expect(objects.find(({ kind }) => kind === 'function')).toMatchObject({
      missing: expect.arrayContaining(['public.f(public.json_scalar, public.json_object[])']),
      extra: expect.arrayContaining([
        expect.stringMatching(
          /^public\.F\(public\.("?)json_scalar\1, public\."json_ object"\[\]\)$/,
        ),
      ]),
    })
    expect(different).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^public\.doc: columns/),
        expect.stringMatching(/^public\.pair: attributes/),
      ]),
    )
  } finally {
    await source.stop()
    await target.stop()
  }
})

const maybe = hasServer(15) && hasServer(18) ? test : test.skip

maybe(
  'names that a newer server takes for something else are foreseen, and survive in quotes',
  async () => {
    const client = await clientDirectory(18)
    if (!client) throw new Error('the client programs of 18 are missing')
    const [source, target] = await Promise.all([TestServer.start(15), startPlainTarget(18)])
    try {
      await source.sql('CREATE DATABASE shop')
      await source.sql(
        `CREATE FUNCTION f(json json) RETURNS TABLE (json_value text) LANGUAGE sql AS 'SELECT $1::text';
       COMMENT ON FUNCTION f(json) IS 'one'; CREATE TABLE t (system_user text CHECK (system_user <> 'x'));
       INSERT INTO t VALUES ('y'); CREATE POLICY p ON t USING (system_user = 'y');
       CREATE FUNCTION g(a t, b text DEFAULT CASE WHEN 'a' IN ('b', 'c'::varchar) THEN 'd' END) RETURNS text LANGUAGE sql AS 'SELECT b'`,
        'shop',
      )
      const inputs = { source: source.uri(), target: target.uri(), databases: 'shop' }
      const program = { 'client-version': '18', 'client-path': client }
      const ahead = await runInProcess({ ...inputs, ...program, command: 'preflight' })
      const losses = JSON.stringify(
        ahead.report.checks?.filter(({ status }) => status === 'failed'),
      )
      for (const lost of ['FUNCTION public.f(json)', 'TABLE public.t', 'POLICY public.t p'])
        expect(losses).toContain(lost)
      expect(losses).toContain('--quote-all-identifiers')
      const { error, report } = await runInProcess({
        ...inputs,
        ...program,
        command: 'migrate',
        'upload-dump': 'false',
        'dump-options': '--quote-all-identifiers',
      })
      if (error) throw error instanceof Failure ? new Error(error.line) : error
      expect(report.verified).toBe(true)
      const { rows } = await target.backend.sql(
        `SELECT pg_get_expr(polqual, polrelid) AS means FROM pg_policy`,
        'shop',
      )
      expect(rows).toEqual([{ means: `("system_user" = 'y'::text)` }])
    } finally {
      await source.stop()
      await target.stop()
    }
  },
)
