import type { Progress } from '../context.ts'

/** Two pieces of work that go on at the same time share the one line of the progress: each has its half of it. */
export function sideBySide(progress: Progress): [Progress, Progress] {
  const lines: [string, string] = ['', '']
  const half = (index: 0 | 1): Progress => ({
    update: (line) => {
      lines[index] = line
      const both = lines.filter(Boolean).join(' | ')
      if (both) progress.update(both)
    },
  })
  return [half(0), half(1)]
}
