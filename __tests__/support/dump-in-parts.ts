import { assess } from '../../src/migration/checks/assess.ts'
import { dumpDatabases, dumpTheRoles, sealEverything } from '../../src/migration/dump/everything.ts'
import type { DumpSink, PartAhead } from '../../src/migration/dump/sink.ts'
import { openDumpSource } from '../../src/migration/dump/source.ts'
import { SourceWatch, type Watched } from '../../src/migration/freeze/watch-writes.ts'
import type { DumpedDatabase } from '../../src/migration/kept/manifest.ts'
import type { Run } from '../../src/migration/run.ts'
import type { Report } from '../../src/report/model.ts'

/** Thresholds by which every table with a row is in a part of its own, as far as there are parts. */
export const tinyParts = { database: 1, table: 1, share: 0, parts: 8 }

/** Whether the restore of a database began before its dump was complete. */
export function isRestoredEarly({ phases }: Pick<Report, 'phases'>, database: string): boolean {
  const of = (name: string) =>
    phases.filter((one) => one.name === name && one.database === database)
  const ends = of('dump').map(({ startedAt, seconds }) => startedAt + seconds)
  return of('restore').some(({ startedAt }) => startedAt < Math.max(...ends))
}

/** What a sink was told, in the order in which it was told. */
export interface Told {
  calls: string[]
  /** Archives that rows began to come of, and how many calls there were before. */
  flowing: { path: string; after: number }[]
  ahead: readonly PartAhead[]
  schema: DumpedDatabase | undefined
  dumped: DumpedDatabase[]
}

/** A sink that keeps what it is told. */
export function listener(told: Told, more: Partial<DumpSink> = {}): DumpSink {
  return {
    schema: (database, ahead) => {
      told.calls.push(`schema ${database.name}`)
      told.schema = database
      told.ahead = ahead
      more.schema?.(database, ahead)
    },
    flows: (database, path) => {
      told.flowing.push({ path, after: told.calls.length })
      more.flows?.(database, path)
    },
    data: (database, path) => {
      told.calls.push(`data ${database} ${path}`)
      more.data?.(database, path)
    },
    lost: (database) => {
      told.calls.push(`lost ${database}`)
      more.lost?.(database)
    },
    dumped: (database) => {
      told.calls.push(`dumped ${database.name}`)
      told.dumped.push(database)
      more.dumped?.(database)
    },
  }
}

export const newlyTold = (): Told => ({
  calls: [],
  flowing: [],
  ahead: [],
  schema: undefined,
  dumped: [],
})

/** The command `dump`, with a sink; without one it makes single archives. The source is watched where it is to be frozen. */
export function dumping(sink?: DumpSink): (run: Run) => Promise<void> {
  return async (run) => {
    const { source } = await assess(['source'], run)
    if (!source) throw new Error(`the source was not reached: ${JSON.stringify(run.report.checks)}`)
    const watch = run.inputs.freezeSource ? await SourceWatch.begin(source, run) : undefined
    const dumpSource = await openDumpSource(source, run)
    const work = async (watched?: Watched) => {
      const roles = await dumpTheRoles(source, dumpSource, run)
      const databases = await dumpDatabases(source, dumpSource, run, undefined, sink)
      await watched?.dumped()
      const dumped = { client: dumpSource.client, databases, roles }
      const manifest = await sealEverything(dumped, source, run)
      await watched?.sealed(manifest)
    }
    await (watch ? watch.during('warning', work) : work())
  }
}
