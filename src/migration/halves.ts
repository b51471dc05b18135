import type { Progress } from './context.ts'
import { sideBySide } from './progress-line.ts'

/** Two pieces of work that go on at the same time share the one line of the progress: each has its half of it. */
export function halvesOf(progress: Progress): [Progress, Progress] {
  const lines: [string, string] = ['', '']
  const half = (index: 0 | 1): Progress => ({
    update: (line) => {
      lines[index] = line
      const both = sideBySide(...lines)
      if (both) progress.update(both)
    },
  })
  return [half(0), half(1)]
}
