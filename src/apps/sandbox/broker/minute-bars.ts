import type { CancelTimer, Clock } from '#runtime'
import type { Prices } from './prices.ts'

/**
 * Minute bars of printed trades. A bar is running until its minute is over; then it is closed and
 * never changes. A minute without a trade has no bar. Market data is written as JSON numbers, so
 * the bars hold plain numbers.
 */
export interface MinuteBars {
  /**
   * The running bar and the closed bars, oldest first, of the last `BARS_PER_SYMBOL_MAX` minutes
   * that had a trade.
   */
  of(symbol: string): readonly MinuteBar[]
  /** The earliest time at which a trade could print. */
  readonly startedMs: number
  onClose(listener: (symbol: string, bar: MinuteBar) => void): void
  stop(): void
}

/** One bar. `value` is the sum of price times size, for the volume-weighted average. */
export type MinuteBar = {
  readonly startMs: number
  readonly open: number
  high: number
  low: number
  close: number
  volume: number
  trades: number
  value: number
}

/** A week of minutes. */
const BARS_PER_SYMBOL_MAX = 7 * 24 * 60
export const MINUTE_MS = 60_000

type Series = { readonly closed: MinuteBar[]; running: MinuteBar | undefined }

/** Starts recording the bars. */
export function recordMinuteBars(prices: Prices, clock: Clock): MinuteBars {
  const startedMs = clock.now()
  const bySymbol = new Map<string, Series>()
  const listeners: ((symbol: string, bar: MinuteBar) => void)[] = []

  const closeBefore = (minuteMs: number, symbol: string, series: Series): void => {
    const { running, closed } = series
    if (running === undefined || running.startMs >= minuteMs) return
    series.running = undefined
    closed.push(running)
    if (closed.length > BARS_PER_SYMBOL_MAX) closed.shift()
    listeners.forEach((listener) => listener(symbol, running))
  }

  prices.onTick(({ market, traded }) => {
    if (!traded) return
    const { symbol } = market.asset
    const series = bySymbol.get(symbol) ?? { closed: [], running: undefined }
    bySymbol.set(symbol, series)
    const nowMs = clock.now()
    const startMs = nowMs - (nowMs % MINUTE_MS)
    closeBefore(startMs, symbol, series)
    series.running = withTrade(series.running, startMs, market.last.toNumber(), market.lastSize)
  })

  let cancel: CancelTimer
  const closeEveryMinute = (): void => {
    const nowMs = clock.now()
    for (const [symbol, series] of bySymbol)
      closeBefore(nowMs - (nowMs % MINUTE_MS), symbol, series)
    cancel = clock.after(MINUTE_MS - (nowMs % MINUTE_MS), closeEveryMinute)
  }
  closeEveryMinute()
  return {
    of(symbol) {
      const { closed, running } = bySymbol.get(symbol) ?? { closed: [], running: undefined }
      return running === undefined ? closed : [...closed, running]
    },
    startedMs,
    onClose: (listener) => void listeners.push(listener),
    stop: () => cancel(),
  }
}

function withTrade(
  bar: MinuteBar | undefined,
  startMs: number,
  price: number,
  size: number,
): MinuteBar {
  if (bar === undefined) {
    const value = price * size
    return {
      startMs,
      open: price,
      high: price,
      low: price,
      close: price,
      volume: size,
      trades: 1,
      value,
    }
  }
  bar.high = Math.max(bar.high, price)
  bar.low = Math.min(bar.low, price)
  bar.close = price
  bar.volume += size
  bar.trades += 1
  bar.value += price * size
  return bar
}
