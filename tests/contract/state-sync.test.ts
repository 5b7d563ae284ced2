import { describe, expect, test } from 'vitest'
import { serverEvents, stateSyncOf } from '#contract'
import { adopt, type BrokerStatus, type CancelRequest, dec, type Order, reduce } from '#domain'
import type { UserSnapshot } from '#store'
import {
  at,
  brokerOrder,
  claimed,
  emptySlice,
  intentOf,
  orderKey,
  readingOf,
  seen,
} from '../domain/orders.ts'

const NOW = '2024-03-15T15:00:00.000Z'
const portfolio = (connectionId: string, cash: string, symbol: string, quantity: string) =>
  adopt(
    connectionId,
    readingOf({
      cash: dec(cash),
      positions: [
        {
          symbol,
          quantity: dec(quantity),
          averageEntryPrice: dec('100'),
          currentPrice: dec('110'),
        },
      ],
    }),
  )

function snapshotOf(orders: readonly Order[] = []): UserSnapshot {
  const all = [portfolio('c1', '1000', 'AAPL', '10'), portfolio('c2', '500.5', 'TSLA', '-2')]
  return {
    version: '1',
    lastEventId: '1600000000000-00000',
    orders,
    accounts: all.map(({ account }) => account),
    positions: all.flatMap(({ positions }) => [...positions.values()]),
  }
}

const order = (change: Partial<Order> = {}): Order => {
  const submitted = [claimed(), seen(brokerOrder('new', '0', 1))].reduce(
    (slice, update) => reduce(slice, update, orderKey).slice,
    emptySlice,
  )
  return { ...(submitted.order as Order), ...change }
}
const working = (status: BrokerStatus): Partial<Order> => ({
  placements: order().placements.map((one) => ({ ...one, working: { status, at: at(2) } })),
})
const cancel: CancelRequest = { commandId: 'c', by: 'user', reason: 'r', requestedAt: at(1) }

describe('stateSyncOf', () => {
  test('sums over connections, and lists each connection', () => {
    const sync = serverEvents['state.sync'].schema.parse(stateSyncOf(snapshotOf(), undefined, NOW))
    expect(sync.portfolio).toMatchObject({
      totalValue: 2380.5,
      cashBalance: 1500.5,
      positionsValue: 880,
    })
    expect(sync.portfolio?.accounts).toMatchObject([
      { brokerConnectionId: 'c1', totalValue: 2100, cashBalance: 1000, positionsValue: 1100 },
      { brokerConnectionId: 'c2', totalValue: 280.5, cashBalance: 500.5, positionsValue: -220 },
    ])
    expect(sync.positions).toMatchObject([
      { symbol: 'AAPL', quantity: 10, unrealizedPnL: 100 },
      { symbol: 'TSLA', quantity: -2, unrealizedPnL: -20 },
    ])
  })

  test.each<[string, Partial<Order>, string | null]>([
    ['on its way', { status: 'submitting' }, 'submitting'],
    ['accepted', {}, 'submitted'],
    ['partly filled', { status: 'partially_filled' }, 'partially_filled'],
    ['being cancelled', { cancel }, 'cancelling'],
    ['being replaced', working('pending_replace'), 'replacing'],
    ['held back', working('held'), 'held'],
    ['filled', { status: 'filled' }, null],
    ['rejected', { status: 'rejected' }, null],
    ['placed elsewhere', { origin: 'external' }, null],
  ])('a trade that is %s', (_what, change, status) => {
    const { pendingTrades } = stateSyncOf(snapshotOf([order(change)]), ['trades'], NOW)
    expect(pendingTrades?.map((trade) => trade.status)).toEqual(status === null ? [] : [status])
  })

  test('lists orders that wait to be sent and have no record yet', () => {
    const waiting = { ...intentOf({ tradeId: 't9', orderType: 'limit', limitPrice: dec('180') }) }
    const sync = stateSyncOf({ ...snapshotOf([order()]), parked: [waiting] }, ['trades'], NOW)
    expect(serverEvents['state.sync'].schema.parse(sync).pendingTrades).toMatchObject([
      { id: 't1', status: 'submitted' },
      {
        id: 't9',
        symbol: 'AAPL',
        side: 'buy',
        quantity: 100,
        limitPrice: 180,
        status: 'submitting',
      },
    ])
  })

  test('holds as many trades as a frame allows, and marks that more exist', () => {
    const { positions } = snapshotOf()
    const long = order({
      id: 'x'.repeat(64),
      connectionId: 'x'.repeat(64),
      symbol: 'ABCDEFGHIJKL.ABCDEFGHIJ',
    })
    const many = { ...snapshotOf(Array.from({ length: 2_600 }, () => long)), positions: [] }
    const sync = stateSyncOf(many, undefined, NOW)
    expect([sync.pendingTrades?.length, sync['truncated']]).toEqual([2_500, true])
    const most = {
      ...many,
      orders: many.orders.slice(0, 2_500),
      positions: Array.from({ length: 2_500 }, () => positions[0]!),
    }
    const whole = stateSyncOf(most, undefined, NOW)
    expect([whole.positions?.length, whole['truncated']]).toEqual([2_500, undefined])
    expect(JSON.stringify(whole).length).toBeLessThan(2_000_000) // less than half of the bytes that may wait for a connection
  })

  test('parts that were not asked for are absent', () => {
    expect(Object.keys(stateSyncOf(snapshotOf(), [], NOW))).toEqual(['lastEventId', 'timestamp'])
  })
})
