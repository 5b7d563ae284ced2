import type { trading } from '@alpacahq/alpaca-trade-api'
import type { Decimal, OrderIntent } from '#domain'
import type { ReplaceTicket } from '../port.ts'

/**
 * The body of `POST /v2/orders` for an intent. Amounts are decimal strings: a number would be sent
 * as `1e-7`.
 * @param closes the broker is told that the order closes a position, and refuses it where there is
 *   none; nobody is short of coins
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

/** The body of `PATCH /v2/orders/{id}`: what stays as it is, is left out. */
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
