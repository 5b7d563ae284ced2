import { cashAfter, doubtsAfter } from './account.ts'
import { add, type Decimal, isNegative, isZero, sub, ZERO } from './decimal.ts'
import { type Order, type Placement, sideOf } from './order.ts'
import { applyFill, type Position, type PositionChange, undoFill } from './position.ts'
import { hasNewStop, protectedBy } from './protection.ts'
import { tradingDayOf } from './trading-day.ts'
import type { Change, Slice } from './updates.ts'

/**
 * `key` identifies the execution that opened a position. Default: the execution's cumulative
 * quantity.
 */
type Fill = Readonly<{
  quantity: Decimal
  price: Decimal
  at: string
  cumulativeQuantity?: Decimal
  key?: string
}>

/**
 * The effects of the executions of one order: on the position in its symbol, on the cash, and on
 * the P&L of the day. An instance belongs to one booking and appends its changes to that booking's
 * changes, in the order in which they happen.
 */
export class FillEffects {
  #position: Slice['position']
  #account: Slice['account']
  #hasMoved = false
  readonly #changes: Change[]

  constructor({ position, account }: Slice, changes: Change[]) {
    this.#position = position
    this.#account = account
    this.#changes = changes
  }

  result(): Pick<Slice, 'position' | 'account'> {
    return { position: this.#position, account: this.#account }
  }

  execute(order: Order, placement: Placement, fill: Fill): void {
    this.#movePosition(applyFill, order, placement, fill)
    this.#moveCash(sideOf(order, placement.leg), order.symbol, fill)
  }

  takeBack(order: Order, placement: Placement, fill: Fill): void {
    this.#movePosition(undoFill, order, placement, fill)
    this.#moveCash(sideOf(order, placement.leg) === 'buy' ? 'sell' : 'buy', order.symbol, fill)
  }

  /** Reports if the position is on the side that the placement trades on. */
  isAddedToBy(order: Order, { leg }: Placement): boolean {
    return (
      this.#position !== null &&
      isNegative(this.#position.quantity) === (sideOf(order, leg) === 'sell')
    )
  }

  /**
   * Shows the order's stop on the position. If two orders have a stop, the position shows the stop
   * of the order whose stop changed, or whose execution moved the position; a repeated report of
   * the other order changes nothing.
   * @param before the order before the update
   */
  protect(before: Order | null, order: Order, at: string): void {
    const held = this.#position
    if (held === null || held.symbol !== order.symbol) return
    if (held.stopLossFrom === order.id || this.#hasMoved || hasNewStop(before, order, held))
      this.#show(order, held, at)
  }

  /**
   * Shows the order's stop on a position without a stop: the position was opened after the order,
   * or the stop of another order has ended.
   */
  protectOpen(order: Order, at: string): void {
    const held = this.#position
    if (held?.symbol === order.symbol && held.stopLossFrom === null) this.#show(order, held, at)
  }

  #show(order: Order, held: Position, at: string): void {
    const position = protectedBy(order, held)
    if (position === held) return
    this.#position = position
    this.#changes.push({ type: 'position.changed', position, at })
  }

  #movePosition(
    by: typeof applyFill,
    order: Order,
    { leg, brokerOrderId, clientOrderId }: Placement,
    fill: Fill,
  ): void {
    const { connectionId, symbol } = order
    const { quantity, price, at } = fill
    const key = `${brokerOrderId ?? clientOrderId} ${fill.key ?? fill.cumulativeQuantity ?? ''}`
    const before = this.#position
    this.#hasMoved = true
    const after = by(before, {
      connectionId,
      symbol,
      side: sideOf(order, leg),
      quantity,
      price,
      at,
      key,
    })
    const guard = (position: Position): Position =>
      isZero(position.quantity) ? position : protectedBy(order, position)
    this.#position = after.position === null ? null : guard(after.position)
    for (const { type, position } of after.changes)
      this.#changes.push({ type: `position.${type}`, position: guard(position), at })
    this.#countProfit(before, after.changes, at)
  }

  #countProfit(before: Position | null, changes: readonly PositionChange[], at: string): void {
    if (this.#account === null) return
    let realized = ZERO
    let base = before?.realizedPnL ?? ZERO
    for (const { position } of changes) {
      realized = add(realized, sub(position.realizedPnL, base))
      base = ZERO // after a close the next position starts at zero
    }
    const date = tradingDayOf(Date.parse(at))
    const today = this.#account.today
    if (today !== null && date < today.date) return
    const sofar = today?.date === date ? today.realizedPnL : ZERO
    if (today?.date === date && isZero(realized)) return
    this.#account = { ...this.#account, today: { date, realizedPnL: add(sofar, realized) } }
  }

  #moveCash(side: Order['side'], symbol: string, { quantity, price, at }: Fill): void {
    const account = this.#account
    if (account === null) return
    const cash = cashAfter(account.cash, side, quantity, price)
    this.#account = { ...account, cash, doubts: doubtsAfter(account.doubts, symbol) }
    this.#changes.push({
      type: 'cash.changed',
      account: this.#account,
      previousCash: account.cash,
      cause: 'execution',
      at,
    })
  }
}
