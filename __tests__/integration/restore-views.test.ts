import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { clientDirectory } from '../support/clients.ts'
import { runInProcess } from '../support/in-process.ts'
import { startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import {
  createRoles,
  Harness,
  membershipsOf,
  type RestoreTarget,
} from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: RestoreTarget & { port: number; stop(): Promise<void> }
let harness: Harness

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  source = await TestServer.start(15)
  target = await startPlainTarget(15)
  await source.sql('CREATE ROLE one; CREATE ROLE two')
  await source.sql('CREATE DATABASE views')
  await source.sql(
    `CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 10);
     -- comes back when a second session is here too; on the source nobody else ever is
     CREATE FUNCTION meet() RETURNS boolean LANGUAGE plpgsql AS $$
       BEGIN
         IF pg_catalog.current_database() = 'views' THEN RETURN true; END IF;
         PERFORM pg_catalog.pg_advisory_lock_shared(4711);
         FOR i IN 1..3000 LOOP
           IF (SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND objid = 4711) >= 2 THEN
             -- the other one looks, too
             PERFORM pg_catalog.pg_sleep(0.2); RETURN true;
           END IF;
           PERFORM pg_catalog.pg_sleep(0.01);
         END LOOP;
         RETURN false;
       END $$;
     CREATE MATERIALIZED VIEW first AS SELECT a + 1 AS a FROM t;
     CREATE VIEW between_them AS SELECT a FROM first;
     CREATE MATERIALIZED VIEW second AS SELECT sum(a) AS a FROM between_them;
     CREATE MATERIALIZED VIEW third AS SELECT a, (SELECT count(*) FROM first) AS n FROM second;
     CREATE INDEX ON third (a);
     CREATE FUNCTION hidden() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT a FROM public.third); END $$;
     CREATE MATERIALIZED VIEW a_hidden AS SELECT public.hidden() AS a;
     CREATE MATERIALIZED VIEW meeting_1 AS SELECT public.meet() AS met; CREATE MATERIALIZED VIEW meeting_2 AS SELECT public.meet() AS met;
     CREATE MATERIALIZED VIEW empty AS SELECT a FROM t WITH NO DATA;
     GRANT CREATE ON SCHEMA public TO one, two; GRANT SELECT ON ALL TABLES IN SCHEMA public TO one, two;
     ALTER MATERIALIZED VIEW second OWNER TO one; ALTER MATERIALIZED VIEW meeting_1 OWNER TO one; ALTER MATERIALIZED VIEW meeting_2 OWNER TO two;`,
    'views',
  )
  await createRoles(target, ['one', 'two'])
})

afterAll(async () => {
  await harness?.close()
  await source?.stop()
  await target?.stop()
})

const contentOf = (name: string) =>
  target.backend.sql(
    `SELECT (SELECT a::int FROM second) AS second, (SELECT n::int FROM third) AS third, (SELECT a::int FROM a_hidden) AS hidden,
            (SELECT met FROM meeting_1) AS one, (SELECT met FROM meeting_2) AS two,
            (SELECT relispopulated FROM pg_class WHERE relname = 'empty') AS empty`,
    name,
  )
const content = { second: 65, third: 10, hidden: 65, one: true, two: true, empty: false }

describe('materialized views', () => {
  test('are filled several at once, each behind what it reads, even where only a function tells', async () => {
    const dump = await harness.dump(source, 'views')
    const { result, failure } = await harness.restore(dump, target, { targetName: 'filled' })
    expect(failure).toBeUndefined()
    expect(result.failed).toEqual([])
    expect((await contentOf('filled')).rows).toEqual([content])
    expect(await membershipsOf(target)).toEqual([])
  })

  test('are counted once each, and filled again when a session is lost', async () => {
    const dump = await harness.dump(source, 'views')
    const whole = await harness.restore(dump, target, { targetName: 'undisturbed' })
    const proxy = await TcpProxy.start(target.port)
    const far = { ...target, uri: (name?: string) => through(proxy, target.uri(name)) }
    far.connect = (name) => target.connect(name)
    const cut = [
      proxy.when(/REFRESH MATERIALIZED VIEW public\.second/, 'swallow'),
      proxy.when(/REFRESH MATERIALIZED VIEW public\.meeting_1/, 'cut'),
    ]
    const { result } = await harness.restore(dump, far, { targetName: 'disturbed' })
    await Promise.all(cut)
    await proxy.stop()
    expect(result).toMatchObject({ restored: whole.result.restored, failed: [] })
    expect(result.attempts).toBeGreaterThan(1)
    expect((await contentOf('disturbed')).rows).toEqual([content])
  })

  test('that nothing fills are named once each, with what hangs on them', async () => {
    await source.sql('CREATE DATABASE broken TEMPLATE views')
    await source.sql(
      `CREATE FUNCTION zero(int) RETURNS int LANGUAGE plpgsql AS
         $$ BEGIN IF pg_catalog.current_database() = 'broken' THEN RETURN 1; END IF; RETURN 1 / ($1 - $1); END $$;
       CREATE MATERIALIZED VIEW never AS SELECT public.zero(a) FROM t;
       CREATE MATERIALIZED VIEW after_never AS SELECT count(*) FROM never;
       CREATE FUNCTION unfilled() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM public.empty); END $$;
       CREATE FUNCTION unfilled_there() RETURNS bigint LANGUAGE plpgsql AS
         $$ BEGIN IF pg_catalog.current_database() = 'broken' THEN RETURN 1; END IF; RETURN public.unfilled(); END $$;
       CREATE MATERIALIZED VIEW waiting AS SELECT public.unfilled_there();
       CREATE OR REPLACE FUNCTION meet() RETURNS boolean LANGUAGE sql AS 'SELECT true';`,
      'broken',
    )
    const dump = await harness.dump(source, 'broken')
    const { result } = await harness.restore(dump, target, { targetName: 'failing' })
    expect(result.failed.map(({ entry, sqlstate }) => `${entry} ${sqlstate}`).sort()).toEqual([
      'MATERIALIZED VIEW DATA public.after_never null',
      'MATERIALIZED VIEW DATA public.never 22012',
      'MATERIALIZED VIEW DATA public.waiting 55000',
    ])
    expect((await contentOf('failing')).rows).toEqual([content])
  })

  test('that nothing fills stay empty where that is accepted', async () => {
    const inputs = {
      command: 'migrate',
      source: source.uri(),
      target: target.uri(),
      'client-path': (await clientDirectory(15)) ?? '',
      'upload-dump': 'false',
      roles: 'skip',
    }
    const lost = ['MATERIALIZED VIEW DATA public.never', 'MATERIALIZED VIEW DATA public.waiting']
    const { error, report } = await runInProcess({
      ...inputs,
      databases: 'broken=accepted',
      'allow-missing': lost.join('\n'),
    })
    expect(error).toBeUndefined()
    expect(report).toMatchObject({ verified: true })
    expect(report.losses.map(({ entry }) => entry).sort()).toEqual([
      'MATERIALIZED VIEW DATA public.after_never',
      ...lost,
    ])
    expect((await contentOf('accepted')).rows).toEqual([content])
  })
})
