import type { Clock } from '#runtime'
import type { Account, Position } from '../broker/account.ts'
import type { Broker } from '../broker/broker.ts'
import type { Execution, Order } from '../broker/order.ts'
import { positionsBefore } from '../broker/rebooking.ts'
import type { Faults } from './faults.ts'

/**
 * Delays of reads. The books are up to date; lists and look-ups lag behind them for a limited span
 * of the market's time. State: for each hidden order, hidden fill and stale view, the time at which
 * it ends; an ended entry has no effect, and is removed at a later read or fill.
 */
export interface Lag {
  /** Called for each submitted order. */
  submitted(account: Account, order: Order): void
  readonly shows: (order: Order) => boolean
  readonly showsFill: (execution: Execution) => boolean
  positionsOf(account: Account): ReadonlyMap<string, Position>
}

const DELAY_MS_DEFAULT = 10_000
/** With more stale views of one account the oldest is dropped. */
const STALE_VIEWS_MAX = 1_000

type StaleView = Readonly<{ untilMs: number; positions: ReadonlyMap<string, Position> }>

export function createLag(broker: Broker, clock: Clock, faults: Faults): Lag {
  const hiddenUntilMs = new WeakMap<Order | Execution, number>()
  const stale = new WeakMap<Account, StaleView[]>()
  const shows = (what: Order | Execution): boolean => {
    const untilMs = hiddenUntilMs.get(what)
    if (untilMs === undefined || untilMs > clock.now()) return untilMs === undefined
    return hiddenUntilMs.delete(what)
  }
  const viewsOf = (account: Account): StaleView[] =>
    (stale.get(account) ?? []).filter(({ untilMs }) => untilMs > clock.now())
  broker.onUpdate(({ event, account, execution }) => {
    if (execution === undefined || (event !== 'fill' && event !== 'partial_fill')) return
    const late = faults.order('late_activity', account)
    if (late !== undefined)
      hiddenUntilMs.set(execution, clock.now() + (late.delayMs ?? DELAY_MS_DEFAULT))
    const old = faults.order('stale_positions', account)
    if (old === undefined) return
    const view = {
      untilMs: clock.now() + (old.delayMs ?? DELAY_MS_DEFAULT),
      positions: positionsBefore(account, execution.at),
    }
    stale.set(account, [...viewsOf(account), view].slice(-STALE_VIEWS_MAX))
  })
  return {
    submitted(account, order) {
      const fault = faults.order('hide_order', account)
      if (fault === undefined) return
      const untilMs = clock.now() + (fault.delayMs ?? DELAY_MS_DEFAULT)
      for (const hidden of [order, ...(order.legs ?? [])]) hiddenUntilMs.set(hidden, untilMs)
    },
    shows,
    showsFill: shows,
    positionsOf: (account) => viewsOf(account)[0]?.positions ?? account.positions,
  }
}
