/** A change that a migration could have made to the rich database, and all that a comparison must say about it. */
export interface Mutation {
  name: string
  sql: string
  /** `kind name` of everything that differs: nothing more, nothing less. */
  found: string[]
}

const table = (name: string) => `table ${name}`

export const rowMutations: Mutation[] = [
  {
    name: 'two rows that changed places between tables',
    sql: `INSERT INTO rich.elsewhere SELECT * FROM rich.keyless WHERE b = 2; DELETE FROM rich.keyless WHERE b = 2;
          INSERT INTO rich.keyless VALUES ('y', 5); DELETE FROM rich.elsewhere WHERE b = 5`,
    found: [table('rich.elsewhere: rows'), table('rich.keyless: rows')],
  },
  {
    name: 'two values that changed places between rows',
    sql: `UPDATE rich.keyless SET a = CASE b WHEN 1 THEN '' ELSE 'x' END WHERE ctid IN
            (SELECT min(ctid) FROM rich.keyless WHERE b = 1 UNION SELECT ctid FROM rich.keyless WHERE b = 2)`,
    found: [table('rich.keyless: rows')],
  },
  {
    name: 'a row twice in a table without a key',
    sql: `INSERT INTO rich.keyless VALUES ('x', 1)`,
    found: [table('rich.keyless: rows')],
  },
  {
    name: 'one duplicate more and another less',
    sql: `UPDATE rich.keyless SET a = '', b = 2 WHERE ctid = (SELECT min(ctid) FROM rich.keyless WHERE b = 1)`,
    found: [table('rich.keyless: rows')],
  },
  {
    name: 'a row lost',
    sql: 'DELETE FROM rich.hashed WHERE id = 7',
    found: [table('rich.hashed_1: rows')],
  },
  {
    name: 'a row too many',
    sql: 'INSERT INTO rich.child (a) VALUES (3)',
    found: [table('rich.child: rows')],
  },
  {
    name: 'an empty string instead of a null',
    sql: `UPDATE rich.keyless SET a = '' WHERE a IS NULL`,
    found: [table('rich.keyless: rows')],
  },
  {
    name: 'a null instead of an empty string',
    sql: `UPDATE rich.keyless SET a = NULL WHERE a = ''`,
    found: [table('rich.keyless: rows')],
  },
  {
    name: 'a timestamp moved by a time zone',
    sql: `UPDATE rich.orders SET at = at + interval '1 hour' WHERE id = 15`,
    found: [table('rich.orders: rows')],
  },
  {
    name: 'a row of a table without columns',
    sql: 'DELETE FROM rich.nothing',
    found: [table('rich.nothing: rows')],
  },
  {
    name: 'a row in another partition',
    sql: `UPDATE rich.events SET kind = 'b' WHERE n = 2`,
    found: [table('rich.events_2024_a: rows'), table('rich.events_2024_rest: rows')],
  },
  {
    name: 'a row of a table with a hostile name',
    sql: `DELETE FROM "odd ""schema"""."odd
table 🐘"`,
    found: [table('odd "schema".odd\\ntable 🐘: rows')],
  },
  {
    name: 'a materialized view that was left empty',
    sql: 'REFRESH MATERIALIZED VIEW rich.totals WITH NO DATA',
    found: [table('rich.totals: rows')],
  },
  {
    name: 'a sequence behind',
    sql: `SELECT setval('rich.customers_id_seq', 299)`,
    found: ['sequence value rich.customers_id_seq: 300 on the source, 299 on the target'],
  },
  {
    name: 'a sequence that was never called',
    sql: `SELECT setval('rich.counter', 11, false)`,
    found: ['sequence value rich.counter: 11 on the source, 11 (not used yet) on the target'],
  },
  {
    name: 'a byte of a large object',
    sql: `SELECT lo_put(500002, 77777, '\\x00')`,
    found: ['large object 500002'],
  },
  {
    name: 'the last byte of a large object with a hole',
    sql: `SELECT lo_put(500003, 3000000, '\\x02')`,
    found: ['large object 500003'],
  },
  {
    name: 'a large object cut short',
    sql: `SELECT lo_truncate(lo_open(500002, 131072), 99999)`,
    found: ['large object 500002'],
  },
  {
    name: 'a large object lost',
    sql: 'SELECT lo_unlink(500003)',
    found: ['large object 1 object of "postgres": owner or grants', 'large object 500003'],
  },
  {
    name: 'a large object too many',
    sql: `SELECT lo_create(600000)`,
    found: [
      'large object 1 object of "postgres": owner or grants',
      'large object 500003 to 4294967295: 1 on the source, 2 on the target',
    ],
  },
  {
    name: "a large object's owner",
    sql: 'ALTER LARGE OBJECT 500001 OWNER TO postgres',
    found: [
      'large object 1 object of "postgres": owner or grants',
      'large object 1 object of "rich_owner": owner or grants',
    ],
  },
  {
    name: "a large object's grant",
    sql: 'REVOKE ALL ON LARGE OBJECT 500002 FROM rich_reader',
    found: [
      'large object 1 object of "postgres" with SELECT to rich_reader: owner or grants',
      'large object 1 object of "postgres": owner or grants',
    ],
  },
  {
    name: "a large object's comment",
    sql: `COMMENT ON LARGE OBJECT 500001 IS 'x'`,
    found: ['large object comments'],
  },
]

export const catalogMutations: Mutation[] = [
  {
    name: 'a dropped index',
    sql: 'DROP INDEX rich.customers_name',
    found: ['index rich.customers_name'],
  },
  {
    name: 'an invalid index',
    sql: `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'rich.customers_name'::regclass`,
    found: ['index rich.customers_name: invalid (none on the source, invalid on the target)'],
  },
  {
    name: 'an index on another column',
    sql: 'DROP INDEX rich.events_at; CREATE INDEX events_at ON rich.events (at)',
    found: [
      'index rich.events_at: definition',
      ...['2023', '2024_a', '2024', '2024_rest'].map(
        (part) => `index rich.events_${part}_at_n_idx`,
      ),
      ...['2023', '2024_a', '2024', '2024_rest'].map((part) => `index rich.events_${part}_at_idx`),
    ],
  },
  {
    name: 'a cluster mark lost',
    sql: 'ALTER TABLE rich.customers SET WITHOUT CLUSTER',
    found: ['index rich.customers_pkey: clustered'],
  },
  {
    name: 'a replica identity lost',
    sql: 'ALTER TABLE rich.orders REPLICA IDENTITY DEFAULT',
    found: ['index rich.orders_replica: replica identity', 'table rich.orders: replica identity'],
  },
  {
    name: 'a disabled trigger',
    sql: 'ALTER TABLE rich.customers DISABLE TRIGGER touch',
    found: ['trigger rich.customers touch: enabled'],
  },
  {
    name: 'a trigger enabled again',
    sql: 'ALTER TABLE rich.customers ENABLE TRIGGER sleeping',
    found: ['trigger rich.customers sleeping: enabled'],
  },
  {
    name: 'a trigger disabled on a partition',
    sql: 'ALTER TABLE rich.hashed_1 DISABLE TRIGGER each',
    found: ['trigger rich.hashed_1 each'],
  },
  {
    name: 'a dropped trigger',
    sql: 'DROP TRIGGER touch ON rich.customers',
    found: ['trigger rich.customers touch'],
  },
  {
    name: 'a disabled rule',
    sql: 'ALTER TABLE rich.customers DISABLE RULE silence',
    found: ['rule rich.customers silence: enabled'],
  },
  {
    name: 'a changed function body',
    sql: `CREATE OR REPLACE FUNCTION rich.double(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i * 3'`,
    found: ['function rich.double(integer): body'],
  },
  {
    name: 'a changed standard SQL body',
    sql: 'CREATE OR REPLACE FUNCTION rich.standard(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a + 2; END',
    found: ['function rich.standard(integer): SQL body'],
  },
  {
    name: 'a function no longer a security definer',
    sql: 'ALTER FUNCTION rich.touch() SECURITY INVOKER',
    found: ['function rich.touch(): attributes'],
  },
  {
    name: "a function's setting",
    sql: 'ALTER FUNCTION rich.touch() RESET search_path',
    found: ['function rich.touch(): settings'],
  },
  {
    name: 'an argument default',
    sql: `CREATE OR REPLACE FUNCTION rich.with_defaults(a int, b text DEFAULT 'y', VARIADIC c int[] DEFAULT '{}') RETURNS TABLE (n int, t text)
            LANGUAGE plpgsql COST 7 ROWS 11 AS $$ BEGIN RETURN QUERY SELECT a, b; END $$`,
    found: ['function rich.with_defaults(integer, text, integer[]): argument defaults'],
  },
  {
    name: 'a grant on a function',
    sql: 'GRANT EXECUTE ON FUNCTION rich.double(int) TO PUBLIC',
    found: ['function rich.double(integer): grants (gained: EXECUTE to PUBLIC)'],
  },
  {
    name: 'an aggregate',
    sql: `CREATE OR REPLACE AGGREGATE rich.total(int) (sfunc = int4pl, stype = int, initcond = '1')`,
    found: ['aggregate rich.total(integer): initial values'],
  },
  {
    name: 'a lost procedure',
    sql: 'DROP PROCEDURE rich.proc(int, text)',
    found: ['procedure rich.proc(integer, text)'],
  },
  {
    name: 'a changed policy',
    sql: 'ALTER POLICY own_rows ON rich.customers USING (true)',
    found: ['policy rich.customers own_rows: using'],
  },
  {
    name: "a policy's roles",
    sql: 'ALTER POLICY own_rows ON rich.customers TO PUBLIC',
    found: ['policy rich.customers own_rows: roles'],
  },
  {
    name: 'a lost policy',
    sql: 'DROP POLICY fresh ON rich.customers',
    found: ['policy rich.customers fresh'],
  },
  {
    name: 'row security switched off',
    sql: 'ALTER TABLE rich.customers DISABLE ROW LEVEL SECURITY',
    found: [table('rich.customers: row security')],
  },
  {
    name: 'a lost grant',
    sql: 'REVOKE SELECT ON rich.customers FROM rich_reader',
    found: [table('rich.customers: grants (lost: SELECT to rich_reader)')],
  },
  {
    name: 'a grant too many',
    sql: 'GRANT DELETE ON rich.orders TO PUBLIC',
    found: [table('rich.orders: grants (gained: DELETE to PUBLIC)')],
  },
  {
    name: 'a grant on a column without its grant option',
    sql: 'REVOKE GRANT OPTION FOR UPDATE (name) ON rich.customers FROM "rich ""quoted"" role"',
    found: [
      table(
        'rich.customers: grants (lost: UPDATE* (name) to rich "quoted" role), grants (gained: UPDATE (name) to rich "quoted" role)',
      ),
    ],
  },
  {
    name: 'an owner',
    sql: 'ALTER TABLE rich.customers OWNER TO postgres',
    found: [
      'sequence rich.customers_id_seq: owner (rich_owner on the source, postgres on the target)',
      table('rich.customers: owner (rich_owner on the source, postgres on the target)'),
    ],
  },
  {
    name: "a schema's owner",
    sql: 'ALTER SCHEMA rich OWNER TO postgres',
    found: ['schema rich: owner (rich_owner on the source, postgres on the target)'],
  },
  {
    name: 'a default',
    sql: `ALTER TABLE rich.customers ALTER COLUMN note SET DEFAULT 'x'`,
    found: [table('rich.customers: default of note')],
  },
  {
    name: "a view column's default",
    sql: 'ALTER VIEW rich.buyers ALTER COLUMN loud DROP DEFAULT',
    found: ['view rich.buyers: default of loud'],
  },
  {
    name: 'a comment',
    sql: 'COMMENT ON TABLE rich.customers IS NULL',
    found: [table('rich.customers: comment')],
  },
  {
    name: "a column's comment",
    sql: `COMMENT ON COLUMN rich.customers.name IS 'x'`,
    found: [table('rich.customers: comment of name')],
  },
  {
    name: "a constraint's comment",
    sql: `COMMENT ON CONSTRAINT born_late ON rich.customers IS 'x'`,
    found: ['constraint rich.customers born_late: comment'],
  },
  {
    name: 'the order of enum labels',
    sql: `UPDATE pg_enum SET enumsortorder = -enumsortorder WHERE enumtypid = 'rich.mood'::regtype`,
    found: ['type rich.mood: labels'],
  },
  {
    name: 'an enum label too many',
    sql: `ALTER TYPE rich.mood ADD VALUE 'so so'`,
    found: ['type rich.mood: labels'],
  },
  {
    name: "a domain's check",
    sql: 'ALTER DOMAIN rich.positive DROP CONSTRAINT above_zero',
    found: ['domain rich.positive: constraints'],
  },
  {
    name: "a domain's default",
    sql: 'ALTER DOMAIN rich.positive SET DEFAULT 2',
    found: ['domain rich.positive: default'],
  },
  {
    name: "a composite type's comment",
    sql: 'COMMENT ON COLUMN rich.pair.a IS NULL',
    found: ['type rich.pair: comments on attributes'],
  },
  {
    name: "a column's statistics target",
    sql: 'ALTER TABLE rich.customers ALTER COLUMN name SET STATISTICS 100',
    found: [table('rich.customers: statistics target of name')],
  },
  {
    name: "an index column's statistics target",
    sql: 'ALTER INDEX rich.customers_name ALTER COLUMN 1 SET STATISTICS 400',
    found: ['index rich.customers_name: statistics target of lower'],
  },
  {
    name: "a column's storage",
    sql: 'ALTER TABLE rich.customers ALTER COLUMN note SET STORAGE MAIN',
    found: [table('rich.customers: storage of note')],
  },
  {
    name: "a column's compression",
    sql: 'ALTER TABLE rich.compressed ALTER COLUMN a SET COMPRESSION default',
    found: [table('rich.compressed: compression of a')],
  },
  {
    name: "a column's option",
    sql: 'ALTER TABLE rich.customers ALTER COLUMN id RESET (n_distinct)',
    found: [table('rich.customers: options of id')],
  },
  {
    name: 'a NOT NULL lost',
    sql: 'ALTER TABLE rich.orders ALTER COLUMN amount DROP NOT NULL',
    found: [table('rich.orders: columns')],
  },
  {
    name: 'a column of another type',
    sql: 'ALTER TABLE rich.elsewhere ALTER COLUMN a TYPE varchar(20)',
    found: [table('rich.elsewhere: columns'), table('rich.elsewhere: rows')],
  },
  {
    name: 'columns in another order',
    sql: 'ALTER TABLE rich.keyless RENAME a TO c; ALTER TABLE rich.keyless RENAME b TO a; ALTER TABLE rich.keyless RENAME c TO b',
    found: [
      'publication rich_some: tables',
      table('rich.keyless: columns'),
      table('rich.keyless: rows'),
    ],
  },
  {
    name: "a column's collation",
    sql: 'ALTER TABLE rich.elsewhere ALTER COLUMN a TYPE text COLLATE "C"',
    found: [table('rich.elsewhere: columns')],
  },
  {
    name: 'another kind of identity',
    sql: 'ALTER TABLE rich.orders ALTER COLUMN id SET GENERATED BY DEFAULT',
    found: [table('rich.orders: identity of id')],
  },
  {
    name: 'a generated column that became an ordinary one',
    sql: 'ALTER TABLE rich.computed ALTER COLUMN b DROP EXPRESSION',
    found: [table('rich.computed: generation of b')],
  },
  {
    name: 'a storage parameter',
    sql: 'ALTER TABLE rich.customers RESET (fillfactor)',
    found: [table('rich.customers: options')],
  },
  {
    name: 'a storage parameter of TOAST',
    sql: 'ALTER TABLE rich.customers RESET (toast.autovacuum_enabled)',
    found: [table('rich.customers: toast options')],
  },
  {
    name: 'an unlogged table that became logged',
    sql: 'ALTER TABLE rich.volatile SET LOGGED',
    found: [table('rich.volatile: persistence')],
  },
  {
    name: 'a table too many',
    sql: 'CREATE TABLE rich.extra ()',
    found: [table('rich.extra')],
  },
  {
    name: 'a lost table',
    sql: 'DROP TABLE rich.elsewhere',
    found: [table('rich.elsewhere'), table('rich.elsewhere: rows')],
  },
  {
    name: 'a detached partition',
    sql: 'ALTER TABLE rich.events DETACH PARTITION rich.events_2023',
    found: [
      'index rich.events_2023_at_n_idx: partition',
      table('rich.events_2023: parents, partition bound'),
    ],
  },
  {
    name: 'a child that no longer inherits',
    sql: 'ALTER TABLE rich.child NO INHERIT rich.parent',
    found: [table('rich.child: columns, parents')],
  },
  {
    name: 'a constraint not validated',
    sql: `ALTER TABLE rich.customers DROP CONSTRAINT born_late;
      ALTER TABLE rich.customers ADD CONSTRAINT born_late CHECK (born > '1900-01-01') NOT VALID;
      COMMENT ON CONSTRAINT born_late ON rich.customers IS 'nobody is that old'`,
    found: [
      'constraint rich.customers born_late: definition, not validated (none on the source, NOT VALID on the target)',
    ],
  },
  {
    name: 'a constraint validated',
    sql: 'ALTER TABLE rich.orders VALIDATE CONSTRAINT amount_sane',
    found: [
      'constraint rich.orders amount_sane: definition, not validated (NOT VALID on the source, none on the target)',
    ],
  },
  {
    name: 'a lost foreign key',
    sql: 'ALTER TABLE rich.orders DROP CONSTRAINT orders_customer_fkey',
    found: ['constraint rich.orders orders_customer_fkey'],
  },
  {
    name: 'a changed view',
    sql: `CREATE OR REPLACE VIEW rich.buyers WITH (security_barrier = true) AS
            SELECT name, email, upper(note) AS loud, date_trunc('year', born) AS year FROM rich.customers WHERE born > '2001-02-02' ORDER BY name`,
    found: ['view rich.buyers: query'],
  },
  {
    name: 'a view of another table of the same shape',
    sql: `ALTER TABLE rich.keyless RENAME TO other; ALTER TABLE rich.elsewhere RENAME TO keyless; ALTER TABLE rich.other RENAME TO elsewhere`,
    found: [
      'publication rich_some: tables',
      table('rich.elsewhere: rows'),
      table('rich.keyless: rows'),
      'view rich.sums: query',
    ],
  },
  {
    name: "a view's option",
    sql: 'ALTER VIEW rich.buyers RESET (security_barrier)',
    found: ['view rich.buyers: options'],
  },
  {
    name: "a sequence's increment",
    sql: 'ALTER SEQUENCE rich.counter INCREMENT BY -2',
    found: ['sequence rich.counter: sequence'],
  },
  {
    name: 'the column that owns a sequence',
    sql: 'ALTER SEQUENCE rich.customers_id_seq OWNED BY NONE',
    found: ['sequence rich.customers_id_seq: owned by'],
  },
  {
    name: 'a setting of the database',
    sql: "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' RESET work_mem'; END $$",
    found: ['database setting work_mem'],
  },
  {
    name: 'a setting of a role in the database',
    sql: "DO $$ BEGIN EXECUTE 'ALTER ROLE rich_reader IN DATABASE ' || current_database() || ' RESET ALL'; END $$",
    found: ['database setting statement_timeout of rich_reader'],
  },
  {
    name: 'a grant on the database',
    sql: "DO $$ BEGIN EXECUTE 'REVOKE CREATE ON DATABASE ' || current_database() || ' FROM rich_owner'; END $$",
    found: ['database grants (lost: CREATE to rich_owner)'],
  },
  {
    name: 'a comment on the database',
    sql: "DO $$ BEGIN EXECUTE 'COMMENT ON DATABASE ' || current_database() || ' IS NULL'; END $$",
    found: ['database comment'],
  },
  {
    name: 'default privileges',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE rich_owner IN SCHEMA rich REVOKE SELECT ON TABLES FROM rich_reader',
    found: ['default privileges for role rich_owner in schema rich on tables'],
  },
  {
    name: 'what everybody may do in public',
    sql: 'GRANT CREATE ON SCHEMA public TO PUBLIC',
    found: ['schema public: grants (gained: CREATE to PUBLIC)'],
  },
  {
    name: 'a grant on a schema',
    sql: 'REVOKE USAGE ON SCHEMA rich FROM rich_reader',
    found: ['schema rich: grants (lost: USAGE to rich_reader)'],
  },
  {
    name: 'another version of an extension',
    sql: `UPDATE pg_extension SET extversion = '1.0' WHERE extname = 'citext'`,
    found: [],
  },
  {
    name: 'an extension in another schema',
    sql: 'ALTER EXTENSION hstore SET SCHEMA public',
    found: ['extension hstore: schema', table('rich.customers: columns')],
  },
  {
    name: 'a publication without a table',
    sql: 'ALTER PUBLICATION rich_publication DROP TABLE rich.orders',
    found: ['publication rich_publication: tables'],
  },
  {
    name: "a publication's row filter",
    sql: 'ALTER PUBLICATION rich_some SET TABLE rich.keyless (a) WHERE (b > 2)',
    found: ['publication rich_some: tables'],
  },
  {
    name: 'what a publication publishes',
    sql: `ALTER PUBLICATION rich_publication SET (publish = 'insert')`,
    found: ['publication rich_publication: publishes'],
  },
  {
    name: 'a disabled event trigger',
    sql: 'ALTER EVENT TRIGGER rich_ddl DISABLE',
    found: ['event trigger rich_ddl: enabled'],
  },
  {
    name: "a foreign server's option",
    sql: `ALTER SERVER rich_server OPTIONS (SET host 'example.com')`,
    found: ['foreign server rich_server: options'],
  },
  {
    name: "a foreign table's option",
    sql: `ALTER FOREIGN TABLE rich.far OPTIONS (SET table_name 'near')`,
    found: ['foreign table rich.far: server'],
  },
  {
    name: "a foreign column's option",
    sql: `ALTER FOREIGN TABLE rich.far ALTER COLUMN a OPTIONS (SET column_name 'c')`,
    found: ['foreign table rich.far: foreign options of a'],
  },
  {
    name: "a foreign-data wrapper's option",
    sql: `ALTER FOREIGN DATA WRAPPER rich_fdw OPTIONS (SET debug 'false')`,
    found: ['foreign-data wrapper rich_fdw: options'],
  },
  {
    name: 'a lost user mapping',
    sql: 'DROP USER MAPPING FOR rich_reader SERVER rich_server',
    found: ['user mapping USER MAPPING rich_reader SERVER rich_server'],
  },
  {
    name: 'a lost statistics object',
    sql: 'DROP STATISTICS rich.orders_stats',
    found: ['statistics object rich.orders_stats'],
  },
  {
    name: "a statistics object's target",
    sql: 'ALTER STATISTICS rich.orders_stats SET STATISTICS 78',
    found: ['statistics object rich.orders_stats: statistics target'],
  },
  {
    name: 'a text search mapping',
    sql: 'ALTER TEXT SEARCH CONFIGURATION rich.config DROP MAPPING FOR word',
    found: ['text search configuration rich.config: mappings'],
  },
  {
    name: 'a text search dictionary',
    sql: 'ALTER TEXT SEARCH DICTIONARY rich.dict (stopwords)',
    found: ['text search dictionary rich.dict: options'],
  },
  {
    name: 'a lost collation',
    sql: `ALTER COLLATION rich.plain RENAME TO fancy`,
    found: [
      'collation rich.fancy',
      'collation rich.plain',
      table('rich.customers: columns'),
      'view rich.buyers: columns',
      'view rich.sums: columns',
    ],
  },
  {
    name: 'a lost cast',
    sql: 'DROP CAST (rich.pair AS int)',
    found: ['cast CAST (rich.pair AS integer)'],
  },
  {
    name: 'a lost operator',
    sql: 'DROP OPERATOR rich.=== (rich.pair, rich.pair)',
    found: ['operator rich.=== (rich.pair, rich.pair)'],
  },
  {
    name: 'a lost operator class',
    sql: 'DROP OPERATOR CLASS rich.backwards_ops USING btree',
    found: [
      'operator class rich.backwards_ops USING btree',
      'operator family rich.backwards USING btree: operators, functions',
    ],
  },
  { name: 'a lost conversion', sql: 'DROP CONVERSION rich.conv', found: ['conversion rich.conv'] },
  {
    name: 'a lost schema',
    sql: 'DROP SCHEMA "odd ""schema""" CASCADE',
    found: [
      'constraint odd "schema".odd\\ntable 🐘 odd\\ntable 🐘_pkey',
      'index odd "schema".odd\\ntable 🐘_pkey',
      'schema odd "schema"',
      table('odd "schema".odd\\ntable 🐘'),
      table('odd "schema".odd\\ntable 🐘: rows'),
    ],
  },
]
