export { keepAssets } from './assets.ts'
export * from './directory.ts'
export type { HealthDeps } from './health.ts'
export * from './schedule.ts'
