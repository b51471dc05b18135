import { quoteIdentifier } from '../../../postgres/identifiers.ts'

/**
 * How a row becomes 64 bits. `hash`: hash_array_extended (11 and newer) over the columns' bytes; `md5`: for a source
 * before 11, whose functions the target has as well.
 */
export type DigestMethod = 'hash' | 'md5'

/** @param server `server_version_num` of the source */
export function methodFor(server: number): DigestMethod {
  return server >= 110_000 ? 'hash' : 'md5'
}

/**
 * `extra_float_digits` for floats inside of what only its output function reads: servers from 12 on print all digits that there are.
 *
 * @param server `server_version_num` of the source
 * @param targetMajor undefined where it is not known
 */
export function floatDigitsFor(server: number, targetMajor: number | undefined): 0 | 3 {
  return server >= 120_000 && (targetMajor ?? 11) >= 12 ? 3 : 0
}

/** A column and how its value becomes bytes: a send function of PostgreSQL's own, or its output as text. */
export type RecipeColumn = [name: string, form: string]

/**
 * All that both sides need to compute the same digest of a table; tables of one shape share one. Sorted by name: in a
 * child of inheritance a restore may order the columns differently.
 */
export type Recipe = RecipeColumn[]

/** A type as pg_type describes it, as far as a digest must know it. */
export interface ColumnType {
  oid: number
  schema: string
  name: string
  /** `typtype`: b base, c composite, d domain, e enum, r range, m multirange, p pseudo. */
  type: string
  /** Of a domain; 0 elsewhere. */
  base: number
  /** Of a true array; 0 elsewhere. */
  element: number
  /** Of a range or multirange; 0 elsewhere. */
  subtype: number
  /** Of a composite type. */
  attributes: number[]
}

/**
 * Types of pg_catalog whose send function writes the same bytes in every major and on every platform, and tells apart
 * everything that their output tells apart: numeric 1.0 and 1.00, char(n)'s blanks, -0. All of them are
 * functions that a session without rights may call.
 */
const sendFunctions: Record<string, string> = {
  bool: 'boolsend',
  int2: 'int2send',
  int4: 'int4send',
  int8: 'int8send',
  oid: 'oidsend',
  float4: 'float4send',
  float8: 'float8send',
  numeric: 'numeric_send',
  money: 'cash_send',
  char: 'charsend',
  name: 'namesend',
  text: 'textsend',
  varchar: 'varcharsend',
  bpchar: 'bpcharsend',
  bytea: 'byteasend',
  uuid: 'uuid_send',
  date: 'date_send',
  time: 'time_send',
  timetz: 'timetz_send',
  timestamp: 'timestamp_send',
  timestamptz: 'timestamptz_send',
  interval: 'interval_send',
  json: 'json_send',
  jsonb: 'jsonb_send',
  bit: 'bit_send',
  varbit: 'varbit_send',
  inet: 'inet_send',
  cidr: 'cidr_send',
  macaddr: 'macaddr_send',
  macaddr8: 'macaddr8_send',
  tsvector: 'tsvectorsend',
  tsquery: 'tsquerysend',
}

/** Types of pg_catalog that hold several floats. */
const floatSend: Record<string, string> = {
  point: 'point_send',
  lseg: 'lseg_send',
  box: 'box_send',
  path: 'path_send',
  polygon: 'poly_send',
  line: 'line_send',
  circle: 'circle_send',
}

/** Marks a send function whose bytes may hold a NaN: see `bytesOf`. */
const floats = 'floats:'
const containers = ['array_send', 'range_send']

const knownForms = new Set([
  ...Object.values(sendFunctions),
  ...containers,
  ...[...containers, ...Object.values(floatSend)].map((name) => floats + name),
  'float_array',
  'enum_send',
  'text',
])

/** Whether this version knows the form: a manifest is not trusted to hold SQL. */
export function isKnownForm(form: string): boolean {
  return knownForms.has(form)
}

/**
 * Decides how each column goes into the digest.
 *
 * A type's own hash treats as equal what its `=` does, and folds 64-bit numbers and timestamps to 32 bits, so values go
 * in as the bytes of their send function; what has no stable one goes in as its output, which is what a dump carries.
 *
 * @param columns name and type OID
 * @param types every type that the columns lead to
 */
export function recipeOf(
  columns: { name: string; type: number }[],
  types: ReadonlyMap<number, ColumnType>,
): Recipe {
  return columns
    .map(({ name, type }): RecipeColumn => [name, formOf(type, types)])
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

/** Whether a type's values have bytes that depend on nothing but the value, or on what every reader pins (see `pinned`). */
export function isSent({ schema, name }: Pick<ColumnType, 'schema' | 'name'>): boolean {
  return schema === 'pg_catalog' && (name in sendFunctions || name in floatSend)
}

/** The columns of the source's recipe that the target lacks or reads in another way. */
export function differingColumns(source: Recipe, target: Recipe): string[] {
  const forms = new Map(target)
  return source.filter(([name, form]) => forms.get(name) !== form).map(([name]) => name)
}

/**
 * The aggregate over all rows, as SQL text: `count` is the caller's; this is the sum of one 64-bit number a row, which
 * no order of rows changes and every duplicate does.
 *
 * @param alias the table's alias in the query
 * @param server `server_version_num` where it may be below 9.1
 * @throws Error when the recipe names a form that this version does not know (a manifest is not trusted to hold SQL)
 */
export function digestExpression(
  recipe: Recipe,
  method: DigestMethod,
  alias: string,
  server?: number,
): string {
  return `pg_catalog.sum(${rowExpression(recipe, method, alias, server)})::pg_catalog.text`
}

/** The 64-bit number of one row, as SQL text. */
export function rowExpression(
  recipe: Recipe,
  method: DigestMethod,
  alias: string,
  server = Number.POSITIVE_INFINITY,
): string {
  const values = recipe.map(([name, form]) =>
    bytesOf(`${quoteIdentifier(alias)}.${quoteIdentifier(name)}`, form, server),
  )
  return hashOfBytes(values, method)
}

/** The 64-bit number of several values of type bytea, as SQL text; nulls count, and so does the order. */
export function hashOfBytes(values: string[], method: DigestMethod): string {
  if (method === 'md5') {
    const record = `pg_catalog.record_send(ROW(${values.join(', ')}))`
    return `('x' || pg_catalog.substr(pg_catalog.md5(${record}), 1, 16))::bit(64)::bigint`
  }
  // The array's hash is linear in the hashes of its elements, so a sum of it would not notice two values that changed
  // places between rows: as the seed of another hash all its 64 bits are mixed once more.
  const array = `ARRAY[${values.join(', ')}]::pg_catalog.bytea[]`
  return `pg_catalog.hashint8extended(0, pg_catalog.hash_array_extended(${array}, 0))`
}

/**
 * SQL: a value's output as text, whatever casts to text a user defined. What calls the output function of any type is concat
 * (9.1); before it a row's, which puts a value that could be misread into quotation marks and doubles those inside, and
 * backslashes (PostgreSQL, "Composite Type Input and Output Syntax"). A null has no output: '' in both.
 */
export function outputText(column: string, server: number): string {
  if (server >= 90_100) return `pg_catalog.concat(${column})`
  const row = `pg_catalog.textin(pg_catalog.record_out(ROW(${column})))`
  const inner = (from: number) =>
    `pg_catalog.substr(${row}, ${from}, pg_catalog.length(${row}) - ${2 * (from - 1)})`
  const unquoted = `pg_catalog.replace(pg_catalog.replace(${inner(3)}, '""', '"'), E'\\\\\\\\', E'\\\\')`
  return `CASE WHEN pg_catalog.substr(${row}, 2, 1) = '"' THEN ${unquoted} ELSE ${inner(2)} END`
}

function bytesOf(column: string, form: string, server: number): string {
  if (!isKnownForm(form)) throw new Error(`the fingerprint names an unknown form: ${form}`)
  const output = outputText(column, server)
  const text = `pg_catalog.textsend(${output})`
  // null for a null only, unlike IS NULL, which is true for a row of nulls as well
  if (form === 'text') {
    return `CASE WHEN pg_catalog.pg_column_size(${column}) IS NOT NULL THEN ${text} END`
  }
  // a NaN that a computation left has other bits than the one that a dump restores
  if (form === 'float4send' || form === 'float8send') {
    const type = form.slice(0, 6)
    return `pg_catalog.${form}(CASE WHEN ${column} = 'NaN' THEN 'NaN'::pg_catalog.${type} ELSE ${column} END)`
  }
  if (form === 'float_array') {
    return `CASE WHEN 'NaN'::pg_catalog.float8 = ANY (${column}) THEN ${text} ELSE ${sent('array_send', column)} END`
  }
  if (form.startsWith(floats)) {
    const send = sent(form.slice(floats.length), column)
    // before 9.6 points and the like print nan and inf, as the C library does
    const lower = `pg_catalog.lower(${output})`
    const same = `pg_catalog.textsend(pg_catalog.replace(${lower}, 'infinity', 'inf'))`
    return `CASE WHEN pg_catalog.strpos(${lower}, 'nan') > 0 THEN ${same} ELSE ${send} END`
  }
  return sent(form, column)
}

/**
 * SQL: what a send function gives. An array in which there was a NULL once still says so when it is overwritten, and a restored one
 * does not (array_send's flags, bytes 4 to 7): whether there is one, the elements say themselves.
 */
function sent(send: string, column: string): string {
  const bytes = `pg_catalog.${send}(${column})`
  return send === 'array_send' ? `pg_catalog.set_byte(${bytes}, 7, 0)` : bytes
}

function formOf(oid: number, types: ReadonlyMap<number, ColumnType>): string {
  const type = types.get(oid)
  if (!type) throw new Error(`the server does not describe the type ${oid}`)
  switch (type.type) {
    case 'd': {
      const form = formOf(type.base, types)
      // sql_identifier is a varchar before 12, and a name since: the same text either way
      const isName = form === 'namesend' || form === 'varcharsend'
      return type.schema === 'information_schema' && isName ? 'textsend' : form
    }
    case 'e':
      return 'enum_send'
    case 'r':
      return containerOf('range_send', type.subtype, types)
    case 'b':
      if (type.element !== 0) return containerOf('array_send', type.element, types)
      if (type.schema !== 'pg_catalog') return 'text'
      return sendFunctions[type.name] ?? prefixed(floatSend[type.name]) ?? 'text'
    default:
      return 'text'
  }
}

/** How an array or range goes in: its bytes hold the element's OID, which is the same everywhere for built-in types only. */
function containerOf(send: string, oid: number, types: ReadonlyMap<number, ColumnType>): string {
  const inner = types.get(oid)
  if (inner?.type !== 'b' || inner.schema !== 'pg_catalog' || inner.element !== 0) return 'text'
  const isFloat = inner.name === 'float4' || inner.name === 'float8'
  if (isFloat && send === 'array_send') return 'float_array'
  if (isFloat || floatSend[inner.name]) return floats + send
  return sendFunctions[inner.name] ? send : 'text'
}

function prefixed(send: string | undefined): string | undefined {
  return send && floats + send
}
