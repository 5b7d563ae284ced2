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
 * A request for one trade of one user on one broker connection, before any check. Absent values are
 * `null`.
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
  /** In shares or coins. Exactly one of `quantity` and `notional` is given. */
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
  /** ISO time after which the order must not be sent; `null`: no deadline. */
  notAfter: string | null
}>

/**
 * Size of the digest cache: every snapshot of an order needs a digest. The oldest digest is
 * evicted.
 */
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

/** The step of a trade's first order: leg 0, replacement 0. */
export const FIRST_STEP = '0.0'

/**
 * The idempotency key towards the broker. The key is a pure function of the request and can be
 * parsed, so that a worker with an empty store can adopt an order found at the broker. At most 128
 * characters, the broker's limit.
 * @param step `leg.replacement`; default: the first order of the trade
 */
export const clientOrderIdOf = (userId: string, tradeId: string, step = FIRST_STEP): string =>
  `fc1-${userDigest(userId)}-${step}-${tradeId}`

const CLIENT_ORDER_ID = /^fc1-([0-9a-f]{10})-(\d{1,4}\.\d{1,6})-([A-Za-z0-9_-]{1,64})$/

/** Parses a client order id. `null`: the id was not made by Fillcast, or not for this user. */
export function readClientOrderId(
  clientOrderId: string,
  userId: string,
): { tradeId: string; step: string } | null {
  const [, digest, step, tradeId] = CLIENT_ORDER_ID.exec(clientOrderId) ?? []
  if (step === undefined || tradeId === undefined || digest !== userDigest(userId)) return null
  return { tradeId, step }
}
