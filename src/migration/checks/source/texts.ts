import type pg from 'pg'
import { counted } from '../../../text/numbers.ts'
import { printable } from '../../../text/text.ts'
import type { Answer, Check } from '../check.ts'
import { objectsOf } from '../paste.ts'
import type { Question } from '../question.ts'
import {
  type CatalogText,
  strangeTexts,
  textsOfDatabase,
  textsOfRoles,
  textsOnDatabase,
  type Unchecked,
} from './catalog-texts.ts'

/** @returns undefined in a database of another encoding */
async function uncheckedEncoding(client: pg.Client): Promise<Unchecked | undefined> {
  const { rows } = await client.query<{ encoding: string }>(
    `SELECT pg_catalog.current_setting('server_encoding') AS encoding`,
  )
  const encoding = rows[0]?.encoding
  return encoding === 'SQL_ASCII' || encoding === 'UTF8' ? encoding : undefined
}

/**
 * Texts of a database with bytes beyond ASCII. Its own catalogs hold only text of its encoding, unless that is SQL_ASCII; those
 * that all databases share hold what each has written in its own (PostgreSQL, "Character Set Support").
 */
const databaseTexts: Question<CatalogText> = {
  id: 'texts-without-encoding',
  scope: 'database',
  read: async (client, { number }) => {
    const encoding = await uncheckedEncoding(client)
    if (encoding === undefined) return []
    const own = encoding === 'SQL_ASCII' ? textsOfDatabase(number) : []
    const parts = [...textsOnDatabase(number), ...own]
    return (await client.query<CatalogText>(strangeTexts(parts, encoding))).rows
  },
}

const roleTexts: Question<CatalogText> = {
  id: 'roles-without-encoding',
  scope: 'server',
  read: async (client, { number }) => {
    const encoding = await uncheckedEncoding(client)
    if (encoding === undefined) return []
    return (await client.query<CatalogText>(strangeTexts(textsOfRoles(number), encoding))).rows
  },
}

/**
 * Looks for texts in the catalogs that are no UTF-8. A database in SQL_ASCII takes any bytes, in names, comments and definitions,
 * too. The client programs would dump and restore them as they are, but what is migrated is found and compared by its name and its
 * definition, and these are read as text, which the server refuses.
 */
export const sourceTexts: Check = {
  id: 'source-texts',
  severity: 'blocker',
  why: 'what is named or defined in bytes that are no text can be neither found by its name nor compared',
  needs: ['source'],
  questions: { source: [databaseTexts, roleTexts] },
  judge({ inputs, source }): Answer {
    const found = [
      ...source.rows(databaseTexts),
      ...(inputs.roles === 'skip' ? [] : source.rows(roleTexts)),
    ].filter(({ text }) => !isUtf8(text))
    const names = found.filter(({ kind }) => kind.endsWith('name'))
    // a definition that only names what is to be renamed anyhow is mended with it
    const mended = (text: string) =>
      isUtf8(names.reduce((rest, name) => rest.replaceAll(name.text, ''), text))
    const all = found.filter(({ kind, text }) => kind !== 'definition' || !mended(text))
    const isCompared = inputs.verify === 'data'
    const strange = all.filter(({ kind }) => isCompared || kind.startsWith('always'))
    const passed = all.length - strange.length
    const more =
      passed > 0 ? `${counted(passed, 'text')} in definitions, which are not compared, cannot` : ''
    if (strange.length === 0) {
      return { status: 'passed', message: more || 'every text in the catalogs can be read' }
    }
    const needless = isCompared && all.some(({ kind }) => !kind.startsWith('always'))
    return {
      status: 'failed',
      message: `${counted(strange.length, 'text')} in the catalogs cannot be read as UTF-8`,
      objects: objectsOf(strange, ({ what, text }) => printable(`${what} (${shown(text)})`)),
      remedy: `Write these texts in UTF-8 or ASCII on the source (ALTER … RENAME, COMMENT ON …, CREATE OR REPLACE …); docs/checks.md shows how${
        needless
          ? '. With verify: counts, which compares no definitions, only names of roles, schemas and relations, and what belongs to roles and the database itself, must be readable'
          : ''
      }`,
    }
  },
}

export const texts: readonly Check[] = [sourceTexts]

/** Whether a text in PostgreSQL's escape format of bytes holds UTF-8. */
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

/** As much of a text as a list shows: from a little before its first strange byte. */
function shown(text: string): string {
  if (text.length <= 60) return text
  const from = Math.max(0, text.search(/\\[2-3]/) - 30)
  return `${from > 0 ? '…' : ''}${text.slice(from, from + 60)}…`
}
