import { money } from '#contract'
import {
  add,
  type BrokerOrder,
  clientOrderIdOf,
  isForeign,
  isTerminal,
  type Order,
  sub,
} from '#domain'
import type { ConnectionRef } from '#store'
import type { FakeStore } from '../../support/fake-store.ts'
import { isClosed } from '../../support/broker/ledger.ts'
import { averages, FIGURE_NEARNESS, lastAverages, partialAverages } from './averages.ts'
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
import type { RestingStake, Stake } from './stake.ts'

// The rules about state, checked in every run (README.md lists them): S rules after every step, C
// rules at quiescence. `conduct.ts` checks the rules about processes (S3, S13, S14, S17, C8), and
// the world checks S15, S18 and C7.

/** The violations of the S rules. A correct state has none. */
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
 * S10: the store agrees with the events since the last resync: on the cash, and on whether each
 * trade has ended. While the account has no record, the first reading stores the ends of orders
 * without an event, because a resync comes with the record of the account.
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

/** S12: the stored positions equal the positions from the events of the log. */
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

/** The violations of the C rules, and of the S rules that hold only at quiescence. */
export async function findUnsettled(stake: RestingStake): Promise<string[]> {
  const { ref, broker, store } = stake
  const { orders } = await store.loadConnection(ref.userId, ref.connectionId)
  const ours = orders.filter(({ origin }) => origin === 'fillcast')
  const { trades } = toldOf(store.log(ref.userId), store.losses === 0)
  const books = tradesInBooks(broker, ref.userId)
  const unresolved = ours.flatMap(({ id, status, endedAt, setAsideAt }) =>
    // A quarantined trade stays without an outcome, and has an alarm.
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

/** The broker has another order under the id of the trade: alarmed, and its fills not booked. */
const isQuarantined = ({ status, setAsideAt }: Order): boolean =>
  status === 'submitting' && setAsideAt != null

/**
 * The trade is quarantined, because the broker has another order under its id. The fate of that
 * order does not count for the trade.
 */
const isLeftAlone = (order: Order, trade: TradeInBooks | undefined): boolean =>
  isQuarantined(order) &&
  trade !== undefined &&
  firstOrders(trade).some((seen) => isForeign(order, seen))

/** C4: an open order has the quantity and the prices of its order at the broker. */
function otherTerms(
  order: Order,
  trade: TradeInBooks | undefined,
  { losses }: FakeStore,
): string[] {
  const head = trade?.orders.findLast(
    (one) => !isClosed(one) && !one.clientOrderId.startsWith('leg-'),
  )
  // After a loss of the store, the executions of the earlier orders of the chain are known only as
  // totals of each order, so the quantity of the chain cannot be compared.
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

/** C6: no exit rests on a flat symbol without an alarm. Both orders of an oco are exits. */
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

/** The fields of records that are numbers: counts and times, never money or quantities. */
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
 * The executed quantity that clients have. The snapshot after a resync includes the executions
 * before it, so no event repeats them.
 */
const cumulativeOf = ({ cumulative, submitted }: TradeTold, { executed }: TradeInBooks): number =>
  submitted === 0 && cumulative === 0 ? Number(executed) : cumulative

/**
 * True if clients have the end of the trade. The snapshot after a resync includes the ends before
 * it. Later corrections of the venue are still sent as events.
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

/** C4: positions, cash and external orders equal the broker's. */
async function unequal({ ref, broker, store }: Stake): Promise<string[]> {
  const { account, positions, orders } = await store.loadConnection(ref.userId, ref.connectionId)
  // Reads the books directly, because a call of the port would run into the armed faults.
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
