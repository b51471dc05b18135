/** What a Node that is too old for the action is told, in the one line that the runner shows as the step's error. */
export function refusalOfNode(version: string): string | undefined {
  if (Number.parseInt(version, 10) >= 24) return undefined
  return (
    `::error::This action needs Node 24, and the runner started it with Node ${version}. ` +
    'Update the runner to 2.327.1 or newer, which brings Node 24.'
  )
}
