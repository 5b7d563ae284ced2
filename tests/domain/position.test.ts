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

  test('a close tells the whole life: quantity, averages, profit, holding time', () => {
    const { changes } = trade([
      ['buy', '10', '100'],
      ['sell', '4', '130'],
      ['sell', '6', '90'],
    ])
    const closed = changes.at(-1)!.position
    expect(closed).toMatchObject({ closedQuantity: '10', realizedPnL: '60', quantity: '0', cost: '0' })
    expect([averageClosedCost(closed), averageExitPrice(closed), holdingSeconds(closed)]).toEqual(['100', '106', 2])
  })

  test('short profit is what was brought in less what it cost to buy back', () => {
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

  test('cash spent = open value + losses: nothing is lost to rounding, whatever the fills', () => {
    fc.assert(
      fc.property(lines, (fills) => {
        const { position, changes } = trade(fills)
        const spent: Decimal = sum(
          fills.map(([side, q, p]) => (side === 'buy' ? mul(dec(q), dec(p)) : neg(mul(dec(q), dec(p))))),
        )
        const closed = changes.filter((c) => c.type === 'closed').map((c) => c.position.realizedPnL)
        const realized = add(sum(closed), position?.realizedPnL ?? ZERO)
        const cost = position === null ? ZERO : isNegative(position.quantity) ? neg(position.cost) : position.cost
        expect(spent).toBe(sub(cost, realized))
        if (position !== null) expect(unrealizedPnL(position)).toBe(sub(marketValue(position), cost))
      }),
    )
  })
})
