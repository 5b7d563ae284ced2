import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { figure, money, stateSyncOf } from '#contract'
import { abs, adopt, dec } from '#domain'
import { readingOf } from '../domain/orders.ts'

/** As decimals that have been multiplied come: up to eighteen places. */
const decimals = fc
  .tuple(
    fc.integer({ min: -99_999_999, max: 99_999_999 }),
    fc.bigInt({ min: 0n, max: 10n ** 18n - 1n }),
  )
  .map(([whole, fraction]) => dec(`${whole}.${fraction.toString().padStart(18, '0')}`))
/** Decimals of a number as JSON writes it. */
function written(value: number): number {
  const [digits = '', exponent = '0'] = JSON.stringify(value).split('e-')
  return (digits.split('.')[1] ?? '').length + Number(exponent)
}

describe('a number that clients get', () => {
  test.each<[string, number, number]>([
    ['97999.28000025304', 97_999.28, 97_999.280000253],
    ['0.005', 0, 0.005],
    ['0.015', 0.02, 0.015],
    ['-0.004', 0, -0.004],
    ['0.0000000015', 0, 0.000000002],
    ['12345678.9', 12_345_678.9, 12_345_678.9],
  ])('%s is %s as money, and %s as a price', (text, asMoney, asFigure) => {
    expect([money(dec(text)), figure(dec(text))]).toEqual([asMoney, asFigure])
    expect(Object.is(money(dec(text)), -0)).toBe(false)
  })

  test('has at most two decimals as money, nine as a figure, and is rounded to nearest', () => {
    fc.assert(
      fc.property(decimals, (value) => {
        expect(written(money(value))).toBeLessThanOrEqual(2)
        expect(written(figure(value))).toBeLessThanOrEqual(9)
        expect(Math.abs(money(value) - Number(value))).toBeLessThanOrEqual(0.005 + 1e-6)
        // Above 2^25 neighbouring binary numbers are further apart than the ninth decimal.
        const apart = Math.abs(Number(value)) * Number.EPSILON
        expect(Math.abs(figure(value) - Number(value))).toBeLessThanOrEqual(Math.max(1e-8, apart))
      }),
    )
  })
})

describe('the totals of a state.sync', () => {
  const accountOf = fc.record({
    cash: decimals,
    price: decimals.map(abs),
    quantity: fc.integer({ min: 1, max: 1_000 }).map((n) => dec(String(n))),
  })

  test('are in cents, and add up', () => {
    fc.assert(
      fc.property(fc.array(accountOf, { minLength: 1, maxLength: 4 }), (accounts) => {
        const all = accounts.map(({ cash, quantity, price }, n) =>
          adopt(
            `c${n}`,
            readingOf({
              cash,
              positions: [
                { symbol: 'BTC/USD', quantity, averageEntryPrice: price, currentPrice: price },
              ],
            }),
          ),
        )
        const { portfolio } = stateSyncOf(
          {
            lastEventId: '1600000000000-00000',
            orders: [],
            accounts: all.map(({ account }) => account),
            positions: all.flatMap(({ positions }) => [...positions.values()]),
          },
          ['portfolio'],
          '2024-03-15T14:00:00.000Z',
        )
        for (const { totalValue, cashBalance, positionsValue } of [
          portfolio!,
          ...(portfolio?.accounts ?? []),
        ]) {
          for (const value of [totalValue, cashBalance, positionsValue])
            expect(written(value)).toBeLessThanOrEqual(2)
          expect(totalValue).toBeCloseTo(cashBalance + positionsValue, 2)
        }
      }),
    )
  })
})
