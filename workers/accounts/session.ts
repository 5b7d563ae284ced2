import { hasGap } from '#domain'
import type { CancelTimer } from '#runtime'
import {
  type ActivityEvent,
  type ActivityStream,
  BrokerError,
  type MarketHours,
  type StreamDown,
  type TradeStream,
} from '../broker/index.ts'
import { FencedError } from '../state/index.ts'
import { AckDebounce } from './ack-debounce.ts'
import { type AccountContext, applyReport, type BrokerReport, UnreadError } from './context.ts'
import { FillWatch } from './fill-watch.ts'
import { Intake } from './intake.ts'
import type { Gap, SessionStanding } from './metrics.ts'
import { MuteDetector, SILENT_POLLS_MAX } from './mute-detector.ts'
import { Poller } from './poller.ts'
import { checkAccount, recover, refresh, WrongAccountError } from './reconcile/index.ts'
import { SerialQueue } from './serial-queue.ts'

/**
 * One holding of a connection's lease: the stream, the recoveries and the polling under it.
 *
 *   opening --stream live, or `STREAM_WAIT_MS` over--> recovering --done--> following
 *                                                          ^  failed: again after `RETRY_MS`
 *   following --stream live again, gap, overflow, mute,
 *                store unavailable and back---------------+
 *   any --lease lost, fenced off, close()--> over
 *
 * The stream and the broker's calls fail independently: polling goes on while the stream is down,
 * and updates of the stream are applied while calls fail (CON-06).
 *
 * Invariant:
 * - During a recovery, updates of the stream wait in the inbox and are applied after it (CON-03).
 * - Updates are only applied to an account that was read before.
 * - All writes run in the serial queue, one after the other, with the lease's token.
 * - Polling and account readings never block the serial queue while they wait for the broker.
 */
export type SessionDeps = Readonly<{
  context: AccountContext
  hours: MarketHours
  /**
   * Marks in the store that a recovery runs: closes and new quantities wait for its end. After a
   * failed recovery the mark stays, because the next recovery follows (FIL-06).
   */
  mark: Readonly<{ begin(): Promise<void>; end(): Promise<void> }>
  /** Requests a check of the connection, because the session had trouble with it. */
  askForCheck(): void
  /** The session must end. @param pauseMs pause before the next session may begin */
  onOver(why: string, pauseMs: number): void
}>

export class Session {
  readonly #deps: SessionDeps
  readonly #queue = new SerialQueue()
  /** The context of work that lets updates of the stream pass while it waits for the broker. */
  readonly #unqueuedContext: AccountContext
  readonly #intake = new Intake<BrokerReport>(UPDATES_WAITING_MAX)
  readonly #poller: Poller
  readonly #ackDebounce: AckDebounce
  readonly #fillWatch: FillWatch
  #stream: TradeStream | null = null
  #activities: ActivityStream | null = null
  #streamState: SessionStanding['stream'] = 'connecting'
  #callsState: SessionStanding['calls'] = 'up'
  #isRecovered = false
  #isKnown: boolean
  #recoveryTimer: CancelTimer = () => {}
  #refreshTimer: CancelTimer = () => {}
  #restartTimer: CancelTimer = () => {}
  #recoveryAtMs: number | null = null
  /** Recoveries in a row that ended because the request budget was spent. */
  #limited = 0
  /** The start of the last recovery. */
  #recoveredMs = -Infinity
  #isDraining = false
  readonly #muteDetector: MuteDetector
  #askAgainMs = -Infinity
  #isOver = false

  /** @param isKnown the account was read before, by this worker or another */
  constructor(deps: SessionDeps, isKnown: boolean) {
    this.#deps = deps
    this.#isKnown = isKnown
    const { context, hours } = deps
    this.#unqueuedContext = { ...context, asking: (ask) => this.#queue.outside(ask) }
    this.#poller = new Poller({
      context: this.#unqueuedContext,
      hours,
      queue: this.#queue,
      isStreamLive: () => this.#streamState === 'live',
      onPolled: (changed) => this.#polled(changed),
      onFailed: (error) => this.#failed(error),
    })
    this.#ackDebounce = new AckDebounce(context.clock, (report) => this.#keep(report))
    this.#muteDetector = new MuteDetector(context.clock)
    this.#fillWatch = new FillWatch(context.clock, {
      isApplied: (id, quantity) => context.openOrders.hasApplied(id, quantity),
      onMissed: () => this.#poller.hurry(),
    })
    this.#openStream()
    this.#recoverIn(STREAM_WAIT_MS)
  }

  standing(): SessionStanding {
    return {
      stream: this.#streamState,
      calls: this.#callsState,
      isRecovered: this.#isRecovered,
      openOrders: this.#deps.context.openOrders.size,
      ...this.#poller.schedule,
    }
  }

  /**
   * The store may have lost writes whose snapshots we count as applied. A recovery is needed,
   * because a list of open orders lacks an order that ended lately (RDQ-04).
   */
  redisReconnected(): void {
    const { clock, accountMetrics } = this.#deps.context
    accountMetrics.gap('returned')
    this.#recoverIn(Math.max(GAP_MS, this.#recoveredMs + RETURNS_APART_MS - clock.monotonicMs()))
  }

  async close(): Promise<void> {
    this.#isOver = true
    this.#ackDebounce.stop()
    this.#fillWatch.stop()
    for (const cancel of [this.#recoveryTimer, this.#refreshTimer, this.#restartTimer]) cancel()
    await Promise.all([this.#stream?.close(), this.#activities?.close(), this.#poller.stop()])
    await this.#queue.idle()
  }

  #openStream(): void {
    const { context } = this.#deps
    this.#streamState = 'connecting'
    this.#stream = context.broker.openTradeStream(
      {
        onLive: () => {
          context.log.info(context.ref, 'stream.live')
          this.#streamState = 'live'
          this.#muteDetector.onOpened()
          this.#recoverIn(0)
        },
        onUpdate: (update) => this.#receive(update),
        onUnreadable: (why) => this.#gap('unreadable', why),
        onDown: (down) => this.#down(down),
      },
      () => this.#urgency(),
    )
  }

  #urgency() {
    const { openOrders, clock } = this.#deps.context
    if (openOrders.inFlight(clock.monotonicMs(), false).length > 0) return 'in_flight'
    return openOrders.size > 0 ? 'open_orders' : 'idle'
  }

  #down({ message, final }: StreamDown): void {
    const { context } = this.#deps
    context.log.warn({ ...context.ref, why: message }, 'stream.down')
    this.#streamState = final ? 'refused' : 'down'
    if (!final) return
    this.#askForCheck()
    this.#restartTimer = context.clock.after(CREDENTIALS_PAUSE_MS, () => void this.#restart())
  }

  async #restart(): Promise<void> {
    const old = this.#stream
    this.#stream = null
    await old?.close()
    if (!this.#isOver && this.#stream === null) this.#openStream()
  }

  #receive(report: BrokerReport): void {
    this.#muteDetector.onReport()
    if (!this.#ackDebounce.delays(report)) this.#keep(report)
  }

  #keep(report: BrokerReport): void {
    const kept = this.#intake.push(report)
    if (kept === 'overflow')
      this.#gap('overflow', `more than ${UPDATES_WAITING_MAX} updates waited`)
    else if (kept === 'kept') this.#drainSoon()
  }

  #gap(why: Exclude<Gap, 'mute' | 'returned'>, detail: string): void {
    const { context } = this.#deps
    context.accountMetrics.gap(why)
    context.log.warn({ ...context.ref, why, detail }, 'stream.gap')
    this.#recoverIn(why === 'unreadable' ? GAP_MS : 0)
  }

  /**
   * One turn of the queue applies only a few updates, so that other work gets its turn during a
   * storm of updates.
   */
  #drainSoon(): void {
    if (this.#isDraining) return
    this.#isDraining = true
    void this.#queue.run(async () => {
      this.#isDraining = false
      if (this.#isOver || !this.#isRecovered) return
      for (const report of this.#intake.take(UPDATES_PER_PIECE)) await this.#take(report)
      if (this.#intake.size > 0) this.#drainSoon()
    })
  }

  async #take(report: BrokerReport): Promise<void> {
    const { context } = this.#deps
    if (this.#isOver) return
    try {
      await context.boundaries.reached('update.received')
      const taken = await applyReport(context, report)
      await context.boundaries.reached('update.committed')
      if (taken?.order != null && hasGap(taken.order)) this.#poller.hurry()
    } catch (error) {
      this.#failed(error)
      this.#recoverIn(RETRY_MS) // the recovery reads this update's content again
    }
  }

  /** At most one recovery is planned at a time; the earlier plan wins. */
  #recoverIn(delayMs: number): void {
    if (this.#isOver) return
    const { clock } = this.#deps.context
    const atMs = clock.monotonicMs() + delayMs
    if (this.#recoveryAtMs !== null && this.#recoveryAtMs <= atMs) return
    this.#recoveryAtMs = atMs
    this.#recoveryTimer()
    const run = (): void => void this.#queue.run(() => this.#recover())
    if (delayMs === 0) run()
    else this.#recoveryTimer = clock.after(delayMs, run)
  }

  async #recover(): Promise<void> {
    if (this.#isOver || this.#recoveryAtMs === null) return
    const { context, mark } = this.#deps
    this.#recoveryAtMs = null
    this.#recoveryTimer()
    this.#recoveredMs = context.clock.monotonicMs()
    this.#intake.reopen()
    try {
      await mark.begin()
      if (!this.#isRecovered) await checkAccount(context)
      const { isComplete, doubts } = await recover(context, !this.#isKnown)
      await mark.end()
      this.#answered()
      this.#isRecovered = true
      this.#isKnown = true
      context.accountMetrics.recovered('done')
      if (!isComplete) this.#recoverIn(RETRY_MS)
      this.#refreshIn(doubts > 0 ? DOUBT_MS : REFRESH_MS)
      this.#poller.start()
      this.#openActivities()
    } catch (error) {
      context.accountMetrics.recovered('failed')
      this.#failed(error)
      this.#recoverIn(this.#retryMs(error))
    }
    this.#drainSoon()
  }

  /**
   * The delay before a failed recovery is repeated. A recovery starts with its first request again,
   * so a quick repeat would spend the budget as soon as requests are allowed again. Until the first
   * recovery is done no polling runs, so the first recovery is repeated quickly for a minute.
   */
  #retryMs(error: unknown): number {
    const code = error instanceof BrokerError ? error.code : null
    this.#limited = code === 'RATE_LIMITED' ? this.#limited + 1 : 0
    if (code === 'CREDENTIALS') return CREDENTIALS_PAUSE_MS
    return this.#limited > (this.#isRecovered ? 0 : HASTY_TRIES_MAX) ? BUDGET_PAUSE_MS : RETRY_MS
  }

  /**
   * Plans the next reading of cash, positions and busts: it is not urgent, and reports of orders do
   * not contain these data.
   */
  #refreshIn(delayMs: number): void {
    this.#refreshTimer()
    if (this.#isOver) return
    this.#refreshTimer = this.#deps.context.clock.after(delayMs, () => {
      void this.#queue.run(async () => {
        if (this.#isOver) return
        let nextMs = REFRESH_MS
        // The planned recovery reads the same data, and needs the request budget.
        if (this.#recoveryAtMs !== null) return this.#refreshIn(nextMs)
        try {
          const { doubts, isComplete } = await refresh(this.#unqueuedContext)
          this.#answered()
          if (doubts > 0) nextMs = DOUBT_MS
          if (!isComplete) this.#recoverIn(RETRY_MS)
        } catch (error) {
          this.#failed(error)
        }
        this.#refreshIn(nextMs)
      })
    })
  }

  #openActivities(): void {
    const { context } = this.#deps
    this.#activities ??= context.broker.openActivityStream(null, {
      onLive: () => context.log.info(context.ref, 'activities.live'),
      onActivity: (event) => this.#activity(event),
      onGap: (why) => this.#gap('notice', why),
      onDown: ({ message }) =>
        context.log.info({ ...context.ref, why: message }, 'activities.down'),
      onUnavailable: () => context.log.info(context.ref, 'activities.unavailable'),
    })
  }

  /**
   * An activity event reports an execution, but not the resulting state of the order. Where the
   * trade stream has not reported the execution, the lists provide both.
   */
  #activity(event: ActivityEvent): void {
    if ('activity' in event) this.#refreshIn(GAP_MS)
    else if ('bust' in event) this.#refreshIn(0)
    else this.#fillWatch.expect(event.brokerOrderId, event.execution.cumulativeQuantity)
  }

  #polled(changed: number): void {
    this.#answered()
    if (this.#streamState !== 'live' || !this.#muteDetector.onPoll(changed)) return
    const { accountMetrics, log, ref } = this.#deps.context
    accountMetrics.gap('mute')
    log.warn({ ...ref, polls: SILENT_POLLS_MAX }, 'stream.mute')
    void this.#restart()
  }

  #answered(): void {
    this.#callsState = 'up'
  }

  #failed(error: unknown): void {
    const { context, onOver } = this.#deps
    if (error instanceof FencedError || error instanceof WrongAccountError) {
      if (this.#isOver) return
      this.#isOver = true
      const isFenced = error instanceof FencedError
      if (!isFenced) this.#askForCheck()
      context.log[isFenced ? 'info' : 'error']({ ...context.ref, error }, 'session.over')
      onOver(isFenced ? 'fenced off' : 'another account', isFenced ? 0 : CREDENTIALS_PAUSE_MS)
      return
    }
    if (error instanceof UnreadError) return this.#gap('unread', error.message)
    if (error instanceof BrokerError && error.code !== 'RATE_LIMITED') this.#callsState = 'down'
    context.log[error instanceof BrokerError ? 'warn' : 'error'](
      { ...context.ref, error },
      'session.work_failed',
    )
    if (error instanceof BrokerError && error.code === 'CREDENTIALS') this.#askForCheck()
  }

  /** At most one check per `CREDENTIALS_PAUSE_MS`, however many calls fail. */
  #askForCheck(): void {
    const nowMs = this.#deps.context.clock.monotonicMs()
    if (nowMs < this.#askAgainMs) return
    this.#askAgainMs = nowMs + CREDENTIALS_PAUSE_MS
    this.#deps.askForCheck()
  }
}

/** The most updates that wait while a recovery runs or the store is slow. */
const UPDATES_WAITING_MAX = 10_000
const UPDATES_PER_PIECE = 50
/**
 * The first recovery waits this long for the subscription; if the stream does not open, the
 * recovery runs without the stream.
 */
const STREAM_WAIT_MS = 3_000
const RETRY_MS = 5_000
/**
 * The budget counts the requests of one minute: after this pause it has half of its requests again,
 * which is more than a recovery needs.
 */
const BUDGET_PAUSE_MS = 31_000
const HASTY_TRIES_MAX = 12
/**
 * Distance of the recoveries after returns of the store: with an unstable store, recoveries must
 * not spend the requests that polling needs.
 */
const RETURNS_APART_MS = 30_000
const GAP_MS = 2_000
const REFRESH_MS = 60_000
/** A little longer than the settle window. */
const DOUBT_MS = 16_000
const CREDENTIALS_PAUSE_MS = 30_000
