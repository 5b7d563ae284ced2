export * from './errors.ts'
export { type ConnectRequest, createProducer, type Producer, type ProducerOptions } from './producer.ts'
export type { SessionCommands } from './sessions.ts'
