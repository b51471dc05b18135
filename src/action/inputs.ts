import * as core from '@actions/core'
import { registerSecret } from './secrets.ts'

/**
 * Masks every secret input before anything else happens, and returns what reads an input.
 *
 * @param secretInputs names of inputs whose value is a secret: blanks at their ends belong to them
 * @param secretsOf what is secret in the text of one
 */
export function maskedInputs(
  secretInputs: readonly string[],
  secretsOf = (_name: string, text: string): string[] => [text.replace(/\r?\n$/, '')],
): (name: string) => string {
  for (const name of secretInputs) {
    const secret = core.getInput(name, { trimWhitespace: false })
    for (const one of secret ? secretsOf(name, secret) : []) registerSecret(one)
  }
  return (name) => core.getInput(name, { trimWhitespace: !secretInputs.includes(name) })
}
