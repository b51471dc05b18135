import { statSync } from 'node:fs'

/** What takes longest, longest first: begun at the end, one of them would keep the others' processors idle. */
const longest = [
  'action/examples',
  'integration/clients-apt',
  'integration/artifacts',
  'integration/rehearse',
  'action/two-runners',
  'action/failures',
  'integration/overlap',
  'action/migrate',
  'integration/dump-parts',
  'integration/hostile-database',
  'integration/early-upload',
  'integration/restore-heal',
  'action/cancel',
  'integration/permissions',
  'action/databases',
  'integration/freeze',
  'integration/restore-two-steps',
  'action/command-line',
  'action/runner-actions',
  'integration/look-ahead',
  'integration/outage-window',
  'integration/stand-ins',
  'integration/verify-unreadable',
  'integration/restore-versions',
  'action/examples-elsewhere',
  'action/faults',
  'integration/stand-ins-databases',
  'integration/restore-streams',
  'integration/lost-connections',
  'integration/roles-only',
  'integration/roles',
  'integration/asleep',
  'integration/table-times',
  'integration/swap',
  'action/rehearse',
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
