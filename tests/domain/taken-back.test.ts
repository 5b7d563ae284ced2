import { describe, expect, test } from 'vitest'
import { type Change, dec, hasGap, type OrderUpdate } from '#domain'
import { at, brokerOrder, claimed, executionOf, intentOf, play, seen } from './orders.ts'

const types = (changes: readonly Change[]): string[] => changes.map((change) => change.type)

describe('a busted execution', () => {
  const filled = play([
    claimed(),
    seen(brokerOrder('partially_filled', '60', 2), executionOf('60', '10', '60', 2)),
    seen(brokerOrder('filled', '100', 3), executionOf('40', '12', '100', 3)),
  ])
  const bust: OrderUpdate = {
    type: 'bust',
    brokerOrderId: 'b1',
    bust: { id: 'x100', quantity: dec('40'), price: dec('12'), corrected: null, at: at(9) },
  }

  test('is undone exactly: order, position, profit and cash are as before', () => {
    const without = play([
      claimed(),
      seen(brokerOrder('partially_filled', '60', 2), executionOf('60', '10', '60', 2)),
    ])
    const { slice, changes } = play([bust], filled.slice)
    expect(types(changes)).toEqual(['order.corrected', 'position.changed', 'cash.changed'])
    expect(slice.order).toMatchObject({
      cumulativeQuantity: '60',
      totalCost: '600',
      status: 'filled',
    })
    expect(slice.position).toMatchObject({ quantity: '60', cost: '600', realizedPnL: '0' })
    expect(slice.account?.cash).toBe(without.slice.account?.cash)
  })

  test('is undone once, though reported often', () => {
    const once = play([bust], filled.slice)
    expect(play([bust, bust], once.slice)).toEqual({ slice: once.slice, changes: [] })
  })

  test('the broker’s lower total is no gap, and later executions are booked', () => {
    const { slice } = play(
      [
        bust,
        seen(brokerOrder('partially_filled', '60', 10)),
        seen(brokerOrder('filled', '75', 12), executionOf('15', '11', '75', 12)),
      ],
      filled.slice,
    )
    expect(slice.order).toMatchObject({ cumulativeQuantity: '75', totalCost: '765' })
    expect(hasGap(slice.order!)).toBe(false)
    expect(slice.position?.quantity).toBe('75')
  })

  test('corrected - only the difference is booked', () => {
    const corrected = { quantity: dec('40'), price: dec('11.5') }
    const { slice } = play([{ ...bust, bust: { ...bust.bust, corrected } }], filled.slice)
    expect(slice.order).toMatchObject({ cumulativeQuantity: '100', totalCost: '1060' })
    expect(slice.position).toMatchObject({ quantity: '100', cost: '1060' })
    expect(slice.account?.cash).toBe('98940')
  })

  test('of a sale brings the sold shares back at their cost', () => {
    const sale = brokerOrder('filled', '30', 5, {
      brokerOrderId: 'b9',
      side: 'sell',
      quantity: dec('30'),
    })
    const sold = play(
      [
        claimed(intentOf({ side: 'sell', quantity: dec('30') })),
        seen(sale, executionOf('30', '20', '30', 5)),
      ],
      { ...filled.slice, order: null },
    )
    const back: OrderUpdate = {
      ...bust,
      brokerOrderId: 'b9',
      bust: { ...bust.bust, quantity: dec('30'), price: dec('20') },
    }
    const { slice } = play([back], sold.slice)
    expect(slice.position).toMatchObject({
      quantity: '100',
      cost: '1080',
      realizedPnL: '0',
      closedQuantity: '0',
    })
    expect(slice.account?.cash).toBe(filled.slice.account?.cash)
  })

  test('that was never booked waits for its next report', () => {
    const early = play([claimed(), seen(brokerOrder('new', '0', 2)), bust])
    expect(early.slice.order?.busts).toEqual([])
  })
})
