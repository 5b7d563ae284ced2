import { z } from 'zod'
import { symbolSchema } from './ids.ts'
import { optionalDecimal } from './jobs.ts'

const SYMBOLS_MAX = 1_000
/** The store keeps the times of as many orders. */
const ORDERS_PER_MINUTE_MAX = 10_000
const symbols = z.array(symbolSchema).max(SYMBOLS_MAX)

const optionalCount = z
  .int({ error: 'write a whole number' })
  .min(0)
  .nullish()
  .transform((value) => value ?? null)

/**
 * Limits of a user or of one connection, as the trade API sets them. What is absent or null is not
 * limited.
 */
export const limitsSchema = z
  .strictObject({
    /** Money, in the account's currency, that one order may move. */
    orderNotionalMax: optionalDecimal,
    positionNotionalMax: optionalDecimal,
    openOrdersMax: optionalCount,
    ordersPerMinuteMax: optionalCount.refine(
      (count) => count === null || count <= ORDERS_PER_MINUTE_MAX,
      {
        error: `must be at most ${ORDERS_PER_MINUTE_MAX}`,
      },
    ),
    ordersPerDayMax: optionalCount,
    dailyLossMax: optionalDecimal,
    /** Only these. */
    symbolsAllowed: symbols.nullish().transform((value) => value ?? null),
    symbolsDenied: symbols.default([]),
    priceCollarPercent: optionalDecimal,
    sessions: z.enum(['any', 'regular'], { error: 'must be any or regular' }).default('any'),
  })
  .transform((limits) => ({ schema: 1 as const, ...limits }))
export type LimitsRequest = z.input<typeof limitsSchema>
