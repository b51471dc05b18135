import { Cancelled, Failure } from '../../../failure.ts'
import type { ConnectionParameters } from '../../../postgres/connection-string.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { printable } from '../../../text/text.ts'
import { runPhase } from '../../phases.ts'
import { isGivenUp, retrying } from '../../retry.ts'
import type { Run } from '../../run.ts'
import { dumpIdentity } from '../database/mark.ts'
import { type Destination, describe, type Refused } from '../destinations.ts'
import type { RestoreOptions } from '../options.ts'
import { dropKept, exchange, type Swap } from './exchange.ts'
import { lookAtSwap, planSwap } from './plan-swap.ts'

/** A database to be restored, and how. */
interface Restore {
  destination: Destination
  options: RestoreOptions
}

/**
 * Which databases are built beside the ones whose names they are to have, when that is wished.
 *
 * @throws Failure when one of them cannot be exchanged; nothing has been changed by then but what dead runs had left
 */
export async function planSwaps(
  destinations: readonly Destination[],
  target: ConnectionParameters,
  run: Run,
): Promise<Map<Destination, Swap>> {
  const swaps = new Map<Destination, Swap>()
  if (run.inputs.ifTargetNotEmpty !== 'swap') return swaps
  for (const destination of destinations) {
    const dump = await dumpIdentity(destination.archives)
    const swap = await planSwap({ target, targetName: destination.target }, dump, run)
    if (swap) swaps.set(destination, swap)
  }
  return swaps
}

/**
 * Finds those that cannot be exchanged although that is wished, before there is a dump. Changes nothing.
 *
 * @throws Cancelled, and what is no failure of ours
 */
export async function refusedSwaps(
  destinations: readonly Destination[],
  target: ConnectionParameters,
  run: Run,
): Promise<Refused[]> {
  const refused: Refused[] = []
  for (const { source, target: targetName } of destinations) {
    if (run.inputs.ifTargetNotEmpty !== 'swap') break
    try {
      await retrying(run, () => lookAtSwap({ target, targetName }, run))
    } catch (error) {
      if (!(error instanceof Failure) || isGivenUp(error)) throw error
      refused.push({ what: `the database "${source}"`, error })
    }
  }
  return refused
}

/**
 * Exchanges the names of all databases that were built for it. All of them, and the roles, must be verified: else none is.
 *
 * @returns what failed; the old database of such a one answers as before
 * @throws Cancelled
 */
export async function exchangeAll(
  restores: readonly Restore[],
  swaps: ReadonlyMap<Destination, Swap>,
  run: Run,
): Promise<Refused[]> {
  const { databases, roles } = run.report
  const unproven = databases.filter(({ verified }) => !verified).map(({ name }) => name)
  if (unproven.length > 0 || roles?.verified === false) {
    const what = unproven.length > 0 ? unproven.map((name) => `"${name}"`).join(', ') : 'the roles'
    const error = new Failure(
      'No names were exchanged',
      `Not verified: ${what}`,
      'The old databases answer as before. The report lists every difference',
    )
    return [{ what: 'the exchange', error }]
  }
  const failures: Refused[] = []
  for (const { destination, options } of restores) {
    const swap = swaps.get(destination)
    if (!swap) continue
    const { record, source } = destination
    try {
      const place = { target: options.target, targetName: swap.name }
      const kept = await runPhase(run, 'swap', () => exchange(place, swap, run), source)
      options.targetName = swap.name
      record.swapped(kept)
      run.log.info(
        `Exchanged: ${printable(swap.name)} is the new database, the old one is ${printable(kept)}`,
      )
    } catch (error) {
      if (error instanceof Cancelled || run.signal.aborted) throw error
      record.failed(describe(error))
      failures.push({ what: `the database "${source}"`, error })
    }
  }
  return failures
}

/** Drops the old databases if that is wished, else tells how. */
export async function finishSwaps(
  restores: readonly Restore[],
  swaps: ReadonlyMap<Destination, Swap>,
  run: Run,
): Promise<Refused[]> {
  const failures: Refused[] = []
  for (const { destination, options } of restores) {
    const kept = destination.record.result.swapped?.kept
    if (!swaps.has(destination) || !kept) continue
    if (!run.inputs.dropSwapped) {
      run.warn(
        `The old database ${printable(destination.target)} is kept as ${printable(kept)}. When nobody needs it any more: DROP DATABASE ${printable(quoteIdentifier(kept))}`,
      )
      continue
    }
    try {
      await dropKept(options, kept, run)
      destination.record.swapped(null)
    } catch (error) {
      if (error instanceof Cancelled || run.signal.aborted) throw error
      failures.push({ what: `the old database "${kept}"`, error })
    }
  }
  return failures
}
