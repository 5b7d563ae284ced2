import type { Chance } from '../../scenarios/world/chance.ts'
import { accounts } from './accounts.ts'
import { callFaults } from './call-faults.ts'
import { commands } from './commands.ts'
import { controls } from './controls.ts'
import { type Deed, FAULT_GROUPS, type FaultGroup, type Sim } from './deed.ts'
import { faults } from './faults.ts'
import { jobs } from './jobs.ts'
import { orders, submitSimple } from './orders.ts'
import { relayDeeds } from './relay.ts'
import { corporateActions, execute, settlePending, venue } from './venue.ts'

export { type Deed, FAULT_GROUPS, type FaultGroup, type Sim, execute, settlePending, submitSimple }

/** Everything that can be drawn. */
export const deeds: readonly Deed[] = [
  ...orders,
  ...commands,
  ...venue,
  ...corporateActions,
  ...controls,
  ...accounts,
  ...callFaults,
  ...faults,
  ...jobs,
  ...relayDeeds,
]

/** A deed that is left out of most runs is drawn so much more often in the others. */
const LEFT_OUT_OF = 3

/**
 * What is drawn from in one run: every deed that belongs into each run, and some of the others, but
 * no fault of a group that is not wanted. A run with few kinds of deeds does each of them often
 * enough for them to meet.
 */
export function chooseDeeds(groups: ReadonlySet<FaultGroup>, chance: Chance): readonly Deed[] {
  return deeds.flatMap((deed) => {
    if (deed.fault !== undefined && !groups.has(deed.fault)) return []
    if (deed.isAlways === true) return [deed]
    return chance.below(LEFT_OUT_OF) === 0 ? [{ ...deed, weight: deed.weight * LEFT_OUT_OF }] : []
  })
}

/** One of them, as often as its weight says. */
export function drawDeed(from: readonly Deed[], chance: Chance): Deed {
  let at = chance.below(from.reduce((sum, { weight }) => sum + weight, 0))
  const drawn = from.find(({ weight }) => (at -= weight) < 0)
  if (drawn === undefined) throw new Error('there is nothing to draw from')
  return drawn
}
