// The section of the changelog for a tag, on standard output: what a release says of itself. Ends with 1 when the tag is not the
// version in package.json, or the changelog has nothing for it.
//
//     node scripts/release-notes.ts v1.2.3
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { notesFor } from './changelog.ts'

const root = join(import.meta.dirname, '..')
const tag = process.argv[2] ?? ''
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  version: string
}
if (tag !== `v${version}`) {
  console.error(`The tag is ${tag}, and package.json says ${version}: set one of them right`)
  process.exit(1)
}
const notes = notesFor(version, readFileSync(join(root, 'CHANGELOG.md'), 'utf8'))
if (notes === undefined) {
  console.error(
    `CHANGELOG.md has no section "## ${version}": move the entries there that belong to it`,
  )
  process.exit(1)
}
console.log(notes)
