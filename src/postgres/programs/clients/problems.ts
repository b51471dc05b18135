/**
 * Why a repository gave no packages: it has none for this release or major (`absent`), it did not answer
 * (`unreachable`), its signatures or checksums do not hold (`untrusted`), or its package tool failed otherwise (`failed`).
 */
export type ProblemKind = 'absent' | 'unreachable' | 'untrusted' | 'failed'

export interface Problem {
  kind: ProblemKind
  /** What the package tool said, in one line, without passwords. */
  why: string
}

/** A repository that could not be used; the next one may be. */
export class RepositoryProblem extends Error {
  override readonly name = 'RepositoryProblem'
  readonly kind: ProblemKind
  /** The repository, for people, without a password. */
  readonly repository: string

  constructor(kind: ProblemKind, repository: string, why: string) {
    super(why)
    this.kind = kind
    this.repository = repository
  }
}

/** What apt's messages mean. They are not translated: it runs in the C locale. */
export function aptProblem(stderr: string): Problem {
  const lines = withoutCredentials(stderr)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /^[EW]: /.test(line))
  const find = (pattern: RegExp) => lines.find((line) => pattern.test(line))?.slice(3)
  const signature = find(
    /NO_PUBKEY|(?:EXP|BAD|REV)(?:KEY)?SIG|ERRSIG|NODATA|NOSPLIT|GPG error|OpenPGP|signature/i,
  )
  const untrusted =
    signature ??
    find(/is not signed|not be authenticated|unauthenticated/i) ??
    find(/Hash Sum mismatch|unexpected size|does not match|weak|Clearsigned file/i)
  if (untrusted) return { kind: 'untrusted', why: untrusted }
  const absent = find(/does not have a Release file|Unable to locate package|has no installation/i)
  if (absent) return { kind: 'absent', why: absent }
  const unreachable = find(
    /connect|timed out|resolv|Network is unreachable|No route|reset|closed|Could not (?:wait|read)|failed \[IP/i,
  )
  if (unreachable) return { kind: 'unreachable', why: unreachable }
  return { kind: 'failed', why: lines.at(-1)?.slice(3) ?? lastLine(stderr) }
}

/** What dnf's messages mean (dnf 4 and 5, both over librepo). They are not translated: it runs in the C locale. */
export function dnfProblem(output: string): Problem {
  const lines = withoutCredentials(output)
    .split('\n')
    .map((line) =>
      line.replace(/^(?:Error|Errors during downloading metadata.*?):\s*|^[\s>-]+/, '').trim(),
    )
    .filter((line) => line !== '' && !/^(?:Importing GPG key|Userid|Fingerprint|From)\b/.test(line))
  const find = (pattern: RegExp) => lines.find((line) => pattern.test(line))
  // a repository without a signature answers 404 for it
  const untrusted = find(/GPG|signature|OpenPGP|checksum/i) ?? find(/repomd\.xml\.asc/)
  if (untrusted) return { kind: 'untrusted', why: untrusted }
  const absent = find(
    /Status code: 404|No package .* available|No match for argument|Unable to find/i,
  )
  if (absent) return { kind: 'absent', why: absent }
  const unreachable = find(/Curl error|timed? ?out|connect|resolve/i)
  if (unreachable) return { kind: 'unreachable', why: unreachable }
  return { kind: 'failed', why: lines.at(-1) ?? 'it says nothing' }
}

/** The text without the user and password of any URL in it. */
export function withoutCredentials(text: string): string {
  return text.replace(/(\b[a-z]+:\/\/)[^\s/@]+@/gi, '$1')
}

/** The last line that a tool said, for people. */
export function lastLine(text: string): string {
  return withoutCredentials(text).trim().split('\n').at(-1) || 'it says nothing'
}
