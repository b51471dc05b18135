import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import { runInProcess } from '../support/in-process.ts'
import { Harness } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

const run = promisify(execFile)

/** The sources of locales, from which one can be made for a single process tree (package locales). */
const canMake = existsSync('/usr/share/i18n/locales/de_DE') && existsSync('/usr/bin/localedef')

;(canMake ? test : test.skip)(
  'money arrives as the same amount where the servers write it otherwise',
  async () => {
    const locales = await mkdtemp(join(tmpdir(), 'locales-'))
    let source: TestServer | undefined
    let target: TestServer | undefined
    let harness: Harness | undefined
    try {
      await chmod(locales, 0o755)
      await run('/usr/bin/localedef', ['-i', 'de_DE', '-f', 'UTF-8', join(locales, 'de_DE.UTF-8')])
      harness = await Harness.open(15)
      if (!harness) throw new Error('the client programs of 15 cannot be had on this machine')
      const initdb = ['-E', 'UTF8', '--locale=C']
      source = await TestServer.start(15, {
        initdb,
        locales,
        settings: { lc_monetary: "'de_DE.UTF-8'" },
      })
      target = await TestServer.start(15, { initdb })
      await source.sql('CREATE DATABASE shop')
      await source.sql(
        `CREATE TABLE t (id int PRIMARY KEY, price money DEFAULT '7,25', CHECK (price > '0,50'::money)); INSERT INTO t VALUES (1, '1.234,50 €'), (2, '0,99')`,
        'shop',
      )
      const { rows } = await source.sql('SELECT price::text FROM t WHERE id = 1', 'shop')
      expect(rows[0]?.price).toMatch(/^1\.234,50/)
      const { report, error } = await runInProcess({
        command: 'migrate',
        source: source.uri('shop'),
        target: target.uri('postgres'),
        'client-path': harness.client.directory,
        'upload-dump': 'false',
        roles: 'skip',
      })
      expect(error).toBeUndefined()
      expect(report.verified).toBe(true)
      await target.sql('INSERT INTO t VALUES (3)', 'shop')
      const amounts = await target.sql(
        'SELECT price::numeric::text AS amount FROM t ORDER BY id',
        'shop',
      )
      expect(amounts.rows.map(({ amount }) => amount)).toEqual(['1234.50', '0.99', '7.25'])
    } finally {
      await source?.stop()
      await target?.stop()
      await harness?.close()
      await rm(locales, { recursive: true, force: true })
    }
  },
)
