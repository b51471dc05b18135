import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'

const root = join(import.meta.dirname, '..', '..')
const sources = globSync('src/**/*.ts', { cwd: root })
  .sort()
  .map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }))

/** Functions of pg_catalog that a query is likely to call; whatever begins with `pg_` or `has_` besides. */
const functions =
  /^(pg_\w+|has_\w+|aclexplode|array_\w+|bool_and|bool_or|char_length|concat|concat_ws|count|current_database|current_query|current_schemas?|current_setting|decode|encode|format|format_type|generate_series|generate_subscripts|hash\w+|inet_\w+|isfinite|json_\w+|jsonb_\w+|length|lo_\w+|loread|lower|max|md5|min|now|obj_description|col_description|shobj_description|octet_length|quote_ident|quote_literal|random|record_send|regexp_\w+|replace|row_to_json|set_config|set_bit|setval|split_part|string_agg|string_to_array|strpos|substr|sum|to_char|to_json|to_number|to_regclass|to_timestamp|txid_\w+|unnest|upper|version)$/

/** What stands in a file's strings and looks like SQL, without the expressions that are put into it. */
function queriesIn(text: string): { sql: string; line: number }[] {
  return [...text.matchAll(/`(?:[^`\\]|\\.)*`|'(?:[^'\\\n]|\\.)*'/g)]
    .filter(([sql]) => /\b(SELECT|FROM|WHERE|CASE WHEN)\b|\bpg_catalog\./.test(sql))
    .map((match) => ({
      sql: match[0].replace(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, ' '),
      line: text.slice(0, match.index).split('\n').length,
    }))
}

function unqualified(text: string): string[] {
  return queriesIn(text).flatMap(({ sql, line }) =>
    [...sql.matchAll(/(?<![\w."$])([a-z_][a-z0-9_]*)\(/g)]
      .map(([, name = '']) => name)
      .filter((name) => functions.test(name))
      .map((name) => `${line}: ${name}`),
  )
}

/** Types that the grammar itself puts into pg_catalog; every other name is looked for along the search_path. */
const grammar =
  /^(bigint|bit|boolean|char|character|dec|decimal|double|float|int|integer|interval|numeric|real|smallint|time|timestamp|varchar)$/

/** Casts to a type that a schema of the database could bring: `::text` for `::pg_catalog.text`. */
function unqualifiedCasts(text: string): string[] {
  const code = text.replace(/^\s*(\/\/|\/?\*).*$/gm, '')
  return code.split('\n').flatMap((line, index) =>
    [
      ...line.matchAll(
        /::\s*("?[a-z_]\w*"?)(?![\w.])(?!::)|\bCAST\s*\([^()]* AS ([a-z_]\w*)(?![\w.])/g,
      ),
    ]
      .filter(
        ({ index: at }) => /[\w)'}\]"?]/.test(line[at - 1] ?? '') || line.startsWith('CAST', at),
      )
      .map(([, cast, called]) => cast ?? called ?? '')
      .filter((name) => !grammar.test(name))
      .map((name) => `${index + 1}: ${name}`),
  )
}

test('casts in a query are to types of pg_catalog', () => {
  expect(
    unqualifiedCasts(
      `const a = \`SELECT (x)::text, 1::int, y::pg_catalog.oid, z::"char"[], \${q}::name, CAST(x AS oid)\``,
    ),
  ).toEqual(['1: text', '1: "char"', '1: name', '1: oid'])
  const found = sources
    // the options of apt and style sheets have the same colons
    .filter(({ file }) => !/^src\/(postgres\/programs\/clients|report)\//.test(file))
    .flatMap(({ file, text }) => unqualifiedCasts(text).map((one) => `${file}:${one}`))
  expect(found).toEqual([])
})

test('functions that a query calls are those of pg_catalog', () => {
  expect(unqualified('const a = `SELECT count(*) FROM pg_catalog.pg_am`')).toEqual(['1: count'])
  const found = sources.flatMap(({ file, text }) =>
    unqualified(text).map((one) => `${file}:${one}`),
  )
  expect(found).toEqual([])
})

test('sessions are opened in one place, which makes them safe', () => {
  const opening = sources.filter(({ text }) =>
    /\bpg\.(Client|Pool|native)\(|\bnew (Client|Pool)\(/.test(text),
  )
  expect(opening.map(({ file }) => file)).toEqual(['src/postgres/connection.ts'])
  const naming = sources.filter(({ text }) => /--dbname=(?!host=\/nonexistent)/.test(text))
  // the client programs get their connection from conninfo, which adds the same settings
  for (const { file, text } of naming) {
    expect({
      file,
      safe: [...text.matchAll(/--dbname=(?!host=\/nonexistent)(.{0,12})/g)].every(([, rest]) =>
        rest?.startsWith('${conninfo('),
      ),
    }).toEqual({ file, safe: true })
  }
})
