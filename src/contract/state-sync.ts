import {
  type Account,
  add,
  averageEntryPrice,
  type Decimal,
  headOf,
  isTerminal,
  marketValue,
  type Order,
  type Position,
  sum,
  unrealizedPnL,
} from '#domain'
import type { ServerEventPayload, SyncType } from './events.ts'
import { figure, figureIfAny, inCents, money } from './figures.ts'
import type { PENDING_STATUSES } from './payloads.ts'

type StateSync = ServerEventPayload<'state.sync'>

/** The state of a user at one position in the event log. */
type Snapshot = Readonly<{
  lastEventId: string
  orders: readonly Order[]
  positions: readonly Position[]
  accounts: readonly Account[]
  /** Orders that wait to be sent and have no record yet. */
  parked?: readonly Waiting[]
}>

type Waiting = Readonly<{ tradeId: string; connectionId: string }> &
  Pick<
    Order,
    'symbol' | 'side' | 'orderType' | 'quantity' | 'notional' | 'limitPrice' | 'stopPrice'
  >

/**
 * The largest number of positions, and of pending trades, in one `state.sync`: about a megabyte of
 * each.
 */
const ROWS_MAX = 2_500

/**
 * The `state.sync` of a snapshot. Parts that were not requested are absent; if `types` is
 * undefined, all parts are present. `truncated`: the snapshot has more positions or trades than
 * fit.
 */
export function stateSyncOf(
  snapshot: Snapshot,
  types: readonly SyncType[] | undefined,
  timestamp: string,
): StateSync {
  const wants = (type: SyncType): boolean => types === undefined || types.includes(type)
  const pending = [
    ...snapshot.orders.filter(isPending).map(pendingTradeOf),
    ...(snapshot.parked ?? []).map(waitingTradeOf),
  ]
  return {
    ...(wants('portfolio') ? { portfolio: portfolioOf(snapshot) } : {}),
    ...(wants('positions')
      ? { positions: snapshot.positions.slice(0, ROWS_MAX).map(positionOf) }
      : {}),
    ...(wants('trades') ? { pendingTrades: pending.slice(0, ROWS_MAX) } : {}),
    ...(Math.max(pending.length, snapshot.positions.length) > ROWS_MAX ? { truncated: true } : {}),
    lastEventId: snapshot.lastEventId,
    timestamp,
  }
}

function portfolioOf({ accounts, positions }: Snapshot): NonNullable<StateSync['portfolio']> {
  const parts = accounts.map(({ connectionId, cash }) => {
    const value = sum(
      positions.filter((p) => p.connectionId === connectionId).map((p) => marketValue(p)),
    )
    return { brokerConnectionId: connectionId, cash, value }
  })
  const cash = sum(parts.map((part) => part.cash))
  const value = sum(parts.map((part) => part.value))
  return {
    ...totals(cash, value),
    accounts: parts.map((part) => ({
      brokerConnectionId: part.brokerConnectionId,
      ...totals(part.cash, part.value),
    })),
  }
}

/** The total is the sum of the two rounded figures beside it. */
const totals = (cash: Decimal, value: Decimal) => ({
  totalValue: money(add(inCents(cash), inCents(value))),
  cashBalance: money(cash),
  positionsValue: money(value),
})

const positionOf = (position: Position) => ({
  id: position.id,
  brokerConnectionId: position.connectionId,
  symbol: position.symbol,
  quantity: figure(position.quantity),
  averageEntryPrice: figure(averageEntryPrice(position)),
  currentPrice: figure(position.mark),
  unrealizedPnL: money(unrealizedPnL(position)),
  stopLossPrice: figureIfAny(position.stopLossPrice),
  openedAt: new Date(position.openedAt).toISOString(),
})

const isPending = (order: Order): boolean =>
  order.origin === 'fillcast' && !isTerminal(order.status)

function statusOf(order: Order): (typeof PENDING_STATUSES)[number] {
  const working = headOf(order, 'entry')?.working?.status
  if (order.cancel !== null) return 'cancelling'
  if (order.status === 'submitting') return 'submitting'
  if (working === 'held') return 'held'
  if (working === 'pending_replace' || order.replaces.length > 0) return 'replacing'
  return order.status === 'partially_filled' ? 'partially_filled' : 'submitted'
}

const waitingTradeOf = (order: Waiting) => ({
  id: order.tradeId,
  ...termsOf(order),
  filledQuantity: 0,
  status: 'submitting' as const,
})

const pendingTradeOf = (order: Order) => ({
  id: order.id,
  ...termsOf(order),
  filledQuantity: figure(order.cumulativeQuantity),
  status: statusOf(order),
})

const termsOf = (order: Omit<Waiting, 'tradeId'>) => ({
  brokerConnectionId: order.connectionId,
  symbol: order.symbol,
  side: order.side,
  quantity: figureIfAny(order.quantity),
  ...(order.notional === null ? {} : { notional: figure(order.notional) }),
  orderType: order.orderType,
  limitPrice: figureIfAny(order.limitPrice),
  ...(order.stopPrice === null ? {} : { stopPrice: figure(order.stopPrice) }),
})
