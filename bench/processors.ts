import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestServer } from '../__tests__/support/server.ts'

/** What a process has spent on processors, and what its children had that have ended (Linux, proc(5), /proc/pid/stat), in seconds. */
export function cpuOf(pid: number): { own: number; children: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const [user = 0, system = 0, children = 0, childrenSystem = 0] = fields.slice(11, 15)
  // ticks of a hundredth of a second, on every Linux that Node runs on
  return { own: (user + system) / 100, children: (children + childrenSystem) / 100 }
}

/** The process whose children all sessions of a server are. */
export function postmasterOf(server: TestServer): number {
  return Number(readFileSync(join(server.data, 'postmaster.pid'), 'utf8').split('\n')[0])
}

/** The middle of some figures, the higher of two. */
export function median(figures: readonly number[]): number {
  return [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)] ?? Number.NaN
}
