export { ConnectionBalancer } from './balancer.ts'
export type { AccountMetrics, SessionStanding } from './metrics.ts'
