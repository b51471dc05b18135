import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'

/** The documentation names files and functions of the code: they exist. */
const root = join(import.meta.dirname, '..', '..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const pages = [...globSync('docs/*.md', { cwd: root }), 'CONTRIBUTING.md', 'README.md'].sort()
const pathsIn = (text: string) =>
  [...text.matchAll(/`((?:src|__tests__)\/[\w./-]+)`/g)].map(([, path = '']) => path)

test('every path that a page names exists', () => {
  const missing = pages.flatMap((page) =>
    pathsIn(read(page))
      .filter((path) => !existsSync(join(root, path)))
      .map((path) => `${page}: ${path}`),
  )
  expect(missing).toEqual([])
  expect(pathsIn(read('docs/where.md')).length).toBeGreaterThan(30)
})

test('every function that docs/where.md names is made in a file that the same cell or paragraph names', () => {
  const stretches = read('docs/where.md').split(/\n\n|\n(?=[-|] ?)/)
  const missing: string[] = []
  let found = 0
  for (const stretch of stretches) {
    const texts = pathsIn(stretch)
      .filter((path) => path.endsWith('.ts'))
      .map(read)
    for (const [, name] of stretch.matchAll(/`(\w+)\(\)`/g)) {
      const made = new RegExp(
        `\\b(?:function|class) ${name}\\b|^ +(?:(?:private|async) )*${name}\\(.*\\{$`,
        'm',
      )
      if (texts.some((text) => made.test(text))) found++
      else missing.push(`${name}(): ${stretch.trim().slice(0, 60)}`)
    }
  }
  expect(missing).toEqual([])
  expect(found).toBeGreaterThan(40)
})

/** Sections that comments cite: docs/polardb.md, "Owners". */
test('every section of docs/polardb.md that a comment cites exists', () => {
  const sections = new Set([...read('docs/polardb.md').matchAll(/^## (.+)$/gm)].map(([, s]) => s))
  const cited = globSync('{src,__tests__}/**/*.ts', { cwd: root })
    .filter((file) => !file.endsWith('where.test.ts'))
    .flatMap((file) => {
      const text = read(file).replaceAll(/\n\s*(?:\*|\/\/) ?/g, ' ')
      return [...text.matchAll(/docs\/polardb\.md,( (?:from |to |and )?"[^"]+")+/g)].flatMap(
        ([all]) => [...all.matchAll(/"([^"]+)"/g)].map(([, section]) => `${file}: ${section}`),
      )
    })
  expect(cited.filter((line) => !sections.has(line.split(': ')[1]))).toEqual([])
  expect(cited.length).toBeGreaterThan(15)
})
