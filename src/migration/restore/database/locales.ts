import type pg from 'pg'
import { messageOf } from '../../../failure.ts'
import type { Archive } from '../../../postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { maskStatement } from '../../../postgres/archive/statement.ts'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { quoteLiteral } from '../../../postgres/identifiers.ts'
import { refuses } from '../../../postgres/sqlstates.ts'
import { together } from '../../../postgres/together.ts'
import { rolledBack } from '../../../postgres/tried.ts'

/**
 * Which collations of the archives the target cannot make, since its system lacks the locale or its build the provider: each is
 * made as a temporary one, in a transaction that is rolled back.
 *
 * @param encoding of the database that they are for: a session in a database of another one is not asked
 * @returns the server's words, by dump id
 */
export async function refusedCollations(
  client: pg.Client,
  archives: readonly Archive[],
  encoding: string,
): Promise<Map<ArchiveEntry, string>> {
  const wanted = archives.flatMap(({ entries, standardStrings }) =>
    entries
      .filter(({ desc }) => desc === 'COLLATION')
      .flatMap((entry) => {
        const options = optionsOf(entry.definition, standardStrings)
        return options === undefined ? [] : [[entry, options] as const]
      }),
  )
  return await tryEach(client, wanted, encoding)
}

/**
 * Whether the target's system has one of the locales, the settings of LC_COLLATE and LC_CTYPE each.
 *
 * @returns what it says of the first, where it has none; undefined where it has one, or cannot be asked
 */
export async function refusedLocales(
  client: pg.Client,
  locales: readonly { collate: string; ctype: string }[],
  encoding: string,
): Promise<string | undefined> {
  const wanted = locales.map((locale) => {
    const { collate, ctype } = locale
    const options = `LC_COLLATE = ${quoteLiteral(collate)}, LC_CTYPE = ${quoteLiteral(ctype)}`
    return [locale, options] as const
  })
  const refused = await tryEach(client, wanted, encoding)
  return refused.size === locales.length ? [...refused.values()][0] : undefined
}

async function tryEach<T>(
  client: pg.Client,
  wanted: readonly (readonly [T, string])[],
  encoding: string,
): Promise<Map<T, string>> {
  const refused = new Map<T, string>()
  if (wanted.length === 0) return refused
  const { rows } = await client.query<{ encoding: string }>(
    'SELECT pg_catalog.getdatabaseencoding() AS encoding',
  )
  if (rows[0]?.encoding !== encoding) return refused
  await rolledBack(client, () =>
    together(
      client,
      wanted.flatMap(([item, options]) => [
        () => client.query('SAVEPOINT trial'),
        async () => {
          try {
            await client.query(`CREATE COLLATION pg_temp.migration_trial (${options})`)
          } catch (error) {
            const sqlstate = sqlstateOf(error)
            if (sqlstate === undefined) throw error
            // anything else says nothing of them
            if (refuses(sqlstate, 'collation')) refused.set(item, messageOf(error))
          }
        },
        () => client.query('ROLLBACK TO SAVEPOINT trial'),
      ]),
    ),
  )
  return refused
}

/** The options of CREATE COLLATION that decide whether a server can make it, put together anew from known ones. */
function optionsOf(definition: string, standardStrings: boolean): string | undefined {
  const masked = maskStatement(definition, standardStrings)
  const options: string[] = []
  for (const found of masked.matchAll(
    /\b(provider|locale|lc_collate|lc_ctype|deterministic|rules)\s*=\s*(?:([a-z]+)|'( *)')/gi,
  )) {
    const [all, name = '', word, string] = found
    const end = found.index + all.length - 1
    const text = definition.slice(end - (string?.length ?? 0), end).replaceAll("''", "'")
    options.push(`${name} = ${word ?? quoteLiteral(text)}`)
  }
  return options.length === 0 ? undefined : options.join(', ')
}
