import { expect, test } from 'vitest'
import type { Order } from '#domain'
import type { ParkedOrder } from '#store'
import { shownOrder } from '../../src/producer/shown-order.ts'
import { at, claimed, emptySlice, intentOf, orderKey, play } from '../domain/orders.ts'

const parked: ParkedOrder = {
  ...intentOf(),
  schema: 1,
  reason: 'no keys',
  since: at(1),
  seenAt: at(2),
}
const order = play([claimed()], emptySlice).slice.order as Order

test('an order that no worker could claim is waiting, with its terms and the reason', () => {
  expect(shownOrder(null, parked)).toMatchObject({
    id: 't1',
    userId: 'u1',
    connectionId: orderKey.connectionId,
    symbol: 'AAPL',
    quantity: '100',
    status: 'waiting',
    reason: 'no keys',
    since: at(1),
    cumulativeQuantity: '0',
    placements: [],
  })
})

test('a claimed order is waiting until a request is sent or the order ends', () => {
  const unsent = { ...order, attemptedAt: null }
  expect(shownOrder(unsent, parked)).toEqual({
    ...unsent,
    commands: [],
    status: 'waiting',
    reason: 'no keys',
    since: at(1),
  })
  expect(shownOrder(order, parked)).toEqual({ ...order, commands: [] })
  const ended = { ...unsent, status: 'canceled' } as const
  expect(shownOrder(ended, parked)).toEqual({ ...ended, commands: [] })
  expect(shownOrder(unsent, null)).toEqual({ ...unsent, commands: [] })
})
