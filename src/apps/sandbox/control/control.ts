import type { Clock } from '#runtime'
import type { Account, AccountFlags } from '../broker/account.ts'
import { type Asset, findAsset } from '../broker/assets.ts'
import type { Broker } from '../broker/broker.ts'
import { type Decimal, parseDecimal } from '../broker/decimals.ts'
import { createMoneyMoves, type MoneyMove, type MoneyMoveType } from '../broker/money-moves.ts'
import type { Order } from '../broker/order.ts'
import type { PriceSetting } from '../broker/prices.ts'
import { Refusal } from '../broker/refusal.ts'
import type { Phase } from '../broker/session.ts'
import type { ArmedFault, Fault } from '../faults/fault.ts'
import type { Faults } from '../faults/faults.ts'
import { activityJson } from '../http/activity-queries.ts'
import type { RateLimit, RateLimits } from '../http/rate-limits.ts'
import type { RequestJournal } from '../http/request-journal.ts'
import { type Json, orderJson } from '../http/shapes.ts'
import type { DataErrorCode } from '../streams/data-protocol.ts'
import type { MarketMessage } from '../streams/market-message.ts'
import type { TradeEvent } from '../streams/trade-update.ts'
import type { StreamKind, Streams } from '../streams/upgrades.ts'
import { type AccountSetup, openAccount } from './accounts.ts'
import { VirtualClock } from '../time.ts'
import type { HeldAnswers } from './held-answers.ts'
import { type Ledger, readLedger } from './ledger.ts'

/** Commands over the sandbox, the same over HTTP under `/_sandbox/` and as methods. Each throws a Refusal that says what is wrong. */
export interface SandboxControl {
  addAccount(account: AccountSetup): void
  /** REST answers 401 for the key, and its open streams are cut. */
  revokeKey(keyId: string): void
  restoreKey(keyId: string): void
  /** What the account's own fields say of it, for example `{ tradingBlocked: true }`. */
  setFlags(keyId: string, flags: Partial<AccountFlags>): void
  /** Moves money or shares besides fills; answers the activity row. */
  moveMoney(keyId: string, move: MoneyMoveRequest): Json
  /** Requests a minute; without a limit as many as it likes. */
  setRateLimit(keyId: string, limit?: RateLimit): void
  /** The next `count` (default 1) answers to `POST /v2/orders` wait; with `drop` they are cut off at once instead. */
  holdAnswers(options?: Readonly<{ count?: number; keyId?: string; drop?: boolean }>): void
  /** Answers how many went; without a count all. */
  releaseAnswers(count?: number): number
  dropAnswers(count?: number): number
  heldAnswers(): number
  /** Fills by broker order id, in full and at the market (or the order's limit) unless told. Works on held and canceled orders too. */
  fillOrder(orderId: string, terms?: Readonly<{ qty?: string; price?: string }>): Json
  /** Orders of an account, of a symbol, or all no longer match by themselves. */
  holdMatching(what?: MatchingScope): void
  releaseMatching(what?: MatchingScope): void
  setPartialFills(enabled: boolean, share?: number): void
  /** Puts and keeps a symbol at a price; orders it makes marketable fill at once. */
  setPrice(symbol: string, price: PriceSetting): void
  /** Lets the symbol walk on. */
  releasePrice(symbol: string): void
  setMarketOpen(open: boolean): void
  /** Also the sessions before and after the regular one, in which orders for extended hours work; or the exchange's own hours. */
  setMarketSession(phase: Phase | 'calendar'): void
  /** The night: average entry prices are restated, and the last price becomes the previous close. */
  endDay(): void
  /** Cuts open streams; answers how many. */
  cutStreams(options?: Readonly<{ keyId?: string; stream?: StreamKind }>): number
  streams(): Readonly<Record<StreamKind, number>>
  /** Tells any documented event of an order on the trade stream; the order itself does not change. */
  sendTradeEvent(orderId: string, event: TradeEvent): void
  /** Sends an error frame to open market data sockets, of one key or all; answers how many. */
  sendDataError(code: DataErrorCode, keyId?: string): number
  /** Tells market data subscribers of a halt, price bands, a corrected trade, an article ...; the market does not change. Answers how many sockets. */
  sendMarketMessage(message: MarketMessage): number
  /** Moves virtual time on, running what falls due; answers the time it is then, milliseconds since 1970. */
  advanceTime(byMs: number): Promise<number>
  /** Makes the `nth` matching thing fail, `count` times. */
  armFault(fault: Fault): ArmedFault
  /** Those that have not fired for the last time. */
  faults(): readonly ArmedFault[]
  /** Disarms one by its id, or all; answers how many. */
  disarmFaults(id?: string): number
  /** Requests and stream events fail by chance: a share of all, 0 to 1. */
  setFaultShare(share: number): void
  ledger(keyId?: string): Ledger
}

/** `amount`: dollars (of a journal signed), dollars a share of a dividend, new shares for one old of a split. */
export type MoneyMoveRequest = Readonly<{ type: MoneyMoveType; amount: string; symbol?: string; description?: string }>

/** One account (by key) or one symbol; neither means everything. */
export type MatchingScope = Readonly<{ keyId?: string; symbol?: string }>

const refuse = (message: string): Refusal => new Refusal(422, undefined, message)

function finders(broker: Broker) {
  const account = (keyId: string): Account => {
    const found = broker.accountOfKey(keyId)
    if (found === undefined) throw refuse(`no account has the key ${keyId}`)
    return found
  }
  const asset = (symbol: string): Asset => {
    const found = findAsset(symbol)
    if (found === undefined) throw refuse(`unknown symbol ${symbol}`)
    return found
  }
  const scope = ({ keyId, symbol }: MatchingScope = {}): Account | Asset | undefined => {
    if (keyId !== undefined && symbol !== undefined) throw refuse('give keyId or symbol, not both')
    return keyId === undefined ? (symbol === undefined ? undefined : asset(symbol)) : account(keyId)
  }
  const order = (id: string): readonly [Account, Order] => {
    for (const owner of broker.accounts()) {
      const found = owner.orders.get(id)
      if (found !== undefined) return [owner, found]
    }
    throw new Refusal(404, undefined, `no order has the id ${id}`)
  }
  const amount = (name: string, value: string | undefined): Decimal | undefined => {
    if (value === undefined) return undefined
    const parsed = parseDecimal(value)
    if (parsed === undefined || parsed.lte(0)) throw refuse(`${name} must be a decimal above zero`)
    return parsed
  }
  const move = (type: MoneyMoveType, text: string, symbol: string | undefined, description: string): MoneyMove => {
    const parsed = parseDecimal(text)
    if (parsed === undefined) throw refuse('amount must be a decimal')
    if (type !== 'DIV' && type !== 'SPLIT') return { type, amount: parsed, description }
    if (symbol === undefined) throw refuse(`${type} needs a symbol`)
    return { type, amount: parsed, asset: asset(symbol), description }
  }
  return { account, asset, scope, order, amount, move }
}

/** Mistakes of the caller come out as RangeError from the model; the caller is told, not blamed on the server. */
function told<Result>(run: () => Result): Result {
  try {
    return run()
  } catch (error) {
    throw error instanceof RangeError ? refuse(error.message) : error
  }
}

export function createControl(
  broker: Broker,
  heldAnswers: HeldAnswers,
  journal: RequestJournal,
  streams: Streams,
  faults: Faults,
  rateLimits: RateLimits,
  clock: Clock,
): SandboxControl {
  const find = finders(broker)
  const moves = createMoneyMoves(broker.stamps, broker.chance.fork('money moves'))
  const { matcher, prices, session } = broker
  const setRevoked = (keyId: string, revoked: boolean): void => {
    find.account(keyId)
    broker.setRevoked(keyId, revoked)
  }
  return {
    addAccount: (setup) => void told(() => openAccount(broker, rateLimits, setup)),
    moveMoney: (keyId, { type, amount, symbol, description = '' }) =>
      told(() => activityJson(moves(find.account(keyId), find.move(type, amount, symbol, description)))),
    setRateLimit: (keyId, limit) => rateLimits.set(find.account(keyId), limit),
    revokeKey: (keyId) => setRevoked(keyId, true),
    restoreKey: (keyId) => setRevoked(keyId, false),
    setFlags: (keyId, flags) => void Object.assign(find.account(keyId).flags, flags),
    holdAnswers: ({ count = 1, keyId, drop } = {}) =>
      heldAnswers.arm(count, { account: keyId === undefined ? undefined : find.account(keyId), drop }),
    releaseAnswers: (count) => heldAnswers.release(count),
    dropAnswers: (count) => heldAnswers.drop(count),
    heldAnswers: () => heldAnswers.waiting,
    fillOrder(orderId, { qty, price } = {}) {
      const [account, order] = find.order(orderId)
      told(() => matcher.fillNow(account, order, find.amount('qty', qty), find.amount('price', price)))
      return orderJson(order)
    },
    holdMatching: (what) => matcher.hold(find.scope(what)),
    releaseMatching: (what) => matcher.release(find.scope(what)),
    setPartialFills: (enabled, share = matcher.partialFills.share) =>
      void Object.assign(matcher.partialFills, { enabled, share }),
    setPrice: (symbol, price) => told(() => prices.set(find.asset(symbol), price)),
    releasePrice: (symbol) => prices.release(find.asset(symbol)),
    setMarketOpen: (open) => session.setPhase(open ? 'regular' : 'closed'),
    endDay: () => broker.endDay(),
    setMarketSession: (phase) => (phase === 'calendar' ? session.followCalendar() : session.setPhase(phase)),
    cutStreams: ({ keyId, stream } = {}) => streams.cut(stream, keyId),
    sendTradeEvent: (orderId, event) => streams.tellTradeEvent(...find.order(orderId), event),
    sendDataError: (code, keyId) => streams.tellDataError(code, keyId),
    sendMarketMessage: (message) => told(() => streams.tellMarket(message)),
    streams: () => ({ trade: streams.count('trade'), data: streams.count('data') }),
    async advanceTime(byMs) {
      if (!(clock instanceof VirtualClock)) throw refuse('time is advanced on the virtual clock only')
      if (clock.isAdvancing) throw refuse('time is being advanced already')
      await clock.advance(byMs)
      return clock.now()
    },
    armFault: (fault) =>
      told(() => faults.arm(fault, fault.keyId === undefined ? undefined : find.account(fault.keyId))),
    faults: () => faults.armed(),
    disarmFaults: (id) => faults.disarm(id),
    setFaultShare: (share) => void (faults.chance.share = share),
    ledger: (keyId) => readLedger(broker, journal, keyId),
  }
}
