import { SYNC_TYPES } from '#contract'
import { RESUMES } from '../../scenarios/world/client.ts'
import type { ModelClient } from '../../scenarios/world/client.ts'
import { type Deed, pickRef, type Sim } from './deed.ts'

// What clients do, and what goes wrong between the log and them.

/** Clients of one user. */
const CLIENTS_MAX = 3
/** Reads of the store by a relay. */
const RELAY_READS = ['reader.top', 'reader.events', 'reader.figures', 'sub.subscribe'] as const
/** As a read can fail. */
const READ_FAULTS = ['reply_lost', 'request_lost', 'refused'] as const

function pickClient(sim: Sim): ModelClient {
  return sim.chance.pick(sim.world.relay.clientsOf(pickRef(sim).userId))!
}

/** Cuts a client, and mostly lets it come back where it was. */
function cut(sim: Sim): boolean {
  const { chance } = sim
  const resume = chance.below(2) === 0 ? 'last' : chance.pick(RESUMES)!
  pickClient(sim).cut(chance.below(3) === 0 ? chance.below(60_000) : chance.below(1_500), resume)
  return true
}

export const relayDeeds: readonly Deed[] = [
  {
    name: 'connect another client',
    weight: 1,
    run(sim) {
      const { userId } = pickRef(sim)
      if (sim.world.relay.clientsOf(userId).length >= CLIENTS_MAX) return false
      sim.world.relay.connect(userId)
      return true
    },
  },
  {
    name: 'ask for the state',
    weight: 1,
    run(sim) {
      const client = pickClient(sim)
      const types = SYNC_TYPES.filter(() => sim.chance.below(2) === 0)
      // Impatient clients ask many times.
      for (let count = sim.chance.below(4) === 0 ? 10 : 1; count > 0; count -= 1)
        client.requestSync(types.length === 0 ? undefined : types)
      return true
    },
  },
  { name: 'cut a client', weight: 3, fault: 'relay', run: cut },
  {
    name: 'stall a client',
    weight: 1,
    fault: 'relay',
    run(sim) {
      sim.world.relay.stall(pickClient(sim), 100 + sim.chance.below(3_000))
      return true
    },
  },
  {
    name: 'drop publications',
    weight: 2,
    fault: 'relay',
    run({ world, chance }) {
      world.relay.drop({ times: 1 + chance.below(chance.below(3) === 0 ? 20 : 3), skip: chance.below(4) })
      return true
    },
  },
  {
    name: 'cut the subscriptions of a relay',
    weight: 1,
    fault: 'relay',
    run({ world, chance }) {
      world.relay.deafen(100 + chance.below(20_000))
      return true
    },
  },
  {
    name: 'kill a relay',
    weight: 1,
    fault: 'relay',
    run({ world }) {
      world.relay.kill()
      return true
    },
  },
  {
    name: 'freeze a relay',
    weight: 1,
    fault: 'relay',
    run({ world, chance }) {
      world.relay.freeze(100 + chance.below(10_000))
      return true
    },
  },
  {
    name: 'fail reads of a relay',
    weight: 2,
    fault: 'relay',
    run({ world, chance }) {
      const label = chance.pick(RELAY_READS)!
      for (let count = 1 + chance.below(5); count > 0; count -= 1)
        world.relay.faults.plan(chance.pick(READ_FAULTS)!, label, count === 1 ? chance.below(3) : 0)
      return true
    },
  },
  {
    name: 'trim a log',
    weight: 2,
    fault: 'relay',
    run(sim) {
      sim.world.store.trimLog(pickRef(sim).userId, sim.chance.below(4))
      return true
    },
  },
]
