import * as core from '@actions/core'
import { registerSecret } from './secrets.ts'

/**
 * Masks every secret input before anything else happens, and returns what reads an input.
 *
 * @param secretInputs names of inputs whose value is a secret: blanks at their ends belong to them
 */
export function maskedInputs(secretInputs: readonly string[]): (name: string) => string {
  for (const name of secretInputs) {
    const secret = core.getInput(name, { trimWhitespace: false })
    if (secret) registerSecret(secret.replace(/\r?\n$/, ''))
  }
  return (name) => core.getInput(name, { trimWhitespace: !secretInputs.includes(name) })
}
