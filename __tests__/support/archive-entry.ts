import type { ArchiveEntry } from '../../src/postgres/archive/entry.ts'

/** The entry of a table `t` in an archive's list, with what a test changes of it. */
export function archiveEntry(changes: Partial<ArchiveEntry> = {}): ArchiveEntry {
  return {
    dumpId: 1,
    hasData: false,
    tableOid: 0,
    oid: 0,
    tag: 't',
    desc: 'TABLE',
    section: 'pre-data',
    definition: '',
    dropStatement: '',
    copyStatement: null,
    namespace: 'public',
    tablespace: '',
    accessMethod: '',
    relationKind: '',
    withOids: false,
    owner: '',
    dependencies: [],
    dataFile: null,
    dataBytes: 0,
    bytes: null,
    ...changes,
  }
}
