import { Failure } from '../../src/failure.ts'

/** The Failure that a function throws. @throws what else it throws; an Error where it throws nothing */
export function failureThrown(work: () => unknown): Failure {
  try {
    work()
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('nothing failed')
}

/** The Failure that a promise is rejected with. @throws what else that is; an Error where it is fulfilled */
export async function failureOf(work: Promise<unknown>): Promise<Failure> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof Failure) return error
  throw error ?? new Error('nothing failed')
}
