import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { ArrivingDatabase } from '../../src/migration/overlap/arriving-database.ts'
import { EarlyDatabase } from '../../src/migration/overlap/early-database.ts'
import type { PlannedDatabase } from '../../src/migration/restore/plan-everything.ts'
import type { Run } from '../../src/migration/run.ts'

test('the definitions that a database was decided about by are not read again when its restore begins', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'early-'))
  try {
    // whoever reads it finds no table of contents
    writeFileSync(join(directory, 'toc.dat'), 'identifies the dump')
    const database = {
      options: { archives: [directory] },
      plan: { archives: [{ directory, entries: [] }] },
    } as unknown as PlannedDatabase
    const run = { inputs: { roles: 'migrate' } } as unknown as Run
    await EarlyDatabase.of(database, new ArrivingDatabase('/dump'), run)
    expect(database.options.arriving?.parts).toEqual([])
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
