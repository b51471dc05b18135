import { freemem } from 'node:os'
import type { Compression } from '../../postgres/programs/arguments.ts'
import { freeSpace, nearestExisting } from '../free-space.ts'
import type { Inputs } from '../inputs.ts'

/**
 * So many times its size on the server a database is as text, seldom more, and so is what TOAST has compressed where nobody has looked: as text
 * it is not compressed, bytea doubles, and small numbers become longer.
 */
export const asText = 4

/** So many times may it be where nearly all of it is what TOAST compresses well: that must not fill the disk, which a compressed dump would not. */
const mostText = 16

/** Who asks, and how much room there is; bytes. */
interface Room {
  memory: number
  disk: number
}

/**
 * The compression that databases are dumped with. For `auto` none, where the dump is not kept beyond the run and all of it fits
 * into the memory that is free, so that it is written to no disk and read from none: then to compress it only costs processor
 * time, twice. A rehearsal is compressed in any case, since it foretells a migration whose dump is kept.
 *
 * @param databases that are dumped, with their bytes on the server
 * @param directory where the dump will be written
 */
export async function chosenCompression(
  inputs: Pick<Inputs, 'command' | 'compression' | 'keepDump' | 'uploadDump'>,
  databases: readonly { bytes: number }[],
  directory: string,
): Promise<Compression> {
  if (inputs.compression.method !== 'auto' || isKept(inputs)) return inputs.compression
  const bytes = databases.reduce((sum, database) => sum + database.bytes, 0)
  const disk = await freeSpace(await nearestExisting(directory))
  return fits(bytes, { memory: freeMemory(), disk }) ? { method: 'none' } : inputs.compression
}

function isKept({
  command,
  keepDump,
  uploadDump,
}: Pick<Inputs, 'command' | 'keepDump' | 'uploadDump'>): boolean {
  return command !== 'migrate' || keepDump || uploadDump
}

/** Whether databases fit as text, with as much left as they may take. */
export function fits(bytes: number, { memory, disk }: Room): boolean {
  return asText * bytes <= memory && mostText * bytes <= disk
}

/** Bytes that this process and its children may still take: those of its container, where that has a limit. */
function freeMemory(): number {
  return Math.min(freemem(), process.availableMemory?.() ?? Number.POSITIVE_INFINITY)
}
