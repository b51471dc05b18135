import {
  type ChecklistItem,
  type CheckResult,
  type ClientResult,
  type DatabaseResult,
  type Estimate,
  type Forecast,
  type FreezeResult,
  type HistoryPoint,
  type LoginResult,
  type Loss,
  mostTimedTables,
  type PhaseName,
  type PhaseResult,
  type RehearsalResult,
  type Report,
  type ReportError,
  type RestoreResult,
  type RolesResult,
  type RunStatus,
  type ServerResult,
  type Span,
  type TableResult,
  type TableStep,
  type TableTimeline,
  type TargetResult,
} from './model.ts'

/** Of a run that did not migrate the roles. */
const noRoles: RolesResult = {
  ...{ source: 0, created: 0, existing: 0, differences: [] },
  memberships: { source: 0, restored: 0 },
  verified: true,
}

/** A part of the report while it is filled in. Nobody but this module has one. */
type Open<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer U)[] ? U[] : T[K] }

/** The only writer of a report: everything that a run finds is recorded by one of its methods; `report` shows it to all. */
export class ReportWriter {
  /** What is recorded so far. */
  readonly report: Report
  readonly #report: Open<Report>
  readonly #databases = new Map<string, DatabaseRecord>()
  /** When the run began by the clock that nobody sets, as performance.now() has it. */
  readonly #began: number

  /** @param begun what the report holds to begin with; it is copied */
  constructor(begun: Report) {
    this.#report = structuredClone(begun) as Open<Report>
    this.report = this.#report
    this.#began = performance.now() - (Date.now() - Date.parse(begun.startedAt))
  }

  check(result: CheckResult): void {
    this.#report.checks.push(result)
  }

  /** @returns false when the report has this warning already */
  warning(message: string): boolean {
    const { warnings } = this.#report
    const isNew = !warnings.includes(message)
    if (isNew) warnings.push(message)
    return isNew
  }

  /**
   * Notes a phase that begins now.
   *
   * @returns to be called when it is over, with whether it succeeded
   */
  phase(name: PhaseName, database?: string): (succeeded: boolean) => void {
    const began = performance.now()
    const phase: Open<PhaseResult> = {
      name,
      status: 'failed',
      seconds: 0,
      startedAt: this.#secondsUntil(began),
      ...(database === undefined ? {} : { database }),
    }
    this.#report.phases.push(phase)
    return (succeeded) => {
      phase.status = succeeded ? 'succeeded' : 'failed'
      phase.seconds = round((performance.now() - began) / 1000)
    }
  }

  /** Notes a phase that the inputs leave out. */
  skippedPhase(name: PhaseName): void {
    const startedAt = this.#secondsUntil(performance.now())
    this.#report.phases.push({ name, status: 'skipped', seconds: 0, startedAt })
  }

  source(server: ServerResult): void {
    this.#report.source = server
  }

  target(server: TargetResult): void {
    this.#report.target = server
  }

  client(programs: ClientResult): void {
    this.#report.client = programs
  }

  /** What came of the roles; what was recorded of them before is replaced. */
  roles(result: RolesResult): void {
    this.#report.roles = result
  }

  /** What came of the logins that were tried; one that failed leaves the roles unproven. */
  logins(logins: readonly LoginResult[]): void {
    const { roles = noRoles } = this.#report
    const verified = roles.verified && logins.every(({ status }) => status === 'succeeded')
    this.#report.roles = { ...roles, logins, verified }
  }

  estimate(estimate: Estimate): void {
    this.#report.estimate = estimate
  }

  /** The outage to announce; what was recorded of it before is replaced. */
  forecast(forecast: Forecast): void {
    this.#report.forecast = forecast
  }

  /** What this run and those before it took; what was recorded of them before is replaced. */
  history(points: readonly HistoryPoint[]): void {
    this.#report.history = [...points]
  }

  /** Losses that `allow-missing` accepts; each is kept once. */
  acceptedLosses(losses: readonly Loss[]): void {
    const { losses: known } = this.#report
    for (const loss of losses) {
      const isSame = ({ entry, database }: Loss) =>
        entry === loss.entry && database === loss.database
      if (!known.some(isSame)) known.push(loss)
    }
  }

  /** What is to be done by hand when the target takes over. */
  leftForCutover(items: readonly ChecklistItem[]): void {
    this.#report.checklist.push(...items)
  }

  dump(dump: NonNullable<Report['dump']>): void {
    this.#report.dump = dump
  }

  artifact(artifact: NonNullable<Report['artifact']>): void {
    this.#report.artifact = artifact
  }

  sourceStill(still: Report['sourceStill']): void {
    this.#report.sourceStill = still
  }

  /** How the source is left; what was recorded of it before is replaced. */
  freeze(freeze: FreezeResult): void {
    this.#report.freeze = freeze
  }

  /** What has become of the rehearsal; what was recorded of it before is replaced. */
  rehearsal(result: RehearsalResult): void {
    this.#report.rehearsal = result
  }

  /** The record of a database, which begins when it is first asked for. */
  database(database: { source: string; target: string; bytes: number }): DatabaseRecord {
    const known = this.#databases.get(database.source)
    if (known) return known
    const { databases } = this.#report
    const result = databases.find(({ name }) => name === database.source) ?? {
      name: database.source,
      target: database.target,
      bytes: database.bytes,
      dumpBytes: 0,
      dumpSeconds: 0,
      restoreSeconds: 0,
      tables: [],
      objects: [],
      verified: false,
    }
    if (!databases.includes(result)) databases.push(result)
    const record = new DatabaseRecord(result, this.#began)
    this.#databases.set(database.source, record)
    return record
  }

  /** Every database, and every role where they were migrated, is proven to have arrived. */
  verified(verified: boolean): void {
    this.#report.verified = verified
  }

  cutover(seconds: number): void {
    this.#report.cutoverSeconds = seconds
  }

  /** How the run ended. */
  end(status: RunStatus, error: ReportError | null = null): void {
    for (const record of this.#databases.values()) record.end()
    this.#report.status = status
    this.#report.error = error
  }

  #secondsUntil(moment: number): number {
    return round((moment - this.#began) / 1000)
  }
}

/** Writes what a report says of one database. */
export class DatabaseRecord {
  /** What is recorded so far. */
  readonly result: DatabaseResult
  readonly #result: Open<DatabaseResult>
  readonly #began: number
  readonly #timelines = new Map<string, Open<TableTimeline>>()

  /**
   * @param result of the writer's own report
   * @param began when the run began, as performance.now() has it
   */
  constructor(result: DatabaseResult, began: number) {
    this.#result = result as Open<DatabaseResult>
    this.result = result
    this.#began = began
  }

  /**
   * Notes that a step of a table was worked on; what was noted of the step before is added to. Shown with the table once it is
   * compared.
   *
   * @param time `from` and `to` as performance.now() has them; `busy` in seconds, all of it where it is left out
   */
  ran(
    step: TableStep,
    { schema, name }: Pick<TableResult, 'schema' | 'name'>,
    { from, to, busy = (to - from) / 1000 }: { from: number; to: number; busy?: number },
  ): void {
    const key = JSON.stringify([schema, name])
    let timeline = this.#timelines.get(key)
    if (!timeline) {
      if (this.#timelines.size >= mostTimedTables) return
      timeline = {}
      this.#timelines.set(key, timeline)
    }
    const before = timeline[step]
    const [start, end] = [from, to].map((moment) => round((moment - this.#began) / 1000)) as [
      number,
      number,
    ]
    timeline[step] = {
      start: Math.min(start, before?.start ?? start),
      end: Math.max(end, before?.end ?? end),
      busy: round(busy + (before?.busy ?? 0)),
    } satisfies Span
  }

  dumped({ bytes, seconds }: { bytes: number; seconds: number }): void {
    this.#result.dumpBytes = bytes
    this.#result.dumpSeconds = round(seconds)
  }

  /** What was restored so far; what was recorded of it before is replaced. */
  restored(restore: RestoreResult): void {
    this.#result.restore = restore
  }

  restoreTook(seconds: number): void {
    this.#result.restoreSeconds = round(seconds)
  }

  compared(
    comparison: Pick<
      DatabaseResult,
      'tables' | 'objects' | 'verified' | 'notCompared' | 'verifyRowsPerSecond'
    >,
  ): void {
    const tables = comparison.tables.map((table) => {
      const timeline = this.#timelines.get(JSON.stringify([table.schema, table.name]))
      return timeline ? { ...table, timeline } : table
    })
    Object.assign(this.#result, { ...comparison, tables })
  }

  /** Says more of a table that was compared: which of its rows differ. */
  differingRows(
    table: Pick<TableResult, 'schema' | 'name'>,
    rows: Pick<TableResult, 'differingKeys' | 'missingRows' | 'extraRows' | 'changedRows'>,
  ): void {
    this.#result.tables = this.#result.tables.map((one) =>
      one.schema === table.schema && one.name === table.name ? { ...one, ...rows } : one,
    )
  }

  /** The run is over: of a database that was not compared it is shown which tables were worked on. */
  end(): void {
    if (this.#result.tables.length > 0 || this.#timelines.size === 0) return
    this.#result.timedTables = [...this.#timelines].map(([key, timeline]) => {
      const [schema, name] = JSON.parse(key) as [string, string]
      return { schema, name, timeline }
    })
  }

  /** Nothing is proven of it after all. */
  notVerified(): void {
    this.#result.verified = false
  }

  /** @param kept the name that the old database has now, null when it was dropped */
  swapped(kept: string | null): void {
    this.#result.swapped = { kept }
  }

  /** It failed, so nothing is proven of it. */
  failed(error: ReportError): void {
    this.#result.verified = false
    this.#result.error = error
  }
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000
}
