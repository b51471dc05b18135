/**
 * What rules look for in a statement that no regular expression finds: what stands between parentheses that belong together,
 * however deep and over however many lines, and where a type is named. All of it works on masked statements
 * (src/postgres/archive/statement.ts), in which strings, comments and quoted names hold no syntax.
 */

/** The position behind the parenthesis that closes the one at `open`; the text's end where none does. */
export function closingParenthesis(masked: string, open: number): number {
  let depth = 0
  const marks = /[()]/g
  marks.lastIndex = open
  for (let found = marks.exec(masked); found; found = marks.exec(masked)) {
    depth += found[0] === '(' ? 1 : -1
    if (depth === 0) return found.index + 1
  }
  return masked.length
}

/** Whether a table has generated columns that are stored, or others, which are virtual (from version 18 on). */
export function generates(masked: string, how: 'stored' | 'virtual'): boolean {
  for (const found of masked.matchAll(/\bGENERATED ALWAYS AS (?=\()/g)) {
    const end = closingParenthesis(masked, found.index + found[0].length)
    if (/^\s+STORED\b/.test(masked.slice(end, end + 40)) === (how === 'stored')) return true
  }
  return false
}

/** The items of the first list in parentheses from a position on, split at its own commas; each with its inner lists left out. */
function itemsOf(masked: string, from: number): string[] {
  const open = masked.indexOf('(', from)
  if (open < 0) return []
  const end = closingParenthesis(masked, open) - 1
  const items: string[] = []
  let item = ''
  for (let at = open + 1; at < end; at++) {
    const character = masked[at]
    if (character === '(') {
      at = closingParenthesis(masked, at) - 1
      item += '()'
    } else if (character === ',') {
      items.push(item)
      item = ''
    } else item += character
  }
  items.push(item)
  return items.map((text) => text.trim())
}

/** Words that end the type of a column, an argument or a result. */
const afterType =
  /\s(NOT NULL|NULL|DEFAULT|COLLATE|GENERATED|CONSTRAINT|CHECK|OPTIONS|STORAGE|COMPRESSION|LANGUAGE|AS|WINDOW|IMMUTABLE|STABLE|STRICT|LEAKPROOF|SECURITY|PARALLEL|COST|ROWS|SET|SUPPORT|TRANSFORM)\b|[=;]/

/** Texts in a statement that end with the name of a type, the name of an array's element where it is one. */
function typePlaces(masked: string, kind: string): string[] {
  const places: string[] = []
  const add = (text: string) => {
    const before = text.split(afterType)[0] ?? ''
    places.push(before.replace(/(\s*\[\d*\])+\s*$/, '').trimEnd())
  }
  // a cast may stand in every expression
  for (const [, name] of masked.matchAll(/::([a-z_0-9]+)/g)) places.push(name ?? '')
  if (/^(FOREIGN )?TABLE$|^TYPE$/.test(kind)) for (const item of itemsOf(masked, 0)) add(item)
  if (/^(FUNCTION|PROCEDURE|AGGREGATE)$/.test(kind)) {
    for (const item of itemsOf(masked, 0)) add(item)
    const returns = /\bRETURNS (?:SETOF )?(?:TABLE)?/.exec(masked)
    if (returns) {
      const from = returns.index + returns[0].length
      if (returns[0].endsWith('TABLE')) for (const item of itemsOf(masked, from)) add(item)
      else add(` ${masked.slice(from, from + 200).trimStart()}`)
    }
  }
  if (kind === 'DOMAIN') add(/\bAS (\S+)/.exec(masked)?.[1]?.replace(/;$/, '') ?? '')
  if (kind === 'CAST') {
    const pair = /\bCAST \((.*?) AS (.*?)\) WITH/s.exec(masked)
    if (pair) places.push(pair[1] ?? '', pair[2] ?? '')
  }
  const options =
    /\b(?:LEFTARG|RIGHTARG|STYPE|MSTYPE|BASETYPE|SUBTYPE|FOR TYPE)\s*=?\s*([a-z_0-9]+)/gi
  for (const [, name] of masked.matchAll(options)) places.push(name ?? '')
  return places
}

/** Whether a statement uses one of the types where a type stands: a column may well be called like one. */
export function usesType(names: readonly string[]): (masked: string, kind: string) => boolean {
  const named = new RegExp(`(?:^|[\\s,])(?:${names.join('|')})$`)
  const anywhere = new RegExp(`\\b(?:${names.join('|')})\\b`)
  return (masked, kind) =>
    anywhere.test(masked) && typePlaces(masked, kind).some((place) => named.test(place))
}

/** Whether a routine has a parameter, or a column of its result, of one of the names, which stand without quotes. */
export function hasParameter(names: string): (masked: string) => boolean {
  const named = new RegExp(`^(?:(?:IN|OUT|INOUT|VARIADIC) )?(?:${names}) (?!DEFAULT\\b)`)
  const result = /\bRETURNS TABLE(?=\()/
  return (masked) =>
    [0, masked.search(result)].some(
      (from) => from >= 0 && itemsOf(masked, from).some((item) => named.test(item)),
    )
}

/** An operator that takes an operand on its left side only. */
export function isPostfixOperator(masked: string): boolean {
  return /\bLEFTARG\s*=/.test(masked) && !/\bRIGHTARG\s*=/.test(masked)
}
