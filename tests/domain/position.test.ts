import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  add,
  applyFill,
  averageClosedCost,
  averageEntryPrice,
  averageExitPrice,
  dec,
  type Decimal,
  holdingSeconds,
  isNegative,
  marketValue,
  mul,
  neg,
  type Position,
  type PositionChange,
  sub,
  sum,
  unrealizedPnL,
  ZERO,
} from '#domain'
import { at } from './orders.ts'

type Line = readonly ['buy' | 'sell', string, string]

function trade(lines: readonly Line[]): { position: Position | null; changes: PositionChange[] } {
  let position: Position | null = null
  const changes: PositionChange[] = []
  lines.forEach(([side, quantity, price], index) => {
    const fill = {
      connectionId: 'c',
      symbol: 'AAPL',
      side,
      quantity: dec(quantity),
      price: dec(price),
      at: at(index),
      key: `k${index}`,
    }
    const after = applyFill(position, fill)
    position = after.position
    changes.push(...after.changes)
  })
  return { position, changes }
}

describe('applyFill - average cost', () => {
  test.each<[string, Line[], string | null, string | null, string]>([
    ['opens long', [['buy', '10', '100']], '10', '100', 'opened'],
    ['opens short', [['sell', '10', '100']], '-10', '100', 'opened'],
    [
      'grows',
      [
        ['buy', '10', '100'],
        ['buy', '30', '104'],
      ],
      '40',
      '103',
      'opened changed',
    ],
    [
      'reduces, keeping the entry',
      [
        ['buy', '10', '100'],
        ['sell', '4', '130'],
      ],
      '6',
      '100',
      'opened changed',
    ],
    [
      'closes',
      [
        ['buy', '10', '100'],
        ['sell', '10', '130'],
      ],
      null,
      null,
      'opened closed',
    ],
    [
      'closes short',
      [
        ['sell', '10', '100'],
        ['buy', '10', '90'],
      ],
      null,
      null,
      'opened closed',
    ],
    [
      'flips long to short',
      [
        ['buy', '50', '10'],
        ['sell', '80', '12'],
      ],
      '-30',
      '12',
      'opened closed opened',
    ],
    [
      'flips short to long',
      [
        ['sell', '50', '10'],
        ['buy', '80', '12'],
      ],
      '30',
      '12',
      'opened closed opened',
    ],
    [
      'fractions vanish exactly',
      [
        ['buy', '0.1', '3'],
        ['buy', '0.2', '3'],
        ['sell', '0.3', '3'],
      ],
      null,
      null,
      'opened changed closed',
    ],
  ])('%s', (_name, lines, quantity, entry, types) => {
    const { position, changes } = trade(lines)
    expect(position?.quantity ?? null).toBe(quantity)
    expect(position === null ? null : averageEntryPrice(position)).toBe(entry)
    expect(changes.map((change) => change.type).join(' ')).toBe(types)
  })

  test('a close reports the whole life: quantity, averages, profit, holding time', () => {
    const { changes } = trade([
      ['buy', '10', '100'],
      ['sell', '4', '130'],
      ['sell', '6', '90'],
    ])
    const closed = changes.at(-1)!.position
    expect(closed).toMatchObject({
      closedQuantity: '10',
      realizedPnL: '60',
      quantity: '0',
      cost: '0',
    })
    expect([averageClosedCost(closed), averageExitPrice(closed), holdingSeconds(closed)]).toEqual([
      '100',
      '106',
      2,
    ])
  })

  test('short profit is the proceeds less the cost of buying back', () => {
    const { position } = trade([
      ['sell', '10', '100'],
      ['buy', '4', '90'],
    ])
    expect(position).toMatchObject({ quantity: '-6', realizedPnL: '40', cost: '600' })
    expect(unrealizedPnL(position!, dec('95'))).toBe('30')
  })

  const lines = fc.array(
    fc.tuple(
      fc.constantFrom('buy' as const, 'sell' as const),
      fc.integer({ min: 1, max: 9_000_000 }).map((n) => String(n / 1_000)),
      fc.integer({ min: 1, max: 900_000 }).map((n) => String(n / 100)),
    ),
    { minLength: 1, maxLength: 30 },
  )

  test('cash spent = open value + losses: rounding loses nothing, for any fills', () => {
    fc.assert(
      fc.property(lines, (fills) => {
        const { position, changes } = trade(fills)
        const spent: Decimal = sum(
          fills.map(([side, q, p]) =>
            side === 'buy' ? mul(dec(q), dec(p)) : neg(mul(dec(q), dec(p))),
          ),
        )
        const closed = changes.filter((c) => c.type === 'closed').map((c) => c.position.realizedPnL)
        const realized = add(sum(closed), position?.realizedPnL ?? ZERO)
        const cost =
          position === null
            ? ZERO
            : isNegative(position.quantity)
              ? neg(position.cost)
              : position.cost
        expect(spent).toBe(sub(cost, realized))
        if (position !== null)
          expect(unrealizedPnL(position)).toBe(sub(marketValue(position), cost))
      }),
    )
  })
})

describe('an average entry price', () => {
  /** `"12.5"` as a whole number of billionths. */
  const nano = (value: Decimal): bigint => {
    const [whole = '0', fraction = ''] = value.split('.')
    return BigInt(`${whole}${fraction.padEnd(9, '0')}`)
  }
  const upTo = (max: bigint) =>
    fc.bigInt({ min: 1n, max: max * 10n ** 9n }).map((n) => {
      const digits = n.toString().padStart(10, '0')
      return dec(`${digits.slice(0, -9)}.${digits.slice(-9)}`)
    })

  test('differs from the exact average by less than a billionth, after any closes', () => {
    const buys = fc.array(fc.tuple(upTo(1_000n), upTo(1_000n)), { minLength: 1, maxLength: 5 })
    const closedShares = fc.array(fc.integer({ min: 1, max: 99 }), { maxLength: 5 })
    fc.assert(
      fc.property(
        fc.constantFrom('buy', 'sell'),
        buys,
        closedShares,
        upTo(1_000n),
        (side, entries, closes, exit) => {
          const opening = entries.map(([quantity, price]): Line => [side, quantity, price])
          let position = trade(opening).position!
          for (const percent of closes) {
            const held = nano(position.quantity.replace('-', '') as Decimal)
            const part = ((held * BigInt(percent)) / 100n).toString().padStart(10, '0')
            const quantity = dec(`${part.slice(0, -9)}.${part.slice(-9)}`)
            if (quantity === ZERO) continue
            const fill = {
              connectionId: 'c',
              symbol: 'AAPL',
              quantity,
              price: exit,
              at: at(50),
              key: `${percent}`,
            }
            position = applyFill(position, {
              ...fill,
              side: side === 'buy' ? 'sell' : 'buy',
            }).position!
          }
          // Closing at the average leaves the average: it is the sum of all that was paid over all
          // that was bought.
          const paid = entries.reduce(
            (total, [quantity, price]) => total + nano(quantity) * nano(price),
            0n,
          )
          const bought = entries.reduce((total, [quantity]) => total + nano(quantity), 0n)
          const apart = nano(averageEntryPrice(position)) * bought - paid
          expect(apart < 0n ? -apart < bought : apart < bought).toBe(true)
        },
      ),
      { numRuns: 300 },
    )
  })
})
