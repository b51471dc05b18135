/**
 * What `auto` means where an input counts jobs. The processors are the runner's: those of a server are not known.
 *
 * @param processors of the runner
 * @returns sessions that work on one server: enough to keep it and the link busy, since a cluster has more processors than a
 *   runner, and copies and index builds wait for its disks
 */
export function autoJobs(processors: number): number {
  return Math.min(8, Math.max(2, processors))
}

/** Sessions that read a server while others work on it or on the other one: half of the processors, and few. */
export function autoReaders(processors: number): number {
  return Math.max(1, Math.min(4, Math.floor(processors / 2)))
}
