import type { PENDING_STATUSES } from '#contract'
import { type ServerEventPayload, type SyncType } from '#contract'
import {
  add,
  averageEntryPrice,
  type Decimal,
  headOf,
  isTerminal,
  marketValue,
  type Order,
  type Position,
  sum,
  toNumber,
  unrealizedPnL,
} from '#domain'
import type { UserSnapshot } from '#store'

export type StateSync = ServerEventPayload<'state.sync'>

/** What a client is shown of a snapshot. Pure. Parts that were not asked for are absent; `types` undefined: all. */
export function stateSyncOf(
  snapshot: UserSnapshot,
  types: readonly SyncType[] | undefined,
  timestamp: string,
): StateSync {
  const wants = (type: SyncType): boolean => types === undefined || types.includes(type)
  return {
    ...(wants('portfolio') ? { portfolio: portfolioOf(snapshot) } : {}),
    ...(wants('positions') ? { positions: snapshot.positions.map(positionOf) } : {}),
    ...(wants('trades') ? { pendingTrades: snapshot.orders.filter(isPending).map(pendingTradeOf) } : {}),
    lastEventId: snapshot.lastEventId,
    timestamp,
  }
}

function portfolioOf({ accounts, positions }: UserSnapshot): NonNullable<StateSync['portfolio']> {
  const parts = accounts.map(({ connectionId, cash }) => {
    const value = sum(positions.filter((p) => p.connectionId === connectionId).map((p) => marketValue(p)))
    return { brokerConnectionId: connectionId, cash, value }
  })
  const cash = sum(parts.map((part) => part.cash))
  const value = sum(parts.map((part) => part.value))
  return {
    ...totals(cash, value),
    accounts: parts.map((part) => ({ brokerConnectionId: part.brokerConnectionId, ...totals(part.cash, part.value) })),
  }
}

const totals = (cash: Decimal, value: Decimal) => ({
  totalValue: toNumber(add(cash, value)),
  cashBalance: toNumber(cash),
  positionsValue: toNumber(value),
})

const positionOf = (position: Position) => ({
  id: position.id,
  brokerConnectionId: position.connectionId,
  symbol: position.symbol,
  quantity: toNumber(position.quantity),
  averageEntryPrice: toNumber(averageEntryPrice(position)),
  currentPrice: toNumber(position.mark),
  unrealizedPnL: toNumber(unrealizedPnL(position)),
  stopLossPrice: position.stopLossPrice === null ? null : toNumber(position.stopLossPrice),
  openedAt: new Date(position.openedAt).toISOString(),
})

const isPending = (order: Order): boolean => order.origin === 'fillcast' && !isTerminal(order.status)

function statusOf(order: Order): (typeof PENDING_STATUSES)[number] {
  const working = headOf(order, 'entry')?.working?.status
  if (order.cancel !== null) return 'cancelling'
  if (order.status === 'submitting') return 'submitting'
  if (working === 'held') return 'held'
  if (working === 'pending_replace' || order.replaces.length > 0) return 'replacing'
  return order.status === 'partially_filled' ? 'partially_filled' : 'submitted'
}

const optional = (value: Decimal | null): number | null => (value === null ? null : toNumber(value))

const pendingTradeOf = (order: Order) => ({
  id: order.id,
  brokerConnectionId: order.connectionId,
  symbol: order.symbol,
  side: order.side,
  quantity: optional(order.quantity),
  ...(order.notional === null ? {} : { notional: toNumber(order.notional) }),
  filledQuantity: toNumber(order.cumulativeQuantity),
  orderType: order.orderType,
  limitPrice: optional(order.limitPrice),
  status: statusOf(order),
})
