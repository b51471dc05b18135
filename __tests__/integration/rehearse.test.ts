import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { Cancelled, messageOf } from '../../src/failure.ts'
import { assess } from '../../src/migration/checks/assess.ts'
import { markLimit, newRehearsalName } from '../../src/migration/rehearsal/names.ts'
import {
  isPresent,
  Presence,
  rehearsalSign,
  whileMigrating,
} from '../../src/migration/rehearsal/presence.ts'
import { Rehearsal } from '../../src/migration/rehearsal/rehearsal.ts'
import { sweepRehearsals } from '../../src/migration/rehearsal/sweep.ts'
import type { Run } from '../../src/migration/run.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { outcome } from '../../src/report/verdict.ts'
import { dumpCatalogs } from '../support/catalog-dump.ts'
import { clientDirectory } from '../support/clients.ts'
import { newContext } from '../support/context.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { type PlainTarget, PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer

/** What the account cannot give the source's superuser. */
const losses = 'ROLE postgres *'

/** What a lock needs of the world. */
const quiet = {
  log: { debug: () => {}, info: () => {}, warning: () => {} },
  signal: new AbortController().signal,
}
let client: string

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 are missing')
  client = found
  source = await TestServer.start(15)
  await source.sql(`CREATE ROLE app LOGIN PASSWORD 'app secret'; CREATE ROLE "Reader"`)
  for (const name of ['shop', 'stock']) {
    await source.sql(`CREATE DATABASE ${name} OWNER app`)
    await source.sql(
      `ALTER DATABASE ${name} SET work_mem TO '7MB'; GRANT CONNECT ON DATABASE ${name} TO "Reader";
       ALTER ROLE app IN DATABASE ${name} SET work_mem TO '8MB'; COMMENT ON DATABASE ${name} IS 'the ${name}';
       CREATE TABLE t (version int PRIMARY KEY, what text); INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 500) n;
       ALTER TABLE t OWNER TO app; GRANT SELECT ON t TO "Reader"`,
      name,
    )
  }
})
afterAll(() => source?.stop())

const targets = [
  ['a stock server', () => startPlainTarget(16), test],
  // what does not hang on the server is tried on one
  ['a stand-in of PolarDB 11', () => PolarStandIn.start({ major: 15 }), test.skip],
] as const

describe.each(targets)('on %s', (_, start, onceOnly) => {
  let target: PlainTarget | PolarStandIn
  const ofTarget = () => dumpCatalogs(target.backend)
  /** Everything that the catalogs of both sides hold. */
  const catalogs = async () => ({ source: await dumpCatalogs(source), target: await ofTarget() })
  let before: Awaited<ReturnType<typeof catalogs>>

  beforeAll(async () => {
    target = await start()
    await target.backend.sql(
      'CREATE ROLE app; CREATE ROLE "Reader"; GRANT app, "Reader" TO gctest WITH ADMIN OPTION',
    )
    // the names that a migration would use
    await target.backend.sql('CREATE DATABASE shop')
    await target.backend.sql('CREATE TABLE of_the_target AS SELECT 1 AS n', 'shop')
    before = await catalogs()
  })
  afterAll(() => target?.stop())

  /** The server may notice later than a run that its session is closed, and whoever has the lock of one counts as one. */
  async function untilQuiet(): Promise<void> {
    const alive = `SELECT FROM pg_stat_activity WHERE application_name LIKE 'migrate-to-polardb%'`
    while ((await target.backend.sql(alive)).rowCount) await sleep(20)
  }
  beforeEach(untilQuiet)

  const inputs = (more: Record<string, string> = {}) => ({
    command: 'rehearse',
    source: source.uri(),
    target: target.uri(),
    databases: 'shop',
    'client-path': client,
    'allow-missing': losses,
    ...more,
  })
  const rehearse = (
    more: Record<string, string> = {},
    changes: Partial<Run> = {},
  ): Promise<CommandResult> => runInProcess(inputs(more), changes)

  const databases = async () =>
    (
      await target.backend.sql(
        `SELECT datname AS name FROM pg_database WHERE datname LIKE 'rehearsal%' ORDER BY 1`,
      )
    ).rows.map(({ name }) => name as string)

  const account = () => parseConnectionString(target.uri())

  /**
   * What a rehearsal has made is there, a database of its comparison included, and its session is gone, as after its machine was
   * switched off.
   */
  async function leave(): Promise<string> {
    const { report, error } = await rehearse({ 'keep-rehearsal': 'true' })
    if (error) throw error
    const name = report.rehearsal?.name ?? ''
    await untilQuiet()
    await target.backend.sql(
      `DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %I IS %L', '${name}_0',
         replace(shobj_description((SELECT oid FROM pg_database WHERE datname = '${name}_0'), 'pg_database'), '"kept":true', '"kept":false')); END $$`,
    )
    await target.backend.sql(
      `CREATE DATABASE migrate_to_polardb_scratch_1795923253_${name.slice(-8)}abcd OWNER gctest`,
    )
    return name
  }

  test('is verified, and leaves nothing: the catalogs of both sides are as before, byte for byte', async () => {
    const { error, report } = await rehearse({ databases: 'shop,stock' })
    if (error) throw error
    expect(report.verified).toBe(true)
    expect(report.roles).toMatchObject({ verified: true, existing: 0 })
    expect(report.rehearsal).toMatchObject({ outcome: 'removed' })
    expect(report.databases.map(({ name, target }) => [name, target])).toEqual([
      ['shop', `${report.rehearsal?.name}_1`],
      ['stock', `${report.rehearsal?.name}_2`],
    ])
    expect(report.phases.at(-1)).toMatchObject({ name: 'clean-up', status: 'succeeded' })
    expect(await catalogs()).toEqual(before)
  })

  onceOnly('without roles is verified and leaves nothing, too', async () => {
    const { error, report } = await rehearse({ roles: 'skip', databases: 'all' })
    if (error) throw error
    expect(report.verified).toBe(true)
    expect(await catalogs()).toEqual(before)
  })

  onceOnly(
    'goes without rows that name roles, and says so where it says that it is verified',
    async () => {
      await source.sql(
        `CREATE TABLE holder (who regrole PRIMARY KEY); INSERT INTO holder VALUES ('app');
       CREATE TABLE empty_holder (who regrole);
       CREATE DOMAIN role AS regrole; CREATE TABLE held (n int PRIMARY KEY, by role); INSERT INTO held VALUES (1, 'app');
       CREATE TABLE points (n int CONSTRAINT there REFERENCES held); INSERT INTO points VALUES (1)`,
        'stock',
      )
      try {
        const { error, report } = await rehearse({ databases: 'stock' })
        if (error) throw error
        const lost = [
          'FK CONSTRAINT public.points there',
          'TABLE DATA public.held',
          'TABLE DATA public.holder',
        ]
        const { losses: told, databases: [database] = [] } = report
        expect(
          told
            .filter(({ database }) => database !== null)
            .map(({ entry }) => entry)
            .sort(),
        ).toEqual(lost)
        expect(database?.notCompared?.map((line) => line.split(':')[0]).sort()).toEqual(lost)
        expect(report.verified).toBe(true)
        expect(outcome(report)).toMatchObject({
          title: expect.stringMatching(/^Rehearsed and verified, except for \d+ accepted losses$/),
          sentence: expect.stringContaining('compared equal, except for'),
        })
      } finally {
        await source.sql('DROP TABLE points, held, holder, empty_holder; DROP DOMAIN role', 'stock')
      }
    },
  )

  onceOnly('leaves nothing when a loss is refused', async () => {
    await source.sql('CREATE CAST (text AS int4) WITH INOUT', 'shop')
    try {
      const { error, report } = await rehearse()
      expect(messageOf(error)).toContain('CAST')
      expect(report.rehearsal).toMatchObject({ outcome: 'removed' })
    } finally {
      await source.sql('DROP CAST (text AS int4)', 'shop')
    }
    expect(await ofTarget()).toEqual(before.target)
  })

  test('leaves nothing when the restore fails in its middle', async () => {
    const proxy = await TcpProxy.start(Number(new URL(target.uri()).port))
    try {
      const cut = proxy.when(/ADD CONSTRAINT t_pkey PRIMARY KEY/, 'cut')
      const { error, report } = await rehearse(
        { target: through(proxy, target.uri()) },
        { pauses: [] },
      )
      await cut
      expect(error).toBeDefined()
      expect(messageOf(error)).not.toMatch(/if-target-not-empty|What is restored stays/)
      const failed = report.phases.filter(({ status }) => status === 'failed')
      expect(failed.map(({ name }) => name)).toEqual(['restore'])
      expect(report.rehearsal).toMatchObject({ outcome: 'removed' })
    } finally {
      await proxy.stop()
    }
    expect(await ofTarget()).toEqual(before.target)
  })

  const cancelledIn = async (phase: string) => {
    const job = new AbortController()
    const say = (line: string) => {
      if (line === `▶ ${phase}`) job.abort(new Cancelled())
    }
    const log = { debug: () => {}, info: say, warning: say }
    const { error, report } = await rehearse({}, { signal: job.signal, log })
    expect(error).toBeInstanceOf(Cancelled)
    expect(report.rehearsal).toMatchObject({ outcome: 'removed' })
    expect(await ofTarget()).toEqual(before.target)
  }
  test('leaves nothing when the job is cancelled in the restore', () => cancelledIn('restore shop'))
  onceOnly.each(['dump shop', 'restore-roles', 'verify shop'])(
    'leaves nothing when the job is cancelled in %s',
    cancelledIn,
  )

  onceOnly('one that is told to leaves its databases, until they are old enough', async () => {
    const { report, error } = await rehearse({ 'keep-rehearsal': 'true' })
    if (error) throw error
    const name = report.rehearsal?.name ?? ''
    expect(report.rehearsal).toMatchObject({ outcome: 'kept' })
    expect(report.warnings.join()).toContain(`Kept for a look: ${name}_1.`)
    expect(await databases()).toEqual([`${name}_0`, `${name}_1`])
    const { rows } = await target.backend.sql('SELECT count(*)::int AS n FROM t', `${name}_1`)
    expect(rows).toEqual([{ n: 500 }])
    const next = await rehearse()
    expect(next.error).toBeUndefined()
    expect(await databases()).toEqual([`${name}_0`, `${name}_1`])
    const last = await rehearse({ 'rehearsal-age': '1s' })
    expect(last.error).toBeUndefined()
    expect(last.lines.join('\n')).toContain(`Removed the rehearsal ${name}, which was kept`)
    expect(await catalogs()).toEqual(before)
  })

  test('what a living run has made nobody else removes, what a dead one has left the next does, and two at once do not meet', async () => {
    const name = await leave()
    const number = Number.parseInt(name.slice(-8), 16)
    const alive = await Presence.begin(account(), rehearsalSign(number), quiet)
    try {
      const both = await Promise.all([rehearse(), rehearse({ databases: 'stock' })])
      expect(both.map(({ error }) => error)).toEqual([undefined, undefined])
      expect(both.map(({ report }) => report.verified)).toEqual([true, true])
      const warnings = both.flatMap(({ report }) => report.warnings)
      expect(warnings.filter((line) => line.includes('other role'))).toEqual([])
      expect(await databases()).toEqual([`${name}_0`, `${name}_1`])
    } finally {
      await alive.close()
    }
    const { error, lines } = await rehearse()
    expect(error).toBeUndefined()
    expect(lines.join('\n')).toContain(
      `Removed the rehearsal ${name}, which was left by a dead run`,
    )
    expect(await catalogs()).toEqual(before)
  })

  /** Begins a rehearsal and lets the test work instead of it. */
  const instead = (work: (rehearsal: Rehearsal, run: Run) => Promise<void>) =>
    runInProcess(inputs(), {}, async (run) => {
      const rehearsal = new Rehearsal(run)
      const sides = await assess(['source', 'target'], run, (databases) =>
        rehearsal.rename(databases),
      )
      if (!sides.source || !sides.target) throw new Error('a side was not reached')
      await rehearsal.begin(sides.source, sides.target)
      try {
        await rehearsal.during((own) => work(rehearsal, own))
      } finally {
        await rehearsal.end(true)
      }
    })

  const holders = `SELECT pid, pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1886350433 AND granted`

  onceOnly('one whose lock is lost takes it again', async () => {
    const { error } = await instead(async () => {
      const { rows: ended } = await target.backend.sql(holders)
      expect(ended).toHaveLength(1)
      const held = `SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 1886350433 AND granted AND pid <> ${ended[0]?.pid}`
      while ((await target.backend.sql(held)).rowCount === 0) await setImmediate()
    })
    expect(error).toBeUndefined()
    expect(await ofTarget()).toEqual(before.target)
  })

  onceOnly(
    'one that cannot be removed fails and says so, and the next one removes it',
    async () => {
      // a superuser's session, which the account may not end
      let other: Awaited<ReturnType<TestServer['connect']>> | undefined
      const { error, report } = await instead(async ({ name }) => {
        other = await target.backend.connect(`${name}_1`)
      })
      expect(error).toMatchObject({
        message: `The rehearsal ${report.rehearsal?.name} could not be removed from the target`,
        why: expect.stringContaining('being accessed by other users'),
      })
      expect(report.rehearsal).toMatchObject({ outcome: 'left' })
      expect(await databases()).toHaveLength(2)
      await other?.end()
      expect((await rehearse()).error).toBeUndefined()
      expect(await ofTarget()).toEqual(before.target)
    },
  )

  onceOnly('one whose lock is lost has it again however often that was tried in vain', async () => {
    const proxy = await TcpProxy.start(Number(new URL(target.uri()).port))
    let tries = 0
    const log = { ...quiet.log, debug: () => void tries++ }
    const proxied = parseConnectionString(through(proxy, target.uri()))
    const sign = rehearsalSign(1)
    const presence = await Presence.begin(proxied, sign, { ...quiet, log }, [0, 1])
    const watcher = await target.backend.connect('postgres')
    try {
      await target.backend.sql('ALTER ROLE gctest CONNECTION LIMIT 0')
      proxy.disturb('cut')
      while (tries < 10) await setImmediate()
      await target.backend.sql('ALTER ROLE gctest CONNECTION LIMIT -1')
      while (!(await isPresent(watcher, sign))) await setImmediate()
      expect(presence.taken.aborted).toBe(false)
    } finally {
      await target.backend.sql('ALTER ROLE gctest CONNECTION LIMIT -1')
      await presence.close()
      await watcher.end()
      await proxy.stop()
    }
  })

  onceOnly(
    'one that works is not removed, although nobody has its lock, and none begins beside a copy that cannot be',
    async () => {
      const name = await leave()
      const session = await target.connect(`${name}_1`)
      try {
        await session.query(`SET application_name TO 'migrate-to-polardb restore'`)
        const context = newContext('rehearse')
        await sweepRehearsals(account(), 60, context, 2)
        expect(context.warnings).toEqual([
          expect.stringContaining('sessions of a run still work in it'),
        ])
        expect(await databases()).toEqual([`${name}_0`, `${name}_1`])
      } finally {
        await session.end()
      }
      await target.backend.sql(`ALTER DATABASE ${name}_1 OWNER TO postgres`)
      const { error, report } = await rehearse()
      expect(error).toMatchObject({
        message: expect.stringContaining('No rehearsal begins while what an earlier one has left'),
        why: expect.stringContaining(`Still there: the database ${name}_1`),
      })
      expect(report.rehearsal).toBeUndefined()
      expect(await databases()).toEqual([`${name}_0`, `${name}_1`])
      await target.backend.sql(`ALTER DATABASE ${name}_1 OWNER TO gctest`)
      expect((await rehearse()).error).toBeUndefined()
      expect(await catalogs()).toEqual(before)
    },
  )

  onceOnly('one that another has taken for dead ends, and says so', async () => {
    const thief = await target.backend.connect('postgres')
    const { error } = await instead(async ({ name }, { signal }) => {
      const number = `('x' || right('${name}', 8))::bit(32)::int`
      const taken = thief.query(`SELECT pg_advisory_lock(1886350433, ${number})`)
      // it waits behind the holder, and is the next to have the lock
      const waits = `SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 1886350433 AND NOT granted`
      while ((await target.backend.sql(waits)).rowCount === 0) await setImmediate()
      await target.backend.sql(holders)
      await taken
      // it may have been told already
      if (!signal.aborted) await once(signal, 'abort')
      throw new Cancelled()
    }).finally(() => thief.end())
    expect(messageOf(error)).toContain('taken this one for dead')
    expect(await ofTarget()).toEqual(before.target)
  })

  describe('is not run, and that is no failure,', () => {
    const reasonOf = async (more: Record<string, string> = {}): Promise<string> => {
      const { error, report } = await rehearse({ databases: 'shop,stock', ...more })
      if (error) throw error
      expect(report.verified).toBe(false)
      expect(report.rehearsal).toMatchObject({ outcome: 'not run' })
      expect([...new Set(report.phases.map(({ name }) => name))]).toEqual(['preflight'])
      return report.rehearsal?.note ?? ''
    }
    onceOnly('while a migration is under way on the target', async () => {
      await whileMigrating(account(), quiet, async () => {
        expect(await reasonOf()).toContain('under way on this target')
      })
    })

    onceOnly('while another is under way and both use the roles of the target', async () => {
      const other = await Presence.begin(account(), rehearsalSign(1), quiet)
      try {
        expect(await reasonOf({ roles: 'skip' })).toContain('another rehearsal is under way')
      } finally {
        await other.close()
      }
      expect(await catalogs()).toEqual(before)
    })

    onceOnly('while a restore is interrupted where the migration would go', async () => {
      const state = JSON.stringify({
        dump: '0'.repeat(64),
        memberships: [],
        schemaGrants: [],
        databaseGrants: [],
        loader: null,
        owners: false,
      })
      await target.backend.sql(
        `CREATE SCHEMA "migrate-to-polardb" AUTHORIZATION gctest; COMMENT ON SCHEMA "migrate-to-polardb" IS '${state}'`,
        'shop',
      )
      expect(await reasonOf()).toContain('a restore into the database "shop"')
      // somebody else's is no mark
      await target.backend.sql('ALTER SCHEMA "migrate-to-polardb" OWNER TO app', 'shop')
      const { report } = await rehearse({ databases: 'shop' })
      expect(report.rehearsal).toMatchObject({ outcome: 'removed' })
      await target.backend.sql('DROP SCHEMA "migrate-to-polardb"', 'shop')
    })

    onceOnly('while the source is frozen, and when it has moved', async () => {
      const { rows } = await source.sql(`SELECT oid FROM pg_database WHERE datname = 'stock'`)
      const id = '00000000-0000-4000-8000-000000000001'
      const frozen = {
        run: id,
        at: '2026-11-28T23:00:00Z',
        holder: { pid: 1, began: '20261128230000000000' },
        setting: null,
        roles: [],
        dump: null as string | null,
        target: null as unknown,
      }
      const mark = (change: object) =>
        source.sql(
          `CREATE SCHEMA IF NOT EXISTS "migrate-to-polardb-freeze"; COMMENT ON SCHEMA "migrate-to-polardb-freeze" IS '${JSON.stringify(
            {
              ...{ format: 1, database: String(rows[0]?.oid), revoked: [] },
              frozen: { ...frozen, ...change },
            },
          )}'`,
          'stock',
        )
      try {
        await mark({})
        expect(await reasonOf()).toContain(
          '"stock" is frozen since 2026-11-28T23:00:00Z by a migration',
        )
        await mark({ dump: id })
        expect(await reasonOf()).toContain(`for the dump ${id}`)
        const arrived = { oid: '1', name: 'stock', rows: '0', since: null, next: '1' }
        await mark({ dump: id, target: arrived })
        expect(await reasonOf()).toContain('the source has moved')
      } finally {
        await source.sql('DROP SCHEMA IF EXISTS "migrate-to-polardb-freeze"', 'stock')
      }
    })
  })

  onceOnly('what others have put there stays, whatever it is called and says', async () => {
    const create = (name: string, limit = -1, comment?: string) =>
      [
        `CREATE DATABASE ${name} OWNER gctest CONNECTION LIMIT ${limit}`,
        ...(comment === undefined ? [] : [`COMMENT ON DATABASE ${name} IS '${comment}'`]),
      ] as const
    const mark = (name: string, comment: string) => create(name, markLimit(name), comment)
    const state = (rehearsal: string, more: object = {}) =>
      JSON.stringify({ format: 1, rehearsal, at: 0, databases: [], kept: false, ...more })
    const [bare, odd, foreign, stale] = [1, 2, 3, 4].map((digit) =>
      newRehearsalName(new Date('2020-01-01'), Buffer.alloc(4, digit)),
    ) as [string, string, string, string]
    for (const sql of [
      // such names, and nothing else
      ...create(`${bare}_0`, -1, state(bare)),
      ...create(`${bare}_1`),
      // a mark that says something else, or speaks of another's
      ...mark(`${odd}_0`, 'hands off'),
      // another account's
      ...mark(`${foreign}_0`, state(foreign)),
      `ALTER DATABASE ${foreign}_0 OWNER TO app`,
      // a mark of ours; but another database has the name of what it means
      ...mark(`${stale}_0`, state(stale, { databases: [{ number: 1, oid: '1' }] })),
      ...create(`${stale}_1`),
      ...create(`${stale}_2`),
      `CREATE ROLE ${stale}_r1`,
    ])
      await target.backend.sql(sql)
    const there = await databases()
    const { error, report } = await rehearse()
    expect(error).toBeUndefined()
    // the mark stays beside a role that may be a stand-in, and that is told
    expect(await databases()).toEqual(there)
    expect(report.warnings.filter((line) => line.includes('rehearsal_2020'))).toEqual([
      expect.stringContaining(`${odd}_0 is the mark of a rehearsal and says something`),
      expect.stringContaining(`the role ${stale}_r1 (no rehearsal has written its comment`),
    ])
    await target.backend.sql(`DROP ROLE ${stale}_r1`)
    expect((await rehearse()).error).toBeUndefined()
    expect(await databases()).toEqual(there.filter((name) => name !== `${stale}_0`))
    for (const name of await databases()) await target.backend.sql(`DROP DATABASE ${name}`)
    expect(await catalogs()).toEqual(before)
  })

  onceOnly('the lines of the documentation remove what is left, whatever holds it', async () => {
    const name = await leave()
    await target.backend.sql(
      `GRANT SET ON PARAMETER work_mem TO gctest WITH GRANT OPTION; ALTER DATABASE ${name}_1 IS_TEMPLATE true`,
    )
    const page = readFileSync('docs/rehearsal.md', 'utf8')
    const [, sql = ''] = /## By hand[\s\S]*?```sql\n([\s\S]*?)```/.exec(page) ?? []
    const [which = '', ...removal] = sql.split(
      /-- (?:from PostgreSQL 15|the lines that remove).*\n/,
    )
    expect(removal).toHaveLength(2)
    // as the account
    const me = await target.connect('postgres')
    const other = await target.connect(`${name}_1`)
    other.on('error', () => {})
    try {
      await me.query(`GRANT SET ON PARAMETER work_mem TO ${name}_r1`)
      expect((await me.query(which)).rows).toEqual([
        { rehearsal: name, databases: '2', lives: false },
      ])
      for (const lines of removal) {
        const { rows } = await me.query(lines.replace(/rehearsal_\d{12}_[0-9a-f]{8}/, name))
        for (const line of rows) await me.query(Object.values(line).join())
      }
    } finally {
      await other.end().catch(() => {})
      await me.end()
      await target.backend.sql('REVOKE ALL ON PARAMETER work_mem FROM gctest')
    }
    expect(await catalogs()).toEqual(before)
  })
})
