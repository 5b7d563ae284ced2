export * from './errors.ts'
export type {
  ConnectionCommands,
  ConnectionHealth,
  ConnectionView,
  ConnectRequest,
  DisconnectRequest,
} from './connections.ts'
export { createControlCommands } from './controls.ts'
export type { ControlCommands, ControlTarget, HaltRequest, HaltResult, LimitsTarget } from './controls.ts'
export { createProducer, type Producer, type ProducerOptions } from './producer.ts'
export type { SessionCommands } from './sessions.ts'
