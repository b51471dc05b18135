import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { clientDirectory } from '../support/clients.ts'
import { between, canLogIn, readEverything, runJob, smallShop } from '../support/migration.ts'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { ResultsServer } from '../support/results-server.ts'
import { runnerCommands } from '../support/runner.ts'
import { type Major, TestServer } from '../support/server.ts'

const chinook = join(import.meta.dirname, '..', '..', '..', 'shared', 'data', 'chinook.sql')
const results = await ResultsServer.start()
afterAll(() => results.stop())

/** The statements of a psql script for one database, without psql's own commands. */
const statementsOf = (script: string) =>
  script
    .replace(/^DROP DATABASE.*$/m, '')
    .replace(/^CREATE DATABASE.*$/m, '')
    .replace(/^\\c .*$/m, '')

const roles = `
  CREATE ROLE clerk LOGIN PASSWORD 'clerk''s own';
  CREATE ROLE "Night Batch" LOGIN PASSWORD 'n"8' CREATEDB;
  CREATE ROLE boss LOGIN SUPERUSER PASSWORD 'boss pw';
  CREATE ROLE staff NOLOGIN;
  GRANT staff TO clerk WITH ADMIN OPTION;
  ALTER ROLE clerk SET work_mem = '7MB'`

const hasChinook = existsSync(chinook)
const withChinook = hasChinook ? describe : describe.skip
withChinook(
  `the sample database chinook${hasChinook ? '' : ' (skipped: the file is not here)'}`,
  () => {
    let source: TestServer
    beforeAll(async () => {
      source = await TestServer.start(15)
      await source.sql('CREATE DATABASE chinook')
      await source.sql(statementsOf(readFileSync(chinook, 'utf8')), 'chinook')
      await source.sql(roles)
      await source.sql(
        'ALTER TABLE invoice OWNER TO clerk; GRANT SELECT ON album TO staff',
        'chinook',
      )
    })
    afterAll(() => source.stop())

    test.each([
      ['the stand-in for PolarDB 11', () => PolarStandIn.start({ major: 15 })],
      ['a plain server with a CREATEROLE CREATEDB account', () => startPlainTarget(15)],
    ])('arrives whole on %s, and its roles can log in', async (_, start) => {
      const target = await start()
      try {
        const run = await runJob({
          inputs: between(source, target, 'chinook', { 'artifact-name': `chinook-${target.port}` }),
          env: results.environment(),
          isolated: true,
        })
        expect(run.log).toContain('Verified chinook')
        expect({ code: run.code, error: run.report.error }).toEqual({ code: 0, error: null })
        expect(run.outputs).toMatchObject({
          verified: 'true',
          'source-version': expect.stringMatching(/^15\./),
        })
        expect(run.report).toMatchObject({ status: 'succeeded', verified: true })

        const [there, here] = [
          await target.backend.connect('chinook'),
          await source.connect('chinook'),
        ]
        const [arrived, sent] = [await readEverything(there), await readEverything(here)]
        await Promise.all([there.end(), here.end()])
        expect(arrived).toEqual(sent)
        expect(Object.keys(sent)).toHaveLength(11)
        expect(sent['public.invoice']?.rows).toBe(412)

        for (const [user, password] of [
          ['clerk', "clerk's own"],
          ['Night Batch', 'n"8'],
          ['boss', 'boss pw'],
        ] as const) {
          expect([user, await canLogIn(target.backend, user, password)]).toEqual([user, true])
          expect([user, await canLogIn(target.backend, user, 'wrong')]).toEqual([user, false])
        }
        expect(results.artifacts().map(({ name }) => name)).toContain(`chinook-${target.port}`)
        expect(readdirSync(run.temp).filter((name) => !name.startsWith('polardb-report-'))).toEqual(
          [],
        )
        run.cleanUp()
      } finally {
        await target.stop()
      }
    })
  },
)

describe.each<[Major, Major]>([
  [13, 13],
  [13, 18],
  [15, 17],
  [18, 18],
])('a PostgreSQL %i', (from, to) => {
  test(`moves to a ${to} with its own client, every row equal`, async () => {
    const directory = await clientDirectory(from)
    if (!directory)
      return console.warn(`skipped: no client programs of ${from} can be had on this machine`)
    const [source, target] = [await TestServer.start(from), await startPlainTarget(to)]
    try {
      await source.sql('CREATE DATABASE shop')
      await source.sql(smallShop(), 'shop')
      // what an ordinary account cannot give; from 16 on it cannot grant predefined roles, either
      const accepted = [
        'ROLE auditor BYPASSRLS',
        'ROLE replicator_user REPLICATION',
        ...(to >= 16 ? ['MEMBERSHIP reporting in pg_read_all_stats'] : []),
      ]
      const run = await runJob({
        inputs: between(source, target, 'shop', {
          'client-path': directory,
          'artifact-name': `majors-${target.port}`,
          'allow-missing': accepted.join('\n'),
        }),
        env: results.environment(),
      })
      expect(run.report.error).toBeNull()
      expect(run.report).toMatchObject({
        verified: true,
        source: { major: from },
        target: { major: to },
        client: { directory },
      })
      expect(run.report.losses.map(({ entry }) => entry).sort()).toEqual(accepted.sort())
      const [there, here] = [await target.backend.connect('shop'), await source.connect('shop')]
      expect(await readEverything(there)).toEqual(await readEverything(here))
      await Promise.all([there.end(), here.end()])
      run.cleanUp()
    } finally {
      await Promise.all([source.stop(), target.stop()])
    }
  })
})

describe('hostile names', () => {
  test('are migrated, and the runner sees no command in them', async () => {
    const source = await TestServer.start(15)
    const target = await startPlainTarget(15)
    try {
      const evil = '::error::x'
      await source.sql(`CREATE DATABASE "::warning::d"; `)
      await source.sql(
        `CREATE TABLE "${evil}" ("a column
with a newline" int PRIMARY KEY, "::set-output name=verified::true" text);
         INSERT INTO "${evil}" SELECT i, '::stop-commands::x' FROM generate_series(1, 10) AS i;
         COMMENT ON TABLE "${evil}" IS E'::add-mask::true\\n::error::comment\\n##[error]comment';
         CREATE SCHEMA "a
::error::schema"; CREATE TABLE "a
::error::schema"."##[add-mask]t" (x int);
         CREATE ROLE "::error::role" LOGIN PASSWORD 'p';
         ALTER TABLE "${evil}" OWNER TO "::error::role";
         CREATE FUNCTION public.shout() RETURNS int LANGUAGE plpgsql AS $$
           BEGIN RAISE WARNING E'\\n::error::from a function'; RETURN 1; END $$;
         CREATE MATERIALIZED VIEW loud AS SELECT public.shout() AS x`,
        '::warning::d',
      )
      const run = await runJob({
        inputs: between(source, target, '::warning::d', {
          'artifact-name': `hostile-${target.port}`,
        }),
        env: { ...results.environment(), RUNNER_DEBUG: '1' },
      })
      expect(run.report.error).toBeNull()
      expect(run.outputs.verified).toBe('true')
      const issued = runnerCommands(run.log + run.post.log).filter(
        ({ command }) =>
          !['add-mask', 'stop-commands', 'debug', 'group', 'endgroup'].includes(command),
      )
      for (const { command, message } of issued) {
        // annotations are our own; what they quote was made harmless
        expect(['warning', 'notice']).toContain(command)
        expect(message).not.toMatch(/[\r\n]/)
      }
      expect(run.summary).not.toMatch(/^::/m)
      expect(run.html).not.toContain('\n::error::')
      run.cleanUp()
    } finally {
      await Promise.all([source.stop(), target.stop()])
    }
  })
})
