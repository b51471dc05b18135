import { statSync } from 'node:fs'

/** What takes longest, longest first: begun at the end, one of them would keep the others' processors idle. */
const longest = [
  'integration/rehearse',
  'integration/overlap',
  'action/examples',
  'integration/artifacts',
  'action/overlap',
  'integration/clients-apt',
  'action/failures',
  'action/migrate',
  'action/two-runners',
  'integration/clients-yum',
  'action/examples-runner',
  'integration/roles',
  'integration/lost-connections',
  'action/faults',
  'action/databases',
  'action/cancel',
  'integration/hostile-database',
  'action/rehearse',
  'action/examples-elsewhere',
  'integration/overlap-growing',
  'integration/permissions',
  'integration/early-upload',
  'integration/by-hand',
  'integration/freeze',
  'action/command-line',
]

/** The order of the test files: the same on every machine, whatever ran there before (Jest's own sorts by remembered times). */
export default class Sequencer {
  sort(tests) {
    const rank = ({ path }) => {
      const at = longest.findIndex((name) => path.endsWith(`/__tests__/${name}.test.ts`))
      return at < 0 ? longest.length : at
    }
    const size = ({ path }) => statSync(path).size
    return [...tests].sort((a, b) => rank(a) - rank(b) || size(b) - size(a))
  }

  shard(tests) {
    return tests
  }

  allFailedTests(tests) {
    return tests
  }

  cacheResults() {}
}
