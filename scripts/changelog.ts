/** What a changelog says of one version: the text under its heading (`## 1.2.3` or `## [1.2.3] - 2026-01-31`), undefined without any. */
export function notesFor(version: string, changelog: string): string | undefined {
  const sections = changelog.split(/^## /m).slice(1)
  for (const section of sections) {
    const [heading = '', ...lines] = section.split('\n')
    if (/^\[?([^\s\]]+)/.exec(heading)?.[1] !== version) continue
    return lines.join('\n').trim() || undefined
  }
  return undefined
}
