// Loaded into a run of the action before the action itself (`--import`): notes the processor time and the memory of its own process at
// the beginning of each phase, as the log says it, and writes them to the file `BENCH_USAGE` at the end. Without types, so that
// Node loads nothing for it that the action does not need.

import { writeFileSync } from 'node:fs'

const file = process.env.BENCH_USAGE
// the action's own children inherit the options of Node: only the first one writes
delete process.env.BENCH_USAGE
delete process.env.NODE_OPTIONS

/** Seconds of processor time so far. */
function seconds() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Bytes that were resident at most so far. */
function memory() {
  return process.resourceUsage().maxRSS * 1024
}

if (file !== undefined) {
  const phases = []
  const write = process.stdout.write.bind(process.stdout)
  process.stdout.write = (chunk, ...others) => {
    for (const [, name] of String(chunk).matchAll(/▶ ([\w-]+)/g))
      phases.push({ name, cpu: seconds(), memory: memory() })
    return write(chunk, ...others)
  }
  process.on('exit', () => {
    writeFileSync(file, JSON.stringify({ phases, cpu: seconds(), memory: memory() }))
  })
}
