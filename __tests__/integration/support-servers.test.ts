import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { hasServer, majors, TestServer } from '../support/server.ts'

const root = join(import.meta.dirname, '..', '..')

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'support-servers-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

;(hasServer(15) ? describe : describe.skip)('a server for tests', () => {
  test('is stopped and removed although the process that started it was killed', async () => {
    const script = join(directory, 'crash.ts')
    writeFileSync(
      script,
      `import { TestServer } from '${pathToFileURL(join(root, '__tests__/support/server.ts')).href}'
      const { directory, data } = await TestServer.start(15)
      console.log(directory)
      process.kill(process.pid, 'SIGKILL')`,
    )
    const node = join(root, 'node_modules', '.bin', 'node')
    const left = await new Promise<string>((resolve) => {
      execFile(node, [script], (_, stdout) => resolve(stdout.trim()))
    })
    expect(left).toMatch(/pg15-/)
    while (existsSync(left)) await new Promise((resolve) => setTimeout(resolve, 50))
  })

  test('speaks TLS with a certificate that its own CA signed', async () => {
    const server = await TestServer.start(15, { tls: true })
    try {
      const ssl = { ca: readFileSync(server.ca ?? '', 'utf8') }
      const client = await server.connect('postgres', { host: 'localhost', ssl })
      const { rows } = await client.query(
        'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
      )
      await client.end()
      expect(rows).toEqual([{ ssl: true }])
    } finally {
      await server.stop()
    }
  })

  test('has a standby that reads and does not write', async () => {
    const server = await TestServer.start(15)
    try {
      await server.sql('CREATE TABLE t AS SELECT 1 AS i')
      const standby = await server.standby()
      try {
        expect((await standby.sql('SELECT i FROM t')).rows).toEqual([{ i: 1 }])
        await expect(standby.sql('DELETE FROM t')).rejects.toMatchObject({ code: '25006' })
        await server.sql('DELETE FROM t')
      } finally {
        await standby.stop()
      }
    } finally {
      await server.stop()
    }
  })

  test.each(majors.filter(hasServer))(
    'is a cluster of its own although initdb runs once for servers of PostgreSQL %i',
    async (major) => {
      const servers = [await TestServer.start(major), await TestServer.start(major)]
      try {
        // a copy keeps the times of what it is one of; other tests make kinds of their own meanwhile
        const made = servers.map(
          ({ data }) => statSync(join(data, 'PG_VERSION'), { bigint: true }).mtimeNs,
        )
        expect(made[0]).toBe(made[1])
        const read = 'SELECT system_identifier FROM pg_control_system()'
        const found = await Promise.all(servers.map(async (one) => (await one.sql(read)).rows[0]))
        expect(found[0]).not.toEqual(found[1])
        for (const one of servers) {
          await one.sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS i')
          await one.down('immediate')
          await one.up() // replays the log, whose pages carry the identifier
          expect((await one.sql('SELECT count(*)::int AS n FROM t')).rows).toEqual([{ n: 1000 }])
        }
      } finally {
        for (const one of servers) await one.stop()
      }
    },
  )
})
