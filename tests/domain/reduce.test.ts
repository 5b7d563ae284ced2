import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  add,
  type BrokerStatus,
  type Change,
  dec,
  mul,
  neg,
  type OrderStatus,
  type OrderUpdate,
  sub,
  sum,
  transitionOf,
} from '#domain'
import {
  at,
  brokerOrder,
  claimed,
  claimOf,
  executionOf,
  history,
  intentOf,
  play,
  seen,
} from './orders.ts'

const types = (changes: readonly Change[]): string[] => changes.map((change) => change.type)
const isEnding = (change: Change): boolean =>
  change.type === 'order.ended' || (change.type === 'order.executed' && change.completed)

test('executions after a bust do not complete an order that is partly open again', () => {
  const bust = { id: 'x40', quantity: dec('40'), price: dec('180'), corrected: null, at: at(3) }
  const { slice } = play([
    claimed(),
    seen(brokerOrder('partially_filled', '40', 2), executionOf('40', '180', '40', 2)),
    { type: 'bust', brokerOrderId: 'b1', bust },
    seen(brokerOrder('partially_filled', '60', 4), executionOf('60', '181', '60', 4)),
  ])
  expect(slice.order).toMatchObject({
    status: 'partially_filled',
    cumulativeQuantity: '60',
    totalCost: '10860',
  })
})

describe('reduce - the friendly path', () => {
  test('one fill: submitted, executed, position, cash, in this order', () => {
    const { slice, changes } = play([claimed(), ...history([['100', '180.5']], 'filled')])
    expect(types(changes)).toEqual([
      'order.submitted',
      'order.executed',
      'position.opened',
      'cash.changed',
    ])
    expect(slice.order).toMatchObject({
      status: 'filled',
      cumulativeQuantity: '100',
      totalCost: '18050',
    })
    expect(slice.position).toMatchObject({ quantity: '100', cost: '18050' })
    expect(slice.account?.cash).toBe('81950')
  })

  test('partial fills add up to the last unit', () => {
    const { slice, changes } = play([
      claimed(),
      ...history(
        [
          ['33.333333333', '10.01'],
          ['66.666666667', '9.99'],
        ],
        'filled',
      ),
    ])
    expect(types(changes)).toEqual([
      'order.submitted',
      'order.executed',
      'position.opened',
      'cash.changed',
      'order.executed',
      'position.changed',
      'cash.changed',
    ])
    expect(slice.order?.totalCost).toBe(
      add(mul(dec('33.333333333'), dec('10.01')), mul(dec('66.666666667'), dec('9.99'))),
    )
  })

  test('canceled with 40 of 41 filled keeps the 40', () => {
    const { slice, changes } = play([
      claimed(intentOf({ quantity: dec('41') })),
      ...history([['40', '10']], 'canceled'),
    ])
    expect(slice.order).toMatchObject({ status: 'canceled', cumulativeQuantity: '40' })
    expect(types(changes).at(-1)).toBe('order.ended')
  })
})

describe('reduce - the unfriendly paths', () => {
  test('fill before the answer to the request - submitted still comes first', () => {
    const [acknowledged, filled] = history([['100', '180.5']], 'filled')
    const { changes } = play([claimed(), filled!, acknowledged!])
    expect(types(changes)).toEqual([
      'order.submitted',
      'order.executed',
      'position.opened',
      'cash.changed',
    ])
  })

  test('the ending waits for the executions that it counts', () => {
    const [, first, second] = history(
      [
        ['40', '10'],
        ['60', '11'],
      ],
      'filled',
    )
    const early = play([claimed(), second!])
    expect(early.slice.order).toMatchObject({
      status: 'submitted',
      cumulativeQuantity: '0',
      placements: [{ reportedQuantity: '100' }],
    })
    expect(play([first!], early.slice).slice.order).toMatchObject({
      status: 'filled',
      cumulativeQuantity: '100',
    })
  })

  test('a late fill after a cancel counts, and is reported as a correction', () => {
    const { slice, changes } = play([
      claimed(),
      seen(brokerOrder('partially_filled', '40', 2), executionOf('40', '10', '40', 2)),
      seen(brokerOrder('canceled', '40', 50)),
      seen(brokerOrder('partially_filled', '45', 60), executionOf('5', '10', '45', 60)),
    ])
    expect(slice.order).toMatchObject({ status: 'canceled', cumulativeQuantity: '45' })
    expect(types(changes).slice(-3)).toEqual([
      'order.corrected',
      'position.changed',
      'cash.changed',
    ])
  })

  test('a refusal is believed only without evidence that the order exists', () => {
    const refused = {
      type: 'refused',
      code: 'BROKER_REJECTED',
      brokerCode: '40310000',
      message: 'no',
      at: at(2),
    } as const
    expect(play([claimed(), refused]).slice.order?.status).toBe('rejected')
    const contradicted = play([claimed(), seen(brokerOrder('new', '0', 1)), refused])
    expect(contradicted.slice.order?.status).toBe('submitted')
    expect(types(contradicted.changes)).toContain('anomaly')
  })

  test('more executed than ordered - booked and reported', () => {
    const over = seen(brokerOrder('filled', '101', 60), executionOf('1', '10', '101', 60))
    const { slice, changes } = play([claimed(), ...history([['100', '10']], 'filled'), over])
    expect(slice.position?.quantity).toBe('101')
    expect(types(changes)).toContain('anomaly')
  })

  test('an order sized in money is complete when the broker reports it filled', () => {
    const byMoney = { quantity: null, notional: dec('500') }
    const { slice, changes } = play([
      claimed(intentOf(byMoney)),
      seen(brokerOrder('new', '0', 1, byMoney)),
      seen(
        brokerOrder('filled', '2.5', 2, { ...byMoney, notional: dec('500') }),
        executionOf('2.5', '200', '2.5', 2),
      ),
    ])
    expect(slice.order).toMatchObject({ status: 'filled', quantity: '2.5', totalCost: '500' })
    expect(changes.filter(isEnding)).toHaveLength(1)
  })
})

const slices = fc.array(
  fc.tuple(
    fc.integer({ min: 1, max: 5_000_000 }).map((n) => String(n / 1_000)),
    fc.integer({ min: 1, max: 90_000 }).map((n) => String(n / 100)),
  ),
  { minLength: 1, maxLength: 5 },
)
const endings = fc.constantFrom<BrokerStatus | null>(
  'filled',
  'canceled',
  'expired',
  'rejected',
  'done_for_day',
  null,
)

/** Every update at least once, some again, in any order. */
const scrambled = fc
  .tuple(slices, endings)
  .map(([parts, ending]) => history(parts, ending))
  .chain((updates) =>
    fc.record({
      updates: fc.constant(updates),
      arrivals: fc
        .array(fc.nat({ max: updates.length - 1 }), { maxLength: 12 })
        .chain((repeats) => {
          const all = [...updates.keys(), ...repeats]
          return fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length })
        }),
    }),
  )

describe('reduce - any order, repetition or interleaving of the same broker updates', () => {
  test('gives the same final state, submitted first, at most one ending', () => {
    fc.assert(
      fc.property(scrambled, ({ updates, arrivals }) => {
        const straight = play([claimOf(updates), ...updates])
        const arrived = play([claimOf(updates), ...arrivals.map((index) => updates[index]!)])
        expect(arrived.slice).toEqual(straight.slice)
        expect(types(arrived.changes)).not.toContain('anomaly')
        expect(types(arrived.changes)[0]).toBe('order.submitted')
        expect(arrived.changes.filter((c) => c.type === 'order.submitted')).toHaveLength(1)
        expect(arrived.changes.filter(isEnding).length).toBe(
          straight.changes.filter(isEnding).length,
        )
        expect(straight.changes.filter(isEnding).length).toBeLessThanOrEqual(1)
      }),
      { numRuns: 500 },
    )
  })

  test('books every execution once: position, cash and total agree exactly', () => {
    fc.assert(
      fc.property(scrambled, ({ updates, arrivals }) => {
        const { slice } = play([claimOf(updates), ...arrivals.map((index) => updates[index]!)])
        const executions = updates.flatMap((u) =>
          u.type === 'broker_order' && u.execution ? [u.execution] : [],
        )
        const quantity = sum(executions.map((x) => x.quantity))
        const cost = sum(executions.map((x) => mul(x.quantity, x.price)))
        expect(slice.order?.cumulativeQuantity).toBe(quantity)
        expect(slice.position?.quantity).toBe(quantity)
        expect(slice.position?.cost).toBe(cost)
        expect(sub(slice.account!.cash, dec('100000'))).toBe(neg(cost))
      }),
    )
  })

  test('the activity list and the stream report the same executions', () => {
    fc.assert(
      fc.property(scrambled, ({ updates, arrivals }) => {
        const fromList = updates.flatMap((u): OrderUpdate[] =>
          u.type === 'broker_order' && u.execution
            ? [
                {
                  type: 'execution',
                  brokerOrderId: 'b1',
                  execution: { ...u.execution, executionId: null },
                },
              ]
            : [],
        )
        const mixed = arrivals.flatMap((index) => [
          updates[index]!,
          ...fromList.slice(index % 2, index),
        ])
        const arrived = play([claimOf(updates), updates[0]!, ...mixed])
        const straight = play([claimOf(updates), ...updates])
        expect(arrived.slice.order?.cumulativeQuantity).toBe(
          straight.slice.order?.cumulativeQuantity,
        )
        expect(arrived.slice.position).toEqual(straight.slice.position)
        expect(arrived.slice.account).toEqual(straight.slice.account)
      }),
    )
  })
})

describe('the transition table', () => {
  const signals = [
    'acknowledged',
    'fill',
    'fillLast',
    'expired',
    'replaced',
    'canceled',
    'rejected',
  ] as const

  test('two signals in any order lead to the same end', () => {
    const ends = (...path: (typeof signals)[number][]) =>
      path.reduce<OrderStatus>(
        (status, signal) => transitionOf(status, signal) ?? status,
        'submitted',
      )
    for (const a of signals)
      for (const b of signals)
        for (const c of signals) {
          const all = [
            [a, b, c],
            [a, c, b],
            [b, a, c],
            [b, c, a],
            [c, a, b],
            [c, b, a],
          ] as const
          expect(new Set(all.map((path) => ends(...path))).size, `${a} ${b} ${c}`).toBe(1)
        }
  })

  test.each([
    ['submitting', 'acknowledged', 'submitted'],
    ['submitting', 'fill', 'partially_filled'],
    ['submitting', 'denied', 'denied'],
    ['submitting', 'refused', 'rejected'],
    ['submitted', 'denied', null],
    ['submitted', 'refused', null],
    ['partially_filled', 'rejected', 'canceled'],
    ['canceled', 'fill', 'canceled'],
    ['canceled', 'fillLast', 'filled'],
    ['filled', 'canceled', 'filled'],
    ['denied', 'acknowledged', 'submitted'],
  ] as const)('%s + %s -> %s', (from, signal, to) => expect(transitionOf(from, signal)).toBe(to))
})

test('a fill of a pair in another coin is not booked as dollars; the account is read', () => {
  const pair = { symbol: 'ETH/BTC', quantity: dec('2') }
  const view = brokerOrder('filled', '2', 3, { ...pair, filledAveragePrice: dec('0.05') })
  const { slice, changes } = play([seen(view, executionOf('2', '0.05', '2', 3))])
  expect(slice).toMatchObject({
    order: { status: 'filled' },
    position: null,
    account: { cash: '100000' },
  })
  expect(changes.map(({ type }) => type)).not.toContain('cash.changed')
})
