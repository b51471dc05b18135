import { allChecks } from '../../src/migration/checks/all.ts'
import type { Check } from '../../src/migration/checks/check.ts'
import { describeScenarios, type Scenario } from '../support/check-scenarios.ts'

function named(id: string): Check {
  const check = allChecks.find((one) => one.id === id)
  if (!check) throw new Error(`there is no check ${id}`)
  return check
}

const asMover = {
  prepare: {
    source: 'CREATE TABLE public.t ()',
    target: `CREATE ROLE mover LOGIN PASSWORD 'p'; GRANT CREATE ON DATABASE :database TO mover; GRANT CREATE ON SCHEMA public TO mover`,
  },
  account: { target: 'mover' },
  clean: { target: 'DROP ROLE mover' },
} satisfies Partial<Scenario>

describeScenarios(
  [
    { source: 10, target: 11 },
    { source: 18, target: 18 },
  ],
  [
    {
      name: 'a database that is not empty',
      check: named('target-content'),
      trip: { target: 'CREATE TABLE public.someones ()' },
      expected: { message: /not empty: It holds 1 object/, remedy: /another name/ },
      remedy: { paste: 'workflow' },
    },
    {
      ...asMover,
      name: 'one that is not empty, and in which nothing may be created either',
      check: named('target-content'),
      trip: {
        target: 'CREATE TABLE public.someones (); REVOKE CREATE ON DATABASE :database FROM mover',
      },
      expected: { message: /may not create anything in .*; .* is not empty/ },
      remedy: {
        target: 'DROP TABLE public.someones; GRANT CREATE ON DATABASE :database TO mover',
      },
    },
    {
      ...asMover,
      name: 'a role that is to be made, and nothing may be created in the database',
      check: named('target-privileges'),
      trip: {
        source: 'CREATE ROLE "fresh 1"',
        target: 'REVOKE CREATE ON DATABASE :database FROM mover',
      },
      expected: {
        message:
          /"mover" lacks CREATEROLE, to create 1 role \("fresh 1"\); CREATE on the database "scenario \d+"/,
      },
      remedy: { paste: 'target' },
      clean: { source: 'DROP ROLE "fresh 1"', target: 'DROP ROLE mover' },
    },
    {
      ...asMover,
      name: 'the schema public is closed',
      check: named('target-privileges'),
      trip: { target: 'REVOKE CREATE ON SCHEMA public FROM mover, PUBLIC' },
      expected: { message: /lacks CREATE on the schema public of "scenario \d+"/ },
      remedy: { paste: 'target' },
    },
    {
      ...asMover,
      name: 'the database is to be made anew',
      check: named('target-privileges'),
      inputs: { 'if-target-not-empty': 'swap' },
      prepare: { target: `CREATE ROLE mover LOGIN CREATEDB PASSWORD 'p'` },
      trip: { target: 'ALTER ROLE mover NOCREATEDB' },
      expected: { objects: ['CREATEDB'] },
      remedy: { paste: 'target' },
    },
    {
      ...asMover,
      name: 'a rehearsal is to drop what it has given away',
      check: named('target-privileges'),
      on: ({ target }) => target < 16,
      inputs: { command: 'rehearse' },
      trip: { target: 'ALTER ROLE mover NOINHERIT' },
      expected: { objects: ['INHERIT'] },
      remedy: { paste: 'target' },
    },
    {
      ...asMover,
      name: 'of the account',
      check: named('target-connections'),
      trip: { target: 'ALTER ROLE mover CONNECTION LIMIT 3' },
      expected: { severity: 'blocker', message: /the account is limited to 3 connections/ },
      remedy: { paste: 'target' },
    },
    {
      name: 'ranges of text that ICU of another version sorts',
      check: named('source-partition-keys'),
      on: ({ source, target }) => source !== target,
      prepare: {
        source: `CREATE TABLE plain (a text) PARTITION BY RANGE (a); CREATE TABLE days (a date) PARTITION BY RANGE (a)`,
      },
      trip: { source: 'CREATE TABLE names (a text COLLATE "de-x-icu") PARTITION BY RANGE (a)' },
      expected: { objects: ['"public"."names"'] },
      remedy: { paste: 'workflow' },
    },
    {
      name: 'hashes of arrays of an enum, and of what is equal by its collation',
      check: named('source-partition-keys'),
      on: ({ source }) => source >= 12,
      prepare: {
        source: `CREATE TYPE e AS ENUM ('a'); CREATE TABLE one (a e) PARTITION BY HASH (a); CREATE TABLE number (a int[]) PARTITION BY HASH (a);
                 CREATE TABLE names (a text COLLATE "de-x-icu") PARTITION BY RANGE (a);
                 CREATE COLLATION alike (provider = icu, locale = 'und', deterministic = false)`,
      },
      trip: {
        source: `CREATE TABLE several (a e[]) PARTITION BY HASH (a); CREATE TABLE equal (a text COLLATE alike) PARTITION BY HASH (a)`,
      },
      expected: { objects: ['"public"."equal"', '"public"."several"'] },
      remedy: { paste: 'workflow' },
    },
  ],
)
