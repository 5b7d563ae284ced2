import { ANY_STEP } from '../../scenarios/world.ts'
import type { CallFault, CallName } from '../../support/broker/faults.ts'
import { STORE_FAULTS } from '../../scenarios/world/store-faults.ts'
import { cancel, replace } from './commands.ts'
import { type Deed, loseLast, pickRef, type Sim } from './deed.ts'
import { submitSimple } from './orders.ts'
import { execute } from './venue.ts'

// What goes wrong with the broker, with Redis and with the workers.

const brokerIn = (sim: Sim) => sim.world.brokerOf(pickRef(sim))

/** Calls that can move money, and those that only read. */
export const ORDER_CALLS = ['submit', 'replace', 'cancel'] as const satisfies readonly CallName[]
export const READ_CALLS = [
  ...(['findByClientOrderId', 'findByBrokerOrderId', 'findParent', 'listOrders', 'listExecutions'] as const),
  ...(['listActivities', 'readPortfolio', 'readPosition', 'readQuote', 'readAccount', 'readClock'] as const),
] satisfies readonly CallName[]

/** A fault of every kind, of the length that makes a difference: within the deadline of a call, and beyond it. */
function pickFault({ chance }: Sim, kinds: readonly CallFault['kind'][] = CALL_FAULTS): CallFault {
  const kind = chance.pick(kinds)!
  if (kind === 'delay_request' || kind === 'delay_reply') return { kind, ms: chance.pick([700, 3_000, 12_000])! }
  if (kind === 'rate_limit') return { kind, retryAfterMs: chance.pick([null, 500, 5_000])! }
  if (kind === 'refuse') return { kind, code: chance.pick(REFUSALS)! }
  return { kind }
}
/** Definitive answers of a broker to a submission, by our codes. */
const REFUSALS = [
  ...(['INSUFFICIENT_BUYING_POWER', 'SYMBOL_NOT_TRADABLE', 'MARKET_CLOSED', 'SHORT_NOT_ALLOWED'] as const),
  ...(['FRACTIONAL_NOT_ALLOWED', 'WASH_TRADE', 'INVALID_PRICE', 'ACCOUNT_RESTRICTED', 'BROKER_REJECTED'] as const),
]
export const CALL_FAULTS = [
  ...(['lose_request', 'lose_reply', 'error_before', 'error_after'] as const),
  ...(['rate_limit', 'refuse', 'delay_request', 'delay_reply'] as const),
]

/** The broker has carried it out, and nobody hears of it. */
const LOST_REPLIES = ['lose_reply', 'error_after'] as const

/** What a user asks for that comes to this call. */
const ASKED_FOR = { submit: submitSimple, replace, cancel } as const

/** For a call that only reads, the other kinds come to one of these. */
export const READ_FAULTS = ['lose_reply', 'error_before', 'rate_limit', 'delay_reply'] as const

const STORE_CALLS = [
  ...['store.commit', 'store.commit', 'store.loadSlice', 'store.loadConnection', 'store.version', 'store.findRefs'],
  ...['leases.take', 'leases.renew', 'connections.find', 'controls.read', 'reader.snapshot', 'recoveries.begin'],
  ...['budget.take', 'parked.note', 'epoch.read', 'links.verify', 'store.loadOpen', 'store.loadHealth'],
]

export const faults: readonly Deed[] = [
  {
    name: 'fail an order call',
    weight: 3,
    fault: 'broker',
    run(sim) {
      const { chance, world } = sim
      const ref = pickRef(sim)
      const on = chance.pick(ORDER_CALLS)!
      // One after the other, as when a request is sent again after its answer was lost.
      for (let count = chance.below(3); count > 0; count -= 1)
        world.brokerOf(ref).fail(on, chance.below(2) === 0 ? { kind: chance.pick(LOST_REPLIES)! } : pickFault(sim))
      world.brokerOf(ref).fail(on, pickFault(sim))
      if (chance.below(2) === 0) world.brokerOf(ref).visibleAfterMs = chance.below(4_000)
      world.later(20_000, () => (world.brokerOf(ref).visibleAfterMs = 0))
      ASKED_FOR[on](sim, ref)
      return true
    },
  },
  {
    name: 'fail readings',
    weight: 3,
    fault: 'broker',
    run(sim) {
      const { chance } = sim
      const on = chance.pick(['read', ...READ_CALLS] as const)!
      brokerIn(sim).fail(on, pickFault(sim, READ_FAULTS), { times: 1 + chance.below(4), skip: chance.below(3) })
      for (const call of READ_CALLS)
        if (chance.below(3) > 0) brokerIn(sim).fail(call, pickFault(sim, READ_FAULTS), { skip: chance.below(2) })
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
      broker.visibleAfterMs = 1_000 + sim.chance.below(4_000)
      sim.world.later(20_000, () => (broker.visibleAfterMs = 0))
      const isCrash = sim.chance.below(2) === 0
      if (isCrash) sim.world.crashAt('submit.answered')
      else broker.fail('submit', { kind: sim.chance.pick(LOST_REPLIES)! })
      broker.fail('submit', { kind: 'refuse', code: sim.chance.pick(REFUSALS)! }, { skip: isCrash ? 1 : 0 })
      return submitSimple(sim, ref)
    },
  },
  {
    name: 'take the broker away',
    weight: 1,
    fault: 'broker',
    run(sim) {
      const broker = brokerIn(sim)
      broker.isDown = true
      sim.world.later(1_000 + sim.chance.below(25_000), () => (broker.isDown = false))
      return true
    },
  },
  {
    name: 'show things late',
    weight: 1,
    fault: 'broker',
    run(sim) {
      const broker = brokerIn(sim)
      const lagMs = 500 + sim.chance.below(3_000)
      const which = sim.chance.pick(['visibleAfterMs', 'executionLagMs', 'portfolioLagMs'] as const)!
      broker[which] = lagMs
      execute(sim)
      // Whoever connects anew reads everything, and reads it as it was.
      if (sim.chance.below(2) === 0) broker.streams.cut('the network')
      sim.world.later(20_000, () => (broker[which] = 0))
      return true
    },
  },
  {
    name: 'fail a commit',
    weight: 2,
    fault: 'store',
    run(sim) {
      sim.world.faults.plan(sim.chance.pick(STORE_FAULTS)!)
      return true
    },
  },
  {
    name: 'fail a call to Redis',
    weight: 2,
    fault: 'store',
    run(sim) {
      const kind = sim.chance.pick(STORE_FAULTS)!
      sim.world.faults.plan(kind, sim.chance.pick(STORE_CALLS), sim.chance.below(3))
      return true
    },
  },
  {
    name: 'mute a stream',
    weight: 1,
    fault: 'stream',
    run(sim) {
      brokerIn(sim).isMute = sim.chance.below(2) === 0
      return true
    },
  },
  {
    name: 'cut a stream',
    weight: 1,
    fault: 'stream',
    run(sim) {
      brokerIn(sim).streams.cut('the network')
      return true
    },
  },
  {
    name: 'drop, repeat, hold or garble messages of a stream',
    weight: 2,
    fault: 'stream',
    run(sim) {
      const { chance, world } = sim
      const { streams } = brokerIn(sim)
      const which = chance.below(4)
      if (which === 0) streams.drop(1 + chance.below(3))
      else if (which === 1) streams.repeat(1 + chance.below(2))
      else if (which === 2) streams.garble()
      else {
        streams.hold()
        world.later(500 + chance.below(8_000), () =>
          streams.release((held) => (chance.below(2) ? held : [...held].reverse())),
        )
      }
      return true
    },
  },
  {
    name: 'list busts or not',
    weight: 1,
    fault: 'broker',
    run(sim) {
      brokerIn(sim).listsBusts = sim.chance.below(2) === 0
      return true
    },
  },
  {
    name: 'kill a worker',
    weight: 2,
    fault: 'worker',
    run({ world, chance }) {
      world.crashAt(ANY_STEP, chance.below(60), chance.below(3_000))
      return true
    },
  },
  {
    name: 'freeze a worker',
    weight: 1,
    fault: 'worker',
    run({ world, chance }) {
      world.freezeAt(ANY_STEP, chance.below(20_000), chance.below(40))
      return true
    },
  },
  {
    name: 'lose the store',
    weight: 1,
    fault: 'loss',
    run(sim) {
      wipe(sim)
      return true
    },
  },
  {
    name: 'lose the last commits',
    weight: 1,
    fault: 'loss',
    run: loseLast,
  },
]

/** How long nobody may be left who remembers what the store held: then its operators enter that again. */
const FORGOTTEN_MS = 20_000

/** The store loses everything. Workers that survive give back what they remember of connections. */
export function wipe({ world, chance, setting }: Sim): void {
  const { controls } = world.store
  const users = [...new Set(setting.accounts.map(({ userId }) => userId))]
  const known = Promise.all([Promise.all(users.map((userId) => controls.read(userId))), controls.readGlobalHalt()])
  world.store.wipe()
  if (chance.below(2) === 0) world.relay.cutAll(2_000)
  world.later(FORGOTTEN_MS, () => {
    if (world.store.marker !== null) return
    void known.then(async ([sets, globalHalt]) => {
      await controls.restore(sets, globalHalt)
      await world.store.epoch.mint()
    })
  })
}
