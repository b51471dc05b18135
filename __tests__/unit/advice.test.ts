import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'

const root = join(import.meta.dirname, '..', '..')
const metadata = globSync('{.,runner/start,runner/stop}/action.yml', { cwd: root })
  .map((file) => readFileSync(join(root, file), 'utf8'))
  .join('\n')
const named = new Set(
  [...metadata.matchAll(/^ {2}([a-z]+(?:-[a-z]+)+):$/gm)].map(([, name]) => name),
)

/** Words with a hyphen that messages use and that are no inputs: English, names of PostgreSQL, of commands, of artifacts. */
const others = new Set(
  `apt-get cn-hangzhou fine-grained github-runner foreign-table lower-case re-run runs-on self-hosted self-managed sign-on two-processor
   bookworm-pgdg case-sensitive command-line dnf-plugins-core dpkg-deb exclude-schema exclude-table
   exclude-table-data foreign-data half-made idle-in-transaction idle-session migrate-to-polardb
   no-password not-null other-name percent-encoded percent-encoding polardb-dump polardb-dump-parts polardb-dump-seal stop-commands
   polardb-report pseudo-type pseudo-types read-only row-level set-ntp throw-away timeout-minutes verify-ca`.split(
    /\s+/,
  ),
)

/** Files whose strings are style sheets or lists of other programs' options. */
const noMessages = /^src\/(report\/html\/|postgres\/programs\/options\.ts)/

function unknownNames(text: string): string[] {
  return [...text.matchAll(/`(?:[^`\\]|\\.)*`|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g)]
    .map(([literal]) => literal.replace(/\\[a-z]/g, ' '))
    .filter((literal) => literal.includes(' '))
    .flatMap((literal) => [...literal.matchAll(/(?<![\w./[-])[a-z]+(?:-[a-z]+)+(?![\w./-])/g)])
    .map(([name]) => name)
    .filter((name) => !named.has(name) && !others.has(name))
}

test('what messages name as an input is an input of action.yml', () => {
  expect(named.size).toBeGreaterThan(25)
  expect(unknownNames("'Check the server-password secret'")).toEqual(['server-password'])
  expect(unknownNames('`Check $' + '{name} and target-password`')).toEqual([])
  const found = globSync('src/**/*.ts', { cwd: root })
    .filter((file) => !noMessages.test(file))
    .flatMap((file) =>
      unknownNames(readFileSync(join(root, file), 'utf8')).map((name) => `${file}: ${name}`),
    )
  expect(found).toEqual([])
})
