import { describe, expect, test } from 'vitest'
import {
  type BrokerOrder,
  type BrokerStatus,
  clientOrderIdOf,
  dec,
  headOf,
  livePlacements,
  type OrderUpdate,
  rightSizeOf,
} from '#domain'
import { endings, permutations, types } from './changes.ts'
import { at, brokerOrder, claimed, executionOf, intentOf, play, seen } from './orders.ts'

// Orders that take more than one order at the broker, because they were replaced.

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
