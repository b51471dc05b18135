import { randomUUID } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { EOL } from 'node:os'

/**
 * What a step and its runner say to each other (GitHub, "Workflow commands for GitHub Actions"), with the names and to the letter of
 * `@actions/core`. That is not used: for tokens of OpenID Connect, which nobody asks for here, it loads an HTTP client that takes
 * more memory than all else that the action loads.
 */

/** What an input says. @param trimWhitespace false leaves the blanks at its ends */
export function getInput(name: string, { trimWhitespace = true } = {}): string {
  const value = process.env[`INPUT_${name.replaceAll(' ', '_').toUpperCase()}`] ?? ''
  return trimWhitespace ? value.trim() : value
}

/** What main has left to post. */
export function getState(name: string): string {
  return process.env[`STATE_${name}`] ?? ''
}

export function saveState(name: string, value: string): void {
  tell('STATE', 'save-state', name, value)
}

export function setOutput(name: string, value: string | number | boolean): void {
  tell('OUTPUT', 'set-output', name, String(value))
}

/** The runner shows asterisks in its place from now on. */
export function setSecret(secret: string): void {
  issue('add-mask', {}, secret)
}

/** The step is to fail, for this reason. */
export function setFailed(message: string): void {
  process.exitCode = 1
  error(message)
}

export function isDebug(): boolean {
  return process.env.RUNNER_DEBUG === '1'
}

export function debug(message: string): void {
  issue('debug', {}, message)
}

export function error(message: string, properties: Properties = {}): void {
  issue('error', properties, message)
}

export function warning(message: string, properties: Properties = {}): void {
  issue('warning', properties, message)
}

export function notice(message: string, properties: Properties = {}): void {
  issue('notice', properties, message)
}

/** A line of the log; the caller has made sure that it is no command. */
export function info(message: string): void {
  process.stdout.write(message + EOL)
}

/** Adds to the job summary. @param file that the runner has named */
export function addSummary(file: string, markdown: string): void {
  appendFileSync(file, markdown)
}

/** What a command says before its text, such as the title of an annotation. */
type Properties = Record<string, string>

/** Hands over a value in the file that the runner has named, or, to one so old that it names none, by a command. */
function tell(file: string, command: string, name: string, value: string): void {
  const path = process.env[`GITHUB_${file}`]
  // a line that nobody can know beforehand ends the value
  const end = `ghadelimiter_${randomUUID()}`
  if (path) appendFileSync(path, `${name}<<${end}${EOL}${value}${EOL}${end}${EOL}`)
  else issue(command, { name }, value)
}

function issue(command: string, properties: Properties, message: string): void {
  const list = Object.entries(properties)
    .map(
      ([name, value]) => `${name}=${escaped(value).replaceAll(':', '%3A').replaceAll(',', '%2C')}`,
    )
    .join(',')
  info(`::${command}${list && ` ${list}`}::${escaped(message)}`)
}

/** A command ends with its line. */
function escaped(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}
