import type { Task } from './task.ts'

/** Tasks that can be begun, in the order in which they are to be. There may be a hundred thousand. */
export class ReadyTasks {
  private inLine: Task[] = []
  /** Tasks that have no place among the others yet. */
  private offered: Task[] = []

  /** Its place is looked for when the next is wanted: a load may set thousands free at once. */
  offer(task: Task): void {
    this.offered.push(task)
  }

  /** All of them in their order; whoever takes some out does so in the list itself, or hands in another one. */
  get tasks(): Task[] {
    const { offered } = this
    if (offered.length > 0) {
      this.offered = []
      this.inLine = merged(this.inLine, offered.sort(inOrder))
    }
    return this.inLine
  }

  set tasks(tasks: Task[]) {
    this.inLine = tasks
  }

  /** Puts them in order anew, when it is known better what hangs on each. */
  sort(): void {
    this.inLine = this.tasks.toSorted(inOrder)
  }
}

/** By the work that hangs on each; rows first where nothing speaks for either, and last what nothing ever waits for. */
function inOrder(one: Task, other: Task): number {
  return other.chain - one.chain || rank[other.kind] - rank[one.kind]
}

const rank = { load: 3, statement: 2, arrival: 2, analyze: 1, digest: 0 }

/** Two lists that are in order as one; of equals, those of the first list come first. */
function merged(first: readonly Task[], second: readonly Task[]): Task[] {
  const all: Task[] = []
  let at = 0
  for (const task of second) {
    for (; at < first.length; at++) {
      const one = first[at]
      if (!one || inOrder(one, task) > 0) break
      all.push(one)
    }
    all.push(task)
  }
  return all.concat(first.slice(at))
}
