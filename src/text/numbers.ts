/** Sizes, times, rates and counts in the form that people read, and what a sentence says of many things. */

/** Bytes in PostgreSQL's units (1 kB is 1024 bytes), with one decimal below ten: `9.5 MB`, `120 GB`. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB']
  let [unit, value] = [0, Math.max(0, bytes)]
  // 1023.5 would be shown as 1024 of the smaller unit
  while (value >= (unit === 0 ? 1024 : 1023.5) && unit < units.length - 1)
    [unit, value] = [unit + 1, value / 1024]
  if (unit === 0) return Math.round(value) === 1 ? '1 byte' : `${Math.round(value)} bytes`
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}

/** Seconds as people say them, two units at most: `0.8 s`, `42 s`, `3 min 12 s`, `2 h 5 min`, `1 d 4 h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return two(Math.floor(whole / 60), 'min', whole % 60, 's')
  const minutes = Math.round(seconds / 60)
  if (minutes < 1440) return two(Math.floor(minutes / 60), 'h', minutes % 60, 'min')
  const hours = Math.round(seconds / 3600)
  return two(Math.floor(hours / 24), 'd', hours % 24, 'h')
}

function two(large: number, unit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${smallUnit}`
}

/** A rate in bytes per second: `35 MB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`
}

/** `2 min to 5 min`; once where both ends read the same. */
export function formatRange(
  { low, high }: { low: number; high: number },
  format: (value: number) => string,
): string {
  const [from, to] = [format(low), format(high)]
  return from === to ? from : `${from} to ${to}`
}

/** A count of rows or things, thousands apart: `1,234,567`. */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}

/** `1 table`, `2 tables`, `1,204 tables`: a count and its noun; `plural` where an `s` does not make it. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${formatCount(count)} ${count === 1 ? noun : plural}`
}

/** The first ten of a list, for a sentence, and how many more there are. */
export function firstTen(entries: readonly string[]): string {
  const more = entries.length > 10 ? ` and ${entries.length - 10} more` : ''
  return `${entries.slice(0, 10).join(', ')}${more}`
}

/**
 * How long work that has done `done` of `total` in `seconds` will still take at that speed, for the end of a progress
 * line: `about 3 min left`. Empty while that cannot be told (nothing done, nothing to do, done, or not a second in).
 */
export function timeLeft(done: number, total: number, seconds: number): string {
  if (!(done > 0 && total > done && seconds >= 1)) return ''
  return aboutLeft((seconds / done) * (total - done))
}

/** `about 3 min left`, in steps that do not flicker from one line to the next. */
export function aboutLeft(seconds: number): string {
  const step = seconds < 60 ? 5 : seconds < 600 ? 30 : seconds < 3600 ? 60 : 300
  return `about ${formatDuration(Math.max(5, Math.ceil(seconds / step) * step)).replace('5.0 s', '5 s')} left`
}
