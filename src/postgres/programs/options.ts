/**
 * The options of pg_dump and pg_restore of every version from 9.1 to 18, and what the user may say with them (PostgreSQL
 * documentation, "pg_dump" and "pg_restore" of each version; PostgreSQL source, long_options in pg_dump.c and pg_restore.c).
 * getopt_long takes `--fil=x` for `--file=x` and `-vf x` for three options: so each line is taken apart as it would do it, by
 * this table, and what is handed on is written out in full.
 */

/** Long name, short letter if any, `=` where it takes a value, `!` where it is the action's own business. */
const pgDump = `
data-only a !
schema-only s !
no-data !
no-schema !
statistics-only !
clean c !
create C !
if-exists !
dbname d = !
file f = !
format F = !
host h = !
port p = !
username U = !
password W !
no-password w !
jobs j = !
compress Z = !
section = !
snapshot = !
role = !
verbose v !
version V !
help ? !
binary-upgrade !
restrict-key = !
blobs b
large-objects b
no-blobs B
no-large-objects B
extension e =
exclude-extension =
encoding E =
schema n =
exclude-schema N =
oids o
no-owner O
no-reconnect R
superuser S =
table t =
exclude-table T =
no-privileges x
no-acl x
ignore-version i
attribute-inserts
column-inserts
inserts
rows-per-insert =
on-conflict-do-nothing
disable-dollar-quoting
disable-triggers
enable-row-security
exclude-table-and-children =
exclude-table-data =
exclude-table-data-and-children =
table-and-children =
extra-float-digits =
filter =
include-foreign-data =
load-via-partition-root
lock-wait-timeout =
no-comments
no-policies
no-publications
no-security-labels
no-statistics
no-subscriptions
no-sync
no-synchronized-snapshots
no-table-access-method
no-tablespaces
no-toast-compression
no-unlogged-table-data
quote-all-identifiers
sequence-data
serializable-deferrable
statistics
strict-names
sync-method =
use-set-session-authorization`

const pgRestore = `
schema-only s !
no-data !
statistics-only !
clean c !
create C !
if-exists !
dbname d = !
exit-on-error e !
file f = !
format F = !
host h = !
port p = !
username U = !
password W !
no-password w !
jobs j = !
list l !
use-list L = !
role = !
section = !
single-transaction 1 !
transaction-size = !
verbose v !
version V !
help ? !
restrict-key = !
data-only a
disable-triggers
enable-row-security
exclude-schema N =
filter =
function P =
ignore-version i
index I =
no-comments
no-data-for-failed-tables
no-owner O
no-policies
no-privileges x
no-acl x
no-publications
no-reconnect R
no-schema
no-security-labels
no-statistics
no-subscriptions
no-table-access-method
no-tablespaces
schema n =
statistics
strict-names
superuser S =
table t =
trigger T =
use-set-session-authorization`

interface ProgramOption {
  name: string
  letter: string | undefined
  takesValue: boolean
  own: boolean
}

const options: Readonly<Record<'pg_dump' | 'pg_restore', readonly ProgramOption[]>> = {
  pg_dump: readTable(pgDump),
  pg_restore: readTable(pgRestore),
}

function readTable(text: string): ProgramOption[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [name = '', ...marks] = line.split(' ')
      const letter = marks.find((mark) => !/^[=!]$/.test(mark))
      return { name, letter, takesValue: marks.includes('='), own: marks.includes('!') }
    })
}

/**
 * Takes one line of `dump-options` or `restore-options` apart: one option with its value, `--name=value`, `--name value`, `-n value`
 * or `-nvalue`, or several letters without values, `-Ox`.
 *
 * @returns the arguments for the program: long names in full, each short option by itself
 * @throws SyntaxError that says what is allowed, when an option is unknown, ambiguous, the action's own, lacks its value or has one
 *   that it does not take, or when the line is no option
 */
export function parseOptionLine(program: 'pg_dump' | 'pg_restore', line: string): string[] {
  const text = line.trim()
  if (text.startsWith('--')) return [parseLong(program, text)]
  if (/^-./s.test(text)) return parseShort(program, text)
  throw new SyntaxError('options that begin with "-", one a line, each with its value')
}

function parseLong(program: 'pg_dump' | 'pg_restore', text: string): string {
  const [, given = '', separator = '', value = ''] = /^--([^=\s]*)(=|\s+|$)(.*)$/s.exec(text) ?? []
  const option = longOption(program, given)
  if (!option.takesValue) {
    if (separator !== '') throw new SyntaxError(`--${option.name} without a value`)
    return `--${option.name}`
  }
  if (value === '') throw new SyntaxError(`--${option.name}=value: its value is missing`)
  return `--${option.name}=${value}`
}

/** The option that a long name or its beginning stands for, as getopt_long finds it in any version. */
function longOption(program: 'pg_dump' | 'pg_restore', given: string): ProgramOption {
  const all = options[program]
  const exact = all.find(({ name }) => name === given)
  const found = exact ? [exact] : all.filter(({ name }) => given !== '' && name.startsWith(given))
  const [option, ...others] = found
  if (!option) throw new SyntaxError(`options that ${program} has`)
  if (others.length > 0) {
    const names = found.map(({ name }) => `--${name}`).join(', ')
    throw new SyntaxError(`the whole name: it could be ${names}`)
  }
  if (option.own)
    throw new SyntaxError(
      `options that the action does not set itself, as it does --${option.name}`,
    )
  return option
}

function parseShort(program: 'pg_dump' | 'pg_restore', text: string): string[] {
  const parsed: string[] = []
  for (let at = 1; at < text.length; at++) {
    const letter = text[at]
    const option = options[program].find((one) => one.letter === letter)
    if (!option) throw new SyntaxError(`options that ${program} has`)
    if (option.own)
      throw new SyntaxError(`options that the action does not set itself, as it does -${letter}`)
    if (!option.takesValue) {
      parsed.push(`-${letter}`)
      continue
    }
    const value = text.slice(at + 1).trim()
    if (value === '') throw new SyntaxError(`-${letter} value: its value is missing`)
    return [...parsed, `-${letter}${value}`]
  }
  return parsed
}
