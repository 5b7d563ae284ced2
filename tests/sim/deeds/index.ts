import type { Chance } from '../../scenarios/world/chance.ts'
import { accounts } from './accounts.ts'
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
  ...faults,
  ...jobs,
  ...relayDeeds,
]

/** What is drawn from: all deeds but the faults that are left out. */
export const deedsWith = (groups: ReadonlySet<FaultGroup>): readonly Deed[] =>
  deeds.filter(({ fault }) => fault === undefined || groups.has(fault))

/** One of them, as often as its weight says. */
export function drawDeed(from: readonly Deed[], chance: Chance): Deed {
  let at = chance.below(from.reduce((sum, { weight }) => sum + weight, 0))
  const drawn = from.find(({ weight }) => (at -= weight) < 0)
  if (drawn === undefined) throw new Error('there is nothing to draw from')
  return drawn
}
