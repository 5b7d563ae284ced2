import {
  add,
  type BrokerActivity,
  type BrokerOrder,
  type BrokerSnapshot,
  type BrokerStatus,
  type Change,
  dec,
  type Decimal,
  type Execution,
  type OrderIntent,
  type OrderUpdate,
  type Reading,
  reduce,
  type Slice,
  ZERO,
} from '#domain'

/** A market buy of 100 AAPL, as a caller would ask for it. */
export const intentOf = (over: Partial<OrderIntent> = {}): OrderIntent => ({
  userId: 'u1',
  connectionId: 'broker_1',
  tradeId: 't1',
  symbol: 'AAPL',
  side: 'buy',
  orderType: 'market',
  timeInForce: 'day',
  orderClass: 'simple',
  quantity: dec('100'),
  notional: null,
  limitPrice: null,
  stopPrice: null,
  trailPrice: null,
  trailPercent: null,
  extendedHours: false,
  takeProfit: null,
  stopLoss: null,
  notAfter: null,
  ...over,
})

export const orderKey = {
  id: 't1',
  origin: 'fillcast',
  userId: 'u1',
  connectionId: 'broker_1',
} as const

/** The broker's clock in tests: second `n` of a fixed minute. */
export const at = (n: number): string => new Date(Date.UTC(2024, 2, 15, 14, 0, n)).toISOString()

export const claimed = (intent: OrderIntent = intentOf()): OrderUpdate => ({
  type: 'claimed',
  intent,
  clientOrderId: 'fc1-0000000000-0.0-t1',
  parametersHash: 'h',
  at: at(0),
})

export function brokerOrder(
  status: BrokerStatus,
  filled: string,
  second: number,
  over: Partial<BrokerOrder> = {},
): BrokerOrder {
  return {
    brokerOrderId: 'b1',
    clientOrderId: 'fc1-0000000000-0.0-t1',
    symbol: 'AAPL',
    side: 'buy',
    orderType: 'market',
    timeInForce: 'day',
    orderClass: 'simple',
    status,
    quantity: dec('100'),
    notional: null,
    filledQuantity: dec(filled),
    filledAveragePrice: null,
    limitPrice: null,
    stopPrice: null,
    submittedAt: at(1),
    updatedAt: at(second),
    replaces: null,
    replacedBy: null,
    legs: [],
    ...over,
  }
}

export const executionOf = (
  quantity: string,
  price: string,
  cumulative: string,
  second: number,
): Execution => ({
  executionId: `x${cumulative}`,
  quantity: dec(quantity),
  price: dec(price),
  cumulativeQuantity: dec(cumulative),
  at: at(second),
})

export const seen = (order: BrokerOrder, execution: Execution | null = null): OrderUpdate => ({
  type: 'broker_order',
  order,
  execution,
  at: order.updatedAt,
})

/** The reports of one order: acknowledged, executed in slices, then ended by the given status. */
export function history(
  slices: readonly (readonly [string, string])[],
  ending: BrokerStatus | null,
): OrderUpdate[] {
  let filled: Decimal = ZERO
  const total = slices.reduce((sum, [quantity]) => add(sum, dec(quantity)), ZERO)
  const quantity = ending === 'filled' ? total : add(total, dec('1'))
  const updates = [seen(brokerOrder('new', '0', 1, { quantity }))]
  slices.forEach(([slice, price], index) => {
    filled = add(filled, dec(slice))
    const isLast = ending === 'filled' && index === slices.length - 1
    const view = brokerOrder(isLast ? 'filled' : 'partially_filled', filled, index + 2, {
      quantity,
    })
    updates.push(seen(view, executionOf(slice, price, filled, index + 2)))
  })
  if (ending !== null && ending !== 'filled')
    updates.push(seen(brokerOrder(ending, filled, 50, { quantity })))
  return updates
}

/** The claim behind a history: the intent that asked for its quantity. */
export function claimOf([first]: readonly OrderUpdate[]): OrderUpdate {
  return claimed(intentOf(first?.type === 'broker_order' ? { quantity: first.order.quantity } : {}))
}

export const emptySlice: Slice = {
  order: null,
  position: null,
  account: {
    schema: 2,
    connectionId: 'broker_1',
    brokerAccountId: 'a1',
    currency: 'USD',
    cash: dec('100000'),
    executionsReadTo: at(0),
    activitiesReadTo: at(0),
    activityIds: [],
    today: null,
    costsAdoptedOn: null,
    doubts: {},
  },
}

/** A complete reading of an account, at second `n` of the broker's clock. */
export const readingOf = (
  over: Partial<BrokerSnapshot> = {},
  n = 0,
  activities: readonly BrokerActivity[] = [],
): Reading => ({
  snapshot: {
    brokerAccountId: 'a1',
    currency: 'USD',
    cash: dec('100000'),
    positions: [],
    ...over,
  },
  activities,
  atMs: Date.parse(at(n)),
  at: at(n),
})

/** The slice and the changes after these updates in turn. */
export function play(
  updates: readonly OrderUpdate[],
  from: Slice = emptySlice,
): { slice: Slice; changes: Change[] } {
  let slice = from
  const changes: Change[] = []
  for (const update of updates) {
    const reduced = reduce(slice, update, orderKey)
    slice = reduced.slice
    changes.push(...reduced.changes)
  }
  return { slice, changes }
}
