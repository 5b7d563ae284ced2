import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cadenceOf, type Load } from '../../workers/updates/cadence.ts'

const load = (over: Partial<Load>): Load => ({
  ...{ openOrders: 10, flightRequests: 1, canExecute: true, isStreamLive: true },
  ...over,
})

describe('how often orders are read', () => {
  test('up to 1,500 open orders: 4 s in flight, 12 s resting, within the budget', () => {
    for (const openOrders of [1, 499, 500, 1_499, 1_500]) {
      const cadence = cadenceOf(load({ openOrders }))
      expect(cadence).toMatchObject({ flightMs: 4_000, openMs: 12_000, isStretched: false })
      expect(cadence.requestsPerMinute).toBeLessThanOrEqual(36)
    }
  })

  test('beyond them the interval grows, is shown, and the cost does not', () => {
    // 5,000 orders are ten full pages and the one that ends the list: 11 requests, of 21 a minute that are left.
    expect(cadenceOf(load({ openOrders: 5_000 }))).toMatchObject({ flightMs: 4_000, openMs: 31_429, isStretched: true })
  })

  test('the stream is down: more often, while that takes no more than 24 requests a minute', () => {
    expect(cadenceOf(load({ isStreamLive: false }))).toMatchObject({ openMs: 4_000, isStretched: false })
    expect(cadenceOf(load({ isStreamLive: false, openOrders: 600 })).openMs).toBe(5_715)
    expect(cadenceOf(load({ isStreamLive: false, openOrders: 1_500 })).openMs).toBe(11_429)
  })

  test('nothing can execute: once a minute; nothing is open: twice', () => {
    expect(cadenceOf(load({ canExecute: false, flightRequests: 0 })).openMs).toBe(60_000)
    expect(cadenceOf(load({ openOrders: 0, flightRequests: 0 })).openMs).toBe(30_000)
  })

  test('whatever the load, no more than 36 requests a minute', () => {
    const loads = fc.record({
      ...{ openOrders: fc.nat(100_000), flightRequests: fc.nat(40) },
      ...{ canExecute: fc.boolean(), isStreamLive: fc.boolean() },
    })
    fc.assert(fc.property(loads, (one) => cadenceOf(one).requestsPerMinute <= 36.01))
  })
})
