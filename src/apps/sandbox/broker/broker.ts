import type { Clock } from '#runtime'
import type { Chance } from '../chance.ts'
import { createStamps, type Stamps } from '../stamps.ts'
import { type Account, endDayOf, newAccount } from './account.ts'
import { cancelAgedOrders } from './aged-orders.ts'
import { decimal } from './decimals.ts'
import { Matcher, type MatchingOptions } from './matcher.ts'
import { type MinuteBars, recordMinuteBars } from './minute-bars.ts'
import { OrderBook, type OrderUpdate } from './order-book.ts'
import { type Prices, startPrices } from './prices.ts'
import type { RecordedTrade } from './replay.ts'
import { createSession, type Session } from './session.ts'

/**
 * The whole broker, without a wire: accounts with their keys, prices, session and matching. An account may have several keys over
 * time; a revoked key keeps its account, which its other keys still reach.
 */
export interface Broker {
  readonly prices: Prices
  readonly minuteBars: MinuteBars
  readonly session: Session
  readonly matcher: Matcher
  readonly stamps: Stamps
  readonly chance: Chance
  /** @throws {RangeError} the key exists, or there are too many accounts */
  addAccount(seed: AccountSeed): Account
  accounts(): readonly Account[]
  keyIds(): readonly string[]
  /** The account these keys open now, or undefined: wrong, unknown and revoked look alike. */
  authenticate(keyId: string, secret: string): Account | undefined
  /** The account a key belongs to, revoked or not. */
  accountOfKey(keyId: string): Account | undefined
  /** The keys an OAuth token stands for; empty ones when it is unknown. */
  keysOfToken(token: string): readonly [keyId: string, secret: string]
  setRevoked(keyId: string, revoked: boolean): void
  readonly newClientOrderId: () => string
  readonly newRequestId: () => string
  /** The night: costs are restated, and today's last price becomes the previous close. Follows the calendar's evenings by itself. */
  endDay(): void
  onUpdate(listener: (update: OrderUpdate) => void): void
  onRevoked(listener: (keyId: string) => void): void
  stop(): void
}

/** An account to open. */
export type AccountSeed = Readonly<{
  keyId: string
  secret: string
  /** USD, decimal string. Default 100000. */
  cash?: string
  /** Buying power per equity; 1 is a cash account without shorting. Default 2. */
  multiplier?: 1 | 2 | 4
  /** Opens the account like its keys. Default: none. */
  oauthToken?: string
}>

type BrokerOptions = MatchingOptions &
  Readonly<{
    tickMs: number
    recording: readonly RecordedTrade[]
    marketOpen: boolean | 'calendar'
    partialFills: boolean
    partialFillShare: number
  }>

const ACCOUNTS_MAX = 10_000

export function startBroker(clock: Clock, chance: Chance, options: BrokerOptions): Broker {
  const stamps = createStamps(clock, chance.fork('stamps'))
  const prices = startPrices(clock, chance.fork('prices'), options.tickMs, options.recording)
  const minuteBars = recordMinuteBars(prices, clock)
  const session = createSession(clock, options.marketOpen)
  const updateListeners: ((update: OrderUpdate) => void)[] = []
  const revokedListeners: ((keyId: string) => void)[] = []
  const book = new OrderBook(stamps, chance.fork('ids'), (update) => {
    updateListeners.forEach((listener) => listener(update))
    matcher.follow(update)
  })
  const clientIds = chance.fork('client ids')
  const newClientOrderId = (): string => clientIds.uuid()
  const matcher = new Matcher(book, prices, session, clock, chance.fork('matching'), options, newClientOrderId)
  Object.assign(matcher.partialFills, { enabled: options.partialFills, share: options.partialFillShare })
  const keys = new Map<string, { readonly secret: string; readonly account: Account; revoked: boolean }>()
  const keysByToken = new Map<string, readonly [keyId: string, secret: string]>()
  const accountIds = chance.fork('accounts')
  const requestIds = chance.fork('requests')
  const accounts = (): readonly Account[] => [...new Set([...keys.values()].map(({ account }) => account))]
  const endDay = (): void => {
    for (const account of accounts()) endDayOf(account, stamps.next())
    for (const market of prices.all()) market.previousClose = market.last
  }
  const stopLooking = cancelAgedOrders(clock, accounts, matcher)
  session.onChange((phase) => {
    if (phase === 'closed' && session.followsCalendar()) endDay()
  })
  return {
    prices,
    minuteBars,
    session,
    matcher,
    stamps,
    chance,
    addAccount({ keyId, secret, cash = '100000', multiplier = 2, oauthToken }) {
      if (keys.has(keyId)) throw new RangeError(`key ${keyId} is taken`)
      if (keys.size >= ACCOUNTS_MAX) throw new RangeError(`at most ${ACCOUNTS_MAX} accounts`)
      const id = accountIds.uuid()
      const number = `PA3${id.replaceAll('-', '').slice(0, 8).toUpperCase()}`
      const account = newAccount({ id, number, createdAt: stamps.next(), cash: decimal(cash), multiplier })
      keys.set(keyId, { secret, account, revoked: false })
      if (oauthToken !== undefined) keysByToken.set(oauthToken, [keyId, secret])
      return account
    },
    accounts,
    keyIds: () => [...keys.keys()],
    authenticate(keyId, secret) {
      const key = keys.get(keyId)
      return key !== undefined && !key.revoked && key.secret === secret ? key.account : undefined
    },
    accountOfKey: (keyId) => keys.get(keyId)?.account,
    keysOfToken: (token) => keysByToken.get(token) ?? ['', ''],
    setRevoked(keyId, revoked) {
      const key = keys.get(keyId)
      if (key === undefined || key.revoked === revoked) return
      key.revoked = revoked
      if (revoked) revokedListeners.forEach((listener) => listener(keyId))
    },
    newClientOrderId,
    newRequestId: () => requestIds.uuid(),
    endDay,
    onUpdate: (listener) => void updateListeners.push(listener),
    onRevoked: (listener) => void revokedListeners.push(listener),
    stop() {
      prices.stop()
      minuteBars.stop()
      session.stop()
      stopLooking()
    },
  }
}
