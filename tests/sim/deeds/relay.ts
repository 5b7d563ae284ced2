import { SYNC_TYPES } from '#contract'
import { type ModelClient, RESUMES } from '../../scenarios/world/client.ts'
import { type Deed, loseLast, pickRef, type Sim } from './deed.ts'
import { wipe } from './faults.ts'
import { LIMIT, orders, place } from './orders.ts'
import { execute } from './venue.ts'

// What clients do, and what goes wrong between the log and them. Each comes with something that is
// logged in the same moment: a connection at rest shows little.

/** Clients of one user. */
const CLIENTS_MAX = 3
/** Reads of the store by a relay. */
const RELAY_READS = ['reader.top', 'reader.events', 'reader.figures', 'sub.subscribe'] as const
/** As a read can fail. */
const READ_FAULTS = ['reply_lost', 'request_lost', 'refused'] as const

const pickClient = (sim: Sim): ModelClient => clientOf(sim, pickRef(sim).userId)

/** A client of this user; who has none gets one. */
const clientOf = ({ world, chance }: Sim, userId: string): ModelClient =>
  chance.pick(world.relay.clientsOf(userId)) ?? world.relay.connect(userId)

/** Something of which clients hear. */
function trade(sim: Sim): void {
  if (!execute(sim)) orders[0]!.run(sim)
}

const deed = (name: string, weight: number, isFault: boolean, act: (sim: Sim) => void): Deed => ({
  ...(isFault ? { fault: 'relay' } : {}),
  name,
  weight,
  run(sim) {
    if (sim.chance.below(2) === 0) trade(sim)
    act(sim)
    trade(sim)
    return true
  },
})

/** Mostly a client comes back where it was. */
function cut(sim: Sim): void {
  const { chance } = sim
  const awayMs = [0, chance.below(1_500), chance.below(60_000)]
  pickClient(sim).cut(chance.pick(awayMs)!, chance.below(2) === 0 ? 'last' : chance.pick(RESUMES)!)
}

/** Impatient clients ask many times; what is logged while the state is read matters most. */
function ask(sim: Sim): void {
  const { chance, world } = sim
  if (chance.below(2) === 0) world.relay.slowReads(1_500)
  for (let count = chance.below(4) === 0 ? 10 : 1 + chance.below(3); count > 0; count -= 1) {
    const client = pickClient(sim)
    const types = SYNC_TYPES.filter(() => chance.below(2) === 0)
    world.later(chance.pick([0, chance.below(1_000)])!, () =>
      client.requestSync(types.length === 0 ? undefined : types),
    )
  }
}

function failReads({ world, chance }: Sim): void {
  const label = chance.pick(RELAY_READS)!
  for (let count = 1 + chance.below(5); count > 0; count -= 1)
    world.relay.faults.plan(chance.pick(READ_FAULTS)!, label, count === 1 ? chance.below(3) : 0)
}

function drop({ world, chance }: Sim): void {
  world.relay.drop({
    times: 1 + chance.below(chance.below(3) === 0 ? 20 : 3),
    skip: chance.below(4),
  })
}

/**
 * Of a log that is trimmed, clients lack the beginning that are away, or that were sent none of it.
 */
function trim(sim: Sim): void {
  const { chance, world } = sim
  const { userId } = pickRef(sim)
  if (chance.below(2) === 0) cut(sim)
  else world.relay.drop({ times: 40, userId })
  const keep = chance.below(3)
  world.later(chance.below(600), () => world.store.trimLog(userId, keep))
  if (chance.below(2) === 0)
    world.later(600 + chance.below(400), () =>
      clientOf(sim, userId).requestSync([chance.pick(SYNC_TYPES)!]),
    )
}

/**
 * A client that takes nothing for a while. Half of the time more is told than can wait for it, and
 * something of that does not come: the relay reads the log again, and the client is behind.
 */
function stall(sim: Sim): void {
  const { chance, world } = sim
  const ref = pickRef(sim)
  world.relay.stall(clientOf(sim, ref.userId), 100 + chance.below(3_000))
  if (chance.below(2) > 0) return
  world.relay.drop({
    times: 1 + chance.below(3),
    skip: ORDERS_OF_A_BURST - 1 - chance.below(3),
    userId: ref.userId,
  })
  for (let count = 0; count < ORDERS_OF_A_BURST; count += 1)
    place(sim, { ...LIMIT, quantity: '1' }, undefined, ref)
}
/** Each is told, and more messages than wait for a client before it is behind. */
const ORDERS_OF_A_BURST = 20

export const relayDeeds: readonly Deed[] = [
  deed('ask for the state', 2, false, ask),
  deed('cut a client', 3, true, cut),
  deed('cut all clients', 1, true, ({ world }) => world.relay.cutAll(1_500)),
  deed('drop publications', 2, true, drop),
  deed('drop publications while the state is read', 2, true, (sim) => {
    sim.world.relay.slowReads(1_000)
    pickClient(sim).requestSync()
    sim.world.later(sim.chance.below(500), () => {
      drop(sim)
      trade(sim)
    })
  }),
  deed('stall a client', 1, true, stall),
  deed('cut the subscriptions of a relay', 1, true, ({ world, chance }) =>
    world.relay.deafen(chance.below(20_000)),
  ),
  deed('kill a relay', 1, true, ({ world }) => world.relay.kill()),
  deed('freeze a relay', 1, true, ({ world, chance }) =>
    world.relay.freeze(100 + chance.below(10_000)),
  ),
  deed('fail reads of a relay', 2, true, failReads),
  deed('slow reads of a relay', 2, true, ({ world, chance }) =>
    world.relay.slowReads(1_000 + chance.below(20_000)),
  ),
  deed('trim a log', 2, true, trim),
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
    name: 'lose the store, and ask for the state',
    weight: 1,
    fault: 'loss',
    run(sim) {
      wipe(sim)
      for (let count = 0; count < 4; count += 1)
        sim.world.later(sim.chance.below(8_000), () => ask(sim))
      return true
    },
  },
  {
    name: 'lose the last commits, and cut all clients',
    weight: 1,
    fault: 'loss',
    run(sim) {
      trade(sim)
      const hasLost = loseLast(sim)
      sim.world.relay.cutAll(1_000)
      return hasLost
    },
  },
]
