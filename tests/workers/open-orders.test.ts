import { describe, expect, test } from 'vitest'
import { type BrokerOrder, dec, type OrderUpdate, ZERO } from '#domain'
import { OpenOrders } from '../../workers/accounts/open-orders.ts'
import { at, brokerOrder, claimed, executionOf, intentOf, play, seen } from '../domain/orders.ts'

const limit = { orderType: 'limit', limitPrice: dec('150') } as const
const claim = claimed(intentOf(limit))
const acknowledged = brokerOrder('new', '0', 1, limit)
const recordOf = (...views: BrokerOrder[]) =>
  play([claim, ...views.map((view) => seen(view))]).slice.order!

describe('a snapshot whose commit the store lost', () => {
  const total = { filledAveragePrice: dec('150') }
  test.each([
    ['an ending', [brokerOrder('canceled', '0', 5, limit)]],
    [
      'a stronger ending',
      [
        brokerOrder('canceled', '40', 5, { ...limit, ...total }),
        brokerOrder('expired', '40', 5, { ...limit, ...total }),
      ],
    ],
    ['a filled quantity', [brokerOrder('partially_filled', '40', 5, { ...limit, ...total })]],
    ['a snapshot of a working order', [brokerOrder('pending_cancel', '0', 5, limit)]],
    [
      'another total',
      [
        brokerOrder('partially_filled', '40', 5, { ...limit, ...total }),
        brokerOrder('partially_filled', '40', 6, { ...limit, filledAveragePrice: dec('149') }),
      ],
    ],
  ])('%s is applied again once the record is written without it', (_what, views) => {
    const last = views.at(-1)!
    const openOrders = new OpenOrders()
    openOrders.note(last, recordOf(acknowledged, ...views), 0)
    expect(openOrders.isUnapplied(last)).toBe(false)
    openOrders.keep(recordOf(acknowledged, ...views.slice(0, -1)), 1)
    expect(openOrders.isUnapplied(last)).toBe(true)
    openOrders.note(last, recordOf(acknowledged, ...views), 2)
    expect(openOrders.isUnapplied(last)).toBe(false)
  })

  test('a replacement is applied again where the record has only the original', () => {
    const second = brokerOrder('canceled', '0', 6, {
      ...limit,
      brokerOrderId: 'b2',
      clientOrderId: '',
      replaces: 'b1',
    })
    const openOrders = new OpenOrders()
    openOrders.note(
      second,
      recordOf(
        acknowledged,
        brokerOrder('replaced', '0', 5, { ...limit, replacedBy: 'b2' }),
        second,
      ),
      0,
    )
    expect(openOrders.isUnapplied(second)).toBe(false)
    openOrders.keep(recordOf(acknowledged), 1)
    expect(openOrders.isUnapplied(second)).toBe(true)
  })
})

describe('a snapshot that is in the record is not applied again', () => {
  test('after executions, a bust and later snapshots of other sources', () => {
    const view = brokerOrder('partially_filled', '40', 5, {
      ...limit,
      filledAveragePrice: dec('150'),
    })
    const updates: OrderUpdate[] = [
      claim,
      seen(acknowledged),
      seen(view, executionOf('40', '150', '40', 5)),
    ]
    const openOrders = new OpenOrders()
    openOrders.note(view, play(updates).slice.order, 0)
    const bust = { id: 'x40', quantity: dec('40'), price: dec('150'), corrected: null, at: at(7) }
    updates.push({ type: 'bust', brokerOrderId: 'b1', bust })
    openOrders.keep(play(updates).slice.order!, 1)
    expect(openOrders.isUnapplied(view)).toBe(false)
    updates.push(seen(brokerOrder('partially_filled', '0', 8, limit)))
    const order = play(updates).slice.order!
    expect(order.cumulativeQuantity).toBe(ZERO)
    openOrders.keep(order, 2)
    expect(openOrders.isUnapplied(view)).toBe(false)
  })

  test('where the record never applied it: it is not applied over and over', () => {
    const foreign = brokerOrder('new', '0', 2, { ...limit, symbol: 'MSFT' })
    const openOrders = new OpenOrders()
    const order = play([claim, seen(foreign)]).slice.order
    expect(order?.placements[0]?.brokerOrderId).toBeNull()
    openOrders.note(foreign, order, 0)
    expect(openOrders.isUnapplied(foreign)).toBe(false)
  })
})
