import { type BrokerOrder, isZero, type Order, overExitOf } from '#domain'
import type { CancelTimer } from '#runtime'
import type { LoadedConnection } from '#store'
import type { MarketHours } from '../broker/index.ts'
import { type AccountContext, applyReport, reportOf, UnreadError } from './context.ts'
import { recordedIds } from './open-orders.ts'
import { RateWindow } from './rate-window.ts'
import {
  expectedOrders,
  fillGaps,
  IDS_PER_POLL,
  MissingOrders,
  ordersWithoutExits,
  reconcileTotals,
} from './reconcile/index.ts'
import { type PollSchedule, pollSchedule } from './schedule.ts'
import type { SerialQueue } from './serial-queue.ts'
import { OrderWatchdog } from './watchdog.ts'

/**
 * Polls one connection's orders on a schedule that does not depend on the stream's health (FIL-05,
 * P7).
 *
 *   stopped --start()--> waiting --timer--> reading (outside the queue)
 *     --> applying (in the queue) --> waiting ...
 *
 * Two polls alternate: a poll of all open orders, and a more frequent poll of the orders in flight.
 * Only snapshots that the session has not applied yet are applied, so resting orders cost only the
 * request. An order that a complete list lacks is read by its id.
 *
 * Invariant:
 * - One poll runs at a time.
 * - The store's records are read before the broker's list, so an order that the list lacks is older
 *   than the list.
 * - A failed poll changes nothing and is repeated at the next turn.
 */
export type PollerDeps = Readonly<{
  context: AccountContext
  queue: SerialQueue
  hours: MarketHours
  isStreamLive(): boolean
  /** A poll ended. `changed`: the number of orders that the poll changed. */
  onPolled(changed: number): void
  onFailed(error: unknown): void
}>

export class Poller {
  readonly #deps: PollerDeps
  readonly #missingOrders: MissingOrders
  readonly #watchdog: OrderWatchdog
  #known:
    | (Pick<LoadedConnection, 'version' | 'positions'> &
        Readonly<{
          ids: ReadonlySet<string | null>
          overExited: readonly Order[]
          changes: number
        }>)
    | null = null
  #version: string | null = null
  readonly #hurries = new RateWindow(HURRIES_PER_MINUTE)
  #schedule: PollSchedule
  #openDueMs = 0
  #wasMarketOpen = true
  #startedMs = -Infinity
  #plannedMs = -Infinity
  #timer: CancelTimer = () => {}
  #turn: Promise<void> = Promise.resolve()
  #isStopped = true

  constructor(deps: PollerDeps) {
    this.#deps = deps
    this.#missingOrders = new MissingOrders(deps.context)
    this.#watchdog = new OrderWatchdog(deps.context)
    this.#schedule = pollSchedule({
      openOrders: 0,
      flightRequests: 0,
      canExecute: true,
      isHasty: false,
    })
  }

  get schedule(): PollSchedule {
    return this.#schedule
  }

  /** A repeated call has no effect. */
  start(): void {
    if (!this.#isStopped) return
    this.#isStopped = false
    this.#plan(this.#schedule.flightMs)
  }

  /** Resolves once no poll runs any more. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer()
    await this.#turn
  }

  /**
   * An execution was missed: polls soon, usually the orders in flight. Frequent calls do not bring
   * the polls closer together than `APART_MS`.
   */
  hurry(): void {
    const nowMs = this.#deps.context.clock.monotonicMs()
    const atMs = Math.max(nowMs + HURRY_MS, this.#startedMs + APART_MS)
    if (!this.#isStopped && atMs < this.#plannedMs && this.#hurries.take(nowMs))
      this.#plan(atMs - nowMs)
  }

  #plan(delayMs: number): void {
    this.#timer()
    this.#plannedMs = this.#deps.context.clock.monotonicMs() + delayMs
    this.#timer = this.#deps.context.clock.after(delayMs, () => {
      this.#plannedMs = -Infinity // no other poll is planned while this poll runs
      this.#turn = this.#turn.then(() => this.#take())
    })
  }

  async #take(): Promise<void> {
    const { clock, broker } = this.#deps.context
    const startedMs = clock.monotonicMs()
    this.#startedMs = startedMs
    try {
      if (this.#isStopped) return
      const isMarketOpen = await this.#deps.hours.isOpen(broker)
      // At the opening, every order that waited for it may execute.
      if (isMarketOpen && !this.#wasMarketOpen) this.#openDueMs = startedMs
      this.#wasMarketOpen = isMarketOpen
      if (startedMs + EARLY_MS >= this.#openDueMs) await this.#readOpen(startedMs)
      else await this.#readFlight(startedMs, isMarketOpen)
      this.#adjust(isMarketOpen)
    } catch (error) {
      // An earlier retry would spend the budget that has just come back on the first request of the
      // poll.
      this.#openDueMs = Math.max(this.#openDueMs, startedMs + this.#schedule.flightMs)
      this.#deps.onFailed(error)
    } finally {
      if (!this.#isStopped) this.#plan(Math.max(0, this.#nextMs(startedMs) - clock.monotonicMs()))
    }
  }

  /**
   * The time of the next poll: the regular turn, or the due time of the list of open orders if that
   * is earlier.
   */
  #nextMs(startedMs: number): number {
    return Math.min(
      startedMs + this.#schedule.flightMs,
      Math.max(this.#openDueMs, startedMs + APART_MS),
    )
  }

  async #readOpen(nowMs: number): Promise<void> {
    const { context } = this.#deps
    await this.#load(nowMs)
    const orders = context.openOrders.orders
    await this.#watchdog.announce(orders)
    const rows = await context.broker.listOrders({ status: 'open' })
    await context.boundaries.reached('poll.listed')
    const { found, requests } = await this.#missingOrders.read(
      [...ordersWithoutExits(orders), ...expectedOrders(orders)],
      rows,
      IDS_PER_POLL,
    )
    // An open order at the broker without a record here was lost by the store, even if its snapshot
    // counts as applied. So such an order is applied in any case.
    const changed = await this.#applyUpdate(
      [...rows, ...found],
      (seen) => this.#known?.ids.has(seen.brokerOrderId) ?? false,
    )
    this.#openDueMs = nowMs + this.#schedule.openMs
    await this.#watchdog.look(
      context.openOrders.orders,
      this.#known?.overExited ?? [],
      this.#known?.positions ?? new Map(),
    )
    context.accountMetrics.polled('open', requests + 1, changed)
    this.#deps.onPolled(changed)
  }

  /**
   * Polls the orders submitted lately and older orders in flight. While no order is in flight and
   * no state of the user changes, the broker is not queried.
   */
  async #readFlight(nowMs: number, isMarketOpen: boolean): Promise<void> {
    const { context } = this.#deps
    const version = await context.writer.store.version(context.ref.userId)
    const flying = context.openOrders.inFlight(nowMs, isMarketOpen)
    if (flying.length === 0 && version === this.#version) return
    this.#version = version
    const since = sinceOf(
      context.openOrders.newestAt,
      flying.map(({ submittedAt }) => submittedAt),
    )
    const rows = await context.broker.listOrders({ status: 'all', since })
    await context.boundaries.reached('poll.listed')
    const { found, requests } = await this.#missingOrders.read(
      expectedOrders(flying),
      rows,
      IDS_PER_FLIGHT,
    )
    const changed = await this.#applyUpdate([...rows, ...found])
    context.accountMetrics.polled('in_flight', requests + 1, changed)
    this.#deps.onPolled(changed)
  }

  /** Loads the records, but only if the user's state has changed since the last load. */
  #load(nowMs: number): Promise<void> {
    const { context, queue } = this.#deps
    const { userId, connectionId } = context.ref
    return queue.run(async () => {
      const { changes } = context.openOrders
      // If our own writes did not raise the version, the store lost them: the records are then
      // loaded too.
      if (
        this.#known?.changes === changes &&
        this.#known.version === (await context.writer.store.version(userId))
      )
        return
      const { version, account, positions, orders } = await context.writer.store.loadOpen(
        userId,
        connectionId,
      )
      if (account === null) throw new UnreadError(connectionId)
      const overExited = orders.filter((order) => !isZero(overExitOf(order)))
      this.#known = { version, positions, ids: recordedIds(orders), overExited, changes }
      context.openOrders.load(orders, nowMs)
    })
  }

  /** @returns the number of orders that changed */
  #applyUpdate(
    rows: readonly BrokerOrder[],
    isRecorded = (_: BrokerOrder) => true,
  ): Promise<number> {
    const { context, queue } = this.#deps
    return queue.run(async () => {
      let changed = 0
      const snapshots = new Map<string, BrokerOrder>()
      for (const order of rows) {
        snapshots.set(order.brokerOrderId, order)
        if (!context.openOrders.isUnapplied(order) && isRecorded(order)) continue
        const taken = await applyReport(context, reportOf(order))
        if (taken?.changes.some(({ type }) => type !== 'anomaly') === true) changed += 1
      }
      changed += await fillGaps(context, snapshots)
      await reconcileTotals(context, context.openOrders.orders, snapshots)
      await context.boundaries.reached('poll.applied')
      return changed
    })
  }

  #adjust(isMarketOpen: boolean): void {
    const { context, isStreamLive } = this.#deps
    const before = this.#schedule
    const nowMs = context.clock.monotonicMs()
    const flying = context.openOrders.inFlight(nowMs, isMarketOpen)
    this.#schedule = pollSchedule({
      openOrders: context.openOrders.size,
      flightRequests:
        flying.length === 0 ? 0 : 1 + Math.floor(flying.length / ROWS_PER_FLIGHT_REQUEST),
      canExecute: context.openOrders.canExecute(isMarketOpen),
      isHasty: !isStreamLive() || context.openOrders.hasHeldUp(nowMs, isMarketOpen),
    })
    this.#openDueMs = Math.min(this.#openDueMs, nowMs + this.#schedule.openMs)
    if (this.#schedule.isStretched && !before.isStretched)
      context.log.warn(
        { ...context.ref, ...this.#schedule, openOrders: context.openOrders.size },
        'poll.stretched',
      )
  }
}

/**
 * A timer may fire a moment early; without this margin the list of open orders would wait for one
 * more turn.
 */
const EARLY_MS = 50
/** Delay after a gap was found: the missing execution usually arrives within this time. */
const HURRY_MS = 1_000
const APART_MS = 2_000
/**
 * The most early polls. If the stream drops everything, each poll finds a gap; the regular polls
 * are then soon enough.
 */
const HURRIES_PER_MINUTE = 4
const IDS_PER_FLIGHT = 1
const ROWS_PER_FLIGHT_REQUEST = 500
/**
 * New orders are listed from this long before the newest noted order: orders do not become visible
 * in the order of their submission times.
 */
const MARGIN_MS = 20_000
/** Orders that were submitted longer ago than this are read with the open orders. */
const FLIGHT_BACK_MS = 10 * 60_000

function sinceOf(newestAt: string | null, flying: readonly (string | null)[]): string {
  const newestMs = Date.parse(newestAt ?? '')
  const oldest = flying
    .flatMap((at) => (at === null ? [] : [Date.parse(at)]))
    .filter((at) => at >= newestMs - FLIGHT_BACK_MS)
  return new Date(Math.min(newestMs - MARGIN_MS, ...oldest)).toISOString()
}
