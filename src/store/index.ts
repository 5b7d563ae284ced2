export * from './quarantined-orders.ts'
export * from './assets.ts'
export * from './budget.ts'
export { CANCEL_MARK_MS_MAX, CANCEL_MARKS_MAX, droppedMarks, markWrites } from './cancel-marks.ts'
export { LOG_ENTRIES_MAX, LOG_TTL_MS } from './commit-call.ts'
export { type Connections, createConnections, isVerified, leavingRecord } from './connections.ts'
export {
  type ControlScope,
  type Controls,
  type ControlSet,
  createControls,
  type IndexPosition,
} from './control.ts'
export * from './store-epoch.ts'
export * from './bounded-reader.ts'
export { feedLeaseKey, leaseKey, operatorSessionsKey } from './keys.ts'
export * from './health.ts'
export * from './lease.ts'
export * from './recoveries.ts'
export { createLinks, credentialsOf, type LinkOutcome, type Links } from './links.ts'
export * from './market.ts'
export { type PacketData, readPacket } from './packet.ts'
export { createParkedOrders, type ParkedOrder, type ParkedOrders } from './parked.ts'
export * from './port.ts'
export * from './publisher.ts'
export * from './rates.ts'
export * from './reader.ts'
export * from './record-types.ts'
export { RecordError } from './records.ts'
export * from './registry.ts'
export * from './relays.ts'
export * from './sessions.ts'
export { createStore } from './store.ts'
export * from './vault.ts'
