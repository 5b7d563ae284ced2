import { expect, test } from 'vitest'
import { tradingDayOf } from '#domain'

// New York is four hours behind UTC in summer and five in winter; clocks changed on 2026-03-08 at
// 07:00 UTC.
test.each([
  ['a second before midnight in winter', '2026-01-06T04:59:59.999Z', '2026-01-05'],
  ['midnight in winter', '2026-01-06T05:00:00.000Z', '2026-01-06'],
  ['before midnight, the day before summer time', '2026-03-08T04:59:59.999Z', '2026-03-07'],
  ['an hour before the first midnight in summer time', '2026-03-09T03:00:00.000Z', '2026-03-08'],
  ['midnight in summer time', '2026-03-09T04:00:00.000Z', '2026-03-09'],
])('%s', (_when, time, day) => {
  expect(tradingDayOf(Date.parse(time))).toBe(day)
  expect(tradingDayOf(Date.parse(time))).toBe(day)
})

test('asked back and forth over midnight, each time has its own day', () => {
  const midnight = Date.parse('2026-01-06T05:00:00Z')
  const days = [-1, 0, -1, 1, -900_000, 900_000].map((offset) => tradingDayOf(midnight + offset))
  expect(days).toEqual([
    '2026-01-05',
    '2026-01-06',
    '2026-01-05',
    '2026-01-06',
    '2026-01-05',
    '2026-01-06',
  ])
})
