import type { ConnectionRef } from '#store'
import type { FakeBroker } from '../../support/fake-broker.ts'
import type { FakeStore } from '../../support/fake-store.ts'

/** The accounts of the world, and whether a connection was ever removed. */
type Held = Readonly<{
  all: readonly Readonly<{ ref: ConnectionRef; broker: FakeBroker }>[]
  wasRemoved(ref: ConnectionRef): boolean
}>

/** Room for what a sum of binary numbers is off. */
const NEARNESS = 1e-6

/**
 * S19: what executes never takes a position over the limit of its user, over all of the user's
 * accounts. By the books of the brokers: a position is worth at least its size at the lowest price
 * at which any order for it was judged. What was placed elsewhere, or taken back by the venue,
 * asked nobody, and counts on top. What was open when the store lost it counts for nothing until it
 * was read again. What is on the account of a removed connection is unknown to the user's other
 * connections: such an account is held to the limit by itself, also when it is linked again.
 * @param maxima of a position, in money, by user
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

/** The accounts of a user that are held to one limit together. */
function judgedTogether(userId: string, accounts: Held): FakeBroker[][] {
  const own = accounts.all.filter(({ ref }) => ref.userId === userId)
  const removed = own.filter(({ ref }) => accounts.wasRemoved(ref))
  const kept = own.filter(({ ref }) => !accounts.wasRemoved(ref))
  return [...removed.map((one) => [one]), kept].map((group) => group.map(({ broker }) => broker))
}

/**
 * What a corporate action made of a holding asked nobody, and the price at which orders were judged
 * says nothing of it any more.
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

/** What became of the position without an order of ours. */
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
