/**
 * The patterns of `allow-missing`, one a line: archive entries as the report names them (`EXTENSION plpython3u`,
 * `FUNCTION audit.*`), with `*` for any text. Case counts, as it does in names; blanks between words do not.
 *
 * @param lines the input's lines; empty ones are passed over
 * @returns whether an entry of that name may be left out
 */
export function allowMissing(lines: readonly string[]): (entry: string) => boolean {
  const patterns = lines
    .map((line) => line.trim().replace(/\s+/g, ' '))
    .filter(Boolean)
    .map((line) => line.split('*'))
  return (entry) => patterns.some((parts) => matches(entry.replace(/\s+/g, ' '), parts))
}

/** The same of what comes as a surprise: `*` alone stands for what is known before the first byte. */
export function allowSurprise(lines: readonly string[]): (entry: string) => boolean {
  return allowMissing(lines.filter((line) => line.trim() !== '*'))
}

/** Whether the parts are found one after the other, the first at the start and the last at the end: never slow. */
function matches(text: string, parts: string[]): boolean {
  const [first = '', ...rest] = parts
  const last = rest.pop()
  if (last === undefined) return text === first
  if (!text.startsWith(first)) return false
  let at = first.length
  for (const part of rest) {
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return text.length - last.length >= at && text.endsWith(last)
}
