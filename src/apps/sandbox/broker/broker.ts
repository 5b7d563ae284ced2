import type { Clock } from '#runtime'
import type { Randomness } from '../randomness.ts'
import { createStamps, type Stamps } from '../stamps.ts'
import { type Account, endDayOf } from './account.ts'
import type { Activity } from './activity.ts'
import { cancelAgedOrders } from './aged-orders.ts'
import { actOn, type CorporateAction } from './corporate-actions.ts'
import { createKeyRing, type KeyRing } from './key-ring.ts'
import { Matcher, type MatchingOptions } from './matcher.ts'
import { type MinuteBars, recordMinuteBars } from './minute-bars.ts'
import { createMoneyMoves, type MoneyMove } from './money-moves.ts'
import { OrderBook, type OrderUpdate } from './order-book.ts'
import { type Prices, startPrices } from './prices.ts'
import type { RecordedTrade } from './replay.ts'
import { createSession, type Session } from './session.ts'

/** The whole broker without its servers: accounts with their keys, prices, session and matching. */
export interface Broker extends KeyRing {
  readonly prices: Prices
  readonly minuteBars: MinuteBars
  readonly session: Session
  readonly matcher: Matcher
  readonly stamps: Stamps
  readonly randomness: Randomness
  readonly newClientOrderId: () => string
  readonly newRequestId: () => string
  /** True if stock orders sized in money may have a limit or a stop. */
  readonly takesNotionalLimits: boolean
  /**
   * Ends the day: costs are restated, and the last price becomes the previous close. Also runs by
   * itself at the calendar's evenings.
   */
  endDay(): void
  onUpdate(listener: (update: OrderUpdate) => void): void
  /** Moves money or shares besides fills. @throws {RangeError} the account cannot */
  moveMoney(account: Account, move: MoneyMove): Activity
  /** @returns how many accounts held the stock @throws {RangeError} the action is not possible */
  actOn(action: CorporateAction): number
  /** Calls the listener after each move by `moveMoney`. */
  onMoneyMoved(listener: (account: Account) => void): void
  stop(): void
}

type BrokerOptions = MatchingOptions &
  Readonly<{
    tickMs: number
    recording: readonly RecordedTrade[]
    marketOpen: boolean | 'calendar'
    partialFills: boolean
    partialFillShare: number
    notionalLimits: boolean
  }>

export function startBroker(clock: Clock, randomness: Randomness, options: BrokerOptions): Broker {
  const stamps = createStamps(clock, randomness.fork('stamps'))
  const prices = startPrices(clock, randomness.fork('prices'), options.tickMs, options.recording)
  const minuteBars = recordMinuteBars(prices, clock)
  const session = createSession(clock, options.marketOpen)
  const updateListeners: ((update: OrderUpdate) => void)[] = []
  const moneyListeners: ((account: Account) => void)[] = []
  const moveMoney = createMoneyMoves(stamps, randomness.fork('money moves'))
  const book = new OrderBook(stamps, randomness.fork('ids'), (update) => {
    updateListeners.forEach((listener) => listener(update))
    matcher.follow(update)
  })
  const clientIds = randomness.fork('client ids')
  const newClientOrderId = (): string => clientIds.uuid()
  const matcher = new Matcher(
    book,
    prices,
    session,
    clock,
    randomness.fork('matching'),
    options,
    newClientOrderId,
  )
  Object.assign(matcher.partialFills, {
    enabled: options.partialFills,
    share: options.partialFillShare,
  })
  const keyRing = createKeyRing(stamps)
  const requestIds = randomness.fork('requests')
  const endDay = (): void => {
    for (const account of keyRing.accounts()) endDayOf(account, stamps.next())
    for (const market of prices.all()) market.previousClose = market.last
  }
  const stopLooking = cancelAgedOrders(clock, () => keyRing.accounts(), matcher)
  session.onChange((phase) => {
    if (phase === 'closed' && session.followsCalendar()) endDay()
  })
  const tellMoneyMoved = (account: Account): void =>
    moneyListeners.forEach((listener) => listener(account))
  const market = {
    accounts: () => keyRing.accounts(),
    prices,
    matcher,
    stamps,
    randomness: randomness.fork('names'),
  }
  const moveAndTell = (account: Account, move: MoneyMove): Activity => {
    const activity = moveMoney(account, move)
    tellMoneyMoved(account)
    return activity
  }
  return {
    ...keyRing,
    prices,
    minuteBars,
    session,
    matcher,
    stamps,
    randomness,
    newClientOrderId,
    newRequestId: () => requestIds.uuid(),
    takesNotionalLimits: options.notionalLimits,
    endDay,
    onUpdate: (listener) => void updateListeners.push(listener),
    moveMoney: moveAndTell,
    actOn: (action) => actOn({ ...market, moveMoney: moveAndTell, tell: tellMoneyMoved }, action),
    onMoneyMoved: (listener) => void moneyListeners.push(listener),
    stop() {
      prices.stop()
      minuteBars.stop()
      session.stop()
      stopLooking()
    },
  }
}
