// The newest minor release that apt offers, as users have it: it writes into catalogs what older minors do not.
import { afterAll, expect, test } from '@jest/globals'
import { newestMinor } from '../support/clients.ts'
import { between, readEverything, runJob, smallShop } from '../support/migration.ts'
import { startPlainTarget } from '../support/polardb-standin.ts'
import { ResultsServer } from '../support/results-server.ts'
import { type Major, TestServer } from '../support/server.ts'

const newest = await newestMinor()
const results = await ResultsServer.start()
afterAll(() => results.stop())

const lane = newest ? test : test.skip
lane(
  `a migration between two servers of ${newest?.version ?? 'the newest minor (skipped: apt has none for this machine)'} is verified`,
  async () => {
    if (!newest) return
    const { directory: programs, version } = newest
    const major = newest.major as Major
    const source = await TestServer.start(major, { programs })
    const target = await startPlainTarget(major, { programs })
    try {
      await source.sql('CREATE DATABASE shop')
      await source.sql(smallShop(), 'shop')
      const run = await runJob({
        inputs: between(source, target, 'shop', { 'client-path': programs, 'allow-missing': '*' }),
        env: results.environment(),
      })
      expect(run.report.error).toBeNull()
      expect(run.report).toMatchObject({
        source: { version },
        target: { version },
        client: { version },
        verified: true,
      })
      const [there, here] = [await target.backend.connect('shop'), await source.connect('shop')]
      const [arrived, sent] = [await readEverything(there), await readEverything(here)]
      await Promise.all([there.end(), here.end()])
      expect(arrived).toEqual(sent)
      run.cleanUp()
    } finally {
      await Promise.all([source.stop(), target.stop()])
    }
  },
)
