import type { CancelMark, WaitingMark, Write } from './port.ts'

// Cancels that came before their trades. A trade may never come, so marks are limited by age and by
// count. The state has a list of its marks, so that counting them does not need a reading of the
// whole state.

/**
 * A mark is dropped this long after the cancel: a job waits in its queue for minutes, so its trade
 * can no longer be sent by then.
 */
export const CANCEL_MARK_MS_MAX = 24 * 3_600_000
/** Marks of one user; at the limit, the oldest is dropped. */
export const CANCEL_MARKS_MAX = 500

/**
 * The writes for a mark: the mark, the new list, and the removal of the marks that the list drops.
 * @param waiting the list before
 */
export function markWrites(
  tradeId: string,
  mark: CancelMark,
  waiting: readonly WaitingMark[],
  nowMs: number,
): Write[] {
  const all = [
    ...waiting.filter((one) => one.tradeId !== tradeId),
    { tradeId, requestedAt: mark.requestedAt },
  ]
  const kept = all.filter((one) => !isOld(one, nowMs)).slice(-CANCEL_MARKS_MAX)
  return [
    ...all.filter((one) => !kept.includes(one)).map(dropped),
    { kind: 'cancelMark', tradeId, mark },
    { kind: 'waitingMarks', marks: kept },
  ]
}

/** The writes that remove marks that are too old, up to `limit`. */
export const droppedMarks = (
  waiting: readonly WaitingMark[],
  nowMs: number,
  limit: number,
): Write[] =>
  waiting
    .filter((one) => isOld(one, nowMs))
    .slice(0, limit)
    .map(dropped)

const isOld = ({ requestedAt }: WaitingMark, nowMs: number): boolean =>
  nowMs - Date.parse(requestedAt) > CANCEL_MARK_MS_MAX

const dropped = ({ tradeId }: WaitingMark): Write => ({ kind: 'cancelMark', tradeId, mark: null })
