export * from './errors.ts'
export type {
  ConnectionCommands,
  ConnectionHealth,
  ConnectionView,
  ConnectRequest,
  DisconnectRequest,
} from './connections.ts'
export { createControlCommands } from './controls.ts'
export type {
  ControlCommands,
  ControlTarget,
  HaltRequest,
  HaltResult,
  LimitsTarget,
} from './controls.ts'
export type { ProducerOptions } from './options.ts'
export { createProducer, type Producer } from './producer.ts'
export { available } from './request.ts'
export type { SessionCommands } from './sessions.ts'
export type { OrderView, WaitingOrder } from './shown-order.ts'
