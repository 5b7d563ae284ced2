import type { ConnectionRef } from '#store'
import { furnish } from '../setting.ts'
import { type Deed, pickRef, type Sim } from './deed.ts'

// Deeds of users with their connections, and of the broker with the keys.

/** Connections of a run, those included that were removed. */
const CONNECTIONS_MAX = 8

const isLinked = ({ world }: Sim, ref: ConnectionRef): boolean =>
  world.store.controls.linked(ref) !== null

function pickLinked(sim: Sim): ConnectionRef | undefined {
  return sim.chance.pick(sim.setting.accounts.filter((ref) => isLinked(sim, ref)))
}

/** Links an account: usually a new one, else one that another user may have linked already. */
function connect(sim: Sim): boolean {
  const { world, chance, setting } = sim
  if (setting.accounts.length >= CONNECTIONS_MAX) return false
  const isShared = chance.below(4) === 0
  const accountNumber = isShared ? world.brokerOf(pickRef(sim)).accountId : undefined
  // A shared account is linked by a user without limits, because no limit was applied to its
  // earlier positions.
  const userId = isShared ? 'u9' : pickRef(sim).userId
  const ref = { userId, connectionId: `broker_${setting.accounts.length + 1}` }
  void world.accounts.connect(ref, { accountNumber })
  furnish(world.brokerOf(ref), setting.symbols)
  setting.accounts.push(ref)
  if (world.relay.clientsOf(userId).length === 0) world.relay.connect(userId)
  return true
}

/**
 * Links a connection anew that was removed, to its account as a rule; where none was, one is
 * removed first.
 */
function reconnect(sim: Sim): boolean {
  const ref = sim.chance.pick(sim.setting.accounts.filter((one) => !isLinked(sim, one)))
  if (ref !== undefined) return linkAnew(sim, ref)
  sim.world.later(RELINKED_MS + sim.chance.below(RELINKED_MS), () => {
    const removed = sim.chance.pick(sim.setting.accounts.filter((one) => !isLinked(sim, one)))
    if (removed !== undefined) linkAnew(sim, removed)
  })
  return disconnect(sim)
}
/** The usual time until a removal is done. */
const RELINKED_MS = 10_000

function linkAnew({ world, chance, setting }: Sim, ref: ConnectionRef): boolean {
  const accountNumber = chance.below(4) === 0 ? undefined : world.brokerOf(ref).accountId
  void world.accounts.connect(ref, { accountNumber })
  furnish(world.brokerOf(ref), setting.symbols)
  return true
}

function disconnect(sim: Sim): boolean {
  const ref = pickLinked(sim)
  if (ref === undefined) return false
  void sim.world.accounts.disconnect(ref, sim.chance.pick(['cancel', 'leave'] as const)!)
  return true
}

/** New keys of the same account; the old ones go before, at once, or a while after. */
function rotate(sim: Sim): boolean {
  const { world, chance } = sim
  const ref = pickLinked(sim)
  if (ref === undefined) return false
  const isBefore = chance.below(3) === 0
  if (isBefore) world.accounts.revokeKeys(ref)
  world.later(isBefore ? chance.below(5_000) : 0, () => {
    void world.accounts.rotateKeys(ref, { to: 'good' })
    if (!isBefore)
      world.later(chance.below(10_000), () => world.accounts.revokeKeys(ref, 'earlier'))
  })
  return true
}

/** Refused keys, or keys of another account; corrected later, or at the end of the run. */
function enterWrongKeys(sim: Sim): boolean {
  const { world, chance } = sim
  const ref = pickLinked(sim)
  if (ref === undefined) return false
  void world.accounts.rotateKeys(ref, { to: chance.pick(['revoked', 'other_account'] as const)! })
  if (chance.below(2) === 0) world.later(chance.below(60_000), () => world.accounts.mend())
  return true
}

/** The broker refuses the keys of a connection for a while. */
function revoke(sim: Sim): boolean {
  const { world, chance } = sim
  const ref = pickLinked(sim)
  if (ref === undefined) return false
  world.accounts.revokeKeys(ref)
  if (chance.below(2) === 0) world.brokerOf(ref).streams.cut('the credentials were revoked')
  world.later(chance.below(60_000), () => world.accounts.restoreKeys(ref))
  return true
}

const JUMPS_MS = [
  -86_400_000, -3_600_000, -30_000, -2_000, 2_000, 30_000, 3_600_000, 86_400_000,
] as const

/** The clock of one machine jumps, and is put right later, or never. */
function jumpClock({ world, chance }: Sim): boolean {
  const worker = chance.pick(world.workers)
  if (worker === undefined) return false
  const byMs = chance.pick(JUMPS_MS)!
  worker.jumpClock(byMs)
  if (chance.below(2) === 0) world.later(chance.below(20_000), () => worker.jumpClock(-byMs))
  return true
}

export const accounts: readonly Deed[] = [
  { name: 'link an account', weight: 1, run: connect },
  { name: 'remove a connection', weight: 1, run: disconnect },
  { name: 'link a removed connection anew', weight: 1, run: reconnect },
  { name: 'rotate keys', weight: 1, run: rotate },
  { name: 'enter wrong keys', weight: 1, fault: 'keys', run: enterWrongKeys },
  { name: 'revoke keys', weight: 1, fault: 'keys', run: revoke },
  { name: 'let a clock jump', weight: 1, fault: 'clock', run: jumpClock },
]
