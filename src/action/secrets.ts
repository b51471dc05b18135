import * as core from '@actions/core'
import { rememberSecret, secretsIn } from '../host/secrets.ts'

/** Registers a secret with the runner's masking and with `redact`, in every form in which it may turn up. */
export function registerSecret(secret: string): void {
  for (const form of rememberSecret(secret)) core.setSecret(form)
}

/** Registers what is secret in a connection string; see secretsIn. */
export function registerConnectionString(text: string): void {
  for (const secret of secretsIn(text)) registerSecret(secret)
}
