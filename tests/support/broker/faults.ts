import type { RefusalCode } from '#contract'
import type { Clock } from '#runtime'

/** The calls of the port that a fault can meet. `read` is every reading call. */
export type CallName =
  | 'submit'
  | 'replace'
  | 'cancel'
  | 'read'
  | 'findByClientOrderId'
  | 'findByBrokerOrderId'
  | 'findParent'
  | 'listOrders'
  | 'listExecutions'
  | 'listActivities'
  | 'readPortfolio'
  | 'readPosition'
  | 'readQuote'
  | 'listAssets'
  | 'readAccount'
  | 'readClock'
  | 'readSessions'

/** The fault of a call. A read without an outcome throws `UNAVAILABLE`. */
export type CallFault =
  /** Cut before the broker read it. */
  | Readonly<{ kind: 'lose_request' }>
  /** Carried out, and the answer is cut. */
  | Readonly<{ kind: 'lose_reply' }>
  /** Answered by something in between, before or after it was carried out. Default 503. */
  | Readonly<{ kind: 'error_before' | 'error_after'; status?: number }>
  /** `retryAfterMs` null: the broker does not say. */
  | Readonly<{ kind: 'rate_limit'; retryAfterMs?: number | null }>
  /** A definitive no. `code` is for submissions, default `INSUFFICIENT_BUYING_POWER`. */
  | Readonly<{
      kind: 'refuse'
      code?: RefusalCode
      message?: string
    }>
  /**
   * The request, or the answer, takes this long. Longer than the call's deadline: the caller hears
   * nothing, the broker acts on.
   */
  | Readonly<{ kind: 'delay_request' | 'delay_reply'; ms: number }>

/** The outcome of a call, in terms common to all calls. */
export type CallResult<T> =
  | Readonly<{ kind: 'done'; value: T }>
  | Readonly<{ kind: 'refused'; fault: Extract<CallFault, { kind: 'refuse' }> }>
  | Readonly<{ kind: 'rate_limited'; retryAfterMs: number | null }>
  | Readonly<{ kind: 'unknown'; cause: string }>

type Armed = { on: CallName; fault: CallFault; left: number; skip: number }

/** How long a call waits for its answer, as the real adapter's do. */
const CALL_DEADLINE_MS = 8_000

/** Faults of calls, used up in the order in which they were armed. */
export class CallFaults {
  readonly #armed: Armed[] = []
  /** By `<call> <kind>`, how often it befell. */
  readonly met = new Map<string, number>()
  readonly #clock: Clock | null

  constructor(clock: Clock | null) {
    this.#clock = clock
  }

  /**
   * @param options `times` default 1 (Infinity: until disarmed); `skip`: that many calls go well
   *   first
   */
  arm(
    on: CallName,
    fault: CallFault,
    { times = 1, skip = 0 }: Readonly<{ times?: number; skip?: number }> = {},
  ): () => void {
    const armed: Armed = { on, fault, left: times, skip }
    this.#armed.push(armed)
    return () => void (armed.left = 0)
  }

  clear(): void {
    this.#armed.length = 0
  }

  /** Carries a call out with its fault, and returns the outcome. */
  async run<T>(on: CallName, call: () => T): Promise<CallResult<T>> {
    const fault = this.#next(on)
    switch (fault?.kind) {
      case undefined:
        return { kind: 'done', value: call() }
      case 'lose_request':
        return { kind: 'unknown', cause: 'cut before the broker read it' }
      case 'lose_reply':
        call()
        return { kind: 'unknown', cause: 'cut after the broker read it' }
      case 'error_before':
        return { kind: 'unknown', cause: `status ${fault.status ?? 503}` }
      case 'error_after':
        call()
        return { kind: 'unknown', cause: `status ${fault.status ?? 503}` }
      case 'rate_limit':
        return {
          kind: 'rate_limited',
          retryAfterMs: fault.retryAfterMs === undefined ? 1_000 : fault.retryAfterMs,
        }
      case 'refuse':
        return { kind: 'refused', fault }
      case 'delay_request':
      case 'delay_reply':
        return await this.#delayed(fault, call)
    }
  }

  async #delayed<T>(
    { kind, ms }: Extract<CallFault, { ms: number }>,
    call: () => T,
  ): Promise<CallResult<T>> {
    const clock = this.#clock
    if (clock === null) throw new Error('a delay needs a clock: new FakeBroker({ clock })')
    const done: { value?: T } = {}
    if (kind === 'delay_reply') done.value = call()
    else clock.after(ms, () => void (done.value = call()))
    await clock.sleep(Math.min(ms, CALL_DEADLINE_MS))
    return ms < CALL_DEADLINE_MS && 'value' in done
      ? { kind: 'done', value: done.value }
      : { kind: 'unknown', cause: 'no answer within the deadline' }
  }

  #next(on: CallName): CallFault | null {
    const isRead = on !== 'submit' && on !== 'replace' && on !== 'cancel'
    for (const armed of this.#armed) {
      if (armed.left <= 0 || (armed.on !== on && !(armed.on === 'read' && isRead))) continue
      if (armed.skip > 0) {
        armed.skip -= 1
        continue
      }
      armed.left -= 1
      const name = `${on} ${armed.fault.kind}`
      this.met.set(name, (this.met.get(name) ?? 0) + 1)
      return armed.fault
    }
    return null
  }
}
