import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { add, cmp, reduce, type Slice, tryDec, ZERO } from '#domain'
import { readTradeUpdate } from '../../workers/broker/alpaca/order-rows.ts'
import { decimal } from './decimals.ts'
import { openWorld } from './world.ts'

// How the real adapter reads trade updates of the broker.

const wireOrder = (over: object = {}) => ({
  id: 'b-1',
  client_order_id: 'elsewhere',
  symbol: 'AAPL',
  side: 'buy',
  type: 'limit',
  time_in_force: 'day',
  order_class: '',
  status: 'partially_filled',
  qty: '10',
  notional: null,
  filled_qty: '4',
  limit_price: '200',
  filled_avg_price: '180',
  stop_price: null,
  submitted_at: '2024-03-15T14:00:00Z',
  replaces: null,
  updated_at: '2024-03-15T14:00:01Z',
  replaced_by: null,
  legs: null,
  ...over,
})
const wireFill = (over: object = {}) => ({
  event: 'partial_fill',
  execution_id: 'x-1',
  price: '180',
  qty: '4',
  at: '2024-03-15T14:00:01Z',
  timestamp: '2024-03-15T14:00:01Z',
  position_qty: '4',
  order: wireOrder(),
  ...over,
})
const lastOrder = {
  status: 'filled',
  filled_qty: '10',
  filled_avg_price: '180.6',
  updated_at: '2024-03-15T14:00:02Z',
}
const lastFill = (over: object = {}) =>
  wireFill({
    event: 'fill',
    execution_id: 'x-2',
    price: '181',
    qty: '6',
    at: '2024-03-15T14:00:02Z',
    order: wireOrder(lastOrder),
    ...over,
  })

/** What two messages come to in the books. */
function booked(messages: readonly object[]) {
  const orderKey = {
    id: 'ext.b-1',
    origin: 'external',
    userId: 'u1',
    connectionId: 'broker_1',
  } as const
  let slice: Slice = { order: null, position: null, account: null }
  for (const message of messages) {
    const { order, execution, at } = readTradeUpdate(message)
    slice = reduce(slice, { type: 'broker_order', order, execution, at }, orderKey).slice
  }
  const [placement] = slice.order?.placements ?? []
  return { quantity: placement?.cumulativeQuantity, reported: placement?.reportedQuantity }
}

describe('FIL-09 final fill carries the whole quantity', () => {
  test.each([
    ['the increment', {}],
    ['the total', { qty: '10' }],
    ['no position', { position_qty: undefined }],
    ['no execution id', { execution_id: null }],
    ['no event time', { at: undefined }],
  ])('FIL-09 a last fill with %s - ten are booked once', (_what, over) => {
    expect(booked([wireFill(), lastFill(over)])).toEqual({ quantity: '10', reported: '10' })
    expect(booked([wireFill(), lastFill(over), lastFill(over)])).toEqual({
      quantity: '10',
      reported: '10',
    })
  })

  test.each([
    ['no quantity', { qty: undefined }],
    ['no price', { price: undefined }],
  ])('FIL-09 a last fill with %s - not booked, and the gap stays visible', (_what, over) => {
    expect(booked([wireFill(), lastFill(over)])).toEqual({ quantity: '4', reported: '10' })
  })
})

describe('CON-08 unknown or malformed message', () => {
  test('CON-08 any message - the decoder returns valid fields or a schema error', () => {
    const fields = fc.dictionary(
      fc.constantFrom('event', 'order', 'price', 'qty', 'at', 'execution_id', 'timestamp', 'x'),
      fc.oneof(
        fc.json().map((text): unknown => JSON.parse(text)),
        fc.constant(wireOrder()),
        decimal,
        fc.constant('1e-7'),
      ),
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fields,
          fc.anything(),
          fields.map((some) => wireFill(some)),
        ),
        (message) => {
          try {
            const { order, execution } = readTradeUpdate(message)
            expect(tryDec(order.filledQuantity)).toBe(order.filledQuantity)
            if (execution !== null) expect(cmp(add(execution.quantity, ZERO), ZERO)).not.toBeNaN()
          } catch (error) {
            expect(error).toBeInstanceOf(z.ZodError)
          }
        },
      ),
      { numRuns: 2_000 },
    )
  })

  test('CON-08 unknown event, status and fields - the order is still read', () => {
    const message = wireFill({
      event: 'from_the_future',
      color: 'blue',
      order: wireOrder({ status: 'dreaming', mood: 1 }),
    })
    expect(readTradeUpdate(message)).toMatchObject({
      execution: null,
      order: { status: 'unrecognized', filledQuantity: '4' },
    })
  })

  test.each([1, 2, 3, 4])(
    'CON-08 garbled messages, seed %i - the account ends equal to the ledger',
    async (seed) => {
      const world = await openWorld({ seed })
      world.submit()
      world.submit({ tradeId: 't2', symbol: 'MSFT', quantity: '10' })
      await world.settle()
      for (const [trade, price, part] of [
        ['t1', '180', '40'],
        ['t2', '400', '10'],
        ['t1', '181', '60'],
      ] as const) {
        world.broker.streams.drop() // the event itself never comes; in its place:
        world.fill(trade, price, part)
        world.broker.streams.garble()
        await world.advance(500)
      }
      await world.quiesce()
      expect(world.told('t1')).toContain('trade.filled')
      expect(world.told('t2')).toContain('trade.filled')
    },
  )
})
