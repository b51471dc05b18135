/** The databases of the benchmark, a kind each of what takes long in practice. Scale 1 is what its name says. */
export interface BenchDatabase {
  readonly about: string
  /** @param scale 0.1 is a tenth of the rows or tables */
  readonly statements: (scale: number) => string[]
}

const payload = `jsonb_build_object('kind', g % 7, 'user', 'u' || (g::bigint * 7919 % 50000), 'tags',
  jsonb_build_array(md5((g % 1000)::text), md5((g % 77)::text)), 'amount', g * 1.01)`

export const databases: Record<string, BenchDatabase> = {
  mixed: {
    about: '1.7 GB: 5, 2 and 1 million rows, GIN on jsonb, 200 small tables',
    statements: (scale) => [
      `CREATE TABLE accounts AS SELECT g::int AS aid, (g % 50)::int AS bid, 0::int AS abalance, ''::char(84) AS filler
         FROM generate_series(1, ${rows(5_000_000, scale)}) g`,
      'ALTER TABLE accounts ADD PRIMARY KEY (aid)',
      `CREATE TABLE events AS SELECT g::bigint AS id, (g % 1000)::int AS uid, timestamptz '2024-01-01' + g * interval '1 s' AS at,
         ${payload} AS payload, 'kind' || g % 10 AS kind FROM generate_series(1, ${rows(2_000_000, scale)}) g`,
      'ALTER TABLE events ADD PRIMARY KEY (id)',
      'CREATE INDEX ON events (uid)',
      'CREATE INDEX ON events (at)',
      'CREATE INDEX ON events (kind, at)',
      'CREATE INDEX ON events USING gin (payload)',
      `CREATE TABLE orders AS SELECT g::bigint AS id, (g % ${rows(5_000_000, scale)} + 1)::int AS account, (g * 1.01)::numeric(12,2) AS amount,
         md5(g::text) AS note FROM generate_series(1, ${rows(1_000_000, scale)}) g`,
      'ALTER TABLE orders ADD PRIMARY KEY (id)',
      'CREATE INDEX ON orders (account)',
      'ALTER TABLE orders ADD FOREIGN KEY (account) REFERENCES accounts (aid)',
      smallTables(Math.max(1, Math.round(200 * scale)), 1000),
    ],
  },
  tables: {
    about: '10,000 small tables with a key and an index',
    statements: (scale) => {
      const all = rows(10_000, scale)
      // each statement makes some: every table takes locks until it ends
      return Array.from({ length: Math.ceil(all / 500) }, (_, at) =>
        smallTables(Math.min(500, all - at * 500), 20, at * 500),
      )
    },
  },
  one: {
    about: 'one table of 4 GB with six indexes',
    statements: (scale) => [
      `CREATE TABLE one AS SELECT g::bigint AS id, (g::bigint * 7919 % 1000003)::int AS a, (g % 5000)::int AS b,
         timestamptz '2020-01-01' + g * interval '1 s' AS at, md5(g::text) AS note, repeat(md5((g + 1)::text), 8) AS body
         FROM generate_series(1, ${rows(11_000_000, scale)}) g`,
      'ALTER TABLE one ADD PRIMARY KEY (id)',
      'CREATE INDEX ON one (a)',
      'CREATE INDEX ON one (b, at)',
      'CREATE INDEX ON one (at)',
      'CREATE INDEX ON one (note)',
      'CREATE INDEX ON one (lower(note))',
    ],
  },
  objects: {
    about: '50,000 large objects of 8 KB',
    statements: (scale) => {
      const all = rows(50_000, scale)
      return Array.from(
        { length: Math.ceil(all / 1000) },
        (_, at) =>
          `SELECT count(lo_from_bytea(0, decode(repeat(md5(g::text), 256), 'hex')))
             FROM generate_series(${at * 1000 + 1}, ${Math.min(all, at * 1000 + 1000)}) g`,
      )
    },
  },
  wide: {
    about: '1 GB in wide rows: 200 columns, and texts that are stored apart',
    statements: (scale) => [
      `CREATE TABLE wide AS SELECT g AS id, ${Array.from({ length: 198 }, (_, at) => `(g * ${at + 1} % 100000)::int AS c${at}`).join(', ')},
         (SELECT string_agg(md5((g * 100 + i)::text), '') FROM generate_series(1, 100) i) AS body
         FROM generate_series(1, ${rows(200_000, scale)}) g`,
      'ALTER TABLE wide ADD PRIMARY KEY (id)',
    ],
  },
}

function rows(all: number, scale: number): number {
  return Math.max(10, Math.round(all * scale))
}

/**
 * SQL that makes small tables, each with a key and an index, named by their number.
 *
 * @param from how many there are already
 */
export function smallTables(count: number, rowsEach: number, from = 0): string {
  return `DO $$ BEGIN FOR t IN ${from + 1}..${from + count} LOOP
    EXECUTE format('CREATE TABLE small_%s (id int PRIMARY KEY, note text, at timestamptz DEFAULT now())', t);
    EXECUTE format('INSERT INTO small_%s SELECT g, md5(g::text), now() FROM generate_series(1, ${rowsEach}) g', t);
    EXECUTE format('CREATE INDEX ON small_%s (note)', t);
  END LOOP; END $$`
}
