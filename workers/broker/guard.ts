import type { Clock } from '#runtime'
import type { Budget, ConnectionRef, RequestKind } from '#store'
import { Breaker } from './breaker.ts'
import {
  type ActivityStream,
  type ActivityStreamListener,
  type Broker,
  BrokerError,
  type NotSent,
  type OrderFilter,
  type OrderTicket,
  type ReplaceTicket,
  type StreamUrgency,
  type TradeStream,
  type TradeStreamListener,
} from './port.ts'
import { RequestScheduler } from './request-scheduler.ts'

/** The request budget of one account, shared by all workers. */
export type AccountBudget = Readonly<{
  /** @returns 0: send the request; otherwise the ms to wait before the next try */
  take(kind: RequestKind): Promise<number>
  /** Blocks all requests for this time. */
  block(forMs: number): Promise<void>
}>

export const budgetOf = (budget: Budget, ref: ConnectionRef): AccountBudget => ({
  take: (kind) => budget.take(ref, kind),
  block: (forMs) => budget.block(ref, forMs),
})

/**
 * Our own budget held back a further request of a call, so the broker has not judged the request.
 */
export class HeldBackError extends BrokerError {}

/**
 * Takes budget for one further request of a call.
 * @throws {BrokerError} the budget is spent, or cannot be read
 */
export type Permit = (kind: RequestKind) => Promise<void>

export const permitOf =
  (budget: AccountBudget): Permit =>
  async (kind) => {
    const hindrance = await takeFromBudget(budget, kind)
    if (hindrance !== null)
      throw new HeldBackError('RATE_LIMITED', hindrance.why, hindrance.retryAfterMs)
  }

/** Block time after the broker reported a rate limit without a time. */
const BLOCK_MS = 15_000
/** The longest block: the broker counts requests by the minute. */
const BLOCK_MS_MAX = 60_000
/** Delay of a request that found its queue full, or the budget unreadable. */
const RETRY_MS = 1_000

/** Why a request was held back; `null`: the request may be sent. */
type Hindrance = Omit<NotSent, 'kind'> | null

/**
 * Guards a broker account. Before a request is sent, it passes three checks in this order: the
 * breaker (is the broker available), the scheduler (not too many at once, the urgent first), and
 * the budget that all workers share. A request that is held back has not left the process: the
 * outcome is `not_sent`, or a reading call throws a `BrokerError`. Cancels are never held back by
 * the breaker, nor by an unreadable budget.
 */
export class GuardedBroker implements Broker {
  readonly #inner: Broker
  readonly #budget: AccountBudget
  readonly #breaker: Breaker
  readonly #line = new RequestScheduler()

  constructor(inner: Broker, budget: AccountBudget, clock: Clock) {
    this.#inner = inner
    this.#budget = budget
    this.#breaker = new Breaker(clock)
  }

  submit(ticket: OrderTicket) {
    return this.#change('submit', () => this.#inner.submit(ticket), ticket.isBudgeted === true)
  }

  replace(ticket: ReplaceTicket) {
    return this.#change('submit', () => this.#inner.replace(ticket), ticket.isBudgeted === true)
  }

  cancel(brokerOrderId: string) {
    return this.#change('cancel', () => this.#inner.cancel(brokerOrderId))
  }

  findByClientOrderId(clientOrderId: string) {
    return this.#read('resolve', () => this.#inner.findByClientOrderId(clientOrderId))
  }

  findByBrokerOrderId(brokerOrderId: string) {
    return this.#read('reconcile', () => this.#inner.findByBrokerOrderId(brokerOrderId))
  }

  findParent(exit: Parameters<Broker['findParent']>[0]) {
    return this.#read('reconcile', () => this.#inner.findParent(exit))
  }

  listOrders(filter: OrderFilter) {
    return this.#read('poll', () => this.#inner.listOrders(filter))
  }

  listOrderPage(since: string, afterId: string | null) {
    return this.#read('poll', () => this.#inner.listOrderPage(since, afterId))
  }

  listExecutions(since: string) {
    return this.#read('reconcile', () => this.#inner.listExecutions(since))
  }

  listActivities(since: string) {
    return this.#read('refresh', () => this.#inner.listActivities(since))
  }

  readPortfolio() {
    return this.#read('refresh', () => this.#inner.readPortfolio())
  }

  readPosition(symbol: string) {
    return this.#read('submit', () => this.#inner.readPosition(symbol))
  }

  /**
   * Market data comes from another host: its failures and its rate limit do not concern the
   * account, and its answers prove nothing about trading.
   */
  async readQuote(symbol: string) {
    await permitOf(this.#budget)('submit')
    return this.#inner.readQuote(symbol)
  }

  listAssets() {
    return this.#read('refresh', () => this.#inner.listAssets())
  }

  readAccount() {
    return this.#read('refresh', () => this.#inner.readAccount())
  }

  readClock() {
    return this.#read('refresh', () => this.#inner.readClock())
  }

  readSessions(from: string, to: string) {
    return this.#read('refresh', () => this.#inner.readSessions(from, to))
  }

  openTradeStream(listener: TradeStreamListener, urgency?: () => StreamUrgency): TradeStream {
    return this.#inner.openTradeStream(listener, urgency)
  }

  openActivityStream(
    sinceId: string | null,
    listener: ActivityStreamListener,
  ): ActivityStream | null {
    return this.#inner.openActivityStream(sinceId, listener)
  }

  async #change<Outcome extends { kind: string }>(
    kind: RequestKind,
    call: () => Promise<Outcome>,
    isBudgeted = false,
  ): Promise<Outcome | NotSent> {
    const away = kind === 'cancel' ? null : this.#away()
    // A cancel did not pass the breaker, so the cancel is never the probe.
    const heldBack = (told: NotSent): NotSent => (kind === 'cancel' ? told : this.#heldBack(told))
    if (away !== null) return { kind: 'not_sent', ...away }
    const outcome = this.#line.run(kind, async (): Promise<Outcome | NotSent> => {
      const hindrance = isBudgeted ? null : await takeFromBudget(this.#budget, kind)
      if (hindrance !== null) return heldBack({ kind: 'not_sent', ...hindrance })
      const answer = await call()
      if (answer.kind === 'unknown') this.#breaker.failed()
      else this.#breaker.answered()
      if (answer.kind === 'rate_limited')
        await this.#blockFor((answer as { retryAfterMs?: number }).retryAfterMs ?? null)
      return answer
    })
    if (outcome !== null) return await outcome
    return heldBack({
      kind: 'not_sent',
      why: 'too many requests of this account wait',
      retryAfterMs: RETRY_MS,
    })
  }

  async #read<T>(kind: RequestKind, call: () => Promise<T>): Promise<T> {
    const away = this.#away()
    if (away !== null) throw new BrokerError('UNAVAILABLE', away.why, away.retryAfterMs)
    const answer = this.#line.run(kind, async () => {
      const hindrance = await takeFromBudget(this.#budget, kind)
      if (hindrance !== null)
        throw this.#heldBack(new BrokerError('RATE_LIMITED', hindrance.why, hindrance.retryAfterMs))
      return await this.#watched(call)
    })
    if (answer !== null) return await answer
    throw this.#heldBack(
      new BrokerError('RATE_LIMITED', 'too many requests of this account wait', RETRY_MS),
    )
  }

  async #watched<T>(call: () => Promise<T>): Promise<T> {
    try {
      const value = await call()
      this.#breaker.answered()
      return value
    } catch (error) {
      if (error instanceof HeldBackError) throw this.#heldBack(error)
      const isAway = !(error instanceof BrokerError) || error.code === 'UNAVAILABLE'
      if (isAway) this.#breaker.failed()
      else this.#breaker.answered()
      if (error instanceof BrokerError && error.code === 'RATE_LIMITED')
        await this.#blockFor(error.retryAfterMs)
      throw error
    }
  }

  #away(): Hindrance {
    const waitMs = this.#breaker.waitMs()
    return waitMs === 0 ? null : { why: 'the broker is away', retryAfterMs: waitMs }
  }

  /** A probe that was not sent must not keep the breaker waiting for its answer. */
  #heldBack<T>(told: T): T {
    this.#breaker.forgoProbe()
    return told
  }

  /**
   * Blocks the account's requests in all workers until the time that the broker named. If the block
   * cannot be written to the store, the other workers find the limit by themselves.
   */
  async #blockFor(retryAfterMs: number | null): Promise<void> {
    await this.#budget.block(Math.min(retryAfterMs ?? BLOCK_MS, BLOCK_MS_MAX)).catch(() => {})
  }
}

async function takeFromBudget(budget: AccountBudget, kind: RequestKind): Promise<Hindrance> {
  try {
    const waitMs = await budget.take(kind)
    return waitMs === 0
      ? null
      : { why: 'the request budget of the account is spent', retryAfterMs: waitMs }
  } catch {
    return kind === 'cancel'
      ? null
      : { why: 'the request budget cannot be read', retryAfterMs: RETRY_MS }
  }
}
