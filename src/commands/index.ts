import type { Command } from '../migration/inputs.ts'
import type { Session } from '../migration/run.ts'
import { dump } from './dump.ts'
import { migrate } from './migrate.ts'
import { restore } from './restore.ts'
import { verify } from './verify.ts'

const all: Record<Command, (session: Session) => Promise<void>> = { migrate, dump, restore, verify }

/** Runs the command that the inputs choose; its results go into the session's report and outputs. */
export async function runCommand(session: Session): Promise<void> {
  await all[session.inputs.command](session)
}
