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
 * The queues, with the prefix under which each lies in Redis: a tag of its own, so that queues
 * spread over a cluster.
 */
export const queues = {
  /** New orders. */
  orders: { name: 'orders', prefix: '{fc:orders}' },
  /** Cancel, replace, close: never behind submits. */
  commands: { name: 'commands', prefix: '{fc:commands}' },
  /** Health checks and removal of broker connections. */
  connections: { name: 'connections', prefix: '{fc:connections}' },
} as const
export type QueueName = keyof typeof queues

const missingOr =
  (words: string) =>
  ({ input }: Readonly<{ input?: unknown }>): string =>
    input === undefined ? MISSING : words

/**
 * A decimal string greater than zero, at most nine decimals, at most `max`; read into its canonical
 * form. A JSON number is refused: it may have lost digits before anybody could see it.
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
/** Money, or a percentage of a limit. */
export const optionalDecimal = optionalUpTo(NOTIONAL_MAX)
const oneOf = <const Values extends readonly [string, ...string[]]>(values: Values) =>
  z.enum(values, { error: missingOr(`must be one of ${values.join(', ')}`) })

const ofTrade = { userId: userIdSchema, connectionId: connectionIdSchema, tradeId: tradeIdSchema }
const ofCommand = { ...ofTrade, commandId: commandIdSchema }

/**
 * A new order, as the trade API asks for it and as its job carries it. Absent values may be left
 * out or null; a field that is not known is refused, because dropping it could drop a deadline or a
 * price.
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
export type SubmitOrder = z.input<typeof submitOrderSchema>

/** Asks to cancel what is left of a trade. */
export const cancelOrderSchema = z.strictObject({
  ...ofCommand,
  by: z.enum(['user', 'system']).default('user'),
  reason: z.string().max(200).default('User requested cancellation'),
})
export type CancelOrder = z.input<typeof cancelOrderSchema>

/**
 * Asks to cancel every open order that was placed here, on one connection: all of them, or those of
 * one symbol.
 */
export const cancelAllSchema = z.strictObject({
  userId: userIdSchema,
  connectionId: connectionIdSchema,
  commandId: commandIdSchema,
  symbol: symbolSchema.nullish().transform((value) => value ?? null),
  by: z.enum(['user', 'system']).default('user'),
  reason: z.string().max(200).default('User requested cancellation of all orders'),
})
export type CancelAll = z.input<typeof cancelAllSchema>

/**
 * Asks to change an open order, or one exit of a bracket, oco or oto order; at least one of the
 * values. `quantity` is the order's total, what is filled included.
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
export type ReplaceOrder = z.input<typeof replaceOrderSchema>

/**
 * Asks to close a position, all of it unless `quantity` or `percentage` says how much. The trade id
 * names the closing order. With `positionSide` nothing but a position on that side is closed;
 * without it, whichever there is.
 */
export const closePositionSchema = z
  .strictObject({
    ...ofCommand,
    symbol: symbolSchema,
    quantity: optionalQuantity,
    percentage: optionalPercent,
    // Not filled in where it is left out: workers of the version before refuse a field that they do
    // not know.
    positionSide: oneOf(POSITION_SIDES).nullish(),
    /** The close is a limit order then. */
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
export type ClosePosition = z.input<typeof closePositionSchema>

/**
 * Asks to close every position of a connection, each by a trade of its own (see `closeAllTradeId`).
 */
export const closeAllSchema = z.strictObject({
  userId: userIdSchema,
  connectionId: connectionIdSchema,
  commandId: commandIdSchema,
})
export type CloseAllPositions = z.input<typeof closeAllSchema>

/**
 * Takes up whatever is due on a trade, from its record alone: a submission or a command whose own
 * job is gone, or has ended.
 */
export const resolveOrderSchema = z.strictObject(ofTrade)
export type ResolveOrder = z.output<typeof resolveOrderSchema>

/** One health check of a broker connection. */
export const checkConnectionSchema = z.object({
  userId: userIdSchema,
  connectionId: connectionIdSchema,
})
export type CheckConnection = z.output<typeof checkConnectionSchema>

/** Removes a broker connection; see the producer. */
export const disconnectSchema = z.strictObject({
  userId: userIdSchema,
  connectionId: connectionIdSchema,
  openOrders: oneOf(['cancel', 'leave']),
})
export type Disconnect = z.output<typeof disconnectSchema>

/** Every job: its queue and its payload. */
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
export type JobName = keyof typeof jobs

/** One thing that is wrong with a payload: where, and what to do. */
export type PayloadProblem = Readonly<{ field: string; message: string }>

/**
 * What is wrong with a payload. A field that nobody knows is named itself: it may be a misspelled
 * deadline.
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
 * The same in words, one `field: what to do` a line; the same words for the producer's caller and
 * in the failed job.
 */
export const describeIssues = (error: z.ZodError): string =>
  problemsOf(error)
    .map(({ field, message }) => `${field}: ${message}`)
    .join('\n')

const digest = (text: string): string => hash('sha256', text).slice(0, 24)

/** The job of a trade: the same trade is the same job. */
export const submitJobId = (userId: string, tradeId: string): string =>
  `submit-${digest(userId)}-${tradeId}`
/** The commands of one trade, and what the ids of their jobs begin with. */
const COMMANDS = { cancelOrder: 'cancel', replaceOrder: 'replace', closePosition: 'close' } as const
export type CommandName = keyof typeof COMMANDS
/**
 * The job of a command: a repeated command is one job, a second command another, also where only
 * its kind is another.
 */
export const commandJobId = (
  name: CommandName,
  userId: string,
  tradeId: string,
  commandId: string,
): string => `${COMMANDS[name]}-${digest(`${userId}\n${tradeId}`)}-${commandId}`
/** The job of a cancel of all orders. */
export const cancelAllJobId = (userId: string, connectionId: string, commandId: string): string =>
  `cancel-all-${digest(`${userId}\n${connectionId}`)}-${commandId}`
/** The job of a close of all positions. */
export const closeAllJobId = (userId: string, connectionId: string, commandId: string): string =>
  `close-all-${digest(`${userId}\n${connectionId}`)}-${commandId}`
/**
 * The trade by which a close of all positions closes one of them: a function of the command and the
 * symbol, so that it is placed once.
 */
export const closeAllTradeId = (connectionId: string, commandId: string, symbol: string): string =>
  `close-${digest(`${connectionId}\n${commandId}\n${symbol}`)}`
/**
 * One at a time for a trade; it leaves the queue when it is done, so that it can be asked for
 * again.
 */
export const resolveJobId = (userId: string, tradeId: string): string =>
  `resolve-${digest(userId)}-${tradeId}`
/** @param revision of the connection's record that asks for it: asking again is another job */
export const disconnectJobId = (userId: string, connectionId: string, revision: string): string =>
  `disconnect-${digest(userId)}-${connectionId}-${revision}`
export const checkJobId = (userId: string, connectionId: string): string =>
  `check-${digest(userId)}-${connectionId}`
/**
 * The trade that closes what the exits of a trade executed beyond its entry. A function of that
 * trade alone, so that it is placed at most once: `flatten-<tradeId>`, or `flatten-<digest>` where
 * that would be too long for a trade id.
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
 * Identity of what an intent asks for, independent of how it was written; another hash under the
 * same `tradeId` is a conflict.
 */
export const parametersHash = (intent: OrderIntent): string => contentHash(intent)

/**
 * Identity of what a close asks for, under the trade id of its order. A close that names neither
 * side nor price has the hash that it had before these could be named.
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

/** Identity of what a payload says, independent of how it was written. */
export function contentHash(payload: object): string {
  const text = JSON.stringify(payload, (_key, value: unknown) =>
    isRecord(value) ? inKeyOrder(value) : value,
  )
  return hash('sha256', text).slice(0, 32)
}

/** Payload of a job that cancels the rest of a trade. */
export type CancelCommand = z.output<typeof cancelOrderSchema>

/** Payload of a job that closes a position, or part of it. */
export type CloseCommand = z.output<typeof closePositionSchema>
