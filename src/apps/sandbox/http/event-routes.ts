import type { Clock } from '#runtime'
import type { Account } from '../broker/account.ts'
import type { Broker } from '../broker/broker.ts'
import { Refusal } from '../broker/refusal.ts'
import type { EventFaults } from '../faults/stream-faults.ts'
import { parseStamp } from '../stamps.ts'
import { moneyActivityJson, tradeActivityJson } from '../streams/activity-event.ts'
import {
  createEventLog,
  type EventKind,
  type EventLog,
  type LoggedEvent,
} from '../streams/event-log.ts'
import { type EventRange, streamEvents } from '../streams/event-stream.ts'
import { tradeUpdateJson } from '../streams/trade-update.ts'
import type { Call, Reply, Routes } from './router.ts'

/**
 * Server-sent events: account activities, and all changes of orders. A client that missed events
 * requests them with `since` or `since_id`.
 */

/** With this many open event streams a further stream is refused. */
const EVENT_STREAMS_MAX = 2_000
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/
const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const ULID_TIME_DIGITS = 10

const invalid = (message: string): Refusal => new Refusal(400, 40010001, message)

/** The millisecond in which an id was made. */
const timeMsOf = (ulid: string): number =>
  [...ulid.slice(0, ULID_TIME_DIGITS)].reduce(
    (time, digit) => time * 32 + CROCKFORD.indexOf(digit),
    0,
  )

/** The four bounds, checked. @throws {Refusal} 400 */
function boundsOf(query: URLSearchParams) {
  const read = (name: string, parse: (text: string) => string | undefined): string | undefined => {
    const value = query.get(name) ?? ''
    if (value === '') return undefined
    const parsed = parse(value)
    if (parsed === undefined) throw invalid(`invalid ${name}: ${value}`)
    return parsed
  }
  const ulid = (text: string): string | undefined => (ULID.test(text) ? text : undefined)
  const since = read('since', parseStamp)
  const until = read('until', parseStamp)
  const sinceId = read('since_id', ulid)
  const untilId = read('until_id', ulid)
  if (since !== undefined && sinceId !== undefined)
    throw invalid('since and since_id cannot be used together')
  if (until !== undefined && since === undefined) throw invalid('until requires since')
  if (untilId !== undefined && sinceId === undefined) throw invalid('until_id requires since_id')
  return { since, until, sinceId, untilId }
}

function rangeOf(query: URLSearchParams): EventRange {
  const { since, until, sinceId, untilId } = boundsOf(query)
  const isInRange = ({ id, at }: LoggedEvent): boolean =>
    since === undefined ? id >= (sinceId ?? '') : at >= since
  return {
    ...(since === undefined && sinceId === undefined ? {} : { isInRange }),
    ...(until === undefined
      ? {}
      : { until: { timeMs: Date.parse(until), isPast: ({ at }) => at > until } }),
    ...(untilId === undefined
      ? {}
      : { until: { timeMs: timeMsOf(untilId), isPast: ({ id }) => id > untilId } }),
  }
}

/** Writes every change of every order, and every move of money, into the log. */
function record(broker: Broker, log: EventLog): void {
  const logged = new WeakMap<Account, number>()
  const recordMoney = (account: Account): void => {
    for (const activity of account.activities.slice(logged.get(account) ?? 0)) {
      const id = broker.stamps.ulid()
      log.append(account, 'activities', {
        id,
        at: activity.at,
        json: JSON.stringify(moneyActivityJson(activity, id)),
      })
    }
    logged.set(account, account.activities.length)
  }
  broker.onMoneyMoved(recordMoney)
  broker.onUpdate((update) => {
    const { eventId: id, at, account } = update
    log.append(account, 'trades', { id, at, json: JSON.stringify(tradeUpdateJson(update)) })
    const activity = tradeActivityJson(update)
    if (activity !== undefined)
      log.append(account, 'activities', { id, at, json: JSON.stringify(activity) })
    // A fee is booked together with its execution.
    if (account.activities.length > (logged.get(account) ?? 0)) recordMoney(account)
  })
}

export function eventRoutes(broker: Broker, clock: Clock, faults: EventFaults): Routes {
  const log = createEventLog()
  const open = new Map<object, readonly [account: Account, close: () => void]>()
  record(broker, log)
  // Revoking a key closes the event streams of its account.
  broker.onRevoked((keyId) => {
    const account = broker.accountOfKey(keyId)
    for (const [owner, close] of open.values()) if (owner === account) close()
  })
  const events = ({ account, query }: Call, kind: EventKind): Reply => {
    const range = rangeOf(query)
    if (open.size >= EVENT_STREAMS_MAX) throw new Refusal(503, undefined, 'too many event streams')
    return {
      status: 200,
      headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' },
      stream(response) {
        open.set(response, [account, () => response.destroy()])
        response.on('close', () => open.delete(response))
        streamEvents(response, log.of(account, kind), clock, range, () => faults.meets(account))
      },
    }
  }
  return {
    'GET /v2beta1/events/activities': (call) => events(call, 'activities'),
    'GET /v2/events/trades': (call) => events(call, 'trades'),
  }
}
