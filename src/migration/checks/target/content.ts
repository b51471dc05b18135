import { Failure } from '../../../failure.ts'
import { counted } from '../../../text/numbers.ts'
import {
  type PreparedTransaction,
  preparedTransactions,
  refusedForPrepared,
} from '../../restore/database/in-use.ts'
import {
  type ExistingDatabase,
  obstaclesIn,
  readExisting,
  standingOf,
} from '../../restore/database/standing.ts'
import type { Answer, Check } from '../check.ts'
import { pastedName } from '../paste.ts'
import { NotAsked, type Question } from '../question.ts'

export const existingDatabase: Question<ExistingDatabase> = {
  id: 'target-content',
  scope: 'database',
  read: async (client) => [await readExisting(client)],
}

/** The names of the databases on the server: what of them cannot be connected to is no answer of theirs. */
const names: Question<{ name: string; invalid: boolean }> = {
  id: 'target-database-names',
  scope: 'server',
  sql: () => `SELECT datname AS name, datconnlimit = -2 AS invalid FROM pg_catalog.pg_database`,
}

const prepared: Question<PreparedTransaction> = {
  id: 'target-prepared-transactions',
  scope: 'server',
  sql: () => preparedTransactions,
}

/** What a restore would find where it wants to go; by the rules that it goes by itself. */
const targetContent: Check = {
  id: 'target-content',
  severity: 'blocker',
  why: 'rows of two databases must not be mixed, and what is there already may be somebody’s',
  needs: ['source', 'target'],
  questions: { target: [existingDatabase, names, prepared] },
  judge({ source, target, inputs }): Answer {
    const known = new Map(target.rows(names).map(({ name, invalid }) => [name, invalid]))
    const wanted = source.databases.map((database) => database.target)
    const missing = wanted.filter((name) => !known.has(name))
    const failures: Failure[] = []
    if (missing.length > 0 && !inputs.createDatabase) {
      failures.push(
        new Failure(
          `The target lacks ${missing.map((name) => `"${name}"`).join(', ')}`,
          'create-database is false',
          'Create what is missing, or set create-database to true',
          { paste: 'create-database: true' },
        ),
      )
    }
    const { ifTargetNotEmpty } = inputs
    const invalid = wanted.filter((name) => known.get(name))
    if (invalid.length > 0 && ifTargetNotEmpty !== 'replace') {
      failures.push(
        new Failure(
          `The target has ${invalid.map((name) => `"${name}"`).join(', ')}, which nobody can connect to any more`,
          'A DROP DATABASE was interrupted there',
          'Drop it with DROP DATABASE, or set if-target-not-empty to replace, which does the same',
          { paste: invalid.map((name) => `DROP DATABASE ${pastedName(name)};`).join('\n') },
        ),
      )
    }
    const rows = target.rows(existingDatabase)
    const asked = new Set(rows.map(({ database }) => database))
    const closed = wanted.filter((name) => known.has(name) && !known.get(name) && !asked.has(name))
    if (closed.length > 0 && failures.length === 0)
      throw new NotAsked(`nobody may connect to ${closed.map((name) => `"${name}"`).join(', ')}`)
    const full: string[] = []
    // what is built beside the old database finds nothing
    for (const { database, ...found } of rows) {
      if (ifTargetNotEmpty === 'swap') break
      const options = { targetName: database, ifNotEmpty: ifTargetNotEmpty }
      const obstacles = obstaclesIn(found, options, undefined)
      failures.push(...obstacles)
      if (obstacles.length === 0 && standingOf(found, options, undefined) !== 'empty')
        full.push(`"${database}"`)
    }
    // what is emptied in place is not dropped, and what is exchanged is looked at by itself
    if (ifTargetNotEmpty === 'replace')
      failures.push(
        ...wanted.flatMap((name) => refusedForPrepared(name, target.rows(prepared)) ?? []),
      )
    if (failures.length > 0) throw together(failures)
    const what =
      ifTargetNotEmpty === 'replace' ? 'replace drops what they hold' : 'a resume goes on'
    return {
      status: 'passed',
      message:
        full.length === 0
          ? 'the databases are empty, or are made'
          : `${full.join(', ')} ${full.length === 1 ? 'is' : 'are'} not empty; ${what}`,
    }
  },
}

/** Several failures as one, with what of their lines can be pasted in one place: SQL goes before what the workflow says. */
function together(failures: readonly Failure[]): Failure {
  const [first, ...others] = failures
  if (first && others.length === 0) return first
  const all = (of: (failure: Failure) => string) => [...new Set(failures.map(of))].join('; ')
  const pastes = [...new Set(failures.flatMap(({ paste }) => paste ?? []))]
  const sql = pastes.filter((paste) => paste.endsWith(';'))
  return new Failure(
    `${counted(failures.length, 'obstacle')} to a restore into the databases of the target`,
    all(({ message, why }) => `${message}: ${why}`),
    all(({ remedy }) => remedy),
    { paste: (sql.length > 0 ? sql : pastes).join('\n') || undefined },
  )
}

export const emptiness: readonly Check[] = [targetContent]
