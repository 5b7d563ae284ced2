export * from './settings.ts'
export * from './verify.ts'
