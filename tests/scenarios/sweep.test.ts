import { expect, test } from 'vitest'
import { closePositionSchema, replaceOrderSchema } from '#contract'
import { dec } from '#domain'
import type { ConnectionRef } from '#store'
import { ANY_STEP, openWorld, type World } from './world.ts'
import { Chance } from './world/chance.ts'
import type { HaltTarget } from './world/sending.ts'

// Everything at once, at random: whatever the seed makes of it, the rules hold at every step, and at rest everything is as the broker
// has it. A failure names its seed; the same seed is the same run. SWEEP_FROM and SWEEP_SEEDS choose others, and more.

const ACCOUNTS: readonly ConnectionRef[] = [
  { userId: 'u1', connectionId: 'broker_1' },
  { userId: 'u2', connectionId: 'broker_2' },
  { userId: 'u3', connectionId: 'broker_3' },
]
/** Of u2: 100 of a symbol, at the price at which everything is quoted. */
const LIMITS = { positionNotionalMax: '18000', ordersPerMinuteMax: 20 }
const PRICE = dec('180')
const LIMIT = { orderType: 'limit', limitPrice: '180', timeInForce: 'gtc' } as const
const SYMBOLS = ['AAPL', 'MSFT'] as const
const STEPS = 14
/** Executions in the end that no stream tells of. */
const UNHEARD = 6
/** The store may lose this many acknowledged commits at once. */
const LOST_MAX = 3
/** After this long without a trace, a submission is known to have come to nothing. */
const NOT_RECEIVED_MS = 20 * 60_000

/** One thing that a user, the market, the network or a machine does. */
type Deed = (world: World, chance: Chance, trades: Trade[]) => void
type Trade = Readonly<{ tradeId: string; ref: ConnectionRef }>

const idOf = (world: World, { tradeId, ref }: Trade): string => world.clientOrderId(tradeId, ref)
const isAtBroker = (world: World, trade: Trade): boolean =>
  world.brokerOf(trade.ref).ledger.find(idOf(world, trade)) !== null

const submit: Deed = (world, chance, trades) => {
  const ref = chance.pick(ACCOUNTS)!
  const tradeId = `t${trades.length + 1}`
  trades.push({ tradeId, ref })
  const quantity = String(1 + chance.below(100))
  const symbol = chance.pick(SYMBOLS)!
  const side = chance.below(3) === 0 ? 'sell' : 'buy'
  const soon = { notAfter: new Date(world.nowMs + chance.below(5_000)).toISOString() }
  const terms = { ...(chance.below(2) === 0 ? LIMIT : {}), ...(chance.below(6) === 0 ? soon : {}) }
  world.submit({ ...ref, tradeId, symbol, side, quantity, ...terms })
}

const execute: Deed = (world, chance, trades) => {
  const trade = chance.pick(trades.filter((one) => isAtBroker(world, one)))
  if (trade === undefined) return
  const broker = world.brokerOf(trade.ref)
  let order = broker.ledger.order(idOf(world, trade))
  while (order.replacedBy !== null) order = broker.ledger.order(order.replacedBy)
  const left = Number(order.quantity) - Number(order.filledQuantity)
  if (left <= 0 || ['filled', 'canceled', 'rejected', 'replaced'].includes(order.status)) return
  world.execute(
    trade.ref,
    order.brokerOrderId,
    (170 + chance.below(2_000) / 100).toFixed(2),
    String(1 + chance.below(left)),
  )
}

/** Orders at once that are more together than the limit of u2 has room for. */
const crowd: Deed = (world, chance, trades) => {
  const ref = ACCOUNTS[1]!
  const symbol = chance.pick(SYMBOLS)!
  for (let count = 0; count < 4; count += 1) {
    const tradeId = `t${trades.length + 1}`
    trades.push({ tradeId, ref })
    world.submit({ ...ref, tradeId, symbol, side: 'buy', quantity: '40', ...LIMIT })
  }
}

/** All that is open on an account, down to the last share. */
const executeAll: Deed = (world, chance) => {
  const ref = chance.pick(ACCOUNTS)!
  for (const { brokerOrderId, status } of [...world.brokerOf(ref).orders.values()])
    if (status === 'new' || status === 'partially_filled') world.execute(ref, brokerOrderId, '179')
}

const takeBack: Deed = (world, chance, trades) => {
  const trade = chance.pick(trades.filter((one) => isAtBroker(world, one)))
  if (trade === undefined) return
  const broker = world.brokerOf(trade.ref)
  const { brokerOrderId } = broker.ledger.order(idOf(world, trade))
  const own = broker.executions.filter((one) => one.brokerOrderId === brokerOrderId)
  if (own.length > 0) broker.bust(brokerOrderId, chance.below(own.length))
}

/** Another size, or another price of a limit order: never a lower one than what everything is worth. */
const replace: Deed = (world, chance, trades) => {
  const trade = chance.pick(trades)
  if (trade === undefined) return
  const commandId = `r${chance.below(1_000_000)}`
  const terms =
    chance.below(2) === 0 ? { quantity: String(1 + chance.below(150)) } : { limitPrice: `${180 + chance.below(3)}` }
  const command = replaceOrderSchema.parse({ ...trade.ref, tradeId: trade.tradeId, commandId, ...terms })
  world.queue.add('commands', 'replaceOrder', command, commandId)
}

/** All of a position, perhaps more than once at the same time. */
const close: Deed = (world, chance, trades) => {
  const ref = chance.pick(ACCOUNTS)!
  const symbol = chance.pick(SYMBOLS)!
  for (let count = 1 + chance.below(2); count > 0; count -= 1) {
    const tradeId = `t${trades.length + 1}`
    trades.push({ tradeId, ref })
    const command = closePositionSchema.parse({ ...ref, tradeId, commandId: 'close', symbol })
    world.queue.add('commands', 'closePosition', command, `close ${tradeId}`)
  }
}

const cancel: Deed = (world, chance, trades) => {
  const trade = chance.pick(trades)
  if (trade !== undefined) world.cancel(trade.tradeId, `c${chance.below(1_000_000)}`, trade.ref)
}

const REQUEST_FAULTS = ['lose_request', 'lose_reply', 'rate_limit', 'error_after'] as const
const failSubmit: Deed = (world, chance) =>
  void world.brokerOf(chance.pick(ACCOUNTS)!).fail('submit', { kind: chance.pick(REQUEST_FAULTS)! })

const READINGS = ['read', 'listOrders', 'listExecutions', 'listActivities', 'readPortfolio'] as const
const READ_FAULTS = ['lose_request', 'lose_reply', 'rate_limit', 'error_before'] as const
const failReadings: Deed = (world, chance) => {
  const [on, kind] = [chance.pick(READINGS)!, chance.pick(READ_FAULTS)!]
  world.brokerOf(chance.pick(ACCOUNTS)!).fail(on, { kind }, { times: 1 + chance.below(4), skip: chance.below(3) })
}

const TARGETS: readonly HaltTarget[] = [{}, ...ACCOUNTS.map(({ userId }) => ({ userId })), ...ACCOUNTS]
/** A halt, of everybody as often as not, and what is asked for while it is thrown. */
const halt: Deed = (world, chance, trades) => {
  const allows = chance.pick(['nothing', 'reducing'] as const)!
  const target = chance.below(2) === 0 ? {} : chance.pick(TARGETS)
  void world.halt(target, { allows, waitMs: chance.below(20_000) })
  for (let count = 0; count < 2; count += 1) {
    submit(world, chance, trades)
    replace(world, chance, trades)
  }
}
const resume: Deed = (world, chance) => void world.resume(chance.pick(TARGETS)!)

/** The store loses everything; what a surviving worker remembers of connections comes back a little later. */
const wipe: Deed = (world, chance) => {
  const { controls } = world.store
  const known = Promise.all([
    Promise.all(ACCOUNTS.map(({ userId }) => controls.read(userId))),
    controls.readGlobalHalt(),
  ])
  const restore = (): void => void known.then(([sets, globalHalt]) => controls.restore(sets, globalHalt))
  world.store.wipe()
  world.schedule.after({ name: 'survivor', state: 'running' }, 500 + chance.below(2_000), restore)
}

const DEEDS: readonly (readonly [weight: number, deed: Deed])[] = [
  [6, submit],
  [2, crowd],
  [8, execute],
  [2, executeAll],
  [1, takeBack],
  [2, cancel],
  [3, replace],
  [2, close],
  [2, failSubmit],
  [2, failReadings],
  [2, halt],
  [2, resume],
  [2, (world, chance) => world.faults.plan(chance.pick(['reply_lost', 'twice', 'refused', 'request_lost'] as const)!)],
  [1, (world, chance) => void (world.brokerOf(chance.pick(ACCOUNTS)!).isMute = chance.below(2) === 0)],
  [1, (world, chance) => void (world.brokerOf(chance.pick(ACCOUNTS)!).listsBusts = chance.below(2) === 0)],
  [1, (world, chance) => world.brokerOf(chance.pick(ACCOUNTS)!).streams.cut('the network')],
  [2, (world, chance) => world.crashAt(ANY_STEP, chance.below(40), chance.below(3_000))],
  [1, (world, chance) => world.freezeAt(ANY_STEP, chance.below(20_000), chance.below(40))],
  [1, wipe],
  [1, (world, chance) => world.store.loseLast(1 + chance.below(LOST_MAX))],
  [1, (world, chance) => void world.brokerOf(chance.pick(ACCOUNTS)!).placeElsewhere('MSFT', '7')],
  [1, (world, chance) => world.brokerOf(chance.pick(ACCOUNTS)!).deposit(String(1 + chance.below(500)))],
]
const WEIGHTS = DEEDS.reduce((sum, [weight]) => sum + weight, 0)

function deedOf(chance: Chance): Deed {
  let at = chance.below(WEIGHTS)
  for (const [weight, deed] of DEEDS) if ((at -= weight) < 0) return deed
  return submit
}

/** All is calm, but no stream tells anything: what executes is found in time all the same, and the streams are given up (C8). */
async function goUnheard(world: World, chance: Chance, trades: Trade[]): Promise<void> {
  void world.resume(...TARGETS) // they take effect as the time goes on
  for (const ref of ACCOUNTS) world.brokerOf(ref).isMute = true
  for (let count = 0; count < UNHEARD; count += 1) {
    submit(world, chance, trades)
    await world.advance(1_000)
    execute(world, chance, trades)
    await world.advance(6_000)
  }
  for (const ref of ACCOUNTS) world.brokerOf(ref).isMute = false
}

async function run(seed: number): Promise<World> {
  const chance = new Chance(seed * 7_919)
  const world = await openWorld({ seed, clients: true, workers: 2, accounts: ACCOUNTS })
  for (const broker of ACCOUNTS.map((ref) => world.brokerOf(ref))) {
    for (const symbol of SYMBOLS) broker.quotes.set(symbol, { bid: PRICE, ask: PRICE, last: PRICE })
    // Where a replacement is larger than was meant for a moment, that moment is told as it is (CAN-05).
    broker.replaceSizing = 'total'
  }
  await world.limit('u2', LIMITS)
  const trades: Trade[] = []
  for (let step = 0; step < STEPS; step += 1) {
    deedOf(chance)(world, chance, trades)
    await world.advance(chance.below(4) === 0 ? chance.below(20_000) : chance.below(400))
  }
  for (const ref of ACCOUNTS) {
    world.brokerOf(ref).isMute = false
    world.brokerOf(ref).mend()
  }
  await world.advance(60_000)
  await goUnheard(world, chance, trades)
  // What was canceled or grew old while nobody knew whether it had been sent is watched until its absence is proved (SUB-05).
  const orders = await Promise.all(trades.map(({ tradeId, ref }) => world.order(tradeId, ref)))
  if (orders.some((order) => order?.status === 'submitting')) await world.advance(NOT_RECEIVED_MS)
  await world.quiesce()
  await world.repeatAll()
  return world
}

const FIRST = Number(process.env['SWEEP_FROM'] ?? 0)
const COUNT = Number(process.env['SWEEP_SEEDS'] ?? 40)

test.each(Array.from({ length: COUNT }, (_, index) => FIRST + index))('seed %s', async (seed) => {
  const world = await run(seed)
  expect(world.schedule.steps).toBeGreaterThan(0)
})
