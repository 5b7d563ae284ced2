import { describe, expect, test } from 'vitest'
import { dec, hasGap, inferredExecution, type OrderUpdate, reduce, type Slice } from '#domain'
import { brokerOrder, claimed, emptySlice, executionOf, orderKey, seen } from './orders.ts'

const after = (updates: readonly OrderUpdate[]): Slice =>
  updates.reduce((slice, update) => reduce(slice, update, orderKey).slice, emptySlice)

describe('an execution that no source lists', () => {
  const view = brokerOrder('filled', '100', 9, { filledAveragePrice: dec('10.5') })

  test('covers the missing quantity, at the price that yields the broker’s average', () => {
    const partly = brokerOrder('partially_filled', '40', 2)
    const { order } = after([claimed(), seen(partly, executionOf('40', '10', '40', 2)), seen(view)])
    // 100 at 10.5 are 1050; 400 are booked, so 60 cost 650.
    expect(inferredExecution(order!, view)).toMatchObject({
      quantity: '60',
      cumulativeQuantity: '100',
      price: '10.833333333',
    })
  })

  test('ends where a waiting execution begins, and lets it be booked', () => {
    const slice = after([claimed(), seen(view, executionOf('60', '11', '100', 9))])
    expect(hasGap(slice.order!)).toBe(true)
    // 1050 less 660 for the 60 that wait: 40 cost 390.
    const execution = inferredExecution(slice.order!, view)!
    expect(execution).toMatchObject({ quantity: '40', cumulativeQuantity: '40', price: '9.75' })
    const { order } = reduce(
      slice,
      { type: 'execution', brokerOrderId: 'b1', execution },
      orderKey,
    ).slice
    expect(order).toMatchObject({ status: 'filled', cumulativeQuantity: '100', totalCost: '1050' })
    expect(inferredExecution(order!, view)).toBeNull()
  })

  test('two gaps around a waiting execution share a price, and are filled in turn', () => {
    let slice = after([claimed(), seen(view, executionOf('20', '10', '60', 5))])
    for (const upTo of ['40', '100']) {
      const execution = inferredExecution(slice.order!, view)!
      expect(execution.cumulativeQuantity).toBe(upTo)
      slice = reduce(slice, { type: 'execution', brokerOrderId: 'b1', execution }, orderKey).slice
    }
    expect(slice.order).toMatchObject({
      status: 'filled',
      cumulativeQuantity: '100',
      totalCost: '1050',
    })
  })
})
