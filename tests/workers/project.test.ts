import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type LoggedEvent, serverEvents } from '#contract'
import {
  type Change,
  dec,
  type Decimal,
  type OrderIntent,
  type OrderUpdate,
  reduce,
  type Slice,
  sum,
} from '#domain'
import { project } from '../../workers/state/project.ts'
import {
  at,
  brokerOrder,
  claimed,
  emptySlice,
  executionOf,
  history,
  intentOf,
  orderKey,
  seen,
} from '../domain/orders.ts'

const NOW = '2024-03-15T15:00:00.000Z'

/** The events of a life, each checked against its schema. */
function tell(
  updates: readonly OrderUpdate[],
  origin: 'fillcast' | 'external' = 'fillcast',
  from: Slice = emptySlice,
  cashElsewhere: Decimal | null = null,
): LoggedEvent[] {
  let slice = from
  const changes: Change[] = []
  for (const update of updates) {
    const reduced = reduce(slice, update, { ...orderKey, origin })
    slice = reduced.slice
    changes.push(...reduced.changes)
  }
  const events = project('u1', changes, NOW, cashElsewhere)
  for (const { event, payload } of events) serverEvents[event].schema.parse(payload)
  return events
}

const brief = (events: readonly LoggedEvent[]): string[] => events.map(({ event }) => event)

describe('project', () => {
  test('a trade from request to fill, with every field that the contract prints', () => {
    const events = tell([claimed(), ...history([['100', '180.5']], 'filled')])
    expect(events).toMatchObject([
      {
        event: 'trade.submitted',
        payload: {
          tradeId: 't1',
          quantity: 100,
          orderType: 'market',
          side: 'buy',
          brokerOrderId: 'b1',
          submittedAt: at(1),
        },
      },
      {
        event: 'trade.filled',
        payload: {
          quantity: 100,
          fillPrice: 180.5,
          totalCost: 18_050,
          executionTime: 1_000,
          filledAt: at(2),
          timestamp: NOW,
        },
      },
      {
        event: 'portfolio.positionAdded',
        payload: {
          position: {
            symbol: 'AAPL',
            quantity: 100,
            averageEntryPrice: 180.5,
            unrealizedPnL: 0,
            stopLossPrice: null,
          },
        },
      },
      {
        event: 'portfolio.balanceChanged',
        payload: {
          oldBalance: 100_000,
          newBalance: 81_950,
          change: -18_050,
          reason: 'TRADE_EXECUTED',
        },
      },
    ])
    for (const { payload } of events)
      expect(payload).toMatchObject({ userId: 'u1', brokerConnectionId: 'broker_1' })
  })

  test.each<[Partial<OrderIntent>, object, string[]]>([
    [{}, {}, ['limitPrice', 'stopPrice']],
    [{ orderType: 'limit', limitPrice: dec('180.25') }, { limitPrice: 180.25 }, ['stopPrice']],
    [{ orderType: 'stop', stopPrice: dec('170') }, { stopPrice: 170 }, ['limitPrice']],
    [
      { orderType: 'stop_limit', limitPrice: dec('169.5'), stopPrice: dec('170') },
      { limitPrice: 169.5, stopPrice: 170 },
      [],
    ],
  ])('a submitted order %j carries the prices that it has', (terms, prices, absent) => {
    const order = brokerOrder('new', '0', 1, terms)
    const [submitted] = tell([claimed(intentOf(terms)), seen(order)])
    expect(submitted).toMatchObject({ event: 'trade.submitted', payload: prices })
    for (const field of absent) expect(submitted?.payload).not.toHaveProperty(field)
  })

  test('cash and P&L are in cents, other figures to nine decimals, changes add up', () => {
    const upTo = (max: bigint) =>
      fc.bigInt({ min: 1n, max: max * 10n ** 9n }).map((n) => {
        const digits = n.toString().padStart(10, '0')
        return dec(`${digits.slice(0, -9)}.${digits.slice(-9)}`)
      })
    const fills = fc.array(fc.tuple(upTo(50n), upTo(500n)), { minLength: 1, maxLength: 6 })
    const placesOf = (value: number): number =>
      (/e-9$|\.(\d+)$/.exec(JSON.stringify(value))?.[1] ?? '').length
    fc.assert(
      fc.property(fills, upTo(100_000n), (parts, elsewhere) => {
        const quantity = sum(parts.map(([part]) => part))
        const lines = parts.map(([part, price]): [string, string] => [part, price])
        const events = tell(
          [claimed(intentOf({ quantity })), ...history(lines, 'filled')],
          'fillcast',
          emptySlice,
          elsewhere,
        )
        let cash: number | null = null
        for (const { event, payload } of events) {
          const fields = Object.entries<unknown>(
            event === 'portfolio.positionAdded' ? payload.position : payload,
          )
          for (const [field, value] of fields) {
            if (typeof value !== 'number' || field === 'executionTime') continue
            const isMoney = /Balance$|^change$|PnL$/.test(field)
            expect([field, placesOf(value) <= (isMoney ? 2 : 9)]).toEqual([field, true])
          }
          if (event !== 'portfolio.balanceChanged') continue
          const { oldBalance, newBalance, change } = payload
          expect(oldBalance).toBe(cash ?? oldBalance)
          expect(change).toBe(Math.round((newBalance - oldBalance) * 100) / 100)
          cash = newBalance
        }
      }),
      { numRuns: 60 },
    )
  })

  test('partial fills carry quantity, filled, remaining, and the average so far', () => {
    const [, first, , , second] = tell([
      claimed(),
      ...history(
        [
          ['40', '10'],
          ['60', '11'],
        ],
        'filled',
      ),
    ])
    expect(first).toMatchObject({
      event: 'trade.partialFill',
      payload: {
        requestedQuantity: 100,
        filledQuantity: 40,
        remainingQuantity: 60,
        averageFillPrice: 10,
      },
    })
    expect(second).toMatchObject({
      event: 'trade.filled',
      payload: { quantity: 100, fillPrice: 10.6, totalCost: 1_060 },
    })
  })

  test.each([
    ['canceled', 'broker', 'Canceled at the broker'],
    ['expired', 'broker', 'The order expired'],
  ] as const)('%s at the broker is reported as cancelled', (ending, cancelledBy, reason) => {
    expect(
      tell([claimed(intentOf({ quantity: dec('41') })), ...history([['40', '10']], ending)]).at(-1),
    ).toMatchObject({
      event: 'trade.cancelled',
      payload: { cancelledBy, reason, filledQuantity: 40 },
    })
  })

  test('an expiry while a cancel is pending is the broker’s, not the canceler’s', () => {
    const request = {
      commandId: 'c',
      by: 'user',
      reason: 'changed my mind',
      requestedAt: at(1),
    } as const
    const events = tell([
      claimed(),
      ...history([], null),
      { type: 'cancel_requested', request },
      seen(brokerOrder('expired', '0', 50)),
    ])
    expect(events.at(-1)).toMatchObject({
      event: 'trade.cancelled',
      payload: { cancelledBy: 'broker', reason: 'The order expired' },
    })
  })

  test('a requested cancel names its requester', () => {
    const request = {
      commandId: 'c',
      by: 'user',
      reason: 'changed my mind',
      requestedAt: at(1),
    } as const
    const events = tell([
      claimed(),
      ...history([], null),
      { type: 'cancel_requested', request },
      seen(brokerOrder('canceled', '0', 50)),
    ])
    expect(events.at(-1)).toMatchObject({
      event: 'trade.cancelled',
      payload: { cancelledBy: 'user', reason: 'changed my mind' },
    })
  })

  test('a refusal and a denial are reported with the contract’s reason and our code', () => {
    const refused = {
      type: 'refused',
      code: 'SYMBOL_NOT_TRADABLE',
      brokerCode: '42210000',
      message: 'no',
      at: at(2),
    } as const
    const denied = {
      type: 'denied',
      code: 'EXPIRED_BEFORE_SUBMIT',
      message: 'late',
      at: at(2),
    } as const
    expect(tell([claimed(), refused])).toMatchObject([
      {
        event: 'trade.rejected',
        payload: { reason: 'INVALID_SYMBOL', code: 'SYMBOL_NOT_TRADABLE', brokerCode: '42210000' },
      },
    ])
    expect(tell([claimed(), denied])).toMatchObject([
      { event: 'trade.rejected', payload: { reason: 'RISK_LIMIT_EXCEEDED', message: 'late' } },
    ])
  })

  test('an order sized in money has no quantity until it is filled', () => {
    const byMoney = { quantity: null, notional: dec('500') }
    const filled = seen(
      brokerOrder('filled', '2.5', 2, byMoney),
      executionOf('2.5', '200', '2.5', 2),
    )
    const [submitted, done] = tell([
      claimed(intentOf(byMoney)),
      seen(brokerOrder('new', '0', 1, byMoney)),
      filled,
    ])
    expect(submitted).toMatchObject({
      event: 'trade.submitted',
      payload: { quantity: null, notional: 500 },
    })
    expect(done).toMatchObject({
      event: 'trade.filled',
      payload: { quantity: 2.5, totalCost: 500 },
    })
  })

  test('an order placed elsewhere changes the portfolio and makes no trade events', () => {
    expect(brief(tell(history([['100', '10']], 'filled'), 'external'))).toEqual([
      'portfolio.positionAdded',
      'portfolio.balanceChanged',
    ])
  })

  test('a flip closes one position and opens another, each with its own life', () => {
    const long = reduce(emptySlice, claimed(intentOf({ quantity: dec('50') })), orderKey).slice
    const bought = history([['50', '10']], 'filled').reduce(
      (slice: Slice, update) => reduce(slice, update, orderKey).slice,
      long,
    )
    const flat = { ...bought, order: null }
    const sell = { side: 'sell', quantity: dec('80') } as const
    const sold = seen(brokerOrder('filled', '80', 9, sell), executionOf('80', '12', '80', 9))
    const events = tell([claimed(intentOf(sell)), sold], 'fillcast', flat)
    expect(brief(events)).toEqual([
      'trade.submitted',
      'trade.filled',
      'portfolio.positionClosed',
      'portfolio.positionAdded',
      'portfolio.balanceChanged',
    ])
    expect(events[2]).toMatchObject({
      payload: { quantity: 50, entryPrice: 10, exitPrice: 12, realizedPnL: 100, holdingPeriod: 7 },
    })
    expect(events[3]).toMatchObject({
      payload: { position: { quantity: -30, averageEntryPrice: 12 } },
    })
  })
})
