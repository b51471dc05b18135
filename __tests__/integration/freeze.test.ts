import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { messageOf } from '../../src/failure.ts'
import { freezeSchema } from '../../src/migration/freeze/mark.ts'
import { checkTarget, findFrozen } from '../../src/migration/freeze/unfreeze.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { newContext } from '../support/context.ts'
import {
  dump,
  freezeTests,
  newKey,
  readOnly,
  scratch,
  settingsOf,
  startSource,
  unfreeze,
  when,
  write,
} from '../support/freeze.ts'
import type { runInProcess } from '../support/in-process.ts'
import { withoutPassword } from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import type { TestServer } from '../support/server.ts'

freezeTests(10, [])
freezeTests(15, ['failure', 'kill, then unfreeze', 'write'])

describe('what stands in the way', () => {
  let source: TestServer
  beforeAll(async () => {
    source = await startSource(15)
  })
  afterAll(() => source?.stop())

  test('is found before anything is changed, all at once', async () => {
    await source.sql(`CREATE ROLE weak LOGIN PASSWORD 'w'; GRANT pg_read_all_data TO weak`)
    await source.sql(
      `CREATE SUBSCRIPTION feed CONNECTION 'host=/nonexistent' PUBLICATION p WITH (connect = false, slot_name = 'x')`,
      'shop',
    )
    await source.sql(`UPDATE pg_subscription SET subenabled = true`)
    const preparing = await source.connect('shop')
    await preparing.query(`BEGIN; INSERT INTO public.t VALUES (7); PREPARE TRANSACTION 'pending'`)
    const { error, report } = await dump(source, {
      source: withoutPassword(source.uri('shop', 'weak')),
      'source-password': 'w',
      roles: 'skip',
    })
    expect(messageOf(error)).toMatch(/4 blockers/)
    const failed = report.checks.filter(
      ({ id, status }) => status === 'failed' && id.startsWith('freeze-'),
    )
    expect(failed.map(({ id, objects }) => [id, objects])).toEqual([
      ['freeze-owner', ['shop']],
      ['freeze-roles', ['rebel', 'stubborn']],
      ['freeze-bypass', ['pending', 'feed']],
      ['freeze-sessions', ['postgres']],
    ])
    // as the remedies say
    await preparing.query(`ROLLBACK PREPARED 'pending'`)
    await preparing.end()
    await source.sql(
      `ALTER SUBSCRIPTION feed DISABLE; ALTER SUBSCRIPTION feed SET (slot_name = NONE)`,
      'shop',
    )
    await source.sql('DROP SUBSCRIPTION feed', 'shop')
    await source.sql(`ALTER DATABASE shop OWNER TO weak; ALTER ROLE rebel RESET default_transaction_read_only;
      ALTER ROLE stubborn IN DATABASE shop RESET default_transaction_read_only; GRANT pg_signal_backend TO weak`)
    const other = await source.connect('shop', { user: 'app', password: 'a' })
    const now = await dump(source, {
      source: withoutPassword(source.uri('shop', 'weak')),
      'source-password': 'w',
      roles: 'skip',
    })
    expect(now.error).toBeUndefined()
    expect(now.report.freeze).toMatchObject({ frozen: true, ended: 1 })
    await expect(other.query('SELECT 1')).rejects.toThrow()
    expect((await unfreeze(source)).error).toBeUndefined()
    await source.sql(`DROP SCHEMA "${freezeSchema}"`, 'shop')
  })

  test('more roles with settings of their own than could be given them back: the source stays as it is', async () => {
    const all = `FOR i IN 1..10001 LOOP EXECUTE format(`
    await source.sql(
      `DO $$ BEGIN ${all}'CREATE ROLE many%s; ALTER ROLE many%s SET default_transaction_read_only = off', i, i); END LOOP; END $$`,
    )
    try {
      const before = await settingsOf(source)
      const { error, report } = await dump(source, { roles: 'skip' })
      expect(messageOf(error)).toMatch(/10,00[1-3] roles .* a freeze remembers 10,000 at most/)
      expect(report.freeze).toBeUndefined()
      expect(await settingsOf(source)).toEqual(before)
      expect(await write(source)).toBe('written')
    } finally {
      await source.sql(`DO $$ BEGIN ${all}'DROP ROLE many%s', i); END LOOP; END $$`)
    }
  })

  test('a planted mark is nothing to undo, and no place for a mark of ours', async () => {
    const state = {
      format: 1,
      database: '1',
      frozen: {
        run: '00000000-0000-0000-0000-000000000000',
        at: '2026-01-01T00:00:00Z',
        holder: { pid: 1, began: '20260101000000000000' },
        setting: 'on',
        roles: [{ role: 'app', setting: 'on' }],
        dump: null,
        target: null,
      },
      revoked: [],
    }
    await source.sql(`CREATE ROLE mallory; GRANT CREATE ON DATABASE shop TO mallory`)
    const { rows } = await source.sql(`SELECT oid FROM pg_database WHERE datname = 'shop'`)
    const comment = JSON.stringify({ ...state, database: String(rows[0]?.oid) })
    await source.sql(
      `SET ROLE mallory; CREATE SCHEMA "${freezeSchema}"; COMMENT ON SCHEMA "${freezeSchema}" IS '${comment}'`,
      'shop',
    )
    await source.sql(`ALTER DATABASE shop SET default_transaction_read_only = on`)
    const before = await settingsOf(source)
    const { report } = await unfreeze(source)
    expect(report.freeze?.databases).toEqual([])
    expect(report.warnings.join()).toMatch(/of "mallory" is not read as a mark/)
    expect(await settingsOf(source)).toEqual(before)
    expect(messageOf((await dump(source)).error)).toMatch(/belongs to "mallory"/)
    // a dump without a freeze carries it like any other schema
    await dump(source, { 'freeze-source': 'false', 'dump-directory': join(scratch(), 'plain') })
    const manifest = JSON.parse(readFileSync(join(scratch(), 'plain', 'manifest.json'), 'utf8'))
    expect(manifest.databases[0].properties.settings).toContainEqual({
      role: null,
      name: 'default_transaction_read_only',
      value: 'on',
    })
    await source.sql(`ALTER DATABASE shop RESET default_transaction_read_only`)
    await source.sql(`DROP SCHEMA "${freezeSchema}"`, 'shop')
  })
})

describe('a migration', () => {
  let source: TestServer
  let target: PlainTarget
  beforeAll(async () => {
    ;[source, target] = await Promise.all([startSource(15), startPlainTarget(15)])
  })
  afterAll(() => Promise.all([source?.stop(), target?.stop()]))

  const migrate = async (
    more: Record<string, string>,
    changes: Parameters<typeof runInProcess>[1] = {},
  ) =>
    dump(
      source,
      {
        command: 'migrate',
        target: withoutPassword(target.uri('postgres')),
        'target-password': target.password,
        verify: 'data',
        'keep-dump': 'false',
        'dump-directory': '',
        ...more,
      },
      changes,
    )

  test('does not begin while somebody writes; who only is there is nobody', async () => {
    const idle = await source.connect('shop')
    const writer = await source.connect('shop')
    await writer.query(`BEGIN; INSERT INTO public.t VALUES (${newKey()})`)
    const refused = await migrate({ 'freeze-source': 'false', databases: 'shop=busy' })
    expect(messageOf(refused.error)).toMatch(/source is being written to.*postgres, process/)
    expect(refused.report.phases.map(({ name }) => name)).not.toContain('dump')
    const asked = await migrate({ command: 'preflight', 'freeze-source': 'false' })
    expect(asked.report.checks.find(({ id }) => id === 'source-writers')).toMatchObject({
      severity: 'warning',
      status: 'failed',
      objects: ['shop'],
    })
    await writer.query('ROLLBACK')
    const { error } = await migrate({ 'freeze-source': 'false', databases: 'shop=calm' })
    expect(error).toBeUndefined()
    await Promise.all([idle.end(), writer.end()])
  })

  test('that went well leaves the source frozen and the target free; the way back knows what was written there', async () => {
    const { error, report } = await migrate({})
    expect(error).toBeUndefined()
    expect(report).toMatchObject({ verified: true, sourceStill: true })
    expect(report.freeze?.next).toMatch(/that is the cutover.*unfreeze/)
    expect(await write(source)).toBe(readOnly)
    const client = await target.backend.connect('shop')
    const { rows } = await client.query('SHOW default_transaction_read_only')
    expect(rows).toEqual([{ default_transaction_read_only: 'off' }])
    await client.end()

    // both live servers are equal, frozen or not
    const verified = await migrate({ command: 'verify', 'freeze-source': 'false' })
    expect(verified.error).toBeUndefined()
    expect(verified.report.verified).toBe(true)

    const place = parseConnectionString(source.uri('shop'))
    const there = parseConnectionString(target.uri('postgres'))
    const context = newContext('unfreeze')
    const frozen = await findFrozen(place, [], context)
    await checkTarget(frozen, there, false, context)
    expect(context.report.checks).toMatchObject([{ id: 'target-written', status: 'passed' }])
    const given = {
      target: withoutPassword(target.uri('postgres')),
      'target-password': target.password,
    }
    await target.backend.sql('CREATE TABLE public.later ()', 'shop')
    const defined = await unfreeze(source, given)
    expect(messageOf(defined.error)).toMatch(/not known: definitions were changed since/)
    await target.backend.sql('INSERT INTO public.t VALUES (-1)', 'shop')
    const refused = await unfreeze(source, given)
    expect(messageOf(refused.error)).toMatch(/1 row inserted, updated or deleted.*confirm-unfreeze/)
    expect(await write(source)).toBe(readOnly)
    const confirmed = await unfreeze(source, { ...given, 'confirm-unfreeze': 'true' })
    expect(confirmed.error).toBeUndefined()
    expect(await write(source)).toBe('written')
  })

  test('whose restore failed leaves the source frozen while its dump can be restored', async () => {
    const broken = when('restore shop', () => {
      throw new Error('broken')
    })
    const place = parseConnectionString(source.uri('shop'))
    const marks = async () =>
      (await findFrozen(place, [], newContext('unfreeze'))).map(({ frozen }) => frozen.dump)
    for (const kept of [true, false]) {
      const { error, report } = await migrate(
        {
          'if-target-not-empty': 'replace',
          'keep-dump': String(kept),
          'dump-directory': join(scratch(), `kept-${kept}`),
        },
        broken,
      )
      expect(messageOf(error)).toMatch('broken')
      expect(report.freeze).toMatchObject({ frozen: kept, written: false })
      if (kept) expect(report.freeze?.next).toMatch(/command: restore.*command: unfreeze/)
      expect(await write(source)).toBe(kept ? readOnly : 'written')
      if (kept) {
        // a second run whose own dump is lost takes nothing away from the dump that is kept
        const [first] = await marks()
        const again = await migrate({ 'if-target-not-empty': 'replace' }, broken)
        expect(again.report.freeze).toMatchObject({ frozen: true, written: false })
        expect(again.report.freeze?.next).toMatch(/the dump of an earlier one/)
        expect(await marks()).toEqual([first])
      }
      await unfreeze(source)
    }
  })
})
