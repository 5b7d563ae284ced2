import {
  cmp,
  excessOf,
  hasPendingWork,
  isQuarantined,
  isZero,
  livePlacements,
  type Order,
  type Placement,
  type Position,
  sum,
} from '#domain'
import type { QuarantinedOrder } from '#store'
import type { AccountContext } from './context.ts'

/**
 * Finds orders that need action although no report of the broker and no job will cause it.
 *
 *   submitting, being canceled, being replaced or of a wrong size for more than a few seconds
 *     -> a job resumes the order from its record, even if the earlier job was lost (RDQ-02)
 *   a quarantined order (its jobs repeatedly lost their workers) -> alarmed, and noted on the
 *     operators' list; the order waits for an operator to resume it (CRA-08)
 *   an exit of ours, resting on a symbol without a position -> canceled once both our record and
 *     the broker show no position, and watched until it has ended;
 *     an exit that still rests after `UNCONFIRMED_MS` is alarmed (CAN-10)
 *   a stop without a position that did not come with its entry, ours or not -> reported only: it
 *     may be meant to open a position
 *   an exit without a position whose entry was placed elsewhere -> reported only: the other
 *     program has to cancel it
 *   exits that executed more than their entry, or have another size -> alarmed (CAN-09)
 *   exits that executed more than their entry, under the policy `flatten` -> one trade closes the
 *     excess, once the excess lasts and no placement of the order is open
 *
 * Invariant:
 * - Each finding is reported once while it lasts. After a restart it is reported once more, with no
 *   other effect.
 */
export class OrderWatchdog {
  readonly #context: AccountContext
  readonly #sinceMs = new Map<string, number>()
  readonly #report = new Set<string>()
  #seen = new Set<string>()

  constructor(context: AccountContext) {
    this.#context = context
  }

  /**
   * Notes the quarantined orders on the operators' list, also while the broker cannot be queried.
   * The list only helps operators: if the list cannot be written, the session goes on.
   */
  async announce(orders: readonly Order[]): Promise<void> {
    const quarantine = orders.flatMap((order) => quarantinedOf(order) ?? [])
    if (quarantine.length === 0) return
    await this.#context.quarantine.note(quarantine).catch((error: unknown) => {
      this.#context.log.warn({ ...this.#context.ref, error }, 'order.aside_not_noted')
    })
  }

  /**
   * @param orders the orders that may still change
   * @param overExited the orders whose exits executed more than their entry; as a rule, all of them
   *   have ended
   */
  async look(
    orders: readonly Order[],
    overExited: readonly Order[],
    positions: ReadonlyMap<string, Position>,
  ): Promise<void> {
    this.#seen = new Set()
    for (const order of overExited) {
      this.#alarm(`over-exited ${order.id}`, order, 'order.exits_executed_more_than_entry')
      if (this.#context.overExit === 'flatten')
        await this.#flatten(order, positions.get(order.symbol) ?? null)
    }
    for (const order of orders) {
      await this.#resolve(order)
      await this.#clear(order, orders, positions.get(order.symbol) ?? null)
      this.#compareExits(order)
    }
    for (const key of this.#sinceMs.keys()) if (!this.#seen.has(key)) this.#sinceMs.delete(key)
    for (const key of this.#report) if (!this.#seen.has(key)) this.#report.delete(key)
  }

  async #resolve(order: Order): Promise<void> {
    if (isQuarantined(order) && order.endedAt === null)
      this.#alarm(`set aside ${order.id}`, order, 'order.set_aside')
    if (!hasPendingWork(order)) return
    // The number of results is part of the key: work that is due after the outcome of a replacement
    // gets a delay of its own.
    if (
      this.#lastsMs(`due ${order.id} ${order.replaceResults.length}`) < DUE_MS ||
      !this.#context.isOurs()
    )
      return
    await this.#context.followUps.resolve(this.#context.ref, order.id)
  }

  async #clear(order: Order, orders: readonly Order[], position: Position | null): Promise<void> {
    if (position !== null && !isZero(position.quantity)) return
    const kind = leftoverOf(order, orders)
    if (kind === null) return
    const lastsMs = this.#lastsMs(`leftover ${order.id}`)
    if (lastsMs < LEFTOVER_MS) return
    if (kind === 'unsure') return this.#tell(`unsure ${order.id}`, order, 'external')
    if (lastsMs >= UNCONFIRMED_MS) this.#tell(`unconfirmed ${order.id}`, order, 'unconfirmed')
    if (this.#wasTold(`canceled ${order.id}`)) return
    const held = await this.#context.broker.readPosition(order.symbol)
    if ((held !== null && !isZero(held.quantity)) || !this.#context.isOurs()) return
    await this.#context.followUps.cancel(this.#context.ref, order.id, 'leftover')
    this.#tell(`canceled ${order.id}`, order, 'canceled')
  }

  async #flatten(order: Order, position: Position | null): Promise<void> {
    const { clock, followUps, ref, log } = this.#context
    if (this.#wasTold(`flattened ${order.id}`)) return
    const excess = excessOf(order, position, clock.now())
    if (
      excess === null ||
      this.#lastsMs(`excess ${order.id}`) < LEFTOVER_MS ||
      !this.#context.isOurs()
    )
      return
    await followUps.flatten(ref, order.id, excess)
    this.#markTold(`flattened ${order.id}`)
    log.warn({ ...ref, orderId: order.id, ...excess }, 'order.flatten_asked')
  }

  #compareExits(order: Order): void {
    if (order.orderClass !== 'bracket' && order.orderClass !== 'oto') return
    const entered = sum(
      order.placements.filter(({ leg }) => leg === 'entry').map((one) => one.cumulativeQuantity),
    )
    const isMissized = livePlacements(order).some(
      (one) =>
        one.leg !== 'entry' &&
        order.endedAt !== null &&
        one.quantity !== null &&
        cmp(one.quantity, entered) !== 0,
    )
    if (isMissized && this.#lastsMs(`missized ${order.id}`) >= LEFTOVER_MS)
      this.#alarm(`told missized ${order.id}`, order, 'order.exits_sized_differently')
  }

  #tell(key: string, order: Order, what: 'canceled' | 'unconfirmed' | 'external'): void {
    if (this.#markTold(key)) return
    this.#context.accountMetrics.leftover(what)
    const level = what === 'unconfirmed' ? 'error' : 'warn'
    this.#context.log[level](
      { ...this.#context.ref, orderId: order.id, symbol: order.symbol, what },
      'order.leftover',
    )
  }

  #alarm(key: string, order: Order, event: string): void {
    if (!this.#markTold(key))
      this.#context.log.error(
        { ...this.#context.ref, orderId: order.id, symbol: order.symbol },
        event,
      )
  }

  /** Marks a finding as reported, and returns whether it was reported before. */
  #markTold(key: string): boolean {
    const was = this.#wasTold(key)
    this.#seen.add(key)
    this.#report.add(key)
    return was
  }

  #wasTold(key: string): boolean {
    const was = this.#report.has(key)
    if (was) this.#seen.add(key)
    return was
  }

  #lastsMs(key: string): number {
    this.#seen.add(key)
    const nowMs = this.#context.clock.monotonicMs()
    const since = this.#sinceMs.get(key) ?? nowMs
    this.#sinceMs.set(key, since)
    return nowMs - since
  }
}

function quarantinedOf(order: Order): QuarantinedOrder | null {
  const {
    id: tradeId,
    userId,
    connectionId,
    symbol,
    setAsideAt,
    endedAt,
    cancel,
    replaces,
    status,
  } = order
  if (setAsideAt == null || endedAt !== null) return null
  const isCanceling = cancel !== null && livePlacements(order).length > 0
  const due = isCanceling ? 'cancel' : replaces.length > 0 ? 'replacement' : 'nothing'
  return {
    userId,
    connectionId,
    tradeId,
    symbol,
    at: setAsideAt,
    due: status === 'submitting' ? 'submission' : due,
  }
}

/** A submission normally has its answer by then. */
const DUE_MS = 5_000
/**
 * The broker itself cancels the sibling of a filled exit; an exit that is still open after this
 * long is a leftover.
 */
const LEFTOVER_MS = 5_000
const UNCONFIRMED_MS = 60_000

/**
 * True if the entry has executed, so that its exits are working; the venue may have busted the
 * execution since. A record that was rebuilt from the broker has no bookings of that, so a live
 * exit also counts: the venue holds exits until their entry has executed.
 */
const hasEntered = (
  { cumulativeQuantity, busts, status }: Order,
  live: readonly Placement[],
): boolean =>
  !isZero(cumulativeQuantity) ||
  busts.length > 0 ||
  status === 'filled' ||
  live.some(({ leg, working }) => leg !== 'entry' && working !== null && working.status !== 'held')

/**
 * The order waits at the broker for its entry, or beside a sibling: a held order cannot execute.
 */
const isHeld = (order: Order): boolean =>
  livePlacements(order).some(({ working }) => working?.status === 'held')

/**
 * True if an order placed elsewhere is a working exit. An exit placed elsewhere has a record of its
 * own, and so has its entry: while the entry works, its exits are held, on the other side.
 */
function isExitElsewhere(order: Order, orders: readonly Order[]): boolean {
  const { orderClass, side, symbol } = order
  if (order.origin !== 'external' || orderClass === 'simple') return false
  const waits = (one: Order): boolean =>
    one.origin === 'external' &&
    one.symbol === symbol &&
    one.orderClass === orderClass &&
    one.side !== side &&
    isHeld(one)
  return orderClass === 'oco' || !orders.some(waits)
}

/**
 * Classifies an order that rests without a position. `exit`: an exit that came with its entry, or
 * an oco, which is an exit itself. `unsure`: a stop of any origin or an exit of another program,
 * which may be meant to open a position.
 */
function leftoverOf(order: Order, orders: readonly Order[]): 'exit' | 'unsure' | null {
  const live = livePlacements(order)
  if (live.length === 0) return null
  const isOurs = order.origin === 'fillcast'
  if (isOurs && order.orderClass === 'oco') return 'exit'
  if (
    isOurs &&
    live.some(({ leg }) => leg !== 'entry') &&
    order.endedAt !== null &&
    hasEntered(order, live)
  )
    return 'exit'
  const isStop =
    order.orderType === 'stop' ||
    order.orderType === 'stop_limit' ||
    order.orderType === 'trailing_stop'
  return !isHeld(order) && ((isStop && order.side === 'sell') || isExitElsewhere(order, orders))
    ? 'unsure'
    : null
}
