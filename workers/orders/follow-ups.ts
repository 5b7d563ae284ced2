import { flattenTradeId } from '#contract'
import type { CancelCause, FollowUps } from '../updates/index.ts'
import type { Asker } from './asker.ts'
import type { CancelCommand } from './cancel.ts'

const REASONS: Readonly<Record<CancelCause, string>> = {
  leftover: 'The position that it protected is closed',
}

const LEFTOVER = 'system-leftover'
const COMMANDS: Readonly<Record<CancelCause, string>> = { leftover: LEFTOVER }
const FLATTEN = 'system-flatten'
export const isLeftover = ({ by, commandId }: CancelCommand): boolean =>
  by === 'system' && commandId === LEFTOVER

/** Follow-ups as jobs. */
export const createFollowUps = (ask: Asker): FollowUps => ({
  resolve: ({ userId, connectionId }, tradeId) => ask.resolve({ userId, connectionId, tradeId }),
  cancel: ({ userId, connectionId }, tradeId, cause) =>
    ask.cancel({
      userId,
      connectionId,
      tradeId,
      commandId: COMMANDS[cause],
      by: 'system',
      reason: REASONS[cause],
    }),
  flatten: ({ userId, connectionId }, tradeId, excess) =>
    ask.close({
      userId,
      connectionId,
      tradeId: flattenTradeId(tradeId),
      commandId: FLATTEN,
      ...excess,
      percentage: null,
    }),
})
