import { constants } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Cancelled, messageOf } from '../../failure.ts'
import { counted, formatBytes } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import { mostReportBytes } from './point.ts'

/** `actions/download-artifact` leaves a directory for each artifact; whoever collects those of many runs has one more above. */
const deepest = 4
const mostEntries = 20_000
const mostReports = 500
/** Bytes of all reports together. */
const mostBytes = 1024 ** 3

/**
 * Reads every `report.json` in a directory and those below it. Links are not followed. A directory that is missing or empty is
 * normal: the first rehearsal has none.
 *
 * @param path absolute, or from the working directory, which a job's steps have in the workspace
 * @param take told the content of each, in the order of their paths
 * @returns what should be known of it, a sentence each without its end
 * @throws Cancelled
 */
export async function readReports(
  path: string,
  take: (report: Uint8Array, whose: string) => void,
  signal: AbortSignal,
): Promise<string[]> {
  const root = resolve(path)
  const shown = printable(path)
  const notes: string[] = []
  let [entries, reports, bytes] = [0, 0, 0]
  const level = async (directory: string, depth: number): Promise<void> => {
    const found = await readdir(directory, { withFileTypes: true })
    for (const entry of found.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (signal.aborted) throw new Cancelled()
      if (++entries > mostEntries || reports >= mostReports || bytes >= mostBytes) return
      const file = join(directory, entry.name)
      if (entry.isDirectory() && depth < deepest) await level(file, depth + 1).catch(pass(notes))
      else if (entry.isFile() && entry.name === 'report.json') {
        const content = await readBounded(file).catch(pass(notes))
        if (content === undefined) continue
        reports++
        bytes += content.length
        take(content, printable(file.slice(root.length + 1)))
      }
    }
  }
  try {
    await level(root, 0)
  } catch (error) {
    if (error instanceof Cancelled) throw error
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    return [
      isMissing
        ? `There is no directory ${shown} (history), so no earlier run is known from there`
        : `The directory ${shown} (history) could not be read: ${printable(messageOf(error))}`,
    ]
  }
  if (reports === 0) notes.push(`The directory ${shown} (history) holds no report.json`)
  if (entries > mostEntries || reports >= mostReports || bytes >= mostBytes)
    notes.push(
      `The directory ${shown} (history) was read no further than ${counted(reports, 'report')} and ${formatBytes(bytes)}`,
    )
  return notes
}

/** What cannot be read is said, and passed over. */
function pass(notes: string[]): (error: unknown) => undefined {
  return (error) => {
    if (error instanceof Cancelled) throw error
    notes.push(`Not all of history could be read: ${printable(messageOf(error))}`)
    return undefined
  }
}

/** The content of a file, or as much of it as shows that it is too large. */
async function readBounded(file: string): Promise<Uint8Array> {
  await using handle = await open(
    file,
    constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
  )
  const { size } = await handle.stat()
  const buffer = Buffer.alloc(Math.min(size, mostReportBytes + 1))
  let length = 0
  while (length < buffer.length) {
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return buffer.subarray(0, length)
}
