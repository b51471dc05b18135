import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { parse } from 'yaml'

const root = join(import.meta.dirname, '..', '..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')

function inputsOf(action: string): Record<string, { default?: string }> {
  return (parse(read(`runner/${action}/action.yml`)) as { inputs: object }).inputs as Record<
    string,
    { default?: string }
  >
}

test('docs/runner.md names every input of runner/start with its default', () => {
  const rows = new Map<string, string>()
  for (const [, names = '', value = ''] of read('docs/runner.md').matchAll(
    /^\| (`[a-z0-9-]+`(?:, `[a-z0-9-]+`)*) \| ([^|]*)\|/gm,
  ))
    for (const [, name = ''] of names.matchAll(/`([^`]+)`/g)) rows.set(name, value)
  const inputs = inputsOf('start')
  expect([...rows.keys()].sort()).toEqual(Object.keys(inputs).sort())
  for (const [name, { default: value }] of Object.entries(inputs)) {
    const documented = [...(rows.get(name) ?? '').matchAll(/`([^`]+)`/g)].map(([, text]) => text)
    expect([name, documented]).toEqual([name, value?.split(/\s+/).filter(Boolean) ?? []])
  }
})

test('docs/runner.md names every input of runner/stop', () => {
  const [, sentence = ''] = /`runner\/stop` takes ([\s\S]*?)\n\n/.exec(read('docs/runner.md')) ?? []
  for (const name of Object.keys(inputsOf('stop'))) expect(sentence).toContain(`\`${name}\``)
})

test('the policy allows what is called, bound to our tag, and nothing else', () => {
  const fill = (text: string) =>
    JSON.parse(text.replace(/\$\{([a-z_]+)\}/g, '$1')) as {
      Statement: { Action: string | string[]; Resource: string | string[]; Condition?: object }[]
    }
  const { Statement } = fill(read('examples/terraform/policy.json'))
  const allowed = Statement.flatMap(({ Action }) => Action)
  const called = ['ecs', 'whitelist'].flatMap((name) =>
    [...read(`src/runner/${name}.ts`).matchAll(/this\.call\('([A-Za-z]+)'/g)].map(
      ([, action]) => `${name === 'ecs' ? 'ecs' : 'polardb'}:${action}`,
    ),
  )
  expect(new Set(allowed)).toEqual(new Set(called))
  for (const right of ['ecs:DeleteInstance', 'ecs:GetInstanceConsoleOutput'])
    for (const { Action, Condition } of Statement)
      if (Action.includes(right))
        expect(JSON.stringify(Condition)).toContain('acs:ResourceTag/migrate-to-polardb')
  expect(Statement.flatMap(({ Resource }) => Resource)).not.toContain('*')
  const trust = JSON.stringify(fill(read('examples/terraform/trust-policy.json')))
  for (const claim of ['oidc:iss', 'oidc:aud', 'oidc:sub']) expect(trust).toContain(claim)
})

test('the files that Terraform fills in get every variable that they name, and no other', () => {
  for (const file of ['policy.json', 'trust-policy.json', 'runner.sh.tftpl']) {
    const named = [...read(`examples/terraform/${file}`).matchAll(/\$\{([a-z0-9_]+)\}/g)]
    const configuration = globSync('examples/terraform/*.tf', { cwd: root }).map(read).join('\n')
    const call = new RegExp(`templatefile\\("\\$\\{path\\.module\\}/${file}", \\{([^}]*)\\}`)
    const [, given = ''] = call.exec(configuration) ?? []
    const names = [...given.matchAll(/^\s*([a-z0-9_]+)\s*=/gm)].map(([, name]) => name)
    expect([file, [...new Set(names)].sort()]).toEqual([
      file,
      [...new Set(named.map(([, name]) => name))].sort(),
    ])
  }
})

test('every Terraform variable that is used is declared, and every declared one is used', () => {
  const text = globSync('examples/terraform/*.tf', { cwd: root }).map(read).join('\n')
  const used = [...text.matchAll(/\bvar\.([a-z_]+)/g)].map(([, name]) => name)
  const declared = [...text.matchAll(/^variable "([a-z_]+)"/gm)].map(([, name]) => name)
  expect(new Set(used)).toEqual(new Set(declared))
})
