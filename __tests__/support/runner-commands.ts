/** Reads a step's log as a GitHub runner does, after the source of actions/runner. */

export interface RunnerCommand {
  command: string
  properties: Record<string, string>
  message: string
}

const knownCommands = [
  ...['add-mask', 'add-matcher', 'add-path', 'debug', 'echo', 'endgroup', 'error', 'group'],
  ...['internal-set-repo-path', 'notice', 'remove-matcher', 'save-state', 'set-env', 'set-output'],
  ...['stop-commands', 'warning'],
]

/**
 * The commands that a runner finds in a log. It looks at each line: `::name …::` after spaces at its beginning, or
 * `##[name …]` anywhere, of a name that it knows; between `::stop-commands::token` and `::token::` at nothing else.
 *
 * @returns them in order, `stop-commands` among them, the tokens that end it not
 */
export function runnerCommands(log: string): RunnerCommand[] {
  const read = commandReader()
  return lines(log)
    .map(read)
    .filter((found) => found !== null)
}

/** The log as its readers see it: commands acted on and left out, masked values shown as `***` from there on. */
export function visibleLog(log: string): string {
  const read = commandReader()
  const masks: string[] = []
  const shown: string[] = []
  for (const line of lines(log)) {
    const found = read(line)
    if (found?.command.toLowerCase() === 'add-mask')
      masks.push(found.message, ...lines(found.message))
    if (found) continue
    masks.sort((a, b) => b.length - a.length)
    shown.push(masks.filter(Boolean).reduce((text, mask) => text.replaceAll(mask, '***'), line))
  }
  return shown.join('\n')
}

function lines(text: string): string[] {
  return text.split(/\r\n|\n|\r/)
}

/** Reads line after line as a runner does, which knows whether commands are stopped. */
function commandReader(): (line: string) => RunnerCommand | null {
  let token: string | null = null
  return (line) => {
    const known = token === null ? knownCommands : [...knownCommands, token]
    const found = secondFormat(line, known) ?? firstFormat(line, known)
    const name = found?.command.toLowerCase()
    if (token !== null) {
      if (name === token) token = null
      return null
    }
    const chosen = found?.message.toLowerCase() ?? ''
    if (name === 'stop-commands' && chosen && !knownCommands.includes(chosen)) token = chosen
    return found
  }
}

function secondFormat(line: string, known: string[]): RunnerCommand | null {
  const text = line.trim()
  const end = text.indexOf('::', 2)
  if (!text.startsWith('::') || end < 0) return null
  return parseCommand(text.slice(2, end), text.slice(end + 2), known, {
    separator: ',',
    property: /%(?:0D|0A|25|3A|2C)/g,
    data: /%(?:0D|0A|25)/g,
  })
}

function firstFormat(line: string, known: string[]): RunnerCommand | null {
  const start = line.indexOf('##[')
  const end = line.indexOf(']', start)
  if (start < 0 || end < 0) return null
  const codes = /%(?:0D|0A|25|3B|5D)/g
  const format = { separator: ';', property: codes, data: codes }
  return parseCommand(line.slice(start + 3, end), line.slice(end + 1), known, format)
}

interface Format {
  separator: string
  /** What is escaped in a property's value. */
  property: RegExp
  /** And in the message. */
  data: RegExp
}

function parseCommand(
  head: string,
  message: string,
  known: string[],
  format: Format,
): RunnerCommand | null {
  const [command = ''] = head.split(' ', 1)
  if (!known.includes(command.toLowerCase())) return null
  const decode = (text: string, codes: RegExp) =>
    text.replace(codes, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)))
  const properties: Record<string, string> = {}
  for (const pair of head.slice(command.length).trim().split(format.separator)) {
    const equals = pair.indexOf('=')
    if (equals > 0)
      properties[pair.slice(0, equals).trim()] = decode(pair.slice(equals + 1), format.property)
  }
  return { command, properties, message: decode(message, format.data) }
}
