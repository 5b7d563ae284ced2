import type { LimitsRequest } from '#contract'
import type { HaltTarget } from '../../scenarios/world/sending.ts'
import { replace } from './commands.ts'
import { type Deed, pickRef, type Sim } from './deed.ts'
import { submitSimple } from './orders.ts'

/** A halt or a resume is for everybody, for a user, or for a connection. */
function pickTarget(sim: Sim): HaltTarget {
  const ref = pickRef(sim)
  return sim.chance.pick([{}, { userId: ref.userId }, ref])!
}

/** A halt, and what is asked for while it is thrown. */
function halt(sim: Sim): boolean {
  const { world, chance } = sim
  const allows = chance.pick(['nothing', 'reducing'] as const)!
  void world.halt(pickTarget(sim), { allows, waitMs: chance.below(20_000) })
  for (let count = 0; count < 2; count += 1) {
    submitSimple(sim)
    replace(sim)
  }
  return true
}

/** Each kind of limit, tight enough to matter. */
const LIMITS: readonly LimitsRequest[] = [
  { orderNotionalMax: '9000' },
  { openOrdersMax: 2 },
  { ordersPerMinuteMax: 2 },
  { ordersPerDayMax: 4 },
  { dailyLossMax: '20' },
  { dailyLossMax: '1' },
  { dailyLossMax: '0.01' },
  { symbolsAllowed: ['AAPL'] },
  { symbolsDenied: ['MSFT'] },
  { priceCollarPercent: '0.5' },
  { sessions: 'regular' },
]

/** Limits of a user or of one connection, in place of what it had; what a user's positions may be worth never changes in a run. */
function limit(sim: Sim): boolean {
  const { world, chance } = sim
  const ref = pickRef(sim)
  const { userId, connectionId } = ref
  const limits = chance.below(4) === 0 ? {} : chance.pick(LIMITS)!
  if (chance.below(2) === 0) void world.limit(userId, { ...limits, positionNotionalMax: world.positionMax(userId) })
  else void world.limitConnection({ userId, connectionId }, limits)
  for (let count = chance.below(5); count > 0; count -= 1) submitSimple(sim, ref)
  return true
}

export const controls: readonly Deed[] = [
  { name: 'halt', weight: 2, run: halt },
  {
    name: 'resume',
    weight: 3,
    isAlways: true,
    run(sim) {
      void sim.world.resume(pickTarget(sim))
      return true
    },
  },
  { name: 'limit', weight: 2, run: limit },
]
