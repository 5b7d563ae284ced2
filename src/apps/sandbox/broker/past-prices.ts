import { createRandomness } from '../randomness.ts'
import { MINUTE_MS, type MinuteBar } from './minute-bars.ts'
import type { Market } from './prices.ts'

/**
 * Prices from before the start of the sandbox, made up but always the same: a line through one
 * random point an hour, up to the base price at which the day of the start opens. Bars of every
 * length are cut from the same line, so all timeframes agree.
 */

const HOUR_MS = 60 * MINUTE_MS
const SWING = 0.03
const VOLUME_PER_MINUTE = 100
const TRADES_PER_MINUTE = 5

const cents = (price: number): number => Math.round(price * 100) / 100

/** The price at an hour. @param settledMs from this time on the price is the base price */
function priceAtHour({ asset, basePrice }: Market, hour: number, settledMs: number): number {
  const base = basePrice.toNumber()
  if (hour * HOUR_MS >= settledMs) return base
  return base * (1 + SWING * (2 * createRandomness(`${asset.symbol}/${hour}`).fraction() - 1))
}

function priceAt(market: Market, timeMs: number, settledMs: number): number {
  const hour = Math.floor(timeMs / HOUR_MS)
  const from = priceAtHour(market, hour, settledMs)
  const to = priceAtHour(market, hour + 1, settledMs)
  return cents(from + ((to - from) * (timeMs - hour * HOUR_MS)) / HOUR_MS)
}

/** The bar of a time range in the past. */
export function pastBar(
  market: Market,
  startMs: number,
  endMs: number,
  settledMs: number,
): MinuteBar {
  const points = [priceAt(market, startMs, settledMs)]
  for (let hour = Math.floor(startMs / HOUR_MS) + 1; hour * HOUR_MS < endMs; hour += 1) {
    points.push(cents(priceAtHour(market, hour, settledMs)))
  }
  points.push(priceAt(market, endMs, settledMs))
  const minutes = Math.max(1, Math.round((endMs - startMs) / MINUTE_MS))
  const volume = minutes * VOLUME_PER_MINUTE
  return {
    startMs,
    open: points[0] ?? 0,
    high: Math.max(...points),
    low: Math.min(...points),
    close: points.at(-1) ?? 0,
    volume,
    trades: minutes * TRADES_PER_MINUTE,
    value: (points.reduce((sum, point) => sum + point, 0) / points.length) * volume,
  }
}
