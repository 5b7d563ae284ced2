import { clientOrderIdOf } from '#domain'
import type { ConnectionRef } from '#store'
import { isClosed } from '../../support/broker/ledger.ts'
import type { World } from '../../scenarios/world.ts'
import type { Chance } from '../../scenarios/world/chance.ts'
import type { Setting } from '../setting.ts'

/** A trade that was requested, in any state. */
export type Trade = Readonly<{ tradeId: string; ref: ConnectionRef; symbol: string }>

/** A run in progress. `trades`: every trade requested so far, oldest first. */
export type Sim = Readonly<{ world: World; chance: Chance; setting: Setting; trades: Trade[] }>

/** The groups of faults of a run, by their origin; `--faults` chooses among them. */
export const FAULT_GROUPS = [
  'broker',
  'store',
  'loss',
  'stream',
  'worker',
  'queue',
  'relay',
  'clock',
  'keys',
] as const
export type FaultGroup = (typeof FAULT_GROUPS)[number]

/**
 * How a deed is drawn. `isAlways`: in every run; others are left out of most runs, so that the rest
 * comes more often.
 */
type Drawn = Readonly<{ weight: number; isAlways?: true }>

/**
 * One action of a user, an operator, the venue, the network or a machine.
 * - `fault`: the group of the deed, if the deed is a fault
 * - `weight`: how often the deed is drawn, relative to other deeds
 * - `run`: starts the deed without waiting for its result; false: the deed was not possible
 */
export type Deed = Drawn & Readonly<{ name: string; fault?: FaultGroup; run(sim: Sim): boolean }>

export const pickRef = ({ chance, setting }: Sim): ConnectionRef => chance.pick(setting.accounts)!

/** The next trade id, remembered as a trade of `ref`. */
export function newTrade({ trades }: Sim, ref: ConnectionRef, symbol: string): Trade {
  const trade = { tradeId: `t${trades.length + 1}`, ref, symbol }
  trades.push(trade)
  return trade
}

/** A command id that no earlier command of the run has. */
export const newCommandId = ({ chance }: Sim, kind: string): string =>
  `${kind}${chance.below(1_000_000_000)}`

export const clientOrderIdIn = ({ ref, tradeId }: Trade): string =>
  clientOrderIdOf(ref.userId, tradeId)

/** The store may lose this many acknowledged commits at once. */
const LOST_MAX = 3
/** The longest time until a worker notices a loss of the store; it uses old state until then. */
const NOTICED_MS = 5_000

/**
 * The store loses its last commits, unless a connection was ever removed: the model does not lose
 * control records, so the loss would undo only half of a removal.
 * @returns whether commits were lost
 */
export function loseLast({ world, chance, setting }: Sim): boolean {
  if (setting.accounts.some((ref) => world.store.controls.linked(ref) === null)) return false
  world.loseLast(1 + chance.below(LOST_MAX), chance.below(NOTICED_MS))
  return true
}

/** Whether the broker has an open or a replaced order of the trade. */
function isOpen({ world }: Sim, trade: Trade): boolean {
  const order = world.brokerOf(trade.ref).ledger.find(clientOrderIdIn(trade))
  return order !== null && (!isClosed(order) || order.status === 'replaced')
}

/** A requested trade, usually one that is open at the broker. */
export function pickTrade(sim: Sim): Trade | undefined {
  const { chance, trades } = sim
  return chance.below(4) > 0 ? (pickOpen(sim) ?? chance.pick(trades)) : chance.pick(trades)
}

/** A trade that is open at the broker, of this account if one is given. */
export function pickOpen(sim: Sim, ref: ConnectionRef | null = null): Trade | undefined {
  return sim.chance.pick(
    sim.trades.filter((trade) => (ref ?? trade.ref) === trade.ref && isOpen(sim, trade)),
  )
}

/** A position at the broker of some account; `undefined`: there is none. */
export function pickHeld({
  world,
  chance,
  setting,
}: Sim): Readonly<{ ref: ConnectionRef; symbol: string }> | undefined {
  const held = setting.accounts.flatMap((ref) =>
    [...world.brokerOf(ref).ledger.books.positions.keys()].map((symbol) => ({ ref, symbol })),
  )
  return chance.pick(held)
}

/** A trade of which the broker has an order, or `undefined`. */
export function pickAtBroker({ world, chance, trades }: Sim): Trade | undefined {
  return chance.pick(
    trades.filter((one) => world.brokerOf(one.ref).ledger.find(clientOrderIdIn(one)) !== null),
  )
}
