import type { Report } from '../report/model.ts'

/** Values registered so far, longest first, so that a secret within another does not leave the rest readable. */
const known = new Set<string>()
let ordered: string[] = []

/**
 * Remembers a secret for `redact`, in every form in which it may turn up: as it is, line by line, percent-encoded, base64 (of
 * itself and as part of `user:password`), JSON-escaped.
 *
 * @returns those forms that were not known, for whoever else masks them
 */
export function rememberSecret(secret: string): string[] {
  const forms = new Set<string>()
  for (const text of [secret, secret.trim(), ...secret.split(/\r?\n/)]) {
    if (text === '') continue
    forms.add(text)
    forms.add(encodeURIComponent(text))
    forms.add(encodeURI(text))
    forms.add(
      encodeURIComponent(text).replace(
        /[!'()*]/g,
        (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
      ),
    )
    forms.add(JSON.stringify(text).slice(1, -1))
    forms.add(text.replace(/[\\:]/g, '\\$&')) // as a password file has it
    forms.add(text.replaceAll("'", "''"))
    const base64 = Buffer.from(text).toString('base64')
    forms.add(base64)
    // base64 of anything that ends in the secret (user:password): the inner groups at each of the three alignments
    for (const pad of [1, 2]) {
      const inner = Buffer.from(`${'x'.repeat(pad)}${text}`)
        .toString('base64')
        .slice(4)
        .replace(/=+$/, '')
      if (inner.length >= 8)
        forms.add(inner.slice(0, inner.length - (inner.length % 4 || 0)) || inner)
    }
  }
  const unknown = [...forms].filter((form) => form !== '' && !known.has(form))
  for (const form of unknown) known.add(form)
  ordered = [...known].sort((a, b) => b.length - a.length)
  return unknown
}

/**
 * What is secret in a connection string, before anybody has parsed it: the password alone, and the whole of the text when it
 * holds one. A runner masks only what it was told, so the whole URI as a secret leaves its password readable.
 */
export function secretsIn(connectionString: string): string[] {
  const text = connectionString
  const inUri = /^\s*postgres(?:ql)?:\/\/[^/?#]*?:([\s\S]*)@/.exec(text)?.[1]
  const inQuery = /[?&](?:password|sslpassword)=([^&\s]*)/.exec(text)?.[1]
  const pair =
    /(?:^|\s)(?:password|sslpassword)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)+))/su.exec(
      text,
    )
  const unescaped = [pair?.[1], pair?.[2]].map((value) => value?.replace(/\\(.)/gsu, '$1'))
  const found = [inUri, inQuery, ...unescaped].filter((value) => value !== undefined)
  const passwords = found.filter((value) => value !== '')
  return passwords.length === 0
    ? []
    : [...passwords.flatMap((value) => [value, decoded(value)]), text.trim()]
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // not percent-encoded
  }
}

/** The text with every remembered secret replaced. A second belt beside a runner's masking, and the only one for files and terminals. */
export function redact(text: string): string {
  let result = text
  for (const secret of ordered)
    if (result.includes(secret)) result = result.replaceAll(secret, '***')
  return result
}

/**
 * The report with free text redacted, for what a server or a program said may repeat a secret. Names of objects are left alone.
 * What of it holds no secret is the same as in the report that is given.
 */
export function redactedReport(report: Report): Report {
  const free = new Set('message cause remedy paste reason statement explained what'.split(' '))
  const isFree = (within: string, key: string) =>
    free.has(key) ||
    within === 'warnings' ||
    within === 'basis' ||
    // a default or a function's body may hold anything
    (within === 'definitions' && (key === 'source' || key === 'target'))
  const copy = (value: unknown, within: string): unknown => {
    if (typeof value !== 'object' || value === null) return value
    let isChanged = false
    const entries = Object.entries(value).map(([key, inner]): [string, unknown] => {
      const shown =
        typeof inner === 'string' && isFree(within, key)
          ? redact(inner)
          : copy(inner, Array.isArray(value) ? within : key)
      isChanged ||= shown !== inner
      return [key, shown]
    })
    // of a report of many tables nearly all stays as it is
    if (!isChanged) return value
    return Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries)
  }
  return copy(report, '') as Report
}
