import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Seconds of processor time by who took them. */
export interface ProcessorTime {
  source: number
  target: number
  /** The client programs, and the action with them. */
  runner: number
}

/** Of Linux's /proc/<pid>/stat, seconds: a clock tick is a hundredth everywhere that we run (proc(5), sysconf(3)). */
interface Stat {
  parent: number
  own: number
  /** Of its children that have ended, and of theirs. */
  ended: number
}

function statOf(pid: number | string): Stat | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // the name in brackets may hold anything
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const at = (field: number) => Number(fields[field - 3]) / 100
  return { parent: Number(fields[1]), own: at(14) + at(15), ended: at(16) + at(17) }
}

/** What a server has taken so far: the postmaster, its sessions that have ended, and the processes that are there. @param data its directory */
export function ofServer(data: string): number {
  const [line = ''] = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')
  const postmaster = Number(line)
  const own = statOf(postmaster)
  let sum = own ? own.own + own.ended : 0
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? statOf(name) : undefined
    if (stat?.parent === postmaster) sum += stat.own
  }
  return sum
}

/** What the children of this process that have ended have taken so far. */
export function ofChildren(): number {
  return statOf('self')?.ended ?? 0
}
