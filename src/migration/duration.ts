/**
 * Reads a length of time as an input gives it: `90m`, `1h30m`, `5400s`, `7d`.
 *
 * @returns seconds, above 0; undefined where it is none
 */
export function parseDuration(text: string): number | undefined {
  const [, days, hours, minutes, seconds] =
    /^(?=\d)(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?$/.exec(text.trim()) ?? []
  const value =
    Number(days ?? 0) * 86_400 +
    Number(hours ?? 0) * 3600 +
    Number(minutes ?? 0) * 60 +
    Number(seconds ?? 0)
  return value > 0 ? value : undefined
}
