import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from '@jest/globals'
import { refusalOfNode } from '../../src/node-version.ts'

const run = promisify(execFile)
const bundles = ['post', 'main', 'runner-start', 'runner-stop'].map((name) =>
  join(import.meta.dirname, '..', '..', 'dist', name, 'index.js'),
)

test.each([
  ['20.20.2', true],
  ['22.4.0', true],
  ['24.0.0', false],
  ['26.1.0', false],
])('Node %s is refused: %s', (version, refused) => {
  expect(refusalOfNode(version) !== undefined).toBe(refused)
})

/** A Node of the machine's own that is older than the action wants. */
async function olderNode(): Promise<string | undefined> {
  for (const directory of ['/usr/bin', '/usr/local/bin', '/opt/node/bin']) {
    try {
      if (!readdirSync(directory).includes('node')) continue
      const node = join(directory, 'node')
      const { stdout } = await run(node, ['--version'])
      if (refusalOfNode(stdout.replace(/^v/, '').trim())) return node
    } catch {
      // no such directory, or no Node that runs
    }
  }
  return undefined
}

const older = await olderNode()
const withOlder = older ? describe : describe.skip
withOlder(
  `the bundles under an older Node${older ? '' : ' (skipped: this machine has none)'}`,
  () => {
    test('say so in one line, and post says nothing more', async () => {
      const [post = '', ...steps] = bundles
      for (const step of steps) {
        const failed = await run(older ?? '', [step], { env: {} }).catch((error: unknown) => error)
        expect(failed).toMatchObject({ code: 1, stderr: '' })
        expect((failed as { stdout: string }).stdout).toMatch(
          /^::error::This action needs Node 24, and the runner started it with Node [\d.]+\. Update the runner to 2\.327\.1 or newer[^\n]*\n$/,
        )
      }
      expect(await run(older ?? '', [post], { env: {} })).toEqual({ stdout: '', stderr: '' })
    })
  },
)
