import type { Anomaly, Change } from '#domain'
import type { Logger, Metrics } from '#runtime'
import type { ConnectionRef, Halt } from '#store'
import type { AccountMetrics, SessionStanding } from './accounts/index.ts'
import type { QueueMetrics } from './queue/index.ts'

/** Counts the committed changes, and logs every anomaly. */
export function countChanges(
  metrics: Metrics,
  log: Logger,
): (userId: string, changes: readonly Change[]) => void {
  const changed = metrics.counter(
    'fillcast_changes_total',
    'Changes committed to user state, by type',
    ['type'],
  )
  const anomalies = metrics.counter(
    'fillcast_anomalies_total',
    'Broker updates that should not be, by kind',
    ['kind'],
  )
  return (userId, changes) => {
    for (const change of changes) {
      changed.inc({ type: change.type })
      if (change.type !== 'anomaly') continue
      const kind: Anomaly = change.what
      anomalies.inc({ kind })
      log.warn({ userId, orderId: change.orderId, kind }, 'update.anomaly')
    }
  }
}

const STREAM_STATES = [
  'connecting',
  'live',
  'down',
  'refused',
] as const satisfies readonly SessionStanding['stream'][]

/**
 * Metrics of the connections that a worker follows: their cost and their findings. Each interval is
 * that of the connection with the longest interval.
 */
export function countFollowing(metrics: Metrics): AccountMetrics {
  const polls = metrics.counter('fillcast_polls_total', 'Polls of broker orders', ['kind'])
  const requests = metrics.counter(
    'fillcast_poll_requests_total',
    'Broker requests that polls took',
    ['kind'],
  )
  const changed = metrics.counter(
    'fillcast_poll_news_total',
    'Orders of which a poll knew more than the stream had told',
    ['kind'],
  )
  const gaps = metrics.counter('fillcast_stream_gaps_total', 'Holes in what trade streams told', [
    'why',
  ])
  const recoveries = metrics.counter('fillcast_recoveries_total', 'Recoveries of connections', [
    'outcome',
  ])
  const inferred = metrics.counter(
    'fillcast_executions_inferred_total',
    'Executions worked out from order totals',
  )
  const unworkable = metrics.counter(
    'fillcast_records_unworkable_total',
    'Records that were left as they are',
  )
  const leftovers = metrics.counter(
    'fillcast_leftover_orders_total',
    'Orders that rest without a purpose',
    ['what'],
  )
  const streams = metrics.gauge(
    'fillcast_streams',
    'Trade streams of owned connections, by state',
    ['state'],
  )
  const callsDown = metrics.gauge(
    'fillcast_connections_calls_down',
    'Owned connections whose broker calls fail',
  )
  const owned = metrics.gauge('fillcast_connections_owned', 'Connections that this worker owns')
  const openOrders = metrics.gauge('fillcast_open_orders', 'Open orders of owned connections')
  const stretched = metrics.gauge(
    'fillcast_polling_stretched',
    'Owned connections polled less often than promised',
  )
  const interval = metrics.gauge('fillcast_poll_interval_seconds', 'Longest polling interval', [
    'kind',
  ])
  const cost = metrics.gauge(
    'fillcast_poll_requests_per_minute',
    'Requests a minute of the most polled connection',
  )
  return {
    polled(kind, requestCount, newsCount) {
      polls.inc({ kind })
      requests.inc({ kind }, requestCount)
      changed.inc({ kind }, newsCount)
    },
    gap: (why) => gaps.inc({ why }),
    recovered: (outcome) => recoveries.inc({ outcome }),
    inferred: () => inferred.inc(),
    unworkable: () => unworkable.inc(),
    leftover: (what) => leftovers.inc({ what }),
    standing(all) {
      for (const state of STREAM_STATES)
        streams.set({ state }, all.filter(({ stream }) => stream === state).length)
      const largest = (of: (one: SessionStanding) => number): number =>
        all.reduce((most, one) => Math.max(most, of(one)), 0)
      owned.set(all.length)
      callsDown.set(all.filter(({ calls }) => calls === 'down').length)
      openOrders.set(all.reduce((sum, one) => sum + one.openOrders, 0))
      stretched.set(all.filter(({ isStretched }) => isStretched).length)
      interval.set({ kind: 'open' }, largest(({ openMs }) => openMs) / 1_000)
      interval.set({ kind: 'in_flight' }, largest(({ flightMs }) => flightMs) / 1_000)
      cost.set(largest(({ requestsPerMinute }) => requestsPerMinute))
    },
  }
}

/**
 * Ids of unreadable rows that are kept so that each row is logged once. If there are more, all ids
 * are dropped, and the rows are logged again.
 */
const UNREAD_IDS_MAX = 10_000

/**
 * Counts and logs, once each, the rows of broker listings, and the fields of rows, that could not
 * be read.
 */
export function countUnread(
  metrics: Metrics,
  log: Logger,
): (ref: ConnectionRef) => (listing: string, id: string, field?: string) => void {
  const unread = metrics.counter(
    'fillcast_broker_rows_unread_total',
    'Rows of broker listings that could not be read and were left out, each once',
    ['listing'],
  )
  const fields = metrics.counter(
    'fillcast_broker_fields_unread_total',
    'Fields of broker orders that could not be read and were kept as unknown, each once',
    ['field'],
  )
  const told = new Set<string>()
  return ({ userId, connectionId }) =>
    (listing, id, field) => {
      const key = `${userId} ${connectionId} ${listing} ${id} ${field ?? ''}`
      if (told.has(key)) return
      if (told.size >= UNREAD_IDS_MAX) told.clear()
      told.add(key)
      if (field === undefined) {
        unread.inc({ listing })
        log.error({ userId, connectionId, listing, id }, 'broker.row_unread')
      } else {
        fields.inc({ field })
        log.warn({ userId, connectionId, listing, id, field }, 'broker.field_unread')
      }
    }
}

/** The number of halts in force, by scope, as the worker last read them. */
export function countHalts(metrics: Metrics): (scope: Halt['scope'], count: number) => void {
  const halts = metrics.gauge('fillcast_halts', 'Halts that stand, by scope', ['scope'])
  return (scope, count) => halts.set({ scope }, count)
}

/** The difference between the clock of this machine and the clock of Redis. */
export function countSkew(metrics: Metrics): (seconds: number) => void {
  const skew = metrics.gauge(
    'fillcast_clock_skew_seconds',
    'How far the clock of this machine is ahead of that of Redis',
  )
  return (seconds) => skew.set(seconds)
}

/** Metrics of the queues. `onGivenUp` is called when this process cannot serve a queue any more. */
export function countQueues(metrics: Metrics, onGivenUp: (why: string) => void): QueueMetrics {
  const stuck = metrics.gauge(
    'fillcast_queue_stuck',
    'Whether jobs wait and this worker takes none',
    ['queue'],
  )
  const rebuilds = metrics.counter(
    'fillcast_queue_rebuilds_total',
    'Workers rebuilt since they took nothing',
    ['queue'],
  )
  const paused = metrics.gauge(
    'fillcast_queue_paused',
    'Whether a queue is paused: it gives no jobs out',
    ['queue'],
  )
  return {
    paused: (queue, isPaused) => paused.set({ queue }, isPaused ? 1 : 0),
    stuck: (queue, isStuck) => stuck.set({ queue }, isStuck ? 1 : 0),
    rebuilt: (queue) => rebuilds.inc({ queue }),
    givenUp: (queue) => onGivenUp(`jobs wait in ${queue}, and a rebuilt worker takes none either`),
  }
}
