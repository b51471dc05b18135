/**
 * Loaded into a run of the action before the action itself (`--import`): notes the processor time of its own process at the
 * beginning of each phase, as the log says it, and its peak of memory, and writes them to the file `BENCH_USAGE` at the end.
 */

import { writeFileSync } from 'node:fs'

/** What a process took, without its children. */
export interface Usage {
  /** Seconds of processor time before each phase, and at the end: `['preflight', 0.4]`. */
  phases: [name: string, cpu: number][]
  /** Seconds of processor time in all. */
  cpu: number
  /** Bytes that were resident at most. */
  memory: number
}

const file = process.env.BENCH_USAGE
// the action's own children inherit the options of Node: only the first one writes
delete process.env.BENCH_USAGE
delete process.env.NODE_OPTIONS

function seconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

if (file !== undefined) {
  const phases: Usage['phases'] = []
  const write = process.stdout.write.bind(process.stdout)
  process.stdout.write = ((chunk: string | Uint8Array, ...others: []) => {
    for (const [, name] of String(chunk).matchAll(/▶ ([\w-]+)/g))
      if (name) phases.push([name, seconds()])
    return write(chunk, ...others)
  }) as typeof process.stdout.write
  process.on('exit', () => {
    const usage: Usage = {
      phases,
      cpu: seconds(),
      memory: process.resourceUsage().maxRSS * 1024,
    }
    writeFileSync(file, JSON.stringify(usage))
  })
}
