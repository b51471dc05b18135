/**
 * Reads a length of time as an input gives it: `90m`, `1h30m`, `5400s`, `7d`.
 *
 * @returns seconds, above 0
 * @throws SyntaxError that says what is allowed
 */
export function parseDuration(text: string): number {
  const [, days, hours, minutes, seconds] =
    /^(?=\d)(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?$/.exec(text.trim()) ?? []
  const value =
    Number(days ?? 0) * 86_400 +
    Number(hours ?? 0) * 3600 +
    Number(minutes ?? 0) * 60 +
    Number(seconds ?? 0)
  if (!(value > 0))
    throw new SyntaxError(
      `"${text.slice(0, 40)}" is no length of time such as 90m, 1h30m, 5400s or 7d`,
    )
  return value
}
