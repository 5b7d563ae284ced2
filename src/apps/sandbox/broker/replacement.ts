import type { Decimal } from './decimals.ts'
import type { Order, OrderRequest } from './order.ts'
import { unprocessable } from './refusal.ts'
import {
  amountOf,
  type Body,
  bodyOf,
  clientOrderIdOf,
  given,
  priceOf,
  sizeAmountOf,
  timeInForceOf,
} from './request-fields.ts'
import { checkClassRules, checkPrices } from './request-rules.ts'

/**
 * Reads the body of `PATCH /v2/orders/{id}` into the terms of the replacement. As at the broker,
 * its quantity is the requested total: fills of the replaced order are not subtracted.
 */

const replaceable: ReadonlySet<string> = new Set(['new', 'partially_filled', 'held'])

function checkReplaceable(order: Order): void {
  if (order.status === 'replaced') throw unprocessable('order already replaced')
  if (order.predecessor !== null) throw unprocessable('order chain not fully replaced')
  if (!replaceable.has(order.status))
    throw unprocessable(`cannot replace order in ${order.status} status`)
  if (order.request.notional !== null) throw unprocessable('notional orders cannot be replaced')
}

const changed = (before: Decimal | null, after: Decimal | null): boolean =>
  before === null || after === null ? before !== after : !before.eq(after)

function isChanged(order: Order, to: OrderRequest): boolean {
  const { request } = order
  return (
    changed(order.qty, to.qty) ||
    changed(request.limitPrice, to.limitPrice) ||
    changed(request.stopPrice, to.stopPrice) ||
    changed(request.trailPrice, to.trailPrice) ||
    changed(request.trailPercent, to.trailPercent) ||
    request.timeInForce !== to.timeInForce
  )
}

/** For a leg, and for an order with legs, only prices can be replaced. */
function checkGroup({ request, qty }: Order, to: OrderRequest): void {
  if (
    request.orderClass === '' ||
    (!changed(qty, to.qty) && request.timeInForce === to.timeInForce)
  )
    return
  throw unprocessable(
    `only limit_price and stop_price of ${request.orderClass} orders can be replaced`,
  )
}

/** `trail` is a price or a percentage, depending on the order. */
function trailOf(
  { trailPrice, trailPercent, type }: OrderRequest,
  fields: Body,
): Pick<OrderRequest, 'trailPrice' | 'trailPercent'> {
  const trail = amountOf(fields, 'trail')
  if (trail === null) return { trailPrice, trailPercent }
  if (type !== 'trailing_stop') throw unprocessable('only trailing stop orders accept a trail')
  return trailPrice === null
    ? { trailPrice, trailPercent: trail }
    : { trailPrice: trail, trailPercent }
}

/**
 * @param generateId makes the client order id if the body has none: the old id stays with the old
 *   order
 * @throws {Refusal} with the broker's status, code and message
 */
export function changedRequest(
  order: Order,
  body: unknown,
  generateId: () => string,
): OrderRequest {
  const fields = bodyOf(body)
  const { request } = order
  const to: OrderRequest = {
    ...request,
    clientOrderId: clientOrderIdOf(fields, generateId),
    qty: sizeAmountOf(fields, 'qty') ?? order.qty,
    limitPrice: priceOf(fields, 'limit_price', request.asset) ?? request.limitPrice,
    stopPrice: priceOf(fields, 'stop_price', request.asset) ?? request.stopPrice,
    ...trailOf(request, fields),
    timeInForce: given(fields['time_in_force']) ? timeInForceOf(fields) : request.timeInForce,
  }
  checkReplaceable(order)
  checkPrices(to)
  checkClassRules(to)
  checkGroup(order, to)
  if (!isChanged(order, to)) throw unprocessable('order parameters are not changed')
  if (to.qty?.gt(order.filledQty) !== true) throw unprocessable('qty must be > filled_qty')
  return to
}
