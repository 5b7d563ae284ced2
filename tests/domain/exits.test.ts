import { describe, expect, test } from 'vitest'
import {
  type BrokerOrder,
  type BrokerStatus,
  clientOrderIdOf,
  dec,
  livePlacements,
  type OrderUpdate,
  type Slice,
} from '#domain'
import { endings, permutations, types } from './changes.ts'
import { brokerOrder, claimed, emptySlice, executionOf, intentOf, play, seen } from './orders.ts'

// The exits of a bracket, and the two sides of a one-cancels-other order.

const stepId = (step: string): string => clientOrderIdOf('u1', 't1', step)
const bracket = intentOf({
  orderClass: 'bracket',
  takeProfit: { limitPrice: dec('200') },
  stopLoss: { stopPrice: dec('170'), limitPrice: null },
})
const exit = (
  id: string,
  status: BrokerStatus,
  filled: string,
  second: number,
  over: Partial<BrokerOrder> = {},
) =>
  brokerOrder(status, filled, second, {
    brokerOrderId: id,
    clientOrderId: `gen-${id}`,
    side: 'sell',
    orderClass: 'bracket',
    ...over,
  })
const takeProfit = (status: BrokerStatus, filled: string, second: number): BrokerOrder =>
  exit('tp', status, filled, second, { orderType: 'limit', limitPrice: dec('200') })
const stopLoss = (status: BrokerStatus, filled: string, second: number): BrokerOrder =>
  exit('sl', status, filled, second, { orderType: 'stop', stopPrice: dec('170') })
const entry = (status: BrokerStatus, filled: string, second: number): BrokerOrder =>
  brokerOrder(status, filled, second, {
    clientOrderId: stepId('0.0'),
    orderClass: 'bracket',
    legs: [takeProfit('held', '0', 1), stopLoss('held', '0', 1)],
  })

const NO_STOP = { stopLossPrice: null, stopLossFrom: null }

describe('a bracket', () => {
  const start = [
    { ...claimed(bracket), clientOrderId: stepId('0.0') } as OrderUpdate,
    seen(entry('new', '0', 1)),
    seen(entry('filled', '100', 2), executionOf('100', '180', '100', 2)),
  ]

  test('protects the position from the moment it opens', () => {
    const { changes } = play(start)
    expect(types(changes)).toEqual([
      'order.submitted',
      'order.executed',
      'position.opened',
      'cash.changed',
    ])
    expect(changes[2]).toMatchObject({ position: { stopLossPrice: '170', stopLossFrom: 't1' } })
  })

  test('its exits are placements of one order; their fills are no events of the trade', () => {
    const { slice, changes } = play([
      ...start,
      seen(takeProfit('new', '0', 3)),
      seen(stopLoss('new', '0', 3)),
      seen(takeProfit('filled', '100', 5), executionOf('100', '200', '100', 5)),
      seen(stopLoss('canceled', '0', 5)),
    ])
    expect(slice.order?.placements.map(({ leg, status }) => [leg, status])).toEqual([
      ['entry', 'filled'],
      ['takeProfit', 'filled'],
      ['stopLoss', 'canceled'],
    ])
    expect(types(changes).slice(4)).toEqual(['leg.executed', 'position.closed', 'cash.changed'])
    expect(slice).toMatchObject({
      position: null,
      order: { cumulativeQuantity: '100', status: 'filled' },
    })
    expect(slice.account?.cash).toBe('102000')
    expect(slice.account?.today?.realizedPnL).toBe('2000')
    expect(livePlacements(slice.order!)).toEqual([])
  })

  test('both exits filled - both are booked, and the position flips', () => {
    const { slice } = play([
      ...start,
      seen(takeProfit('filled', '100', 5), executionOf('100', '200', '100', 5)),
      seen(stopLoss('filled', '100', 5), executionOf('100', '170', '100', 5)),
    ])
    expect(slice.position?.quantity).toBe('-100')
  })

  test('protects nothing until its entry executes, also with a position held', () => {
    const held = play(start.slice(0, 2)).slice
    const position = play(start).slice.position
    const { slice } = play([seen(stopLoss('held', '0', 3))], {
      ...held,
      position: { ...position!, ...NO_STOP },
    })
    expect(slice.position).toMatchObject(NO_STOP)
  })

  test('a stop that ends is removed from the position', () => {
    const { slice, changes } = play([
      ...start,
      seen(stopLoss('new', '0', 3)),
      seen(stopLoss('canceled', '0', 4)),
    ])
    expect(slice.position).toMatchObject({ stopLossPrice: null, stopLossFrom: null })
    expect(types(changes).at(-1)).toBe('position.changed')
  })

  test('a stop that was moved shows its new price', () => {
    const moved = exit('sl2', 'new', '0', 4, {
      orderType: 'stop',
      stopPrice: dec('175'),
      replaces: 'sl',
    })
    const { slice, changes } = play([...start, seen(stopLoss('replaced', '0', 4)), seen(moved)])
    expect(slice.position?.stopLossPrice).toBe('175')
    expect(slice.order?.stopLoss).toEqual({ stopPrice: '175', limitPrice: null })
    expect(types(changes).slice(4)).toEqual(['position.changed']) // the trade has had its ending
  })
})

describe('an oco order', () => {
  const intent = intentOf({ ...bracket, side: 'sell', orderType: 'limit', orderClass: 'oco' })
  const profit = (status: BrokerStatus, filled: string, second: number): BrokerOrder => ({
    ...takeProfit(status, filled, second),
    brokerOrderId: 'b1',
    clientOrderId: stepId('0.0'),
    orderClass: 'oco',
    legs: [{ ...stopLoss('held', '0', 1), orderClass: 'oco' }],
  })
  const stop = (status: BrokerStatus, filled: string, second: number): BrokerOrder => ({
    ...stopLoss(status, filled, second),
    orderClass: 'oco',
  })
  const held =
    emptySlice.account === null
      ? null
      : play([
          claimed(),
          seen(brokerOrder('filled', '100', 1), executionOf('100', '180', '100', 1)),
        ]).slice
  const start: Slice = { ...emptySlice, position: held?.position ?? null }
  const claim: OrderUpdate = { ...claimed(intent), clientOrderId: stepId('0.0') } as OrderUpdate

  test.each(
    permutations([
      seen(profit('canceled', '0', 5)),
      seen(stop('filled', '100', 5), executionOf('100', '170', '100', 5)),
    ]),
  )('is filled by either side, once (%#)', (...arrival) => {
    const { slice, changes } = play([claim, seen(profit('new', '0', 2)), ...arrival], start)
    expect(endings(changes)).toMatchObject([{ status: 'filled', cumulativeQuantity: '100' }])
    expect(slice.position).toBeNull()
  })

  test('executed on both sides - exceeds the ordered quantity, and reports it', () => {
    const both = [
      seen(profit('filled', '100', 5), executionOf('100', '200', '100', 5)),
      seen(stop('filled', '100', 5), executionOf('100', '170', '100', 5)),
    ]
    const { changes } = play([claim, ...both], start)
    expect(
      changes.filter((change) => change.type === 'anomaly').map((change) => change.what),
    ).toEqual(['overfilled'])
    expect(endings(changes)).toHaveLength(1)
    expect(types(changes)).toContain('order.corrected')
  })
})
