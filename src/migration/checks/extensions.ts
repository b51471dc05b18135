import type pg from 'pg'
import { counted } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import { allowMissing } from '../restore/plan/allow-missing.ts'
import type { Answer, Check } from './check.ts'
import { objectsOf, pastedName, statementsFor } from './paste.ts'
import { NotAsked, type Question } from './question.ts'

/** What extensions need beyond being on the target, which the plan of the restore looks after. */

interface Extension {
  name: string
}

export const extensions: Question<Extension> = {
  id: 'extensions',
  scope: 'database',
  sql: ({ number }) =>
    number < 90_100 ? undefined : 'SELECT extname AS name FROM pg_catalog.pg_extension ORDER BY 1',
}

/**
 * Extensions that a server must have loaded at its start (shared_preload_libraries) by the name of their library.
 * `stock`: what PostgreSQL does otherwise; PolarDB creates none of them then (Alibaba Cloud, "Supported extensions" of PolarDB
 * for PostgreSQL).
 */
const preloaded: Readonly<Record<string, { library: string; stock: 'refuses' | 'idle' | 'fine' }>> =
  {
    pg_cron: { library: 'pg_cron', stock: 'refuses' },
    timescaledb: { library: 'timescaledb', stock: 'refuses' },
    citus: { library: 'citus', stock: 'refuses' },
    pg_stat_statements: { library: 'pg_stat_statements', stock: 'idle' },
    pgaudit: { library: 'pgaudit', stock: 'refuses' },
    pg_hint_plan: { library: 'pg_hint_plan', stock: 'idle' },
    pg_bigm: { library: 'pg_bigm', stock: 'fine' },
    pg_prewarm: { library: 'pg_prewarm', stock: 'fine' },
    zhparser: { library: 'zhparser', stock: 'fine' },
    pldbgapi: { library: 'plugin_debugger', stock: 'fine' },
    pg_jieba: { library: 'pg_jieba', stock: 'fine' },
  }

/** The name of a library without the quotes, the directory (`$libdir/` on PolarDB) and the ending that it may be written with. */
const libraryName = (written: string) =>
  written
    .trim()
    .replace(/^"(.*)"$/, '$1')
    .replace(/^.*\//, '')
    .replace(/\.so$/, '')

export const targetLibraries: Question<{ libraries: string }> = {
  id: 'preloaded-libraries',
  scope: 'server',
  sql: () => `SELECT pg_catalog.current_setting('shared_preload_libraries') AS libraries`,
}

export const targetExtensions: Question<Extension> = {
  id: 'available-extensions',
  scope: 'server',
  sql: () => 'SELECT name FROM pg_catalog.pg_available_extensions',
}

export const extensionLibraries: Check = {
  id: 'target-extension-libraries',
  severity: 'warning',
  why: 'some extensions work, or can be created, only where the server has loaded their library at its start',
  needs: ['source', 'target'],
  questions: { source: [extensions], target: [targetLibraries, targetExtensions] },
  judge({ source, target, inputs }): Answer {
    const accepted = allowMissing(inputs.allowMissing)
    const there = new Set(target.rows(targetExtensions).map(({ name }) => name))
    const known = source
      .rows(extensions)
      .filter(({ name }) => there.has(name) && !accepted(`EXTENSION ${name}`))
      .flatMap((row) => {
        const need = preloaded[row.name]
        return need && (target.polardb !== null || need.stock !== 'fine')
          ? [{ ...row, ...need }]
          : []
      })
    if (known.length === 0)
      return {
        status: 'passed',
        message: 'no extension needs a library at the start of the target',
      }
    // only now: not every account may read the setting
    const loaded = new Set(target.row(targetLibraries).libraries.split(',').map(libraryName))
    const missing = known.filter(({ library }) => !loaded.has(library))
    if (missing.length === 0)
      return { status: 'passed', message: 'the target has loaded what the extensions need' }
    const refused = missing.filter(({ stock }) => target.polardb !== null || stock === 'refuses')
    const libraries = [...new Set(missing.map(({ library }) => library))].join(', ')
    return {
      status: 'failed',
      severity: refused.length > 0 ? 'blocker' : 'warning',
      message:
        refused.length > 0
          ? `The target has not loaded at its start what ${counted(refused.length, 'extension')} cannot be created without`
          : `The target has not loaded at its start what ${counted(missing.length, 'extension')} cannot work without`,
      objects: objectsOf(missing, ({ name }) => pastedName(name)),
      remedy: `Add ${libraries} to shared_preload_libraries in the parameters of the cluster, days before, since that restarts it; or accept the loss in allow-missing (EXTENSION ${missing[0]?.name ?? ''})`,
    }
  },
}

interface Managed {
  extension: string
  table: string
}

/** Where an extension keeps its list of tables that it looks after: a table of its own, in whose script it is. */
const registers: Readonly<Record<string, { table: [string, string]; sql: string }>> = {
  timescaledb: {
    table: ['_timescaledb_catalog', 'hypertable'],
    sql: `SELECT schema_name || '.' || table_name AS name FROM _timescaledb_catalog.hypertable WHERE schema_name !~ '^_timescaledb' ORDER BY 1`,
  },
  citus: {
    table: ['pg_catalog', 'pg_dist_partition'],
    sql: 'SELECT logicalrelid::pg_catalog.text AS name FROM pg_catalog.pg_dist_partition ORDER BY 1',
  },
}

export const managedTables: Question<Managed> = {
  id: 'tables-of-special-extensions',
  scope: 'database',
  async read(client, { number }) {
    if (number < 90_100) return []
    const found: Managed[] = []
    for (const [extension, { table, sql }] of Object.entries(registers)) {
      if (!(await hasTable(client, extension, table))) continue
      const { rows } = await client.query<{ name: string }>(sql)
      for (const { name } of rows) found.push({ extension, table: name })
    }
    return found
  },
}

/** Whether an extension has a table, and it is really its own. */
async function hasTable(
  client: pg.Client,
  extension: string,
  [schema, name]: [string, string],
): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT 1 FROM pg_catalog.pg_extension e
       JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
        AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e'
       JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'r' AND c.relname = $3
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $2
      WHERE e.extname = $1`,
    [extension, schema, name],
  )
  return rowCount !== 0
}

export const specialExtensions: Check = {
  id: 'source-managed-tables',
  severity: 'blocker',
  why: 'TimescaleDB wants calls before and after a restore, and Citus its tables distributed anew, which no dump does',
  needs: ['source'],
  questions: { source: [managedTables] },
  judge({ source }): Answer {
    const rows = source.rows(managedTables)
    if (rows.length === 0)
      return { status: 'passed', message: 'no extension keeps tables in a way of its own' }
    const names = [...new Set(rows.map(({ extension }) => extension))]
    return {
      status: 'failed',
      message: `${counted(rows.length, 'table')} of ${names.join(' and ')} cannot be migrated by a dump alone`,
      objects: objectsOf(rows, ({ table }) => printable(table)),
      remedy:
        'Turn them into ordinary tables on the source (partitioned ones for hypertables; undistribute_table for those of Citus), or migrate this database in the way that the documentation of the extension describes',
    }
  },
}

interface Addition {
  extension: string
  kind: string
  object: string
}

/**
 * Objects that were there before they became members of their extension: somebody ran ALTER EXTENSION … ADD. A dump holds no
 * member of an extension, and the extension on the target brings only its own (PostgreSQL, "Packaging Related Objects into an
 * Extension"). What tells is the row by which the object depends on its schema, which is older then. After pg_upgrade all members
 * look so: such an extension says nothing.
 */
export const additions: Question<Addition> = {
  id: 'extension-additions',
  scope: 'database',
  sql: ({ number }) =>
    number < 90_300
      ? undefined
      : `
    SELECT extension, (o).type AS kind, (o).identity AS object
      FROM (SELECT e.extname AS extension, pg_catalog.pg_identify_object(m.classid, m.objid, 0) AS o, m.added,
                   pg_catalog.bool_and(m.added) OVER (PARTITION BY e.oid) AS every
              FROM pg_catalog.pg_extension e
              JOIN (SELECT d.refobjid, d.classid, d.objid,
                           pg_catalog.bool_or(COALESCE(pg_catalog.age(s.xmin) > pg_catalog.age(d.xmin), false)) AS added
                      FROM pg_catalog.pg_depend d
                      LEFT JOIN pg_catalog.pg_depend s
                        ON s.classid = d.classid AND s.objid = d.objid AND s.objsubid = 0 AND s.deptype = 'n'
                       AND s.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
                     WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e' AND d.objsubid = 0
                     GROUP BY 1, 2, 3) m ON m.refobjid = e.oid) t
     WHERE t.added AND NOT t.every ORDER BY 1, 2, 3`,
}

export const addedMembers: Check = {
  id: 'source-extension-members',
  severity: 'warning',
  why: 'an object that was added to an extension by hand is in no dump, and the extension on the target does not bring it',
  needs: ['source'],
  questions: { source: [additions] },
  judge({ source }): Answer {
    const rows = source.rows(additions)
    if (rows.length === 0)
      return { status: 'passed', message: 'extensions hold nothing that was added by hand' }
    return {
      status: 'failed',
      message: `${counted(rows.length, 'object')} ${rows.length === 1 ? 'was' : 'were'} added to an extension by hand: no dump has ${rows.length === 1 ? 'it' : 'them'}`,
      objects: objectsOf(rows, ({ kind, object }) => `${kind} ${printable(object)}`),
      remedy: 'Take them out of the extension, so that they are dumped as your own',
      paste: statementsFor(
        rows,
        ({ extension, kind, object }) =>
          `ALTER EXTENSION ${pastedName(extension)} DROP ${kind.toUpperCase()} ${printable(object)};`,
      ),
    }
  },
}

interface Job {
  job: string
  schedule: string
  of: string
}

/** Never the command, which may hold anything. */
export const cronJobs: Question<Job> = {
  id: 'cron-jobs',
  scope: 'database',
  async read(client, { number }) {
    if (number < 90_500 || !(await hasTable(client, 'pg_cron', ['cron', 'job']))) return []
    // before 1.2 every job is active
    const { rows: columns } = await client.query<{ name: string }>(
      `SELECT attname AS name FROM pg_catalog.pg_attribute
        WHERE attrelid = 'cron.job'::pg_catalog.regclass AND attnum > 0 AND NOT attisdropped`,
    )
    const names = new Set(columns.map(({ name }) => name))
    if (!['jobid', 'schedule', 'database'].every((name) => names.has(name)))
      throw new NotAsked('cron.job of this version of pg_cron is not known')
    const { rows } = await client.query<Job>(
      `SELECT jobid::pg_catalog.text AS job, schedule, database AS of FROM cron.job ${names.has('active') ? 'WHERE active' : ''} ORDER BY jobid`,
    )
    return rows
  },
}

export const scheduledJobs: Check = {
  id: 'source-cron-jobs',
  severity: 'info',
  why: 'jobs of pg_cron run by themselves: on both sides from the restore on, if they came along',
  needs: ['source'],
  questions: { source: [cronJobs] },
  judge({ source }): Answer {
    const rows = source.rows(cronJobs)
    if (rows.length === 0) return { status: 'passed', message: 'pg_cron has no active jobs' }
    return {
      status: 'failed',
      message: `${counted(rows.length, 'job')} of pg_cron ${rows.length === 1 ? 'is' : 'are'} active: they are left out, so that they do not run on both sides`,
      objects: objectsOf(
        rows,
        ({ job, schedule, of }) => `job ${job}, ${printable(schedule)}, in ${pastedName(of)}`,
      ),
      remedy:
        'Accept it in allow-missing (TABLE DATA cron.job); the report of the migration has the query that writes the lines for the cutover. Stop them on the source then',
    }
  },
}

export const extensionChecks: readonly Check[] = [
  ...[specialExtensions, addedMembers, scheduledJobs, extensionLibraries],
]
