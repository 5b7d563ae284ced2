import {
  add,
  type BrokerOrder,
  type BrokerStatus,
  type Bust,
  cmp,
  dec,
  type Decimal,
  div,
  type Execution,
  isZero,
  mul,
  type OrderIntent,
  sub,
  ZERO,
} from '#domain'
import type { BrokerActivity } from '../../../src/domain/activities.ts'
import type { StreamUpdate } from '../../../workers/broker/port.ts'
import { type BookEntry, type Books, booksOf } from './holdings.ts'

const CLOSED: ReadonlySet<BrokerStatus> = new Set([
  'filled',
  'canceled',
  'expired',
  'rejected',
  'replaced',
])
export const isClosed = ({ status }: BrokerOrder): boolean => CLOSED.has(status)

/**
 * An execution in its current form: a bust removes the execution, a correction changes the
 * execution and its id.
 */
export type Booked = Readonly<{ brokerOrderId: string; execution: Execution }>

/** The terms of an order; omitted terms do not apply. */
export type Terms = Partial<BrokerOrder> & Pick<BrokerOrder, 'symbol' | 'side' | 'quantity'>

/** Starting cash of every account. */
const CASH = dec('100000')

/**
 * The books of one account. Orders move and execute only by a call of the test; each change is
 * passed on once, in order. Orders of one group follow Alpaca's rules: exits are held until their
 * entry is filled; then the take-profit order is open and the stop waits for its price; when one
 * exit executes, the other exit is canceled.
 */
export class Ledger {
  /** By broker order id, oldest first, without their exits. */
  readonly orders = new Map<string, BrokerOrder>()
  readonly executions: Booked[] = []
  readonly activities: BrokerActivity[] = []
  /** Busts and corrections, in order. */
  readonly busts: Readonly<{ brokerOrderId: string; bust: Bust }>[] = []
  /** Grows with every change of an order, an execution or the books. */
  changes = 0
  readonly #entries = new Map<string, BookEntry>()
  readonly #exits = new Map<string, readonly string[]>()
  readonly #parents = new Map<string, string>()
  readonly #byClientOrderId = new Map<string, string>()
  readonly #now: () => string
  readonly #tell: (update: StreamUpdate) => void
  readonly #onActivity: (activity: BrokerActivity) => void
  /** Prefix of every id, so that no other account has the same id; empty for the first account. */
  readonly #mark: string
  #ids = 0
  #books: Books | null = null

  constructor(
    accountId: string,
    now: () => string,
    tell: (update: StreamUpdate) => void,
    onActivity: (activity: BrokerActivity) => void,
  ) {
    this.#mark = accountId === 'account-1' ? '' : `${accountId}-`
    this.#now = now
    this.#tell = tell
    this.#onActivity = onActivity
  }

  get books(): Books {
    this.#books ??= booksOf(this.#entries.values(), CASH)
    return this.#books
  }

  /** By either id. @throws when there is none */
  order(id: string): BrokerOrder {
    const order = this.find(id)
    if (order === null) throw new Error(`the model broker has no order ${id}`)
    return order
  }

  find(id: string): BrokerOrder | null {
    const known = this.orders.get(id) ?? this.orders.get(this.#byClientOrderId.get(id) ?? '')
    return (
      known ?? [...this.orders.values()].find(({ clientOrderId }) => clientOrderId === id) ?? null
    )
  }

  /** With its exits. */
  nested(order: BrokerOrder): BrokerOrder {
    const legs = (this.#exits.get(order.brokerOrderId) ?? []).map((id) => this.order(id))
    return { ...this.order(order.brokerOrderId), legs }
  }

  parentOf(order: BrokerOrder): BrokerOrder | null {
    return this.find(this.#parents.get(order.brokerOrderId) ?? '')
  }

  /** Accepts an order with its exits. */
  place(
    clientOrderId: string,
    terms: Terms,
    exits: Pick<OrderIntent, 'takeProfit' | 'stopLoss'> | null,
  ): BrokerOrder {
    const order = this.#record(clientOrderId, terms)
    if (exits === null || order.orderClass === 'simple') return order
    const isPair = order.orderClass === 'oco'
    const base: Terms = {
      symbol: order.symbol,
      quantity: order.quantity,
      timeInForce: order.timeInForce,
      orderClass: order.orderClass,
      side: isPair ? order.side : order.side === 'buy' ? 'sell' : 'buy',
      status: 'held',
    }
    const legs: Terms[] = []
    if (exits.takeProfit !== null && !isPair)
      legs.push({ ...base, orderType: 'limit', ...exits.takeProfit })
    if (exits.stopLoss !== null)
      legs.push({
        ...base,
        orderType: exits.stopLoss.limitPrice === null ? 'stop' : 'stop_limit',
        ...exits.stopLoss,
      })
    const made = legs.map((leg) => this.#record(`leg-${this.#mark}${this.#ids + 1}`, leg))
    this.#exits.set(
      order.brokerOrderId,
      made.map(({ brokerOrderId }) => brokerOrderId),
    )
    for (const leg of made) this.#parents.set(leg.brokerOrderId, order.brokerOrderId)
    return this.nested(order)
  }

  /** Any change of an order that executes nothing. */
  move(id: string, status: BrokerStatus, change: Partial<BrokerOrder> = {}): BrokerOrder {
    const order = this.#put({ ...this.order(id), ...change, status }, null, null)
    if (status === 'canceled' || status === 'expired' || status === 'rejected')
      for (const other of this.#dependents(order)) this.move(other.brokerOrderId, 'canceled')
    return order
  }

  /** Executes at the venue. The order may have any status, because an execution is a fact. */
  fill(id: string, price: Decimal, quantity: Decimal | null, fee: Decimal = ZERO): Booked {
    const before = this.order(id)
    const left =
      before.quantity === null
        ? div(before.notional ?? ZERO, price)
        : sub(before.quantity, before.filledQuantity)
    const part = quantity ?? left
    const filledQuantity = add(before.filledQuantity, part)
    const spent = add(
      mul(before.filledAveragePrice ?? ZERO, before.filledQuantity),
      mul(price, part),
    )
    const isWhole =
      before.quantity === null ? quantity === null : cmp(filledQuantity, before.quantity) >= 0
    const status = isClosed(before) ? before.status : isWhole ? 'filled' : openStatus(before)
    const at = this.#now()
    const executionId = `${this.#mark}x-${this.executions.length + this.busts.length + 1}`
    const execution: Execution = {
      executionId,
      quantity: part,
      price,
      cumulativeQuantity: filledQuantity,
      at,
    }
    const booked = { brokerOrderId: before.brokerOrderId, execution }
    this.executions.push(booked)
    const { symbol, side } = before
    if (side === null) throw new Error(`the model broker has no side of ${id}`)
    this.#book(executionId, { kind: 'fill', symbol, side, quantity: part, price, fee })
    const sized = before.quantity === null && isWhole ? { quantity: filledQuantity } : {}
    const order = {
      ...before,
      ...sized,
      status,
      filledQuantity,
      filledAveragePrice: div(spent, filledQuantity),
    }
    this.#put(order, execution, null)
    this.#followFill(order)
    if (!isZero(fee)) this.record({ kind: 'other', type: 'CFEE', symbol, quantity: sub(ZERO, fee) })
    return booked
  }

  /** Busts or corrects an execution. */
  amend(executionId: string, corrected: Bust['corrected']): void {
    const index = this.executions.findIndex(
      ({ execution }) => execution.executionId === executionId,
    )
    const booked = this.executions[index]
    const entry = this.#entries.get(executionId)
    if (booked === undefined || entry?.kind !== 'fill')
      throw new Error(`no execution ${executionId} stands`)
    const { quantity, price, cumulativeQuantity } = booked.execution
    const at = this.#now()
    const bust: Bust = { id: executionId, quantity, price, corrected, at }
    this.busts.push({ brokerOrderId: booked.brokerOrderId, bust })
    const change = sub(corrected?.quantity ?? ZERO, quantity)
    this.#books = null
    if (corrected === null) {
      this.executions.splice(index, 1)
      this.#entries.delete(executionId)
    } else {
      const next = {
        ...booked.execution,
        ...corrected,
        cumulativeQuantity: add(cumulativeQuantity, change),
        at,
      }
      this.executions[index] = { ...booked, execution: next }
      this.#entries.set(executionId, { ...entry, ...corrected })
    }
    const order = this.order(booked.brokerOrderId)
    const filledQuantity = add(order.filledQuantity, change)
    const cost = this.executions
      .filter((one) => one.brokerOrderId === order.brokerOrderId)
      .reduce((total, { execution }) => add(total, mul(execution.price, execution.quantity)), ZERO)
    const filledAveragePrice = isZero(filledQuantity) ? null : div(cost, filledQuantity)
    this.#put({ ...order, filledQuantity, filledAveragePrice }, null, bust)
  }

  /**
   * Places the successor of an order; `sized` as the broker sizes it. The caller changes the old
   * order.
   */
  succeed(
    id: string,
    clientOrderId: string,
    terms: Partial<BrokerOrder>,
    status: BrokerStatus,
  ): BrokerOrder {
    const old = this.order(id)
    const next = this.#record(clientOrderId, {
      ...old,
      ...terms,
      status,
      replaces: old.brokerOrderId,
      replacedBy: null,
    })
    const parent = this.#parents.get(old.brokerOrderId)
    if (parent !== undefined) this.#parents.set(next.brokerOrderId, parent)
    return next
  }

  /** The successor has taken the old order's place, in its group too. */
  takeOver(oldId: string, nextId: string): void {
    const exits = this.#exits.get(oldId)
    if (exits !== undefined) {
      this.#exits.set(nextId, exits)
      for (const exit of exits) this.#parents.set(exit, nextId)
    }
    const parent = this.#parents.get(oldId)
    if (parent !== undefined)
      this.#exits.set(
        parent,
        (this.#exits.get(parent) ?? []).map((exit) => (exit === oldId ? nextId : exit)),
      )
    this.move(oldId, 'replaced', { replacedBy: nextId })
  }

  /** An activity besides orders, with its effect on the books. */
  record(
    told: Partial<BrokerActivity> & Pick<BrokerActivity, 'kind' | 'type'>,
    effect: BookEntry | null = null,
  ): BrokerActivity {
    const id = `${this.#mark}a-${this.activities.length + 1}`
    const none = { amount: null, symbol: null, newSymbol: null, quantity: null }
    const activity: BrokerActivity = { ...none, ...told, id, at: this.#now() }
    this.activities.push(activity)
    if (effect !== null) this.#book(id, effect)
    this.#onActivity(activity)
    return activity
  }

  #book(id: string, entry: BookEntry): void {
    this.changes += 1
    this.#entries.set(id, entry)
    this.#books = null
  }

  /** The dependents of an order: the exits of an entry, or the other exit of a pair. */
  #dependents(order: BrokerOrder): BrokerOrder[] {
    const { brokerOrderId } = order
    const parent = this.#parents.get(brokerOrderId)
    const own = this.#exits.get(brokerOrderId) ?? []
    const pair =
      parent === undefined
        ? []
        : [...(this.#exits.get(parent) ?? []), ...(order.orderClass === 'oco' ? [parent] : [])]
    return [...own, ...pair]
      .filter((id) => id !== brokerOrderId)
      .map((id) => this.order(id))
      .filter((other) => !isClosed(other))
  }

  #followFill(order: BrokerOrder): void {
    const isEntry = !this.#parents.has(order.brokerOrderId) && order.orderClass !== 'oco'
    for (const other of this.#dependents(order)) {
      if (isEntry && order.status === 'filled' && other.orderType === 'limit')
        this.move(other.brokerOrderId, 'new')
      else if (!isEntry && order.status === 'filled') this.move(other.brokerOrderId, 'canceled')
      else if (!isEntry && order.quantity !== null) {
        const left = add(sub(order.quantity, order.filledQuantity), other.filledQuantity)
        this.#put({ ...other, quantity: left }, null, null)
      }
    }
  }

  #record(clientOrderId: string, terms: Terms): BrokerOrder {
    const at = this.#now()
    const {
      status = 'new',
      orderType = 'market',
      timeInForce = 'day',
      orderClass = 'simple',
    } = terms
    const {
      notional = null,
      limitPrice = null,
      stopPrice = null,
      replaces = null,
      symbol,
      side,
      quantity,
    } = terms
    const order: BrokerOrder = {
      brokerOrderId: `${this.#mark}b-${(this.#ids += 1)}`,
      clientOrderId,
      symbol,
      side,
      orderType,
      timeInForce,
      orderClass,
      status,
      quantity,
      notional,
      filledQuantity: ZERO,
      filledAveragePrice: null,
      limitPrice,
      stopPrice,
      submittedAt: at,
      updatedAt: at,
      replaces,
      replacedBy: null,
      legs: [],
    }
    this.#byClientOrderId.set(clientOrderId, order.brokerOrderId)
    return this.#put(order, null, null)
  }

  #put(order: BrokerOrder, execution: Execution | null, bust: Bust | null): BrokerOrder {
    const at = execution?.at ?? bust?.at ?? this.#now()
    const next = { ...order, updatedAt: at }
    this.changes += 1
    this.orders.set(next.brokerOrderId, next)
    this.#tell({ order: next, execution, bust, at })
    return next
  }
}

const openStatus = ({ status }: BrokerOrder): BrokerStatus =>
  status === 'pending_cancel' || status === 'pending_replace' ? status : 'partially_filled'
