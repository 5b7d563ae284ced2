import type { ConnectionErrorCode } from '#contract'
import { type Clock, lagSecondsBuckets, type Logger, type Metrics, type Randomness } from '#runtime'
import type { AssetReader, Demand, MessageRates, Quotes, Reader, Relays, Sessions } from '#store'
import type { Outage } from '#transport'

/** The reason why the relay refused a connection, or ended one without the client's doing. */
export type TurnedAway =
  | ConnectionErrorCode
  | (
      | 'draining'
      | 'origin'
      | 'repeat'
      | 'handshake_rate'
      | 'address_full'
      | 'tcp_full'
      | 'user_full'
      | 'packet_flood'
      | 'slow'
    )

/** The metrics of a relay. */
export type RelayMetrics = ReturnType<typeof createRelayMetrics>

export const createRelayMetrics = (metrics: Metrics) => ({
  connections: metrics.gauge('fillcast_relay_connections', 'Authenticated connections'),
  rooms: metrics.gauge('fillcast_relay_rooms', 'Rooms of users and symbols with somebody in them'),
  awaitingFigures: metrics.gauge(
    'fillcast_relay_awaiting_figures',
    'Connections that get no state.sync until a broker account was read',
  ),
  deliveries: metrics.tally('fillcast_relay_deliveries_total', 'Logged events sent to connections'),
  lag: metrics.distribution(
    'fillcast_relay_lag_seconds',
    'From commit to relay, of live events',
    lagSecondsBuckets,
  ),
  replays: metrics.counter(
    'fillcast_relay_replays_total',
    'Connections that resumed from an event id',
  ),
  gaps: metrics.counter(
    'fillcast_relay_gaps_filled_total',
    'Missing events that were read from the log',
  ),
  resyncs: metrics.counter(
    'fillcast_relay_resyncs_total',
    'Times that the log could not serve a connection',
  ),
  dropped: metrics.counter(
    'fillcast_relay_volatile_dropped_total',
    'Quotes not sent to slow connections',
  ),
  malformed: metrics.counter(
    'fillcast_relay_malformed_total',
    'Messages on Redis that are no packet',
  ),
  fallbacks: metrics.counter(
    'fillcast_relay_rate_limit_fallback_total',
    'Messages counted without Redis',
  ),
  hops: metrics.counter(
    'fillcast_relay_hops_total',
    'Requests handed to the relay that owns their session',
    ['result'],
  ),
  rejected: metrics.counter<'reason'>(
    'fillcast_relay_turned_away_total',
    'Connections refused or cut, by reason',
    ['reason'],
  ),
})

/** The services that every part of a relay uses. */
export type RelayContext = Readonly<{
  clock: Clock
  random: Randomness
  log: Logger
  metrics: RelayMetrics
  reader: Reader
  quotes: Quotes
  assets: AssetReader
  demand: Demand
  sessions: Sessions
  rates: MessageRates
  relays: Relays
  outage: Outage
}>
