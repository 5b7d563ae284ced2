export * from './apply.ts'
export { ConnectionOwner, LEASE_TTL_MS, type OwnerDeps } from './owner.ts'
export { project } from './project.ts'
export { reconcileConnection } from './reconcile.ts'
