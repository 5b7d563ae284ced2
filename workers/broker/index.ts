export { budgetOf, GuardedBroker, HeldBackError, permitOf } from './guard.ts'
export { HandshakeGate } from './handshakes.ts'
export { MarketHours } from './hours.ts'
export { BrokerPool, ConnectionUnusableError, type Opened, UnverifiedError } from './pool.ts'
export {
  type ActivityEvent,
  type ActivityStream,
  type Broker,
  BrokerError,
  type BrokerPosition,
  type DayFigures,
  type MarketFeed,
  ORDERS_PER_PAGE,
  type ReplaceOutcome,
  type StreamDown,
  type SubmitOutcome,
  type Tick,
  type TradeStream,
} from './port.ts'
