import { figure, figureIfAny, inCents, type LoggedEvent, money, rejectionReasonOf } from '#contract'
import {
  abs,
  add,
  averageClosedCost,
  averageEntryPrice,
  averageExitPrice,
  type CashCause,
  type Change,
  type Decimal,
  div,
  holdingSeconds,
  isZero,
  type Order,
  type Position,
  sub,
  unrealizedPnL,
  ZERO,
} from '#domain'

/**
 * The events that clients are sent for changes, in the order of the changes. Pure. Orders placed
 * elsewhere change the portfolio and make no `trade.*` events.
 * @param timestamp our time, ISO, in every event
 * @param cashElsewhere the cash of the user's other accounts, at the version that the changes were
 *   made from; `null`: there is no other account
 */
export function project(
  userId: string,
  changes: readonly Change[],
  timestamp: string,
  cashElsewhere: Decimal | null,
): LoggedEvent[] {
  return changes.flatMap((change) => eventsOf({ userId, timestamp, cashElsewhere }, change))
}

type Stamp = Readonly<{ userId: string; timestamp: string; cashElsewhere: Decimal | null }>

function eventsOf(stamp: Stamp, change: Change): LoggedEvent[] {
  switch (change.type) {
    case 'order.submitted':
      return isOurs(change.order) ? [submitted(stamp, change.order)] : []
    case 'order.executed':
      return isOurs(change.order) ? [executed(stamp, change)] : []
    case 'order.corrected':
      return isOurs(change.order) ? [corrected(stamp, change)] : []
    case 'order.replaced':
      return isOurs(change.order) ? [replaced(stamp, change)] : []
    case 'order.ended':
      return isOurs(change.order) ? ended(stamp, change.order, change.at) : []
    case 'position.opened':
      return [opened(stamp, change.position)]
    case 'position.changed':
      return [positionUpdated(stamp, change.position)]
    case 'position.closed':
      return [closed(stamp, change.position, change.at)]
    case 'cash.changed':
      return [balanceChanged(stamp, change)]
    case 'leg.executed': // an exit moves the portfolio; the event of its trade's end was sent before
    case 'anomaly':
      return []
  }
}

const isOurs = (order: Order): boolean => order.origin === 'fillcast'

/** Broker times carry nanoseconds; the contract's examples carry milliseconds. */
const ms = (time: string): string => new Date(time).toISOString()

const about = ({ userId }: Stamp, order: Order) => ({
  userId,
  tradeId: order.id,
  brokerConnectionId: order.connectionId,
  symbol: order.symbol,
})

const submitted = (stamp: Stamp, order: Order): LoggedEvent => ({
  event: 'trade.submitted',
  payload: {
    ...about(stamp, order),
    quantity: figureIfAny(order.quantity),
    ...(order.notional === null ? {} : { notional: figure(order.notional) }),
    ...(order.limitPrice === null ? {} : { limitPrice: figure(order.limitPrice) }),
    ...(order.stopPrice === null ? {} : { stopPrice: figure(order.stopPrice) }),
    orderType: order.orderType,
    side: order.side,
    brokerOrderId: order.placements.find((one) => one.brokerOrderId !== null)?.brokerOrderId ?? '',
    status: 'submitted',
    submittedAt: ms(order.submittedAt ?? stamp.timestamp),
    timestamp: stamp.timestamp,
  },
})

const averageFillPrice = (order: Order): Decimal =>
  isZero(order.cumulativeQuantity) ? ZERO : div(order.totalCost, order.cumulativeQuantity)

function executed(
  stamp: Stamp,
  { order, execution, completed }: Extract<Change, { type: 'order.executed' }>,
): LoggedEvent {
  if (completed) return filled(stamp, order, execution.at)
  return {
    event: 'trade.partialFill',
    payload: {
      ...about(stamp, order),
      requestedQuantity: figureIfAny(order.quantity),
      filledQuantity: figure(order.cumulativeQuantity),
      remainingQuantity:
        order.quantity === null ? null : figure(sub(order.quantity, order.cumulativeQuantity)),
      averageFillPrice: figure(averageFillPrice(order)),
      partialFillAt: ms(execution.at),
      timestamp: stamp.timestamp,
    },
  }
}

const filled = (stamp: Stamp, order: Order, at: string): LoggedEvent => ({
  event: 'trade.filled',
  payload: {
    ...about(stamp, order),
    quantity: figure(order.cumulativeQuantity),
    fillPrice: figure(averageFillPrice(order)),
    side: order.side,
    totalCost: figure(order.totalCost),
    filledAt: ms(at),
    executionTime: Math.max(0, Date.parse(at) - Date.parse(order.submittedAt ?? at)),
    timestamp: stamp.timestamp,
  },
})

const corrected = (
  stamp: Stamp,
  { order, what, at }: Extract<Change, { type: 'order.corrected' }>,
): LoggedEvent => ({
  event: 'trade.corrected',
  payload: {
    ...about(stamp, order),
    filledQuantity: figure(order.cumulativeQuantity),
    averageFillPrice: figure(averageFillPrice(order)),
    reason: what,
    correctedAt: ms(at),
    timestamp: stamp.timestamp,
  },
})

function replaced(stamp: Stamp, change: Extract<Change, { type: 'order.replaced' }>): LoggedEvent {
  const { order, leg, brokerOrderId, at } = change
  const limitPrice =
    leg === 'takeProfit' ? (order.takeProfit?.limitPrice ?? null) : order.limitPrice
  return {
    event: 'trade.replaced',
    payload: {
      ...about(stamp, order),
      leg,
      quantity: figureIfAny(order.quantity),
      limitPrice: figureIfAny(
        leg === 'stopLoss' ? (order.stopLoss?.limitPrice ?? null) : limitPrice,
      ),
      stopPrice: figureIfAny(
        leg === 'stopLoss' ? (order.stopLoss?.stopPrice ?? null) : order.stopPrice,
      ),
      brokerOrderId,
      replacedAt: ms(at),
      timestamp: stamp.timestamp,
    },
  }
}

function ended(stamp: Stamp, order: Order, at: string): LoggedEvent[] {
  switch (order.status) {
    case 'filled':
      return [filled(stamp, order, order.lastExecutionAt ?? at)]
    case 'rejected':
    case 'denied':
      return [rejected(stamp, order, at)]
    case 'canceled':
    case 'expired':
      return [cancelled(stamp, order, at)]
    case 'replaced': // the trade lives on in the order that replaced it
    case 'submitting':
    case 'submitted':
    case 'partially_filled':
      return []
  }
}

function rejected(stamp: Stamp, order: Order, at: string): LoggedEvent {
  const code = order.rejection?.code ?? 'BROKER_REJECTED'
  return {
    event: 'trade.rejected',
    payload: {
      ...about(stamp, order),
      quantity: figureIfAny(order.quantity),
      ...(order.notional === null ? {} : { notional: figure(order.notional) }),
      side: order.side,
      reason: rejectionReasonOf(code),
      code,
      ...(order.rejection?.brokerCode == null ? {} : { brokerCode: order.rejection.brokerCode }),
      message: order.rejection?.message ?? 'The broker rejected the order after accepting it',
      rejectedAt: ms(at),
      timestamp: stamp.timestamp,
    },
  }
}

function cancelled(stamp: Stamp, order: Order, at: string): LoggedEvent {
  const byUs = order.status === 'canceled' ? order.cancel : null
  return {
    event: 'trade.cancelled',
    payload: {
      ...about(stamp, order),
      quantity: figureIfAny(order.quantity),
      filledQuantity: figure(order.cumulativeQuantity),
      cancelledBy: byUs?.by ?? 'broker',
      reason:
        byUs?.reason ??
        (order.status === 'expired' ? 'The order expired' : 'Canceled at the broker'),
      cancelledAt: ms(at),
      timestamp: stamp.timestamp,
    },
  }
}

const opened = ({ userId, timestamp }: Stamp, position: Position): LoggedEvent => ({
  event: 'portfolio.positionAdded',
  payload: {
    userId,
    brokerConnectionId: position.connectionId,
    position: {
      id: position.id,
      symbol: position.symbol,
      quantity: figure(position.quantity),
      averageEntryPrice: figure(averageEntryPrice(position)),
      currentPrice: figure(position.mark),
      unrealizedPnL: money(unrealizedPnL(position)),
      stopLossPrice: figureIfAny(position.stopLossPrice),
      openedAt: ms(position.openedAt),
    },
    timestamp,
  },
})

const positionUpdated = ({ userId, timestamp }: Stamp, position: Position): LoggedEvent => ({
  event: 'portfolio.positionUpdated',
  payload: {
    userId,
    brokerConnectionId: position.connectionId,
    positionId: position.id,
    symbol: position.symbol,
    updates: {
      quantity: figure(position.quantity),
      averageEntryPrice: figure(averageEntryPrice(position)),
      currentPrice: figure(position.mark),
      unrealizedPnL: money(unrealizedPnL(position)),
      stopLossPrice: figureIfAny(position.stopLossPrice),
    },
    timestamp,
  },
})

/** The event of a close covers the whole life of the position since its opening or flip. */
const closed = ({ userId, timestamp }: Stamp, position: Position, at: string): LoggedEvent => ({
  event: 'portfolio.positionClosed',
  payload: {
    userId,
    brokerConnectionId: position.connectionId,
    positionId: position.id,
    symbol: position.symbol,
    quantity: figure(abs(position.closedQuantity)),
    entryPrice: figure(averageClosedCost(position)),
    exitPrice: figure(averageExitPrice(position)),
    realizedPnL: money(position.realizedPnL),
    holdingPeriod: holdingSeconds(position),
    closedAt: ms(at),
    timestamp,
  },
})

const REASONS = {
  execution: 'TRADE_EXECUTED',
  deposit: 'FUNDS_DEPOSITED',
  withdrawal: 'FUNDS_WITHDRAWN',
  activity: 'EXTERNAL_SYNC',
  external: 'EXTERNAL_SYNC',
} as const satisfies Record<CashCause, string>

/**
 * Balances are the user's cash over all accounts, as in `state.sync`; with several, the account's
 * own cash is beside them.
 */
function balanceChanged(
  { userId, timestamp, cashElsewhere }: Stamp,
  { account, previousCash, cause }: Extract<Change, { type: 'cash.changed' }>,
): LoggedEvent {
  const overAll = (cash: Decimal): Decimal => inCents(add(cash, cashElsewhere ?? ZERO))
  const oldBalance = overAll(previousCash)
  const newBalance = overAll(account.cash)
  return {
    event: 'portfolio.balanceChanged',
    payload: {
      userId,
      brokerConnectionId: account.connectionId,
      oldBalance: money(oldBalance),
      newBalance: money(newBalance),
      ...(cashElsewhere === null ? {} : { connectionBalance: money(account.cash) }),
      currency: account.currency,
      change: money(sub(newBalance, oldBalance)),
      reason: REASONS[cause],
      timestamp,
    },
  }
}
