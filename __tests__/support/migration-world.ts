import { expect } from '@jest/globals'
import { quoteIdentifier } from '../../src/postgres/identifiers.ts'
import { Repository, type Workflow, type WorkflowResult } from './act.ts'
import { readEverything, smallShop, withoutPassword } from './migration.ts'
import { PolarStandIn } from './polardb-standin.ts'
import { ResultsServer } from './results-server.ts'
import { TestServer } from './server.ts'

/**
 * A source with the databases `shop` and `ledger`, a target, GitHub's service of artifacts, and a repository whose workflows act runs:
 * where an example is at home.
 */
export class MigrationWorld {
  readonly repository: Repository
  private runs = 0
  /** The databases that both have from the start. */
  private kept: string[][] = []
  /** The roles that the target has from the start. */
  private keptRoles: string[] = []
  readonly source: TestServer
  readonly target: PolarStandIn
  readonly results: ResultsServer

  private constructor(
    act: string,
    source: TestServer,
    target: PolarStandIn,
    results: ResultsServer,
  ) {
    this.repository = new Repository(act)
    this.source = source
    this.target = target
    this.results = results
  }

  /** @param act its program @param options the source's: `tls` for connections as the pages have them */
  static async start(act: string, { tls = false } = {}): Promise<MigrationWorld> {
    const [source, target, results] = await Promise.all([
      TestServer.start(15, { tls }),
      PolarStandIn.start({ major: 15 }),
      ResultsServer.start(),
    ])
    const world = new MigrationWorld(act, source, target, results)
    for (const name of ['shop', 'ledger']) await source.sql(`CREATE DATABASE ${name}`)
    await source.sql(smallShop(), 'shop')
    await source.sql('CREATE TABLE entry AS SELECT generate_series(1, 500) AS n', 'ledger')
    await source.sql(`CREATE ROLE teller LOGIN PASSWORD 'teller''s own'`)
    world.kept = await Promise.all([source, target.backend].map(databases))
    world.keptRoles = await roles(target.backend)
    return world
  }

  /** Drops every database and every role of the target that was made since the start, so that no test needs another before it. */
  async reset(): Promise<void> {
    for (const [index, server] of [this.source, this.target.backend].entries())
      for (const name of await databases(server))
        if (!this.kept[index]?.includes(name))
          await server.sql(`DROP DATABASE ${quoteIdentifier(name)} WITH (FORCE)`)
    const { backend } = this.target
    for (const name of await roles(backend))
      if (!this.keptRoles.includes(name)) {
        // one by one: as a single query they would be one transaction
        for (const verb of ['DROP OWNED BY', 'DROP ROLE'])
          await backend.sql(`${verb} ${quoteIdentifier(name)}`)
      }
  }

  async stop(): Promise<void> {
    await Promise.all([this.source.stop(), this.target.stop(), this.results.stop()])
    await this.repository.cleanUp()
  }

  /** Both servers as an example's inputs name them. */
  servers(): { source: string; target: string } {
    return {
      source: withoutPassword(this.source.uri('shop')),
      target: withoutPassword(this.target.uri('postgres')),
    }
  }

  secrets(): Record<string, string> {
    return {
      SOURCE_PASSWORD: this.source.password,
      TARGET_PASSWORD: this.target.password,
      DUMP_PASSPHRASE: 'correct horse battery staple',
      GITHUB_TOKEN: 'ghs_nothing',
    }
  }

  /** The variables of a run; artifacts belong to a run, so each has a number of its own. */
  environment(): Record<string, string> {
    return this.results.environment(String(++this.runs))
  }

  /** Runs an example with the secrets that it names. */
  run(file: string, workflow: Workflow = {}): Promise<WorkflowResult> {
    return this.repository.run(file, {
      ...workflow,
      secrets: { ...this.secrets(), ...workflow.secrets },
      env: { ...this.environment(), ...workflow.env },
    })
  }

  /** Holds a database of the target against the source's, row by row, and trusts no report for it. */
  async expectArrived(database: string, as = database): Promise<void> {
    const [there, here] = await Promise.all([
      everything(this.target.backend, as),
      everything(this.source, database),
    ])
    expect(there).toEqual(here)
  }
}

/** Everything in a database. */
export async function everything(server: TestServer, database: string) {
  const client = await server.connect(database)
  try {
    return await readEverything(client)
  } finally {
    await client.end()
  }
}

async function databases(server: TestServer): Promise<string[]> {
  const { rows } = await server.sql('SELECT datname FROM pg_database ORDER BY 1')
  return rows.map(({ datname }) => String(datname))
}

async function roles(server: TestServer): Promise<string[]> {
  const { rows } = await server.sql('SELECT rolname FROM pg_roles ORDER BY 1')
  return rows.map(({ rolname }) => String(rolname))
}
