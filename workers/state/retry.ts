import { FillcastError } from '#runtime'

/** Other commits came first this often in a row: a defect or an overload, never normal. */
export class ContentionError extends FillcastError<'CONTENTION'> {
  constructor(userId: string) {
    super(
      'CONTENTION',
      `the state of ${userId} changed ${CONFLICTS_MAX} times while it was being written`,
    )
  }
}

/**
 * Commits that may conflict in a row before the writer gives up. Another commit takes Redis about
 * 0.2 ms.
 */
export const CONFLICTS_MAX = 100

/** The outcome of an attempt whose records changed between its reading and its commit. */
export const CONFLICT = Symbol('conflict')

/**
 * Repeats an attempt (read, decide, commit) until its commit finds no conflict.
 * @param attempt reads the state anew each time
 * @param triesMax default: `CONFLICTS_MAX`
 * @throws {ContentionError}
 */
export async function retryOnConflict<T>(
  userId: string,
  attempt: () => Promise<T | typeof CONFLICT>,
  triesMax: number = CONFLICTS_MAX,
): Promise<T> {
  for (let tries = 0; tries < triesMax; tries += 1) {
    const done = await attempt()
    if (done !== CONFLICT) return done
  }
  throw new ContentionError(userId)
}
