const command = '::add-mask::'

/**
 * Takes what code of the action that runs in this process asks the runner to mask, and keeps it from standard output: that is no
 * runner's log here, and where the tests run on GitHub their runner would do as it is told.
 *
 * @returns the values, as they come, and what ends it
 */
export function takeMasks(): { masks: readonly string[]; stop: () => void } {
  const masks: string[] = []
  const { stdout } = process
  const write = stdout.write
  stdout.write = (chunk: string | Uint8Array, ...rest: never[]): boolean => {
    if (typeof chunk !== 'string' || !chunk.startsWith(command))
      return write.call(stdout, chunk, ...rest)
    masks.push(chunk.slice(command.length).trimEnd())
    return true
  }
  return {
    masks,
    stop: () => {
      stdout.write = write
    },
  }
}
