import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { differencesOf } from '../../src/report/findings.ts'
import { isBlocker, isReady } from '../../src/report/model.ts'
import { clientDirectory } from '../support/clients.ts'
import { fence, replaced } from '../support/documents.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { demoLosses, smallShop } from '../support/migration.ts'
import { everything } from '../support/migration-world.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { type Major, TestServer } from '../support/server.ts'

/**
 * The SQL of docs/permissions.md as an administrator pastes it: it is enough for a migration, and a preflight tells of each statement
 * that was left out.
 */
const page = 'docs/permissions.md'
const password = 'a password of its own'

/** The statements of a block, without its comments. */
const statementsOf = (text: string): string[] =>
  text
    .replaceAll(/--.*$/gm, '')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')

/** What a reader replaces. */
const superuser = () => replaced(fence(page, 'On the source', 0), { "'2027-02-01'": "'infinity'" })
const ordinary = () => statementsOf(fence(page, 'On the source', 1))
const ofTarget = () => fence(page, 'On the target', 0)
const ownDatabase = () => fence(page, 'On the target', 1)
const ofDatabase = () => statementsOf(fence(page, 'On the target', 2))

describe.each([[15], [13]] as [Major][])('docs/permissions.md, followed on %s', (major) => {
  let client: string | undefined
  let source: TestServer
  let target: PlainTarget

  beforeAll(async () => {
    client = await clientDirectory(15)
    ;[source, target] = await Promise.all([TestServer.start(major), startPlainTarget(15)])
    await source.sql('CREATE DATABASE shop')
    await source.sql(smallShop(), 'shop')
  })
  afterAll(async () => {
    await Promise.all([source?.stop(), target?.stop()])
  })
  beforeEach(async () => {
    await target.backend.sql('DROP DATABASE IF EXISTS shop WITH (FORCE)')
    for (const [server, database] of [
      [source, 'shop'],
      [target.backend, 'postgres'],
    ] as const) {
      const { rowCount } = await server.sql(`SELECT FROM pg_roles WHERE rolname = 'migrator'`)
      if (rowCount === 1) await server.sql('DROP OWNED BY migrator; DROP ROLE migrator', database)
    }
  })

  const run = (command: string, more: Record<string, string> = {}): Promise<CommandResult> =>
    runInProcess({
      command,
      databases: 'shop',
      source: source.uri('shop', 'migrator', password),
      target: target.backend.uri('postgres', 'migrator', password),
      'client-path': client ?? '',
      'client-version': '15',
      'allow-missing': demoLosses,
      'upload-dump': 'false',
      ...more,
    })
  /** Roles come without passwords, and that is accepted, as the page says. */
  const withoutPasswords = {
    'role-passwords': 'false',
    'allow-missing': `${demoLosses}\nLOGIN *`,
  }
  /** The statements for this major; where they are to be repeated for each schema, they are. */
  const grants = () => {
    const [, ...all] = ordinary()
    const modern = all.filter((statement) => !statement.includes('SCHEMA public'))
    if (major >= 14) return modern
    const schemas = all
      .filter((statement) => statement.includes('SCHEMA public'))
      .map((statement) =>
        ['public', 'shop', 'audit']
          .map((schema) => replaced(statement, { 'SCHEMA public': `SCHEMA ${schema}` }))
          .join(';'),
      )
    return [...schemas, ...modern.filter((statement) => !statement.includes('pg_read_all_data'))]
  }
  const make = async (statements: string[]) => {
    for (const statement of [ordinary()[0] ?? '', ...statements])
      await source.sql(statement, 'shop')
  }
  /** Everything that a preflight says, in one text. */
  const told = ({ report }: CommandResult) =>
    report.checks
      .filter(({ status }) => status !== 'passed')
      .map(({ message, remedy, paste }) => [message, remedy, paste].join('\n'))
      .join('\n')
  const expectReady = (result: CommandResult) => {
    if (!isReady(result.report)) throw new Error(told(result))
  }

  async function expectMigrated({ report, error }: CommandResult): Promise<void> {
    expect({ error, differences: differencesOf(report), verified: report.verified }).toEqual({
      error: undefined,
      differences: [],
      verified: true,
    })
    expect(await everything(target.backend, 'shop')).toEqual(await everything(source, 'shop'))
  }

  test('a superuser of the source and an account of an ordinary target are enough, and can be dropped afterwards', async () => {
    await source.sql(superuser())
    await target.backend.sql(ofTarget())
    expectReady(await run('preflight'))
    await expectMigrated(await run('migrate'))
    await source.sql('DROP ROLE migrator')
    const [hand, ...rest] = statementsOf(fence('docs/tutorial.md', 'The week after', 0))
    for (const statement of [hand, ...rest.slice(0, -1)])
      await target.backend.sql(statement ?? '', 'shop')
    await target.backend.sql(rest.at(-1) ?? '')
  })

  test('an account without a superuser has what it takes with these grants and those that preflight prints', async () => {
    await make(grants())
    await target.backend.sql(ofTarget())
    const first = await run('preflight', withoutPasswords)
    const blocked = first.report.checks.filter(isBlocker)
    expect(blocked).toMatchObject([{ id: 'source-privileges' }])
    const paste = blocked[0]?.paste ?? ''
    expect(paste).toMatch(/^GRANT SELECT ON LARGE OBJECT [\d, ]+ TO "migrator";$/)
    await source.sql(paste, 'shop')
    expectReady(await run('preflight', withoutPasswords))
    await expectMigrated(await run('migrate', withoutPasswords))
  })

  test('of each grant that is left out, preflight tells', async () => {
    await target.backend.sql(ofTarget())
    const web = await source.connect('shop', { user: 'web', password: 'demo web' })
    try {
      const all = grants()
      expect(all.length).toBe(major >= 14 ? 3 : 5)
      for (const [index, statement] of all.entries()) {
        await make(all.toSpliced(index, 1))
        const said = told(await run('preflight', withoutPasswords))
        const [, wanted = ''] =
          [
            [/pg_read_all_data/, '13 tables or sequences'],
            [/USAGE ON SCHEMA/, 'GRANT USAGE ON SCHEMA'],
            [/ALL TABLES/, 'GRANT SELECT ON TABLE'],
            [/ALL SEQUENCES/, 'GRANT SELECT ON SEQUENCE'],
            [/BYPASSRLS/, 'ALTER ROLE "migrator" BYPASSRLS'],
            [/pg_monitor/, 'pg_read_all_stats'],
          ].find(([pattern]) => (pattern as RegExp).test(statement)) ?? []
        expect({ without: statement, said }).toEqual({
          without: statement,
          said: expect.stringContaining(String(wanted)),
        })
        await source.sql('DROP OWNED BY migrator', 'shop')
        await source.sql('DROP ROLE migrator')
      }
    } finally {
      await web.end()
    }
  })

  // what does not hang on the source's major is tried on one
  const onceOnly = major === 15 ? test : test.skip

  onceOnly('of what the account of the target lacks, preflight tells', async () => {
    await source.sql(superuser())
    await source.sql('CREATE ROLE newcomer') // the others may be there from a test before
    for (const option of ['CREATEDB', 'CREATEROLE']) {
      await target.backend.sql(replaced(ofTarget(), { [` ${option}`]: '' }))
      const result = await run('preflight')
      expect({ option, ready: isReady(result.report) }).toEqual({ option, ready: false })
      expect(told(result)).toMatch(option)
      await target.backend.sql('DROP ROLE migrator')
    }
    await source.sql('DROP ROLE newcomer')
    const [connect = '', schema = ''] = ofDatabase()
    await target.backend.sql('CREATE DATABASE shop')
    await target.backend.sql('REVOKE CONNECT ON DATABASE shop FROM PUBLIC')
    await target.backend.sql(ofTarget())
    for (const [left, wanted] of [
      [[schema], 'CONNECT'],
      [[connect.replace(', CREATE ON', ' ON'), schema], 'GRANT CREATE ON DATABASE'],
      [[connect], 'GRANT CREATE ON SCHEMA'],
    ] as const) {
      for (const statement of left) await target.backend.sql(statement, 'shop')
      const result = await run('preflight')
      expect({ left, ready: isReady(result.report) }).toEqual({ left, ready: false })
      expect(told(result)).toMatch(wanted)
      await target.backend.sql('DROP OWNED BY migrator', 'shop')
    }
    for (const statement of [connect, schema]) await target.backend.sql(statement, 'shop')
    const accepted = `${demoLosses}\nSETTING TimeZone\nOWNER DATABASE`
    const lines = told(await run('preflight'))
    for (const line of accepted.split('\n')) expect(lines).toContain(line)
    await target.backend.sql('GRANT CONNECT ON DATABASE shop TO PUBLIC')
    const { report } = await run('migrate', { 'allow-missing': accepted })
    const differences = differencesOf(report).map(({ object }) => object)
    expect(differences).toContain(
      'grants (gained: CONNECT to migrator), grants (gained: CREATE to migrator)',
    )
    for (const one of differences)
      expect(one).toMatch(/^(public: )?(grants \(gained: (CONNECT|CREATE) to migrator\)(, |$))+$/)
    expect(await everything(target.backend, 'shop')).toEqual(await everything(source, 'shop'))
  })

  onceOnly('a database that is given to the account arrives with all that it had', async () => {
    await source.sql(superuser())
    await target.backend.sql(ofTarget())
    await target.backend.sql('CREATE DATABASE shop')
    await target.backend.sql(ownDatabase())
    expectReady(await run('preflight'))
    await expectMigrated(await run('migrate'))
    const { rows } = await target.backend.sql(
      `SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = 'shop'`,
    )
    expect(rows).toEqual([{ owner: 'shop_owner' }])
  })
})
