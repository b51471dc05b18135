import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { allChecks } from '../../src/migration/checks/all.ts'
import { answersOf } from '../support/check-scenarios.ts'
import { PolarStandIn } from '../support/polardb-standin.ts'
import { type Major, TestServer } from '../support/server.ts'

/** What an ordinary application has: nothing in it is a reason to warn anybody. */
const ordinary = `
  CREATE SCHEMA shop;
  CREATE TYPE shop.state AS ENUM ('new', 'paid');
  CREATE DOMAIN shop.amount AS numeric(12, 2) CHECK (VALUE >= 0);
  CREATE TABLE shop.customer (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail text NOT NULL UNIQUE, photo bytea,
    since timestamptz NOT NULL DEFAULT now() CHECK (since <= now()), birth date, CHECK (birth IS NOT NULL AND birth < CURRENT_DATE));
  CREATE TABLE shop.orders (
    id bigserial PRIMARY KEY, customer int NOT NULL REFERENCES shop.customer ON DELETE CASCADE,
    state shop.state NOT NULL DEFAULT 'new', total shop.amount, CONSTRAINT positive CHECK (total > 0));
  CREATE FUNCTION shop.plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(trim(both FROM $1))';
  CREATE INDEX ON shop.customer (shop.plain(mail));
  CREATE INDEX ON shop.orders (state) WHERE state = 'new';
  CREATE VIEW shop.open AS SELECT * FROM shop.orders WHERE state = 'new';
  CREATE MATERIALIZED VIEW shop.totals AS SELECT customer, sum(total) FROM shop.orders GROUP BY 1;
  CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER note BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE PROCEDURE shop.note();
  CREATE TABLE shop.log (at timestamptz NOT NULL, what text) PARTITION BY RANGE (at);
  CREATE TABLE shop.log_2026 PARTITION OF shop.log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
  CREATE EXTENSION pgcrypto;
  CREATE ROLE shop_reader;
  GRANT USAGE ON SCHEMA shop TO shop_reader;
  GRANT SELECT ON ALL TABLES IN SCHEMA shop TO shop_reader;
  INSERT INTO shop.customer (mail, birth) VALUES ('a@example.org', '1990-01-01'), ('b@example.org', '1980-01-01');
  INSERT INTO shop.orders (customer, total) SELECT 1, g FROM generate_series(1, 100) g;
  SELECT lo_from_bytea(0, 'x');`

/** Answers that speak against it, but for how quickly a server answers: this machine may have other things to do. */
const against = (answers: Awaited<ReturnType<typeof answersOf>>) =>
  answers.filter(
    ({ id, status }) => status !== 'passed' && !(/-latency$/.test(id) && status === 'failed'),
  )

describe.each([
  { source: 10, target: 15 },
  { source: 15, target: 15 },
] as const)('a healthy source of $source and a target of $target', (majors) => {
  const servers = new Map<'source' | 'target', TestServer>()
  const start = async (side: 'source' | 'target') =>
    servers.set(side, await TestServer.start(majors[side] as Major))

  beforeAll(async () => {
    await Promise.all([start('source'), start('target')])
    await servers.get('source')?.sql('CREATE DATABASE shop')
    await servers.get('source')?.sql(ordinary, 'shop')
  })

  afterAll(async () => {
    await Promise.all([...servers.values()].map((server) => server.stop()))
  })

  test('trip no check, and every one can be asked', async () => {
    const answers = await answersOf(allChecks, servers, 'shop')
    expect(answers.length).toBe(allChecks.length)
    expect(against(answers)).toEqual([])
  })
})

test('a target with the manners of PolarDB 11 trips none either', async () => {
  const source = await TestServer.start(11)
  const standIn = await PolarStandIn.start({ major: 11 })
  try {
    await source.sql('CREATE DATABASE shop')
    await source.sql(ordinary, 'shop')
    const servers = new Map([
      ['source', source],
      // it is asked for nothing but its address, with the account in it
      ['target', standIn as unknown as TestServer],
    ] as const)
    const answers = await answersOf(allChecks, servers, 'shop')
    expect(against(answers)).toEqual([])
  } finally {
    await source.stop()
    await standIn.stop()
  }
})
