import { Failure } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import { counted, firstTen, printable } from '../../text/text.ts'
import type { Context } from '../context.ts'
import type { Inputs } from '../inputs.ts'
import { check, type Source } from './preflight.ts'

/**
 * Looks for texts in the catalogs of SQL_ASCII databases that are no UTF-8. Such a database takes any bytes (PostgreSQL,
 * "Character Set Support"), in names, comments and definitions, too. They are dumped and restored as they are, but to compare
 * them they have to be read as text, which the server refuses. Known now it costs nothing. Changes nothing.
 *
 * @throws Failure that names the objects, unless `verify` leaves the catalogs out
 */
export async function checkTexts(
  source: Source,
  { verify }: Pick<Inputs, 'verify'>,
  context: Context,
): Promise<void> {
  if (verify !== 'data') return
  const found: string[] = []
  for (const { source: database } of source.databases) {
    const prefix = source.databases.length > 1 ? `${database}: ` : ''
    for (const text of await strangeTexts(source, database, context))
      found.push(printable(`${prefix}${text}`))
  }
  const isPassed = found.length === 0
  const message = isPassed
    ? 'every text in the catalogs can be read'
    : `${counted(found.length, 'text')} in the catalogs of an SQL_ASCII database can not be read as UTF-8`
  const remedy =
    'Write these texts in UTF-8 or ASCII on the source (COMMENT ON …, ALTER … RENAME, CREATE OR REPLACE FUNCTION), or set verify: counts, which compares no definitions'
  check(context, 'source-texts', 'blocker', isPassed, message, remedy, found)
  if (isPassed) return
  throw new Failure(
    'The definitions on the source cannot be compared; nothing was dumped',
    `${message}: ${firstTen(found)}`,
    remedy,
    { sqlstate: '22021' },
  )
}

/** What each text belongs to. Where the name itself is the text, it is shown with its bytes escaped. */
async function strangeTexts(
  { connection }: Source,
  database: string,
  context: Context,
): Promise<string[]> {
  const options = { role: 'source', readOnly: true, database, signal: context.signal } as const
  return await withConnection(connection, options, async (client) => {
    const { rows: known } = await client.query<{ server_encoding: string }>('SHOW server_encoding')
    if (known[0]?.server_encoding !== 'SQL_ASCII') return []
    const bytes = (text: string) =>
      `pg_catalog.encode(pg_catalog.convert_to(${text}, 'SQL_ASCII'), 'escape')`
    const { rows } = await client.query<{ what: string; text: string }>(`
      SELECT what, text FROM (
        SELECT 'the comment on ' || d.objoid::pg_catalog.text || ' in '
               || d.classoid::pg_catalog.regclass::pg_catalog.text AS what, ${bytes('d.description')} AS text
          FROM pg_catalog.pg_description d
        UNION ALL
        SELECT 'the body of a function ' || ${bytes('p.proname::pg_catalog.text')}, ${bytes('p.prosrc')}
          FROM pg_catalog.pg_proc p WHERE p.oid >= 16384
        UNION ALL
        SELECT 'the name of a relation', ${bytes('c.relname::pg_catalog.text')}
          FROM pg_catalog.pg_class c WHERE c.oid >= 16384
        UNION ALL
        SELECT 'the name of a column of ' || ${bytes('c.relname::pg_catalog.text')}, ${bytes('a.attname::pg_catalog.text')}
          FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE c.oid >= 16384
      ) t WHERE pg_catalog.strpos(text, '\\') > 0 ORDER BY 1, 2`)
    return rows
      .filter(({ text }) => !isUtf8(text))
      .map(({ what, text }) => `${what} (${shown(text)})`)
  })
}

/** Whether a text in PostgreSQL's escape format of bytes holds UTF-8 (PostgreSQL, "bytea Escape Format"). */
function isUtf8(escaped: string): boolean {
  const bytes = escaped.replace(/\\(?:\\|(\d{3}))/g, (_, octal: string | undefined) =>
    octal === undefined ? '\\' : String.fromCharCode(Number.parseInt(octal, 8)),
  )
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(bytes, 'latin1'))
    return true
  } catch {
    return false
  }
}

function shown(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
