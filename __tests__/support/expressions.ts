import { randomNumbers } from './random.ts'
/** An expression somewhere in a schema, and the same place with another constant in it. */
export interface PlacedExpression {
  /** What it is, for messages. */
  name: string
  create: string
  /** Makes another definition of it. */
  change: string
  /** The difference that has to be named afterwards: `kind name: facet`. */
  found: string
}

const columns = {
  id: 'int',
  v: 'varchar(20)',
  c: 'char(4)',
  n: 'int',
  k: 'bigint',
  m: 'numeric',
  r: 'double precision',
  t: 'text',
  d: 'date',
  s: 'timestamp',
  i: 'interval',
  a: 'int[]',
  w: 'varchar(9)[]',
  b: 'boolean',
  z: 'varbit',
} as const
type Column = keyof typeof columns

interface Constants {
  /** A number from 2 to 9. */
  x: number
  /** A word. */
  y: string
}

/** A condition with constants; `q` gives the name by which a column is called. */
interface Template {
  sql: (q: (column: Column) => string, c: Constants) => string
  /** The only column in it, where there is but one. */
  on?: Column
  since?: number
  /** It holds a query: not everywhere is one allowed. */
  query?: true
}

const templates: Template[] = [
  { on: 'v', sql: (q, { y }) => `${q('v')} IN ('a', '${y}')` },
  { on: 'v', sql: (q, { y }) => `${q('v')} NOT IN ('a', 'b c', '${y}')` },
  { on: 'c', sql: (q, { y }) => `${q('c')} IN ('a', '${y}')` },
  { on: 'c', sql: (q, { y }) => `${q('c')} = ANY (ARRAY['a', '${y}']::char(4)[])` },
  { sql: (q, { x }) => `${q('n')} BETWEEN 1 AND ${x} AND ${q('m')} > 0` },
  { on: 'n', sql: (q, { x }) => `${q('n')} NOT BETWEEN -${x} AND 100 OR ${q('n')} = 50` },
  { on: 'n', sql: (q, { x }) => `${q('n')} BETWEEN SYMMETRIC ${x} AND -1 AND ${q('n')} <> 0` },
  { on: 'm', sql: (q, { x }) => `${q('m')} > -${x}` },
  { on: 'm', sql: (q, { x }) => `${q('m')} > -${x}.5 AND ${q('m')} < -(-1000)` },
  { on: 'k', sql: (q, { x }) => `${q('k')} > -300000000000${x}` },
  { on: 'r', sql: (q, { x }) => `${q('r')} < -1.${x}e-3 OR ${q('r')} IN (-1, ${x}, 'NaN')` },
  { on: 'n', sql: (q, { x }) => `${q('n')} IN (1, -${x}, 3)` },
  { on: 'm', sql: (q, { x }) => `${q('m')} IN (1, -${x}, 3.5)` },
  {
    sql: (q, { x, y }) =>
      `CASE WHEN ${q('n')} > ${x} THEN ${q('v')} = '${y}' WHEN ${q('b')} THEN NULL ELSE ${q('c')} = 'z' END`,
  },
  {
    on: 'v',
    sql: (q, { y }) => `CASE ${q('v')} WHEN 'a' THEN 'b' WHEN '${y}' THEN 'c' ELSE 'd' END = 'b'`,
  },
  { sql: (q, { x, y }) => `(${q('n')}, ${q('v')}) = (${x}, '${y}')` },
  { sql: (q, { x }) => `ROW(${q('n')}, ${q('m')}) < ROW(${x}, -2)` },
  { sql: (q, { x }) => `(${q('n')}, ${q('m')}) IN ((1, 2), (${x}, 3))` },
  { sql: (q, { x, y }) => `(${q('n')}, ${q('t')}) IS DISTINCT FROM (${x}, '${y}')` },
  { on: 'v', sql: (q, { y }) => `${q('v')} || 'x' LIKE '${y}%'` },
  { on: 'v', sql: (q, { y }) => `${q('v')} ILIKE ANY (ARRAY['a%', '${y}_'])` },
  { on: 't', sql: (q, { y }) => `${q('t')} NOT LIKE '${y}!%' ESCAPE '!'` },
  { on: 'd', sql: (q, { x }) => `${q('d')} > date '2020-01-0${x}' - 7` },
  { on: 'd', sql: (q, { x }) => `EXTRACT(year FROM ${q('d')}) > 200${x}` },
  { on: 's', sql: (q, { x }) => `EXTRACT(epoch FROM ${q('s')}) > -${x}` },
  {
    on: 's',
    sql: (q, { x }) => `date_trunc('day', ${q('s')}) + interval '${x} days' > '2020-01-01'`,
  },
  {
    on: 's',
    sql: (q, { x }) =>
      `(${q('s')}, interval '1 day') OVERLAPS (timestamp '2020-01-0${x}', timestamp '2021-01-01')`,
  },
  {
    on: 's',
    sql: (q, { x }) => `${q('s')} AT TIME ZONE 'UTC' > timestamptz '2020-01-0${x} 00:00Z'`,
  },
  { on: 'i', sql: (q, { x }) => `${q('i')} > interval '${x} days -3 hours'` },
  { on: 'i', sql: (q, { x }) => `${q('i')} = INTERVAL '${x}' YEAR OR ${q('i')} < '-1 mon'` },
  { on: 'i', sql: (q, { x }) => `${q('i')} < INTERVAL '1:0${x}' MINUTE TO SECOND(3)` },
  { on: 'i', sql: (q, { x }) => `${q('i')}::interval day to hour <> -(interval '${x} h')` },
  { on: 'a', sql: (q, { x }) => `(${q('a')})[1] = ${x}` },
  { on: 'a', sql: (q, { x }) => `(${q('a')})[1:2] = ARRAY[-1, ${x}]` },
  { on: 'a', sql: (q, { x }) => `${x} = ANY (${q('a')}) OR ${q('a')} @> '{1,2}'` },
  {
    on: 'a',
    sql: (q, { x }) => `${q('a')} && ARRAY[[1, 2], [3, ${x}]] AND array_length(${q('a')}, 1) > -1`,
  },
  { on: 'w', sql: (q, { y }) => `'${y}' = ANY (${q('w')})` },
  { on: 'w', sql: (q, { y }) => `${q('w')} <> ARRAY['a', '${y}']::varchar(9)[]` },
  { on: 'v', sql: (q, { y }) => `${q('v')} COLLATE "C" > '${y}'` },
  { on: 't', sql: (q, { y }) => `(${q('t')} || '${y}') COLLATE "POSIX" <> '' COLLATE "POSIX"` },
  { on: 't', sql: (q, { y }) => `${q('t')} IS DISTINCT FROM '${y}'` },
  { sql: (q, { x }) => `${q('b')} IS NOT TRUE AND NOT (${q('n')} = ${x} OR ${q('n')} IS NULL)` },
  { on: 'v', sql: (q, { y }) => `coalesce(${q('v')}, '${y}') = 'x'` },
  {
    on: 'n',
    sql: (q, { x }) => `nullif(${q('n')}, -${x}) IS NULL AND greatest(${q('n')}, -1, 3) > 2`,
  },
  { on: 't', sql: (q, { y }) => `${q('t')} ~ '^${y}\\d' AND ${q('t')} !~* E'\\n'` },
  { on: 't', sql: (q, { y }) => `${q('t')} SIMILAR TO '(a|${y})%'` },
  { on: 't', sql: (q, { x, y }) => `substring(${q('t')} from 1 for ${x}) = '${y}'` },
  { on: 't', sql: (q, { x, y }) => `overlay(${q('t')} placing '${y}' from ${x}) <> 'x'` },
  {
    on: 't',
    sql: (q, { y }) =>
      `trim(both '${y}' from ${q('t')}) = '' AND position('${y}' in ${q('t')}) = 0`,
  },
  { on: 't', sql: (q, { x, y }) => `left(lower(${q('t')}), ${x}) = '${y}'` },
  {
    on: 'n',
    sql: (q, { x }) => `${q('n')} % ${x} = 1 AND NOT ${q('n')} = -${x} AND @ ${q('n')} < |/ 9`,
  },
  {
    on: 'n',
    sql: (q, { x }) => `${q('n')} = 1 OR (${q('n')} = ${x} OR ${q('n')} = 3) AND ${q('n')} > '-5'`,
  },
  {
    on: 'n',
    sql: (q, { x }) =>
      `(${q('n')} > 1 AND ${q('n')} < 5) AND (${q('n')} <> 3 AND ${q('n')} <> ${x})`,
  },
  {
    on: 'n',
    sql: (q, { x }) => `${q('n')}::smallint > ${x}::smallint AND ${q('n')}::bigint > '-7'::bigint`,
  },
  { on: 'n', sql: (q, { x }) => `${q('n')}::numeric(5,2) < CAST('-1.5' AS numeric(5,2)) * ${x}` },
  {
    on: 'v',
    sql: (q, { y }) => `${q('v')}::varchar(3) = '${y}'::varchar(3) AND ${q('v')}::char(2) <> 'ab'`,
  },
  {
    on: 'z',
    sql: (q, { x }) =>
      `${q('z')} <> B'10${x % 2}${x > 5 ? 1 : 0}${x % 3 ? 1 : 0}' AND ${q('z')} < X'1${x}'`,
  },
  { on: 't', sql: (q, { y }) => `(${q('t')}::json ->> '${y}') IS NULL` },
  { on: 't', sql: (q, { x }) => `${q('t')}::jsonb @> '{"a": [${x}, -2]}'` },
  { on: 'd', sql: (q, { x }) => `${q('d')} <@ daterange('2020-01-0${x}', NULL, '[]')` },
  { on: 'n', since: 14, sql: (q, { x }) => `${q('n')} <@ '{[1,${x}],(20,30)}'::int4multirange` },
  { on: 'a', sql: (q, { x }) => `NOT ${q('a')} = '{}' AND ${q('a')} || ${x} <> '{1}'` },
  {
    query: true,
    sql: (q, { y }) => `EXISTS (SELECT '${y}' FROM gen.base WHERE base.id = ${q('n')})`,
  },
  { query: true, sql: (q, { y }) => `${q('v')} = (SELECT '${y}')` },
  {
    query: true,
    sql: (q, { x }) =>
      `${q('n')} IN (SELECT base.id - ${x} FROM gen.base WHERE base.v IN ('a', 'b'))`,
  },
  {
    query: true,
    sql: (q, { x }) =>
      `(${q('n')}, ${q('m')}) = ANY (SELECT base.n, -base.m FROM gen.base LIMIT ${x})`,
  },
  {
    query: true,
    sql: (q, { x }) =>
      `${q('a')} = ARRAY(SELECT base.n FROM gen.base ORDER BY base.n DESC OFFSET ${x})`,
  },
  {
    query: true,
    sql: (q, { x }) =>
      `${q('n')} > ALL (WITH w AS (SELECT sum(base.n) OVER (ORDER BY base.id ROWS ${x} PRECEDING) FROM gen.base) SELECT * FROM w)`,
  },
]

const words = ['open', 'shut', "it''s", 'Grüße', 'a b', '100%', 'null', 'x"y', 'held', 'gone']

/**
 * Expressions of many forms in every place that may hold one, and for each a change of a constant in it.
 *
 * @param major of the oldest server that is to hold them
 * @param count how many; they go through the places and the forms in an order that the seed gives
 */
export function placedExpressions(
  seed: number,
  major: number,
  count: number,
): { setup: string; placed: PlacedExpression[] } {
  const random = randomNumbers(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const table = (name: string, more = '') =>
    `CREATE TABLE ${name} (${Object.entries(columns)
      .map(([column, type]) => `${column} ${type}`)
      .join(', ')}${more});`
  const setup = `CREATE SCHEMA gen; ${table('gen.base', ', PRIMARY KEY (id)')}
    CREATE FUNCTION gen.act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';`
  const usable = templates.filter(({ since = 0 }) => major >= since)
  const plain = usable.filter(({ query }) => !query)
  const placesHere = Object.entries(places).filter(([, { since = 0 }]) => major >= since)
  const order = [...placesHere].sort(() => random() - 0.5)
  const placed: PlacedExpression[] = []
  for (let index = 0; index < count; index++) {
    const [place, { make, holds }] = order[index % order.length] as (typeof order)[number]
    const fitting =
      holds === 'query' ? usable : holds === 'one' ? plain.filter(({ on }) => on) : plain
    const [first, second] = [pick(fitting), pick(fitting)]
    const word = pick(words)
    const constants = { x: 2 + Math.floor(random() * 7), y: word }
    const others = { x: constants.x + 1, y: pick(words.filter((one) => one !== word)) }
    const both = holds !== 'one' && random() < 0.3
    const join = pick([' AND ', ' OR '])
    const text = (q: (column: Column) => string, c: Constants) =>
      both ? `(${first.sql(q, c)})${join}${second.sql(q, c)}` : first.sql(q, c)
    const name = `t${index}`
    const made = make({
      name,
      table: table(`gen.${name}`),
      on: first.on ?? 'n',
      text: (q) => text(q, constants),
      other: (q) => text(q, others),
      constants,
      others,
    })
    placed.push({ name: `${place}: ${text((column) => column, constants)}`, ...made })
  }
  return { setup, placed }
}

interface Placing {
  name: string
  table: string
  on: Column
  text: (q: (column: Column) => string) => string
  other: (q: (column: Column) => string) => string
  constants: Constants
  others: Constants
}

interface PlaceOf {
  since?: number
  /** A query as well, or a condition on one column alone. */
  holds?: 'query' | 'one'
  make: (placing: Placing) => Omit<PlacedExpression, 'name'>
}

const own = (column: Column) => column

/** A constant in a column's place, where none can be named. */
const constant = (column: Column): string =>
  `${
    {
      id: '1',
      v: "'v'",
      c: "'c'",
      n: '-7',
      k: '8',
      m: '-1.5',
      r: '2.5',
      t: "'1'",
      d: "'2020-02-02'",
      s: "'2020-02-02 02:02'",
      i: "'1 day'",
      a: "'{1,2}'",
      w: "'{a}'",
      b: 'true',
      z: "B'11'",
    }[column]
  }::${columns[column]}`

const places: Record<string, PlaceOf> = {
  check: {
    make: ({ name, table, text, other }) => ({
      create: `${table} ALTER TABLE gen.${name} ADD CONSTRAINT k CHECK (${text(own)});`,
      change: `ALTER TABLE gen.${name} DROP CONSTRAINT k, ADD CONSTRAINT k CHECK (${other(own)});`,
      found: `constraint gen.${name} k: definition`,
    }),
  },
  'check not valid': {
    make: ({ name, table, text, other }) => ({
      create: `${table} ALTER TABLE gen.${name} ADD CONSTRAINT k CHECK (${text(own)}) NOT VALID;`,
      change: `ALTER TABLE gen.${name} DROP CONSTRAINT k, ADD CONSTRAINT k CHECK (${other(own)}) NOT VALID;`,
      found: `constraint gen.${name} k: definition`,
    }),
  },
  default: {
    make: ({ name, table, text, other }) => ({
      create: `${table} ALTER TABLE gen.${name} ALTER b SET DEFAULT ${text(constant)};`,
      change: `ALTER TABLE gen.${name} ALTER b SET DEFAULT ${other(constant)};`,
      found: `table gen.${name}: default of b`,
    }),
  },
  generated: {
    since: 12,
    make: ({ name, table, text, other }) => ({
      create: `${table} ALTER TABLE gen.${name} ADD g boolean GENERATED ALWAYS AS (${text(own)}) STORED;`,
      change: `ALTER TABLE gen.${name} DROP g, ADD g boolean GENERATED ALWAYS AS (${other(own)}) STORED;`,
      found: `table gen.${name}: generation of g`,
    }),
  },
  index: {
    make: ({ name, table, text, other }) => ({
      create: `${table} CREATE INDEX ${name}_i ON gen.${name} (id, (${text(own)}));`,
      change: `DROP INDEX gen.${name}_i; CREATE INDEX ${name}_i ON gen.${name} (id, (${other(own)}));`,
      found: `index gen.${name}_i: definition`,
    }),
  },
  predicate: {
    make: ({ name, table, text, other }) => ({
      create: `${table} CREATE UNIQUE INDEX ${name}_i ON gen.${name} (id) WHERE ${text(own)};`,
      change: `DROP INDEX gen.${name}_i; CREATE UNIQUE INDEX ${name}_i ON gen.${name} (id) WHERE ${other(own)};`,
      found: `index gen.${name}_i: definition`,
    }),
  },
  policy: {
    holds: 'query',
    make: ({ name, table, text, other }) => ({
      create: `${table} CREATE POLICY p ON gen.${name} USING (${text(own)});`,
      change: `ALTER POLICY p ON gen.${name} USING (${other(own)});`,
      found: `policy gen.${name} p: using`,
    }),
  },
  'policy with check': {
    holds: 'query',
    make: ({ name, table, text, other }) => ({
      create: `${table} CREATE POLICY p ON gen.${name} FOR INSERT WITH CHECK (${text(own)});`,
      change: `ALTER POLICY p ON gen.${name} WITH CHECK (${other(own)});`,
      found: `policy gen.${name} p: with check`,
    }),
  },
  view: {
    holds: 'query',
    make: ({ name, table, text, other }) => ({
      create: `${table} CREATE VIEW gen.${name}_v AS SELECT id, 'x' AS x, ${text(own)} AS e FROM gen.${name} WHERE ${text(own)};`,
      change: `CREATE OR REPLACE VIEW gen.${name}_v AS SELECT id, 'x' AS x, ${text(own)} AS e FROM gen.${name} WHERE ${other(own)};`,
      found: `view gen.${name}_v: query`,
    }),
  },
  'materialized view': {
    holds: 'query',
    make: ({ name, table, text, other }) => ({
      create: `${table} CREATE MATERIALIZED VIEW gen.${name}_m AS SELECT x.*, -1 AS one FROM gen.${name} x WHERE ${text((column) => `x.${column}`)} WITH NO DATA;`,
      change: `DROP MATERIALIZED VIEW gen.${name}_m; CREATE MATERIALIZED VIEW gen.${name}_m AS SELECT x.*, -1 AS one FROM gen.${name} x WHERE ${other((column) => `x.${column}`)} WITH NO DATA;`,
      found: `materialized view gen.${name}_m: query`,
    }),
  },
  rule: {
    holds: 'query',
    make: ({ name, table, text, other }) => ({
      create: `${table} CREATE RULE r AS ON UPDATE TO gen.${name} WHERE ${text((column) => `NEW.${column}`)} DO ALSO INSERT INTO gen.base (id, v) SELECT -1, 'x' WHERE OLD.id > 3;`,
      change: `CREATE OR REPLACE RULE r AS ON UPDATE TO gen.${name} WHERE ${other((column) => `NEW.${column}`)} DO ALSO INSERT INTO gen.base (id, v) SELECT -1, 'x' WHERE OLD.id > 3;`,
      found: `rule gen.${name} r: rule definition`,
    }),
  },
  'trigger WHEN': {
    make: ({ name, table, text, other }) => {
      const define = (condition: string) =>
        `CREATE TRIGGER g BEFORE INSERT ON gen.${name} FOR EACH ROW WHEN (${condition}) EXECUTE PROCEDURE gen.act('EXECUTE FUNCTION', '-1');`
      return {
        create: `${table} ${define(text((column) => `NEW.${column}`))}`,
        change: `DROP TRIGGER g ON gen.${name}; ${define(other((column) => `NEW.${column}`))}`,
        found: `trigger gen.${name} g: definition`,
      }
    },
  },
  domain: {
    holds: 'one',
    make: ({ name, on, text, other }) => ({
      create: `CREATE DOMAIN gen.${name}_d AS ${columns[on]} CONSTRAINT k CHECK (${text(() => 'VALUE')});`,
      change: `ALTER DOMAIN gen.${name}_d DROP CONSTRAINT k; ALTER DOMAIN gen.${name}_d ADD CONSTRAINT k CHECK (${other(() => 'VALUE')});`,
      found: `domain gen.${name}_d: constraints`,
    }),
  },
  'domain default': {
    make: ({ name, text, other }) => ({
      create: `CREATE DOMAIN gen.${name}_d AS boolean DEFAULT (${text(constant)});`,
      change: `ALTER DOMAIN gen.${name}_d SET DEFAULT (${other(constant)});`,
      found: `domain gen.${name}_d: default`,
    }),
  },
  'domain constraint not valid': {
    holds: 'one',
    make: ({ name, on, text, other }) => ({
      create: `CREATE DOMAIN gen.${name}_d AS ${columns[on]}; ALTER DOMAIN gen.${name}_d ADD CONSTRAINT k CHECK (${text(() => 'VALUE')}) NOT VALID;`,
      change: `ALTER DOMAIN gen.${name}_d DROP CONSTRAINT k; ALTER DOMAIN gen.${name}_d ADD CONSTRAINT k CHECK (${other(() => 'VALUE')}) NOT VALID;`,
      found: `domain gen.${name}_d: constraints`,
    }),
  },
  'statistics object': {
    since: 14,
    make: ({ name, table, text, other }) => ({
      create: `${table} CREATE STATISTICS gen.${name}_s ON (${text(own)}), id FROM gen.${name};`,
      change: `DROP STATISTICS gen.${name}_s; CREATE STATISTICS gen.${name}_s ON (${other(own)}), id FROM gen.${name};`,
      found: `statistics object gen.${name}_s: definition`,
    }),
  },
  'SQL body': {
    since: 14,
    holds: 'query',
    make: ({ name, table, text, other }) => {
      const define = (condition: string) =>
        `CREATE OR REPLACE FUNCTION gen.${name}_f(least_n int) RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC
           INSERT INTO gen.base (id) SELECT 'x' IS NULL, -1 WHERE false; SELECT id FROM gen.${name} WHERE ${condition} AND n > least_n; END;`
      const fixed = (condition: string) => define(condition).replace("'x' IS NULL, -1", '-1')
      return {
        create: `${table} ${fixed(text(own))}`,
        change: fixed(other(own)),
        found: `function gen.${name}_f(integer): SQL body`,
      }
    },
  },
  'argument default': {
    make: ({ name, text, other }) => {
      const define = (value: string) =>
        `CREATE OR REPLACE FUNCTION gen.${name}_f(i int, b boolean DEFAULT ${value}, v varchar DEFAULT 'x', n int DEFAULT -1) RETURNS int LANGUAGE sql AS 'SELECT 1';`
      return {
        create: define(text(constant)),
        change: define(other(constant)),
        found: `function gen.${name}_f(integer, boolean, character varying, integer): argument defaults`,
      }
    },
  },
  'partition bound': {
    since: 11,
    make: ({ name, constants, others }) => {
      const define = ({ x, y }: Constants) =>
        x % 2
          ? `gen.${name}_1 FOR VALUES IN ('a', '${y}', '${x}')`
          : `gen.${name}_1 FOR VALUES IN ('-${x}', NULL, '${y}')`
      return {
        create: `CREATE TABLE gen.${name} (v varchar(9), n int) PARTITION BY LIST (v);
                 CREATE TABLE gen.${name}_1 PARTITION OF gen.${name} ${define(constants).replace(`gen.${name}_1 `, '')};`,
        change: `ALTER TABLE gen.${name} DETACH PARTITION gen.${name}_1; ALTER TABLE gen.${name} ATTACH PARTITION ${define(others)};`,
        found: `table gen.${name}_1: partition bound`,
      }
    },
  },
  'partition range': {
    since: 11,
    make: ({ name, constants, others }) => ({
      create: `CREATE TABLE gen.${name} (m numeric, d date, c char(3)) PARTITION BY RANGE (m, d, c);
               CREATE TABLE gen.${name}_1 PARTITION OF gen.${name} FOR VALUES FROM (-${constants.x}, '2020-01-01', 'a') TO (${constants.x}.5, MAXVALUE, MAXVALUE);`,
      change: `ALTER TABLE gen.${name} DETACH PARTITION gen.${name}_1; ALTER TABLE gen.${name} ATTACH PARTITION gen.${name}_1 FOR VALUES FROM (-${others.x}, '2020-01-01', 'a') TO (${constants.x}.5, MAXVALUE, MAXVALUE);`,
      found: `table gen.${name}_1: partition bound`,
    }),
  },
  'partition key': {
    since: 11,
    make: ({ name, table, text, other }) => {
      const define = (condition: string) =>
        `${table.replace(/;$/, '')} PARTITION BY LIST ((${condition}));`
      return {
        create: define(text(own)),
        change: `DROP TABLE gen.${name}; ${define(other(own))}`,
        found: `table gen.${name}: partition key`,
      }
    },
  },
  'publication WHERE': {
    since: 15,
    holds: 'one',
    make: ({ name, table, text, other }) => ({
      create: `${table} CREATE PUBLICATION ${name}_p FOR TABLE gen.${name} WHERE (${text(own)}) WITH (publish = 'insert');`,
      change: `ALTER PUBLICATION ${name}_p SET TABLE gen.${name} WHERE (${other(own)});`,
      found: `publication ${name}_p: tables`,
    }),
  },
}
