import { clientOrderIdOf } from '#domain'
import type { ConnectionRef } from '#store'
import { isClosed } from '../../support/broker/ledger.ts'
import type { World } from '../../scenarios/world.ts'
import type { Chance } from '../../scenarios/world/chance.ts'
import type { Setting } from '../setting.ts'

/** A trade that was asked for, whatever became of it. */
export type Trade = Readonly<{ tradeId: string; ref: ConnectionRef; symbol: string }>

/** One run under way. `trades`: every trade that was asked for so far, oldest first. */
export type Sim = Readonly<{ world: World; chance: Chance; setting: Setting; trades: Trade[] }>

/** What may go wrong in a run, by who or what is at fault; `--faults` chooses among them. */
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
 * One thing that a user, an operator, the venue, the network or a machine does. `fault`: the group
 * that it belongs to, where it is something that goes wrong. `weight`: how often it is drawn,
 * against the others. `run` starts the deed and does not wait for what comes of it; `false`: there
 * was nothing to do it to, and nothing was done.
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
/** A worker may go on for so long with what it remembers of a store that is back already. */
const NOTICED_MS = 5_000

/**
 * The last commits are lost. Not once a connection was removed: control records are not among them
 * here, and so a removal would be half undone.
 * @returns whether they were
 */
export function loseLast({ world, chance, setting }: Sim): boolean {
  if (setting.accounts.some((ref) => world.store.controls.linked(ref) === null)) return false
  world.loseLast(1 + chance.below(LOST_MAX), chance.below(NOTICED_MS))
  return true
}

/** The broker has an order of it that is open, or that another took the place of. */
function isOpen({ world }: Sim, trade: Trade): boolean {
  const order = world.brokerOf(trade.ref).ledger.find(clientOrderIdIn(trade))
  return order !== null && (!isClosed(order) || order.status === 'replaced')
}

/** A trade that was asked for, mostly one that is open at the broker. */
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

/** What is held somewhere, at the broker; `undefined`: nothing is. */
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
