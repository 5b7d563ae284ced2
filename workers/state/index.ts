export { StateCache } from './cache.ts'
export { refsOf } from './order-key.ts'
export { project } from './project.ts'
export { CONFLICT, ContentionError, retryOnConflict } from './retry.ts'
export {
  type Applied,
  applyUpdate,
  applyUpdates,
  claimOrder,
  type ClaimResult,
  type Decision,
  FencedError,
  loadAccount,
  ON_ITS_WAY,
  readOrder,
  type StateWriter,
  type Target,
} from './write.ts'
