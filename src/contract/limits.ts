import { z } from 'zod'
import { symbolSchema } from './ids.ts'
import { optionalDecimal } from './jobs.ts'

const SYMBOLS_MAX = 1_000
/** The store keeps the send times of as many orders. */
const ORDERS_PER_MINUTE_MAX = 10_000
const symbols = z.array(symbolSchema).max(SYMBOLS_MAX)

const optionalCount = z
  .int({ error: 'write a whole number' })
  .min(0)
  .nullish()
  .transform((value) => value ?? null)

/**
 * The limits of a user or of one connection, as the trade API sets them. A limit that is absent or
 * `null` does not apply. Defaults: `symbolsDenied` empty, `sessions` `any`.
 */
export const limitsSchema = z
  .strictObject({
    /** Largest value of one order, in the account's currency. */
    orderNotionalMax: optionalDecimal,
    /**
     * Largest value of a position with the orders that may still add to it, in the account's
     * currency.
     */
    positionNotionalMax: optionalDecimal,
    /** Largest number of open orders, the new order included. */
    openOrdersMax: optionalCount,
    /** Orders that may be sent in any 60 s; orders that only reduce a position do not count. */
    ordersPerMinuteMax: optionalCount.refine(
      (count) => count === null || count <= ORDERS_PER_MINUTE_MAX,
      {
        error: `must be at most ${ORDERS_PER_MINUTE_MAX}`,
      },
    ),
    /**
     * Orders that may be sent in a trading day (exchange time); orders that only reduce a position
     * do not count.
     */
    ordersPerDayMax: optionalCount,
    /**
     * Realized loss of the trading day, in the account's currency, from which on no position may be
     * opened or enlarged.
     */
    dailyLossMax: optionalDecimal,
    /** The only symbols that may be traded. */
    symbolsAllowed: symbols.nullish().transform((value) => value ?? null),
    /** Symbols that may not be traded. */
    symbolsDenied: symbols.default([]),
    /** How far a limit price may lie on the wrong side of the market, in percent. */
    priceCollarPercent: optionalDecimal,
    /** `regular`: stock orders are sent only while the regular session is open. */
    sessions: z.enum(['any', 'regular'], { error: 'must be any or regular' }).default('any'),
  })
  .transform((limits) => ({ schema: 1 as const, ...limits }))
/** Limits, as the trade API writes them. */
export type LimitsRequest = z.input<typeof limitsSchema>
