import { type CancelCommand, flattenTradeId } from '#contract'
import type { JobQueue } from './enqueue.ts'
import type { CancelCause, FollowUps } from './follow-ups.ts'

const REASONS: Readonly<Record<CancelCause, string>> = {
  leftover: 'The position that it protected is closed',
}

const LEFTOVER = 'system-leftover'
const COMMANDS: Readonly<Record<CancelCause, string>> = { leftover: LEFTOVER }
const FLATTEN = 'system-flatten'
export const isLeftover = ({ by, commandId }: CancelCommand): boolean =>
  by === 'system' && commandId === LEFTOVER

/** Follow-ups as jobs. */
export const createFollowUps = (jobQueue: JobQueue): FollowUps => ({
  resolve: ({ userId, connectionId }, tradeId) =>
    jobQueue.resolve({ userId, connectionId, tradeId }),
  cancel: ({ userId, connectionId }, tradeId, cause) =>
    jobQueue.cancel({
      userId,
      connectionId,
      tradeId,
      commandId: COMMANDS[cause],
      by: 'system',
      reason: REASONS[cause],
    }),
  flatten: ({ userId, connectionId }, tradeId, excess) =>
    jobQueue.close({
      userId,
      connectionId,
      tradeId: flattenTradeId(tradeId),
      commandId: FLATTEN,
      ...excess,
      percentage: null,
    }),
})
