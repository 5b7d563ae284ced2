import type { Clock, Logger, Randomness } from '#runtime'
import type { Demand, MessageRates, Quotes, Reader, Relays, Sessions } from '#store'
import type { RelayMetrics } from './metrics.ts'

/** What every part of a relay works with. */
export type RelayContext = Readonly<{
  clock: Clock
  random: Randomness
  log: Logger
  metrics: RelayMetrics
  reader: Reader
  quotes: Quotes
  demand: Demand
  sessions: Sessions
  rates: MessageRates
  relays: Relays
}>
