import { expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { planRoleScript } from '../../src/migration/roles/script.ts'
import { parseRoleScript } from '../../src/postgres/roles/script.ts'
import { catalog, polar11, role } from '../support/role-targets.ts'
import { breakingName } from '../support/roles-fixture.ts'

const options = {
  superuserOption: 'auto',
  existingRoles: 'keep',
  rolePasswords: true,
  databases: [],
} as const

test('roles.polardb.sql holds what is sent and a comment for each thing changed or left out', () => {
  const script = `CREATE ROLE boss;
ALTER ROLE boss WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS PASSWORD 'md5x';
CREATE ROLE repl;
ALTER ROLE repl WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN REPLICATION NOBYPASSRLS;
CREATE ROLE there;
ALTER ROLE there WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS;
GRANT repl TO boss GRANTED BY postgres;
`
  const target = { ...polar11, catalog: catalog({ roles: [role('there')] }) }
  expect(planRoleScript(script, catalog(), target, options).script).toBe(`\
-- Roles of PostgreSQL 15.20 for PostgreSQL 15.20 (PolarDB 1.1.20),
-- as the account "migrator" sends them.
-- CREATE ROLE and ALTER ROLE are one statement, so that a failure leaves no half-made role.
-- GRANTED BY is left out throughout: only a superuser may name another grantor.

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

-- SUPERUSER became POLAR_SUPERUSER: the target has POLAR_SUPERUSER
CREATE ROLE "boss" WITH POLAR_SUPERUSER CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS PASSWORD 'md5x';
CREATE ROLE "repl" WITH LOGIN;
-- left out: the role itself of "there": it exists on the target and is left as it is (existing-roles is keep)

-- NOPOLAR_SUPERUSER is there because PolarDB takes REPLICATION and BYPASSRLS only beside such a word
ALTER ROLE "repl" WITH NOPOLAR_SUPERUSER REPLICATION;

GRANT "repl" TO "boss";
`)
})

test('no name in a comment can end it', () => {
  const name = `"${breakingName.replaceAll('"', '""')}"`
  const script = `CREATE ROLE ${name};\nALTER ROLE ${name} WITH NOSUPERUSER;\n`
  const target = { ...polar11, catalog: catalog({ roles: [role(breakingName)] }) }
  const { statements } = parseRoleScript(planRoleScript(script, catalog(), target, options).script)
  expect(statements.map(({ kind }) => kind)).toEqual(['session', 'session'])
})

test('a script that is not understood is refused', () => {
  expect(() => planRoleScript('DROP ROLE a;', catalog(), polar11, options)).toThrow(Failure)
})
