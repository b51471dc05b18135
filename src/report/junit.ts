import { html, shorten } from '../text/text.ts'
import { databaseResult, differingObjects, sum, tableDifference, tableDiffers } from './findings.ts'
import type { DatabaseResult, Report } from './model.ts'
import { compares, isRefusal, outcome } from './verdict.ts'

/** What becomes of a test case; `error`: it could not be decided. */
type Result = { kind: 'failure' | 'error' | 'skipped'; message: string; lines?: readonly string[] }

interface TestCase {
  className: string
  name: string
  /** Seconds, where they are known. */
  seconds?: number | undefined
  result?: Result | undefined
}

interface Suite {
  name: string
  cases: TestCase[]
  seconds: number
}

/** The longest text, and lines of one test case that are listed: report.json has all. */
const longest = 2000
const mostLines = 200

/**
 * The verification as JUnit XML, as Jenkins, GitLab and the actions that show test results read it (the elements and attributes
 * of Jenkins' junit-10.xsd): a test suite for each database, one for the roles, and one for the run. What compared equal has
 * passed, what differs has failed, what could not be decided is an error; what was not compared, and what is otherwise for a
 * known reason, is skipped. Whatever is in a name, the text is XML: html() escapes what XML 1.0 does not allow.
 */
export function renderJunit(report: Report): string {
  const suites = [
    ...report.databases.flatMap((database) =>
      compares(report) ? [suiteOf(database, report)] : [],
    ),
    ...rolesSuite(report),
    ...checksSuite(report),
    runSuite(report),
  ]
  return documentOf(suites, report)
}

/**
 * The JUnit XML of a run that was killed: what stands in the file until the run has come to its end. An empty file would be taken for
 * a broken one, and none for a run without tests.
 */
export function renderUnfinishedJunit(report: Report): string {
  const result = { kind: 'error', message: 'the run did not come to its end' } as const
  const cases = [{ className: 'run', name: report.command, result }]
  return documentOf([{ name: 'run', cases, seconds: 0 }], report)
}

function documentOf(suites: readonly Suite[], report: Report): string {
  const all = suites.flatMap(({ cases }) => cases)
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites${attributes({ name: 'migrate-to-polardb', ...counts(all), time: time(sum(suites.map(({ seconds }) => seconds))) })}>
${suites.map((suite) => rendered(suite, report)).join('')}</testsuites>
`
}

/** The tables, objects and losses of a database. */
function suiteOf(database: DatabaseResult, report: Report): Suite {
  const { target: name } = database
  return {
    name,
    seconds: sum(
      report.phases
        .filter((phase) => phase.name === 'verify' && phase.database === database.name)
        .map(({ seconds }) => seconds),
    ),
    cases: [
      ...tableCases(database),
      ...objectCases(database),
      ...(database.restore?.failed ?? []).map(({ entry, reason, sqlstate, remedy }) => ({
        className: `${name}.restore`,
        name: entry,
        result: failure(`${reason}${sqlstate ? ` (SQLSTATE ${sqlstate})` : ''}`, [remedy]),
      })),
      ...report.losses
        .filter((loss) => loss.database === database.name)
        .map(({ entry, reason }) => skippedCase(`${name}.accepted losses`, entry, reason)),
      ...(database.notCompared ?? []).map((line) =>
        skippedCase(`${name}.not compared`, line, line),
      ),
      verdictOf(database, report),
    ],
  }
}

function tableCases({ target, tables }: DatabaseResult): TestCase[] {
  return tables.map((table) => ({
    className: `${target}.table`,
    name: `${table.schema}.${table.name}`,
    seconds: table.timeline?.check?.busy,
    result: table.match
      ? undefined
      : tableDiffers(table)
        ? failure(tableDifference(table), table.differingKeys ?? [])
        : skipped(`${tableDifference(table)}: ${table.explained}`),
  }))
}

/** A test case for each kind, and one for each object that is otherwise. */
function objectCases({ target, objects }: DatabaseResult): TestCase[] {
  return objects.flatMap((kind) => {
    const className = `${target}.${kind.kind}`
    const differing = differingObjects(kind)
    const definitions = new Map(
      (kind.definitions ?? []).map(({ name, what, source, target: now }) => [
        `${name}: ${what}`,
        [`the dump says: ${source ?? 'nothing'}`, `the target has: ${now ?? 'nothing'}`],
      ]),
    )
    return [
      {
        className,
        name: `all of the kind (${kind.source} on the source, ${kind.target} on the target)`,
        result:
          differing.length === 0
            ? undefined
            : failure(
                `${differing.length} differ`,
                differing.map(({ object, how }) => `${object}: ${how}`),
              ),
      },
      ...differing.map(({ object, how }) => ({
        className,
        name: object,
        result: failure(how, definitions.get(object) ?? []),
      })),
      ...(kind.undecided ?? []).map(({ entry, reason }) => ({
        className,
        name: entry,
        result: { kind: 'error', message: reason } as const,
      })),
      ...(kind.explained ?? []).map(({ entry, reason }) => skippedCase(className, entry, reason)),
    ]
  })
}

/** Whether the database as a whole is proven: the rest may have passed although something was not looked at. */
function verdictOf(database: DatabaseResult, { phases }: Report): TestCase {
  const base = { className: database.target, name: 'verified' }
  if (database.verified) return base
  const { error } = database
  const isLeftOut = phases.some(({ name, status }) => name === 'verify' && status === 'skipped')
  if (error)
    return {
      ...base,
      result: { kind: 'error', message: error.message, lines: [error.cause, error.remedy] },
    }
  const differs = databaseResult(database) === 'differs'
  if (differs) return { ...base, result: failure('the two sides differ') }
  if (isLeftOut) return { ...base, result: skipped('verify: none') }
  return { ...base, result: { kind: 'error', message: 'nothing is proven of it' } }
}

function rolesSuite({ roles, losses }: Report): Suite[] {
  if (!roles) return []
  const unexplained = roles.differences.filter(({ explained }) => !explained)
  // a login that failed is a case of its own
  const isRefused = roles.logins?.some(({ status }) => status === 'failed')
  const areProven = roles.verified || (isRefused && unexplained.length === 0)
  const all = {
    className: 'roles',
    name: `all roles (${roles.source} on the source)`,
    result: areProven
      ? undefined
      : unexplained.length > 0
        ? failure(`${unexplained.length} differ`)
        : ({ kind: 'error', message: 'nothing is proven of them' } as const),
  }
  const each = roles.differences.map(({ role, what, reason, explained }) => ({
    className: 'roles',
    name: `${role}: ${what}`,
    result: explained ? skipped(reason) : failure(reason),
  }))
  const lost = losses
    .filter(({ database }) => database === null)
    .map(({ entry, reason }) => skippedCase('roles.accepted losses', entry, reason))
  const logins = (roles.logins ?? []).map(({ role, status, reason, remedy }): TestCase => {
    const base = { className: 'roles.logins', name: role }
    return status === 'succeeded' ? base : { ...base, result: failure(reason, [remedy]) }
  })
  const compared = roles.source > 0 ? [all] : []
  return [{ name: 'roles', cases: [...compared, ...each, ...logins, ...lost], seconds: 0 }]
}

/** Of a preflight, which compares nothing: its checks. */
function checksSuite({ words, checks }: Report): Suite[] {
  if (words.ends !== 'checked') return []
  const cases = checks.map(({ id, severity, status, message, objects, remedy }): TestCase => {
    const base = { className: 'checks', name: id }
    if (status === 'passed') return base
    if (severity === 'blocker')
      return status === 'failed'
        ? { ...base, result: failure(message, [...objects, remedy]) }
        : { ...base, result: { kind: 'error', message } }
    return { ...base, result: skipped(`${severity}: ${message}`) }
  })
  return [{ name: 'checks', cases, seconds: 0 }]
}

/** That the run came to its end: whoever counts failures alone must not take a run that broke for a good one. */
function runSuite(report: Report): Suite {
  const { command, status, error } = report
  const result =
    status === 'succeeded'
      ? undefined
      : isRefusal(report)
        ? failure(outcome(report).sentence)
        : ({
            kind: 'error',
            message: error?.message ?? status,
            lines: error ? [error.cause, error.remedy] : [],
          } as const)
  return { name: 'run', cases: [{ className: 'run', name: command, result }], seconds: 0 }
}

function failure(message: string, lines: readonly string[] = []): Result {
  return { kind: 'failure', message, lines: lines.filter(Boolean) }
}

function skipped(message: string): Result {
  return { kind: 'skipped', message }
}

function skippedCase(className: string, name: string, reason: string): TestCase {
  return { className, name, result: skipped(reason) }
}

function rendered({ name, cases, seconds }: Suite, { startedAt }: Report): string {
  const head = attributes({
    name,
    ...counts(cases),
    skipped: String(cases.filter(({ result }) => result?.kind === 'skipped').length),
    time: time(seconds),
    timestamp: startedAt,
  })
  return `<testsuite${head}>\n${cases.map(renderedCase).join('')}</testsuite>\n`
}

function renderedCase({ className, name, seconds, result }: TestCase): string {
  const head = attributes({
    classname: className,
    name,
    ...(seconds === undefined ? {} : { time: time(seconds) }),
  })
  if (!result) return `<testcase${head}/>\n`
  const { kind, message, lines = [] } = result
  if (kind === 'skipped')
    return `<testcase${head}><skipped${attributes({ message })}/></testcase>\n`
  const more = lines.length - mostLines
  const shown = lines.slice(0, mostLines).map((line) => html(shorten(line, longest)))
  const text = [...shown, ...(more > 0 ? [`${more} more are in report.json`] : [])].join('\n')
  const type = kind === 'failure' ? 'difference' : 'undecided'
  return `<testcase${head}><${kind}${attributes({ message, type })}>${text}</${kind}></testcase>\n`
}

function counts(cases: TestCase[]): Record<string, string> {
  const of = (kind: Result['kind']) => cases.filter(({ result }) => result?.kind === kind).length
  return {
    tests: String(cases.length),
    failures: String(of('failure')),
    errors: String(of('error')),
  }
}

function attributes(values: Record<string, string>): string {
  return Object.entries(values)
    .map(([name, value]) => ` ${name}="${html(shorten(value, longest))}"`)
    .join('')
}

/** Seconds as the schema wants them: `12.345`. */
function time(seconds: number): string {
  return (Math.round(seconds * 1000) / 1000).toString()
}
