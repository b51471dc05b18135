import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type pg from 'pg'
import type { RestoreRolesOptions } from '../../src/migration/roles/options.ts'
import { removeStandIns } from '../../src/migration/roles/remove-stand-ins.ts'
import { isStandIn, standInMark } from '../../src/polardb/roles/stand-ins.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { type RoleCatalog, readRoleCatalog } from '../../src/postgres/roles/catalog.ts'
import { renamedRoles } from '../../src/postgres/roles/role-names.ts'
import { clientDirectory } from '../support/clients.ts'
import { newContext } from '../support/context.ts'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { restoreRoles } from '../support/restore-roles.ts'
import { fixtureStatements } from '../support/roles-fixture.ts'
import { type Major, TestServer } from '../support/server.ts'

const run = promisify(execFile)
const prefix = 'rehearsal_202611290230_1f2e3d4c'

/** The names of all roles of a target that bear the mark of a stand-in, sorted. */
async function standInsOf(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string; comment: string | null }>(
    `SELECT rolname::text AS name, shobj_description(oid, 'pg_authid') AS comment FROM pg_roles ORDER BY rolname`,
  )
  return rows.filter(isStandIn).map(({ name }) => name)
}

/** Everything that a cluster knows of its roles, row by row and column by column. */
async function readRows(server: TestServer): Promise<Record<string, string[]>> {
  const catalogs = ['pg_authid', 'pg_auth_members', 'pg_db_role_setting', 'pg_shdescription']
  if (server.major >= 15) catalogs.push('pg_parameter_acl')
  const found: Record<string, string[]> = {}
  for (const catalog of catalogs) {
    const { rows } = await server.sql(`SELECT t::text AS row FROM ${catalog} t ORDER BY 1`)
    found[catalog] = rows.map(({ row }) => row)
  }
  return found
}

/** A script as pg_dumpall writes it, and the catalog of a source that has just these roles. */
async function dumpRoles(
  source: TestServer,
  directory: string,
): Promise<{ script: string; catalog: RoleCatalog }> {
  const args = ['--roles-only', `--dbname=${source.uri()}`]
  const { stdout } = await run(join(directory, 'pg_dumpall'), args, {
    env: { PGCLIENTENCODING: 'UTF8' },
  })
  const client = await source.connect()
  try {
    return { script: stdout, catalog: await readRoleCatalog(client) }
  } finally {
    await client.end()
  }
}

describe.each([13, 18] as Major[])('stand-ins for the roles of version %i', (major) => {
  let source: TestServer | undefined
  let dump: { script: string; catalog: RoleCatalog }

  beforeAll(async () => {
    const directory = await clientDirectory(major)
    if (directory === undefined) return
    source = await TestServer.start(major)
    const client = await source.connect()
    for (const statement of fixtureStatements(major)) await client.query(statement)
    await client.end()
    dump = await dumpRoles(source, directory)
  })
  afterAll(() => source?.stop())

  const options = (uri: string): RestoreRolesOptions => ({
    ...dump,
    target: parseConnectionString(uri),
    databaseNames: new Map([['postgres', 'postgres']]),
    superuserOption: 'auto',
    existingRoles: 'update',
    rolePasswords: true,
    allowMissing: ['*'],
    roleNames: renamedRoles(
      prefix,
      dump.catalog.roles.map(({ name }) => name),
    ),
  })

  test.each([
    ['PolarDB 11', () => PolarStandIn.start()],
    ['PolarDB 16', () => PolarStandIn.start({ major: 16 })],
    ['a stock 15', () => startPlainTarget(15)],
    ['a stock 18', () => startPlainTarget(18)],
  ] as const)('are made on %s, compare equal, and leave nothing', async (_, start) => {
    if (source === undefined) return console.warn(`skipped: no client programs of ${major} here`)
    const target = await start()
    const { backend } = target
    try {
      // roles of the target's own, called as the source's, and as stand-ins of this run
      await backend.sql(`CREATE ROLE app_ro LOGIN PASSWORD 'its own' CONNECTION LIMIT 7`)
      await backend.sql(`ALTER ROLE app_ro SET work_mem = '3MB'`)
      await backend.sql(`CREATE ROLE ${prefix}_r9999`)
      const before = await readRows(backend)
      const now = newContext('rehearse')
      const restored = await restoreRoles(options(target.uri()), now)
      await restored.applyDeferred(now)
      const { result } = restored
      expect(result.differences.filter(({ explained }) => !explained)).toEqual([])
      expect(result).toMatchObject({ existing: 0, verified: true })
      expect(JSON.stringify(result)).not.toContain(prefix)
      expect(result.created).toBe(dump.catalog.roles.length)
      expect(restored.createdRoles).toHaveLength(result.created)

      // what was there is as it was; what is new cannot log in, has no password, and no member but its like
      const during = await readRows(backend)
      for (const [catalog, rows] of Object.entries(before))
        expect(during[catalog]).toEqual(expect.arrayContaining(rows))
      const { rows: made } = await backend.sql(
        `SELECT rolname, rolcanlogin OR rolpassword IS NOT NULL OR rolconnlimit <> -1 OR rolvaliduntil IS NOT NULL AS awake
           FROM pg_authid WHERE rolname LIKE '${prefix}%' AND rolname <> '${prefix}_r9999' ORDER BY 1`,
      )
      expect(made.map(({ rolname }) => rolname)).toEqual([...restored.createdRoles].sort())
      expect(made.filter(({ awake }) => awake)).toEqual([])
      const { rows: strangers } = await backend.sql(
        `SELECT r.rolname || ' > ' || m.rolname AS row FROM pg_auth_members a
           JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
          WHERE r.rolname LIKE '${prefix}%' AND m.rolname NOT LIKE '${prefix}%' AND m.rolname <> '${target.account}'`,
      )
      expect(strangers).toEqual([])
      expect(restored.script).not.toMatch(/PASSWORD '|SCRAM-SHA/)

      // what differs is found
      const altered = (await restored.createdRoles)[3]
      await backend.sql(`ALTER ROLE ${altered} LOGIN`)
      await backend.sql(`GRANT ${restored.createdRoles[4]} TO ${altered}`)
      const changed = await restored.applyDeferred(now)
      const differing = changed.differences.filter(({ explained }) => !explained)
      expect(differing.map(({ what }) => what)).toEqual(
        expect.arrayContaining(['LOGIN', expect.stringMatching(/^membership in /)]),
      )
      expect(changed.verified).toBe(false)

      const client = await target.connect()
      try {
        expect(await removeStandIns(client, 'rehearsal_202611290230_00000000')).toEqual([])
        expect(await standInsOf(client)).toEqual([...restored.createdRoles].sort())
        const stranger = {
          name: `${prefix}_r9999`,
          reason: expect.stringContaining('no rehearsal has written its comment'),
        }
        expect(await removeStandIns(client, prefix)).toEqual([stranger])
        expect(await removeStandIns(client, prefix)).toEqual([stranger])
      } finally {
        await client.end()
      }
      expect(await readRows(backend)).toEqual(before)
    } finally {
      await target.stop()
    }
  })

  test('are found again when the connection is lost while PolarDB 11 writes over their comment', async () => {
    if (source === undefined) return
    const target = await PolarStandIn.start()
    const proxy = await TcpProxy.start(Number(new URL(target.uri()).port))
    try {
      const before = await readRows(target.backend)
      const lost = proxy.when(/ALTER ROLE "rehearsal\w+" WITH NOPOLAR_SUPERUSER \w/, 'swallow')
      await expect(
        restoreRoles(options(through(proxy, target.uri())), newContext('rehearse', { pauses: [] })),
      ).rejects.toThrow('The roles could not be restored')
      await lost
      const altered = `SELECT FROM pg_roles WHERE rolname LIKE '${prefix}%' AND NOT rolsuper AND (rolreplication OR rolbypassrls)`
      while ((await target.backend.sql(altered)).rowCount === 0) await setImmediate()
      const client = await target.connect()
      expect(await removeStandIns(client, prefix).finally(() => client.end())).toEqual([])
      expect(await readRows(target.backend)).toEqual(before)
    } finally {
      await proxy.stop()
      await target.stop()
    }
  })

  test('are not made where the real statement would be refused', async () => {
    if (source === undefined) return
    const target = await startPlainTarget(18)
    try {
      const before = await readRows(target.backend)
      const own = options(target.uri())
      const refused = own.script.replace(
        /(CREATE ROLE app_login;\n)/,
        "$1ALTER ROLE app_login WITH VALID UNTIL 'no time';\n",
      )
      expect(refused).not.toBe(own.script)
      await expect(
        restoreRoles({ ...own, script: refused }, newContext('rehearse')),
      ).rejects.toMatchObject({
        message: '1 role could not be made on the target',
        why: expect.stringContaining('"app_login": the target refuses it: invalid input syntax'),
      })
      expect(await readRows(target.backend)).toEqual(before)
    } finally {
      await target.stop()
    }
  })
})

test('one that owns something stays, and says why', async () => {
  const target = await startPlainTarget(15)
  const client = await target.connect()
  try {
    const name = `${prefix}_r1`
    await client.query(`CREATE ROLE ${name}; COMMENT ON ROLE ${name} IS '${standInMark}'`)
    await client.query(`CREATE ROLE ${prefix}_r2; COMMENT ON ROLE ${prefix}_r2 IS '${standInMark}'`)
    await target.backend.sql(`CREATE TABLE kept (); ALTER TABLE kept OWNER TO ${name}`)
    expect(await removeStandIns(client, prefix)).toEqual([
      { name, reason: expect.stringContaining('some objects depend on it: owner of table kept') },
    ])
    expect(await standInsOf(client)).toEqual([name])
  } finally {
    await client.end()
    await target.stop()
  }
})
