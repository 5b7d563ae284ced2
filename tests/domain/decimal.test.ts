import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { abs, add, cmp, dec, div, isNegative, mul, neg, sub, tryDec } from '#domain'

const decimals = fc
  .tuple(fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n }), fc.integer({ min: 0, max: 9 }))
  .map(([n, places]) => {
    const digits = (n < 0n ? -n : n).toString().padStart(places + 1, '0')
    return `${n < 0n ? '-' : ''}${digits.slice(0, digits.length - places)}${places ? `.${digits.slice(-places)}` : ''}`
  })

describe('Decimal', () => {
  test.each([
    ['1.50', '1.5'],
    ['-0', '0'],
    ['-0.000', '0'],
    ['007', '7'],
    ['0.50', '0.5'],
    ['-0.5', '-0.5'],
    ['10.0', '10'],
    ['1000000', '1000000'],
    ['0.0000001', '0.0000001'],
    ['123456789012345678901234567890', '123456789012345678901234567890'],
  ])('%s is written %s', (text, canonical) => expect(dec(text)).toBe(canonical))

  test.each(['', ' 1', '1e3', '+1', 'NaN', 'Infinity', '1.', '.5', '1,5', '0x10', '--1'])(
    '%j is refused',
    (text) => {
      expect(tryDec(text)).toBeNull()
      expect(() => dec(text)).toThrow(TypeError)
    },
  )

  test('parsing a parsed decimal changes nothing, and equal decimals are ===', () => {
    fc.assert(fc.property(decimals, (text) => void expect(dec(dec(text))).toBe(dec(text))))
    fc.assert(
      fc.property(
        decimals,
        decimals,
        (a, b) => void expect(cmp(dec(a), dec(b)) === 0).toBe(dec(a) === dec(b)),
      ),
    )
  })

  test('sums and products are exact', () => {
    fc.assert(
      fc.property(decimals, decimals, decimals, (a, b, c) => {
        const x = dec(a)
        const y = dec(b)
        const z = dec(c)
        expect(sub(add(x, y), y)).toBe(x)
        expect(mul(x, add(y, z))).toBe(add(mul(x, y), mul(x, z)))
        expect(neg(neg(x))).toBe(x)
        expect([add(x, neg(x)), sub(dec('0'), x), add(x, dec('0'))]).toEqual(['0', neg(x), x])
        expect(dec(neg(x))).toBe(neg(x))
        expect(isNegative(abs(x))).toBe(false)
      }),
    )
  })

  test('division rounds half to even', () => {
    expect([
      div(dec('1'), dec('3')),
      div(dec('1'), dec('8'), 2),
      div(dec('3'), dec('8'), 2),
    ]).toEqual(['0.333333333', '0.12', '0.38'])
  })
})
