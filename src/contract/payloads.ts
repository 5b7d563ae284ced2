import { z } from 'zod'
import { ORDER_TYPES, SIDES } from '#domain'
import { EVENT_NUMBER_MAX } from './amounts.ts'
import { CLOSE_REASONS, CONNECTION_ERRORS, REJECTION_REASONS } from './codes.ts'
import { EVENT_ID_PATTERN } from './ids.ts'

// Payloads of the server's events, as clients receive them: extra fields are allowed, missing ones
// are not. Money and quantities are JSON numbers here and nowhere else. Null where the world has no
// value.

const time = z.iso.datetime()
const amount = z.number().min(-EVENT_NUMBER_MAX).max(EVENT_NUMBER_MAX)
const side = z.enum(SIDES)
const eventId = z.string().regex(EVENT_ID_PATTERN)
const ofUser = { userId: z.string(), timestamp: time }
const ofConnection = { brokerConnectionId: z.string().optional() }
const ofTrade = { ...ofUser, ...ofConnection, tradeId: z.string(), symbol: z.string() }
/** Null until an order sized in money is sized in shares; `notional` is beside it then. */
const quantity = amount.nullable()
const notional = amount.optional()

/** `warnings`: parts of the handshake's `auth` that did not fit and were left out. */
export const connectionAuthorized = z.looseObject({
  ...ofUser,
  sessionId: z.string(),
  lastEventId: eventId.optional(),
  warnings: z.array(z.looseObject({ field: z.string(), message: z.string() })).optional(),
})
export const connectionClosed = z.looseObject({
  reason: z.enum(CLOSE_REASONS),
  message: z.string(),
  timestamp: time,
})
export const connectionError = z.looseObject({
  error: z.enum(CONNECTION_ERRORS),
  message: z.string(),
  timestamp: time,
})
/** `expiresIn` in seconds. */
export const tokenExpiring = z.looseObject({
  expiresIn: z.number(),
  message: z.string(),
  timestamp: time,
})

/**
 * `oldBalance`, `newBalance`: the user's cash over all accounts. `connectionBalance`: that of one
 * of several.
 */
export const balanceChanged = z.looseObject({
  ...ofUser,
  ...ofConnection,
  oldBalance: amount,
  newBalance: amount,
  connectionBalance: amount.optional(),
  currency: z.string(),
  change: amount,
  reason: z.enum(['TRADE_EXECUTED', 'FUNDS_DEPOSITED', 'FUNDS_WITHDRAWN', 'EXTERNAL_SYNC']),
})
const position = {
  id: z.string(),
  symbol: z.string(),
  quantity: amount,
  averageEntryPrice: amount,
  currentPrice: amount,
  unrealizedPnL: amount,
}
export const positionAdded = z.looseObject({
  ...ofUser,
  ...ofConnection,
  position: z.looseObject({ ...position, stopLossPrice: amount.nullable(), openedAt: time }),
})
export const positionUpdated = z.looseObject({
  ...ofUser,
  ...ofConnection,
  positionId: z.string(),
  symbol: z.string(),
  updates: z.looseObject({
    currentPrice: amount.optional(),
    unrealizedPnL: amount.optional(),
    quantity: amount.optional(),
    averageEntryPrice: amount.optional(),
    stopLossPrice: amount.nullable().optional(),
  }),
})
/** `holdingPeriod` in seconds. */
export const positionClosed = z.looseObject({
  ...ofUser,
  ...ofConnection,
  positionId: z.string(),
  symbol: z.string(),
  quantity: amount,
  entryPrice: amount,
  exitPrice: amount,
  realizedPnL: amount,
  holdingPeriod: z.number(),
  closedAt: time,
})

export const tradeSubmitted = z.looseObject({
  ...ofTrade,
  quantity,
  notional,
  limitPrice: amount.optional(),
  stopPrice: amount.optional(),
  orderType: z.enum(ORDER_TYPES),
  side,
  brokerOrderId: z.string(),
  status: z.literal('submitted'),
  submittedAt: time,
})
/** `executionTime` in milliseconds from submission to fill. */
export const tradeFilled = z.looseObject({
  ...ofTrade,
  quantity: amount,
  fillPrice: amount,
  side,
  totalCost: amount,
  filledAt: time,
  executionTime: z.number().min(0),
})
export const tradePartialFill = z.looseObject({
  ...ofTrade,
  requestedQuantity: quantity,
  filledQuantity: amount,
  remainingQuantity: quantity,
  averageFillPrice: amount,
  partialFillAt: time,
})
export const tradeRejected = z.looseObject({
  ...ofTrade,
  quantity,
  notional,
  side,
  reason: z.enum(REJECTION_REASONS),
  code: z.string().optional(),
  brokerCode: z.string().optional(),
  message: z.string(),
  rejectedAt: time,
})
export const tradeCancelled = z.looseObject({
  ...ofTrade,
  quantity,
  filledQuantity: amount.optional(),
  cancelledBy: z.enum(['user', 'system', 'broker']),
  reason: z.string(),
  cancelledAt: time,
})
export const tradeReplaced = z.looseObject({
  ...ofTrade,
  quantity,
  limitPrice: amount.nullable(),
  brokerOrderId: z.string(),
  replacedAt: time,
})
export const tradeCorrected = z.looseObject({
  ...ofTrade,
  filledQuantity: amount,
  averageFillPrice: amount,
  reason: z.string(),
  correctedAt: time,
})

/** `bid`, `ask` and `last` are null where there is none. */
export const marketQuote = z.looseObject({
  symbol: z.string(),
  bid: amount.nullable(),
  ask: amount.nullable(),
  last: amount.nullable(),
  volume: amount,
  change: amount.nullable(),
  changePercent: amount.nullable(),
  timestamp: time,
})

const totals = { totalValue: amount, cashBalance: amount, positionsValue: amount }
/**
 * `cancelling`: a cancel was asked for, be the trade at the broker already or not: its
 * `trade.submitted` may follow.
 */
export const PENDING_STATUSES = [
  'submitting',
  'submitted',
  'partially_filled',
  'cancelling',
  'replacing',
  'held',
] as const
/** Parts that were not asked for are absent. */
export const stateSync = z.looseObject({
  portfolio: z
    .looseObject({
      ...totals,
      accounts: z.array(z.looseObject({ brokerConnectionId: z.string(), ...totals })).optional(),
    })
    .optional(),
  positions: z.array(z.looseObject(position)).optional(),
  pendingTrades: z
    .array(
      z.looseObject({
        id: z.string(),
        symbol: z.string(),
        quantity,
        notional,
        orderType: z.enum(ORDER_TYPES),
        limitPrice: amount.nullable(),
        stopPrice: amount.optional(),
        status: z.enum(PENDING_STATUSES),
      }),
    )
    .optional(),
  lastEventId: eventId.optional(),
  timestamp: time,
})
/**
 * What came before this cannot be told one by one: take the `state.sync` that follows as the whole
 * truth.
 */
export const stateResync = z.looseObject({ reason: z.string(), timestamp: time })

export const rateLimitWarning = z.looseObject({
  limit: z.number(),
  current: z.number(),
  resetAt: time,
  message: z.string(),
  timestamp: time,
})
export const brokerDisconnected = z.looseObject({
  brokerType: z.literal('alpaca'),
  brokerConnectionId: z.string(),
  reason: z.string(),
  code: z.string().optional(),
  action: z.string(),
  timestamp: time,
})
export const brokerConnected = z.looseObject({
  brokerType: z.literal('alpaca'),
  brokerConnectionId: z.string(),
  timestamp: time,
})
