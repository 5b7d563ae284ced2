export * from './pool.ts'
export * from './port.ts'
