/** What a Node that is too old for the action is told, in the one line that the runner shows as the step's error. */
export function refusalOfNode(version: string): string | undefined {
  if (Number.parseInt(version, 10) >= 24) return undefined
  return (
    `::error::This action needs Node 24, and the runner started it with Node ${version}. ` +
    'Update the runner to 2.327.1 or newer, which brings Node 24.'
  )
}

/**
 * Runs the step, and ends the process with it: sockets of a library may still be open, and everything that matters has been written.
 * On an older Node it only says so, in words of its own.
 *
 * @param step loads what it needs by itself: an older Node would fail in that, at some later place
 */
export async function runOnNode24(step: () => Promise<void>): Promise<void> {
  const refusal = refusalOfNode(process.versions.node)
  if (refusal) {
    process.stdout.write(`${refusal}\n`)
    process.exitCode = 1
    return
  }
  await step()
  process.exit()
}
