import { beforeAll, describe, expect, test } from '@jest/globals'
import { loadModule, parseSync, scanSync } from 'libpg-query'
import { parseRoleScript, type RoleStatement } from '../../src/postgres/roles/script.ts'
import { nextToken, type Token } from '../../src/postgres/roles/tokens.ts'
import { generateRoleScript } from '../support/role-scripts.ts'
import { breakingName } from '../support/roles-fixture.ts'

const seeds = Array.from({ length: 120 }, (_, seed) => seed)

/** Without the places in the text, which the tests about them look at. */
function plain(statement: RoleStatement | undefined): unknown {
  return JSON.parse(
    JSON.stringify(statement, (key, value) =>
      ['start', 'end', 'literal'].includes(key) ? undefined : value,
    ) ?? 'null',
  )
}

function only(text: string): unknown {
  const { statements, unknown } = parseRoleScript(text)
  expect(unknown).toEqual([])
  expect(statements).toHaveLength(1)
  return plain(statements[0])
}

function allTokens(text: string): Token[] {
  const tokens: Token[] = []
  const state = { standardStrings: true, brokenNames: [] }
  for (let at = 0; ; ) {
    const token = nextToken(text, at, state)
    if (!token) return tokens
    tokens.push(token)
    at = token.end
  }
}

describe('every statement of pg_dumpall --roles-only', () => {
  test.each<[string, unknown]>([
    ['CREATE ROLE a;', { kind: 'create', role: 'a', options: [] }],
    ['CREATE ROLE "A ""b""\n";', { kind: 'create', role: 'A "b"\n', options: [] }],
    ['CREATE ROLE Folded;', { kind: 'create', role: 'folded', options: [] }],
    [
      "ALTER ROLE a WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 5 PASSWORD 'md5x' VALID UNTIL '2030-01-01 00:00:00+00';",
      {
        kind: 'alter',
        role: 'a',
        options: [
          ...'NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS'
            .split(' ')
            .map((word) => ({ word })),
          { word: 'CONNECTION LIMIT', value: '5' },
          { word: 'PASSWORD', value: 'md5x' },
          { word: 'VALID UNTIL', value: '2030-01-01 00:00:00+00' },
        ],
      },
    ],
    [
      "COMMENT ON ROLE a IS E'it''s \\\\ so';",
      { kind: 'comment', role: 'a', comment: "it's \\ so" },
    ],
    [
      "SECURITY LABEL FOR dummy ON ROLE a IS 'secret';",
      { kind: 'label', role: 'a', provider: 'dummy', label: 'secret' },
    ],
    [
      "ALTER ROLE a SET search_path TO '$user', 'public';",
      {
        kind: 'setting',
        role: 'a',
        database: null,
        parameter: 'search_path',
        values: ['$user', 'public'],
      },
    ],
    [
      'ALTER ROLE a SET search_path TO "$user", public;', // 9.x
      {
        kind: 'setting',
        role: 'a',
        database: null,
        parameter: 'search_path',
        values: ['$user', 'public'],
      },
    ],
    [
      'ALTER ROLE a SET "DateStyle" TO ISO, DMY;', // 9.x
      {
        kind: 'setting',
        role: 'a',
        database: null,
        parameter: 'DateStyle',
        values: ['iso', 'dmy'],
      },
    ],
    [
      'ALTER ROLE a SET "myapp.flag" TO \'x\';',
      { kind: 'setting', role: 'a', database: null, parameter: 'myapp.flag', values: ['x'] },
    ],
    [
      'ALTER ROLE a IN DATABASE "d 1" SET work_mem TO \'1MB\';',
      { kind: 'setting', role: 'a', database: 'd 1', parameter: 'work_mem', values: ['1MB'] },
    ],
    [
      "ALTER ROLE ALL SET work_mem TO '1MB';",
      { kind: 'setting', role: null, database: null, parameter: 'work_mem', values: ['1MB'] },
    ],
    ['GRANT a TO b;', { kind: 'membership', role: 'a', member: 'b', admin: false }],
    [
      'GRANT a TO b WITH ADMIN OPTION GRANTED BY "c;";',
      { kind: 'membership', role: 'a', member: 'b', admin: true, grantor: 'c;' },
    ],
    [
      'GRANT a TO b WITH ADMIN OPTION, INHERIT FALSE, SET FALSE GRANTED BY postgres;', // 16+
      {
        kind: 'membership',
        role: 'a',
        member: 'b',
        admin: true,
        inherit: false,
        set: false,
        grantor: 'postgres',
      },
    ],
    [
      'GRANT a TO b WITH INHERIT TRUE GRANTED BY postgres;',
      {
        kind: 'membership',
        role: 'a',
        member: 'b',
        admin: false,
        inherit: true,
        grantor: 'postgres',
      },
    ],
    [
      'GRANT SET ON PARAMETER "myapp.flag" TO a;',
      {
        kind: 'parameter',
        revoke: false,
        role: 'a',
        parameter: 'myapp.flag',
        privileges: ['SET'],
        grantOption: false,
      },
    ],
    [
      'GRANT SET, ALTER SYSTEM ON PARAMETER work_mem TO PUBLIC WITH GRANT OPTION;',
      {
        kind: 'parameter',
        revoke: false,
        role: null,
        parameter: 'work_mem',
        privileges: ['SET', 'ALTER SYSTEM'],
        grantOption: true,
      },
    ],
    [
      'REVOKE ALL ON PARAMETER work_mem FROM postgres;',
      {
        kind: 'parameter',
        revoke: true,
        role: 'postgres',
        parameter: 'work_mem',
        privileges: ['ALL'],
        grantOption: false,
      },
    ],
    ['SET SESSION AUTHORIZATION a;', { kind: 'session' }],
    ['RESET SESSION AUTHORIZATION;', { kind: 'session' }],
    ['\\restrict abcXYZ123', { kind: 'session' }],
    ['\\unrestrict abcXYZ123\n', { kind: 'session' }],
    ['SET escape_string_warning = off;', { kind: 'session' }],
  ])('reads %j', (text, statement) => {
    expect(only(text)).toEqual(statement)
  })

  test('takes names for names although they are key words elsewhere', () => {
    const { statements, unknown } = parseRoleScript(
      'CREATE ROLE parameter; CREATE ROLE set; GRANT parameter TO set; GRANT set TO parameter; ALTER ROLE set SET set TO 1;',
    )
    expect(unknown).toEqual([])
    expect(statements.slice(2).map(plain)).toMatchObject([
      { kind: 'membership', role: 'parameter', member: 'set' },
      { kind: 'membership', role: 'set', member: 'parameter' },
      { kind: 'setting', role: 'set', parameter: 'set', values: ['1'] },
    ])
  })

  test('passes over comments, those inside others included', () => {
    expect(
      only("/* a /* b */ CREATE ROLE x; */ -- CREATE ROLE y;\nCREATE /**/ ROLE -- '\n z;"),
    ).toEqual({
      kind: 'create',
      role: 'z',
      options: [],
    })
  })

  test('notes the encoding, and reads backslashes as the script says', () => {
    const script = parseRoleScript(
      "SET client_encoding = 'LATIN1';\nSET standard_conforming_strings = off;\nCOMMENT ON ROLE a IS 'x\\'y';",
    )
    expect(script).toMatchObject({ encoding: 'LATIN1', standardStrings: false, unknown: [] })
    expect(plain(script.statements[2])).toMatchObject({ comment: "x'y" })
  })
})

describe('what it does not know', () => {
  test.each([
    '\\connect postgres',
    '\\! id',
    'CREATE USER a;',
    'CREATE ROLE a SYSID 5;',
    'ALTER ROLE a RENAME TO b;',
    'ALTER ROLE a SET work_mem TO DEFAULT;',
    'GRANT a, b TO c;',
    'GRANT a TO b WITH FOO TRUE;',
    'GRANT SELECT ON t TO a;',
    'REVOKE a FROM b;',
    'SET role = a;',
    'DROP ROLE a;', // of --clean
    'CREATE ROLE U&"d\\0061t";',
    "COMMENT ON ROLE a IS 'x'\n'y';",
    'CREATE ROLE a', // no end
    "COMMENT ON ROLE a IS 'no end;",
    'CREATE ROLE "no end;',
    '/* no end',
    ';',
  ])('reports %j and does not guess', (text) => {
    const { statements, unknown } = parseRoleScript(text)
    expect(statements).toEqual([])
    expect(unknown.map(({ start, end }) => text.slice(start, end))).toEqual([text])
  })

  test('says where it stands, quotes no string, and reads on behind it', () => {
    const text = `CREATE ROLE a;\n-- x\nDO $f$ BEGIN; 'a'; END $f$;\nCREATE USER u PASSWORD 'hidden';\nCREATE ROLE b;`
    const { statements, unknown } = parseRoleScript(text)
    expect(statements.map((one) => text.slice(one.start, one.end))).toEqual([
      'CREATE ROLE a;',
      'CREATE ROLE b;',
    ])
    expect(unknown.map(({ line, excerpt }) => [line, excerpt])).toEqual([
      [3, 'DO …'],
      [4, 'CREATE USER u PASSWORD …'],
    ])
  })
})

test('a name that breaks out of the comment above its settings is read as a comment', () => {
  const name = `"${breakingName.replaceAll('"', '""')}"`
  const text = `CREATE ROLE ${name};\nCREATE ROLE app_ro;\n\n--\n-- User Config "${breakingName}"\n--\n\nALTER ROLE ${name} SET work_mem TO '8MB';\n`
  const script = parseRoleScript(text)
  expect(script.unknown).toEqual([])
  expect(script.statements.map(({ start, end }) => text.slice(start, end))).toEqual([
    `CREATE ROLE ${name};`,
    'CREATE ROLE app_ro;',
    `ALTER ROLE ${name} SET work_mem TO '8MB';`,
  ])
})

describe('beside the parser of PostgreSQL itself', () => {
  beforeAll(loadModule)

  test('tokens of generated scripts have the same places (seeds 0 to 119)', () => {
    for (const seed of seeds) {
      const script = withoutMeta(generateRoleScript(seed).script)
      const offset = byteOffsets(script)
      const ours = allTokens(script).map(({ start, end }) => [offset(start), offset(end)])
      const theirs = scanSync(script)
        .tokens.filter(({ tokenName }) => !/COMMENT$/.test(tokenName))
        .map(({ start, end }) => [start, end])
      expect({ seed, tokens: ours }).toEqual({ seed, tokens: theirs })
    }
  })

  test('statements of generated scripts say the same (seeds 0 to 119)', () => {
    for (const seed of seeds) {
      const script = withoutMeta(generateRoleScript(seed).script)
      const ours = parseRoleScript(script)
      expect({ seed, unknown: ours.unknown }).toEqual({ seed, unknown: [] })
      const theirs = parseSync(script).stmts ?? []
      expect(ours.statements).toHaveLength(theirs.length)
      for (const [index, { stmt }] of theirs.entries()) {
        const statement = ours.statements[index]
        if (statement?.kind === 'session') continue
        expect({ seed, ...essence(statement) }).toEqual({ seed, ...theirEssence(stmt) })
      }
    }
  })
})

/** psql's own commands, which are no SQL, blanked: places stay. */
function withoutMeta(script: string): string {
  return script.replace(/^\\(?:un)?restrict .*$/gm, (line) => ' '.repeat(line.length))
}

function byteOffsets(text: string): (at: number) => number {
  const offsets = new Uint32Array(text.length + 1)
  let bytes = 0
  for (let at = 0; at < text.length; ) {
    const character = String.fromCodePoint(text.codePointAt(at) ?? 0)
    offsets.fill(bytes, at, at + character.length)
    at += character.length
    bytes += Buffer.byteLength(character)
  }
  offsets[text.length] = bytes
  return (at) => offsets[at] ?? 0
}

/** What both parsers can be asked for: names and values, in order. */
function essence(statement: RoleStatement | undefined): object {
  switch (statement?.kind) {
    case 'create':
    case 'alter':
      return {
        role: statement.role,
        options: statement.options.map(({ word, value }) => [
          word.replace(/^NO(?=[A-Z])/, ''),
          value ?? String(!word.startsWith('NO')),
        ]),
      }
    case 'comment':
      return { role: statement.role, text: statement.comment }
    case 'label':
      return { role: statement.role, provider: statement.provider, text: statement.label }
    case 'setting':
      return { role: statement.role, parameter: statement.parameter, values: statement.values }
    case 'membership': {
      const { role, member, admin, inherit, set, grantor } = statement
      return { role, member, admin, inherit, set, grantor }
    }
    case 'parameter':
      return { role: statement.role, parameter: statement.parameter, grant: statement.grantOption }
    default:
      return { kind: statement?.kind }
  }
}

const optionNames: Record<string, string> = {
  isreplication: 'REPLICATION',
  canlogin: 'LOGIN',
  connectionlimit: 'CONNECTION LIMIT',
  validUntil: 'VALID UNTIL',
}

/** A value deep in the parser's tree, undefined where the path ends. */
function dig(tree: unknown, ...path: (string | number)[]): unknown {
  let at = tree
  for (const key of path) {
    at = at !== null && typeof at === 'object' ? (at as Record<string, unknown>)[key] : undefined
  }
  return at
}

function list(tree: unknown, ...path: (string | number)[]): unknown[] {
  const found = dig(tree, ...path)
  return Array.isArray(found) ? found : []
}

function theirEssence(statement: unknown): object {
  const [[kind, body]] = Object.entries(statement as object) as [[string, unknown]]
  const options = () =>
    list(body, 'options').map((option) => {
      const name = String(dig(option, 'DefElem', 'defname'))
      const arg = dig(option, 'DefElem', 'arg')
      const value = dig(arg, 'Boolean')
        ? String(dig(arg, 'Boolean', 'boolval') ?? false)
        : (dig(arg, 'String', 'sval') ?? String(dig(arg, 'Integer', 'ival') ?? 0))
      return [optionNames[name] ?? name.toUpperCase(), value]
    })
  switch (kind) {
    case 'CreateRoleStmt':
      return { role: dig(body, 'role'), options: [] }
    case 'AlterRoleStmt':
      return { role: dig(body, 'role', 'rolename'), options: options() }
    case 'CommentStmt':
      return { role: dig(body, 'object', 'String', 'sval'), text: dig(body, 'comment') }
    case 'SecLabelStmt':
      return {
        role: dig(body, 'object', 'String', 'sval'),
        provider: dig(body, 'provider'),
        text: dig(body, 'label'),
      }
    case 'AlterRoleSetStmt':
      return {
        role: dig(body, 'role', 'rolename'),
        parameter: dig(body, 'setstmt', 'name'),
        values: list(body, 'setstmt', 'args').map(
          (value) => dig(value, 'A_Const', 'sval', 'sval') ?? '',
        ),
      }
    case 'GrantRoleStmt': {
      const option = (name: string) => {
        const found = list(body, 'opt').find((one) => dig(one, 'DefElem', 'defname') === name)
        return found && (dig(found, 'DefElem', 'arg', 'Boolean', 'boolval') ?? false)
      }
      return {
        role: dig(body, 'granted_roles', 0, 'AccessPriv', 'priv_name'),
        member: dig(body, 'grantee_roles', 0, 'RoleSpec', 'rolename'),
        admin: option('admin') ?? false,
        inherit: option('inherit'),
        set: option('set'),
        grantor: dig(body, 'grantor', 'rolename'),
      }
    }
    case 'GrantStmt':
      return {
        role: dig(body, 'grantees', 0, 'RoleSpec', 'rolename'),
        parameter: dig(body, 'objects', 0, 'String', 'sval'),
        grant: dig(body, 'grant_option') ?? false,
      }
    default:
      return { kind }
  }
}
