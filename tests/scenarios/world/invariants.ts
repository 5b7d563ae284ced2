import { money } from '#contract'
import {
  add,
  type BrokerOrder,
  clientOrderIdOf,
  isForeign,
  isTerminal,
  type Order,
  sub,
  ZERO,
} from '#domain'
import type { ConnectionRef } from '#store'
import type { FakeBroker } from '../../support/fake-broker.ts'
import type { FakeStore } from '../../support/fake-store.ts'
import { isClosed } from '../../support/broker/ledger.ts'
import { isFarewell } from './links.ts'
import { firstOrders, type TradeInBooks, tradesInBooks } from './ledger.ts'
import {
  brokenChains,
  cashTold,
  contradictions,
  type Entry,
  fieldsOf,
  positionsTold,
  toldOf,
  type TradeTold,
} from './log-checks.ts'

// The rules about how things are, in every run, by the names of the catalogue (execution failures,
// section 11): S after every step, C once nothing more can happen. What processes do is looked at
// by `conduct.ts` (S3, S13, S14, S17, C8); S15, S18 and C7 are the world's.

/** What is compared: one connection of one user, and the account behind it. */
export type Stake = Readonly<{ ref: ConnectionRef; broker: FakeBroker; store: FakeStore }>

/** Changes whenever anything is written, told, or happens at the broker. */
export function markOf({ ref, broker, store }: Stake): string {
  const { executions, orders, ledger } = broker
  const log = store.log(ref.userId)
  const place = `${store.versionOf(ref.userId)} ${log.length} ${log.at(-1)?.id ?? ''}`
  return `${place} ${ledger.changes} ${orders.size} ${executions.length} ${ledger.busts.length}`
}

/** What is compared at quiescence; `warnings`: lines of the log, where alarms are. */
export type RestingStake = Stake & Readonly<{ warnings: readonly string[] }>

/** What holds at every step. Nothing is found in a sound state. */
export async function findUnsafe({ ref, broker, store }: Stake): Promise<string[]> {
  const log: readonly Entry[] = store.log(ref.userId)
  const books = tradesInBooks(broker, ref.userId)
  const { trades, findings } = toldOf(log, store.losses === 0)
  const doubled = [...books].flatMap(([tradeId, trade]) => {
    const first = firstOrders(trade)
    return first.length > 1 ? [`S1 ${tradeId} has ${first.length} orders`] : []
  })
  const foreign = log.filter((entry) => {
    const { userId } = fieldsOf(entry)
    return userId !== undefined && userId !== ref.userId
  })
  const contradicted = [...trades].flatMap(([tradeId, told]) =>
    told.connectionId === ref.connectionId ? contradictions(tradeId, told, books.get(tradeId)) : [],
  )
  return [
    ...doubled,
    ...brokenChains(log),
    ...findings,
    ...contradicted,
    ...foreign.map(({ id }) => `S11 ${id} of ${ref.userId} is somebody else's`),
    ...(await misplaced(ref, store, log)),
    ...(await mistold(ref, store, log, trades)),
  ]
}

/**
 * S10: what was told since the last resync is how things are stored: whether each trade has ended,
 * and the cash. While the account has no record, the first reading writes how orders have ended,
 * and tells no ending: a resync comes with the record of the account.
 */
async function mistold(
  { userId, connectionId }: ConnectionRef,
  store: FakeStore,
  log: readonly Entry[],
  trades: ReadonlyMap<string, TradeTold>,
): Promise<string[]> {
  const findings: string[] = []
  const { account } = (await store.loadSlice(userId, { orderId: '', connectionId, symbol: '' }))
    .slice
  for (const [tradeId, { terminal, corrected, code }] of trades) {
    const { order } = (
      await store.loadSlice(userId, { orderId: tradeId, connectionId, symbol: '' })
    ).slice
    if (order?.connectionId !== connectionId || corrected > 0 || code === 'NOT_RECEIVED') continue
    const isBeingRead = account === null && terminal === null
    if (isTerminal(order.status) !== (terminal !== null) && !isBeingRead)
      findings.push(`S10 ${tradeId} is stored as ${order.status}, told ${terminal ?? 'no ending'}`)
  }
  const cash = cashTold(log, connectionId)
  if (cash !== null && account !== null && money(account.cash) !== cash)
    findings.push(`S10 the cash told is ${cash}, stored are ${account.cash}`)
  return findings
}

/** S12: the stored positions are those that the log tells. */
async function misplaced(
  { userId, connectionId }: ConnectionRef,
  store: FakeStore,
  log: readonly Entry[],
) {
  const findings: string[] = []
  for (const [key, told] of positionsTold(log)) {
    const [of, symbol = ''] = key.split(' ')
    if (of !== connectionId) continue
    const { slice } = await store.loadSlice(userId, { orderId: '', connectionId, symbol })
    const stored = Number(slice.position?.quantity ?? 0)
    if (Math.abs(stored - told) > FIGURE_NEARNESS)
      findings.push(`S12 ${symbol}: the log tells ${told}, stored are ${stored}`)
  }
  return findings
}

/** What holds at quiescence, beyond the rules of every step. */
export async function findUnsettled(stake: RestingStake): Promise<string[]> {
  const { ref, broker, store } = stake
  const { orders } = await store.loadConnection(ref.userId, ref.connectionId)
  const ours = orders.filter(({ origin }) => origin === 'fillcast')
  const { trades } = toldOf(store.log(ref.userId), store.losses === 0)
  const books = tradesInBooks(broker, ref.userId)
  const unresolved = ours.flatMap(({ id, status, endedAt, setAsideAt }) =>
    // What was set aside is parked, with an alarm.
    status === 'submitting' && endedAt === null && setAsideAt == null
      ? [`C1 ${id} is still submitting`]
      : [],
  )
  const left = new Set(
    ours.filter((order) => isLeftAlone(order, books.get(order.id))).map(({ id }) => id),
  )
  const open = new Set(ours.filter(({ status }) => !isTerminal(status)).map(({ id }) => id))
  const unclaimed: string[] = []
  for (const tradeId of books.keys()) {
    const address = { orderId: tradeId, connectionId: ref.connectionId, symbol: '' }
    const { slice, tombstone } = await store.loadSlice(ref.userId, address)
    if (slice.order === null && tombstone === null)
      unclaimed.push(`S2 ${tradeId} is at the broker, and there is no intent`)
  }
  const untold = [...books].flatMap(([tradeId, trade]) => {
    const told = trades.get(tradeId)
    const isStoredOpen = open.has(tradeId)
    return [
      ...(isStoredOpen === trade.isOpen || left.has(tradeId)
        ? []
        : [`C4 ${tradeId} is stored as ${isStoredOpen ? 'open' : 'ended'}`]),
      ...(told === undefined
        ? []
        : shortfalls(tradeId, cumulativeOf(told, trade), isEndTold(told), trade)),
    ]
  })
  const records = await store.loadConnection(ref.userId, ref.connectionId)
  const stored = [records.account, ...records.positions.values(), ...records.orders]
  return [
    ...unresolved,
    ...unclaimed,
    ...leftOver(stake),
    ...untold,
    ...averages(stake, books),
    ...partialAverages(stake, books),
    ...lastAverages(stake, books),
    ...ours.flatMap((order) => otherTerms(order, books.get(order.id), store)),
    ...(await unequal(stake)),
    ...stored.flatMap(inexact),
  ]
}

/**
 * Something else than was asked for was found under its id: that is alarmed, and nothing of it is
 * taken in.
 */
const isQuarantined = ({ status, setAsideAt }: Order): boolean =>
  status === 'submitting' && setAsideAt != null

/**
 * A quarantined trade under whose id the broker has another order: what becomes of that order is
 * not the trade's.
 */
const isLeftAlone = (order: Order, trade: TradeInBooks | undefined): boolean =>
  isQuarantined(order) &&
  trade !== undefined &&
  firstOrders(trade).some((seen) => isForeign(order, seen))

/** C4: an order that is open is for as much, and at the price, as its broker order. */
function otherTerms(
  order: Order,
  trade: TradeInBooks | undefined,
  { losses }: FakeStore,
): string[] {
  const head = trade?.orders.findLast(
    (one) => !isClosed(one) && !one.clientOrderId.startsWith('leg-'),
  )
  // What executed before a loss is told by the totals of each order; which of the whole chain it
  // was is not known any more.
  if (
    trade === undefined ||
    head === undefined ||
    losses > 0 ||
    order.orderClass === 'oco' ||
    isQuarantined(order)
  )
    return []
  const earlier = sub(trade.executed, head.filledQuantity)
  const terms = [
    ['limitPrice', order.limitPrice, head.limitPrice],
    ['stopPrice', order.stopPrice, head.stopPrice],
  ] as const
  const findings = terms.flatMap(([name, ours, theirs]) =>
    ours === theirs
      ? []
      : [
          `C4 ${order.id} has the ${name} ${ours ?? 'none'} here, ${theirs ?? 'none'} at the broker`,
        ],
  )
  if (order.quantity === null || head.quantity === null) return findings
  const whole = add(head.quantity, earlier)
  return order.quantity === whole
    ? findings
    : [...findings, `C4 ${order.id} is for ${order.quantity} here, ${whole} at the broker`]
}

/**
 * C6: no exit rests on a symbol that is flat, unless somebody was told. Both orders of an oco are
 * exits.
 */
function leftOver({ broker, warnings }: RestingStake): string[] {
  const held = broker.ledger.books.positions
  if (warnings.some((line) => line.includes('order.leftover'))) return []
  const isExit = ({ clientOrderId, orderClass }: BrokerOrder): boolean =>
    clientOrderId.startsWith('leg-') || orderClass === 'oco'
  return [...broker.orders.values()].flatMap((order) =>
    isExit(order) && !isClosed(order) && order.status !== 'held' && !held.has(order.symbol)
      ? [`C6 ${order.brokerOrderId} protects ${order.symbol}, of which nothing is held`]
      : [],
  )
}

/** What is a number in a record: counts and times, never money or quantities. */
const NUMBERS: ReadonlySet<string> = new Set(['schema', 'replacement', 'sinceMs'])

/** S16: no quantity, price or amount is stored as a binary number. */
function inexact(record: object | null): string[] {
  return Object.entries(record ?? {}).flatMap(([name, value]: [string, unknown]) => {
    if (typeof value === 'number')
      return NUMBERS.has(name) ? [] : [`S16 ${name} is stored as the number ${value}`]
    return typeof value === 'object' ? inexact(value) : []
  })
}

/**
 * What was told as executed. What had executed before a resync is in the snapshot that follows it,
 * and need not be told again.
 */
const cumulativeOf = ({ cumulative, submitted }: TradeTold, { executed }: TradeInBooks): number =>
  submitted === 0 && cumulative === 0 ? Number(executed) : cumulative

/**
 * What had ended before a resync is in the state that follows it; what the venue corrects of it
 * later is told all the same.
 */
const isEndTold = ({ terminal, isFollowed, submitted }: TradeTold): boolean =>
  terminal !== null || (submitted === 0 && !isFollowed)

/** C2, C3 */
function shortfalls(
  tradeId: string,
  cumulative: number,
  isEndTold: boolean,
  trade: TradeInBooks,
): string[] {
  const executed = Number(trade.executed)
  return [
    ...(Math.abs(cumulative - executed) <= FIGURE_NEARNESS
      ? []
      : [`C2 ${tradeId} told ${cumulative}, executed ${executed}`]),
    ...(trade.isOpen || isEndTold ? [] : [`C3 ${tradeId} has ended, and nobody was told`]),
  ]
}

/** Places to which the broker rounds its average prices. */
const AVERAGE_PLACES = 9
/** Figures are told as JSON numbers of nine places. */
const FIGURE_NEARNESS = 1e-9
/** Room for sums of binary numbers. */
const AVERAGE_NEARNESS = 1e-6

/**
 * C2: the total cost of a filled trade is that of its executions. Where one of them was inferred
 * from the order's totals, or the order was adopted after a loss or when a removed connection came
 * back, it comes from an average that the broker had rounded, and is no nearer than the broker's
 * roundings. What was taken back or corrected around the removal of the connection is in the
 * reading of its return, and is not told.
 */
function averages(
  { ref, broker, store, warnings }: RestingStake,
  books: ReadonlyMap<string, TradeInBooks>,
): string[] {
  const log = store.log(ref.userId)
  const inferred = warnings.filter((line) =>
    /update\.(execution_inferred|total_adopted)/.test(line),
  )
  const corrected = new Set(
    log.filter(({ event }) => event === 'trade.corrected').map((e) => fieldsOf(e)['tradeId']),
  )
  return log.flatMap((entry, index) => {
    const { tradeId, totalCost } = fieldsOf(entry)
    const trade = books.get(String(tradeId))
    if (entry.event !== 'trade.filled' || trade === undefined || corrected.has(tradeId)) return []
    if (isRestated(broker, trade) && log.slice(index).some((later) => isFarewell(later, ref)))
      return []
    const cost = Number(trade.cost)
    const isInferred =
      store.losses > 0 ||
      wasAdopted(log.slice(0, index), ref, String(tradeId)) ||
      inferred.some((line) => line.includes(`"orderId":"${String(tradeId)}"`))
    const nearness = isInferred ? roundedCostOf(broker, trade) : FIGURE_NEARNESS
    return Math.abs(Number(totalCost) - cost) <= nearness
      ? []
      : [`C2 ${String(tradeId)} cost ${cost}, told ${String(totalCost)}`]
  })
}

/**
 * How far a cost may be off that comes from the broker's averages: the broker adds each execution
 * to a rounded average and rounds it again, by half of the last place at most for each share that
 * has executed by then.
 */
function roundedCostOf(broker: FakeBroker, { orders, everExecuted }: TradeInBooks): number {
  const ids = new Set(orders.map(({ brokerOrderId }) => brokerOrderId))
  const rounded = broker.executions
    .filter(({ brokerOrderId }) => ids.has(brokerOrderId))
    .reduce(
      (sum, { execution }) => sum + Number(execution.cumulativeQuantity) / 2,
      Number(everExecuted),
    )
  return rounded * 10 ** -AVERAGE_PLACES
}

/** Whether the venue took an execution of the trade back, or corrected it. */
function isRestated(broker: FakeBroker, { orders }: TradeInBooks): boolean {
  const ids = new Set(orders.map(({ brokerOrderId }) => brokerOrderId))
  return broker.ledger.busts.some(({ brokerOrderId }) => ids.has(brokerOrderId))
}

/**
 * Whether the trade was submitted before the last removal of its connection in this part of the
 * log: its record was adopted since.
 */
function wasAdopted(log: readonly Entry[], ref: ConnectionRef, tradeId: string): boolean {
  const removed = log.findLastIndex((entry) => isFarewell(entry, ref))
  const since = log.slice(removed + 1)
  return (
    removed >= 0 &&
    !since.some(
      (entry) => entry.event === 'trade.submitted' && fieldsOf(entry)['tradeId'] === tradeId,
    )
  )
}

/**
 * C2: the average that a partial fill tells is that of the executions so far, as they were heard
 * of. Where one of them was inferred, restated or taken back, or told before a resync, nothing can
 * be said of it.
 */
function partialAverages(
  { ref, broker, store, warnings }: RestingStake,
  books: ReadonlyMap<string, TradeInBooks>,
): string[] {
  const log = store.log(ref.userId)
  if (store.losses > 0) return []
  return log.flatMap((entry) => {
    const { tradeId, brokerConnectionId, filledQuantity, averageFillPrice } = fieldsOf(entry)
    const trade = books.get(String(tradeId))
    if (
      entry.event !== 'trade.partialFill' ||
      trade === undefined ||
      brokerConnectionId !== ref.connectionId
    )
      return []
    const isUnsure =
      isRestated(broker, trade) ||
      warnings.some(
        (line) =>
          line.includes('execution_inferred') && line.includes(`"orderId":"${String(tradeId)}"`),
      )
    if (isUnsure) return []
    const quantity = Number(filledQuantity)
    const averages = costsAt(broker, trade, quantity).map((cost) => cost / quantity)
    const isRight = averages.some(
      (average) => Math.abs(average - Number(averageFillPrice)) < AVERAGE_NEARNESS,
    )
    return isRight || averages.length === 0
      ? []
      : [
          `C2 ${String(tradeId)} is told at ${String(averageFillPrice)} after ${quantity}, executed at ${averages.join(' or ')}`,
        ]
  })
}

/**
 * What so much of a trade may have cost: each of its orders executes in its course, but a
 * replacement may be heard of before the order that it replaced. Empty: no executions come to this
 * quantity.
 */
function costsAt({ executions }: FakeBroker, { orders }: TradeInBooks, filled: number): number[] {
  let sums = new Map([['0 0', { quantity: ZERO, cost: 0 }]])
  for (const { brokerOrderId } of orders) {
    const next = new Map(sums)
    for (let sum of sums.values()) {
      for (const { execution } of executions.filter((one) => one.brokerOrderId === brokerOrderId)) {
        const { quantity, price } = execution
        sum = {
          quantity: add(sum.quantity, quantity),
          cost: sum.cost + Number(quantity) * Number(price),
        }
        if (Number(sum.quantity) > filled) break
        next.set(`${sum.quantity} ${sum.cost.toFixed(AVERAGE_PLACES)}`, sum)
      }
    }
    sums = next
  }
  return [...sums.values()].flatMap(({ quantity, cost }) =>
    Number(quantity) === filled ? [cost] : [],
  )
}

/**
 * C2: the average that is told last of an order that goes on, or that was corrected, is the
 * broker's.
 */
function lastAverages(
  { ref, store, warnings }: RestingStake,
  books: ReadonlyMap<string, TradeInBooks>,
): string[] {
  const last = new Map<string, Entry>()
  for (const entry of store.log(ref.userId))
    if (fieldsOf(entry)['averageFillPrice'] !== undefined)
      last.set(String(fieldsOf(entry)['tradeId']), entry)
  return [...last].flatMap(([tradeId, entry]) => {
    const trade = books.get(tradeId)
    // What was taken from a total is priced as its average allows.
    const isAdopted = warnings.some(
      (line) => line.includes('total_adopted') && line.includes(`"orderId":"${tradeId}"`),
    )
    if (trade === undefined || store.losses > 0 || isAdopted) return []
    const executed = Number(trade.executed)
    const { averageFillPrice, filledQuantity } = fieldsOf(entry)
    const average = executed === 0 ? 0 : Number(trade.cost) / executed
    return Number(filledQuantity) !== executed ||
      Math.abs(average - Number(averageFillPrice)) < AVERAGE_NEARNESS
      ? []
      : [`C2 ${tradeId} is told at ${String(averageFillPrice)}, and executed at ${average}`]
  })
}

/** C4: positions, cash and external orders equal the broker's. */
async function unequal({ ref, broker, store }: Stake): Promise<string[]> {
  const { account, positions, orders } = await store.loadConnection(ref.userId, ref.connectionId)
  // The books themselves: a call of the port would meet the faults that are armed.
  const { cash, positions: held } = broker.ledger.books
  const stored = new Map([...positions].map(([symbol, { quantity }]) => [symbol, Number(quantity)]))
  const symbols = new Set([...stored.keys(), ...held.keys()])
  const known = new Set(
    orders.flatMap(({ placements }) => placements.map(({ brokerOrderId }) => brokerOrderId)),
  )
  const quarantined = new Set(
    orders.filter(isQuarantined).map(({ id }) => clientOrderIdOf(ref.userId, id)),
  )
  const isStrange = (order: BrokerOrder): boolean =>
    !known.has(order.brokerOrderId) &&
    !quarantined.has((broker.ledger.parentOf(order) ?? order).clientOrderId)
  const strangers = [...broker.orders.values()].filter(
    (order) => !isClosed(order) && isStrange(order),
  )
  return [
    ...[...symbols].flatMap((symbol) => {
      const quantity = Number(held.get(symbol)?.quantity ?? 0)
      const ours = stored.get(symbol) ?? 0
      return quantity === ours ? [] : [`C4 ${symbol}: ${ours} stored, ${quantity} held`]
    }),
    ...(account?.cash === cash
      ? []
      : [`C4 cash: ${account?.cash ?? 'none'} stored, ${cash} there`]),
    ...strangers.map(({ brokerOrderId }) => `C4 ${brokerOrderId} is open, and unknown here`),
  ]
}
