import { parametersHash, type RejectionCode } from '#contract'
import { type BrokerOrder, clientOrderIdOf, type Landing, type OrderIntent, type OrderUpdate } from '#domain'
import { type Clock, FillcastError, isoTime, type Logger, type Randomness } from '#runtime'
import type { Fence, LoadedSlice, TakeRefusal } from '#store'
import {
  type Broker,
  BrokerError,
  type BrokerPool,
  ConnectionUnusableError,
  type SubmitOutcome,
} from '../broker/index.ts'
import { type Applier, apply, applyWith, FencedError, TakeRefusedError } from '../updates/index.ts'

/**
 * Carries one intent to the broker, at most once.
 *
 *   claim (state: submitting) --> POST --> accepted | refused | unknown
 *                                             unknown: the job comes back and takes the claim over
 *   claim taken over --> look the client order id up --> found: adopt
 *                                                    --> absent, intent fresh: POST again with the same id
 *                                                    --> absent, intent stale: keep looking, never send
 *
 * Kept true: nothing is sent before the claim is written, nor by anybody but the latest claim's holder; a client order id is a
 * function of user and trade, so that even two POSTs make one order; only the broker's definitive answer rejects (P1, P2).
 */
export type SubmitDeps = Readonly<{
  applier: Applier
  brokers: BrokerPool
  clock: Clock
  random: Randomness
  log: Logger
}>

/** The job must run again. `delayMs` null: by the queue's own backoff. */
export type SubmitResult = Readonly<{ kind: 'done' } | { kind: 'again'; delayMs: number | null; why: string }>

const DONE: SubmitResult = { kind: 'done' }

/** An intent may be sent again for this long after its claim; later, an absent order may be one that the broker has forgotten. */
export const RESEND_MS_MAX = 60_000
/** Pause between look-ups of an order that can no longer be sent. */
const LOOK_AGAIN_MS = 30_000
const RATE_LIMITED_MS = 5_000
/** How long a submission waits for the account's first reading, and how often it looks; well below the queue's lock. */
const ACCOUNT_WAIT_MS_MAX = 5_000
const ACCOUNT_LOOK_MS = 250

/** The trade id was used before with other parameters. Nothing was touched. */
export class TradeConflictError extends FillcastError<'TRADE_ID_CONFLICT'> {
  constructor(tradeId: string) {
    super('TRADE_ID_CONFLICT', `tradeId: ${tradeId} was already used with other parameters; use a new tradeId`)
  }
}

/** @throws {TradeConflictError} */
export async function submitOrder(deps: SubmitDeps, intent: OrderIntent): Promise<SubmitResult> {
  const { userId, connectionId, tradeId, symbol } = intent
  const hash = parametersHash(intent)
  const landing: Landing = { id: tradeId, origin: 'fillcast', userId, connectionId }
  const known = await deps.applier.store.loadSlice(userId, { orderId: tradeId, connectionId, symbol })
  if (isSettled(known, hash, tradeId)) return DONE
  try {
    const claim = await takeClaim(deps, intent, landing, hash)
    if (claim === null) return DONE
    const hasAccount = known.slice.account !== null
    const job = new Submission(deps, intent, landing, { kind: 'claim', tradeId, claim }, hasAccount)
    const since = known.slice.order?.claimedAt ?? null
    return since === null ? await job.first() : await job.again(since)
  } catch (error) {
    if (error instanceof FencedError) return DONE // another delivery of this job has taken over
    if (error instanceof TakeRefusedError) return refuse(deps, intent, landing, hash, error.refusal)
    throw error
  }
}

/** What becomes of a trade that the store did not let us take. */
async function refuse(
  deps: SubmitDeps,
  intent: OrderIntent,
  landing: Landing,
  hash: string,
  refusal: TakeRefusal,
): Promise<SubmitResult> {
  const { userId, tradeId, symbol } = intent
  if (refusal.kind === 'archived') return DONE
  if (refusal.kind === 'over_budget')
    return { kind: 'again', delayMs: refusal.retryAfterMs, why: 'the account has made its submissions of this minute' }
  if (refusal.kind === 'unusable' && refusal.isLinked)
    return { kind: 'again', delayMs: null, why: 'the credentials of the connection are not verified' }
  const at = isoTime(deps.clock.now())
  const claimed = {
    type: 'claimed',
    intent,
    clientOrderId: clientOrderIdOf(userId, tradeId),
    parametersHash: hash,
    at,
  } as const
  const [code, message] =
    refusal.kind === 'halted'
      ? (['HALTED', `Trading is halted: ${refusal.halt.reason}. Try again when it is resumed`] as const)
      : (['BROKER_DISCONNECTED', 'There is no such broker connection. Connect the broker account again'] as const)
  const fence = { kind: 'resolve', tradeId, by: deps.random.id(12) } as const
  await applyWith(deps.applier, { landing, symbol, fence }, ({ slice }) =>
    slice.order === null ? [claimed, { type: 'denied', code, message, at }] : [],
  )
  return DONE
}

/** Whether the trade needs nothing from us any more. */
function isSettled({ slice: { order } }: LoadedSlice, hash: string, tradeId: string): boolean {
  if (order === null) return false
  if (order.parametersHash !== null && order.parametersHash !== hash) throw new TradeConflictError(tradeId)
  return order.status !== 'submitting'
}

/** The claim as the store keeps it, or `null` when there is nothing left to send. */
async function takeClaim(
  deps: SubmitDeps,
  intent: OrderIntent,
  landing: Landing,
  hash: string,
): Promise<string | null> {
  const { userId, connectionId, tradeId, symbol } = intent
  const by = deps.random.id(12)
  const fence = { kind: 'take', tradeId, by, connectionId, reducing: false, budget: false } as const
  const at = isoTime(deps.clock.now())
  const clientOrderId = clientOrderIdOf(userId, tradeId)
  const applied = await applyWith(deps.applier, { landing, symbol, fence }, (loaded) => {
    if (isSettled(loaded, hash, tradeId) || loaded.slice.order !== null) return []
    const claimed: OrderUpdate = { type: 'claimed', intent, clientOrderId, parametersHash: hash, at }
    if (loaded.cancelMark === null) return [claimed]
    return [claimed, { type: 'cancel_requested', request: loaded.cancelMark }, { type: 'withdrawn', at }]
  })
  return applied.slice.order?.status === 'submitting' ? `${applied.version} ${by}` : null
}

/** One holder's work on a claimed trade. */
class Submission {
  readonly #deps: SubmitDeps
  readonly #intent: OrderIntent
  readonly #landing: Landing
  readonly #fence: Fence
  readonly #clientOrderId: string
  /** Whether the account had been read when the trade was loaded; once read, it stays. */
  readonly #hasAccount: boolean

  constructor(deps: SubmitDeps, intent: OrderIntent, landing: Landing, fence: Fence, hasAccount: boolean) {
    this.#deps = deps
    this.#intent = intent
    this.#landing = landing
    this.#fence = fence
    this.#hasAccount = hasAccount
    this.#clientOrderId = clientOrderIdOf(intent.userId, intent.tradeId)
  }

  /** Nothing was sent yet: it may be denied. */
  async first(): Promise<SubmitResult> {
    const denial = this.#denial()
    if (denial !== null) return this.#deny(...denial)
    let broker: Broker
    try {
      broker = await this.#deps.brokers.get(this.#intent)
    } catch (error) {
      if (error instanceof ConnectionUnusableError) return this.#deny('BROKER_DISCONNECTED', error.message)
      throw error
    }
    const message = 'The broker account has not been read yet. Try again in a minute'
    return this.#send(broker, () => this.#deny('BROKER_DISCONNECTED', message))
  }

  /** Something may have been sent before: evidence first. */
  async again(claimedAt: string): Promise<SubmitResult> {
    const broker = await this.#deps.brokers.get(this.#intent)
    const found = await this.#lookUp(broker)
    if (found !== null && 'kind' in found) return found
    if (found !== null) return this.#adopt(found)
    const ageMs = this.#deps.clock.now() - Date.parse(claimedAt)
    if (ageMs > RESEND_MS_MAX || this.#isPastDeadline()) {
      await this.#apply({ type: 'outcome_unknown', at: this.#at() })
      return { kind: 'again', delayMs: LOOK_AGAIN_MS, why: 'not found at the broker, and too old to be sent again' }
    }
    return this.#send(broker, () => ({ kind: 'again', delayMs: null, why: 'the account has not been read yet' }))
  }

  /**
   * Positions and cash start from a first reading of the account. An order that executed before it would be in that reading and be
   * booked again, so nothing is sent until it is done: usually a moment after the connection was made.
   */
  async #isAccountRead(): Promise<boolean> {
    if (this.#hasAccount) return true
    const { applier, clock } = this.#deps
    const { userId, connectionId, tradeId, symbol } = this.#intent
    for (let waitedMs = 0; ; waitedMs += ACCOUNT_LOOK_MS) {
      const { slice } = await applier.store.loadSlice(userId, { orderId: tradeId, connectionId, symbol })
      if (slice.account !== null) return true
      if (waitedMs >= ACCOUNT_WAIT_MS_MAX) return false
      await clock.sleep(ACCOUNT_LOOK_MS)
    }
  }

  /** @param whenUnread what becomes of the order while the account's first reading is not done */
  async #send(broker: Broker, whenUnread: () => SubmitResult | Promise<SubmitResult>): Promise<SubmitResult> {
    if (!(await this.#isAccountRead())) return whenUnread()
    const { log } = this.#deps
    const clientOrderId = this.#clientOrderId
    const outcome = await broker.submit({ intent: this.#intent, clientOrderId })
    log.info({ clientOrderId, outcome: outcome.kind }, 'submit.answered')
    return this.#record(broker, outcome)
  }

  async #record(broker: Broker, outcome: SubmitOutcome): Promise<SubmitResult> {
    switch (outcome.kind) {
      case 'accepted':
        return this.#adopt(outcome.order)
      case 'duplicate': {
        const found = await this.#lookUp(broker)
        if (found === null)
          return { kind: 'again', delayMs: null, why: 'the id is taken, but the order is not visible yet' }
        return 'kind' in found ? found : this.#adopt(found)
      }
      case 'refused': {
        const { code, brokerCode, message } = outcome
        await this.#apply({ type: 'refused', code, brokerCode, message, at: this.#at() })
        return DONE
      }
      case 'rate_limited':
        return { kind: 'again', delayMs: outcome.retryAfterMs ?? RATE_LIMITED_MS, why: 'rate limited' }
      case 'not_sent':
        return { kind: 'again', delayMs: outcome.retryAfterMs, why: outcome.why }
      case 'unknown':
        await this.#apply({ type: 'outcome_unknown', at: this.#at() })
        return { kind: 'again', delayMs: null, why: `unknown outcome: ${outcome.cause}` }
    }
  }

  /** The order, `null` when the broker does not know the id, or what to do when it cannot be asked. */
  async #lookUp(broker: Broker): Promise<BrokerOrder | SubmitResult | null> {
    try {
      return await broker.findByClientOrderId(this.#clientOrderId)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      return { kind: 'again', delayMs: error.retryAfterMs, why: `the look-up failed: ${error.message}` }
    }
  }

  /** The broker has an order under our id. It must be the one that was asked for. */
  async #adopt(order: BrokerOrder): Promise<SubmitResult> {
    const { symbol, side, quantity, orderType, limitPrice, stopPrice } = this.#intent
    const isSame =
      (quantity === null || order.quantity === quantity) &&
      [order.symbol, order.side, order.orderType, order.limitPrice, order.stopPrice].join() ===
        [symbol, side, orderType, limitPrice, stopPrice].join()
    if (!isSame) {
      this.#deps.log.error({ clientOrderId: this.#clientOrderId }, 'submit.foreign_order_under_our_id')
      return { kind: 'again', delayMs: LOOK_AGAIN_MS, why: 'another order has this client order id' }
    }
    await this.#apply({ type: 'broker_order', order, execution: null, at: order.updatedAt })
    return DONE
  }

  /** Why it must not be sent at all. */
  #denial(): [RejectionCode, string] | null {
    const { orderClass } = this.#intent
    if (orderClass !== 'simple')
      return ['UNSUPPORTED', `orderClass: ${orderClass} orders are not carried out; use simple`]
    if (this.#isPastDeadline()) return ['EXPIRED_BEFORE_SUBMIT', 'notAfter had passed before the order could be sent']
    return null
  }

  #isPastDeadline(): boolean {
    const { notAfter } = this.#intent
    return notAfter !== null && this.#deps.clock.now() > Date.parse(notAfter)
  }

  async #deny(code: RejectionCode, message: string): Promise<SubmitResult> {
    await this.#apply({ type: 'denied', code, message, at: this.#at() })
    return DONE
  }

  #apply(update: OrderUpdate) {
    const { symbol } = this.#intent
    return apply(this.#deps.applier, { landing: this.#landing, symbol, fence: this.#fence }, update)
  }

  #at(): string {
    return isoTime(this.#deps.clock.now())
  }
}
