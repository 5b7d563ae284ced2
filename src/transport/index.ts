export { Addresses, type TrustedProxies, trustOf } from './addresses.ts'
export { forwardRequest, forwardUpgrade } from './forward.ts'
export {
  closeSoon,
  type Frame,
  frameOf,
  FrameWriter,
  packetsWaiting,
  sessionIdOf,
} from './frames.ts'
export { Origins } from './origins.ts'
export { Outage } from './outage.ts'
export { OwnerRouting } from './owner-routing.ts'
export { PacketLimit } from './packets.ts'
