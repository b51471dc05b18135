import { Failure } from '../../../failure.ts'
import { counted } from '../../../text/text.ts'
import { type ExistingDatabase, readExisting, standingOf } from '../../restore/database/prepare.ts'
import type { Answer, Check } from '../check.ts'
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

/** What a restore would find where it wants to go; by the rules that it goes by itself. */
const targetContent: Check = {
  id: 'target-content',
  severity: 'blocker',
  why: 'rows of two databases must not be mixed, and what is there already may be somebody’s',
  needs: ['source', 'target'],
  questions: { target: [existingDatabase, names] },
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
        ),
      )
    }
    const rows = target.rows(existingDatabase)
    const asked = new Set(rows.map(({ database }) => database))
    const closed = wanted.filter((name) => known.has(name) && !known.get(name) && !asked.has(name))
    if (closed.length > 0 && failures.length === 0)
      throw new NotAsked(`nobody may connect to ${closed.map((name) => `"${name}"`).join(', ')}`)
    const full: string[] = []
    for (const { database, ...found } of rows) {
      // what is built beside the old database finds nothing
      if (ifTargetNotEmpty === 'swap') break
      try {
        const options = { targetName: database, ifNotEmpty: ifTargetNotEmpty }
        if (standingOf(found, options, undefined) !== 'empty') full.push(`"${database}"`)
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        failures.push(error)
      }
    }
    const [first, ...others] = failures
    if (first && others.length === 0) throw first
    if (first) {
      const remedies = new Set(failures.map(({ remedy }) => remedy))
      throw new Failure(
        `${counted(failures.length, 'database')} of the target cannot be restored into`,
        failures.map(({ message, why }) => `${message}: ${why}`).join('; '),
        [...remedies].join('; '),
      )
    }
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

export const emptiness: readonly Check[] = [targetContent]
