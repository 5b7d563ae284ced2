import { hash } from 'node:crypto'
import type { Decimal } from './decimal.ts'

export const SIDES = ['buy', 'sell'] as const
export const ORDER_TYPES = ['market', 'limit', 'stop', 'stop_limit', 'trailing_stop'] as const
export const TIMES_IN_FORCE = ['day', 'gtc', 'opg', 'cls', 'ioc', 'fok'] as const
export const ORDER_CLASSES = ['simple', 'bracket', 'oco', 'oto'] as const

export type Side = (typeof SIDES)[number]
export type OrderType = (typeof ORDER_TYPES)[number]
export type TimeInForce = (typeof TIMES_IN_FORCE)[number]
export type OrderClass = (typeof ORDER_CLASSES)[number]

/**
 * What a caller asks for, before any check: one trade of one user on one broker connection. Absent
 * values are `null`.
 */
export type OrderIntent = Readonly<{
  userId: string
  connectionId: string
  tradeId: string
  symbol: string
  side: Side
  orderType: OrderType
  timeInForce: TimeInForce
  orderClass: OrderClass
  /** Shares or coins. Exactly one of `quantity` and `notional` is given. */
  quantity: Decimal | null
  /** Money to spend, in the account's currency. */
  notional: Decimal | null
  limitPrice: Decimal | null
  stopPrice: Decimal | null
  trailPrice: Decimal | null
  trailPercent: Decimal | null
  extendedHours: boolean
  takeProfit: Readonly<{ limitPrice: Decimal }> | null
  stopLoss: Readonly<{ stopPrice: Decimal; limitPrice: Decimal | null }> | null
  /** ISO time after which the order must not be sent any more; `null`: no deadline. */
  notAfter: string | null
}>

/** Digests kept: one is asked for with every view of an order. The oldest is worked out again. */
const DIGESTS_MAX = 10_000
const digests = new Map<string, string>()

function userDigest(userId: string): string {
  const known = digests.get(userId)
  if (known !== undefined) return known
  if (digests.size >= DIGESTS_MAX) digests.delete(digests.keys().next().value ?? '')
  const digest = hash('sha256', userId).slice(0, 10)
  digests.set(userId, digest)
  return digest
}

/** The step of a trade's first order. */
export const FIRST_STEP = '0.0'

/**
 * The idempotency key towards the broker: a pure function of the request, and readable back, so
 * that an order found at the broker can be adopted by a worker with an empty store. At most 128
 * characters, the broker's limit.
 * @param step `leg.replacement`; default: the first order of the trade
 */
export const clientOrderIdOf = (userId: string, tradeId: string, step = FIRST_STEP): string =>
  `fc1-${userDigest(userId)}-${step}-${tradeId}`

const CLIENT_ORDER_ID = /^fc1-([0-9a-f]{10})-(\d{1,4}\.\d{1,6})-([A-Za-z0-9_-]{1,64})$/

/**
 * The trade behind a client order id of this user, or `null` when the id is not of our making or
 * not this user's.
 */
export function readClientOrderId(
  clientOrderId: string,
  userId: string,
): { tradeId: string; step: string } | null {
  const [, digest, step, tradeId] = CLIENT_ORDER_ID.exec(clientOrderId) ?? []
  if (step === undefined || tradeId === undefined || digest !== userDigest(userId)) return null
  return { tradeId, step }
}
