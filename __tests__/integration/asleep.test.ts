import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { runInProcess } from '../support/in-process.ts'
import { Harness } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: TestServer
let harness: Harness

beforeAll(async () => {
  const opened = await Harness.open(13)
  if (!opened) throw new Error('the client programs of 13 cannot be had on this machine')
  harness = opened
  source = await TestServer.start(13)
  target = await TestServer.start(18)
})
afterAll(async () => {
  await harness?.close()
  await source?.stop()
  await target?.stop()
})

async function value(server: TestServer, sql: string): Promise<unknown> {
  const { rows } = await server.sql(sql, 'watched')
  return Object.values(rows[0] ?? {})[0]
}

const states = `SELECT pg_catalog.string_agg(evtname || ' ' || evtenabled::text, ', ' ORDER BY evtname) FROM pg_catalog.pg_event_trigger`

test('event triggers act on nothing before the cutover, and the checklist wakes them as they were', async () => {
  await source.sql('CREATE DATABASE watched')
  await source.sql(
    `CREATE TABLE seen (tag text);
     CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (tg_tag); END $$;
     CREATE EVENT TRIGGER "a 'quoted'" ON ddl_command_end EXECUTE FUNCTION note();
     CREATE EVENT TRIGGER b ON ddl_command_end EXECUTE FUNCTION note(); ALTER EVENT TRIGGER b ENABLE ALWAYS;
     CREATE EVENT TRIGGER c ON ddl_command_end EXECUTE FUNCTION note(); ALTER EVENT TRIGGER c ENABLE REPLICA;
     CREATE EVENT TRIGGER d ON ddl_command_end EXECUTE FUNCTION note(); ALTER EVENT TRIGGER d DISABLE;
     TRUNCATE seen`,
    'watched',
  )
  const common = {
    source: source.uri('watched'),
    target: target.uri('postgres'),
    'client-path': harness.client.directory,
    'upload-dump': 'false',
    roles: 'skip',
  }
  const moved = await runInProcess({ ...common, command: 'migrate' })
  expect(moved.error).toBeUndefined()
  expect(moved.report.verified).toBe(true)
  expect(moved.report.losses).toEqual([])
  await target.sql('CREATE TABLE by_a_user ()', 'watched')
  expect(await value(target, 'SELECT count(*)::int FROM seen')).toBe(0)
  expect(await value(target, states)).toBe(`a 'quoted' D, b D, c D, d D`)
  await target.sql('DROP TABLE by_a_user', 'watched')

  const [item, ...others] = moved.report.checklist
  expect(others).toEqual([])
  expect(item).toMatchObject({ side: 'target', database: 'watched' })
  for (const line of item?.lines ?? []) await target.sql(line, 'watched')
  expect(await value(target, states)).toBe(await value(source, states))
  const verified = await runInProcess({ ...common, command: 'verify' })
  expect(verified.error).toBeUndefined()
  expect(verified.report.verified).toBe(true)
})
