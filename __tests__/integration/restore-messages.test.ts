import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Failure, messageOf } from '../../src/failure.ts'
import { planRestore } from '../../src/migration/restore/plan-restore.ts'
import { beginRestore } from '../../src/migration/restore/restore-database.ts'
import { renderHtml } from '../../src/report/html/html.ts'
import { renderMarkdown } from '../../src/report/markdown.ts'
import { startPlainTarget } from '../support/polardb-standin.ts'
import { renderJson } from '../support/report-json.ts'
import { Harness, type RestoreTarget } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: RestoreTarget & { stop(): Promise<void> }

beforeAll(async () => {
  source = await TestServer.start(15)
  target = await startPlainTarget(15)
})

afterAll(async () => {
  await source?.stop()
  await target?.stop()
})

/** A value that no log, summary or report may show. */
const card = '4111-1111-1111-1111'

/** Fails anywhere but on the source, with the value in its message: the statement in place of `?`. */
const guard = (statement: string, returns = 'boolean', value = 'true') =>
  `CREATE FUNCTION public.guard(card text) RETURNS ${returns} IMMUTABLE LANGUAGE plpgsql AS $$
   BEGIN
     IF inet_server_port() <> ${source.port} THEN ${statement}; END IF;
     RETURN ${value};
   END $$;
   CREATE TABLE public.cards (card text); INSERT INTO public.cards VALUES ('${card}');`

const check = 'ALTER TABLE cards ADD CONSTRAINT luhn CHECK (public.guard(card))'
const index = 'CREATE INDEX ON cards (public.guard(card))'

const cases: [string, () => string, string, RegExp][] = [
  [
    'a check on loading',
    () => guard(`RAISE EXCEPTION 'bad card %', card`) + check,
    'TABLE DATA public.cards',
    /COPY failed for table "cards": ERROR: +the server's own words are not shown/,
  ],
  [
    'a check that forges PostgreSQL\u2019s own words',
    () =>
      guard(
        `RAISE EXCEPTION 'duplicate key value violates unique constraint "%"', card USING ERRCODE = '23505', TABLE = card, DETAIL = card, HINT = card`,
      ) + check,
    'TABLE DATA public.cards',
    /COPY failed for table "cards": ERROR: +the server's own words are not shown/,
  ],
  [
    'an index with the code of a missing privilege',
    () =>
      guard(`RAISE EXCEPTION 'denied: %', card USING ERRCODE = '42501', CONSTRAINT = card`) + index,
    'INDEX public.cards_guard_idx',
    /code of the database raised an error \[42501\]/,
  ],
  [
    'an index on a statement that is put together from a value',
    () => guard(`EXECUTE 'SELECT "' || card || '"'`) + index,
    'INDEX public.cards_guard_idx',
    /code of the database raised an error \[42703\]/,
  ],
  [
    'a materialized view that reads a value as another type',
    () => `${guard('RETURN card::int', 'int', '1')}
      CREATE MATERIALIZED VIEW public.numbers AS SELECT public.guard(card) FROM public.cards`,
    'MATERIALIZED VIEW DATA public.numbers',
    /invalid input syntax for type integer/,
  ],
]

test.each(cases)('no value is shown of %s that fails', async (what, sql, entry, shown) => {
  const harness = await Harness.open(15)
  if (!harness) throw new Error('the client programs of 15 are missing')
  try {
    const name = `cards${cases.findIndex(([one]) => one === what)}`
    await source.sql(`CREATE DATABASE ${name} TEMPLATE template0`)
    await source.sql(sql(), name)
    const dump = await harness.dump(source, name)
    const { context } = harness
    const options = await harness.options(dump, target)
    const record = context.record.database({ source: name, target: name, bytes: 0 })
    const plan = await planRestore(options, context)
    // what fails once the rows are in is told at the end, everything else at once
    const restore = await beginRestore(options, plan, context)
    const failure = await restore.carryOut().then(
      async (restored) => {
        await restored.release()
        return restored.failure
      },
      (error: unknown) => error,
    )
    record.restored(restore.result)
    expect(failure).toBeInstanceOf(Failure)
    const { message, why, remedy } = failure as Failure
    expect(record.result.restore?.failed.map((one) => one.entry)).toEqual([entry])
    expect(record.result.restore?.failed[0]?.reason).toMatch(shown)
    const report = {
      ...context.report,
      databases: [record.result],
      error: { message, cause: why, remedy },
    }
    const everything = [
      messageOf(failure),
      ...context.lines,
      ...context.warnings,
      ...context.progressLines,
      renderJson(report),
      renderHtml(report),
      renderMarkdown(report),
      await readFile(options.logFile, 'utf8').catch(() => ''),
    ].join('\n')
    expect(everything).toContain('cards')
    expect(everything).not.toMatch(/4111|1111/)
  } finally {
    await harness.close()
  }
})
