import { counted, formatBytes, formatDuration, formatRange } from '../text/numbers.ts'
import type { Forecast } from './model.ts'

/** The outage to announce, as a sentence; plain text. */
export function windowSentence({ low, high, confidence, from }: Forecast): string {
  const range = formatRange({ low, high }, formatDuration)
  if (from === 'estimate')
    return `Announce an outage of ${formatDuration(high)}: ${range} are estimated, and no run has measured it yet.`
  return confidence === null
    ? `Announce an outage of ${formatDuration(high)}: the forecast is ${range}, from too few runs to say how sure that is.`
    : `Announce an outage of ${formatDuration(high)}: the forecast is ${range}, in which at least ${Math.floor(confidence * 100)} of 100 runs lie.`
}

/** What the forecast is for; plain text. */
export function windowFacts({ points, bytes, freeze, from }: Forecast): string {
  const runs = from === 'runs' ? `from ${counted(points, 'run')} · ` : ''
  return `${runs}for ${formatRange(bytes, formatBytes)} of data · the freeze of the source takes ${formatRange(freeze, formatDuration)} of it`
}
