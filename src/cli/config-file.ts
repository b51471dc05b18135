import { readFileSync, statSync } from 'node:fs'
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml'
import { secretsIn } from '../host/secrets.ts'

/**
 * Reads a file of inputs: YAML, `name: value`, as under `with:` in a workflow. Every value is text, whatever YAML makes of it
 * elsewhere; a list is several lines.
 *
 * @param wrong told each mistake, without a value from the file: it may hold secrets
 * @returns the inputs that could be read
 */
export function readConfigFile(
  path: string,
  secrets: readonly string[],
  wrong: (mistake: string) => void,
): Map<string, string> {
  const values = new Map<string, string>()
  const text = readText(path, wrong)
  if (text === undefined) return values
  const lines = new LineCounter()
  const document = parseDocument(text, {
    schema: 'failsafe',
    prettyErrors: false,
    lineCounter: lines,
  })
  for (const { code, pos } of document.errors)
    wrong(`line ${lines.linePos(pos[0]).line} is no YAML (${code})`)
  const { contents } = document
  if (document.errors.length > 0 || contents === null) return values
  if (!isMap(contents)) {
    wrong('it is no list of name: value')
    return values
  }
  for (const { key, value } of contents.items) {
    const name = isScalar(key) ? String(key.value) : ''
    const parts = isSeq(value) ? value.items : [value]
    if (name === '' || !parts.every((part) => part === null || isScalar(part)))
      wrong(`${name || 'a name'}: it is neither a text nor a list of texts`)
    else
      values.set(
        name,
        parts.map((part) => String((part as { value?: unknown })?.value ?? '')).join('\n'),
      )
  }
  const hidden = [...values].some(
    ([name, value]) => value !== '' && (secrets.includes(name) || secretsIn(value).length > 0),
  )
  if (hidden) refuseOpen(path, wrong)
  return values
}

function readText(path: string, wrong: (mistake: string) => void): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    wrong(`it cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`)
    return undefined
  }
}

/** As libpq has it with a password file (PostgreSQL, "The Password File"): what others can read holds no secret. */
function refuseOpen(path: string, wrong: (mistake: string) => void): void {
  const stats = statSync(path)
  if (stats.isFile() && (stats.mode & 0o077) !== 0)
    wrong('it holds a secret, and others can read or change it; run chmod 600 on it')
}
