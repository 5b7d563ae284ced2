import type { CancelCause, FollowUps } from '../updates/index.ts'
import type { Asker } from './asker.ts'

const REASONS: Readonly<Record<CancelCause, string>> = { leftover: 'The position that it protected is closed' }

/** Follow-ups as jobs. */
export const createFollowUps = (ask: Asker): FollowUps => ({
  resolve: ({ userId, connectionId }, tradeId) => ask.resolve({ userId, connectionId, tradeId }),
  cancel: ({ userId, connectionId }, tradeId, cause) =>
    ask.cancel({
      ...{ userId, connectionId, tradeId, commandId: `system-${cause}`, by: 'system', reason: REASONS[cause] },
    }),
})
