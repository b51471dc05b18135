import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { notesFor } from '../../scripts/changelog.ts'
import { documented, pages as generatedPages } from '../../scripts/reference.ts'
import { commands } from '../../src/commands/index.ts'
import { parseInputs } from '../../src/migration/inputs.ts'
import { failureThrown } from '../support/failure.ts'

const root = join(import.meta.dirname, '..', '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const pages = globSync(
  ['*.md', 'docs/**/*.md', 'bench/*.md', 'examples/**/*.md', '.github/**/*.md'],
  { cwd: root },
)

/** The anchors that GitHub gives the headings of a page. */
function anchors(text: string): Set<string> {
  const seen = new Map<string, number>()
  const found = new Set<string>()
  for (const [, heading = ''] of withoutCode(text).matchAll(/^#{1,6} (.+)$/gm)) {
    const anchor = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-')
    const before = seen.get(anchor) ?? 0
    seen.set(anchor, before + 1)
    found.add(before === 0 ? anchor : `${anchor}-${before}`)
  }
  return found
}

const withoutCode = (text: string) => text.replace(/^```[\s\S]*?^```/gm, '')

test.each(pages)('every link of %s leads to something', (page) => {
  const lost: string[] = []
  for (const [, target = ''] of withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^(https?|mailto):/.test(target)) continue
    const [file = '', anchor] = target.split('#')
    const path = file === '' ? page : normalize(join(dirname(page), file))
    if (!existsSync(join(root, path))) lost.push(target)
    else if (anchor !== undefined && !anchors(read(path)).has(anchor)) lost.push(target)
  }
  expect(lost).toEqual([])
})

test('the README leads to every page of docs', () => {
  const readme = read('README.md')
  const missing = globSync('docs/*.md', { cwd: root }).filter((page) => !readme.includes(page))
  expect(missing).toEqual([])
})

test.each(generatedPages)('the tables of %s are those of action.yml', (page) => {
  // where this fails, `npx node scripts/reference.ts` writes them anew
  expect(read(page)).toBe(documented(page))
})

test('a release says what the changelog says of its version', () => {
  const changelog = `# Changelog

## Unreleased

- new

## [1.2.3] - 2026-01-31

- a
- b

## 1.2.2

## 1.2.1
- c
`
  expect(notesFor('1.2.3', changelog)).toBe('- a\n- b')
  expect(notesFor('1.2.1', changelog)).toBe('- c')
  expect(notesFor('1.2.2', changelog)).toBeUndefined()
  expect(notesFor('1.2', changelog)).toBeUndefined()
})

test('the types of the inputs and outputs name those that there are', () => {
  const action = parse(read('action.yml'))
  const types = parse(read('action-types.yml'))
  for (const part of ['inputs', 'outputs']) {
    expect(Object.keys(types[part]).sort()).toEqual(Object.keys(action[part]).sort())
  }
  const closed = Object.entries<{ type: string; 'allowed-values'?: string[] }>(types.inputs).filter(
    ([, { type }]) => type === 'enum' || type === 'boolean',
  )
  expect(closed.length).toBeGreaterThan(10)
  for (const [name, { 'allowed-values': allowed = ['true', 'false'] }] of closed) {
    const { why } = failureThrown(() => parseInputs((one) => (one === name ? '~' : ''), commands))
    const mistake = why.split(' | ').find((one) => one.startsWith(`${name}: `)) ?? ''
    const listed = mistake.split('; allowed: ')[1] ?? ''
    expect([name, listed.split(', ').sort()]).toEqual([name, [...allowed].sort()])
  }
})
