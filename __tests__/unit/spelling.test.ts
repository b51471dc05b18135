import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { parse } from 'yaml'

/**
 * The spelling of what people read: British, by Debian's `hunspell` and `hunspell-en-gb`, where the machine has them. Words of the
 * field, among them the American ones that PostgreSQL and GitHub use as names (catalog, artifact, analyze), are in words.txt.
 */
const root = join(import.meta.dirname, '..', '..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const known = new Set(read('__tests__/words.txt').split('\n').filter(Boolean))

const isThere =
  spawnSync('hunspell', ['-d', 'en_GB', '-l'], { input: 'word' }).status === 0 ||
  console.warn('skipped: there is no hunspell with hunspell-en-gb on this machine')
const check = isThere ? test : test.skip

/** Words that neither the dictionary nor the list knows. */
function unknown(text: string): string[] {
  const { stdout } = spawnSync('hunspell', ['-d', 'en_GB', '-l', '-i', 'utf-8'], {
    input: text,
    encoding: 'utf8',
  })
  // what has capitals within are names and abbreviations
  const found = stdout.split('\n').filter((word) => /^\p{L}[\p{Ll}'’]+$/u.test(word))
  return [...new Set(found)]
    .filter((word) => !known.has(word.toLowerCase().replace(/['’]s$/, '')))
    .sort()
}

/** A page without what is code, a link's address or markup. */
function proseOfPage(text: string): string {
  return text
    .replace(/^```[\s\S]*?^```/gm, '')
    .replace(/`[^`]*`|\]\([^)]*\)|<[^>]*>|https?:\/\/\S+/g, ' ')
}

/** The strings of a source file that are sentences: several words, and nothing of SQL or of code. */
function proseOfSource(text: string): string {
  const code = text.replace(/^\s*(\/\/|\/?\*).*$/gm, '')
  const strings = code.matchAll(/`(?:[^`\\]|\\.)*`|'(?:[^'\\\n]|\\.)*'/g)
  return [...strings]
    .map(([string]) => string.slice(1, -1).replace(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, ' '))
    .filter((string) => string.split(/\s+/).length >= 3)
    .filter((string) => !/\b(SELECT|FROM|WHERE|GRANT|ALTER|CREATE|DROP|SET|BEGIN)\b/.test(string))
    .filter((string) => !/pg_catalog|[{};=]$|^\s*<|=>/.test(string))
    .map((string) => string.replace(/"[^"]*"|\\.|\S*[_/=.\d@-]\S*[a-z]/g, ' '))
    .join('\n')
}

function proseOfAction(text: string): string {
  const {
    description,
    inputs = {},
    outputs = {},
  } = parse(text) as {
    description: string
    inputs?: Record<string, { description: string }>
    outputs?: Record<string, { description: string }>
  }
  const parts = [...Object.values(inputs), ...Object.values(outputs)]
  return proseOfPage([description, ...parts.map((part) => part.description)].join('\n'))
}

const comments = (text: string) =>
  [...text.matchAll(/(?:^|\s)(?:#|\/\/) (.*)$/gm)].map(([, comment]) => comment).join('\n')

const pages = globSync(['*.md', 'docs/*.md', 'bench/*.md', 'examples/**/*.md', '.github/**/*.md'], {
  cwd: root,
})
const actions = ['action.yml', 'runner/start/action.yml', 'runner/stop/action.yml']
const examples = globSync(['examples/**/*.{yml,tf}', 'examples/Jenkinsfile'], { cwd: root })
// keys, styles and the queries of the comparison hold no sentences
const sources = globSync('src/**/*.ts', { cwd: root }).filter(
  (file) => !/clients\/keys|html\/(style|search|page)|verify\/(catalog|rows)|user-data/.test(file),
)

check.each([
  ['the pages', pages, proseOfPage],
  ['the descriptions of inputs and outputs', actions, proseOfAction],
  ['the comments of the examples', examples, (text: string) => proseOfPage(comments(text))],
  ['the messages', sources, proseOfSource],
] as const)('%s are spelled as the dictionary has it', (_, files, proseOf) => {
  const texts = files.map((file) => ({ file, text: proseOf(read(file)) }))
  // one call for all: it takes as long to begin as to read
  const words = unknown(texts.map(({ text }) => text).join('\n'))
  const found = words.map((word) => {
    const places = texts.filter(({ text }) => text.includes(word)).map(({ file }) => file)
    return `${word}: ${places.join(', ')}`
  })
  expect(found).toEqual([])
})
