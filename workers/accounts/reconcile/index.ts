export { fillGaps } from './gaps.ts'
export {
  expectedOrders,
  IDS_PER_POLL,
  MissingOrders,
  ordersWithoutExits,
} from './missing-orders.ts'
export { checkAccount, recover, refresh, WrongAccountError } from './recover.ts'
export { reconcileTotals } from './totals.ts'
