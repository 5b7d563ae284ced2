import type { CancelTimer, Clock } from '#runtime'
import type { AssetClass } from '../broker/assets.ts'
import type { Broker } from '../broker/broker.ts'
import type { StreamFaults } from '../faults/stream-faults.ts'
import {
  dayBarJson,
  minuteBarJson,
  orderbookJson,
  quoteJson,
  statusJson,
  tradeJson,
} from '../http/market-shapes.ts'
import { CRYPTO_CHANNELS, NEWS_CHANNELS, STOCK_CHANNELS } from './data-protocol.ts'
import { type DataPlan, DataStream, type News } from './data-stream.ts'
import { type Article, articleJson, type MarketMessage, stockNews } from './market-message.ts'
import { startTestSymbol, TEST_SYMBOL } from './test-symbol.ts'

/** The market data streams and their sources. */
export interface MarketFeeds {
  /** The streams by path, such as `/v2/iex`. */
  readonly byPath: ReadonlyMap<string, DataStream>
  /**
   * Publishes a message that has no cause in the market; returns the number of sockets it reached
   * at once.
   * @throws {RangeError}
   */
  tell(message: MarketMessage): number
  stop(): void
}

/** The delay of `delayed_sip`. */
const SIP_DELAY_MS = 15 * 60_000
/** Maximum number of delayed messages; beyond it the oldest message is sent early. */
const DELAYED_NEWS_MAX = 50_000
/** Some trades are reported late: the bar is corrected half a minute after its end. */
const LATE_TRADE_SHARE = 0.1
const LATE_TRADE_MS = 30_000
const LATE_TRADE_SIZE = 10

type Publish = (symbol: string, news: readonly News[]) => unknown

/** Publishes messages later. It has no timer: each new message pushes the due messages out. */
function delayed(clock: Clock, delayMs: number, publish: Publish): Publish {
  const waiting: (readonly [dueMs: number, symbol: string, news: readonly News[]])[] = []
  let next = 0
  return (symbol, news) => {
    const nowMs = clock.now()
    waiting.push([nowMs + delayMs, symbol, news])
    for (;;) {
      const [dueMs, dueSymbol, dueNews] = waiting[next] ?? [Infinity, '', []]
      if (dueMs > nowMs && waiting.length - next <= DELAYED_NEWS_MAX) break
      publish(dueSymbol, dueNews)
      next += 1
    }
    if (next > DELAYED_NEWS_MAX) next -= waiting.splice(0, next).length
  }
}

/** Publishes everything that happens in the market of one asset class. */
function tell(broker: Broker, clock: Clock, assetClass: AssetClass, publish: Publish): void {
  const randomness = broker.randomness.fork(`late trades ${assetClass}`)
  const markets = new Map(
    broker.prices
      .all()
      .flatMap((market) =>
        market.asset.assetClass === assetClass ? [[market.asset.symbol, market] as const] : [],
      ),
  )
  broker.prices.onTick(({ market, traded }) => {
    const { symbol } = market.asset
    if (!markets.has(symbol)) return
    publish(symbol, [
      ['quotes', { T: 'q', S: symbol, ...quoteJson(market) }],
      ...(traded ? [['trades', { T: 't', S: symbol, ...tradeJson(market) }] as const] : []),
      ...(assetClass === 'crypto'
        ? [['orderbooks', { T: 'o', S: symbol, ...orderbookJson(market), r: true }] as const]
        : []),
    ])
  })
  broker.minuteBars.onClose((symbol, bar) => {
    const market = markets.get(symbol)
    if (market === undefined) return
    publish(symbol, [
      ['bars', { T: 'b', S: symbol, ...minuteBarJson(bar) }],
      ['dailyBars', { T: 'd', S: symbol, ...dayBarJson(market) }],
    ])
    if (randomness.fraction() >= LATE_TRADE_SHARE) return
    const value = bar.value + bar.close * LATE_TRADE_SIZE
    const late = { ...bar, volume: bar.volume + LATE_TRADE_SIZE, trades: bar.trades + 1, value }
    clock.after(LATE_TRADE_MS, () =>
      publish(symbol, [['updatedBars', { T: 'u', S: symbol, ...minuteBarJson(late) }]]),
    )
  })
  if (assetClass === 'crypto') return
  let wasOpen = broker.session.isOpen()
  broker.session.onChange(() => {
    const open = broker.session.isOpen()
    if (open === wasOpen) return
    wasOpen = open
    for (const symbol of markets.keys()) {
      publish(symbol, [
        ['statuses', { T: 's', S: symbol, ...statusJson(open ? 'trades' : 'halt', clock.now()) }],
      ])
    }
  })
}

/** Starts all feeds. */
export function startMarketFeeds(
  broker: Broker,
  clock: Clock,
  faults: StreamFaults,
  plan: DataPlan,
): MarketFeeds {
  const stock = (name: string): DataStream =>
    new DataStream(broker, clock, faults, { name, channels: STOCK_CHANNELS, plan })
  const iex = stock('iex')
  const sip = stock('sip')
  const late = stock('delayed_sip')
  const test = stock('test')
  const crypto = new DataStream(broker, clock, faults, {
    name: 'crypto',
    channels: CRYPTO_CHANNELS,
    plan,
  })
  const articles = new DataStream(broker, clock, faults, {
    name: 'news',
    channels: NEWS_CHANNELS,
    plan,
  })
  const publishLate = delayed(clock, SIP_DELAY_MS, (symbol, news) => late.publish([symbol], news))
  const publishStock = (symbol: string, news: readonly News[]): number => {
    const told = iex.publish([symbol], news) + sip.publish([symbol], news)
    publishLate(symbol, news)
    return told
  }
  tell(broker, clock, 'us_equity', publishStock)
  tell(broker, clock, 'crypto', (symbol, news) => crypto.publish([symbol], news))
  let articleId = 0
  const publishArticle = (article: Article): number =>
    articles.publish(article.symbols, [
      ['news', articleJson(article, (articleId += 1), clock.now())],
    ])
  const stopTestSymbol: CancelTimer = startTestSymbol(
    clock,
    broker.randomness.fork(TEST_SYMBOL),
    (news) => test.publish([TEST_SYMBOL], news),
  )
  return {
    byPath: new Map([
      ['/v2/iex', iex],
      ['/v2/sip', sip],
      ['/v2/delayed_sip', late],
      ['/v2/test', test],
      ['/v1beta3/crypto/us', crypto],
      ['/v1beta1/news', articles],
    ]),
    tell(message) {
      if (message.kind === 'news') return publishArticle(message)
      const [symbol, news] = stockNews(message, broker.prices, clock.now())
      return publishStock(symbol, [news])
    },
    stop: stopTestSymbol,
  }
}
