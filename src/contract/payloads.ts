import { z } from 'zod'
import { ORDER_TYPES, SIDES } from '#domain'
import { EVENT_NUMBER_MAX } from './amounts.ts'
import { CLOSE_REASONS, CONNECTION_ERRORS, REJECTION_REASONS } from './codes.ts'
import { EVENT_ID_PATTERN } from './ids.ts'

// Payloads of the server's events, as clients are sent them: extra fields are allowed, missing
// fields are not. Money and quantities are JSON numbers only here. `null`: the value does not
// exist. Money and prices are in the account's currency, quantities in shares or coins.

const time = z.iso.datetime()
const amount = z.number().min(-EVENT_NUMBER_MAX).max(EVENT_NUMBER_MAX)
const side = z.enum(SIDES)
const eventId = z.string().regex(EVENT_ID_PATTERN)
const ofUser = { userId: z.string(), timestamp: time }
const ofConnection = { brokerConnectionId: z.string().optional() }
const ofTrade = { ...ofUser, ...ofConnection, tradeId: z.string(), symbol: z.string() }
/**
 * `null` until an order sized in money has a quantity in shares; until then the payload has
 * `notional` as well.
 */
const quantity = amount.nullable()
const notional = amount.optional()

/** `warnings`: fields of the handshake's `auth` that were invalid and were ignored. */
export const connectionAuthorized = z.looseObject({
  ...ofUser,
  sessionId: z.string(),
  lastEventId: eventId.optional(),
  warnings: z.array(z.looseObject({ field: z.string(), message: z.string() })).optional(),
})
/** The server closes the connection. */
export const connectionClosed = z.looseObject({
  reason: z.enum(CLOSE_REASONS),
  message: z.string(),
  timestamp: time,
})
/** The server refuses the connection, or cannot serve it. */
export const connectionError = z.looseObject({
  error: z.enum(CONNECTION_ERRORS),
  message: z.string(),
  timestamp: time,
})
/** The token expires soon. `expiresIn` is in seconds. */
export const tokenExpiring = z.looseObject({
  expiresIn: z.number(),
  message: z.string(),
  timestamp: time,
})

/**
 * The cash of a user changed. `oldBalance` and `newBalance` are the user's cash over all accounts.
 * `connectionBalance` is the cash of this account, if the user has several.
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
/** A position was opened. `stopLossPrice`: `null` if no stop order protects it. */
export const positionAdded = z.looseObject({
  ...ofUser,
  ...ofConnection,
  position: z.looseObject({ ...position, stopLossPrice: amount.nullable(), openedAt: time }),
})
/** A position changed. `updates` has only the fields that changed. */
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
/** A position was closed. `holdingPeriod` is in seconds. */
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

/** The broker accepted an order. */
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
/** An order was filled. `executionTime`: milliseconds from submission to fill. */
export const tradeFilled = z.looseObject({
  ...ofTrade,
  quantity: amount,
  fillPrice: amount,
  side,
  totalCost: amount,
  filledAt: time,
  executionTime: z.number().min(0),
})
/** A part of an order was filled. */
export const tradePartialFill = z.looseObject({
  ...ofTrade,
  requestedQuantity: quantity,
  filledQuantity: amount,
  remainingQuantity: quantity,
  averageFillPrice: amount,
  partialFillAt: time,
})
/** An order was rejected. `code` is the precise cause, `brokerCode` the broker's own code. */
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
/** An order was canceled. `filledQuantity`: the quantity that was filled before. */
export const tradeCancelled = z.looseObject({
  ...ofTrade,
  quantity,
  filledQuantity: amount.optional(),
  cancelledBy: z.enum(['user', 'system', 'broker']),
  reason: z.string(),
  cancelledAt: time,
})
/** A replacement took place; the payload has the new terms. */
export const tradeReplaced = z.looseObject({
  ...ofTrade,
  quantity,
  limitPrice: amount.nullable(),
  brokerOrderId: z.string(),
  replacedAt: time,
})
/** An execution was corrected after it had been reported; the payload has the new totals. */
export const tradeCorrected = z.looseObject({
  ...ofTrade,
  filledQuantity: amount,
  averageFillPrice: amount,
  reason: z.string(),
  correctedAt: time,
})

/** A quote. `bid`, `ask` and `last` are `null` if the market data has no such price. */
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
 * The statuses of a pending trade. `cancelling`: a cancel was requested. The order may not be at
 * the broker yet, so its `trade.submitted` may follow.
 */
export const PENDING_STATUSES = [
  'submitting',
  'submitted',
  'partially_filled',
  'cancelling',
  'replacing',
  'held',
] as const
/** The current state of a user. Parts that the client did not request are absent. */
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
 * The earlier events cannot be replayed one by one: the `state.sync` that follows replaces all of
 * the client's state.
 */
export const stateResync = z.looseObject({ reason: z.string(), timestamp: time })

/** The connection is close to a rate limit. */
export const rateLimitWarning = z.looseObject({
  limit: z.number(),
  current: z.number(),
  resetAt: time,
  message: z.string(),
  timestamp: time,
})
/**
 * A broker connection cannot be used. `code` is for programs, `reason` for people, `action` says
 * how to fix it.
 */
export const brokerDisconnected = z.looseObject({
  brokerType: z.literal('alpaca'),
  brokerConnectionId: z.string(),
  reason: z.string(),
  code: z.string().optional(),
  action: z.string(),
  timestamp: time,
})
/** A broker connection can be used again. */
export const brokerConnected = z.looseObject({
  brokerType: z.literal('alpaca'),
  brokerConnectionId: z.string(),
  timestamp: time,
})
