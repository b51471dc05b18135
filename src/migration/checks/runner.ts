import { statfs } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { formatBytes, formatCount } from '../../text/numbers.ts'
import { nearestExisting } from '../free-space.ts'
import type { Answer, Check } from './check.ts'
import type { Probe } from './probe.ts'
import type { Question } from './question.ts'

/** The runner's file system beyond the free bytes on it. */
export interface FileSystem {
  /** Files that can still be made; null where the file system makes room for them as it goes. */
  files: number | null
  /** It is in the machine's memory (tmpfs, ramfs). */
  inMemory: boolean
  /** Bytes of memory of the machine. */
  memory: number
}

/** linux/magic.h: TMPFS_MAGIC, RAMFS_MAGIC */
const memoryFileSystems: ReadonlySet<number> = new Set([0x01021994, 0x858458f6])

export const fileSystem: Probe<FileSystem> = {
  id: 'runner-file-system',
  needs: [],
  async run({ runner }) {
    const { type, files, ffree } = await statfs(await nearestExisting(runner.dumpDirectory))
    return {
      files: files > 0 ? ffree : null,
      inMemory: memoryFileSystems.has(type),
      memory: totalmem(),
    }
  },
}

/** A dump has a file for the rows of each table and for each large object (pg_dump, directory format). */
export const dumpFiles: Question<{ tables: number; objects: number }> = {
  id: 'dump-files',
  scope: 'database',
  sql: ({ number }) => `
    SELECT pg_catalog.count(*)::pg_catalog.int4 AS tables,
           (SELECT pg_catalog.count(*)::pg_catalog.float8 FROM ${
             number >= 90_000
               ? 'pg_catalog.pg_largeobject_metadata'
               : '(SELECT DISTINCT loid FROM pg_catalog.pg_largeobject) o'
           }) AS objects
      FROM pg_catalog.pg_class WHERE relkind = 'r' AND oid >= 16384`,
}

/** Files beside the dump itself: archives' tables of contents, lists, logs. */
const others = 1000

export const runnerFiles: Check = {
  id: 'runner-files',
  severity: 'blocker',
  why: 'a dump has a file for each table and each large object, and a file system may run out of files before it is full',
  needs: ['source'],
  questions: { source: [dumpFiles] },
  probes: [fileSystem],
  judge(known): Answer {
    const { files } = known.result(fileSystem)
    const needed = known.source
      .rows(dumpFiles)
      .reduce((sum, { tables, objects }) => sum + tables + objects, others)
    if (files === null || files >= needed)
      return { status: 'passed', message: 'the file system can hold as many files as the dump has' }
    return {
      status: 'failed',
      message: `The dump has about ${formatCount(needed)} files, and ${known.runner.dumpDirectory} can hold ${formatCount(files)} more`,
      remedy: 'Set dump-directory to a file system with more inodes (df -i shows them)',
    }
  },
}

export const runnerMemory: Check = {
  id: 'runner-memory',
  severity: 'warning',
  why: 'a dump on a file system in memory leaves none for the programs, and the machine may end the job',
  needs: ['source'],
  probes: [fileSystem],
  judge(known): Answer {
    const { inMemory, memory } = known.result(fileSystem)
    const bytes = known.source.databases.reduce((sum, database) => sum + database.bytes, 0)
    if (!inMemory) return { status: 'passed', message: 'the dump is written to a disk' }
    // compressed, a dump has been seen at a tenth to a half of the database
    if (bytes / 2 < memory / 4)
      return { status: 'passed', message: 'the dump is written to memory, which has room for it' }
    return {
      status: 'failed',
      message: `${known.runner.dumpDirectory} is in the memory of the runner (${formatBytes(memory)} in all), and the databases hold ${formatBytes(bytes)}`,
      remedy: 'Set dump-directory to a disk',
    }
  },
}

export const runnerChecks: readonly Check[] = [runnerFiles, runnerMemory]
