// The state of the page, and the change that each event of the contract makes. No DOM and no
// socket, so tests can run it alone.

const ORDERS_MAX = 100
const LOG_MAX = 300
const POINTS_MAX = 60
const OPEN = new Set([
  'sent',
  'submitting',
  'submitted',
  'partially_filled',
  'cancelling',
  'replacing',
  'held',
])

export const emptyState = () => ({
  cash: null,
  positions: new Map(),
  orders: new Map(),
  quotes: new Map(),
  log: [],
  broker: null,
})

export const isOpen = (order) => OPEN.has(order.status)

/** Quotes and price-only updates: they are frequent, and only the newest matters. */
export const isMarket = (event, payload) =>
  event === 'market.quote' ||
  (event === 'portfolio.positionUpdated' &&
    Object.keys(payload.updates).every(
      (name) => name === 'currentPrice' || name === 'unrealizedPnL',
    ))

export function totals({ cash, positions }) {
  let invested = 0
  let unrealized = 0
  for (const { quantity, currentPrice, unrealizedPnL } of positions.values()) {
    invested += quantity * currentPrice
    unrealized += unrealizedPnL
  }
  return { cash, invested, unrealized, total: cash === null ? null : cash + invested }
}

/**
 * Adds an order that the trade API accepted. If its events arrived earlier, only fields missing
 * from them are added.
 */
export function placed(state, tradeId, order) {
  const known = state.orders.get(tradeId)
  if (known === undefined) setOrder(state, tradeId, { ...order, status: 'sent' })
  else known.limitPrice ??= order.limitPrice
}

/** Newest first, bounded; open orders are never dropped. */
function setOrder(state, id, changes) {
  const known = state.orders.get(id)
  if (known === undefined)
    state.orders = new Map([[id, { id, filled: 0, ...changes }], ...state.orders])
  else Object.assign(known, changes)
  for (const old of [...state.orders.values()].slice(ORDERS_MAX))
    if (!isOpen(old)) state.orders.delete(old.id)
}

const handlers = {
  'portfolio.balanceChanged': (state, { newBalance }) => (state.cash = newBalance),
  'portfolio.positionAdded': (state, { position }) =>
    state.positions.set(position.id, { ...position }),
  'portfolio.positionUpdated'(state, { positionId, updates }) {
    const position = state.positions.get(positionId)
    if (position !== undefined) Object.assign(position, updates)
  },
  'portfolio.positionClosed': (state, { positionId }) => state.positions.delete(positionId),

  'trade.submitted': (
    state,
    { tradeId, symbol, side, quantity, notional, orderType, limitPrice },
  ) =>
    setOrder(state, tradeId, {
      symbol,
      side,
      quantity,
      notional,
      orderType,
      ...(limitPrice === undefined ? {} : { limitPrice }),
      status: 'submitted',
    }),
  'trade.partialFill': (
    state,
    { tradeId, symbol, requestedQuantity, filledQuantity, averageFillPrice },
  ) =>
    setOrder(state, tradeId, {
      symbol,
      quantity: requestedQuantity,
      filled: filledQuantity,
      price: averageFillPrice,
      status: 'partially_filled',
    }),
  'trade.filled': (state, { tradeId, symbol, side, quantity, fillPrice }) =>
    setOrder(state, tradeId, {
      symbol,
      side,
      quantity,
      filled: quantity,
      price: fillPrice,
      status: 'filled',
    }),
  'trade.rejected': (state, { tradeId, symbol, side, quantity, message }) =>
    setOrder(state, tradeId, { symbol, side, quantity, status: 'rejected', why: message }),
  'trade.cancelled': (state, { tradeId, symbol, quantity, filledQuantity, reason }) =>
    setOrder(state, tradeId, {
      symbol,
      quantity,
      ...(filledQuantity === undefined ? {} : { filled: filledQuantity }),
      status: 'cancelled',
      why: reason,
    }),
  'trade.replaced': (state, { tradeId, quantity, limitPrice }) =>
    setOrder(state, tradeId, { quantity, limitPrice, status: 'submitted' }),
  'trade.corrected': (state, { tradeId, filledQuantity, averageFillPrice }) =>
    setOrder(state, tradeId, { filled: filledQuantity, price: averageFillPrice }),

  'market.quote'(state, quote) {
    const points = state.quotes.get(quote.symbol)?.points ?? []
    state.quotes.set(quote.symbol, {
      ...quote,
      points: [...points, quote.last].filter(Number.isFinite).slice(-POINTS_MAX),
    })
    // Our own mark price until the relay's next update, so the figures move with the quotes beside
    // them.
    if (!Number.isFinite(quote.last)) return
    for (const position of state.positions.values()) {
      if (position.symbol !== quote.symbol) continue
      position.currentPrice = quote.last
      position.unrealizedPnL = (quote.last - position.averageEntryPrice) * position.quantity
    }
  },

  // A full snapshot: positions and pending orders that are not in it are gone.
  'state.sync'(state, { portfolio, positions, pendingTrades }) {
    if (portfolio !== undefined) state.cash = portfolio.cashBalance
    if (positions !== undefined)
      state.positions = new Map(positions.map((position) => [position.id, { ...position }]))
    if (pendingTrades === undefined) return
    const pending = new Set(pendingTrades.map(({ id }) => id))
    for (const order of state.orders.values()) {
      // `sent` may not have reached a worker yet.
      if (isOpen(order) && order.status !== 'sent' && !pending.has(order.id)) order.status = 'ended'
    }
    for (const {
      id,
      symbol,
      side,
      quantity,
      notional,
      orderType,
      limitPrice,
      status,
    } of pendingTrades) {
      setOrder(state, id, {
        symbol,
        ...(side === undefined ? {} : { side }),
        quantity,
        notional,
        orderType,
        limitPrice,
        status,
      })
    }
  },

  'error.brokerDisconnected': (state, { reason, action }) =>
    (state.broker = `Broker disconnected: ${reason}. ${action}.`),
  'broker.connected': (state) => (state.broker = null),
}

/** Applies one event. @param {number} [atMs] arrival time */
export function receive(state, event, payload, atMs = Date.now()) {
  handlers[event]?.(state, payload)
  state.log = [{ event, payload, atMs, isMarket: isMarket(event, payload) }, ...state.log].slice(
    0,
    LOG_MAX,
  )
}
