import type { trading } from '@alpacahq/alpaca-trade-api'
import type { Decimal, OrderIntent } from '#domain'
import type { ReplaceTicket } from '../port.ts'

/**
 * The body of `POST /v2/orders` for an intent. Amounts are decimal strings, because the SDK would
 * send a small number as `1e-7`.
 * @param isClose the request states that the order closes a position, so the broker refuses the
 *   order if there is no position. Orders in coins do not state it, because coins cannot be sold
 *   short.
 */
export function orderRequestOf(
  intent: OrderIntent,
  clientOrderId: string,
  isClose = false,
): trading.PostOrderRequest {
  const { symbol, side, orderType, timeInForce, orderClass, takeProfit, stopLoss } = intent
  return {
    symbol,
    side,
    type: orderType,
    timeInForce,
    clientOrderId,
    ...(orderClass === 'simple' ? {} : { orderClass }),
    ...present({
      qty: intent.quantity,
      notional: intent.notional,
      limitPrice: intent.limitPrice,
      stopPrice: intent.stopPrice,
      trailPrice: intent.trailPrice,
      trailPercent: intent.trailPercent,
    }),
    ...(isClose && !symbol.includes('/') ? { positionIntent: `${side}_to_close` } : {}),
    ...(intent.extendedHours ? { extendedHours: true } : {}),
    ...(takeProfit === null ? {} : { takeProfit: { limitPrice: takeProfit.limitPrice } }),
    ...(stopLoss === null
      ? {}
      : {
          stopLoss: {
            stopPrice: stopLoss.stopPrice,
            ...present({ limitPrice: stopLoss.limitPrice }),
          },
        }),
  }
}

/** The body of `PATCH /v2/orders/{id}`: unchanged terms are left out. */
export function replaceRequestOf({
  clientOrderId,
  terms,
}: ReplaceTicket): trading.PatchOrderRequest {
  const { quantity: qty, limitPrice, stopPrice, trail, timeInForce } = terms
  return {
    clientOrderId,
    ...present({ qty, limitPrice, stopPrice, trail }),
    ...(timeInForce === null ? {} : { timeInForce }),
  }
}

function present<Key extends string>(
  amounts: Readonly<Record<Key, Decimal | null>>,
): Partial<Record<Key, Decimal>> {
  return Object.fromEntries(
    Object.entries(amounts).filter(([, amount]) => amount !== null),
  ) as Partial<Record<Key, Decimal>>
}
