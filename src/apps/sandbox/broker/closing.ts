import type { Position } from './account.ts'
import { type Decimal, decimal, DECIMAL_PLACES_MAX, decimalPlaces } from './decimals.ts'
import type { OrderRequest } from './order.ts'
import { invalid } from './refusal.ts'

/** The size of a close: the whole position unless one of the two fields is given. */
export type ClosingSize = Readonly<{ qty: Decimal | null; percentage: Decimal | null }>

const HUNDRED = decimal('100')

function closingQty(position: Position, { qty, percentage }: ClosingSize): Decimal {
  if (qty !== null && percentage !== null)
    throw invalid('only one of qty or percentage is accepted')
  for (const [name, amount] of Object.entries({ qty, percentage })) {
    if (amount !== null && decimalPlaces(amount) > DECIMAL_PLACES_MAX) {
      throw invalid(`${name} is limited to ${DECIMAL_PLACES_MAX} decimal places`)
    }
  }
  if (percentage?.gt(HUNDRED) === true) throw invalid('percentage must be between 0 and 100')
  const all = position.qty.abs()
  // Rounded down: a partial close never takes more than requested.
  return percentage === null
    ? (qty ?? all)
    : all.times(percentage).div(HUNDRED).round(DECIMAL_PLACES_MAX, 0)
}

/**
 * The market order that closes a position, or a part of it.
 * @throws {Refusal} the size is invalid
 */
export function closingRequest(
  position: Position,
  size: ClosingSize,
  clientOrderId: string,
): OrderRequest {
  const { asset } = position
  const qty = closingQty(position, size)
  if (qty.lte(0)) throw invalid('qty must be > 0')
  return {
    clientOrderId,
    asset,
    side: position.qty.gt(0) ? 'sell' : 'buy',
    type: 'market',
    timeInForce: asset.assetClass === 'crypto' ? 'gtc' : 'day',
    orderClass: '',
    extendedHours: false,
    qty,
    notional: null,
    limitPrice: null,
    stopPrice: null,
    trailPrice: null,
    trailPercent: null,
    statedIntent: null,
    exits: null,
  }
}
