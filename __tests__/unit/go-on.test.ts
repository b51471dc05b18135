import { expect, test } from '@jest/globals'
import { goOnAfterDump, goOnAfterMigrate, goOnAfterRestore } from '../../src/migration/go-on.ts'
import type { Run } from '../../src/migration/run.ts'

const dump = { id: 'd', createdAt: '2026-11-29T00:00:00Z' }
const artifact = { id: 1, name: 'shop', digest: null, bytes: 1 }
const begun = { databases: [{ name: 'shop', restore: {} }] }

function runWith(inputs: object, report: object): Run {
  return {
    inputs: { ifTargetNotEmpty: 'fail', artifactName: 'shop', keepDump: false, ...inputs },
    environment: { GITHUB_RUN_ID: '7' },
    artifacts: {},
    dumpDirectory: '/dump',
    report: { databases: [], ...report },
  } as unknown as Run
}

const upload = 'command: restore, run-id: 7, artifact-name: shop, github-token'
const anew = 'the dump is not kept, so another migration begins anew'

test.each([
  [
    'uploaded',
    { uploadDump: true },
    { dump, artifact, ...begun },
    false,
    `${upload} and if-target-not-empty: resume`,
  ],
  [
    'uploaded, encrypted',
    { uploadDump: true, passphrase: 'x' },
    { dump, artifact, ...begun },
    true,
    `${upload}, the same passphrase and if-target-not-empty: swap`,
  ],
  [
    'on the disk',
    { keepDump: true },
    { dump, ...begun },
    false,
    'command: restore, dump-directory: /dump and if-target-not-empty: resume',
  ],
  [
    'on the disk, the target untouched',
    { keepDump: true },
    { dump },
    false,
    'command: restore, dump-directory: /dump',
  ],
  [
    'on the disk, nothing replaced yet',
    { keepDump: true, ifTargetNotEmpty: 'replace' },
    { dump },
    false,
    'dump-directory: /dump and if-target-not-empty: replace',
  ],
  ['on the disk, unfinished', { keepDump: true }, begun, false, anew],
  [
    'uploading',
    { uploadDump: true },
    { dump, ...begun },
    false,
    `${anew}, with if-target-not-empty: replace;`,
  ],
  [
    'nowhere, beside the old database',
    {},
    { dump, ...begun },
    true,
    `${anew}, with if-target-not-empty: swap;`,
  ],
  ['nowhere, the target untouched', {}, { dump }, false, `${anew}; with upload-dump`],
])('a migration whose dump is %s goes on so', (_, inputs, report, swaps, expected) => {
  const now = goOnAfterMigrate(runWith(inputs, report), swaps).now()
  expect(now).toContain(expected)
  if (expected === upload || expected.endsWith('/dump')) expect(now).not.toContain('if-target')
})

test('a restore goes on with its dump, a swap as a swap, and anew where it has not begun', () => {
  expect(goOnAfterRestore(runWith({}, begun), false).now()).toBe(
    'run again with if-target-not-empty: resume',
  )
  expect(goOnAfterRestore(runWith({}, begun), true).now()).toBe(
    'run again with if-target-not-empty: swap',
  )
  expect(goOnAfterRestore(runWith({}, {}), true).now()).toBe('run again')
})

test('a dump goes on where it is sealed and kept', () => {
  const { now } = goOnAfterDump(runWith({ keepDump: true }, { dump }))
  expect(now()).toContain('command: restore, dump-directory: /dump')
  expect(goOnAfterDump(runWith({ keepDump: true }, {})).now()).toBe('run again')
  expect(goOnAfterDump(runWith({}, { dump })).now()).toBe('run again')
})
