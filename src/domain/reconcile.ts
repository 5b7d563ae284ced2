import type { Account, CashCause, Doubt } from './account.ts'
import {
  ACTIVITY_IDS_MAX,
  type BrokerActivity,
  causeOf,
  explanationOf,
  unreadOf,
  withRead,
} from './activities.ts'
import { abs, add, type Decimal, div, isNegative, isZero, mul, neg, sub, ZERO } from './decimal.ts'
import { applyFill, averageEntryPrice, openPosition, type Position } from './position.ts'
import { tradingDayOf } from './trading-day.ts'
import type { Change } from './updates.ts'

/** A position as the broker shows it, in our terms. */
export type PositionSnapshot = Readonly<{
  symbol: string
  quantity: Decimal
  averageEntryPrice: Decimal
  currentPrice: Decimal | null
}>

/**
 * A complete, successful reading of a broker account. Only in such a reading a missing position is
 * a closed position (POS-02).
 */
export type BrokerSnapshot = Readonly<{
  brokerAccountId: string
  currency: string
  cash: Decimal
  positions: readonly PositionSnapshot[]
}>

/**
 * How long a difference must remain, without any execution in between, before the broker's figure
 * is adopted, in milliseconds. The orders and the positions endpoint were observed to disagree for
 * about 10 s (execution-failures.md, broker facts).
 */
export const SETTLE_MS = 15_000

/** The portfolio of one connection. */
export type Portfolio = Readonly<{ account: Account; positions: ReadonlyMap<string, Position> }>

export type Reconciled = Readonly<{ portfolio: Portfolio; changes: readonly Change[] }>

/**
 * The first reading of a connection: all figures of the broker are adopted. Earlier activities are
 * included in these figures already.
 */
export function adopt(
  connectionId: string,
  { snapshot: seen, activities, atMs, at: readAt }: Reading,
): Portfolio {
  const account: Account = {
    schema: 2,
    connectionId,
    brokerAccountId: seen.brokerAccountId,
    currency: seen.currency,
    cash: seen.cash,
    executionsReadTo: readAt,
    activitiesReadTo: readAt,
    activityIds: activities.map(({ id }) => id).slice(-ACTIVITY_IDS_MAX),
    today: null,
    costsAdoptedOn: costDayOf(atMs),
    doubts: {},
  }
  const positions = seen.positions
    .filter((p) => !isZero(p.quantity))
    .map((p) => positionFrom(connectionId, p, readAt))
  return { account, positions: new Map(positions.map((p) => [p.symbol, p])) }
}

/**
 * The record id of an order that was placed elsewhere. The dot keeps it apart from every `tradeId`.
 */
export const externalOrderId = (brokerOrderId: string): string => `ext.${brokerOrderId}`

/** One complete reading of an account, with the broker's activities other than executions. */
export type Reading = Readonly<{
  snapshot: BrokerSnapshot
  /** Activities since `account.activitiesReadTo` less `ACTIVITY_OVERLAP_MS`; complete. */
  activities: readonly BrokerActivity[]
  /** Our wall time when the reading began. */
  atMs: number
  /** The same time in the broker's format. */
  at: string
}>

/**
 * Compares our portfolio with the broker's. If activities explain a difference exactly, it is
 * adopted at once. Otherwise it is adopted only when two complete readings at least `SETTLE_MS`
 * apart show the same figure and no execution was booked in between (POS-01, D21). Until then the
 * difference is a doubt in the account record; booking an execution removes the doubts that it
 * touches.
 */
export function reconcile(ours: Portfolio, reading: Reading): Reconciled {
  const pass = new Reconciliation(ours, reading)
  const { snapshot } = reading
  for (const symbol of new Set([
    ...ours.positions.keys(),
    ...snapshot.positions.map((p) => p.symbol),
  ]))
    pass.reconcilePosition(symbol)
  pass.reconcileCash()
  pass.closeActivities()
  pass.adoptCosts()
  return pass.result()
}

/**
 * The activity that adds the new symbol of a renamed symbol. A broker lists a rename as two
 * activities: the old symbol leaves and the new symbol arrives, with the same number of shares.
 * `null`: several activities match.
 */
function arrivalOf(
  { symbol, quantity }: BrokerActivity,
  renames: readonly BrokerActivity[],
): BrokerActivity | null {
  if (quantity === null || isZero(quantity)) return null
  const [arrival = null, ...others] = renames.filter(
    (one) => one.symbol !== symbol && one.quantity === neg(quantity),
  )
  return others.length === 0 ? arrival : null
}

/** One comparison. An instance lives for one call of `reconcile`. */
class Reconciliation {
  readonly #reading: Reading
  readonly #before: Account
  readonly #positions: Map<string, Position>
  readonly #unread: readonly BrokerActivity[]
  readonly #read = new Set<string>()
  readonly #doubts: Record<string, Doubt> = {}
  readonly #changes: Change[] = []
  #account: Account

  constructor(ours: Portfolio, reading: Reading) {
    this.#reading = reading
    this.#before = ours.account
    this.#account = ours.account
    this.#positions = new Map(ours.positions)
    this.#unread = unreadOf(ours.account, reading.activities)
  }

  result(): Reconciled {
    const account = withRead(this.#account, [...this.#read], this.#reading.at)
    return {
      portfolio: { account: { ...account, doubts: this.#doubts }, positions: this.#positions },
      changes: this.#changes,
    }
  }

  reconcilePosition(symbol: string): void {
    const mine = this.#positions.get(symbol) ?? null
    const theirs = this.#theirs(symbol)
    const difference = sub(theirs?.quantity ?? ZERO, mine?.quantity ?? ZERO)
    if (isZero(difference) || this.#carryOver(symbol, mine, theirs)) return
    const moves = this.#unread.filter(
      (one) => one.symbol === symbol && one.quantity !== null && !isZero(one.quantity),
    )
    const explained = explanationOf(moves, difference, ({ quantity }) => quantity ?? ZERO)
    if (mine !== null && theirs !== null && explained !== null && isSameSide(mine, theirs)) {
      // The quantity changed without money: a split, or a fee taken in kind.
      const position = {
        ...mine,
        quantity: theirs.quantity,
        mark: theirs.currentPrice ?? mine.mark,
      }
      this.#set(symbol, position, [{ type: 'position.changed', position, at: this.#reading.at }])
      for (const { id } of explained) this.#read.add(id)
      return
    }
    if (!this.#isConfirmed(`position ${symbol}`, theirs?.quantity ?? ZERO)) return
    const settled = settlePosition(this.#account.connectionId, mine, theirs, this.#reading.at)
    this.#set(symbol, settled.position, settled.changes)
    this.#changes.push({
      type: 'anomaly',
      orderId: `position ${symbol}`,
      what: 'unexplained_drift',
    })
  }

  /**
   * A renamed symbol: the position closes at its cost, and a position opens under the new symbol.
   */
  #carryOver(symbol: string, mine: Position | null, theirs: PositionSnapshot | null): boolean {
    if (mine === null || theirs !== null) return false
    const renames = this.#unread.filter(({ kind }) => kind === 'symbol_change')
    const rename = renames.find((one) => one.symbol === symbol)
    const arrival = rename === undefined ? null : arrivalOf(rename, renames)
    const newSymbol = rename?.newSymbol ?? arrival?.symbol ?? null
    const renamed = newSymbol === null ? null : this.#theirs(newSymbol)
    if (
      rename === undefined ||
      newSymbol === null ||
      renamed === null ||
      this.#positions.has(newSymbol)
    )
      return false
    const { at } = this.#reading
    const key = `renamed ${mine.id}`
    const { connectionId } = this.#account
    const opened = openPosition(
      { connectionId, symbol: newSymbol, key, at },
      renamed.quantity,
      mine.cost,
      mine.mark,
    )
    this.#set(symbol, null, [
      { type: 'position.closed', position: closeAt(mine, averageEntryPrice(mine), at), at },
    ])
    this.#set(newSymbol, opened, [{ type: 'position.opened', position: opened, at }])
    for (const { id } of arrival === null ? [rename] : [rename, arrival]) this.#read.add(id)
    return true
  }

  reconcileCash(): void {
    const difference = sub(this.#reading.snapshot.cash, this.#account.cash)
    const moves = this.#unread.filter(({ amount }) => amount !== null && !isZero(amount))
    const explained = explanationOf(moves, difference, ({ amount }) => amount ?? ZERO)
    for (const activity of explained ?? []) {
      this.#moveCash(add(this.#account.cash, activity.amount ?? ZERO), causeOf(activity))
      this.#read.add(activity.id)
    }
    if (
      explained === null &&
      !isZero(difference) &&
      this.#isConfirmed('cash', this.#reading.snapshot.cash)
    )
      this.#moveCash(this.#reading.snapshot.cash, 'external')
  }

  /**
   * Marks the remaining activities as accounted for. Their effect was in figures that were adopted
   * before the activities were listed, or they have no effect.
   */
  closeActivities(): void {
    const rest = this.#unread.filter(({ id }) => !this.#read.has(id))
    const waiting = rest.filter(
      ({ amount, quantity, newSymbol }) => (amount ?? quantity ?? newSymbol) !== null,
    )
    const isLevel = Object.keys(this.#doubts).length === 0
    const isOver =
      waiting.length === 0 ||
      (isLevel && this.#isConfirmed('activities', waiting.map(({ id }) => id).join()))
    for (const one of rest) if (isOver || !waiting.includes(one)) this.#read.add(one.id)
  }

  /**
   * The broker restates the costs of positions overnight. The restated costs are adopted once a
   * trading day (D21).
   */
  adoptCosts(): void {
    const day = costDayOf(this.#reading.atMs)
    if (this.#before.costsAdoptedOn === day) return
    if (Object.keys(this.#doubts).some((key) => key.startsWith('position '))) return
    for (const [symbol, mine] of this.#positions) {
      const theirs = this.#theirs(symbol)
      if (theirs === null || theirs.quantity !== mine.quantity) continue
      const places = theirs.averageEntryPrice.split('.')[1]?.length ?? 0
      if (div(mine.cost, abs(mine.quantity), places) === theirs.averageEntryPrice) continue
      const position = { ...mine, cost: mul(abs(mine.quantity), theirs.averageEntryPrice) }
      this.#set(symbol, position, [{ type: 'position.changed', position, at: this.#reading.at }])
    }
    this.#account = { ...this.#account, costsAdoptedOn: day }
  }

  #theirs(symbol: string): PositionSnapshot | null {
    return (
      this.#reading.snapshot.positions.find((p) => p.symbol === symbol && !isZero(p.quantity)) ??
      null
    )
  }

  #set(symbol: string, position: Position | null, changes: readonly Change[]): void {
    if (position === null) this.#positions.delete(symbol)
    else this.#positions.set(symbol, position)
    this.#changes.push(...changes)
  }

  #moveCash(cash: Decimal, cause: CashCause): void {
    const previousCash = this.#account.cash
    this.#account = { ...this.#account, cash }
    this.#changes.push(cashChange(this.#account, previousCash, cause, this.#reading.at))
  }

  /**
   * Reports if the broker has shown this figure for long enough. If not, the figure is noted as a
   * doubt.
   */
  #isConfirmed(key: string, value: string): boolean {
    const before = this.#before.doubts[key]
    const { atMs } = this.#reading
    if (before?.value === value && atMs - before.sinceMs >= SETTLE_MS) return true
    this.#doubts[key] = before?.value === value ? before : { value, sinceMs: atMs }
    return false
  }
}

const isSameSide = (mine: Position, theirs: PositionSnapshot): boolean =>
  isNegative(mine.quantity) === isNegative(theirs.quantity)

/**
 * The broker restates costs overnight. A cost day begins at nine in the morning at the exchange,
 * well after the restatement and before the session.
 */
const COST_DAY_STARTS_MS = 9 * 3_600_000
const costDayOf = (timeMs: number): string => tradingDayOf(timeMs - COST_DAY_STARTS_MS)

const cashChange = (
  account: Account,
  previousCash: Decimal,
  cause: CashCause,
  at: string,
): Change => ({
  type: 'cash.changed',
  account,
  previousCash,
  cause,
  at,
})

const positionFrom = (connectionId: string, seen: PositionSnapshot, at: string): Position =>
  openPosition(
    { connectionId, symbol: seen.symbol, key: `adopted ${seen.quantity} ${at}`, at },
    seen.quantity,
    mul(abs(seen.quantity), seen.averageEntryPrice),
    seen.currentPrice ?? seen.averageEntryPrice,
  )

function settlePosition(
  connectionId: string,
  mine: Position | null,
  theirs: PositionSnapshot | null,
  at: string,
): { position: Position | null; changes: readonly Change[] } {
  const opened = theirs === null ? null : positionFrom(connectionId, theirs, at)
  if (
    mine !== null &&
    opened !== null &&
    isNegative(mine.quantity) === isNegative(opened.quantity)
  ) {
    const { quantity, cost } = opened
    const position = { ...mine, quantity, cost }
    return { position, changes: [{ type: 'position.changed', position, at }] }
  }
  const changes: Change[] = []
  // The closing price is unknown: the last mark is the best estimate.
  if (mine !== null)
    changes.push({ type: 'position.closed', position: closeAt(mine, mine.mark, at), at })
  if (opened !== null) changes.push({ type: 'position.opened', position: opened, at })
  return { position: opened, changes }
}

/** Closes all of a position that vanished without an execution. */
function closeAt(mine: Position, price: Decimal, at: string): Position {
  const side = isNegative(mine.quantity) ? 'buy' : 'sell'
  const { connectionId, symbol } = mine
  const [closed] = applyFill(mine, {
    connectionId,
    symbol,
    side,
    quantity: abs(mine.quantity),
    price,
    at,
    key: 'reconciled',
  }).changes
  if (closed?.type !== 'closed') throw new RangeError(`position ${mine.id} did not close`)
  return closed.position
}
