import type { CancelTimer, Clock } from '#runtime'
import type { Randomness } from '../randomness.ts'
import type { News } from './data-stream.ts'

/**
 * FAKEPACA, the symbol of `/v2/test`: it trades day and night in any market phase; it cannot be
 * ordered.
 */
export const TEST_SYMBOL = 'FAKEPACA'

const INTERVAL_MS = 1_000
const MINUTE_MS = 60_000
const BASE_CENTS = 13_000
const SWING_CENTS = 200

/** One quote and one trade a second, one bar a minute. */
export function startTestSymbol(
  clock: Clock,
  randomness: Randomness,
  publish: (news: readonly News[]) => unknown,
): CancelTimer {
  let tradeId = 0
  let minute: { startMs: number; prices: number[]; volume: number } = {
    startMs: 0,
    prices: [],
    volume: 0,
  }
  return clock.every(INTERVAL_MS, () => {
    const nowMs = clock.now()
    const t = new Date(nowMs)
    const cents = BASE_CENTS + randomness.integer(-SWING_CENTS, SWING_CENTS)
    const p = cents / 100
    const s = randomness.integer(1, 10) * 10
    tradeId += 1
    const venue = { S: TEST_SYMBOL, z: 'C', t }
    const news: News[] = []
    const startMs = nowMs - (nowMs % MINUTE_MS)
    if (startMs !== minute.startMs) {
      if (minute.prices.length > 0)
        news.push(['bars', { T: 'b', S: TEST_SYMBOL, ...barOf(minute) }])
      minute = { startMs, prices: [], volume: 0 }
    }
    minute.prices.push(p)
    minute.volume += s
    publish([
      ...news,
      [
        'quotes',
        {
          T: 'q',
          ...venue,
          bx: 'V',
          bp: (cents - 1) / 100,
          bs: 1,
          ax: 'V',
          ap: (cents + 1) / 100,
          as: 1,
          c: ['R'],
        },
      ],
      ['trades', { T: 't', ...venue, i: tradeId, x: 'V', p, s, c: ['@'] }],
    ])
  })
}

function barOf({
  startMs,
  prices,
  volume,
}: {
  startMs: number
  prices: readonly number[]
  volume: number
}) {
  const o = prices[0]
  const c = prices.at(-1)
  const vw =
    Math.round((prices.reduce((sum, price) => sum + price, 0) / prices.length) * 10_000) / 10_000
  return {
    o,
    h: Math.max(...prices),
    l: Math.min(...prices),
    c,
    v: volume,
    n: prices.length,
    vw,
    t: new Date(startMs),
  }
}
