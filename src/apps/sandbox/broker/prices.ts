import type { CancelTimer, Clock } from '#runtime'
import type { Randomness } from '../randomness.ts'
import { type Asset, assets } from './assets.ts'
import { addDays } from './calendar.ts'
import { asPrice, decimal, type Decimal, decimalPlaces, larger, smaller } from './decimals.ts'
import { newYorkDate, newYorkMs } from './new-york.ts'
import { type RecordedTrade, replay } from './replay.ts'

/**
 * One price process per symbol: a replayed recording, or a random walk in steps of one cent between
 * two walls. Each walk has its own stream of chance, so neither orders nor other symbols change it.
 * A pinned symbol keeps the price of a control call until its release; recorded trades are skipped
 * meanwhile.
 */

/**
 * A running bar. The bar of the day begins at midnight in New York; until a first trade, the bar of
 * the previous day stays.
 */
export interface Bar {
  readonly startMs: number
  open: Decimal
  high: Decimal
  low: Decimal
  close: Decimal
  volume: number
  trades: number
}

/** The market of one symbol now. Sizes are shares. */
export interface Market {
  readonly asset: Asset
  /** The first price: the made-up past ends at this price. */
  readonly basePrice: Decimal
  /** The center of the walk: the first price, adjusted for splits. */
  middlePrice: Decimal
  bid: Decimal
  ask: Decimal
  last: Decimal
  bidSize: number
  askSize: number
  lastSize: number
  tradeId: number
  atMs: number
  minute: Bar
  day: Bar
  /** From this time on a trade begins another day. */
  dayEndsMs: number
  previousClose: Decimal
}

/** The change of one step; `traded` is true if a trade printed too. */
export type Tick = Readonly<{ market: Market; traded: boolean }>

/** The price of a control call. An absent field follows `last`, or stays unchanged. */
export type PriceSetting = Readonly<{ bid?: string; ask?: string; last?: string }>

export interface Prices {
  of(asset: Asset): Market
  all(): readonly Market[]
  /** Every change, in order. */
  onTick(listener: (tick: Tick) => void): void
  /** Pins a symbol to a price. @throws {RangeError} bid above ask, or not above zero */
  set(asset: Asset, to: PriceSetting): void
  /**
   * @param ratio new shares per old share
   * @param meanwhile runs after the price change, before the change is published
   * @throws {RangeError} the price would round to zero
   */
  split(asset: Asset, ratio: Decimal, meanwhile: () => void): void
  /** Gives the market of `asset` to another asset: `to` starts at the current price of `asset`. */
  continueAs(asset: Asset, to: Asset): void
  /** Unpins a symbol: the walk goes on from its price, a recording from its next trade. */
  release(asset: Asset): void
  stop(): void
}

const TICK = decimal('0.01')
const TICKS_PER_STEP_MAX = 5
const SPREAD_TICKS_MAX = 4
/** The walk turns back at this distance from its center. */
const WALL_PERCENT = 20
const TRADE_SHARE = 0.6
const MINUTE_MS = 60_000

const dayStart = (timeMs: number): number => newYorkMs(newYorkDate(timeMs), 0)
const dayEnd = (timeMs: number): number => newYorkMs(addDays(newYorkDate(timeMs), 1), 0)

const newBar = (startMs: number, price: Decimal): Bar => ({
  startMs,
  open: price,
  high: price,
  low: price,
  close: price,
  volume: 0,
  trades: 0,
})

function newMarket(asset: Asset, atMs: number, last: Decimal): Market {
  return {
    asset,
    basePrice: last,
    middlePrice: last,
    bid: last.minus(TICK),
    ask: last.plus(TICK),
    last,
    bidSize: 100,
    askSize: 100,
    lastSize: 100,
    tradeId: 52_983_525_000_000,
    atMs,
    minute: newBar(atMs - (atMs % MINUTE_MS), last),
    day: newBar(dayStart(atMs), last),
    dayEndsMs: dayEnd(atMs),
    previousClose: last,
  }
}

function print(market: Market, price: Decimal, size: number, nowMs: number): void {
  if (nowMs - market.minute.startMs >= MINUTE_MS)
    market.minute = newBar(nowMs - (nowMs % MINUTE_MS), price)
  if (nowMs >= market.dayEndsMs)
    Object.assign(market, { day: newBar(dayStart(nowMs), price), dayEndsMs: dayEnd(nowMs) })
  for (const bar of [market.minute, market.day]) {
    bar.high = larger(bar.high, price)
    bar.low = smaller(bar.low, price)
    bar.close = price
    bar.volume += size
    bar.trades += 1
  }
  Object.assign(market, { last: price, lastSize: size, tradeId: market.tradeId + 1, atMs: nowMs })
}

/** One random step of one market; returns whether a trade printed. */
function walk(market: Market, randomness: Randomness, nowMs: number): boolean {
  const wall = market.middlePrice.times(WALL_PERCENT).div(100)
  const middle = market.bid.plus(market.ask).div(2).round(2)
  const drift = middle.minus(market.middlePrice)
  const step = TICK.times(randomness.integer(-TICKS_PER_STEP_MAX, TICKS_PER_STEP_MAX))
  const moved = middle.plus(drift.abs().gt(wall) ? step.abs().times(drift.gt(0) ? -1 : 1) : step)
  const spread = randomness.integer(1, SPREAD_TICKS_MAX)
  const below = Math.floor(spread / 2)
  market.bid = moved.minus(TICK.times(below))
  market.ask = moved.plus(TICK.times(spread - below))
  market.bidSize = randomness.integer(1, 20) * 100
  market.askSize = randomness.integer(1, 20) * 100
  market.atMs = nowMs
  const traded = randomness.fraction() < TRADE_SHARE
  if (traded)
    print(
      market,
      randomness.fraction() < 0.5 ? market.bid : market.ask,
      randomness.integer(1, 10) * 10,
      nowMs,
    )
  return traded
}

/** One step of all random walks, each from its own stream of chance. */
function walkOf(
  walkers: readonly Market[],
  randomness: Randomness,
  clock: Clock,
  pinned: ReadonlySet<Market>,
  announce: (tick: Tick) => void,
): () => void {
  const chances = walkers.map(({ asset }) => randomness.fork(asset.symbol))
  let steps = 0
  return () => {
    steps += 1
    for (const [index, market] of walkers.entries()) {
      const own = chances[index]
      // Quiet symbols take turns, so that no step moves all of them.
      if (
        own === undefined ||
        (steps + index) % market.asset.stepsPerMove !== 0 ||
        pinned.has(market)
      )
        continue
      announce({ market, traded: walk(market, own, clock.now()) })
    }
  }
}

function splitBar(bar: Bar, ratio: Decimal): Bar {
  const after = (price: Decimal): Decimal => asPrice(price.div(ratio))
  const high = after(bar.high)
  const low = after(bar.low)
  const close = after(bar.close)
  return {
    ...bar,
    open: after(bar.open),
    high,
    low,
    close,
    volume: Math.round(bar.volume * ratio.toNumber()),
  }
}

/** Divides every current price by the ratio of a split. Recorded bars stay unchanged. */
function split(market: Market, ratio: Decimal): void {
  const after = (price: Decimal): Decimal => asPrice(price.div(ratio))
  const bid = after(market.bid)
  if (bid.lte(0)) throw new RangeError('the split would leave no price')
  Object.assign(market, {
    bid,
    ask: larger(bid, after(market.ask)),
    last: after(market.last),
    middlePrice: after(market.middlePrice),
    previousClose: after(market.previousClose),
    minute: splitBar(market.minute, ratio),
    day: splitBar(market.day, ratio),
  })
}

function place(market: Market, to: PriceSetting): boolean {
  const last = to.last === undefined ? undefined : decimal(to.last)
  const bid = to.bid === undefined ? (last?.minus(TICK) ?? market.bid) : decimal(to.bid)
  const ask = to.ask === undefined ? (last?.plus(TICK) ?? market.ask) : decimal(to.ask)
  if (bid.lte(0) || ask.lt(bid) || (last !== undefined && last.lte(0))) {
    throw new RangeError('a price is above zero, and the ask is not below the bid')
  }
  if ([bid, ask, last].some((price) => price !== undefined && decimalPlaces(price) > 4)) {
    throw new RangeError('a price has at most 4 decimals')
  }
  Object.assign(market, { bid, ask })
  if (last !== undefined) market.last = last
  return last !== undefined
}

/**
 * Starts the market.
 * @param tickMs time between steps; 0: prices stay until a control call moves them
 * @param recording symbols in the recording do not walk: each begins at its first trade and follows
 *   its later trades
 */
export function startPrices(
  clock: Clock,
  randomness: Randomness,
  tickMs: number,
  recording: readonly RecordedTrade[] = [],
): Prices {
  const startMs = clock.now()
  const recorded = new Map(recording.toReversed().map(({ asset, price }) => [asset, price]))
  const all = assets.map((asset) =>
    newMarket(asset, startMs, recorded.get(asset) ?? asset.basePrice),
  )
  const markets = new Map(all.map((market) => [market.asset.symbol, market]))
  const walkers = all.filter(({ asset }) => !recorded.has(asset))
  const pinned = new Set<Market>()
  const listeners: ((tick: Tick) => void)[] = []
  const announce = (tick: Tick): void => listeners.forEach((listener) => listener(tick))
  const of = (asset: Asset): Market => {
    const market = markets.get(asset.symbol)
    if (market === undefined) throw new Error(`no market for ${asset.symbol}`)
    return market
  }
  const put = (market: Market, to: PriceSetting, size: number): void => {
    const traded = place(market, to)
    if (traded) print(market, market.last, size, clock.now())
    market.atMs = clock.now()
    announce({ market, traded })
  }
  const timers: readonly CancelTimer[] = [
    ...(tickMs > 0
      ? [clock.every(tickMs, walkOf(walkers, randomness, clock, pinned, announce))]
      : []),
    ...(recording.length > 0
      ? [
          replay(recording, clock, ({ asset, price, size }) => {
            const market = of(asset)
            if (!pinned.has(market)) put(market, { last: price.toFixed() }, size)
          }),
        ]
      : []),
  ]
  return {
    of,
    all: () => all,
    onTick: (listener) => void listeners.push(listener),
    set(asset, to) {
      const market = of(asset)
      put(market, to, market.lastSize)
      pinned.add(market)
    },
    split(asset, ratio, meanwhile) {
      const market = of(asset)
      split(market, ratio)
      meanwhile()
      announce({ market, traded: false })
    },
    continueAs(asset, to) {
      const { bid, ask, last, middlePrice, previousClose, minute, day, dayEndsMs } = of(asset)
      const bars = { minute: { ...minute }, day: { ...day }, dayEndsMs }
      const market = Object.assign(of(to), { bid, ask, last, middlePrice, previousClose, ...bars })
      announce({ market, traded: false })
    },
    release: (asset) => void pinned.delete(of(asset)),
    stop: () => timers.forEach((cancel) => cancel()),
  }
}
