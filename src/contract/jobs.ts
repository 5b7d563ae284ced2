import { hash } from 'node:crypto'
import { z } from 'zod'
import {
  cmp,
  type Decimal,
  DECIMAL_PLACES_MAX,
  isPositive,
  LEGS,
  ORDER_CLASSES,
  ORDER_TYPES,
  type OrderIntent,
  POSITION_SIDES,
  SIDES,
  TIMES_IN_FORCE,
  tryDec,
} from '#domain'
import { NOTIONAL_MAX, PERCENT_MAX, PRICE_MAX, QUANTITY_MAX } from './amounts.ts'
import {
  commandIdSchema,
  connectionIdSchema,
  MISSING,
  symbolSchema,
  TRADE_ID_LENGTH_MAX,
  tradeIdSchema,
  userIdSchema,
} from './ids.ts'
import { closeProblem, orderProblems } from './order-rules.ts'

/**
 * The queues. Each queue has its own Redis key prefix with its own hash tag, so that the queues
 * spread over a cluster.
 */
export const queues = {
  /** New orders. */
  orders: { name: 'orders', prefix: '{fc:orders}' },
  /**
   * Cancel, replace and close. Commands have a queue of their own, so they never wait behind
   * submissions.
   */
  commands: { name: 'commands', prefix: '{fc:commands}' },
  /** Health checks and removals of broker connections. */
  connections: { name: 'connections', prefix: '{fc:connections}' },
} as const
/** The name of a queue. */
export type QueueName = keyof typeof queues

const missingOr =
  (words: string) =>
  ({ input }: Readonly<{ input?: unknown }>): string =>
    input === undefined ? MISSING : words

/**
 * A decimal string greater than zero, with at most nine decimals and at most `max`. The schema
 * converts the text into its canonical form. A JSON number is refused, because it may have lost
 * digits before validation.
 */
const positiveUpTo = (max: Decimal) =>
  z
    .string({ error: missingOr('write it as a decimal string, like "1.5"') })
    .transform((text, context): Decimal => {
      const value = tryDec(text)
      const problem = value === null ? 'write a plain decimal, like "1.5"' : problemOf(value, max)
      if (value !== null && problem === null) return value
      context.addIssue({ code: 'custom', message: problem ?? '' })
      return z.NEVER
    })

function problemOf(value: Decimal, max: Decimal): string | null {
  if (!isPositive(value)) return 'must be greater than 0'
  if (cmp(value, max) > 0) return `must be at most ${max}`
  return (value.split('.')[1]?.length ?? 0) > DECIMAL_PLACES_MAX
    ? `at most ${DECIMAL_PLACES_MAX} decimals`
    : null
}

const optionalUpTo = (max: Decimal) =>
  positiveUpTo(max)
    .nullish()
    .transform((value) => value ?? null)
const price = positiveUpTo(PRICE_MAX)
const optionalPrice = optionalUpTo(PRICE_MAX)
const optionalQuantity = optionalUpTo(QUANTITY_MAX)
const optionalPercent = optionalUpTo(PERCENT_MAX)
/** An optional decimal: money, or a percentage of a limit. Absent: `null`. */
export const optionalDecimal = optionalUpTo(NOTIONAL_MAX)
const oneOf = <const Values extends readonly [string, ...string[]]>(values: Values) =>
  z.enum(values, { error: missingOr(`must be one of ${values.join(', ')}`) })

const ofTrade = { userId: userIdSchema, connectionId: connectionIdSchema, tradeId: tradeIdSchema }
const ofCommand = { ...ofTrade, commandId: commandIdSchema }

/**
 * A new order: the request of the trade API and the payload of its job. Optional fields may be
 * absent or `null`. An unknown field is refused, because to drop it could drop a deadline or a
 * price. Defaults: `timeInForce` `day`, `orderClass` `simple`, `extendedHours` `false`. Quantities
 * are in shares or coins, `notional` and prices in the account's currency.
 */
export const submitOrderSchema = z
  .strictObject({
    ...ofTrade,
    symbol: symbolSchema,
    side: oneOf(SIDES),
    orderType: oneOf(ORDER_TYPES),
    timeInForce: oneOf(TIMES_IN_FORCE).default('day'),
    orderClass: oneOf(ORDER_CLASSES).default('simple'),
    quantity: optionalQuantity,
    notional: optionalDecimal,
    limitPrice: optionalPrice,
    stopPrice: optionalPrice,
    trailPrice: optionalPrice,
    trailPercent: optionalPercent,
    extendedHours: z.boolean({ error: 'must be true or false' }).default(false),
    takeProfit: z
      .strictObject({ limitPrice: price })
      .nullish()
      .transform((value) => value ?? null),
    stopLoss: z
      .strictObject({ stopPrice: price, limitPrice: optionalPrice })
      .nullish()
      .transform((value) => value ?? null),
    notAfter: z.iso
      .datetime({ offset: true, error: 'write an ISO time, like 2026-01-02T15:04:05Z' })
      .nullish()
      .transform((value) => (value ? new Date(value).toISOString() : null)),
  })
  .superRefine((order, context) => {
    for (const [field, message] of orderProblems(order))
      context.addIssue({ code: 'custom', path: field.split('.'), message })
  }) satisfies z.ZodType<OrderIntent>
/** A request for a new order, as the trade API writes it. */
export type SubmitOrder = z.input<typeof submitOrderSchema>

/**
 * Requests the cancellation of the rest of a trade. Defaults: `by` `user`, `reason` `User requested
 * cancellation`.
 */
export const cancelOrderSchema = z.strictObject({
  ...ofCommand,
  by: z.enum(['user', 'system']).default('user'),
  reason: z.string().max(200).default('User requested cancellation'),
})
/** A request to cancel a trade, as the trade API writes it. */
export type CancelOrder = z.input<typeof cancelOrderSchema>

/**
 * Requests the cancellation of every open order of one connection that Fillcast placed. If `symbol`
 * is given, only orders of that symbol are canceled. Defaults: `by` `user`, `reason` `User
 * requested cancellation of all orders`.
 */
export const cancelAllSchema = z.strictObject({
  userId: userIdSchema,
  connectionId: connectionIdSchema,
  commandId: commandIdSchema,
  symbol: symbolSchema.nullish().transform((value) => value ?? null),
  by: z.enum(['user', 'system']).default('user'),
  reason: z.string().max(200).default('User requested cancellation of all orders'),
})
/** A request to cancel all orders of a connection, as the trade API writes it. */
export type CancelAll = z.input<typeof cancelAllSchema>

/**
 * Requests the change of an open order, or of one exit of a bracket, oco or oto order. At least one
 * value must be given. `quantity` is the order's total and includes the filled quantity. Default:
 * `leg` `entry`.
 */
export const replaceOrderSchema = z
  .strictObject({
    ...ofCommand,
    leg: oneOf(LEGS).default('entry'),
    quantity: optionalQuantity,
    limitPrice: optionalPrice,
    stopPrice: optionalPrice,
    trail: optionalPrice,
    timeInForce: oneOf(TIMES_IN_FORCE)
      .nullish()
      .transform((value) => value ?? null),
  })
  .refine(
    ({ quantity, limitPrice, stopPrice, trail, timeInForce }) =>
      quantity ?? limitPrice ?? stopPrice ?? trail ?? timeInForce,
    {
      path: ['quantity'],
      error: 'say what to change: quantity, limitPrice, stopPrice, trail or timeInForce',
    },
  )
  .refine(({ leg, quantity }) => leg === 'entry' || quantity === null, {
    path: ['quantity'],
    error: 'an exit has the quantity of what it closes; only its prices can be changed',
  })
/** A request to replace an order, as the trade API writes it. */
export type ReplaceOrder = z.input<typeof replaceOrderSchema>

/**
 * Requests the close of a position. Without `quantity` and `percentage` the whole position is
 * closed. The trade id names the closing order. With `positionSide` the close applies only to a
 * position on that side; without `positionSide` it applies to a position on either side.
 */
export const closePositionSchema = z
  .strictObject({
    ...ofCommand,
    symbol: symbolSchema,
    quantity: optionalQuantity,
    percentage: optionalPercent,
    // Has no default: workers of the previous version refuse a field that they do not know.
    positionSide: oneOf(POSITION_SIDES).nullish(),
    /** If a limit price is given, the close is a limit order. */
    limitPrice: price.nullish(),
    extendedHours: z.boolean({ error: 'must be true or false' }).nullish(),
  })
  .superRefine(({ symbol, limitPrice = null, extendedHours }, context) => {
    const problem = closeProblem(symbol, limitPrice, extendedHours === true)
    if (problem !== null)
      context.addIssue({ code: 'custom', path: [problem[0]], message: problem[1] })
  })
  .refine(({ quantity, percentage }) => quantity === null || percentage === null, {
    path: ['percentage'],
    error: 'give quantity or percentage, not both',
  })
  .refine(({ percentage }) => percentage === null || cmp(percentage, '100' as Decimal) <= 0, {
    path: ['percentage'],
    error: 'must be at most 100',
  })
/** A request to close a position, as the trade API writes it. */
export type ClosePosition = z.input<typeof closePositionSchema>

/**
 * Requests the close of every position of a connection. Each position is closed by a trade of its
 * own (see `closeAllTradeId`).
 */
export const closeAllSchema = z.strictObject({
  userId: userIdSchema,
  connectionId: connectionIdSchema,
  commandId: commandIdSchema,
})
/** A request to close all positions of a connection, as the trade API writes it. */
export type CloseAllPositions = z.input<typeof closeAllSchema>

/**
 * Resumes the pending work of a trade from its record alone: a submission or a command whose own
 * job was lost or has ended.
 */
export const resolveOrderSchema = z.strictObject(ofTrade)
/** The payload of a job that resumes the work of a trade. */
export type ResolveOrder = z.output<typeof resolveOrderSchema>

/** One health check of a broker connection. */
export const checkConnectionSchema = z.object({
  userId: userIdSchema,
  connectionId: connectionIdSchema,
})
/** The payload of a health check. */
export type CheckConnection = z.output<typeof checkConnectionSchema>

/** Removes a broker connection; see `ConnectionCommands.disconnect` of the producer. */
export const disconnectSchema = z.strictObject({
  userId: userIdSchema,
  connectionId: connectionIdSchema,
  openOrders: oneOf(['cancel', 'leave']),
})
/** The payload of a removal. */
export type Disconnect = z.output<typeof disconnectSchema>

/** Every job: its queue and the schema of its payload. */
export const jobs = {
  submitOrder: { queue: 'orders', schema: submitOrderSchema },
  cancelOrder: { queue: 'commands', schema: cancelOrderSchema },
  replaceOrder: { queue: 'commands', schema: replaceOrderSchema },
  cancelAll: { queue: 'commands', schema: cancelAllSchema },
  closePosition: { queue: 'commands', schema: closePositionSchema },
  closeAllPositions: { queue: 'commands', schema: closeAllSchema },
  resolveOrder: { queue: 'orders', schema: resolveOrderSchema },
  checkConnection: { queue: 'connections', schema: checkConnectionSchema },
  disconnect: { queue: 'connections', schema: disconnectSchema },
} as const satisfies Record<string, { queue: QueueName; schema: z.ZodType }>
/** The name of a job. */
export type JobName = keyof typeof jobs

/** One problem of a payload: the field, and how to fix it. */
export type PayloadProblem = Readonly<{ field: string; message: string }>

/**
 * The problems of a payload. An unknown field is reported under its own name, because it may be a
 * misspelled deadline.
 */
export const problemsOf = (error: z.ZodError): PayloadProblem[] =>
  error.issues.flatMap((issue) => {
    const at = issue.path.join('.')
    if (issue.code !== 'unrecognized_keys')
      return [{ field: at || 'payload', message: issue.message }]
    return issue.keys.map((key) => ({
      field: at ? `${at}.${key}` : key,
      message: 'is not a field; check its spelling',
    }))
  })

/**
 * The problems as text, one `field: how to fix it` per line. The producer's caller and the failed
 * job get the same text.
 */
export const describeIssues = (error: z.ZodError): string =>
  problemsOf(error)
    .map(({ field, message }) => `${field}: ${message}`)
    .join('\n')

const digest = (text: string): string => hash('sha256', text).slice(0, 24)

/** The id of a trade's submission job. The same trade always has the same job. */
export const submitJobId = (userId: string, tradeId: string): string =>
  `submit-${digest(userId)}-${tradeId}`
/** The commands of one trade, with the prefix of their job ids. */
const COMMANDS = { cancelOrder: 'cancel', replaceOrder: 'replace', closePosition: 'close' } as const
/** The name of a command of one trade. */
export type CommandName = keyof typeof COMMANDS
/**
 * The id of a command's job. A repeated command has the same job. Two commands that differ only in
 * their kind have different jobs.
 */
export const commandJobId = (
  name: CommandName,
  userId: string,
  tradeId: string,
  commandId: string,
): string => `${COMMANDS[name]}-${digest(`${userId}\n${tradeId}`)}-${commandId}`
/** The job id of a cancel of all orders. */
export const cancelAllJobId = (userId: string, connectionId: string, commandId: string): string =>
  `cancel-all-${digest(`${userId}\n${connectionId}`)}-${commandId}`
/** The job id of a close of all positions. */
export const closeAllJobId = (userId: string, connectionId: string, commandId: string): string =>
  `close-all-${digest(`${userId}\n${connectionId}`)}-${commandId}`
/**
 * The trade id under which a close of all positions closes one position. The id is a function of
 * the command and the symbol, so that the closing order is placed once.
 */
export const closeAllTradeId = (connectionId: string, commandId: string, symbol: string): string =>
  `close-${digest(`${connectionId}\n${commandId}\n${symbol}`)}`
/**
 * The job id of a resumed trade. A trade has at most one such job at a time. The job leaves the
 * queue when it is done, so that it can be requested again.
 */
export const resolveJobId = (userId: string, tradeId: string): string =>
  `resolve-${digest(userId)}-${tradeId}`
/**
 * The job id of a removal.
 * @param revision of the connection's record that requests the removal: a second request has
 *   another revision and so another job
 */
export const disconnectJobId = (userId: string, connectionId: string, revision: string): string =>
  `disconnect-${digest(userId)}-${connectionId}-${revision}`
/** The job id of a health check. A connection has at most one such job at a time. */
export const checkJobId = (userId: string, connectionId: string): string =>
  `check-${digest(userId)}-${connectionId}`
/**
 * The id of the trade that closes the excess of a trade's exits over its entry. The id is a
 * function of the original trade id alone, so that the closing order is placed at most once:
 * `flatten-<tradeId>`, or `flatten-<digest>` if that is longer than a trade id may be.
 */
export function flattenTradeId(tradeId: string): string {
  const id = `flatten-${tradeId}`
  return id.length <= TRADE_ID_LENGTH_MAX ? id : `flatten-${digest(tradeId)}`
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
const inKeyOrder = (record: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))

/**
 * A hash of an intent's parameters, independent of how the request was written. A second intent
 * with the same `tradeId` and another hash is a conflict.
 */
export const parametersHash = (intent: OrderIntent): string => contentHash(intent)

/**
 * A hash of a close's parameters, under the trade id of its order. A close without `positionSide`
 * and `limitPrice` has the same hash as before these fields existed.
 */
export function closeHash(close: z.output<typeof closePositionSchema>): string {
  const { symbol, quantity, percentage, positionSide, limitPrice, extendedHours } = close
  const side = positionSide == null ? [] : [positionSide]
  const terms = limitPrice == null ? [] : ['limit', limitPrice, extendedHours === true]
  return hash(
    'sha256',
    JSON.stringify(['close', symbol, quantity, percentage, ...side, ...terms]),
  ).slice(0, 32)
}

/** A hash of a payload's content, independent of the order of its keys. */
export function contentHash(payload: object): string {
  const text = JSON.stringify(payload, (_key, value: unknown) =>
    isRecord(value) ? inKeyOrder(value) : value,
  )
  return hash('sha256', text).slice(0, 32)
}

/** The payload of a job that cancels the rest of a trade. */
export type CancelCommand = z.output<typeof cancelOrderSchema>

/** The payload of a job that closes a position or a part of it. */
export type CloseCommand = z.output<typeof closePositionSchema>
