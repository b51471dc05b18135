import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestServer } from '../__tests__/support/server.ts'

/** Seconds of processor time by who took them. */
export interface ProcessorTime {
  source: number
  target: number
  /** The client programs, and the action with them. */
  runner: number
}

/**
 * What a process has spent on processors, and what its children had that have ended (Linux, proc(5), /proc/pid/stat), in seconds.
 *
 * @throws Error where there is no such process
 */
export function cpuOf(pid: number): { parent: number; own: number; children: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const [parent = 0] = fields.slice(1)
  const [user = 0, system = 0, children = 0, childrenSystem = 0] = fields.slice(11, 15)
  // ticks of a hundredth of a second, on every Linux that Node runs on
  return { parent, own: (user + system) / 100, children: (children + childrenSystem) / 100 }
}

/** The process whose children all sessions of a server are. */
export function postmasterOf(server: TestServer): number {
  return Number(readFileSync(join(server.data, 'postmaster.pid'), 'utf8').split('\n')[0])
}

/** Seconds that a server has taken so far: the postmaster, its sessions that have ended, and those of its processes that are there. */
export function ofServer(server: TestServer): number {
  const postmaster = postmasterOf(server)
  const { own, children } = cpuOf(postmaster)
  let sum = own + children
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const one = cpuOf(Number(name))
      if (one.parent === postmaster) sum += one.own
    } catch {
      // it has ended meanwhile, and counts among the postmaster's children at the next look
    }
  }
  return sum
}

/** The middle of some figures, the higher of two. */
export function median(figures: readonly number[]): number {
  return [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)] ?? Number.NaN
}
