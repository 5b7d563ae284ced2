import { ANY_STEP } from '../../scenarios/world.ts'
import { STORE_FAULTS } from '../../scenarios/world/store-faults.ts'
import { type Deed, loseLast, pickRef, type Sim } from './deed.ts'
import { execute, executeTrade, pickWorking } from './venue.ts'

// What goes wrong with the broker, with Redis and with the workers.

/** Executions at once. */
const PARTS = 3

const brokerIn = (sim: Sim) => sim.world.brokerOf(pickRef(sim))

const STORE_CALLS = [
  'store.commit',
  'store.commit',
  'store.loadSlice',
  'store.loadConnection',
  'store.version',
  'store.findRefs',
  'leases.take',
  'leases.renew',
  'connections.find',
  'controls.read',
  'reader.snapshot',
  'recoveries.begin',
  'budget.take',
  'parked.note',
  'epoch.read',
  'links.verify',
  'store.loadOpen',
  'store.loadHealth',
]

export const faults: readonly Deed[] = [
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
      const which = sim.chance.pick([
        'visibleAfterMs',
        'executionLagMs',
        'portfolioLagMs',
      ] as const)!
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
      const trade = pickWorking(sim, PARTS)
      const { streams } = world.brokerOf(trade?.ref ?? pickRef(sim))
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
      // Executions of one order, of which some come, or come in another order.
      if (trade !== undefined)
        for (let count = 0; count < PARTS; count += 1) executeTrade(sim, trade, '180', 1)
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

/**
 * How long nobody may be left who remembers what the store held: then its operators enter that
 * again.
 */
const FORGOTTEN_MS = 20_000

/** The store loses everything. Workers that survive give back what they remember of connections. */
export function wipe({ world, chance, setting }: Sim): void {
  const { controls } = world.store
  const users = [...new Set(setting.accounts.map(({ userId }) => userId))]
  const known = Promise.all([
    Promise.all(users.map((userId) => controls.read(userId))),
    controls.readGlobalHalt(),
  ])
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
