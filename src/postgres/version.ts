/** A version of PostgreSQL: of a server, of client programs, of what made a dump. */
export interface Version {
  /** As the program itself prints it, without what a distribution adds: `15.20`, `9.1.24`, `19beta1`. */
  version: string
  /** As in `server_version_num`: 150020, 90124. */
  number: number
  /** 15; 9 for every 9.x. */
  major: number
  /** `15`, `9.6`: two servers with the same name of their major read each other's files. */
  majorName: string
}

/**
 * A version by its number, which is made of two parts from 10 on and of three before (PostgreSQL, "libpq", PQserverVersion).
 *
 * @param number `server_version_num`: 150020, 90124
 * @param version as it is printed; by default as the number says
 */
export function versionOfNumber(number: number, version?: string): Version {
  const major = Math.floor(number / 10_000)
  const [second, third] = [Math.floor(number / 100) % 100, number % 100]
  return major >= 10
    ? {
        version: version ?? `${major}.${number % 10_000}`,
        number,
        major,
        majorName: String(major),
      }
    : {
        version: version ?? `${major}.${second}.${third}`,
        number,
        major,
        majorName: `${major}.${second}`,
      }
}

/**
 * Reads a version as servers, client programs and dumps print it.
 *
 * @param text begins with it: `15.20 (Debian 15.20-0+deb12u1)`, `9.1.24`, `19beta1`, `19devel`
 * @returns undefined where it does not
 */
export function parseVersion(text: string): Version | undefined {
  const [version, numbers] =
    /^(\d{1,4}(?:\.\d{1,4})*)(?:(?:alpha|beta|rc)\d+|devel)?/.exec(text) ?? []
  if (version === undefined || numbers === undefined) return undefined
  const [major = 0, second = 0, third = 0] = numbers.split('.').map(Number)
  const number = major * 10_000 + (major >= 10 ? second : second * 100 + third)
  return versionOfNumber(number, version)
}

/**
 * The first number of a version, read as parseVersion does.
 *
 * @returns NaN, which is neither older nor newer than anything, where the text is no version
 */
export function majorOf(text: string): number {
  return parseVersion(text)?.major ?? Number.NaN
}

/** Whether a text names a major version as PostgreSQL does: `15`, `9.6`. */
export function isMajorName(text: string): boolean {
  return /^(?:9\.[0-6]|8\.[0-4]|[1-9][0-9])$/.test(text)
}
