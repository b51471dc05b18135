/** How large the artifacts of a dump are, and how many there may be. */

export interface Limits {
  /** Bytes of a part, at most. */
  bytes: number
  /** Files in a part, at most: the artifact client needs 20 kB of memory for each. */
  files: number
  /** Seconds that a part may take at the speed of the one before: after an hour an upload loses its authentication. */
  seconds: number
  /** Bytes below which no slow connection makes a part. */
  least: number
  /** Bytes of complete archives from which on they are sent while others are still being dumped. */
  early: number
}

export const defaultLimits: Limits = {
  bytes: 1024 ** 3,
  files: 4000,
  seconds: 20 * 60,
  least: 32 * 1024 ** 2,
  early: 64 * 1024 ** 2,
}

/** A job may have 500 artifacts. */
export const mostParts = 450
/** Of them, those that may be sent before the size of the dump is known. */
export const mostEarly = 300

/**
 * The artifacts that a dump will need at most, where the connection is no reason for smaller ones.
 *
 * @param bytes of the dump, and the files that it has
 */
export function artifactsFor(bytes: number, files: number): number {
  const { early } = defaultLimits
  const most = Math.max(defaultLimits.bytes, Math.ceil(bytes / mostParts))
  const sentEarly = Math.min(mostEarly, Math.floor(bytes / early))
  const late = Math.max(
    Math.ceil((bytes - sentEarly * early) / most),
    Math.ceil(files / defaultLimits.files),
  )
  return sentEarly === 0 && late <= 1 ? 1 : Math.min(mostParts, sentEarly + late) + 1
}
