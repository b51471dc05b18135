import type pg from 'pg'
import { mayPass, sqlstateOf } from './errors.ts'

/** Servers, as `host:port`, at which a connection was lost while several questions were under way. */
const oneByOne = new Set<string>()

/** What every question of a list answers. */
type Answers<T extends readonly (() => Promise<unknown>)[]> = {
  [K in keyof T]: Awaited<ReturnType<T[K]>>
}

/**
 * Asks several things of one session, each without waiting for the answer to the one before: a server far away answers all of
 * them no later than one (PostgreSQL, "Frontend/Backend Protocol": messages may be sent ahead, each with an answer of its own).
 * What one of them is refused costs the others nothing, unless they are in a transaction. Something between that loses the
 * connection over it is asked one by one from then on.
 *
 * @param client a session that is doing nothing; COPY cannot be asked so
 * @param questions each sends something as soon as it is called, in this order; what it sends after an answer comes after the
 * others'
 * @param wasIdle the session may have been lost before: that it was then says nothing of how it is asked
 * @returns the answers, in their order
 * @throws what the first of the questions threw, once all are over
 */
export async function together<const T extends readonly (() => Promise<unknown>)[]>(
  client: pg.Client,
  questions: T,
  wasIdle = false,
): Promise<Answers<T>> {
  const server = `${client.host}:${client.port}`
  const answers: unknown[] = []
  if (oneByOne.has(server)) {
    for (const question of questions) answers.push(await question())
    return answers as Answers<T>
  }
  // the types call it read-only, and `pg` asks it anew for every query
  const session = client as unknown as { pipeline: boolean }
  const before = session.pipeline
  session.pipeline = true
  try {
    const asked = questions.map((question) => question())
    await Promise.allSettled(asked)
    return (await Promise.all(asked)) as Answers<T>
  } catch (error) {
    if (!wasIdle && sqlstateOf(error) === undefined && mayPass(error)) oneByOne.add(server)
    throw error
  } finally {
    session.pipeline = before
  }
}
