import { cashAfter, doubtsAfter } from './account.ts'
import { add, type Decimal, isNegative, isZero, sub, ZERO } from './decimal.ts'
import { type Order, type Placement, sideOf } from './order.ts'
import { applyFill, type Position, type PositionChange, undoFill } from './position.ts'
import { hasNewStop, protectedBy } from './protection.ts'
import { tradingDayOf } from './trading-day.ts'
import type { Change, Slice } from './updates.ts'

/** `key` names what opened a position; by default the span of the execution. */
type Fill = Readonly<{
  quantity: Decimal
  price: Decimal
  at: string
  cumulativeQuantity?: Decimal
  key?: string
}>

/**
 * What the executions of one order move: the position in its symbol, the cash, and the day's
 * profit. Lives as long as the booking that it belongs to, and tells its changes among that one's,
 * in the order in which they come about.
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

  /** The position is on the side that the placement trades on. */
  isAddedToBy(order: Order, { leg }: Placement): boolean {
    return (
      this.#position !== null &&
      isNegative(this.#position.quantity) === (sideOf(order, leg) === 'sell')
    )
  }

  /**
   * The order's exits are the position's stop loss and take profit. Of two orders with a stop, the
   * one shows whose stop is news, or that moved the position: what is told again of the other
   * changes nothing.
   * @param before the order as it was
   */
  protect(before: Order | null, order: Order, at: string): void {
    const held = this.#position
    if (held === null || held.symbol !== order.symbol) return
    if (held.stopLossFrom === order.id || this.#hasMoved || hasNewStop(before, order, held))
      this.#show(order, held, at)
  }

  /**
   * The order's stop, where the position shows none: the position came after the order, or another
   * order's stop has ended.
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
      base = ZERO // what follows a close is another position
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
