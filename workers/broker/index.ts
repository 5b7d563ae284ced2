export {
  type AccountBudget,
  budgetOf,
  GuardedBroker,
  HeldBackError,
  type Permit,
  permitOf,
} from './guard.ts'
export { HandshakeGate } from './handshakes.ts'
export * from './pool.ts'
export * from './port.ts'
