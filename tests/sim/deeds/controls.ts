import type { LimitsRequest } from '#contract'
import type { ConnectionRef } from '#store'
import type { HaltTarget } from '../../scenarios/world/sending.ts'
import { replace } from './commands.ts'
import { type Deed, pickRef, type Sim } from './deed.ts'
import { LIMIT, place, submitSimple } from './orders.ts'
import { executeTrade } from './venue.ts'

/** The target of a halt or a resume: all users, one user, or one connection. */
function pickTarget(sim: Sim): HaltTarget {
  const ref = pickRef(sim)
  return sim.chance.pick([{}, { userId: ref.userId }, ref])!
}

/** A halt, and orders submitted while it takes effect. */
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

/** Limits of the loss of a day, all smaller than the loss that `lose` makes. */
const DAILY_LOSSES: readonly LimitsRequest[] = [
  { dailyLossMax: '20' },
  { dailyLossMax: '1' },
  { dailyLossMax: '0.01' },
]
/** Limits that five larger orders exceed. */
const COUNTED: readonly LimitsRequest[] = [
  { orderNotionalMax: '9000' },
  { openOrdersMax: 2 },
  { ordersPerMinuteMax: 2 },
  { ordersPerDayMax: 4 },
]
export const COLLAR: LimitsRequest = { priceCollarPercent: '0.5' }
/** The time until workers have read new limits. */
export const HEARD_MS = 2_000

/** Each kind of limit, tight enough to matter. */
const LIMITS: readonly LimitsRequest[] = [
  ...COUNTED,
  ...DAILY_LOSSES,
  { symbolsAllowed: ['AAPL'] },
  { symbolsDenied: ['MSFT'] },
  COLLAR,
  { sessions: 'regular' },
]

/**
 * Replaces the limits of a user or of one connection. The limit of the value of the positions of a
 * user never changes in a run.
 */
export function putLimits(
  { world, chance }: Sim,
  { userId, connectionId }: ConnectionRef,
  limits: LimitsRequest,
): void {
  if (chance.below(2) === 0)
    void world.limit(userId, { ...limits, positionNotionalMax: world.positionMax(userId) })
  else void world.limitConnection({ userId, connectionId }, limits)
}

/** Orders before the workers have read the limits, and orders afterwards. */
function limit(sim: Sim): boolean {
  const { world, chance } = sim
  const ref = pickRef(sim)
  putLimits(sim, ref, chance.below(4) === 0 ? {} : chance.pick(LIMITS)!)
  for (let count = chance.below(5); count > 0; count -= 1)
    world.later(chance.pick([0, HEARD_MS])!, () => submitSimple(sim, ref))
  return true
}

/** Submits more orders at once than a limit of orders permits. */
function crowdLimits(sim: Sim): boolean {
  const ref = pickRef(sim)
  putLimits(sim, ref, sim.chance.pick(COUNTED)!)
  sim.world.later(HEARD_MS, () => {
    for (let count = 0; count < 5; count += 1) place(sim, { quantity: '60' }, undefined, ref)
  })
  return true
}

/**
 * Buys dear and sells cheap, which loses money whatever was held before; then the limit of a day's
 * losses is lower than that.
 */
function lose(sim: Sim): boolean {
  const { world, chance } = sim
  const ref = pickRef(sim)
  const symbol = chance.pick(sim.setting.symbols)!
  const trade = (side: 'buy' | 'sell', price: string): void => {
    const placed = place(sim, { side, quantity: '10' }, symbol, ref)
    world.later(LOST_MS, () => executeTrade(sim, placed, price))
  }
  trade('buy', '189')
  world.later(2 * LOST_MS, () => trade('sell', '165'))
  world.later(4 * LOST_MS, () => putLimits(sim, ref, chance.pick(DAILY_LOSSES)!))
  world.later(4 * LOST_MS + HEARD_MS, () => {
    for (const side of ['buy', 'sell'] as const) place(sim, { side, quantity: '3' }, undefined, ref)
  })
  return true
}
/** The time until an order can execute, and until its execution is booked. */
const LOST_MS = 1_000

/** Limit orders far from the quote, while a collar is in force. */
function slip(sim: Sim): boolean {
  const ref = pickRef(sim)
  putLimits(sim, ref, COLLAR)
  sim.world.later(HEARD_MS, () => {
    for (const limitPrice of ['181', '195', '200'])
      place(sim, { ...LIMIT, quantity: '3', limitPrice }, undefined, ref)
  })
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
  { name: 'place more orders than a limit lets through', weight: 1, run: crowdLimits },
  { name: 'lose more than a day may lose', weight: 1, run: lose },
  { name: 'place orders off the market under a collar', weight: 1, run: slip },
]
