import type { MinuteBar } from '../broker/minute-bars.ts'
import type { Bar, Market } from '../broker/prices.ts'
import type { Json } from './shapes.ts'

/**
 * Market data in the form of the data host: prices are JSON numbers, names are single letters.
 * Times are passed on as Date, which JSON writes as RFC 3339 and MessagePack as its timestamp
 * extension.
 */

const NEW_YORK_DAY = new Intl.DateTimeFormat('en-CA', { timeZone: 'America/New_York' })
const DAY_MS = 86_400_000

/** Daily bars carry midnight in New York, which is 04:00 or 05:00 UTC. */
export function newYorkMidnight(timeMs: number): Date {
  const day = NEW_YORK_DAY.format(timeMs)
  const summer = new Date(`${day}T04:00:00Z`)
  return NEW_YORK_DAY.format(summer) === day && NEW_YORK_DAY.format(summer.getTime() - 1) !== day
    ? summer
    : new Date(`${day}T05:00:00Z`)
}

const isCrypto = ({ asset }: Market): boolean => asset.assetClass === 'crypto'

export function tradeJson(market: Market): Json {
  const common = {
    p: market.last.toNumber(),
    s: market.lastSize,
    t: new Date(market.atMs),
    i: market.tradeId,
  }
  return isCrypto(market) ? { ...common, tks: 'B' } : { ...common, x: 'V', c: ['@'], z: 'C' }
}

export function quoteJson(market: Market): Json {
  const common = {
    ap: market.ask.toNumber(),
    as: market.askSize,
    bp: market.bid.toNumber(),
    bs: market.bidSize,
    t: new Date(market.atMs),
  }
  return isCrypto(market) ? common : { ...common, ax: 'V', bx: 'V', c: ['R'], z: 'C' }
}

const PLACES = 10_000
const average = (value: number, volume: number): number =>
  Math.round((value / volume) * PLACES) / PLACES

const barJson = (bar: Bar, at: Date): Json => ({
  t: at,
  o: bar.open.toNumber(),
  h: bar.high.toNumber(),
  l: bar.low.toNumber(),
  c: bar.close.toNumber(),
  v: bar.volume,
  n: bar.trades,
  vw: bar.high.plus(bar.low).div(2).round(4).toNumber(),
})

export const minuteBarJson = ({
  startMs,
  open,
  high,
  low,
  close,
  volume,
  trades,
  value,
}: MinuteBar): Json => ({
  t: new Date(startMs),
  o: open,
  h: high,
  l: low,
  c: close,
  v: volume,
  n: trades,
  vw: volume === 0 ? close : average(value, volume),
})

/** The running bar of the day; until a day's first trade, the bar of the previous day. */
export const dayBarJson = ({ day }: Market): Json => barJson(day, new Date(day.startMs))

/** The last minute that had a trade. */
export const lastBarJson = (market: Market): Json =>
  barJson(market.minute, new Date(market.minute.startMs))

/** The book holds only the best price of either side. */
export const orderbookJson = (market: Market): Json => ({
  b: [{ p: market.bid.toNumber(), s: market.bidSize }],
  a: [{ p: market.ask.toNumber(), s: market.askSize }],
  t: new Date(market.atMs),
})

/** The trading statuses of a stock, in the codes of tape C. */
export const tradingStatuses = {
  halt: { sc: 'H', sm: 'Trading Halt', rc: 'T1', rm: 'Halt - News Pending' },
  pause: { sc: 'P', sm: 'Volatility Trading Pause', rc: 'LUDP', rm: 'Volatility Trading Pause' },
  quotes: { sc: 'Q', sm: 'Quotation Resumption', rc: 'T3', rm: 'News and Resumption Times' },
  trades: { sc: 'T', sm: 'Trading Resumption', rc: 'T3', rm: 'News and Resumption Times' },
} as const
export type TradingStatus = keyof typeof tradingStatuses

export const statusJson = (status: TradingStatus, nowMs: number): Json => ({
  ...tradingStatuses[status],
  t: new Date(nowMs),
  z: 'C',
})

export function snapshotJson(market: Market): Json {
  const previous: Bar = {
    startMs: 0,
    open: market.previousClose,
    high: market.previousClose,
    low: market.previousClose,
    close: market.previousClose,
    volume: 100_000,
    trades: 1_000,
  }
  return {
    latestTrade: tradeJson(market),
    latestQuote: quoteJson(market),
    minuteBar: lastBarJson(market),
    dailyBar: dayBarJson(market),
    prevDailyBar: barJson(previous, newYorkMidnight(market.day.startMs - DAY_MS / 2)),
  }
}
