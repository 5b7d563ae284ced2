export * from './write.ts'
export type { CancelCause, FollowUps } from './follow-ups.ts'
export type { OverExitPolicy } from './account-context.ts'
export { MarketHours } from './hours.ts'
export {
  ConnectionLease,
  LEASE_TTL_MS,
  type LeaseDeps,
  READ_BY_OTHERS_TRIES,
} from './connection-lease.ts'
export { ConnectionBalancer, type BalancerDeps } from './connection-balancer.ts'
export { project } from './project.ts'
export { StateCache } from './state-cache.ts'
export { noMetrics, type SessionStanding, type AccountMetrics } from './account-metrics.ts'
