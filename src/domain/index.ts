export * from './account.ts'
export { ACTIVITY_OVERLAP_MS, type BrokerActivity } from './activities.ts'
export * from './asset.ts'
export * from './pending-work.ts'
export {
  broughtBack,
  commandsOf,
  ENDED_COMMANDS_MAX,
  REMOVAL_COMMAND,
  withEnded,
  withPast,
} from './commands.ts'
export { type Exposure, isWithin, leftOf, opposes, reducibleOf } from './commitments.ts'
export * from './decimal.ts'
export { differencesOf, isForeign } from './differences.ts'
export * from './intent.ts'
export * from './order.ts'
export { isTakenIn, type Snapshot } from './placement.ts'
export * from './position.ts'
export * from './reconcile.ts'
export * from './replacement.ts'
export { predecessorOf } from './requests.ts'
export * from './risk-limits.ts'
export * from './risk.ts'
export { adoptOrder, reduce } from './reduce.ts'
export {
  hasGap,
  inferredExecution,
  isOpenOrder,
  livePlacements,
  rightSizeOf,
  standingHeadOf,
  unendedBefore,
} from './order-status.ts'
export { type Excess, excessOf, overExitOf, protectedBy, stopAmong } from './protection.ts'
export * from './submission.ts'
export { canBegin, saysWhat } from './terms.ts'
export { tradingDayOf } from './trading-day.ts'
export { unsettledTotals } from './totals.ts'
export * from './transitions.ts'
export * from './updates.ts'
