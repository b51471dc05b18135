import { maskStatement, nameAt } from '../../../postgres/archive/statement.ts'

/** Takes every match of a pattern, found in the masked statement, out of the statement itself. */
export function cut(sql: string, masked: string, pattern: RegExp): string {
  let result = ''
  let from = 0
  for (const found of masked.matchAll(pattern)) {
    result += sql.slice(from, found.index)
    from = found.index + found[0].length
  }
  return result + sql.slice(from)
}

/** Takes what a rule forbids out of a statement, again and again: what stands in a list may take several cuts. */
export function cutAll(sql: string, pattern: RegExp, standardStrings: boolean): string {
  for (let before = ''; before !== sql; ) {
    before = sql
    sql = cut(sql, maskStatement(sql, standardStrings), pattern)
  }
  return sql
}

/** A SET clause as pg_dump writes it into CREATE FUNCTION, on a line of its own, its value masked. */
const settingClause = /\n {4}SET (?=\S)[^\n]*? (?:TO|=) [^\n]*/g

/**
 * Settings that every server from 8.4 on knows and lets everybody make, and does not list in pg_settings (PostgreSQL source,
 * guc.c, GUC_NO_SHOW_ALL): nobody can be asked about them. A function without its `SET role` would run as somebody else.
 */
const unlisted = new Set(['role', 'seed', 'session_authorization', 'ssl_renegotiation_limit'])

/**
 * Takes SET clauses out of the definition of a function.
 *
 * @param refuse why a setting of that name (in lower case) cannot be made, or undefined when it can
 * @returns the definition without them, and the reasons
 */
export function cutSettings(
  definition: string,
  standardStrings: boolean,
  refuse: (name: string) => string | undefined,
): { definition: string; reasons: string[] } {
  const reasons: string[] = []
  let result = ''
  let from = 0
  for (const found of maskStatement(definition, standardStrings).matchAll(settingClause)) {
    const first = nameAt(definition, found.index + '\n    SET '.length)
    // parameters with a dot in their names are an extension's: whoever knows them may set them
    if (!first || definition[first.end] === '.') continue
    const name = first.name.toLowerCase()
    const reason = unlisted.has(name) ? undefined : refuse(name)
    if (reason === undefined) continue
    reasons.push(reason)
    result += definition.slice(from, found.index)
    from = found.index + found[0].length
  }
  return { definition: result + definition.slice(from), reasons }
}
