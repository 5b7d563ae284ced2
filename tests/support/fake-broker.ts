import {
  abs,
  type Asset,
  type BrokerOrder,
  type BrokerSnapshot,
  div,
  type RiskQuote,
} from '#domain'
import {
  type AccountStanding,
  type ActivityStream,
  type ActivityStreamListener,
  type Broker,
  BrokerError,
  type CancelOutcome,
  type BrokerPosition,
  type MarketClock,
  type MarketSession,
  type OrderBust,
  type OrderExecution,
  type OrderFilter,
  type OrderPage,
  ORDERS_PER_PAGE,
  type OrderTicket,
  type ReplaceOutcome,
  type ReplaceTicket,
  type SubmitOutcome,
  type TradeStream,
  type TradeStreamListener,
} from '../../workers/broker/port.ts'
import type { BrokerActivity } from '../../src/domain/activities.ts'
import { CallFaults, type CallFault, type CallName } from './broker/faults.ts'
import { isClosed } from './broker/ledger.ts'
import { availableOf } from './broker/rules.ts'
import { sessionsBetween } from './broker/sessions.ts'
import { Venue } from './broker/venue.ts'

/** Faults of the next submissions, in short; `fail` has every fault of every call. */
export type SubmitFault = 'lose_reply' | 'lose_request' | 'refuse' | 'rate_limit'

const DAY_MS = 86_400_000

/**
 * The model broker: an account whose ledger tests compare with. It acts when a test calls it (see
 * `Venue`) and is never more lenient than the real one; calls, streams and lists fail on request.
 */
export class FakeBroker extends Venue implements Broker {
  readonly submissions: OrderTicket[] = []
  readonly replaces: ReplaceTicket[] = []
  readonly cancels: string[] = []
  readonly faults: SubmitFault[] = []
  /** Calls so far, with any outcome. */
  readonly calls: { on: CallName; atMs: number }[] = []
  readonly #calls = new CallFaults(this.clock)
  #isRevoked = false
  #isDown = false

  get isRevoked(): boolean {
    return this.#isRevoked
  }

  /** Credentials are refused everywhere; streams that are open stay until they are cut. */
  set isRevoked(isRevoked: boolean) {
    this.#isRevoked = isRevoked
    this.streams.refusal = isRevoked ? 'credentials' : null
  }

  get isDown(): boolean {
    return this.#isDown
  }

  /** A full outage: no call is answered, streams are cut and refused. */
  set isDown(isDown: boolean) {
    this.#isDown = isDown
    this.streams.refusal = isDown ? 'connection' : this.#isRevoked ? 'credentials' : null
    if (isDown) this.streams.cut('the broker is away')
  }

  /**
   * Arms a fault for the next call of a kind (`times`, default 1, after `skip` that go well).
   * @returns disarms it
   */
  fail(
    on: CallName,
    fault: CallFault,
    options: Readonly<{ times?: number; skip?: number }> = {},
  ): () => void {
    return this.#calls.arm(on, fault, options)
  }

  /** By `<call> <kind>`, how often a fault befell a call. */
  get faultsMet(): ReadonlyMap<string, number> {
    return this.#calls.met
  }

  /** Every fault that is armed ends. */
  mend(): void {
    this.#calls.clear()
  }

  // The port
  // -----------------------------------------------------------------------------------------------

  async submit(ticket: OrderTicket): Promise<SubmitOutcome> {
    this.submissions.push(ticket)
    const short = this.faults.shift()
    if (short !== undefined) this.fail('submit', { kind: short })
    if (this.#isRevoked)
      return {
        kind: 'refused',
        code: 'BROKER_DISCONNECTED',
        brokerCode: null,
        message: 'unauthorized.',
      }
    const result = await this.#call('submit', () => this.accept(ticket))
    if (result.kind === 'done') return result.value
    if (result.kind !== 'refused') return result
    const { code = 'INSUFFICIENT_BUYING_POWER', message = 'no' } = result.fault
    return { kind: 'refused', code, brokerCode: '40310000', message }
  }

  async replace(ticket: ReplaceTicket): Promise<ReplaceOutcome> {
    this.replaces.push(ticket)
    if (this.#isRevoked) return { kind: 'refused', message: 'unauthorized.' }
    const result = await this.#call('replace', () => this.replaceNow(ticket))
    if (result.kind === 'done') return result.value
    return result.kind === 'refused'
      ? { kind: 'refused', message: result.fault.message ?? 'no' }
      : result
  }

  async cancel(brokerOrderId: string): Promise<CancelOutcome> {
    this.cancels.push(brokerOrderId)
    if (this.#isRevoked) return { kind: 'unknown', cause: 'status 401: unauthorized.' }
    const result = await this.#call('cancel', () => this.cancelNow(brokerOrderId))
    if (result.kind === 'done') return result.value
    return result.kind === 'refused'
      ? { kind: 'refused', message: result.fault.message ?? 'no' }
      : result
  }

  findByClientOrderId(clientOrderId: string): Promise<BrokerOrder | null> {
    return this.#read('findByClientOrderId', () => {
      const found = this.ledger.find(clientOrderId)
      return found?.clientOrderId === clientOrderId && this.#isVisible(found)
        ? this.ledger.nested(found)
        : null
    })
  }

  findByBrokerOrderId(brokerOrderId: string): Promise<BrokerOrder | null> {
    return this.#read('findByBrokerOrderId', () => {
      const found = this.orders.get(brokerOrderId)
      return found !== undefined && this.#isVisible(found) ? this.ledger.nested(found) : null
    })
  }

  findParent(exit: BrokerOrder): Promise<BrokerOrder | null> {
    return this.#read('findParent', () => {
      const parent = this.ledger.parentOf(exit)
      return parent === null ? null : this.ledger.nested(parent)
    })
  }

  listOrders(filter: OrderFilter): Promise<readonly BrokerOrder[]> {
    return this.#read('listOrders', () =>
      [...this.orders.values()].filter(
        (order) =>
          this.#isVisible(order) &&
          (filter.status === 'open' || order.submittedAt >= fullTime(filter.since)) &&
          (filter.status === 'all' || isClosed(order) === (filter.status === 'closed')),
      ),
    )
  }

  /**
   * A page is a request of its own, so that a budget or a fault can end a listing between two of
   * them.
   */
  listOrderPage(since: string, afterId: string | null): Promise<OrderPage> {
    return this.#read('listOrders', () => {
      const all = [...this.orders.values()].filter(
        (order) => this.#isVisible(order) && order.submittedAt >= fullTime(since),
      )
      const from =
        afterId === null ? 0 : all.findIndex(({ brokerOrderId }) => brokerOrderId === afterId) + 1
      const orders = all.slice(from, from + ORDERS_PER_PAGE)
      return { orders, rows: orders.length, lastId: orders.at(-1)?.brokerOrderId ?? null }
    })
  }

  listExecutions(since: string): Promise<readonly (OrderExecution | OrderBust)[]> {
    return this.#read('listExecutions', () => {
      const from = fullTime(since)
      const rows = this.executions
        .filter(({ execution: { at } }) => at >= from && this.#isPast(at, this.executionLagMs))
        .map(({ brokerOrderId, execution }) => ({
          brokerOrderId,
          execution: { ...execution, executionId: null },
        }))
      const busts = this.listsBusts ? this.ledger.busts.filter(({ bust }) => bust.at >= from) : []
      return [...rows, ...busts]
    })
  }

  listActivities(since: string): Promise<readonly BrokerActivity[]> {
    return this.#read('listActivities', () =>
      this.activities.filter(({ at }) => at >= fullTime(since)),
    )
  }

  readPortfolio(): Promise<BrokerSnapshot> {
    return this.#read('readPortfolio', () => {
      const { cash, positions } = this.shownBooks()
      const shown = [...positions].map(([symbol, { quantity, cost }]) => {
        return { symbol, quantity, averageEntryPrice: div(cost, abs(quantity)), currentPrice: null }
      })
      return { brokerAccountId: this.accountId, currency: 'USD', cash, positions: shown }
    })
  }

  readPosition(symbol: string): Promise<BrokerPosition | null> {
    return this.#read('readPosition', () => {
      const held = this.ledger.books.positions.get(symbol)
      return held === undefined
        ? null
        : { quantity: held.quantity, available: availableOf(this.ledger, symbol) }
    })
  }

  readQuote(symbol: string): Promise<RiskQuote | null> {
    return this.#read('readQuote', () => this.quotes.get(symbol) ?? null)
  }

  listAssets(): Promise<readonly Asset[]> {
    return this.#read('listAssets', () => this.assets)
  }

  readAccount(): Promise<AccountStanding> {
    const why = this.isRestricted ? 'trading is blocked' : null
    return this.#read('readAccount', () => ({
      brokerAccountId: this.accountId,
      canTrade: why === null,
      why,
    }))
  }

  readClock(): Promise<MarketClock> {
    return this.#read('readClock', () => {
      const nowMs = this.nowMs()
      const day = (days: number): string =>
        new Date(nowMs + days * DAY_MS).toISOString().slice(0, 10)
      const now = new Date(nowMs).toISOString()
      const ahead = this.#sessionsBetween(day(-1), day(10)).filter(({ closeAt }) => closeAt > now)
      const isOpen = this.isOpen ?? (ahead[0] !== undefined && ahead[0].openAt <= now)
      const nextOpen = ahead.find(({ openAt }) => openAt > now)?.openAt ?? ''
      return { at: now, isOpen, nextOpen, nextClose: ahead[0]?.closeAt ?? '' }
    })
  }

  readSessions(from: string, to: string): Promise<readonly MarketSession[]> {
    return this.#read('readSessions', () => this.#sessionsBetween(from, to))
  }

  openTradeStream(listener: TradeStreamListener): TradeStream {
    return this.streams.open(listener)
  }

  openActivityStream(sinceId: string | null, listener: ActivityStreamListener): ActivityStream {
    return this.activityStreams.open(sinceId, listener)
  }

  async #call<T>(on: CallName, run: () => T) {
    this.calls.push({ on, atMs: this.nowMs() })
    if (this.#isDown) return { kind: 'unknown', cause: 'the broker is away' } as const
    return await this.#calls.run(on, run)
  }

  async #read<T>(on: CallName, run: () => T): Promise<T> {
    const result = await this.#call(on, () => {
      if (this.#isRevoked) throw new BrokerError('CREDENTIALS', 'API authentication failed')
      return run()
    })
    if (result.kind === 'done') return result.value
    if (result.kind === 'rate_limited')
      throw new BrokerError(
        'RATE_LIMITED',
        'the request budget of the account is spent',
        result.retryAfterMs,
      )
    throw new BrokerError('UNAVAILABLE', result.kind === 'unknown' ? result.cause : 'status 503')
  }

  #isVisible({ submittedAt }: BrokerOrder): boolean {
    return this.#isPast(submittedAt, this.visibleAfterMs)
  }

  #isPast(at: string, lagMs: number): boolean {
    return lagMs === 0 || Date.parse(at) + lagMs <= this.nowMs()
  }

  #sessionsBetween(from: string, to: string): MarketSession[] {
    return sessionsBetween(from, to).flatMap((session) => {
      const own = this.sessions.get(session.date)
      return own === null ? [] : [own ?? session]
    })
  }
}

/** As the broker writes times, so that the order of texts is the order of times. */
const fullTime = (time: string): string => {
  const fraction = /\.(\d{1,9})/.exec(time)?.[1] ?? ''
  return `${new Date(time).toISOString().slice(0, 19)}.${fraction.padEnd(9, '0')}Z`
}
