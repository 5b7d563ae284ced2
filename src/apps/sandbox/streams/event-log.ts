import type { Account } from '../broker/account.ts'

/**
 * The replayable events of the event streams: per account, the changes of its orders and its
 * activities, oldest first. Ids are ULIDs and grow. At most `EVENTS_KEPT_MAX` events of all
 * accounts together are kept; beyond that the oldest event of all accounts is dropped.
 */
export interface EventLog {
  append(account: Account, kind: EventKind, event: LoggedEvent): void
  of(account: Account, kind: EventKind): EventSeries
}

export type EventKind = 'trades' | 'activities'
export type LoggedEvent = Readonly<{ id: string; at: string; json: string }>

/**
 * One account's events of one kind. The event with number `first + i` is `events[i]`; `first` grows
 * as the oldest events are dropped.
 */
export type EventSeries = {
  first: number
  readonly events: LoggedEvent[]
  readonly listeners: Set<() => void>
}

const EVENTS_KEPT_MAX = 50_000

export const endOf = ({ first, events }: EventSeries): number => first + events.length

export function createEventLog(keptMax: number = EVENTS_KEPT_MAX): EventLog {
  const byAccount = new Map<Account, Record<EventKind, EventSeries>>()
  // The series of the oldest event, of the second oldest and so on; events before `next` are gone.
  let order: EventSeries[] = []
  let next = 0

  const of = (account: Account, kind: EventKind): EventSeries => {
    const empty = (): EventSeries => ({ first: 0, events: [], listeners: new Set() })
    const all = byAccount.get(account) ?? { trades: empty(), activities: empty() }
    byAccount.set(account, all)
    return all[kind]
  }

  const forgetOldest = (): void => {
    const series = order[next]
    next += 1
    if (series !== undefined) {
      series.events.shift()
      series.first += 1
    }
    if (next <= keptMax) return
    order = order.slice(next)
    next = 0
  }

  return {
    of,
    append(account, kind, event) {
      const series = of(account, kind)
      series.events.push(event)
      order.push(series)
      if (order.length - next > keptMax) forgetOldest()
      series.listeners.forEach((listener) => listener())
    },
  }
}
