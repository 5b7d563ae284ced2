import { describe, expect, test } from 'vitest'
import { dec, hasGap, type OrderUpdate, reduce, type Slice, unsettledTotals } from '#domain'
import { permutations } from './changes.ts'
import { at, brokerOrder, claimed, emptySlice, executionOf, orderKey, seen } from './orders.ts'

// The broker's own total of an order, where executions or busts were lost.

const play = (updates: readonly OrderUpdate[], from: Slice = emptySlice): Slice =>
  updates.reduce((slice, update) => reduce(slice, update, orderKey).slice, from)

const shown = (filled: string, average: string, second: number): OrderUpdate =>
  seen(brokerOrder('filled', filled, second, { filledAveragePrice: dec(average) }))
const executed = (quantity: string, price: string, upTo: string, second: number): OrderUpdate => ({
  type: 'execution',
  brokerOrderId: 'b1',
  execution: executionOf(quantity, price, upTo, second),
})
const stands = (second: number): OrderUpdate => ({
  type: 'total_stands',
  brokerOrderId: 'b1',
  at: at(second),
})

const a = executed('40', '180', '40', 2)
const b = executed('35', '181', '75', 3)
const c = executed('25', '182', '100', 4)
const begun = play([claimed(), seen(brokerOrder('new', '0', 1))])

describe('the broker’s total that persists', () => {
  // The second of three is taken back at second 5: 40 x 180 + 25 x 182 = 11750, and 11750 / 65 =
  // 180.769230769...
  const total = shown('65', '180.769230769', 5)

  test.each([
    ['every execution was booked', [a, b, c]],
    ['the busted execution was never reported', [a, c]],
    ['only the execution above the total was reported', [c]],
    ['only the execution below the total was reported', [a]],
    ['only the total was reported', []],
  ])('is the booked total in the end: %s', (_, told) => {
    for (const arrival of permutations([...told, total])) {
      const slice = play([...arrival, stands(5)], begun)
      expect(slice.order).toMatchObject({
        cumulativeQuantity: '65',
        endedAt: expect.any(String) as string,
      })
      expect(Number(slice.order?.totalCost)).toBeCloseTo(11_750, 6)
      expect(slice.position?.quantity).toBe('65')
      expect(Number(slice.account?.cash)).toBeCloseTo(100_000 - 11_750, 6)
      expect(hasGap(slice.order!)).toBe(false)
      expect(unsettledTotals(slice.order!)).toEqual([])
    }
  })

  test.each([
    ['of nine decimals may be off by one in the last', '180.769230770', []],
    ['of nine decimals may be off by a hundred-millionth of itself', '180.769232576', []],
    ['of nine decimals is another one when it is off by more', '180.769232578', ['b1']],
    ['of two decimals is taken at its word', '180.78', ['b1']],
  ])('an average %s', (_, average, unsettled) => {
    const slice = play([a, executed('25', '182', '65', 4), shown('65', average, 5)], begun)
    expect(unsettledTotals(slice.order!).map(({ brokerOrderId }) => brokerOrderId)).toEqual(
      unsettled,
    )
  })

  test('is adopted once; late reports from before it change nothing', () => {
    const slice = play([a, c, total, stands(5)], begun)
    const bust = { id: 'x75', quantity: dec('35'), price: dec('181'), corrected: null, at: at(5) }
    const late: OrderUpdate[] = [
      a,
      b,
      c,
      total,
      stands(5),
      { type: 'bust', brokerOrderId: 'b1', bust },
    ]
    expect(play(late, slice)).toEqual(slice)
  })

  test('later executions are booked above the total', () => {
    const slice = play(
      [a, c, total, stands(5), shown('75', '180.8', 7), executed('10', '181', '75', 7)],
      begun,
    )
    expect(slice.order).toMatchObject({ cumulativeQuantity: '75', totalCost: '13560' })
    expect(unsettledTotals(slice.order!)).toEqual([])
  })

  test('is not adopted when a newer total has been shown since', () => {
    const slice = play([a, total, shown('75', '180.8', 6)], begun)
    expect(play([stands(5)], slice)).toEqual(slice)
  })

  test('is no mismatch while the broker names no price', () => {
    const slice = play([seen(brokerOrder('filled', '65', 5))], begun)
    expect(unsettledTotals(slice.order!)).toEqual([])
    expect(play([stands(5)], slice)).toEqual(slice)
  })

  test('at another price corrects the booked cost', () => {
    const slice = play([a, shown('40', '179.5', 6), stands(6)], begun)
    expect(slice.order).toMatchObject({ cumulativeQuantity: '40', totalCost: '7180' })
    expect(slice.position).toMatchObject({ quantity: '40', cost: '7180' })
    expect(slice.account?.cash).toBe('92820')
  })
})

test('a bust whose execution was never booked removes nothing booked', () => {
  const bust = { id: 'x100', quantity: dec('25'), price: dec('182'), corrected: null, at: at(5) }
  const total = shown('75', '180.466666667', 5)
  const slice = play([a, b, total], begun)
  expect(play([{ type: 'bust', brokerOrderId: 'b1', bust }], slice)).toEqual(slice)
  expect(slice.order).toMatchObject({ status: 'canceled', cumulativeQuantity: '75' })
})
