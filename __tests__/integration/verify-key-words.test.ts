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
  CREATE ROLE merge_action; CREATE POLICY json_query ON doc TO merge_action USING (json_value > 1)`

const maybe = hasServer(18) ? test : test.skip

maybe('names that have become key words on a newer server are no differences', async () => {
  const client = await clientDirectory(15)
  if (!client) throw new Error('the client programs of 15 are missing')
  const [source, target] = await Promise.all([TestServer.start(15), startPlainTarget(18)])
  try {
    await source.sql('CREATE DATABASE shop')
    await source.sql(schema, 'shop')
    const inputs = { source: source.uri(), target: target.uri(), databases: 'shop' }
    const migration = { command: 'migrate', 'client-path': client, 'upload-dump': 'false' }
    const { error, report } = await runInProcess({ ...inputs, ...migration, 'allow-missing': '*' })
    if (error) throw error instanceof Failure ? new Error(error.line) : error
    expect(report.verified).toBe(true)
    // what is another type, or has another name, is one
    await target.backend.sql(
      'ALTER TABLE doc ALTER "char" TYPE char; ALTER TYPE pair RENAME ATTRIBUTE json TO jason CASCADE',
      'shop',
    )
    const verify = { ...inputs, command: 'verify', 'client-path': client, 'lend-rights': 'true' }
    const again = await runInProcess(verify)
    const different = again.report.databases[0]?.objects.flatMap((one) => one.different)
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
