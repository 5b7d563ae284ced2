import { type CloseCommand, closeHash } from '#contract'
import {
  abs,
  cmp,
  type Decimal,
  DECIMAL_PLACES_MAX,
  isZero,
  min,
  mul,
  type Order,
  type OrderIntent,
  type PositionSide,
  positionSideOf,
  type Side,
  truncate,
  ZERO,
} from '#domain'
import { isoTime } from '#runtime'
import type { LoadedSlice } from '#store'
import { type Broker, type BrokerPosition, ConnectionUnusableError } from '../broker/index.ts'
import { again, type JobResult, type Run } from '../queue/index.ts'
import { denyOrder } from './claim-submission.ts'
import { isGone, loadTrade, type OrderDeps, type Submission } from './deps.ts'
import { isBeingFreed } from './freed.ts'
import { waitForRecovery } from './recovering.ts'
import { assertSame } from './refusal.ts'
import { resumeSubmission, type Size } from './resolve.ts'
import { nothingToClose, promised } from './sizing.ts'
import { denyGone, findUntilAbsent, handleExisting, submitNew } from './submit.ts'

/**
 * A close waits this long until the position at the broker is booked: longer than a fill without a
 * stream report takes to be booked (P7).
 */
export const BOOKED_MS_MAX = 30_000
const LOOK_MS = 500

/**
 * Closes a position, or part of it, with a trade of its own: a market order on the other side (a
 * limit order, where a price is named).
 * - Size: at most the quantity that the broker shows as available at that moment, and at most the
 *   quantity that none of our other orders closes already. So a close never opens the other side
 *   (POS-07).
 * - While the account is being read anew, the close waits (FIL-06).
 * - If the command names the side that it closes, a position on the other side is left alone.
 * - The trade id is the command's, so that a redelivery finds the trade. The broker's own way of
 *   closing has no client order id, and is not used.
 *
 * @throws {TradeConflictError}
 * @throws {BrokerError}
 */
export async function closePosition(
  deps: OrderDeps,
  command: CloseCommand,
  run: Run,
): Promise<JobResult> {
  await deps.boundaries.reached('close.dequeued')
  const loaded = await loadTrade(deps, command)
  const { order } = loaded.slice
  return order === null
    ? beginClose(deps, command, loaded, run)
    : continueClose(deps, command, order, run)
}

/** Sizes and submits a close whose trade has no record yet. */
async function beginClose(
  deps: OrderDeps,
  command: CloseCommand,
  loaded: LoadedSlice,
  run: Run,
): Promise<JobResult> {
  const waits = await waitForRecovery(deps, command, run)
  if (waits !== null) return waits
  let broker: Broker
  try {
    broker = await deps.brokers.get(command)
  } catch (error) {
    if (!(error instanceof ConnectionUnusableError) || !(await isGone(deps, command))) throw error
    const side = closingSide(command.positionSide ?? 'long')
    const submission = submissionOf(command, side, command.quantity, run)
    return denyGone(deps, submission, error.message, run)
  }
  const isFreed = await isBeingFreed(deps, command, run)
  const brokerPosition = await broker.readPosition(command.symbol)
  if (isFreed && isPromised(command, brokerPosition)) return again(LOOK_MS, BEING_FREED)
  if (isBehind(loaded, brokerPosition) && deps.clock.now() - run.queuedAtMs < BOOKED_MS_MAX)
    return again(LOOK_MS, 'the broker holds more than was booked yet')
  await deps.boundaries.reached('close.sized')
  const closed =
    command.positionSide ?? (brokerPosition === null ? 'long' : positionSideOf(brokerPosition))
  const sized = sizeOf(command, closed, brokerPosition)
  const quantity = 'quantity' in sized ? sized.quantity : command.quantity
  const submission = submissionOf(command, closingSide(closed), quantity, run)
  if ('quantity' in sized) return submitNew(deps, submission, loaded, run)
  // This trade may have closed the position before the store lost its record (RDQ-04).
  const notAbsent = deps.mayHaveLostWrites()
    ? await findUntilAbsent(deps, submission, broker, run)
    : null
  return notAbsent ?? denyOrder(deps, submission, sized)
}

/** Continues a close whose trade has a record, from an earlier run or another delivery. */
async function continueClose(
  deps: OrderDeps,
  command: CloseCommand,
  order: Order,
  run: Run,
): Promise<JobResult> {
  const submission = submissionOf(command, order.side, null, run)
  if (order.status !== 'submitting') return handleExisting(deps, submission, order, run)
  assertSame(order, submission.hash)
  const waits = order.attemptedAt === null ? await waitForRecovery(deps, command, run) : null
  if (waits !== null) return waits
  const isFreed = order.attemptedAt === null && (await isBeingFreed(deps, command, run))
  if (
    isFreed &&
    isPromised(command, await (await deps.brokers.get(command)).readPosition(command.symbol))
  )
    return again(LOOK_MS, BEING_FREED)
  // If no request was sent, or the broker refused the request for its quantity, the position may
  // be smaller by now, or another position.
  const closed = order.side === 'buy' ? 'short' : 'long'
  return resumeSubmission(deps, order, run, async (broker) =>
    sizeOf(command, closed, await broker.readPosition(command.symbol)),
  )
}

const submissionOf = (
  command: CloseCommand,
  side: Side,
  quantity: Decimal | null,
  run: Run,
): Submission => ({
  intent: intentOf(command, side, quantity),
  hash: closeHash(command),
  isClose: true,
  askedAt: isoTime(run.queuedAtMs),
  closeCommandId: command.commandId,
})

const BEING_FREED = 'an order that reserves part of the position is being canceled'

/** True if the broker shows less as available than the command closes. */
function isPromised(
  { quantity, percentage }: CloseCommand,
  brokerPosition: BrokerPosition | null,
): boolean {
  if (brokerPosition === null) return false
  const held = abs(brokerPosition.quantity)
  const part =
    percentage === null ? (quantity ?? held) : mul(mul(held, percentage), '0.01' as Decimal)
  return cmp(abs(brokerPosition.available), min(part, held)) < 0
}

/**
 * True if the broker holds more than is booked: an execution is on its way to us. A part that is
 * not booked is not closed, because it is not known how much of it is closed already.
 */
const isBehind = (
  { slice: { position } }: LoadedSlice,
  brokerPosition: BrokerPosition | null,
): boolean =>
  brokerPosition !== null && cmp(abs(brokerPosition.quantity), abs(position?.quantity ?? ZERO)) > 0

const closingSide = (closed: PositionSide): Side => (closed === 'short' ? 'buy' : 'sell')

/**
 * The quantity is at most the available one, and none of a position on the other side; a part of
 * whole shares is a number of whole shares.
 */
function sizeOf(
  { symbol, quantity, percentage }: CloseCommand,
  closed: PositionSide,
  brokerPosition: BrokerPosition | null,
): Awaited<ReturnType<Size>> {
  if (brokerPosition === null) return nothingToClose(`There is no position in ${symbol}`)
  const held = positionSideOf(brokerPosition)
  if (held !== closed)
    return nothingToClose(
      `The position in ${symbol} is ${held}, and a ${closed} one was to be closed`,
    )
  const available = abs(brokerPosition.available)
  if (isZero(available)) return nothingToClose(promised(symbol))
  if (percentage === null)
    return { quantity: quantity === null ? available : min(quantity, available) }
  const isWhole = !symbol.includes('/') && !brokerPosition.quantity.includes('.')
  const part = truncate(
    mul(mul(abs(brokerPosition.quantity), percentage), '0.01' as Decimal),
    isWhole ? 0 : DECIMAL_PLACES_MAX,
  )
  if (isZero(part))
    return nothingToClose(`That part of the position in ${symbol} comes to less than one share`)
  return { quantity: min(part, available) }
}

const intentOf = (command: CloseCommand, side: Side, quantity: Decimal | null): OrderIntent => {
  const { userId, connectionId, tradeId, symbol, limitPrice = null } = command
  return {
    userId,
    connectionId,
    tradeId,
    symbol,
    side,
    quantity,
    orderType: limitPrice === null ? 'market' : 'limit',
    timeInForce: symbol.includes('/') ? 'gtc' : 'day',
    orderClass: 'simple',
    notional: null,
    limitPrice,
    stopPrice: null,
    trailPrice: null,
    trailPercent: null,
    extendedHours: command.extendedHours === true,
    takeProfit: null,
    stopLoss: null,
    notAfter: null,
  }
}
