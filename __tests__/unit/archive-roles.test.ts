import { describe, expect, test } from '@jest/globals'
import type { parseArchive } from '../../src/postgres/archive/archive.ts'
import { renamed, rolesIn, withRoleNames } from '../../src/postgres/archive/roles.ts'
import { renamedRoles, sameRoleNames } from '../../src/postgres/roles/role-names.ts'
import { archiveEntry } from '../support/archive-entry.ts'

const hostile = ['a" TO b', 'line\nbreak', '$1', "it's", '$$dollar$$', 'PUBLIC', 'FROM', 'a, b']
const names = renamedRoles('run_1', ['app', 'reader', 'orders', ...hostile])
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`
const rename = (desc: string, definition: string) => renamed({ desc, definition }, true, names)

describe('roles of the statements in an archive', () => {
  test.each([
    [
      'ACL',
      'GRANT SELECT ON TABLE public.orders TO app;',
      'GRANT SELECT ON TABLE public.orders TO "run_1_r1";',
    ],
    [
      'ACL',
      'GRANT SELECT(app),INSERT(reader) ON TABLE app.orders TO orders WITH GRANT OPTION;',
      'GRANT SELECT(app),INSERT(reader) ON TABLE app.orders TO "run_1_r3" WITH GRANT OPTION;',
    ],
    [
      'ACL',
      'REVOKE ALL ON FUNCTION app.reader(app text, "TO app" integer) FROM PUBLIC;\nGRANT ALL ON FUNCTION app.reader(app text, "TO app" integer) TO reader;',
      'REVOKE ALL ON FUNCTION app.reader(app text, "TO app" integer) FROM PUBLIC;\nGRANT ALL ON FUNCTION app.reader(app text, "TO app" integer) TO "run_1_r2";',
    ],
    [
      'ACL',
      'SET SESSION AUTHORIZATION app;\nGRANT SELECT ON TABLE t TO reader;\nRESET SESSION AUTHORIZATION;',
      'SET SESSION AUTHORIZATION "run_1_r1";\nGRANT SELECT ON TABLE t TO "run_1_r2";\nRESET SESSION AUTHORIZATION;',
    ],
    [
      'ACL',
      "SET SESSION AUTHORIZATION 'it''s';\nGRANT SELECT ON TABLE t TO \"it's\" GRANTED BY app;",
      'SET SESSION AUTHORIZATION "run_1_r7";\nGRANT SELECT ON TABLE t TO "run_1_r7" GRANTED BY "run_1_r1";',
    ],
    ['ACL', 'GRANT SELECT ON TABLE t TO pg_monitor;', 'GRANT SELECT ON TABLE t TO pg_monitor;'],
    [
      'ACL',
      'GRANT SELECT ON LARGE OBJECT 7 TO app;',
      'GRANT SELECT ON LARGE OBJECT 7 TO "run_1_r1";',
    ],
    [
      'DEFAULT ACL',
      'ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA app REVOKE ALL ON TABLES FROM app;\nALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA app GRANT SELECT ON TABLES TO reader;',
      'ALTER DEFAULT PRIVILEGES FOR ROLE "run_1_r1" IN SCHEMA app REVOKE ALL ON TABLES FROM "run_1_r1";\nALTER DEFAULT PRIVILEGES FOR ROLE "run_1_r1" IN SCHEMA app GRANT SELECT ON TABLES TO "run_1_r2";',
    ],
    [
      'POLICY',
      `CREATE POLICY app ON public.orders FOR SELECT TO app, "a, b", reader USING ((EXISTS ( SELECT 1 FROM app WHERE (app.who = 'app'::text)))) WITH CHECK ((CURRENT_USER = 'TO app'::name));`,
      `CREATE POLICY app ON public.orders FOR SELECT TO "run_1_r1", "run_1_r11", "run_1_r2" USING ((EXISTS ( SELECT 1 FROM app WHERE (app.who = 'app'::text)))) WITH CHECK ((CURRENT_USER = 'TO app'::name));`,
    ],
    [
      'USER MAPPING',
      `CREATE USER MAPPING FOR app SERVER app OPTIONS (\n    "user" 'app',\n    password 'TO app'\n);`,
      `CREATE USER MAPPING FOR "run_1_r1" SERVER app OPTIONS (\n    "user" 'app',\n    password 'TO app'\n);`,
    ],
    [
      'USER MAPPING',
      'CREATE USER MAPPING FOR public SERVER s;',
      'CREATE USER MAPPING FOR public SERVER s;',
    ],
    [
      'SCHEMA',
      'CREATE SCHEMA app AUTHORIZATION app;',
      'CREATE SCHEMA app AUTHORIZATION "run_1_r1";',
    ],
    [
      'FUNCTION',
      `CREATE FUNCTION app.app() RETURNS void\n    LANGUAGE plpgsql\n    SET search_path TO 'app', 'pg_temp'\n    SET role TO 'app'\n    SET application_name TO 'app'\n    AS $$\nBEGIN\n    SET role TO 'app'\n    ;SET ROLE app; GRANT app TO reader; PERFORM 'app'::regrole;\nEND $$;`,
      `CREATE FUNCTION app.app() RETURNS void\n    LANGUAGE plpgsql\n    SET search_path TO 'app', 'pg_temp'\n    SET role TO 'run_1_r1'\n    SET application_name TO 'app'\n    AS $$\nBEGIN\n    SET role TO 'app'\n    ;SET ROLE app; GRANT app TO reader; PERFORM 'app'::regrole;\nEND $$;`,
    ],
    [
      'FUNCTION',
      `CREATE FUNCTION f() RETURNS void\n    SET role TO 'none'\n    AS '';`,
      `CREATE FUNCTION f() RETURNS void\n    SET role TO 'none'\n    AS '';`,
    ],
    [
      'COMMENT',
      "COMMENT ON TABLE app IS 'GRANT x TO app';",
      "COMMENT ON TABLE app IS 'GRANT x TO app';",
    ],
    ['VIEW', 'CREATE VIEW app AS SELECT app FROM app;', 'CREATE VIEW app AS SELECT app FROM app;'],
  ])('%s', (desc, definition, expected) => {
    expect(rename(desc, definition)).toBe(expected)
    expect(renamed({ desc, definition }, true, sameRoleNames)).toBe(definition)
  })

  test.each(hostile)('called %j', (name) => {
    const on = `"${names.onTarget(name)}"`
    expect(rename('ACL', `GRANT ALL ON TABLE s.${quoted(name)} TO ${quoted(name)};`)).toBe(
      `GRANT ALL ON TABLE s.${quoted(name)} TO ${on};`,
    )
    expect(
      rename('POLICY', `CREATE POLICY ${quoted(name)} ON t TO app, ${quoted(name)} USING (true);`),
    ).toBe(`CREATE POLICY ${quoted(name)} ON t TO "run_1_r1", ${on} USING (true);`)
    expect(
      rename(
        'DEFAULT ACL',
        `ALTER DEFAULT PRIVILEGES FOR ROLE ${quoted(name)} GRANT ALL ON TABLES TO ${quoted(name)};`,
      ),
    ).toBe(`ALTER DEFAULT PRIVILEGES FOR ROLE ${on} GRANT ALL ON TABLES TO ${on};`)
    expect(rolesIn(`GRANT a TO ${quoted(name)}`)).toEqual([
      { role: name, start: 11, end: 11 + quoted(name).length },
    ])
  })

  test('where backslashes escape', () => {
    const definition = `CREATE POLICY p ON t TO app USING ((a = 'x\\' TO app'::text));`
    expect(renamed({ desc: 'POLICY', definition }, false, names)).toBe(
      definition.replace('TO app', 'TO "run_1_r1"'),
    )
  })

  test('of a whole archive: owners, statements and the bytes of what has no exact text, never the names of entries', () => {
    const bytes = Buffer.from('GRANT SELECT ON TABLE "\xe9" TO app;', 'latin1')
    const entries = [
      archiveEntry({
        desc: 'TABLE',
        tag: 'app',
        namespace: 'app',
        owner: 'app',
        definition: 'CREATE TABLE app.app ();',
      }),
      archiveEntry({
        desc: 'ACL',
        tag: 'TABLE app',
        owner: 'reader',
        definition: 'GRANT SELECT ON TABLE "\ufffd" TO app;',
        bytes,
      }),
      archiveEntry({
        desc: 'USER MAPPING',
        tag: 'USER MAPPING app SERVER s',
        owner: 'app',
        definition: 'CREATE USER MAPPING FOR app SERVER s;',
        dropStatement: 'DROP USER MAPPING IF EXISTS FOR app SERVER s;',
      }),
      archiveEntry({ desc: 'ENCODING', tag: 'ENCODING', owner: '' }),
    ]
    const archive = { standardStrings: true, entries } as unknown as ReturnType<typeof parseArchive>
    const other = withRoleNames(archive, names)
    expect(other.entries.map(({ tag, owner }) => [tag, owner])).toEqual([
      ['app', 'run_1_r1'],
      ['TABLE app', 'run_1_r2'],
      ['USER MAPPING app SERVER s', 'run_1_r1'],
      ['ENCODING', ''],
    ])
    expect(other.entries[0]?.definition).toBe('CREATE TABLE app.app ();')
    expect(other.entries[1]?.bytes?.toString('latin1')).toBe(
      'GRANT SELECT ON TABLE "\xe9" TO "run_1_r1";',
    )
    expect(other.entries[2]?.dropStatement).toBe(
      'DROP USER MAPPING IF EXISTS FOR "run_1_r1" SERVER s;',
    )
    expect(withRoleNames(archive, sameRoleNames)).toBe(archive)
  })
})
