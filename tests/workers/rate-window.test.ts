import { expect, test } from 'vitest'
import { RateWindow } from '../../workers/accounts/rate-window.ts'

test('an allowance is a number of times in any minute, wherever the minute begins', () => {
  const allowance = new RateWindow(2)
  const taken = [0, 10_000, 20_000, 59_999, 60_000, 69_999, 70_000].map((atMs) =>
    allowance.take(atMs),
  )
  expect(taken).toEqual([true, true, false, false, true, false, true])
})
