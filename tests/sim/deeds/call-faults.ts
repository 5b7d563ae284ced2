import type { ConnectionRef } from '#store'
import type { CallFault, CallName } from '../../support/broker/faults.ts'
import { cancel, close, replace } from './commands.ts'
import { COLLAR, HEARD_MS, putLimits } from './controls.ts'
import { type Deed, loseLast, pickHeld, pickOpen, pickRef, type Sim, type Trade } from './deed.ts'
import { LIMIT, place, placeWithExits, submitSimple } from './orders.ts'
import { executeTrade } from './venue.ts'

// Calls to the broker that go wrong, mostly together with something that needs the call.

/** Calls that can move money, and those that only read. */
export const ORDER_CALLS = ['submit', 'replace', 'cancel'] as const satisfies readonly CallName[]
export const READ_CALLS = [
  ...([
    'findByClientOrderId',
    'findByBrokerOrderId',
    'findParent',
    'listOrders',
    'listExecutions',
  ] as const),
  ...([
    'listActivities',
    'readPortfolio',
    'readPosition',
    'readQuote',
    'readAccount',
    'readClock',
  ] as const),
] satisfies readonly CallName[]

export const CALL_FAULTS = [
  ...(['lose_request', 'lose_reply', 'error_before', 'error_after'] as const),
  ...(['rate_limit', 'refuse', 'delay_request', 'delay_reply'] as const),
]
/** For a call that only reads, the other kinds come to one of these. */
export const READ_FAULTS = ['lose_reply', 'error_before', 'rate_limit', 'delay_reply'] as const

/** The broker has carried it out, and nobody hears of it. */
const LOST_REPLIES = ['lose_reply', 'error_after'] as const

/**
 * A fault of every kind, of the length that makes a difference: within the deadline of a call, and
 * beyond it.
 */
function pickFault({ chance }: Sim, kinds: readonly CallFault['kind'][] = CALL_FAULTS): CallFault {
  const kind = chance.pick(kinds)!
  if (kind === 'delay_request' || kind === 'delay_reply')
    return { kind, ms: chance.pick([700, 3_000, 12_000])! }
  if (kind === 'rate_limit') return { kind, retryAfterMs: chance.pick([null, 500, 5_000])! }
  if (kind === 'refuse') return { kind, code: chance.pick(REFUSALS)! }
  return { kind }
}
/** Definitive answers of a broker to a submission, by our codes. */
const REFUSALS = [
  ...([
    'INSUFFICIENT_BUYING_POWER',
    'SYMBOL_NOT_TRADABLE',
    'MARKET_CLOSED',
    'SHORT_NOT_ALLOWED',
  ] as const),
  ...([
    'FRACTIONAL_NOT_ALLOWED',
    'WASH_TRADE',
    'INVALID_PRICE',
    'ACCOUNT_RESTRICTED',
    'BROKER_REJECTED',
  ] as const),
]

/** How long the broker shows new orders late, at most. */
const LATE_MS = 20_000

function showLate({ world }: Sim, ref: ConnectionRef, lagMs: number): void {
  const broker = world.brokerOf(ref)
  broker.visibleAfterMs = lagMs
  world.later(LATE_MS, () => (broker.visibleAfterMs = 0))
}

/** Does it to a trade that is open at the broker; where none is, to one that is placed first. */
function withOpen(sim: Sim, run: (trade: Trade) => void): void {
  const open = pickOpen(sim)
  if (open !== undefined) return run(open)
  const placed = place(sim, { ...LIMIT, quantity: '30' })
  sim.world.later(PLACED_MS, () => run(placed))
}
/** An order is at the broker by then, as a rule. */
const PLACED_MS = 1_000

const lostReply = ({ chance }: Sim): CallFault => ({ kind: chance.pick(LOST_REPLIES)! })

/** One after the other, as when a request is sent again after its answer was lost. */
function failCalls(sim: Sim, ref: ConnectionRef, on: (typeof ORDER_CALLS)[number]): void {
  const { chance, world } = sim
  for (let count = chance.below(3); count > 0; count -= 1)
    world.brokerOf(ref).fail(on, chance.below(2) === 0 ? lostReply(sim) : pickFault(sim))
  world.brokerOf(ref).fail(on, pickFault(sim))
  if (chance.below(2) === 0) showLate(sim, ref, chance.below(4_000))
}

function failOrderCall(sim: Sim): boolean {
  const on = sim.chance.pick(ORDER_CALLS)!
  if (on === 'submit') {
    const ref = pickRef(sim)
    failCalls(sim, ref, on)
    return submitSimple(sim, ref)
  }
  withOpen(sim, (trade) => {
    failCalls(sim, trade.ref, on)
    if (on === 'cancel') cancel(sim, trade)
    else replace(sim, trade)
  })
  return true
}

/** A call that only reads fails a few times. */
function failRead(sim: Sim, ref: ConnectionRef, on: CallName): void {
  for (let count = 1 + sim.chance.below(3); count > 0; count -= 1)
    sim.world.brokerOf(ref).fail(on, pickFault(sim, READ_FAULTS))
}

/** For each reading that only some jobs need: something that needs it, while it fails. */
const NEEDS: readonly ((sim: Sim) => void)[] = [
  // A cancel that is refused, or a replacement of which no answer came, has the order read again.
  (sim) =>
    withOpen(sim, (trade) => {
      failRead(sim, trade.ref, 'findByBrokerOrderId')
      const isCancel = sim.chance.below(2) === 0
      if (isCancel) sim.world.brokerOf(trade.ref).fail('cancel', { kind: 'refuse' })
      else sim.world.brokerOf(trade.ref).fail('replace', lostReply(sim))
      if (isCancel) cancel(sim, trade)
      else replace(sim, trade)
    }),
  (sim) => {
    const ref = pickRef(sim)
    sim.world.brokerOf(ref).fail('submit', lostReply(sim))
    failRead(sim, ref, 'findByClientOrderId')
    submitSimple(sim, ref)
  },
  (sim) => {
    const held = pickHeld(sim)
    const ref = held?.ref ?? pickRef(sim)
    failRead(sim, ref, 'readPosition')
    close(sim, held)
  },
  // A limit that compares the order with the market.
  (sim) => {
    const ref = pickRef(sim)
    putLimits(sim, ref, COLLAR)
    sim.world.later(HEARD_MS, () => {
      failRead(sim, ref, 'readQuote')
      for (let count = 0; count < 2; count += 1)
        place(sim, { ...LIMIT, quantity: '3' }, undefined, ref)
    })
  },
  // Exits that show themselves before their entry is on record.
  (sim) => {
    const ref = pickRef(sim)
    failRead(sim, ref, 'findParent')
    sim.world.brokerOf(ref).fail('submit', lostReply(sim))
    const entry = placeWithExits(sim, ref)
    sim.world.later(PLACED_MS, () => executeTrade(sim, entry, '180'))
  },
]

/**
 * The store loses the record of an order that the broker has taken; when it is sent again, it is
 * refused.
 */
function forgetAndRefuse(sim: Sim): boolean {
  const { world, chance } = sim
  const ref = pickRef(sim)
  world.brokerOf(ref).fail('submit', { kind: 'refuse', code: chance.pick(REFUSALS)! }, { skip: 1 })
  if (chance.below(2) === 0) showLate(sim, ref, 1_000 + chance.below(4_000))
  world.at(chance.pick(['submit.answered', 'submit.recorded'] as const)!, (process) => {
    loseLast(sim)
    world.restart(process)
  })
  return submitSimple(sim, ref)
}

export const callFaults: readonly Deed[] = [
  { name: 'fail an order call', weight: 5, fault: 'broker', run: failOrderCall },
  {
    name: 'fail readings',
    weight: 3,
    fault: 'broker',
    run(sim) {
      const { chance, world } = sim
      const broker = world.brokerOf(pickRef(sim))
      const on = chance.pick(['read', ...READ_CALLS] as const)!
      broker.fail(on, pickFault(sim, READ_FAULTS), {
        times: 1 + chance.below(4),
        skip: chance.below(3),
      })
      for (const call of READ_CALLS)
        if (chance.below(3) > 0)
          world
            .brokerOf(pickRef(sim))
            .fail(call, pickFault(sim, READ_FAULTS), { skip: chance.below(2) })
      return true
    },
  },
  {
    name: 'fail a reading when it is needed',
    weight: 5,
    fault: 'broker',
    run(sim) {
      sim.chance.pick(NEEDS)!(sim)
      return true
    },
  },
  {
    name: 'refuse an order',
    weight: 1,
    fault: 'broker',
    run(sim) {
      const ref = pickRef(sim)
      sim.world.brokerOf(ref).fail('submit', { kind: 'refuse', code: sim.chance.pick(REFUSALS)! })
      return submitSimple(sim, ref)
    },
  },
  {
    name: 'lose the answer to an order, and refuse it when it is sent again',
    weight: 1,
    fault: 'broker',
    run(sim) {
      const ref = pickRef(sim)
      const broker = sim.world.brokerOf(ref)
      showLate(sim, ref, 1_000 + sim.chance.below(4_000))
      const isCrash = sim.chance.below(2) === 0
      if (isCrash) sim.world.crashAt('submit.answered')
      else broker.fail('submit', lostReply(sim))
      broker.fail(
        'submit',
        { kind: 'refuse', code: sim.chance.pick(REFUSALS)! },
        { skip: isCrash ? 1 : 0 },
      )
      return submitSimple(sim, ref)
    },
  },
  {
    name: 'lose the record of an order, and refuse it when it is sent again',
    weight: 1,
    fault: 'loss',
    run: forgetAndRefuse,
  },
]
