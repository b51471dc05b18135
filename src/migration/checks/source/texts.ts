import { counted, printable } from '../../../text/text.ts'
import type { Answer, Check } from '../check.ts'
import { objectsOf } from '../paste.ts'
import type { Question } from '../question.ts'

const bytes = (text: string) =>
  `pg_catalog.encode(pg_catalog.convert_to(${text}, 'SQL_ASCII'), 'escape')`

/** Texts with bytes beyond ASCII, and what each belongs to. Where the name itself is the text, its bytes are shown escaped. */
const strangeTexts: Question<{ what: string; text: string }> = {
  id: 'texts-without-encoding',
  scope: 'database',
  sql: () => `
    SELECT t.what, t.text FROM (
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
    ) t WHERE pg_catalog.current_setting('server_encoding') = 'SQL_ASCII' AND pg_catalog.strpos(t.text, '\\') > 0 ORDER BY 1, 2`,
}

/**
 * Looks for texts in the catalogs of SQL_ASCII databases that are no UTF-8. Such a database takes any bytes (PostgreSQL,
 * "Character Set Support"), in names, comments and definitions, too. They are dumped and restored as they are, but to compare
 * them they have to be read as text, which the server refuses.
 */
export const sourceTexts: Check = {
  id: 'source-texts',
  severity: 'blocker',
  why: 'a definition in bytes that are no text cannot be read, and so not compared',
  needs: ['source'],
  questions: { source: [strangeTexts] },
  judge({ inputs, source }): Answer {
    const strange = source.rows(strangeTexts).filter(({ text }) => !isUtf8(text))
    if (strange.length === 0)
      return { status: 'passed', message: 'every text in the catalogs can be read' }
    const message = `${counted(strange.length, 'text')} in the catalogs of an SQL_ASCII database can not be read as UTF-8`
    if (inputs.verify !== 'data')
      return { status: 'passed', message: `${message}, and definitions are not compared` }
    return {
      status: 'failed',
      message,
      objects: objectsOf(strange, ({ what, text }) => printable(`${what} (${shown(text)})`)),
      remedy:
        'Write these texts in UTF-8 or ASCII on the source (COMMENT ON …, ALTER … RENAME, CREATE OR REPLACE FUNCTION), or set verify: counts, which compares no definitions',
    }
  },
}

export const texts: readonly Check[] = [sourceTexts]

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
