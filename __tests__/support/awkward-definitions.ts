/** Definitions that servers print in unusual ways, by the first major that has them. Each is one statement or several. */
const definitions: Record<number, string[]> = {
  10: [
    `CREATE TABLE awk.seat (desk int, v varchar(10), c char(4), n int, m numeric, t text, a int[], d date, ts timestamptz, x xml, i interval, PRIMARY KEY (desk))`,
    `CREATE TABLE awk.desk (id int PRIMARY KEY, owner text)`,
    `CREATE VIEW awk.busy AS SELECT id FROM awk.desk WHERE EXISTS (SELECT 'x' FROM awk.seat WHERE seat.desk = desk.id)`,
    `CREATE POLICY own ON awk.desk USING (owner = (SELECT 'me'))`,
    `CREATE VIEW awk.joined AS SELECT * FROM awk.seat JOIN awk.desk d (desk, who) USING (desk)`,
    `CREATE VIEW awk.full_joined AS SELECT desk, s.v, r.v AS other FROM awk.seat s FULL JOIN awk.seat r USING (desk, n) WHERE coalesce(s.v, r.v) IN ('a', 'b')`,
    `CREATE VIEW awk.three AS SELECT p, q, id FROM (awk.seat a JOIN awk.desk b ON a.desk = b.id) AS j (p, q) JOIN awk.desk d USING (id)`,
    `CREATE VIEW awk.grouped AS SELECT v, c, GROUPING(v, c), count(*) FILTER (WHERE v IN ('a', 'b')), sum(n) FROM awk.seat
       GROUP BY GROUPING SETS ((v, c), ROLLUP (v, n), CUBE (c), ()) HAVING max(n) > -1`,
    `CREATE VIEW awk.xml_table AS SELECT x.* FROM awk.seat, XMLTABLE(XMLNAMESPACES('http://a' AS a), '/r/x' PASSING seat.x
       COLUMNS id FOR ORDINALITY, name text PATH '@n' DEFAULT 'none', n int NOT NULL) x`,
    `CREATE VIEW awk.xml_made AS SELECT xmlelement(name e, xmlattributes('1' AS a, v), xmlforest(v AS w, n)), xmlconcat(x, xmlcomment('c')), xmlpi(name p, 'x'),
       x IS DOCUMENT AS d, xmlparse(CONTENT '<a/>'), xmlserialize(CONTENT x AS text), xmlroot(x, version '1.0', standalone yes), xmlexists('//a' PASSING x) FROM awk.seat`,
    `CREATE VIEW awk.rows AS SELECT (desk, v) = (1, 'a') AS e, ROW(desk, v) < ROW(1, 'b') AS l, (desk, v) IS DISTINCT FROM (1, 'x') AS i, ROW(desk, NULL) IS NULL AS z,
       (desk, n) IN (SELECT 1, 2) AS q, ROW(seat.*)::awk.seat AS w, seat FROM awk.seat`,
    `CREATE VIEW awk.field AS SELECT (s).desk, (s.seat).v FROM (SELECT seat, seat AS s FROM awk.seat) s`,
    `CREATE VIEW awk.starred AS SELECT *, 'x' AS lit, -1 AS neg, NULL AS nil FROM awk.joined`,
    `CREATE VIEW awk.starred_again AS SELECT s.*, s.lit || 'y' FROM awk.starred s WHERE s.v IN ('a', 'b')`,
    `CREATE TABLE awk.renamed (old int, keep varchar(9), more int, "Odd ""name""" text); CREATE VIEW awk.of_renamed AS SELECT old, keep, "Odd ""name""" FROM awk.renamed WHERE keep IN ('a', 'b');
     CREATE VIEW awk.of_renamed_using AS SELECT old, r.keep, renamed.more FROM awk.renamed JOIN awk.renamed r USING (old);
     ALTER TABLE awk.renamed RENAME old TO new; ALTER TABLE awk.of_renamed RENAME keep TO kept; ALTER TABLE awk.renamed RENAME TO renamed_twice; ALTER TABLE awk.renamed_twice ADD old text`,
    `CREATE VIEW awk.recursive AS WITH RECURSIVE r (n, v) AS (VALUES (1, 'a'::varchar) UNION ALL SELECT n + 1, CASE WHEN r.v IN ('a', 'b') THEN 'c' ELSE r.v END FROM r WHERE n < 5) SELECT * FROM r`,
    `CREATE RECURSIVE VIEW awk.recursive_view (n) AS VALUES (1) UNION SELECT n + 1 FROM recursive_view WHERE n BETWEEN 1 AND 5 AND n <> 3`,
    `CREATE VIEW awk.windows AS SELECT sum(n) OVER w, rank() OVER (w ORDER BY m DESC NULLS LAST), first_value(v) OVER (ORDER BY desk ROWS BETWEEN 1 PRECEDING AND UNBOUNDED FOLLOWING),
       lag(v, 1, 'none') OVER (PARTITION BY v IN ('a', 'b') ORDER BY desk RANGE UNBOUNDED PRECEDING) FROM awk.seat WINDOW w AS (PARTITION BY c)`,
    `CREATE DOMAIN awk.word AS varchar(20) DEFAULT 'a' CHECK (VALUE NOT IN ('x', 'y'))`,
    `CREATE DOMAIN awk.small_word AS awk.word CHECK (length(VALUE) BETWEEN 1 AND 5 AND VALUE <> 'abc') CHECK (VALUE IN ('a', 'b'))`,
    `CREATE TABLE awk.of_domains (w awk.word DEFAULT 'b', s awk.small_word CHECK (s IN ('a', 'b')), CHECK (w = ANY (ARRAY['a', 'b']) OR w = 'c'::awk.word))`,
    `CREATE VIEW awk.slices AS SELECT a[1] AS b, a[2:3] AS c, a[:2] AS d, a[n:], (ARRAY[1, 2, n])[2] AS f, (ARRAY[[1, 2], [3, 4]])[1][2] AS g, '{1,2}'::int[] || n AS h, ARRAY[]::text[] AS e FROM awk.seat`,
    `CREATE TABLE awk.intervals (y interval year DEFAULT '1', d interval day to second(3) CHECK (d > INTERVAL '1' DAY), i interval(0) DEFAULT INTERVAL '-1-2' YEAR TO MONTH, CHECK (i < '1 mon -1 day'::interval))`,
    `CREATE VIEW awk.bits AS SELECT B'101' AS b, X'1F' AS x, B'1'::bit(4) AS c, '1010'::varbit & B'0110' AS a, 5::bit(4) AS d FROM awk.seat`,
    `CREATE VIEW awk.collated AS SELECT v COLLATE "C", t || 'x' COLLATE "POSIX" AS p FROM awk.seat WHERE t COLLATE "C" < 'a' ORDER BY v COLLATE "C" USING >, c DESC NULLS LAST`,
    `CREATE INDEX seat_collated ON awk.seat (v COLLATE "C" varchar_pattern_ops DESC NULLS LAST, (lower(c)) text_pattern_ops) WHERE c IN ('a', 'b') AND n BETWEEN -1 AND 3 AND m > -1`,
    `CREATE VIEW awk.ordered_sets AS SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n), percentile_disc(ARRAY[0.1, -0.0]) WITHIN GROUP (ORDER BY m DESC), mode() WITHIN GROUP (ORDER BY v),
       rank(-1, 'a') WITHIN GROUP (ORDER BY n, v), string_agg(DISTINCT v, ',' ORDER BY v) FROM awk.seat`,
    `CREATE TYPE awk.pair AS (a int, b varchar(5)); CREATE TABLE awk.composites (p awk.pair DEFAULT ROW(-1, 'x'), q awk.pair[] DEFAULT ARRAY[ROW(1, 'a')]::awk.pair[], CHECK ((p).b IN ('x', 'y')), CHECK (p <> ROW(1, 'z')::awk.pair))`,
    `CREATE VIEW awk.composite_parts AS SELECT (q[1]).a AS c, (q[1]).b AS d, (p).* FROM awk.composites`,
    `CREATE VIEW awk.functions_from AS SELECT * FROM generate_series(1, 3) WITH ORDINALITY AS g (n, o), ROWS FROM (unnest(ARRAY['a', 'b']), json_to_record('{"a":1}') AS (a int, b text)) r (x, y, z),
       LATERAL (SELECT g.n + 1 AS m) l, jsonb_to_recordset('[]') AS j (k int, v varchar(3))`,
    `CREATE VIEW awk.sampled AS SELECT * FROM ONLY awk.seat TABLESAMPLE bernoulli (50.5) REPEATABLE (-1)`,
    `CREATE VIEW awk.sets AS (SELECT desk, 'a' AS w FROM awk.seat UNION ALL SELECT 1, 'b' ORDER BY 1 LIMIT 5) EXCEPT (SELECT 2, NULL INTERSECT SELECT 3, v FROM awk.seat) ORDER BY w, 1 DESC OFFSET 1`,
    `CREATE VIEW awk.valued AS SELECT * FROM (VALUES (1, 'a'), (-2, NULL), (3.5, 'c')) v (n, w) WHERE w IN ('a', 'c')`,
    `CREATE VIEW awk.valued_plain AS VALUES ('a', -1), ('b', 2)`,
    `CREATE VIEW awk.timed AS SELECT EXTRACT(year FROM d) AS y, date_part('dow', d) AS w, ts AT TIME ZONE 'Europe/Berlin' AS z, d + time '10:00' AS p, CURRENT_DATE, LOCALTIME(2), CURRENT_TIMESTAMP(3), CURRENT_USER, SESSION_USER, (ts, ts) OVERLAPS (ts, interval '1 day') AS o,
       overlay(t placing 'x' from 2 for 1), substring(t from '%#"a#"%' for '#'), position('a' in t), trim(leading 'x' from t) AS l, trim(t) AS b, rtrim(t) FROM awk.seat`,
    `CREATE VIEW awk.cased AS SELECT CASE v WHEN 'a' THEN 'b' ELSE NULL END AS c1, CASE WHEN v IS NULL THEN 1 END AS c2, NULLIF(v, 'a'), COALESCE(v, c, 'x'), GREATEST(v, 'a'), LEAST(n, -1), v IS NOT DISTINCT FROM 'x' AS n, n IS NOT NULL AS nn, (n > 1) IS UNKNOWN AS u, NOT (v LIKE 'a!_' ESCAPE '!') AS l, v SIMILAR TO 'a+' AS s, v ~~* 'B' AS i FROM awk.seat`,
    `CREATE VIEW awk.any_all AS SELECT n = ANY (a) AS x, n <> ALL (ARRAY[1, -2, 3]) AS y, v = ANY ('{a,b}') AS z, v = ANY ((SELECT ARRAY['a', 'b'])::varchar[]) AS w, n = ANY (SELECT 1) AS q, n OPERATOR(pg_catalog.=) 3 AS o, -n AS neg, - (-1) AS pos, @ n AS abs, n ^ -2 AS pow, (n + 1) * 2 - -3 AS sum FROM awk.seat`,
    `CREATE RULE upd AS ON UPDATE TO awk.desk WHERE NEW.owner IN ('a', 'b') AND OLD.id BETWEEN 1 AND 3 DO ALSO (INSERT INTO awk.seat (desk, v) VALUES (-1, 'x'), (NEW.id, DEFAULT) ON CONFLICT (desk) DO UPDATE SET v = excluded.v || 'y' WHERE seat.v <> 'z'; DELETE FROM awk.seat s USING awk.desk WHERE s.desk = OLD.id AND s.v = 'a')`,
    `CREATE RULE told AS ON UPDATE TO awk.desk DO ALSO NOTIFY awk`,
    `CREATE RULE ins AS ON INSERT TO awk.busy DO INSTEAD INSERT INTO awk.desk (id, owner) SELECT NEW.id, 'x' WHERE NOT EXISTS (SELECT 'y') RETURNING id`,
    `CREATE RULE del AS ON DELETE TO awk.desk DO ALSO UPDATE awk.seat SET (v, n) = (SELECT 'x', -1), a[1] = -1, m = DEFAULT FROM (VALUES (1)) o (i) WHERE desk = OLD.id AND o.i = 1`,
    `CREATE FUNCTION awk.act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER act BEFORE INSERT OR UPDATE OF v ON awk.seat FOR EACH ROW WHEN (NEW.v IN ('a', 'b') AND NEW.n > -1 AND NEW.* IS NOT NULL) EXECUTE PROCEDURE awk.act('EXECUTE PROCEDURE', 'x''y')`,
    `CREATE TRIGGER moved AFTER UPDATE ON awk.seat REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE PROCEDURE awk.act(); CREATE CONSTRAINT TRIGGER late AFTER DELETE ON awk.seat DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.c IN ('x', 'y')) EXECUTE PROCEDURE awk.act()`,
    `CREATE FUNCTION awk.defaults(a varchar DEFAULT 'x', b int DEFAULT -1, c text DEFAULT NULL, d date DEFAULT 'today'::text::date, e interval DEFAULT '1 day', VARIADIC f varchar[] DEFAULT ARRAY['a', 'b']) RETURNS int LANGUAGE sql AS 'SELECT 1'`,
    `CREATE TABLE awk.defaults (a varchar DEFAULT 'x', b numeric DEFAULT -1, c smallint DEFAULT -5, d char(3) DEFAULT 'y', e text DEFAULT ('a' || 'b'), f timestamptz DEFAULT 'now'::text::timestamptz, g varchar[] DEFAULT '{a}', h int DEFAULT nextval('awk.seq'), i text DEFAULT CURRENT_USER, j jsonb DEFAULT '{}', k text DEFAULT NULL, l bytea DEFAULT '\\x00', m bigint DEFAULT -3000000000, n real DEFAULT -1.5, o money DEFAULT -1, p text DEFAULT E'a\\nb\\\\', q date DEFAULT (now() - '1 day'::interval))`,
    `CREATE TABLE awk.excluded (c circle, r int4range, v varchar(5), EXCLUDE USING gist (c WITH &&) WHERE (v IN ('a', 'b')), EXCLUDE USING gist (r WITH &&) WHERE (v <> 'x'))`,
    `CREATE TABLE awk.parent (v varchar(5) CHECK (v IN ('a', 'b')), n int, CONSTRAINT pn CHECK (n BETWEEN 1 AND 5 AND n <> 3)); CREATE TABLE awk.child (CONSTRAINT pn CHECK (n BETWEEN 1 AND 5 AND n <> 3), z char(2) CHECK (z NOT IN ('a', 'b'))) INHERITS (awk.parent); ALTER TABLE awk.parent ADD CONSTRAINT later CHECK (v NOT IN ('x', 'y')) NOT VALID`,
    `CREATE TABLE awk.keyed (id int, v varchar(5), PRIMARY KEY (id, v), UNIQUE (v) DEFERRABLE INITIALLY DEFERRED); CREATE TABLE awk.keying (id int, v varchar(5), FOREIGN KEY (id, v) REFERENCES awk.keyed MATCH FULL ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE); ALTER TABLE awk.keying ADD CONSTRAINT k CHECK (v IN ('a', 'b')) NO INHERIT`,
    `CREATE EXTENSION hstore SCHEMA awk; CREATE EXTENSION citext SCHEMA awk; CREATE EXTENSION ltree SCHEMA awk`,
    `CREATE VIEW awk.of_extensions AS SELECT 'a=>1'::awk.hstore OPERATOR(awk.->) 'a' AS x, 'A'::awk.citext OPERATOR(awk.=) 'a' AS y, 'a.b'::awk.ltree OPERATOR(awk.<@) 'a' AS z, v::awk.citext IN ('a', 'b') AS w FROM awk.seat`,
    `CREATE TABLE awk.of_citext (e awk.citext CHECK (e IN ('a', 'b')), h awk.hstore DEFAULT 'a=>1', CHECK (h OPERATOR(awk.->) 'a' IN ('1', '2')), CHECK (e OPERATOR(awk.~) '^[a-z]+$'))`,
    `CREATE FUNCTION awk.same(awk.pair, awk.pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.a = $2.a'; CREATE OPERATOR awk.=== (leftarg = awk.pair, rightarg = awk.pair, procedure = awk.same); CREATE VIEW awk.of_operator AS SELECT p OPERATOR(awk.===) ROW(1, 'x')::awk.pair AS s FROM awk.composites`,
    // two views that need one another are dumped in two steps
    `CREATE VIEW awk.circle AS SELECT 1 AS a, 'x'::varchar(5) AS v; CREATE FUNCTION awk.of_circle() RETURNS SETOF awk.circle LANGUAGE sql AS 'SELECT 1, ''x''::varchar(5)'; CREATE OR REPLACE VIEW awk.circle AS SELECT a, v FROM awk.of_circle() WHERE v IN ('a', 'b')`,
    `CREATE MATERIALIZED VIEW awk.kept AS SELECT desk, v, 'x' AS w FROM awk.seat WHERE c NOT IN ('a', 'b') WITH NO DATA; CREATE INDEX kept_v ON awk.kept (v) WHERE v IN ('a', 'b')`,
    `CREATE VIEW awk.checked WITH (security_barrier) AS SELECT * FROM awk.desk WHERE owner IN ('a', 'b') WITH LOCAL CHECK OPTION; ALTER VIEW awk.checked ALTER owner SET DEFAULT 'z' || 'x'`,
    `CREATE VIEW "awk"."odd ""view"" $$ ' \n" AS SELECT desk AS "select", v AS "A b", 'x' AS "?column?" FROM awk.seat AS "order" WHERE v IN ('a', 'b''c')`,
    `CREATE TABLE awk."odd "" t
able" ("co
l" varchar(3), CONSTRAINT "c "" k" CHECK ("co
l" IN ('a', 'b')))`,
    `CREATE FOREIGN DATA WRAPPER awk_wrapper; CREATE SERVER awk_server FOREIGN DATA WRAPPER awk_wrapper; CREATE FOREIGN TABLE awk.far (v varchar(5) OPTIONS (name '(x)') DEFAULT 'a' CHECK (v IN ('a', 'b')), n int NOT NULL) SERVER awk_server OPTIONS (path '/x; y');
     CREATE VIEW awk.of_far AS SELECT * FROM awk.far WHERE v IN ('x', 'y') AND n BETWEEN 1 AND 3 AND n <> 2`,
    `CREATE POLICY many ON awk.seat FOR UPDATE USING (v IN ('a', 'b') AND n BETWEEN 1 AND 5 AND n <> 3) WITH CHECK (EXISTS (SELECT 'x' FROM awk.desk WHERE id = seat.desk))`,
  ],
  11: [
    `CREATE TABLE awk.parted (v varchar(5), n int, d date, CHECK (v IN ('a', 'b'))) PARTITION BY LIST (lower(v)); CREATE TABLE awk.parted_1 PARTITION OF awk.parted FOR VALUES IN ('a', NULL) PARTITION BY RANGE (n, d); CREATE TABLE awk.parted_1_1 PARTITION OF awk.parted_1 FOR VALUES FROM (-5, MINVALUE) TO (5, '2020-01-01'); CREATE TABLE awk.parted_rest PARTITION OF awk.parted DEFAULT; CREATE INDEX parted_n ON awk.parted (n) WHERE v IN ('a', 'b')`,
    `CREATE DOMAIN awk.pair_domain AS awk.pair CHECK ((VALUE).b IN ('a', 'b'))`,
    `CREATE VIEW awk.frames AS SELECT count(n) OVER (ORDER BY n GROUPS BETWEEN 1 PRECEDING AND 2 FOLLOWING EXCLUDE TIES), sum(n) OVER (ORDER BY ts RANGE BETWEEN '1 day' PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW) FROM awk.seat`,
  ],
  12: [
    `CREATE TABLE awk.parcel (weight int PRIMARY KEY, v varchar(5), class text GENERATED ALWAYS AS (CASE WHEN weight < 10 AND v IN ('a', 'b') THEN 'light' ELSE 'heavy' END) STORED)`,
    `CREATE VIEW awk.materialized_with AS WITH m AS MATERIALIZED (SELECT 'x' AS w), n AS NOT MATERIALIZED (SELECT 'y' AS u) SELECT * FROM m, n WHERE jsonb_path_exists('{}', '$.a ? (@ > -1)')`,
  ],
  13: [
    `CREATE VIEW awk.ties AS SELECT desk, 'x' AS w FROM awk.seat ORDER BY desk FETCH FIRST 3 ROWS WITH TIES; CREATE RULE ties AS ON UPDATE TO awk.seat DO ALSO INSERT INTO awk.desk SELECT desk, 'a' FROM awk.seat ORDER BY desk FETCH FIRST 2 ROWS WITH TIES`,
    `CREATE VIEW awk.normal AS SELECT normalize(t, NFD), t IS NFC NORMALIZED AS n FROM awk.seat`,
  ],
  14: [
    `CREATE FUNCTION awk.label() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT 'x'; END`,
    `CREATE FUNCTION awk.returned(v varchar DEFAULT 'a', n int DEFAULT -1) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN v IN ('a', 'b') AND n BETWEEN 1 AND 5 AND n <> 3`,
    `CREATE PROCEDURE awk.acting(n int) LANGUAGE sql BEGIN ATOMIC INSERT INTO awk.seat (desk, v) VALUES (n, 'x'), (-1, 'y') RETURNING desk; UPDATE awk.seat SET (v, m) = (SELECT 'a', -1) WHERE v IN ('a', 'b'); DELETE FROM awk.seat WHERE desk = n; SELECT 'x' UNION SELECT 'y'; END`,
    `CREATE VIEW awk.cycles AS WITH RECURSIVE r (n, p) AS (SELECT 1, 2 UNION ALL SELECT p, n FROM r) SEARCH DEPTH FIRST BY n SET o CYCLE n SET c USING path SELECT n, p, c FROM r`,
    `CREATE VIEW awk.subscripts AS SELECT ('{"a": {"b": 1}}'::jsonb)['a']['b'] AS s, '{[1,3),(5,7]}'::int4multirange * nummultirange_x AS m FROM (SELECT '{[2,9]}'::int4multirange AS nummultirange_x) q`,
    `CREATE STATISTICS awk.stats (mcv, ndistinct) ON (v IN ('a', 'b')), (n BETWEEN 1 AND 5 AND m > -1), n FROM awk.seat`,
    `CREATE TABLE awk.multi (r int4multirange DEFAULT '{[1,3)}' CHECK (r <> '{}' AND NOT r @> -1))`,
    `CREATE VIEW awk.aliased_join AS SELECT j.desk, s.v FROM awk.seat s JOIN awk.seat r USING (desk) AS j GROUP BY DISTINCT CUBE (j.desk, s.v)`,
  ],
  15: [
    `CREATE PUBLICATION awk_filter FOR TABLE awk.keyed WHERE (v <> 'a' AND id BETWEEN 1 AND 5 AND id IN (1, -2)), awk.desk (id, owner) WHERE (id <> -1) WITH (publish = 'insert')`,
    `CREATE TABLE awk.nulls (v varchar(5), UNIQUE NULLS NOT DISTINCT (v)); ALTER TABLE awk.keying ADD CONSTRAINT sn FOREIGN KEY (id, v) REFERENCES awk.keyed ON DELETE SET NULL (v)`,
    `CREATE VIEW awk.invoked WITH (security_invoker) AS SELECT * FROM awk.desk WHERE owner IN ('a', 'b')`,
  ],
  16: [
    `CREATE VIEW awk.json_made AS SELECT JSON_OBJECT('a' VALUE -1, 'b': 'x' ABSENT ON NULL WITH UNIQUE KEYS RETURNING jsonb), JSON_ARRAY('a', 1 NULL ON NULL), JSON_ARRAYAGG(v ORDER BY v RETURNING jsonb), JSON_OBJECTAGG(desk : v), bool_or(t IS JSON OBJECT WITH UNIQUE KEYS) FROM awk.seat`,
    `CREATE PROCEDURE awk.no_alias() LANGUAGE sql BEGIN ATOMIC SELECT * FROM (SELECT 'x'); SELECT SYSTEM_USER, 0x1F, 1_000, B'1'; END`,
  ],
  17: [
    `CREATE VIEW awk.json_table AS SELECT j.* FROM awk.seat, JSON_TABLE(t::jsonb, '$[*] ? (@.a > -1)' AS p PASSING v AS "pv", -1 AS n COLUMNS (id FOR ORDINALITY, w varchar(5) PATH '$.w' DEFAULT 'x' ON EMPTY NULL ON ERROR, k jsonb FORMAT JSON WITH WRAPPER KEEP QUOTES, NESTED PATH '$.n[*]' AS q COLUMNS (e int EXISTS PATH '$.e' FALSE ON ERROR)) ERROR ON ERROR) j`,
    `CREATE VIEW awk.json_queried AS SELECT JSON_VALUE(t::jsonb, '$.a' RETURNING int DEFAULT -1 ON EMPTY ERROR ON ERROR), JSON_QUERY(t::jsonb, '$.b' OMIT QUOTES), JSON_EXISTS(t::jsonb, '$.c' PASSING 'x' AS y UNKNOWN ON ERROR), JSON_SCALAR('x'), JSON_SERIALIZE(t::jsonb), JSON(t) FROM awk.seat`,
    `CREATE PROCEDURE awk.merging() LANGUAGE sql BEGIN ATOMIC MERGE INTO awk.keyed s USING (SELECT 'x' AS v, -1 AS d) q ON s.id = q.d WHEN MATCHED AND s.v IN ('a', 'b') THEN UPDATE SET (v, id) = ROW('y', -1) WHEN NOT MATCHED BY SOURCE AND s.id BETWEEN 1 AND 5 AND s.id <> 3 THEN DELETE WHEN NOT MATCHED THEN INSERT (id, v) VALUES (q.d, q.v) RETURNING merge_action(), s.id; END`,
  ],
  18: [
    `CREATE TABLE awk.virtual (v varchar(5), n int, g boolean GENERATED ALWAYS AS (v IN ('a', 'b') AND n BETWEEN 1 AND 5 AND n > -1) VIRTUAL, CONSTRAINT ne CHECK (v NOT IN ('x', 'y')) NOT ENFORCED, CONSTRAINT nn NOT NULL n NO INHERIT)`,
    `CREATE PROCEDURE awk.returning() LANGUAGE sql BEGIN ATOMIC UPDATE awk.seat SET v = 'x' WHERE v IN ('a', 'b') RETURNING WITH (OLD AS before) before.v, NEW.v; END`,
    `CREATE TABLE awk.periods (id int4range, p daterange, PRIMARY KEY (id, p WITHOUT OVERLAPS)); CREATE TABLE awk.of_periods (id int4range, p daterange, FOREIGN KEY (id, PERIOD p) REFERENCES awk.periods (id, PERIOD p))`,
  ],
}

/** The statements that a server of a major, and every newer one, understands. */
export function awkwardDefinitions(major: number): string[] {
  return [
    'CREATE SCHEMA awk',
    'CREATE SEQUENCE awk.seq',
    ...Object.entries(definitions).flatMap(([since, list]) => (major >= Number(since) ? list : [])),
  ]
}
