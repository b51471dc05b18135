/**
 * Hostile text made harmless, once for each place that shows it (a log line, Markdown, HTML). Names, comments and messages of
 * a database may hold anything but a zero byte.
 */

/**
 * What is never shown as it is: controls (C0, C1, DEL), line and paragraph separators, formatting characters (bidi
 * overrides, zero-width and other ignorable ones, tags), noncharacters and lone surrogates. The invisible parts of an
 * emoji stay. Ignorable characters matter beyond looks: the runner looks for `##[` and a leading `::` by a comparison
 * that may pass over them (actions/runner, ActionCommand.cs).
 */
const unprintable =
  /(?!(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}])\uFE0F|(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}]\uFE0F?)\u200D(?=\p{Extended_Pictographic}))[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]/gu

const shortEscapes: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0
  if (code < 0x100) return shortEscapes[character] ?? `\\x${code.toString(16).padStart(2, '0')}`
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, '0')}`
  return `\\u{${code.toString(16)}}`
}

/** Whether a text holds nothing but printable ASCII, as most do: that is told sooner than what is unprintable is looked for. */
export function isPlain(text: string): boolean {
  return /^[ -~]*$/.test(text)
}

/** `text` in one line, everything unprintable in it written as an escape: `\n`, `\x1b`, `\u202e`. */
export function printable(text: string): string {
  return isPlain(text) ? text : text.replace(unprintable, escaped)
}

/**
 * `text` as one harmless line of the log: printable, and never a command to the runner, which takes commands from
 * `::name` at the start of a line, white space before it or not, and from `##[name]` anywhere in it. Apply it to the
 * whole line, not to its parts: two harmless parts can make a command.
 */
export function visible(text: string): string {
  return printable(text)
    .replace(/^(\s*)::/u, '$1\\::')
    .replaceAll('##[', '##\\[')
}

/** `text` cut to at most `limit` UTF-16 units, an ellipsis at the end and no character torn where it was cut. */
export function shorten(text: string, limit: number): string {
  if (text.length <= limit) return text
  return `${text.slice(0, limit - 1).replace(/[\uD800-\uDBFF]$/, '')}…`
}

const htmlEscapes: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** `text` for an HTML element's content or a quoted attribute's value. */
export function html(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => htmlEscapes[character] ?? '')
}

/**
 * `text` as prose in GitHub's Markdown, also within a table's cell: no emphasis, link, image, HTML, math or footnote
 * begins in it, nor a list or heading at its start. What GitHub finds in the drawn text later on (mentions, issue
 * numbers, emoji codes, addresses) is broken up by an element.
 */
export function markdown(text: string): string {
  return printable(text)
    .trim()
    .replace(/[&<>\\`*_~|[\]!]|^[-+=]/g, (character) => `&#${character.charCodeAt(0)};`)
    .replace(/(?<!&)#+|[@$]+|:+(?=\S)|(?<=www)\.|(?<=^\d+)[.)](?=\s|$)/gi, '<span>$&</span>')
}

/** `text` as code in GitHub's Markdown, also within a table's cell: for names, where every character counts. */
export function markdownCode(text: string): string {
  const line = printable(text)
  if (/^[^`|\s](?:[^`|]*[^`|\s])?$/u.test(line)) return `\`${line}\``
  // an escaped pipe after a backslash, or a fence around backquotes, is read in more than one way; entities are not
  const [start = '', end = ''] = [/^\s*/u.exec(line)?.[0], /\s+$/u.exec(line)?.[0]]
  const space = (length: number) => '&#32;'.repeat(length)
  return `<code>${space(start.length)}${markdown(line)}${line.trim() === '' ? '' : space(end.length)}</code>`
}
