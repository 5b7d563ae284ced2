import { add, ZERO } from '#domain'
import type { ConnectionRef } from '#store'
import type { FakeBroker } from '../../support/fake-broker.ts'
import type { TradeInBooks } from './ledger.ts'
import { isFarewell } from './links.ts'
import { type Entry, fieldsOf } from './log-checks.ts'
import type { RestingStake } from './stake.ts'

// C2 for prices and costs: the average prices and total costs that the log reports.

/** Places to which the broker rounds its average prices. */
const AVERAGE_PLACES = 9
/** Events carry figures as JSON numbers of nine places. */
export const FIGURE_NEARNESS = 1e-9
/** Tolerance for sums of binary numbers. */
const AVERAGE_NEARNESS = 1e-6

/**
 * C2: the total cost of a filled trade equals the cost of its executions.
 *
 * The cost is only as exact as the rounded average of the broker if an execution was inferred from
 * the totals of the order, or if the order was adopted: after a loss, or when a removed connection
 * was linked again. A correction around the removal of the connection is found by the first reading
 * after the new link, and sends no event: such trades are skipped.
 */
export function averages(
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
 * The largest error of a cost from the averages of the broker. For each execution the broker
 * updates a rounded average and rounds it again: an error of at most half of the last place for
 * each share executed so far.
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

/** True if the venue busted or corrected an execution of the trade. */
function isRestated(broker: FakeBroker, { orders }: TradeInBooks): boolean {
  const ids = new Set(orders.map(({ brokerOrderId }) => brokerOrderId))
  return broker.ledger.busts.some(({ brokerOrderId }) => ids.has(brokerOrderId))
}

/**
 * True if the record of the trade was adopted: this part of the log has a removal of its
 * connection, and no `trade.submitted` of the trade after it.
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
 * C2: the average price in a partial fill is the average of the executions reported so far. Trades
 * with an inferred, corrected or busted execution are skipped, and so are all after a loss of the
 * store.
 */
export function partialAverages(
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
 * The possible costs of the first `filled` shares of a trade. The executions of one order are
 * reported in their order, but those of a replacement may be reported before those of the original.
 * Empty: no combination of executions has this quantity.
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

/** C2: the last average price sent for a trade equals the average of its executions. */
export function lastAverages(
  { ref, store, warnings }: RestingStake,
  books: ReadonlyMap<string, TradeInBooks>,
): string[] {
  const last = new Map<string, Entry>()
  for (const entry of store.log(ref.userId))
    if (fieldsOf(entry)['averageFillPrice'] !== undefined)
      last.set(String(fieldsOf(entry)['tradeId']), entry)
  return [...last].flatMap(([tradeId, entry]) => {
    const trade = books.get(tradeId)
    // The price of an adopted total is only as exact as the average of the broker.
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
