import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dec, type Order, type OrderIntent } from '#domain'
import { pollSchedule, isHeldUp, isInFlight, type Load } from '../../workers/accounts/schedule.ts'
import { brokerOrder, claimed, intentOf, play, seen } from '../domain/orders.ts'

const load = (over: Partial<Load>): Load => ({
  openOrders: 10,
  flightRequests: 1,
  canExecute: true,
  isHasty: false,
  ...over,
})

describe('how often orders are read', () => {
  test('up to 1,500 open orders: 4 s in flight, 12 s resting, within the budget', () => {
    for (const openOrders of [1, 499, 500, 1_499, 1_500]) {
      const schedule = pollSchedule(load({ openOrders }))
      expect(schedule).toMatchObject({ flightMs: 4_000, openMs: 12_000, isStretched: false })
      expect(schedule.requestsPerMinute).toBeLessThanOrEqual(36)
    }
  })

  test('beyond them the interval grows, is shown, and the cost does not grow', () => {
    // 5,000 orders are ten full pages and the one that ends the list: 11 requests, of 21 a minute
    // that are left.
    expect(pollSchedule(load({ openOrders: 5_000 }))).toMatchObject({
      flightMs: 4_000,
      openMs: 31_429,
      isStretched: true,
    })
  })

  test('in haste: more often, while that takes no more than 24 requests a minute', () => {
    expect(pollSchedule(load({ isHasty: true }))).toMatchObject({
      openMs: 4_000,
      isStretched: false,
    })
    expect(pollSchedule(load({ isHasty: true, openOrders: 499 })).openMs).toBe(4_000)
    expect(pollSchedule(load({ isHasty: true, openOrders: 600 })).openMs).toBe(5_715)
    expect(pollSchedule(load({ isHasty: true, openOrders: 1_500 })).openMs).toBe(11_429)
  })

  test('no order can execute: once a minute; no order is open: twice', () => {
    expect(pollSchedule(load({ canExecute: false, flightRequests: 0 })).openMs).toBe(60_000)
    expect(pollSchedule(load({ openOrders: 0, flightRequests: 0 })).openMs).toBe(30_000)
  })

  test('for any load, no more than 36 requests a minute', () => {
    const loads = fc.record({
      openOrders: fc.nat(100_000),
      flightRequests: fc.nat(40),
      canExecute: fc.boolean(),
      isHasty: fc.boolean(),
    })
    fc.assert(fc.property(loads, (one) => pollSchedule(one).requestsPerMinute <= 36.01))
  })
})

describe('marketable orders', () => {
  const MINUTE_MS = 60_000
  const limit = { orderType: 'limit', limitPrice: dec('180') } as const
  /** The record of an order that the broker has. */
  const working = (over: Partial<OrderIntent> = {}): Order => {
    const { orderType, timeInForce, limitPrice, ...intent } = intentOf(over)
    const view = brokerOrder('new', '0', 1, { orderType, timeInForce, limitPrice })
    return play([claimed({ ...intent, orderType, timeInForce, limitPrice }), seen(view)]).slice
      .order!
  }

  test.each([
    ['market', {}],
    ['ioc', { ...limit, timeInForce: 'ioc' }],
    ['fok', { ...limit, timeInForce: 'fok' }],
  ] as const)(
    'P7 %s, working for any time: in flight or held up, and at last held up alone',
    (_what, over) => {
      const order = working(over)
      fc.assert(
        fc.property(fc.nat(60 * MINUTE_MS), (quietMs) => {
          return isInFlight(order, false, quietMs, true) || isHeldUp(order, quietMs, true)
        }),
      )
      expect([isInFlight(order, false, MINUTE_MS, true), isHeldUp(order, MINUTE_MS, true)]).toEqual(
        [true, false],
      )
      expect([
        isInFlight(order, false, 11 * MINUTE_MS, true),
        isHeldUp(order, 11 * MINUTE_MS, true),
      ]).toEqual([false, true])
    },
  )

  test('not held up: a resting, waiting, unknown or ended order', () => {
    const unknown = play([claimed()]).slice.order!
    const ended: Order = { ...working(), status: 'filled', endedAt: '2024-03-15T14:00:02.000Z' }
    const isHeld = (order: Order, canExecute: boolean): boolean =>
      isHeldUp(order, 60 * MINUTE_MS, canExecute)
    expect([isHeld(working(), true), isHeld(working(), false)]).toEqual([true, false])
    expect([working(limit), unknown, ended].map((order) => isHeld(order, true))).toEqual([
      false,
      false,
      false,
    ])
  })
})
