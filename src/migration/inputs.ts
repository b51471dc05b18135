import { Failure, messageOf } from '../failure.ts'
import { type ConnectionParameters, parseConnectionString } from '../postgres/connection-string.ts'
import { type Compression, parseCompression } from '../postgres/programs/arguments.ts'
import { parseOptionLine } from '../postgres/programs/options.ts'
import {
  type DatabaseName,
  flawOfName,
  isSystemDatabase,
  parseDatabases,
} from './database-names.ts'
import { readInputs } from './input-reader.ts'
import { refuseInputs } from './rehearsal/refused-inputs.ts'
import { loginSecrets, parseTestLogins, type TestLogin } from './roles/login-input.ts'
import { refuseRoleInputs } from './roles/refused-inputs.ts'

/** What the inputs must know of a command. */
export interface CommandFacts {
  name: string
  /** What it cannot do without. */
  needs: readonly ('source' | 'target')[]
  /** One of them is enough, and it takes one. */
  needsOneOf?: readonly ('source' | 'target')[]
  /** What it does with a dump; `result`: writes one, and nothing else is left of the run. */
  dump: 'written' | 'result' | 'read' | 'read without source' | 'none'
}

/** Everything that a workflow author can set, checked. Defaults are those of action.yml. */
export interface Inputs {
  command: string
  /** Whether the command writes a dump, or reads one that is there. */
  dump: 'written' | 'read' | 'none'
  source: ConnectionParameters | undefined
  target: ConnectionParameters | undefined
  /** The databases to migrate; `all` lists the source's, `none` is of `roles: only`. Empty means the one that `source` names. */
  databases: 'all' | 'none' | DatabaseName[]
  dumpJobs: number | 'auto'
  restoreJobs: number | 'auto'
  compression: Compression
  /** `only`: no database is dumped, restored or compared. */
  roles: 'migrate' | 'skip' | 'only'
  existingRoles: 'keep' | 'update'
  rolePasswords: boolean
  /** Roles and secrets to log in with at the end. */
  testLogins: TestLogin[]
  superuserOption: string
  createDatabase: boolean
  ifTargetNotEmpty: 'fail' | 'resume' | 'replace' | 'swap'
  /** Drop the old database once a new one has taken its name. */
  dropSwapped: boolean
  /** `no`: the user knows that source and target are different servers, where that cannot be found out. */
  sameServer: 'auto' | 'no'
  allowMissing: string[]
  /** Make the source read-only before the dump. */
  freezeSource: boolean
  /** Roles or application names whose sessions a freeze leaves alone. */
  freezeExcept: string[]
  /** Migrate although the source is being written to. */
  allowWrites: boolean
  /** Unfreeze although the target was written to, or nobody can tell. */
  confirmUnfreeze: boolean
  verify: 'none' | 'counts' | 'data'
  showKeys: boolean
  showDefinitions: boolean
  lendRights: boolean
  analyze: boolean
  dumpOptions: string[]
  restoreOptions: string[]
  /** A preflight tries the definitions in a throw-away database on the target. */
  preflightRestore: boolean
  /** Leave what a rehearsal has made. */
  keepRehearsal: boolean
  /** Seconds after which what a rehearsal was told to leave is removed by another. */
  rehearsalAge: number
  clientVersion: string | undefined
  clientPath: string | undefined
  clientMirror: string | undefined
  dumpDirectory: string | undefined
  keepDump: boolean
  uploadDump: boolean
  /** See artifactName() for what it is called otherwise. */
  artifactName: string | undefined
  retentionDays: number | undefined
  passphrase: string | undefined
  /** The id of the only dump that may be restored. */
  dumpId: string | undefined
  allowPublicArtifact: boolean
  runId: number | undefined
  /** A directory with reports of earlier runs. */
  history: string | undefined
  /** Seconds that an outage may take at most, by its forecast. */
  maxOutage: number | undefined
  githubToken: string | undefined
  /** Where the verification goes as JUnit XML; a relative path begins in the working directory. */
  junit: string | undefined
}

/** Inputs whose value is a secret: read without trimming blanks, masked before anything else happens. */
export const secretInputs = [
  'source-password',
  'target-password',
  'test-logins',
  'passphrase',
  'github-token',
] as const

/** What is secret in the text of one of these, before anybody has checked it. */
export function secretsOfInput(name: string, text: string): string[] {
  return name === 'test-logins' ? loginSecrets(text) : [text.replace(/\r?\n$/, '')]
}

/**
 * Reads and checks every input. All mistakes are reported together.
 *
 * @param get the text of an input, '' when it is not set
 * @param commands those that there are, the default one first
 * @param face what else is wrong, found before, and where the mistakes are to be corrected
 * @throws Failure that names each wrong input, what was given (never a secret) and what is allowed
 */
export function parseInputs(
  get: (name: string) => string,
  commands: readonly CommandFacts[],
  face: { mistakes?: readonly string[]; remedy: string } = {
    remedy: 'Correct the step in the workflow; docs/reference.md lists every input',
  },
): Inputs {
  const reader = readInputs(get, face.mistakes)
  const { wrong, shown, optional, choice, boolean, number, duration, lines, attempt } = reader
  const jobs = (name: string): number | 'auto' =>
    get(name) === '' || get(name) === 'auto' ? 'auto' : (number(name, 1, 64) ?? 'auto')
  const connection = (name: 'source' | 'target'): ConnectionParameters | undefined => {
    const text = get(name)
    if (text === '') return undefined
    const password = get(`${name}-password`).replace(/\r?\n$/, '')
    if (/[\r\n\0]/.test(password)) {
      wrong(`${name}-password`, 'it holds a line break', 'allowed: one line')
    }
    try {
      const parsed = parseConnectionString(text, password)
      const flaw = flawOfName(parsed.dbname)
      return flaw
        ? wrong(name, flaw, 'allowed: the name of a database as the server has it')
        : parsed
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      return wrong(name, error.why, error.remedy)
    }
  }
  const names = commands.map(({ name }) => name)
  const command = choice('command', names, names[0] ?? '')
  const facts = commands.find(({ name }) => name === command)
  const dump = dumpOf(facts?.dump ?? 'none', get('source') !== '')
  const databases = attempt('databases', () => parseDatabases(get('databases')))
  const roles = choice('roles', ['migrate', 'skip', 'only'], 'migrate')
  const inputs: Inputs = {
    command,
    dump,
    source: connection('source'),
    target: connection('target'),
    databases: roles === 'only' ? 'none' : databases,
    dumpJobs: jobs('dump-jobs'),
    restoreJobs: jobs('restore-jobs'),
    compression: attempt('compression', () => parseCompression(get('compression') || 'auto')),
    roles,
    existingRoles: choice('existing-roles', ['keep', 'update'], 'keep'),
    rolePasswords: boolean('role-passwords', true),
    testLogins: attempt('test-logins', () => parseTestLogins(get('test-logins'))) ?? [],
    superuserOption: attempt('superuser-option', () =>
      parseSuperuserOption(get('superuser-option') || 'auto'),
    ),
    createDatabase: boolean('create-database', true),
    ifTargetNotEmpty: choice('if-target-not-empty', ['fail', 'resume', 'replace', 'swap'], 'fail'),
    dropSwapped: boolean('drop-swapped', false),
    sameServer: choice('same-server', ['auto', 'no'], 'auto'),
    allowMissing: lines('allow-missing'),
    freezeSource: boolean('freeze-source', false),
    freezeExcept: lines('freeze-except'),
    allowWrites: boolean('allow-writes', false),
    confirmUnfreeze: boolean('confirm-unfreeze', false),
    verify: choice('verify', ['none', 'counts', 'data'], 'data'),
    showKeys: boolean('show-keys', false),
    showDefinitions: boolean('show-definitions', true),
    lendRights: boolean('lend-rights', false),
    analyze: boolean('analyze', true),
    dumpOptions: options('dump-options'),
    restoreOptions: options('restore-options'),
    preflightRestore: boolean('preflight-restore', false),
    keepRehearsal: boolean('keep-rehearsal', false),
    rehearsalAge: duration('rehearsal-age') ?? 7 * 24 * 3600,
    clientVersion: optional('client-version'),
    clientPath: optional('client-path'),
    clientMirror: optional('client-mirror'),
    dumpDirectory: optional('dump-directory'),
    keepDump: boolean('keep-dump', false),
    // a rehearsal leaves nothing, unless it is asked to, and then for a day
    uploadDump: boolean('upload-dump', command !== 'rehearse'),
    artifactName: optional('artifact-name'),
    retentionDays: number('retention-days', 1, 90) ?? (command === 'rehearse' ? 1 : undefined),
    passphrase: get('passphrase').replace(/\r?\n$/, '') || undefined,
    dumpId: optional('dump-id')?.toLowerCase(),
    allowPublicArtifact: boolean('allow-public-artifact', false),
    runId: number('run-id', 1, Number.MAX_SAFE_INTEGER),
    history: optional('history'),
    maxOutage: duration('max-outage'),
    githubToken: get('github-token').trim() || undefined,
    junit: optional('junit'),
  }

  for (const name of facts?.needs ?? []) {
    if (get(name) === '') {
      wrong(
        name,
        'it is not set',
        `allowed: a libpq connection string; command ${command} needs it`,
      )
    }
  }
  if (inputs.freezeSource && (dump === 'read' || command === 'unfreeze')) {
    wrong('freeze-source', 'true', `allowed: with a command that dumps, and ${command} does not`)
  }
  if (command === 'rehearse') refuseInputs(inputs, reader)
  refuseRoleInputs(inputs, reader)
  const oneOf = facts?.needsOneOf ?? []
  if (oneOf.length > 0 && oneOf.every((name) => get(name) === '')) {
    wrong(
      oneOf.join(' and '),
      'neither is set',
      `allowed: a libpq connection string; command ${command} needs one of them, and says more with both`,
    )
  }
  if (inputs.clientVersion && !/^(9\.[0-6]|1\d|2\d)$/.test(inputs.clientVersion)) {
    wrong(
      'client-version',
      shown(inputs.clientVersion),
      'allowed: a major version such as 15 or 9.6',
    )
  }
  const templates = [
    ...(inputs.target && isSystemDatabase(inputs.target.dbname) ? [inputs.target.dbname] : []),
    ...(Array.isArray(inputs.databases) ? inputs.databases : []).map(({ target }) => target),
  ].filter(isSystemDatabase)
  for (const database of new Set(templates)) {
    wrong(
      database === inputs.target?.dbname ? 'target' : 'databases',
      `the database ${shown(database)}`,
      'allowed: any but the databases of the server itself; use postgres to connect, and a name of your own for the data',
    )
  }
  for (const name of ['client-path', 'dump-directory'] as const) {
    const path = get(name)
    if (path && !path.startsWith('/')) wrong(name, shown(path), 'allowed: an absolute path')
  }
  if (inputs.clientMirror && !/^https?:\/\/[^\s@]+$/.test(inputs.clientMirror)) {
    wrong(
      'client-mirror',
      'it is no plain http(s) URL',
      'allowed: a base URL without user or password',
    )
  }
  const { artifactName = '' } = inputs
  if (/[":<>|*?\\/\r\n]/.test(artifactName) || artifactName.length > 200) {
    wrong(
      'artifact-name',
      shown(artifactName),
      'allowed: up to 200 characters without " : < > | * ? \\ /',
    )
  }
  if (inputs.dumpId && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(inputs.dumpId)) {
    wrong('dump-id', shown(inputs.dumpId), 'allowed: the id that the log of the dump gives, a UUID')
  }
  if (inputs.ifTargetNotEmpty === 'swap' && inputs.verify === 'none') {
    wrong(
      'verify',
      '"none" with if-target-not-empty: swap',
      'allowed: counts or data, since names are exchanged only when the new database is verified',
    )
  }
  for (const name of ['run-id', 'dump-id'] as const) {
    if (get(name) !== '' && dump !== 'read')
      wrong(
        name,
        shown(get(name)),
        `allowed: with restore, and with verify without source; command ${command} reads no dump`,
      )
  }
  for (const [name, allowed] of [
    ['max-outage', ['rehearse']],
    ['history', ['rehearse', 'migrate']],
    ['keep-rehearsal', ['rehearse']],
  ] as const) {
    const isAsked = name === 'keep-rehearsal' ? inputs.keepRehearsal : get(name) !== ''
    if (isAsked && !(allowed as readonly string[]).includes(command))
      wrong(name, shown(get(name)), `allowed: with command ${allowed.join(' or ')}`)
  }
  if (inputs.maxOutage !== undefined && inputs.verify !== 'data') {
    wrong(
      'verify',
      `"${inputs.verify}" with max-outage`,
      'allowed: data, since a rehearsal that proves less takes less than the night',
    )
  }
  if (inputs.runId && dump === 'read' && !inputs.githubToken) {
    wrong('github-token', 'it is not set', 'allowed: a token with actions: read; run-id needs it')
  }
  if (
    facts?.dump === 'result' &&
    !inputs.uploadDump &&
    !(inputs.dumpDirectory && inputs.keepDump)
  ) {
    wrong(
      'upload-dump',
      'false',
      'allowed: false only together with dump-directory and keep-dump: the dump would be lost',
    )
  }
  reader.refuse(face.remedy)
  return inputs

  function options(name: 'dump-options' | 'restore-options'): string[] {
    const program = name === 'dump-options' ? 'pg_dump' : 'pg_restore'
    return lines(name).flatMap((line) => {
      try {
        return parseOptionLine(program, line)
      } catch (error) {
        return wrong(name, shown(line), `allowed: ${messageOf(error)}`)
      }
    })
  }
}

function dumpOf(facts: CommandFacts['dump'], hasSource: boolean): Inputs['dump'] {
  if (facts === 'read without source') return hasSource ? 'none' : 'read'
  return facts === 'result' ? 'written' : facts
}

/** A server that the command cannot do without: parseInputs has made sure of it. */
export function required(inputs: Inputs, side: 'source' | 'target'): ConnectionParameters {
  const connection = inputs[side]
  if (!connection) throw new TypeError(`the input ${side} is not set`)
  return connection
}

function parseSuperuserOption(text: string): string {
  if (text === 'auto') return text
  const words = text.toUpperCase().split(/\s+/)
  const known = /^(POLAR_SUPERUSER|CREATEROLE|CREATEDB|SUPERUSER|NOSUPERUSER)$/
  if (words.every((word) => known.test(word))) return words.join(' ')
  throw new SyntaxError(
    `"${text.slice(0, 40)}" is none of auto, POLAR_SUPERUSER, CREATEROLE CREATEDB`,
  )
}
