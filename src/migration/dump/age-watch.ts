import type pg from 'pg'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { serverVersion, withConnection } from '../../postgres/connection.ts'
import type { Answer } from '../checks/check.ts'
import type { Source } from '../checks/preflight.ts'
import { type Age, agesQuery, judgeAges } from '../checks/source/health.ts'
import { wait } from '../freeze/sessions.ts'
import { sampleOf } from '../freeze/writers.ts'
import type { Run } from '../run.ts'

/** Samples between two looks at the age of a source: half a minute, where nobody says otherwise. */
const looksEvery = 15

/**
 * Dumps while the age of the source is watched: the snapshot of a dump keeps vacuum from freezing rows, on a busy server for as many
 * transactions as are begun meanwhile. At 75 % of the way to a wraparound a warning says so; at 95 % the dump is ended, so that
 * vacuum can do its work.
 *
 * @param work gets a run whose signal ends it, and what it calls when the dump's snapshot is gone: from then on nothing ends it
 * @throws Failure where the dump was ended for that; what `work` throws
 */
export async function watchingAge<T>(
  source: Pick<Source, 'connection'>,
  run: Run,
  work: (run: Run, dumped: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const [over, ended] = [new AbortController(), new AbortController()]
  let failure: Failure | undefined
  const watching = watch(
    source,
    { ...run, signal: AbortSignal.any([run.signal, over.signal]) },
    (reason) => {
      failure = reason
      ended.abort(new Cancelled())
    },
  )
  try {
    return await work({ ...run, signal: AbortSignal.any([run.signal, ended.signal]) }, async () => {
      over.abort()
      await watching
    })
  } catch (error) {
    throw failure && !run.signal.aborted ? failure : error
  } finally {
    over.abort()
    await watching
  }
}

/** Never throws: what cannot be asked now is asked the next time. */
async function watch(
  { connection }: Pick<Source, 'connection'>,
  run: Run,
  end: (failure: Failure) => void,
): Promise<void> {
  const options = { role: 'source', readOnly: true, signal: run.signal } as const
  for (;;) {
    try {
      await wait(looksEvery * sampleOf(run), run.signal)
      const answer = await withConnection(connection, options, readAge)
      if (run.signal.aborted) return
      if (answer.status !== 'failed') continue
      const { message, remedy } = answer
      if (answer.severity === 'blocker') {
        end(
          new Failure(
            'The dump was ended, so that the source can freeze its rows',
            message,
            remedy,
          ),
        )
        return
      }
      run.warn(`${message}. ${remedy}`)
    } catch (error) {
      if (run.signal.aborted) return
      run.log.debug(`the age of the source could not be asked: ${messageOf(error)}`)
    }
  }
}

async function readAge(client: pg.Client): Promise<Answer> {
  const { number } = await serverVersion(client)
  return judgeAges((await client.query<Age>(agesQuery(number))).rows)
}
