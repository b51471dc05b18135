/** A role and the secret with which somebody logs in as it, for a try at the end of a run. */
export interface TestLogin {
  /** As the source calls it. */
  role: string
  secret: string
}

/** One entry from its first character to the end of its line; a quoted name may go over several. */
const entry = /[ \t]*(?:"((?:[^"]|"")*)"|([^"=\s][^=\n]*?))[ \t]*=([^\n]*)(?:\n|$)/y

/**
 * Reads `test-logins`: `name=secret`, one a line. The secret is everything behind the first equals sign, as it stands. A name with an
 * equals sign, a double quote or a line break in it, or with blanks at its ends, goes in double quotes, a quote in it doubled, as in SQL.
 *
 * @throws SyntaxError that says which entry is wrong and repeats nothing of it, since any of it may be a secret
 */
export function parseTestLogins(text: string): TestLogin[] {
  const logins: TestLogin[] = []
  const wrong = (why: string) => new SyntaxError(`entry ${logins.length + 1} ${why}`)
  for (const found of entriesOf(text)) {
    if (typeof found === 'string') throw wrong('is not of the form name=secret')
    if (found.role === '') throw wrong('has no name')
    if (found.role.includes('\0') || found.secret.includes('\0')) throw wrong('holds a NUL')
    if (found.secret === '') throw wrong('has no secret')
    if (logins.some(({ role }) => role === found.role))
      throw wrong('names a role that is there already')
    logins.push(found)
  }
  return logins
}

/**
 * What is secret in the text of `test-logins`, also where it cannot be parsed: then every line of the rest, and all behind an equals
 * sign. Of the names nothing is, so that they can be read wherever they stand.
 */
export function loginSecrets(text: string): string[] {
  const secrets = new Set<string>()
  for (const found of entriesOf(text)) {
    const texts =
      typeof found === 'string'
        ? found
            .split(/\r?\n/)
            .flatMap((line) => [line, line.slice(line.indexOf('=') + 1), line.split('=').at(-1)])
        : [found.secret]
    for (const one of texts) if (one !== undefined && one.trim() !== '') secrets.add(one)
  }
  return [...secrets]
}

/** Every entry, and in the place of the first that is none all of the rest. */
function* entriesOf(text: string): Generator<TestLogin | string> {
  let position = 0
  for (;;) {
    position += /^\s*?(?=[^\s]|$)/.exec(text.slice(position))?.[0].length ?? 0
    if (position >= text.length) return
    entry.lastIndex = position
    const match = entry.exec(text)
    if (!match) {
      yield text.slice(position)
      return
    }
    const [, quoted, plain = '', secret = ''] = match
    yield { role: quoted?.replaceAll('""', '"') ?? plain, secret: secret.replace(/\r$/, '') }
    position += match[0].length
  }
}
