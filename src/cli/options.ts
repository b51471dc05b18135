import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { secretInputs } from '../migration/inputs.ts'

/** What the command line takes, in the order in which help shows it. */
export interface Option {
  name: string
  /** In plain English, one or two sentences. */
  description: string
  /** '' where there is none. */
  default: string
  kind: 'secret' | 'boolean' | 'list' | 'text'
  /** The commands that it is for; undefined: all of them. */
  commands: readonly string[] | undefined
}

/** The version, and the inputs as action.yml has them: the one table of both faces. */
export interface Package {
  version: string
  /** Those that a command line takes. */
  options: Option[]
  /** Those that make sense on GitHub only, each with why. */
  elsewhere: ReadonlyMap<string, string>
}

/** What a command line has beside the inputs. */
export const ownOptions = [
  {
    name: 'config',
    value: 'FILE',
    description: 'Inputs from a YAML file: name: value, one a line, as under with: in a workflow.',
  },
  {
    name: 'report-directory',
    value: 'DIRECTORY',
    description:
      'Where report.html, report.json and the logs of the programs go. Default: a new directory under TMPDIR.',
  },
  { name: 'no-password', description: 'Never ask for a password.' },
  { name: 'verbose', description: 'Also log what is only of interest when something is wrong.' },
  {
    name: 'help',
    short: 'h',
    description: 'Show this help; behind a command, that of the command.',
  },
  { name: 'version', short: 'V', description: 'Show the version.' },
] as const

const noArtifacts =
  'a command line keeps no artifacts; the dump goes to dump-directory and stays there'
const notFetched =
  'artifacts of a run on GitHub are not fetched; download the dump and name its directory in dump-directory'

const elsewhere: Record<string, string> = {
  'upload-dump': noArtifacts,
  'artifact-name': noArtifacts,
  'retention-days': noArtifacts,
  'allow-public-artifact': noArtifacts,
  'keep-dump': 'what is in dump-directory always stays there',
  'run-id': notFetched,
  'github-token': notFetched,
}

const lists = ['databases', 'allow-missing', 'freeze-except', 'dump-options', 'restore-options']

/** What a command line has other words for than action.yml. */
const words: Record<string, string> = {
  'dump-directory':
    'Where the dump is written and stays, or is read. Without it migrate keeps no dump.',
  passphrase:
    'Encrypts the dump in dump-directory; restore and verify decrypt it, and refuse what was not made with it.',
}

const dumping = 'migrate preflight dump rehearse'
const restoring = 'migrate preflight restore rehearse'
const both = 'migrate preflight dump restore rehearse'
const comparing = 'migrate dump restore verify rehearse'

/** The same as words in a line, where it is not for all of them. */
const commandsOf: Record<string, string> = {
  source: 'migrate preflight dump verify rehearse unfreeze',
  'source-password': 'migrate preflight dump verify rehearse unfreeze',
  target: 'migrate preflight restore verify rehearse unfreeze',
  'target-password': 'migrate preflight restore verify rehearse unfreeze',
  'dump-jobs': `${dumping} verify`,
  'restore-jobs': `${restoring} verify`,
  compression: dumping,
  roles: both,
  'existing-roles': restoring,
  'role-passwords': both,
  'superuser-option': restoring,
  'create-database': restoring,
  'if-target-not-empty': restoring,
  'drop-swapped': 'migrate preflight restore',
  'same-server': 'migrate preflight verify rehearse',
  'allow-missing': `${both} verify`,
  'freeze-source': 'migrate preflight dump',
  'freeze-except': 'migrate preflight dump',
  'allow-writes': 'migrate preflight dump',
  'confirm-unfreeze': 'unfreeze',
  verify: comparing,
  'show-keys': comparing,
  'show-definitions': comparing,
  'lend-rights': 'verify',
  analyze: 'migrate restore rehearse',
  'dump-options': dumping,
  'restore-options': restoring,
  'preflight-restore': 'preflight',
  'keep-rehearsal': 'rehearse',
  'rehearsal-age': 'rehearse',
  'max-outage': 'rehearse',
  history: 'migrate rehearse',
  junit: 'migrate preflight restore verify rehearse',
  'test-logins': 'migrate preflight restore verify',
  'dump-directory': 'migrate dump restore verify rehearse',
  passphrase: 'migrate dump restore verify rehearse',
  'dump-id': 'restore verify',
  'upload-dump': 'migrate dump rehearse',
  'artifact-name': 'migrate dump restore verify rehearse',
  'retention-days': 'migrate dump rehearse',
  'allow-public-artifact': 'migrate dump rehearse',
  'keep-dump': 'migrate dump restore verify',
  'run-id': 'restore verify',
  'github-token': 'migrate preflight restore verify rehearse',
}

/** The commands that an input is for; undefined: all of them. */
export function commandsFor(input: string): string[] | undefined {
  return commandsOf[input]?.split(' ')
}

/** Reads action.yml and package.json, which lie beside the folder of bundles as beside the source. */
export function readPackage(): Package {
  const read = (name: string) => readFileSync(join(import.meta.dirname, '..', '..', name), 'utf8')
  const { inputs } = parse(read('action.yml')) as {
    inputs: Record<string, { description: string; default?: string }>
  }
  const { version } = JSON.parse(read('package.json')) as { version: string }
  const kindOf = (name: string, fallback: string): Option['kind'] => {
    if ((secretInputs as readonly string[]).includes(name)) return 'secret'
    if (fallback === 'true' || fallback === 'false') return 'boolean'
    return lists.includes(name) ? 'list' : 'text'
  }
  const options = Object.entries(inputs)
    .filter(([name]) => name !== 'command' && !(name in elsewhere))
    .map(
      ([name, input]): Option => ({
        name,
        // there they are a workflow's secrets
        description: words[name] ?? input.description.replace(/ Use a secret\.$/, ''),
        default: name === 'dump-directory' ? '' : (input.default ?? ''),
        kind: kindOf(name, input.default ?? ''),
        commands: commandsFor(name),
      }),
    )
  return {
    version,
    options,
    elsewhere: new Map(Object.entries(elsewhere).filter(([name]) => name in inputs)),
  }
}

/** `MIGRATE_SOURCE_PASSWORD` */
export function variableOf(name: string): string {
  return `MIGRATE_${name.replaceAll('-', '_').toUpperCase()}`
}
