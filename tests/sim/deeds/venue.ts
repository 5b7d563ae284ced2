import { type BrokerOrder, type BrokerStatus, dec } from '#domain'
import type { FakeBroker } from '../../support/fake-broker.ts'
import { isClosed } from '../../support/broker/ledger.ts'
import {
  clientOrderIdIn,
  type Deed,
  pickAtBroker,
  pickHeld,
  pickRef,
  type Sim,
  type Trade,
} from './deed.ts'
import { placeWithExits } from './orders.ts'

// Deeds of the market and the broker.

const brokerIn = (sim: Sim): FakeBroker => sim.world.brokerOf(pickRef(sim))
const priceIn = ({ chance }: Sim): string => (170 + chance.below(2_000) / 100).toFixed(2)

/** Statuses in which an order can execute. */
const WORKING: ReadonlySet<BrokerStatus> = new Set([
  'new',
  'partially_filled',
  'pending_cancel',
  'pending_replace',
])
const leftOf = ({ quantity, filledQuantity }: BrokerOrder): number =>
  Number(quantity ?? 0) - Number(filledQuantity)

/** The present order of a trade: the last of its replacements. */
function lastOf(broker: FakeBroker, id: string): BrokerOrder {
  let order = broker.ledger.order(id)
  while (order.replacedBy !== null) order = broker.ledger.order(order.replacedBy)
  return order
}

/** The order that works on a trade now, or `null`. */
function workingOf({ world }: Sim, trade: Trade): BrokerOrder | null {
  const broker = world.brokerOf(trade.ref)
  if (broker.ledger.find(clientOrderIdIn(trade)) === null) return null
  const order = lastOf(broker, clientOrderIdIn(trade))
  return WORKING.has(order.status) ? order : null
}

/** Executes so much of a trade, or as much as is left, if an order works on it. */
export function executeTrade(sim: Sim, trade: Trade, price: string, quantity = Infinity): void {
  const order = workingOf(sim, trade)
  const part = order === null ? 0 : Math.min(quantity, leftOf(order))
  if (order !== null && part > 0)
    sim.world.execute(trade.ref, order.brokerOrderId, price, String(part))
}

/** A trade of which an order works on at least so many shares. */
export function pickWorking(sim: Sim, leftMin: number): Trade | undefined {
  return sim.chance.pick(
    sim.trades.filter((trade) => {
      const order = workingOf(sim, trade)
      return order !== null && leftOf(order) >= leftMin
    }),
  )
}

export function execute(sim: Sim): boolean {
  const working = sim.trades.flatMap((trade) => {
    const order = workingOf(sim, trade)
    return order === null ? [] : [{ trade, order }]
  })
  const picked = sim.chance.pick(working)
  if (picked === undefined) return false
  const { trade, order } = picked
  const price = priceIn(sim)
  if (order.quantity === null) sim.world.execute(trade.ref, order.brokerOrderId, price)
  else if (leftOf(order) < 1) return false
  else
    sim.world.execute(
      trade.ref,
      order.brokerOrderId,
      price,
      String(1 + sim.chance.below(leftOf(order))),
    )
  return true
}

/** Executes all open orders of an account completely. */
function executeAll(sim: Sim): boolean {
  const ref = pickRef(sim)
  const open = [...sim.world.brokerOf(ref).orders.values()].filter(({ status }) =>
    WORKING.has(status),
  )
  for (const { brokerOrderId } of open)
    // An execution may end another order: the other half of a pair.
    if (WORKING.has(sim.world.brokerOf(ref).ledger.order(brokerOrderId).status)) {
      sim.world.execute(ref, brokerOrderId, '179')
    }
  return open.length > 0
}

/**
 * An exit that works now, in part or whole; where none does, an entry is placed and executes first.
 */
function executeExit(sim: Sim): boolean {
  if (executeWorkingExit(sim)) return true
  const entry = placeWithExits(sim)
  sim.world.later(ENTERED_MS, () => {
    executeTrade(sim, entry, priceIn(sim))
    sim.world.later(ENTERED_MS, () => executeWorkingExit(sim))
  })
  return true
}
/** An order is at the broker by then, as a rule. */
const ENTERED_MS = 1_000

/** A stop that watches is triggered by the market. */
function executeWorkingExit(sim: Sim): boolean {
  const exits = sim.setting.accounts.flatMap((ref) => {
    const { ledger } = sim.world.brokerOf(ref)
    const isExit = (order: BrokerOrder): boolean =>
      WORKING.has(order.status) && ledger.parentOf(order) !== null
    return [...ledger.orders.values()].flatMap((order) => (isExit(order) ? [{ ref, order }] : []))
  })
  const exit = sim.chance.pick(exits)
  if (exit === undefined || leftOf(exit.order) < 1) return false
  const quantity =
    sim.chance.below(2) === 0 ? leftOf(exit.order) : 1 + sim.chance.below(leftOf(exit.order))
  sim.world.execute(exit.ref, exit.order.brokerOrderId, priceIn(sim), String(quantity))
  return true
}

/** The venue executes more of an order than it was for. */
function overfill(sim: Sim): boolean {
  const trade = pickAtBroker(sim)
  // An overfill may exceed the limit of the user, although every order was within the limit.
  if (trade === undefined || sim.world.positionMax(trade.ref.userId) !== null) return false
  const order = lastOf(sim.world.brokerOf(trade.ref), clientOrderIdIn(trade))
  if (order.quantity === null || order.orderClass !== 'simple' || !WORKING.has(order.status))
    return false
  sim.world.execute(trade.ref, order.brokerOrderId, priceIn(sim), String(leftOf(order) + 1))
  return true
}

/**
 * Endings that can overtake an execution; what a venue has rejected, or replaced, it matches no
 * more.
 */
const ENDED_EARLY: ReadonlySet<BrokerStatus> = new Set(['canceled', 'expired'])

/** The venue had matched an order before its end came through (CAN-07). */
function executeEnded(sim: Sim): boolean {
  const ended = sim.trades.flatMap((trade) => {
    const order = sim.world.brokerOf(trade.ref).ledger.find(clientOrderIdIn(trade))
    if (order === null || sim.world.positionMax(trade.ref.userId) !== null) return []
    const isOvertaken =
      order.orderClass === 'simple' && ENDED_EARLY.has(order.status) && leftOf(order) >= 1
    return isOvertaken ? [{ trade, order }] : []
  })
  const picked = sim.chance.pick(ended)
  if (picked === undefined) return endAndExecute(sim)
  const { trade, order } = picked
  const quantity = sim.chance.below(3) > 0 ? leftOf(order) : 1 + sim.chance.below(leftOf(order))
  sim.world.execute(trade.ref, order.brokerOrderId, priceIn(sim), String(quantity))
  return true
}

/** Nothing has ended yet: an order ends, and executes to the last share all the same. */
function endAndExecute(sim: Sim): boolean {
  const trade = pickWorking(sim, 1)
  const order = trade === undefined ? null : workingOf(sim, trade)
  if (
    trade === undefined ||
    order?.orderClass !== 'simple' ||
    sim.world.positionMax(trade.ref.userId) !== null
  )
    return false
  sim.world
    .brokerOf(trade.ref)
    .move(order.brokerOrderId, sim.chance.pick(['canceled', 'expired'] as const)!)
  const left = String(leftOf(order))
  sim.world.later(ENTERED_MS, () => {
    // The connection may lead to another account by then.
    const isThere = sim.world.brokerOf(trade.ref).ledger.find(order.brokerOrderId) !== null
    if (isThere) sim.world.execute(trade.ref, order.brokerOrderId, priceIn(sim), left)
  })
  return true
}

/** An execution of a trade that stands, by its place among those of the order. */
function pickExecution(
  sim: Sim,
): Readonly<{ broker: FakeBroker; brokerOrderId: string; nth: number }> | undefined {
  const trade = pickAtBroker(sim)
  if (trade === undefined) return undefined
  const broker = sim.world.brokerOf(trade.ref)
  const { brokerOrderId } = broker.ledger.order(clientOrderIdIn(trade))
  const own = broker.executions.filter((one) => one.brokerOrderId === brokerOrderId)
  return own.length === 0 ? undefined : { broker, brokerOrderId, nth: sim.chance.below(own.length) }
}

function takeBack(sim: Sim): boolean {
  const at = pickExecution(sim)
  at?.broker.bust(at.brokerOrderId, at.nth)
  return at !== undefined
}

function correct(sim: Sim): boolean {
  const at = pickExecution(sim)
  if (at === undefined) return false
  const own = at.broker.executions.filter((one) => one.brokerOrderId === at.brokerOrderId)
  const quantity = Number(own[at.nth]?.execution.quantity)
  at.broker.correct(
    at.brokerOrderId,
    { quantity: String(Math.max(quantity - 1, 1)), price: priceIn(sim) },
    at.nth,
  )
  return true
}

/** The broker ends an order by its own decision. */
const endBy =
  (status: Extract<BrokerStatus, 'expired' | 'rejected' | 'canceled'>) =>
  (sim: Sim): boolean => {
    const trade = pickAtBroker(sim)
    if (trade === undefined) return false
    const broker = sim.world.brokerOf(trade.ref)
    const order = lastOf(broker, clientOrderIdIn(trade))
    if (isClosed(order) || order.status === 'pending_replace') return false
    if (status === 'rejected' && Number(order.filledQuantity) > 0) return false
    broker.move(order.brokerOrderId, status)
    return true
  }

/** The broker delays an order, or reports a status without effect. */
function holdUp(sim: Sim): boolean {
  const trade = pickAtBroker(sim)
  if (trade === undefined) return false
  const broker = sim.world.brokerOf(trade.ref)
  const order = lastOf(broker, clientOrderIdIn(trade))
  if (order.status !== 'new') return false
  broker.move(
    order.brokerOrderId,
    sim.chance.pick(['suspended', 'stopped', 'accepted', 'unrecognized'] as const)!,
  )
  broker.move(order.brokerOrderId, 'new')
  return true
}

/**
 * Cancels and replacements stay pending for a while; then they take place, or are refused after
 * all.
 */
function holdRequests(sim: Sim): boolean {
  const { world, chance } = sim
  const broker = brokerIn(sim)
  broker.holdsCancels = chance.below(2) === 0
  broker.holdsReplaces = !broker.holdsCancels || chance.below(2) === 0
  world.later(chance.below(30_000), () => {
    Object.assign(broker, { holdsCancels: false, holdsReplaces: false })
    settlePending(broker, chance.below(3) > 0)
  })
  return true
}

/** Pending requests at a broker take place, or are refused. */
export function settlePending(broker: FakeBroker, isGranted: boolean): boolean {
  let settled = 0
  for (const { brokerOrderId, status, replaces } of [...broker.orders.values()]) {
    if (broker.ledger.order(brokerOrderId).status !== status) continue
    const old = replaces === null ? null : broker.ledger.find(replaces)
    if (status === 'pending_cancel')
      broker.settleCancel(brokerOrderId, isGranted ? 'canceled' : 'new')
    else if (status === 'accepted' && old?.status === 'pending_replace')
      broker.settleReplace(brokerOrderId, isGranted ? 'replaced' : 'rejected')
    else continue
    settled += 1
  }
  return settled > 0
}

/** How an order looks that the broker took on otherwise than it was asked for. */
function echoOtherwise(sim: Sim): boolean {
  const broker = brokerIn(sim)
  const limits: Partial<BrokerOrder> = { limitPrice: dec('180.01') }
  broker.conformed = sim.chance.pick([
    () => ({}),
    ({ symbol }: { symbol: string }) => ({ symbol: symbol.replace('/', '') }),
    ({ orderType }: { orderType: string }) => (orderType === 'limit' ? limits : {}),
    () => ({ timeInForce: 'day' as const }),
  ])!
  return true
}

export const venue: readonly Deed[] = [
  { name: 'execute', weight: 12, isAlways: true, run: execute },
  { name: 'execute everything', weight: 4, isAlways: true, run: executeAll },
  { name: 'execute an exit', weight: 2, run: executeExit },
  { name: 'execute more than was ordered', weight: 1, run: overfill },
  { name: 'execute an order that has ended', weight: 3, run: executeEnded },
  { name: 'take an execution back', weight: 1, run: takeBack },
  { name: 'correct an execution', weight: 1, run: correct },
  { name: 'expire an order', weight: 1, run: endBy('expired') },
  { name: 'reject an order late', weight: 1, run: endBy('rejected') },
  { name: "cancel an order in the broker's app", weight: 1, run: endBy('canceled') },
  { name: 'hold an order up', weight: 1, run: holdUp },
  { name: 'hold cancels and replacements', weight: 1, run: holdRequests },
  { name: 'take orders on otherwise', weight: 1, run: echoOtherwise },
  {
    name: 'place an order elsewhere',
    weight: 1,
    run(sim) {
      const broker = brokerIn(sim)
      const symbol = sim.chance.pick([...sim.setting.symbols, 'AAPL240621C00180000'])!
      const { brokerOrderId } = broker.placeElsewhere(symbol, '7')
      if (sim.chance.below(2) === 0)
        sim.world.execute(refOf(sim, broker), brokerOrderId, priceIn(sim))
      return true
    },
  },
  {
    name: 'move cash',
    weight: 2,
    run(sim) {
      const broker = brokerIn(sim)
      const amount = String(1 + sim.chance.below(500))
      if (sim.chance.below(2) === 0) broker.deposit(amount)
      else broker.moveCash('cash', sim.chance.pick(['DIV', 'FEE', 'INT'])!, amount)
      return true
    },
  },
]

const refOf = ({ world, setting }: Sim, broker: FakeBroker) =>
  setting.accounts.find((ref) => world.brokerOf(ref) === broker)!

/** A stock that some account holds. */
function pickStock(sim: Sim): Readonly<{ broker: FakeBroker; symbol: string }> | undefined {
  const held = pickHeld(sim)
  const isStock =
    held !== undefined && !held.symbol.includes('/') && held.symbol.length <= STOCK_LENGTH_MAX
  return isStock ? { broker: sim.world.brokerOf(held.ref), symbol: held.symbol } : undefined
}
const STOCK_LENGTH_MAX = 6

/**
 * Changes of positions without an order. They are a list of their own, because the broker adjusts
 * the open orders of the symbol itself.
 */
export const corporateActions: readonly Deed[] = [
  {
    name: 'split a stock',
    weight: 1,
    run(sim) {
      const held = pickStock(sim)
      held?.broker.split(held.symbol, sim.chance.pick(['2', '0.5', '3'])!)
      return held !== undefined
    },
  },
  {
    name: 'change a symbol',
    weight: 1,
    run(sim) {
      const held = pickStock(sim)
      held?.broker.changeSymbol(held.symbol, `${held.symbol.slice(0, 4)}X`)
      return held !== undefined
    },
  },
]
