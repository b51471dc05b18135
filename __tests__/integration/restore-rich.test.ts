import { describe, expect, test } from '@jest/globals'
import type { EntryResult } from '../../src/report/model.ts'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import {
  countRows,
  createRoles,
  type Difference,
  digestRows,
  Harness,
  membershipsOf,
  type RestoreTarget,
} from '../support/restore-harness.ts'
import { createRichDatabase, richRoles } from '../support/rich-database.ts'
import { type Major, TestServer } from '../support/server.ts'

interface Route {
  name: string
  source: Major
  /** Whose pg_dump looks at both, where the target is newer. */
  compare?: number
  target: () => Promise<RestoreTarget & { stop(): Promise<void> }>
  /** Entries that a newer server prints differently, without any difference in what they are. */
  rewritten?: RegExp
}

const routes: Route[] = [
  { name: '15 to a plain 15', source: 15, target: () => startPlainTarget(15) },
  {
    name: '13 to a stand-in for PolarDB on 15',
    source: 13,
    target: () => PolarStandIn.start({ major: 15 }),
    // the schema public belongs to pg_database_owner there, and every range has a multirange
    rewritten:
      /^(SCHEMA public|(COMMENT|ACL) SCHEMA public|TYPE app\.floats|ACL TABLE pg_catalog\.polar_.*)$/,
  },
  { name: '17 to a plain 18', source: 17, compare: 18, target: () => startPlainTarget(18) },
  { name: '18 to a plain 18', source: 18, target: () => startPlainTarget(18) },
  {
    name: '15 down to a stand-in for PolarDB on 11',
    source: 15,
    target: () => PolarStandIn.start({ major: 11 }),
    // EXECUTE PROCEDURE, and the kinds of statistics, are printed as 11 does; public is the superuser's
    rewritten:
      /^(SCHEMA public|ACL SCHEMA public|TRIGGER .*|STATISTICS .*|ACL TABLE pg_catalog\.polar_.*)$/,
  },
]

describe('a rich database', () => {
  test.each(routes)(
    'differs on the target only in what the report explains: from $name',
    async (route) => {
      const major = Math.max(route.source, 15)
      const harness = await Harness.open(major)
      if (!harness) throw new Error(`the client programs of ${major} cannot be had on this machine`)
      const comparing = route.compare ? await Harness.open(route.compare) : harness
      if (!comparing) throw new Error(`there is no pg_dump ${route.compare} on this machine`)
      const source = await TestServer.start(route.source)
      const target = await route.target()
      try {
        await createRichDatabase(source)
        await createRoles(target, richRoles)
        const dump = await harness.dump(source, 'rich')
        const { result, owners } = await harness.restore(dump, target, { allowMissing: ['*'] })

        expect(result.failed).toEqual([])
        expect(result.restored + result.skipped.filter(isLeftOut).length).toBe(result.entries)
        expect(await membershipsOf(target)).toEqual([])
        const kept = new Map((owners ?? []).map(({ role, owner }) => [role, owner]))
        const told = new Set(result.skipped.map(({ entry }) => entry))
        const unexplained = (
          await comparing.differences(source, 'rich', target.backend, 'rich')
        ).filter((difference) => !isExplained(difference, told, kept, route.rewritten))
        expect(unexplained).toEqual([])
        expect(await lostRows(source, target.backend)).toEqual(
          [...told].filter((entry) => entry.startsWith('TABLE DATA ')).sort(),
        )
        // a password in a user mapping or a subscription shows nowhere
        expect(JSON.stringify([result, harness.context.lines])).not.toContain('hidden-in')
      } finally {
        await source.stop()
        await target.stop()
        await harness.close()
        await comparing.close()
      }
    },
  )

  test('without what takes a superuser needs no permission to leave anything out', async () => {
    const harness = await Harness.open(15)
    if (!harness) throw new Error('the client programs of 15 are missing')
    const source = await TestServer.start(15)
    const target = await startPlainTarget(15)
    try {
      await createRichDatabase(source, 'rich', { superuserObjects: false })
      await createRoles(target, richRoles)
      const dump = await harness.dump(source, 'rich')
      const { result } = await harness.restore(dump, target)
      expect(result.skipped.map(({ entry }) => entry)).toEqual([
        'COMMENT EXTENSION citext',
        'COMMENT EXTENSION hstore',
        'COMMENT EXTENSION "uuid-ossp"',
        'OWNER postgres',
      ])
      const client = await target.backend.connect('rich')
      expect(await countRows(client)).toEqual(dump.expectedRows)
      await client.end()
    } finally {
      await source.stop()
      await target.stop()
      await harness.close()
    }
  })

  test('restored by a superuser loses nothing at all', async () => {
    const harness = await Harness.open(15)
    if (!harness) throw new Error('the client programs of 15 are missing')
    const source = await TestServer.start(15)
    const server = await TestServer.start(15)
    const target: RestoreTarget = {
      account: server.superuser,
      backend: server,
      uri: (database) => server.uri(database),
      connect: (database) => server.connect(database),
    }
    try {
      await createRichDatabase(source)
      await createRoles(target, richRoles)
      const dump = await harness.dump(source, 'rich')
      const { result, checklist } = await harness.restore(dump, target)
      expect(result.skipped.map(({ entry }) => entry)).toEqual(['EVENT TRIGGER watch'])
      for (const { lines } of checklist) for (const line of lines) await server.sql(line, 'rich')
      expect(await harness.differences(source, 'rich', server, 'rich')).toEqual([])
      expect(await lostRows(source, server)).toEqual([])
      await server.sql('ALTER SUBSCRIPTION remote SET (slot_name = NONE)', 'rich')
    } finally {
      await source.stop()
      await server.stop()
      await harness.close()
    }
  })
})

/** Skipped entries that are entries of the archive and were left out, not restored in another way. */
function isLeftOut({ entry, reason }: EntryResult): boolean {
  return (
    !reason.startsWith('restored ') &&
    !/^(OWNER|TABLESPACE|SETTING) |DATABASE/.test(entry) &&
    !reason.startsWith('the target does not have it, or not for the account')
  )
}

function isExplained(
  { entry, what, source, target }: Difference,
  told: ReadonlySet<string>,
  kept: ReadonlyMap<string, string>,
  rewritten: RegExp | undefined,
): boolean {
  if (told.has(entry) || rewritten?.test(entry)) return true
  if (what !== 'owner' || source === undefined) return false
  // owners that only a superuser can be, and default privileges that were a superuser's
  return (
    kept.get(source) === target ||
    told.has(`OWNER ${entry.replace(/^COMMENT /, '')}`) ||
    told.has(`OWNER ${entry}`)
  )
}

/** Tables whose rows are not the same on both servers, as the report calls their data. */
async function lostRows(source: TestServer, target: TestServer): Promise<string[]> {
  const [left, right] = await Promise.all([source.connect('rich'), target.connect('rich')])
  try {
    const [expected, found] = await Promise.all([digestRows(left), digestRows(right)])
    return [...expected]
      .filter(([table, digest]) => found.get(table) !== digest)
      .map(([table]) => `TABLE DATA ${table.replaceAll('"', '')}`)
      .sort()
  } finally {
    await left.end()
    await right.end()
  }
}
