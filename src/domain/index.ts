export * from './decimal.ts'
export * from './intent.ts'
export * from './order.ts'
