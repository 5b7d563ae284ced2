import type { Account } from '../broker/account.ts'
import { findAsset } from '../broker/assets.ts'
import type { Broker } from '../broker/broker.ts'
import { type Decimal, zero } from '../broker/decimals.ts'
import { invalid } from '../broker/refusal.ts'
import { listOf, timeOf } from './order-queries.ts'
import type { Json } from './shapes.ts'

/**
 * `GET /v2/account/portfolio/history`: the worth of the account, point by point, as numbers. There
 * are no samples: cash and positions are replayed from the account's activities, and priced with
 * the minute bars. No point lies before the creation of the account,
 * except the end of the range.
 */

const DAY_MS = 86_400_000
const timeframesMs = {
  '1Min': 60_000,
  '5Min': 300_000,
  '15Min': 900_000,
  '1H': 3_600_000,
  '1D': DAY_MS,
} as const
type Timeframe = keyof typeof timeframesMs
const unitDays: Readonly<Record<string, number>> = { D: 1, W: 7, M: 30, A: 365 }
/** Maximum days back, by timeframe. */
const daysMax: Readonly<Record<Timeframe, number>> = {
  '1Min': 7,
  '5Min': 30,
  '15Min': 30,
  '1H': 30,
  '1D': 3_650,
}

type Range = Readonly<{ startMs: number; endMs: number; timeframe: Timeframe }>
/** One change of cash, shares or both. `deposit` is money from outside. */
type Change = Readonly<{
  at: string
  type: string
  cash: Decimal
  symbol?: string
  qty: Decimal
  deposit: Decimal
}>

const timeMs = (stamp: string | undefined): number | undefined =>
  stamp === undefined ? undefined : Date.parse(stamp)

function periodDays(period: string): number {
  const [, count = '', unit = ''] = /^(\d{1,3})([DWMA])$/.exec(period) ?? []
  const days = Number(count) * (unitDays[unit] ?? 0)
  if (days === 0) throw invalid('invalid period: must be a number and one of D, W, M, A')
  return days
}

function rangeOf(query: URLSearchParams, nowMs: number): Range {
  const endMs = Math.min(timeMs(timeOf(query, 'end')) ?? nowMs, nowMs)
  const start = timeMs(timeOf(query, 'start'))
  if (start !== undefined && query.has('period') && query.has('end')) {
    throw invalid('only two of start, end and period are accepted')
  }
  const startMs = start ?? endMs - periodDays(query.get('period') ?? '1M') * DAY_MS
  if (startMs > endMs) throw invalid('start must be before end')
  const asked = query.get('timeframe')
  const days = (endMs - startMs) / DAY_MS
  const fallback = days <= 7 ? '5Min' : '1D'
  const timeframe =
    asked === null
      ? fallback
      : (Object.keys(timeframesMs) as Timeframe[]).find((key) => key === asked)
  if (timeframe === undefined)
    throw invalid(`invalid timeframe: must be one of ${Object.keys(timeframesMs).join(', ')}`)
  if (days > daysMax[timeframe])
    throw invalid(`timeframe ${timeframe} reaches at most ${daysMax[timeframe]} days back`)
  return { startMs, endMs, timeframe }
}

function changesOf(account: Account): Change[] {
  const fills = account.executions.map(({ at, symbol, side, qty, price }): Change => {
    const signed = side === 'buy' ? qty : qty.times(-1)
    return {
      at,
      type: 'FILL',
      cash: signed.times(price).times(-1),
      symbol,
      qty: signed,
      deposit: zero,
    }
  })
  const moves = account.activities.map(({ at, type, netAmount, symbol, qty }): Change => {
    const isDeposit = type === 'CSD' || type === 'CSW' || type === 'JNLC'
    const moved = type === 'SPLIT' ? (qty ?? zero) : zero
    const change = { at, type, cash: netAmount, qty: moved, deposit: isDeposit ? netAmount : zero }
    return symbol === undefined ? change : { ...change, symbol }
  })
  return [...fills, ...moves].sort((a, b) => (a.at < b.at ? -1 : 1))
}

/** The last price of a symbol at a time; without an older price, the current price. */
function priceAt(broker: Broker, symbol: string, atMs: number, nowMs: number): number {
  const asset = findAsset(symbol)
  if (asset === undefined) return 0
  const bar =
    atMs >= nowMs
      ? undefined
      : broker.minuteBars.of(asset.symbol).findLast(({ startMs }) => startMs <= atMs)
  return bar?.close ?? broker.prices.of(asset).last.toNumber()
}

const rounded = (value: number, places: number): number => Number(value.toFixed(places))

function pointsOf(range: Range, createdMs: number): number[] {
  const stepMs = timeframesMs[range.timeframe]
  const points: number[] = []
  const firstMs = Math.max(range.startMs, createdMs)
  for (let atMs = Math.ceil(firstMs / stepMs) * stepMs; atMs < range.endMs; atMs += stepMs)
    points.push(atMs)
  return [...points, range.endMs]
}

/** @throws {Refusal} 422 on bad parameters */
export function portfolioHistory(
  broker: Broker,
  account: Account,
  query: URLSearchParams,
  nowMs: number,
): Json {
  const range = rangeOf(query, nowMs)
  const changes = changesOf(account)
  const flowTypes = listOf(query, 'cashflow_types')
  const flows = [...new Set(changes.map(({ type }) => type))].filter(
    (type) => type !== 'FILL' && (flowTypes.includes('ALL') || flowTypes.includes(type)),
  )
  const deposited = changes.reduce((sum, { deposit }) => sum.plus(deposit), zero)
  const initial = account.deposits.minus(deposited)
  const held = new Map<string, Decimal>()
  const series = {
    timestamp: [] as number[],
    equity: [] as number[],
    profit_loss: [] as number[],
    profit_loss_pct: [] as number[],
  }
  const cashflow: Record<string, number[]> = Object.fromEntries(flows.map((type) => [type, []]))
  let next = 0
  let cash = initial
  let invested = initial
  for (const atMs of pointsOf(range, Date.parse(account.createdAt))) {
    const until = `${new Date(atMs).toISOString().slice(0, -1)}999999Z`
    const moved = new Map<string, number>()
    for (
      let change = changes[next];
      change !== undefined && change.at <= until;
      change = changes[(next += 1)]
    ) {
      cash = cash.plus(change.cash)
      invested = invested.plus(change.deposit)
      if (change.symbol !== undefined)
        held.set(change.symbol, (held.get(change.symbol) ?? zero).plus(change.qty))
      moved.set(change.type, (moved.get(change.type) ?? 0) + change.cash.toNumber())
    }
    let equity = cash.toNumber()
    for (const [symbol, qty] of held)
      equity += qty.toNumber() * priceAt(broker, symbol, atMs, nowMs)
    const profit = equity - invested.toNumber()
    series.timestamp.push(Math.floor(atMs / 1000))
    series.equity.push(rounded(equity, 2))
    series.profit_loss.push(rounded(profit, 2))
    series.profit_loss_pct.push(initial.eq(0) ? 0 : rounded(profit / initial.toNumber(), 6))
    for (const type of flows) cashflow[type]?.push(rounded(moved.get(type) ?? 0, 2))
  }
  return {
    ...series,
    base_value: rounded(initial.toNumber(), 2),
    base_value_asof: account.createdAt.slice(0, 10),
    timeframe: range.timeframe,
    cashflow,
  }
}
