import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * The pages as somebody follows them: what stands in their fences is run as it is, and only what a reader has to replace is replaced. A
 * page that no longer says what a test follows fails it.
 */

const root = join(import.meta.dirname, '..', '..')

export interface Fence {
  /** The heading of its section, '' above the first. */
  heading: string
  language: string
  text: string
}

/** The fenced blocks of a page, also those within lists. @param page its path, from the root of this repository */
export function fences(page: string): Fence[] {
  const found: Fence[] = []
  let heading = ''
  let open: { indent: string; fence: Fence } | undefined
  for (const line of readFileSync(join(root, page), 'utf8').split('\n')) {
    const [, indent = '', language] = /^( *)```(\w*)$/.exec(line) ?? []
    if (open) {
      if (language === '' && indent === open.indent) open = undefined
      else open.fence.text += `${line.slice(open.indent.length)}\n`
    } else if (language !== undefined) {
      open = { indent, fence: { heading, language, text: '' } }
      found.push(open.fence)
    } else heading = /^#{1,6} (.+)$/.exec(line)?.[1] ?? heading
  }
  return found
}

/** A block of a section. @param index from 0 @throws where it is not there */
export function fence(page: string, heading: string, index = 0): string {
  const found = fences(page).filter((one) => one.heading === heading)[index]
  if (!found) throw new Error(`${page} has no block ${index} below "${heading}"`)
  return found.text
}

/** The headings of a page, without those in fences. */
export function headings(page: string): string[] {
  const text = readFileSync(join(root, page), 'utf8').replace(/^ *```[\s\S]*?^ *```$/gm, '')
  return [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => heading)
}

/**
 * A text with what a reader replaces.
 *
 * @param table what stands there, and what is meant here
 * @throws where the text has nothing of a row: then the page no longer says it
 */
export function replaced(text: string, table: Record<string, string>): string {
  let result = text
  for (const [there, here] of Object.entries(table)) {
    if (!result.includes(there)) throw new Error(`"${there}" does not stand in:\n${text}`)
    result = result.replaceAll(there, here)
  }
  return result
}
