import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from '@jest/globals'
import { readArchive } from '../../src/postgres/archive/archive.ts'
import { Harness } from '../support/restore-harness.ts'
import { createRichDatabase } from '../support/rich-database.ts'
import { type Major, TestServer } from '../support/server.ts'

const run = promisify(execFile)

describe('the table of contents of an archive', () => {
  test.each<[number, Major]>([
    [13, 13],
    [15, 15],
    [17, 17],
    [18, 18],
  ])(
    'by pg_dump %i has the entries and dependencies that pg_restore lists',
    async (client, major) => {
      const harness = await Harness.open(client)
      if (!harness)
        throw new Error(`the client programs of ${client} cannot be had on this machine`)
      const server = await TestServer.start(major)
      try {
        await createRichDatabase(server)
        const { directory } = await harness.dump(server, 'rich')
        const { entries } = await readArchive(directory)
        const { stdout } = await run(
          join(harness.client.directory, 'pg_restore'),
          ['--list', '--verbose', directory],
          { maxBuffer: 1e8 },
        )
        // names with newlines are printed in one line since version 12, and so every entry has one
        const listed = [...stdout.matchAll(/^(\d+); (\d+) (\d+) (.*)$/gm)]
        const dependencies = [...stdout.matchAll(/^;\tdepends on: (.*)$/gm)].map((match) =>
          match[1]?.trim(),
        )
        expect(entries.length).toBeGreaterThan(100)
        const known = new Map(entries.map((entry) => [entry.dumpId, entry]))
        for (const [, id, tableOid, oid, text] of listed) {
          const entry = known.get(Number(id))
          expect(entry).toMatchObject({ tableOid: Number(tableOid), oid: Number(oid) })
          expect(text).toContain(entry?.desc)
        }
        expect(listed).toHaveLength(entries.length)
        const shown = entries
          .filter((entry) => entry.dependencies.length > 0)
          .map((entry) => entry.dependencies.join(' '))
        expect(dependencies.sort()).toEqual(shown.sort())
      } finally {
        await server.stop()
        await harness.close()
      }
    },
  )
})
