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
 * Looks after orders that nobody else will think of.
 *
 *   submitting, being canceled, being replaced or of a wrong size for more than a few seconds
 *     -> it is taken up from its record,
 *     whatever became of its job (RDQ-02)
 *   one with which workers were lost time and again -> alarmed, and on the operators' list; it
 *     waits for an operator to ask anew (CRA-08)
 *   an exit of ours, resting on a symbol that is flat -> canceled once both we and the broker
 *     say flat, and watched until it is gone;
 *     what is still there later is alarmed (CAN-10)
 *   a stop on a flat symbol that did not come with its entry, ours or not -> reported only: it
 *     may be meant to open a position
 *   an exit on a flat symbol whose entry was placed elsewhere -> reported only: it is another
 *     program's to cancel
 *   exits that executed more than their entry did, or are sized differently -> alarmed (CAN-09)
 *   and where the policy says so, the former -> one trade closes the excess, once it lasts and
 *     nothing of the order is open
 *
 * Kept true: each finding is told once while it lasts; forgetting (a restart) makes it told again,
 * nothing worse.
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
   * Says which orders stand aside, also while the broker cannot be asked. The list is a help to
   * operators: following goes on without it.
   */
  async announce(orders: readonly Order[]): Promise<void> {
    const quarantine = orders.flatMap((order) => quarantinedOf(order) ?? [])
    if (quarantine.length === 0) return
    await this.#context.quarantine.note(quarantine).catch((error: unknown) => {
      this.#context.log.warn({ ...this.#context.ref, error }, 'order.aside_not_noted')
    })
  }

  /**
   * @param orders of which something may still happen
   * @param overExited whose exits have executed more than their entry: they have ended, all of them
   *   as a rule
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
    // What is due once a replacement has its outcome is another matter than that it had none.
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

  /** Whether it was told before; it is from now on. */
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

/** A submission in its ordinary course has an answer by then. */
const DUE_MS = 5_000
/**
 * The broker itself takes the sibling of a filled exit away; only what is still there after this
 * long is left over.
 */
const LEFTOVER_MS = 5_000
const UNCONFIRMED_MS = 60_000

/**
 * Something of its entry has executed, though the venue may have taken it back: its exits are at
 * work. A record that was read anew tells nothing of that; the venue holds the exits of other
 * entries.
 */
const hasEntered = (
  { cumulativeQuantity, busts, status }: Order,
  live: readonly Placement[],
): boolean =>
  !isZero(cumulativeQuantity) ||
  busts.length > 0 ||
  status === 'filled' ||
  live.some(({ leg, working }) => leg !== 'entry' && working !== null && working.status !== 'held')

/** It waits at the broker for its entry, or beside a sibling: as it is, it executes nothing. */
const isHeld = (order: Order): boolean =>
  livePlacements(order).some(({ working }) => working?.status === 'held')

/**
 * Whether an order placed elsewhere is an exit at work. An exit has a record of its own, as its
 * entry has: while the entry is at work, its exits are held, on the other side.
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
 * What rests without a position: an exit that came with its entry (or an oco, which is an exit
 * itself), or what may be meant to open a position: a stop of any origin, and an exit of another
 * program.
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
