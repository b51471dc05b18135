import { createHash } from 'node:crypto'

/** Removed where a query is compared: `schema.` and `table.` before a name. */
const qualifier = /(?:"(?:[^"]|"")*"|[\p{L}_][\p{L}\p{N}_$]*)\s*\.\s*(?=["\p{L}_])/u
const literal = /[EeBbXx]?'(?:[^']|'')*'/u

/** Facets whose text the server prints from a parse tree, so that another major may print another text. */
const printed =
  /^(query|rule definition|definition|using|with check|SQL body|argument defaults|constraints|partition bound|partition key|(default|generation) of .*)$/s

/**
 * What a fingerprint keeps of a text: 64 bits, and of what a server prints from a parse tree 32 bits more, of the
 * names, values and operators in it (see `sameInOtherWords`).
 *
 * @param facet what the text is
 */
export function hashOf(facet: string, text: string): string {
  const form = canonical(facet, text)
  const exact = sha256(form).slice(0, 16)
  return printed.test(facet) ? `${exact}~${sha256(ingredients(form)).slice(0, 8)}` : exact
}

/** Whether two hashes are of the same text. */
export function sameText(a: string | undefined, b: string | undefined): boolean {
  return a === b || (!!a && !!b && !/^=/.test(a + b) && a.split('~')[0] === b.split('~')[0])
}

/** Whether two hashes are of texts that differ, but only in how they put the same names, values and operators. */
export function sameInOtherWords(a: string, b: string): boolean {
  const [, first] = a.split('~')
  const [, second] = b.split('~')
  return first !== undefined && first === second
}

/**
 * A definition in a form that all majors share: what only the way of printing changes is taken out. Applied to both
 * sides, so it can hide no more than the difference of two definitions that read the same in this form.
 */
export function canonical(facet: string, text: string): string {
  switch (facet) {
    // before 11 EXECUTE PROCEDURE
    case 'definition':
      return text.replace(/ EXECUTE PROCEDURE /, ' EXECUTE FUNCTION ')
    // before 16 a view of one table names it before every column; the tables are listed behind the text
    case 'query':
    case 'rule definition':
      return withoutQualifiers(text)
    default:
      return text
  }
}

/** Drops qualifiers outside of string literals, and what blanks and line breaks are about. */
function withoutQualifiers(text: string): string {
  const token = new RegExp(
    `(?<literal>${literal.source})|(?<qualifier>${qualifier.source})|(?<blank>\\s+)|.`,
    'gsu',
  )
  return text.replace(token, (found, ...rest) => {
    const groups = rest.at(-1) as Record<string, string | undefined>
    if (groups.qualifier !== undefined) return ''
    return groups.blank === undefined ? found : ' '
  })
}

/** Words that only one of two spellings has: EXTRACT(year FROM x) is date_part('year', x) before 14. */
const spelling = new Map([
  ['extract', 'date_part'],
  ['trim', 'btrim'],
  ...['timezone', 'at', 'time', 'zone', 'from', 'for', 'in', 'both'].map(
    (word) => [word, ''] as const,
  ),
])

/** The names, values and operators of an expression, in any order: no casts, no parentheses, no qualifiers. */
function ingredients(text: string): string {
  const cast =
    /::\s*(?:"(?:[^"]|"")*"|[\w.]+)(?: (?:varying|precision|with(?:out)? time zone))?(?:\([\d,]*\))?(?:\[\])*/gu
  const words = withoutQualifiers(text.replace(cast, ' ')).matchAll(
    new RegExp(
      `${literal.source}|"(?:[^"]|"")*"|[\\p{L}\\p{N}_$.]+|[^\\s\\p{L}\\p{N}_$.'"(),;]+`,
      'gu',
    ),
  )
  return [...words]
    .map(([word]) => word.replace(/^["']|["']$/g, ''))
    .map((word) => spelling.get(word.toLowerCase()) ?? word.toLowerCase())
    .filter(Boolean)
    .sort()
    .join('\n')
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
