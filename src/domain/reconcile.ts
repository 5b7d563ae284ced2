import type { Account, CashCause, Doubt } from './account.ts'
import { abs, type Decimal, isNegative, isZero, mul, ZERO } from './decimal.ts'
import type { Order } from './order.ts'
import { applyFill, openPosition, type Position } from './position.ts'
import { type Landing, reduce } from './reduce.ts'
import type { BrokerOrder, Change, OrderUpdate, Slice } from './updates.ts'

/** A position as the broker shows it, in our words. */
export type BrokerPosition = Readonly<{
  symbol: string
  quantity: Decimal
  averageEntryPrice: Decimal
  currentPrice: Decimal | null
}>

/** A complete, successful reading of a broker account. Absence means absence only in such a reading (POS-02). */
export type BrokerSnapshot = Readonly<{
  brokerAccountId: string
  currency: string
  cash: Decimal
  positions: readonly BrokerPosition[]
}>

/** How long a difference must stand, with nothing executed meanwhile, before the broker's figure is believed. Orders and positions
 *  endpoints have been seen to disagree for about 10 s (execution-failures.md, broker facts). */
export const SETTLE_MS = 15_000

/** The portfolio of one connection. */
export type Portfolio = Readonly<{ account: Account; positions: ReadonlyMap<string, Position> }>

export type Reconciled = Readonly<{ portfolio: Portfolio; changes: readonly Change[] }>

/** The first reading of a connection: everything the broker has becomes ours, openly, as changes. */
export function adopt(connectionId: string, seen: BrokerSnapshot, readAt: string): Reconciled {
  const account: Account = {
    schema: 2,
    connectionId,
    brokerAccountId: seen.brokerAccountId,
    currency: seen.currency,
    cash: seen.cash,
    executionsReadTo: readAt,
    ...{ activitiesReadTo: readAt, activityIds: [] },
    lastBookedAtMs: 0,
    ...{ today: null, costsAdoptedOn: null },
    doubts: {},
  }
  const positions = seen.positions.filter((p) => !isZero(p.quantity)).map((p) => positionFrom(connectionId, p, readAt))
  return {
    portfolio: { account, positions: new Map(positions.map((p) => [p.symbol, p])) },
    changes: [
      ...positions.map((position): Change => ({ type: 'position.opened', position, at: readAt })),
      { type: 'cash.changed', account, previousCash: ZERO, cause: 'external', at: readAt },
    ],
  }
}

/** An order found at the first reading: what it has executed so far is in the adopted position already. */
export function adoptOrder(seen: BrokerOrder, landing: Landing): Order {
  const nothing: Slice = { order: null, position: null, account: null }
  const view: OrderUpdate = { type: 'broker_order', order: seen, execution: null, at: seen.updatedAt }
  const executed = [seen, ...seen.legs].filter(({ filledQuantity }) => !isZero(filledQuantity)).map(wholeExecution)
  const { order } = [view, ...executed].reduce(
    (slice, update) => reduce({ ...nothing, order: slice.order }, update, landing, 0).slice,
    nothing,
  )
  if (order === null) throw new RangeError(`order ${seen.brokerOrderId} could not be adopted`)
  return order
}

/** Everything that an order has executed, as if in one execution. */
const wholeExecution = (seen: BrokerOrder): OrderUpdate => ({
  type: 'execution',
  brokerOrderId: seen.brokerOrderId,
  execution: {
    ...{ executionId: null, quantity: seen.filledQuantity, cumulativeQuantity: seen.filledQuantity },
    ...{ price: seen.filledAveragePrice ?? ZERO, at: seen.updatedAt },
  },
})

/** The record id of an order that was placed elsewhere; the dot keeps it apart from every `tradeId`. */
export const externalOrderId = (brokerOrderId: string): string => `ext.${brokerOrderId}`

/**
 * Compares our portfolio with the broker's. A difference counts only when two complete readings at least `SETTLE_MS` apart show
 * the same figure and nothing was booked in between (POS-01, D21); until then it is a doubt, kept in the account record.
 *
 * @param nowMs when the reading began, our wall time
 */
export function reconcile(ours: Portfolio, seen: BrokerSnapshot, nowMs: number, readAt: string): Reconciled {
  const doubts: Record<string, Doubt> = {}
  const changes: Change[] = []
  const positions = new Map(ours.positions)
  const isSure = (key: string, value: string): boolean => {
    const before = ours.account.doubts[key]
    const sinceMs = before?.value === value ? before.sinceMs : nowMs
    if (before?.value === value && nowMs - sinceMs >= SETTLE_MS && ours.account.lastBookedAtMs < sinceMs) return true
    doubts[key] = { value, sinceMs }
    return false
  }
  for (const symbol of new Set([...ours.positions.keys(), ...seen.positions.map((p) => p.symbol)])) {
    const mine = ours.positions.get(symbol) ?? null
    const theirs = seen.positions.find((p) => p.symbol === symbol && !isZero(p.quantity)) ?? null
    if ((mine?.quantity ?? '0') === (theirs?.quantity ?? '0')) continue
    if (!isSure(`position ${symbol}`, theirs?.quantity ?? '0')) continue
    const settled = settlePosition(ours.account.connectionId, mine, theirs, readAt)
    if (settled.position === null) positions.delete(symbol)
    else positions.set(symbol, settled.position)
    changes.push(...settled.changes)
  }
  let account: Account = ours.account
  if (account.cash !== seen.cash && isSure('cash', seen.cash)) {
    account = { ...account, cash: seen.cash }
    changes.push(cashChange(account, ours.account.cash, 'external', readAt))
  }
  return { portfolio: { account: { ...account, doubts }, positions }, changes }
}

const cashChange = (account: Account, previousCash: Decimal, cause: CashCause, at: string): Change => ({
  type: 'cash.changed',
  account,
  previousCash,
  cause,
  at,
})

const positionFrom = (connectionId: string, seen: BrokerPosition, at: string): Position =>
  openPosition(
    { connectionId, symbol: seen.symbol, key: `adopted ${seen.quantity} ${at}`, at },
    seen.quantity,
    mul(abs(seen.quantity), seen.averageEntryPrice),
    seen.currentPrice ?? seen.averageEntryPrice,
  )

function settlePosition(
  connectionId: string,
  mine: Position | null,
  theirs: BrokerPosition | null,
  at: string,
): { position: Position | null; changes: readonly Change[] } {
  const opened = theirs === null ? null : positionFrom(connectionId, theirs, at)
  if (mine !== null && opened !== null && isNegative(mine.quantity) === isNegative(opened.quantity)) {
    const { quantity, cost } = opened
    const position = { ...mine, quantity, cost }
    return { position, changes: [{ type: 'position.changed', position, at }] }
  }
  const changes: Change[] = []
  if (mine !== null) changes.push({ type: 'position.closed', position: closeAtMark(mine, at), at })
  if (opened !== null) changes.push({ type: 'position.opened', position: opened, at })
  return { position: opened, changes }
}

/** A position that went away without an execution that we could read: closed at its last mark, the best price known. */
function closeAtMark(mine: Position, at: string): Position {
  const side = isNegative(mine.quantity) ? 'buy' : 'sell'
  const { connectionId, symbol, mark } = mine
  const fill = { connectionId, symbol, side, quantity: abs(mine.quantity), price: mark, at, key: 'reconciled' } as const
  const [closed] = applyFill(mine, fill).changes
  if (closed?.type !== 'closed') throw new RangeError(`position ${mine.id} did not close`)
  return closed.position
}
