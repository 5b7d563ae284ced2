import type { ConnectionRef } from '#store'
import type { FakeBroker } from '../../support/fake-broker.ts'
import type { FakeStore } from '../../support/fake-store.ts'

/** The accounts of the world, and whether a connection was ever removed. */
type Held = Readonly<{
  all: readonly Readonly<{ ref: ConnectionRef; broker: FakeBroker }>[]
  wasRemoved(ref: ConnectionRef): boolean
}>

/** Tolerance for sums of binary numbers. */
const NEARNESS = 1e-6

/**
 * S19: executions never take a position over the limit of its user, summed over all accounts of the
 * user. The books of the brokers count:
 * - A position is worth at least its size at the lowest price at which an order for it was judged.
 * - Executions of external orders and busts were not judged, and are allowed on top of the limit.
 * - Orders that were open at a loss of the store do not count until they are read again.
 * - Other connections of the user do not know the account of a removed connection. Such an account
 *   is compared with the limit alone, also after it is linked again.
 * @param maxima the limits of a position, in money, by user
 */
export function overLimits(
  maxima: ReadonlyMap<string, number>,
  { losses }: Pick<FakeStore, 'losses'>,
  accounts: Held,
): string[] {
  if (losses > 0) return []
  return [...maxima].flatMap(([userId, max]) =>
    judgedTogether(userId, accounts).flatMap((own) => {
      const symbols = new Set(own.flatMap((broker) => [...broker.ledger.books.positions.keys()]))
      return [...symbols]
        .filter((symbol) => !own.some((broker) => wasReshaped(broker, symbol)))
        .flatMap((symbol) => overLimit(symbol, max, own).map((what) => `S19 ${userId} ${what}`))
    }),
  )
}

/** The groups of accounts of a user that share one limit. */
function judgedTogether(userId: string, accounts: Held): FakeBroker[][] {
  const own = accounts.all.filter(({ ref }) => ref.userId === userId)
  const removed = own.filter(({ ref }) => accounts.wasRemoved(ref))
  const kept = own.filter(({ ref }) => !accounts.wasRemoved(ref))
  return [...removed.map((one) => [one]), kept].map((group) => group.map(({ broker }) => broker))
}

/**
 * True if a corporate action changed the position: no order was judged for this change, and the
 * prices of earlier judgments no longer apply.
 */
const wasReshaped = ({ activities }: FakeBroker, symbol: string): boolean =>
  activities.some(
    (one) =>
      ['split', 'symbol_change'].includes(one.kind) &&
      (one.symbol === symbol || one.newSymbol === symbol),
  )

function overLimit(symbol: string, max: number, own: readonly FakeBroker[]): string[] {
  const lowest = Math.min(...own.map((broker) => lowestPriceOf(broker, symbol)))
  const most = max / lowest + own.reduce((sum, broker) => sum + unaskedOf(broker, symbol), 0)
  return [1, -1].flatMap((direction) => {
    const sizes = own.map(
      (broker) => direction * Number(broker.ledger.books.positions.get(symbol)?.quantity ?? 0),
    )
    const held = sizes.reduce((sum, size) => sum + Math.max(size, 0), 0)
    return held <= most + NEARNESS
      ? []
      : [`holds ${direction * held} ${symbol}, at most ${most} are allowed`]
  })
}

function lowestPriceOf(broker: FakeBroker, symbol: string): number {
  const limits = [...broker.orders.values()].flatMap((order) =>
    isSame(order.symbol, symbol) && order.limitPrice !== null ? [Number(order.limitPrice)] : [],
  )
  const quote = [...broker.quotes].find(([quoted]) => isSame(quoted, symbol))?.[1]
  const { bid, ask, last } = quote ?? { bid: null, ask: null, last: null }
  return Math.min(...limits, ...[bid, ask, last].map((price) => Number(price ?? Infinity)))
}

/** Coins may be held without the slash with which they are ordered and quoted. */
const isSame = (a: string, b: string): boolean => a.replace('/', '') === b.replace('/', '')

/** The change of the position without an order of ours. */
function unaskedOf(broker: FakeBroker, symbol: string): number {
  const isOf = (brokerOrderId: string): boolean =>
    isSame(broker.orders.get(brokerOrderId)?.symbol ?? '', symbol)
  const isElsewhere = (brokerOrderId: string): boolean =>
    broker.orders.get(brokerOrderId)?.clientOrderId.startsWith('elsewhere-') === true
  const placed = broker.executions.filter(
    (one) => isOf(one.brokerOrderId) && isElsewhere(one.brokerOrderId),
  )
  const taken = broker.ledger.busts.filter((one) => isOf(one.brokerOrderId))
  return [...placed.map(({ execution }) => execution), ...taken.map(({ bust }) => bust)].reduce(
    (sum, { quantity }) => sum + Number(quantity),
    0,
  )
}
