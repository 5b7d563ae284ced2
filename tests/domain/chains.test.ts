import { describe, expect, test } from 'vitest'
import {
  type BrokerOrder,
  type BrokerStatus,
  type Change,
  clientOrderIdOf,
  dec,
  headOf,
  livePlacements,
  type Order,
  type OrderUpdate,
  rightSizeOf,
  type Slice,
} from '#domain'
import {
  at,
  brokerOrder,
  claimed,
  emptySlice,
  executionOf,
  intentOf,
  play,
  seen,
} from './orders.ts'

// Orders that take more than one order at the broker: replacements, exits, and executions that are
// taken back.

const types = (changes: readonly Change[]): string[] => changes.map((change) => change.type)
const endings = (changes: readonly Change[]): Order[] =>
  changes.flatMap((change) =>
    change.type === 'order.ended' || (change.type === 'order.executed' && change.completed)
      ? [change.order]
      : [],
  )

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]]
  return items.flatMap((item, index) =>
    permutations([...items.slice(0, index), ...items.slice(index + 1)]).map((rest) => [
      item,
      ...rest,
    ]),
  )
}

const stepId = (step: string): string => clientOrderIdOf('u1', 't1', step)
const limit = intentOf({ orderType: 'limit', limitPrice: dec('180') })
const first = (
  status: BrokerStatus,
  filled: string,
  second: number,
  over: Partial<BrokerOrder> = {},
): BrokerOrder =>
  brokerOrder(status, filled, second, {
    clientOrderId: stepId('0.0'),
    orderType: 'limit',
    limitPrice: dec('180'),
    ...over,
  })
const next = (
  status: BrokerStatus,
  filled: string,
  second: number,
  over: Partial<BrokerOrder> = {},
): BrokerOrder =>
  first(status, filled, second, {
    brokerOrderId: 'b2',
    clientOrderId: stepId('0.1'),
    replaces: 'b1',
    limitPrice: dec('181'),
    ...over,
  })

const claim: OrderUpdate = { ...claimed(limit), clientOrderId: stepId('0.0') } as OrderUpdate
const terms = {
  quantity: null,
  limitPrice: dec('181'),
  stopPrice: null,
  trail: null,
  timeInForce: null,
}
const asked: OrderUpdate = {
  type: 'replace_requested',
  request: { commandId: 'c1', leg: 'entry', terms, requestedAt: at(2) },
}
const sent: OrderUpdate = { type: 'replace_sent', commandId: 'c1', at: at(3) }
const ended: OrderUpdate = {
  type: 'replace_ended',
  commandId: 'c1',
  outcome: 'refused',
  message: 'order already filled',
  at: at(9),
}
const open = [claim, seen(first('new', '0', 1)), asked, sent]

describe('a replacement', () => {
  test('takes effect in any order of arrival, is reported once, and ends once', () => {
    const views = [
      seen(first('pending_replace', '0', 3)),
      seen(first('replaced', '0', 4, { replacedBy: 'b2' })),
      seen(next('new', '0', 4)),
      seen(next('filled', '100', 6), executionOf('100', '181', '100', 6)),
    ]
    for (const arrival of permutations(views)) {
      const { slice, changes } = play([...open, ...arrival])
      expect(slice.order).toMatchObject({
        status: 'filled',
        cumulativeQuantity: '100',
        totalCost: '18100',
        limitPrice: '181',
      })
      expect(slice.order?.replaces).toEqual([])
      expect(types(changes).filter((type) => type === 'order.replaced')).toHaveLength(1)
      expect(endings(changes)).toHaveLength(1)
      expect(types(changes)[0]).toBe('order.submitted')
      expect(slice.position?.quantity).toBe('100')
    }
  })

  test('bust of the original - the total shrinks, and is reported at once', () => {
    const { slice } = play([
      claim,
      seen(first('partially_filled', '30', 1), executionOf('30', '180', '30', 1)),
      asked,
      sent,
      seen(first('replaced', '30', 4, { replacedBy: 'b2' })),
      seen(next('new', '0', 4, { quantity: dec('70') })),
    ])
    expect(slice.order?.quantity).toBe('100')
    const lost = { id: 'x30', quantity: dec('30'), price: dec('180'), corrected: null, at: at(9) }
    const after = play([{ type: 'bust', brokerOrderId: 'b1', bust: lost }], slice)
    expect(types(after.changes).slice(0, 2)).toEqual(['order.corrected', 'order.replaced'])
    expect(after.slice.order).toMatchObject({
      quantity: '70',
      cumulativeQuantity: '0',
      status: 'submitted',
    })
  })

  test('original fills first - the replacement changes no terms; the order fills once', () => {
    const views = [
      seen(next('accepted', '0', 4)),
      seen(first('filled', '100', 5), executionOf('100', '180', '100', 5)),
      seen(next('rejected', '0', 6)),
      ended,
    ]
    for (const arrival of permutations(views)) {
      const { slice, changes } = play([...open, ...arrival])
      expect(slice.order).toMatchObject({
        status: 'filled',
        cumulativeQuantity: '100',
        limitPrice: '180',
      })
      expect(types(changes)).not.toContain('order.replaced')
      expect(endings(changes)).toHaveLength(1)
    }
  })

  test('of a partly filled order sums over the chain', () => {
    const { slice, changes } = play([
      ...open,
      seen(first('partially_filled', '30', 3), executionOf('30', '180', '30', 3)),
      seen(first('replaced', '30', 4, { replacedBy: 'b2' })),
      seen(next('new', '0', 4, { quantity: dec('70') })),
      seen(next('filled', '70', 6, { quantity: dec('70') }), executionOf('70', '181', '70', 6)),
    ])
    expect(slice.order).toMatchObject({
      status: 'filled',
      quantity: '100',
      cumulativeQuantity: '100',
      totalCost: '18070',
    })
    expect(endings(changes)).toHaveLength(1)
  })

  test('that the broker sized too large is detected before it executes', () => {
    const { slice } = play([
      ...open,
      seen(first('partially_filled', '30', 3), executionOf('30', '180', '30', 3)),
      seen(first('replaced', '30', 4, { replacedBy: 'b2' })),
      seen(next('new', '0', 4)),
    ])
    const head = headOf(slice.order!, 'entry')!
    expect(head.quantity).toBe('100')
    expect(rightSizeOf(slice.order!, head)).toBe('70')
  })

  test('in flight - a canceled report of the old order ends nothing until the outcome', () => {
    const half = play([...open, seen(first('canceled', '0', 4))])
    expect(half.slice.order).toMatchObject({ status: 'submitted', endedAt: null })
    const { slice, changes } = play([ended], half.slice)
    expect(slice.order).toMatchObject({ status: 'canceled', endedAt: at(4) })
    expect(endings(changes)).toHaveLength(1)
  })

  test('successor not known yet - the order stays open', () => {
    const { slice } = play([...open, seen(first('replaced', '0', 4, { replacedBy: 'b2' })), ended])
    expect(slice.order).toMatchObject({ status: 'submitted', endedAt: null })
    expect(livePlacements(slice.order!)).toHaveLength(1)
  })

  test('made in the broker’s own app belongs to the chain by the order it replaced', () => {
    const theirs = { clientOrderId: 'made-elsewhere', quantity: dec('50') }
    const { slice, changes } = play([
      claim,
      seen(first('new', '0', 1)),
      seen(first('replaced', '0', 4, { replacedBy: 'b2' })),
      seen(next('new', '0', 4, theirs)),
      seen(next('filled', '50', 5, theirs), executionOf('50', '181', '50', 5)),
    ])
    expect(slice.order).toMatchObject({
      status: 'filled',
      quantity: '50',
      cumulativeQuantity: '50',
      limitPrice: '181',
    })
    expect(endings(changes)).toHaveLength(1)
  })

  test('made elsewhere - quantity is earlier executions plus its size, in any order', () => {
    const third = {
      brokerOrderId: 'b3',
      clientOrderId: stepId('0.2'),
      replaces: 'b2',
      quantity: dec('47'),
    }
    const filled = { ...executionOf('47', '181', '47', 6), executionId: 'y47' }
    const views = [
      seen(first('replaced', '42', 3, { replacedBy: 'b2' })),
      {
        type: 'execution',
        brokerOrderId: 'b1',
        execution: executionOf('42', '180', '42', 2),
      } as const,
      seen(next('replaced', '0', 4, { quantity: dec('5'), replacedBy: 'b3' })),
      seen(next('new', '0', 5, third)),
    ]
    for (const arrival of permutations(views)) {
      const { slice } = play([claim, seen(first('new', '0', 1)), ...arrival])
      expect(slice.order).toMatchObject({
        status: 'partially_filled',
        quantity: '89',
        cumulativeQuantity: '42',
      })
      const after = play([seen(next('filled', '47', 6, third), filled)], slice)
      expect(endings(after.changes)).toMatchObject([
        { status: 'filled', quantity: '89', cumulativeQuantity: '89' },
      ])
    }
  })

  test('made elsewhere is reported again when the replaced order shows more executions', () => {
    const theirs = { clientOrderId: 'made-elsewhere', quantity: dec('50') }
    const { slice } = play([claim, seen(first('new', '0', 1)), seen(next('new', '0', 4, theirs))])
    expect(slice.order?.quantity).toBe('50')
    const { changes } = play([seen(first('replaced', '30', 4, { replacedBy: 'b2' }))], slice)
    expect(changes).toMatchObject([
      { type: 'order.replaced', brokerOrderId: 'b2', order: { quantity: '80' } },
    ])
  })

  test('waits for the replacement before it; after a cancel no other is added', () => {
    const second: OrderUpdate = {
      type: 'replace_requested',
      request: { commandId: 'c2', leg: 'entry', terms, requestedAt: at(3) },
    }
    const { slice } = play([...open, second, second])
    expect(slice.order?.replaces.map((one) => [one.commandId, one.replacement])).toEqual([
      ['c1', 1],
      ['c2', 2],
    ])
    const request = { commandId: 'c3', by: 'user', reason: 'r', requestedAt: at(4) } as const
    const third: OrderUpdate = { ...second, request: { ...second.request, commandId: 'c4' } }
    const after = play([{ type: 'cancel_requested', request }, third], slice)
    expect(after.slice.order?.replaces).toHaveLength(2)
  })
})

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

describe('an order that was closed without a report of the broker', () => {
  test.each(['denied', 'withdrawn'] as const)(
    '%s, but the broker has it - booked, and reported as a correction',
    (how) => {
      const close: OrderUpdate =
        how === 'denied'
          ? { type: 'denied', code: 'NOT_RECEIVED', message: 'm', at: at(2) }
          : { type: 'withdrawn', at: at(2) }
      const { slice, changes } = play([
        claimed(),
        close,
        seen(brokerOrder('new', '0', 3)),
        seen(brokerOrder('filled', '100', 4), executionOf('100', '180', '100', 4)),
      ])
      expect(types(changes)).toEqual([
        'order.ended',
        'anomaly',
        'order.corrected',
        'position.opened',
        'cash.changed',
      ])
      expect(changes[1]).toMatchObject({ what: 'appeared_after_close' })
      expect(slice.position?.quantity).toBe('100')
      expect(endings(changes)).toHaveLength(1)
    },
  )
})
