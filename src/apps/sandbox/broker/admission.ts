import {
  type Account,
  type AccountFlags,
  openOrdersOf,
  ORDERS_PER_ACCOUNT_MAX,
  positionQty,
} from './account.ts'
import { type Decimal, decimal, isWhole, larger, text, zero } from './decimals.ts'
import { isExit } from './groups.ts'
import { holdsWithout } from './holds.ts'
import type { Admission, Order, OrderRequest, PositionIntent } from './order.ts'
import type { Market, Prices } from './prices.ts'
import { forbidden, invalid, unprocessable } from './refusal.ts'
import { fundsOf, heldQty } from './reservations.ts'
import { stopPriceAt } from './stops.ts'

/**
 * The risk checks on an order request against its account, in the broker's order. A failed check
 * throws a Refusal with the broker's reason.
 */

/** A market order is checked against, and holds, the market price times this factor. */
const MARKET_COLLAR = decimal('1.03')

function checkFlags({
  status,
  tradingBlocked,
  accountBlocked,
  tradeSuspendedByUser,
}: AccountFlags): void {
  if (tradeSuspendedByUser) throw forbidden('new orders are rejected by user request')
  if (status !== 'ACTIVE' || tradingBlocked || accountBlocked)
    throw forbidden('account is not authorized to trade')
}

/** Crypto orders may always have fractions: a coin has no whole unit. */
function checkFractions({ fractionalTrading }: AccountFlags, { asset, qty }: OrderRequest): void {
  if (fractionalTrading || asset.assetClass === 'crypto' || (qty !== null && isWhole(qty))) return
  throw forbidden('account is not allowed to trade fractional shares')
}

function washTradeReason(request: OrderRequest, existing: Order): string | undefined {
  const other = existing.request
  if (other.type !== 'limit') return 'opposite side market/stop order exists'
  if (request.limitPrice === null || other.limitPrice === null)
    return 'opposite side limit order exists'
  const [buy, sell] = request.side === 'buy' ? [request, other] : [other, request]
  return buy.limitPrice?.gte(sell.limitPrice ?? zero) === true
    ? 'opposite side limit order exists'
    : undefined
}

function checkWashTrade(account: Account, request: OrderRequest): void {
  if (request.orderClass !== '') return
  for (const order of openOrdersOf(
    account,
    request.asset,
    request.side === 'buy' ? 'sell' : 'buy',
  )) {
    if (order.status === 'held') continue
    const reason = washTradeReason(request, order)
    if (reason === undefined) continue
    throw forbidden('potential wash trade detected. use complex orders', {
      existing_order_id: order.id,
      reject_reason: reason,
    })
  }
}

/** An order against the position needs enough quantity that no other open order holds. */
function checkAvailable(account: Account, request: OrderRequest, market: Market): void {
  const { asset } = request
  const existing = positionQty(account, asset).abs()
  const held = heldQty(account, asset)
  const available = existing.minus(held)
  const requested = request.qty ?? request.notional?.div(market.bid).round(9) ?? zero
  if (requested.lte(available)) return
  if (asset.assetClass === 'crypto') {
    const coin = asset.symbol.split('/', 1)[0] ?? asset.symbol
    throw forbidden(
      `insufficient balance for ${coin} (requested: ${text(requested)}, available: ${text(available)})`,
    )
  }
  throw forbidden(
    `insufficient qty available for order (requested: ${text(requested)}, available: ${text(available)})`,
    {
      available: text(available),
      existing_qty: text(existing),
      held_for_orders: text(held),
      related_orders: openOrdersOf(account, asset, request.side).map(({ id }) => id),
      symbol: asset.symbol,
    },
  )
}

function checkShort(account: Account, request: OrderRequest): void {
  const { asset, qty } = request
  if (asset.assetClass === 'crypto') {
    const coin = asset.symbol.split('/', 1)[0] ?? asset.symbol
    throw forbidden(
      `insufficient balance for ${coin} (requested: ${text(qty ?? zero)}, available: 0)`,
    )
  }
  if (!account.flags.shortingEnabled) throw forbidden('account is not allowed to short')
  if (!asset.shortable) throw unprocessable(`asset "${asset.symbol}" cannot be sold short`)
  if (qty === null || !isWhole(qty)) throw unprocessable('fractional orders cannot be sold short')
}

/** A stop price that the market has already passed is refused: it would act as a market order. */
function checkStop({ side, stopPrice }: OrderRequest, { last }: Market): void {
  if (stopPrice === null || (side === 'sell' ? stopPrice.lt(last) : stopPrice.gt(last))) return
  throw unprocessable(
    `stop price must be ${side === 'sell' ? 'less' : 'greater'} than current price`,
    {
      market_price: text(last),
      stop_price: text(stopPrice),
    },
  )
}

/** Minimum distance of the stop-loss from the market, or from the entry price. */
const STOP_DISTANCE_MIN = decimal('0.01')

/**
 * Checks the group of an order: an entry must not close a position, an oco must close it, and the
 * stop-loss must lie on the losing side of the group's starting price.
 */
function checkGroup(
  { orderClass, exits, side, limitPrice, stopPrice }: OrderRequest,
  closes: boolean,
  market: Market,
): void {
  if (exits === null) return
  const isPair = orderClass === 'oco'
  if (closes !== isPair)
    throw unprocessable(`${orderClass} orders must be ${isPair ? 'exit' : 'entry'} orders`)
  const { stopLoss } = exits
  const base = isPair ? market.last : (limitPrice ?? stopPrice ?? market.last)
  const sells = (side === 'sell') === isPair
  const nearest = sells ? base.minus(STOP_DISTANCE_MIN) : base.plus(STOP_DISTANCE_MIN)
  if (
    stopLoss === null ||
    (sells ? stopLoss.stopPrice.lte(nearest) : stopLoss.stopPrice.gte(nearest))
  )
    return
  throw unprocessable(
    `stop_loss.stop_price must be ${sells ? '<= base_price - 0.01' : '>= base_price + 0.01'}`,
    {
      base_price: text(base),
    },
  )
}

/**
 * Worst-case cost of one unit of an opening order: its limit, or its expected price times the
 * collar.
 */
function priceHeld(request: OrderRequest, market: Market): Decimal {
  const collared = larger(market.ask, stopPriceAt(request, market) ?? zero).times(MARKET_COLLAR)
  return request.side === 'sell'
    ? larger(request.limitPrice ?? zero, collared)
    : (request.limitPrice ?? collared)
}

function checkFunds(
  account: Account,
  request: OrderRequest,
  heldPerUnit: Decimal,
  prices: Prices,
): void {
  const cost = request.notional ?? (request.qty ?? zero).times(heldPerUnit)
  const funds = fundsOf(account, prices)
  const power = request.asset.assetClass === 'crypto' ? funds.freeCash : funds.buyingPower
  if (cost.lte(power)) return
  throw forbidden('insufficient buying power', {
    buying_power: text(power.round(2)),
    cost_basis: text(cost.round(2)),
  })
}

function checkAccount(account: Account, request: OrderRequest): void {
  if (account.ordersByClientId.has(request.clientOrderId))
    throw invalid('client_order_id must be unique')
  if (account.orders.size >= ORDERS_PER_ACCOUNT_MAX)
    throw forbidden('this sandbox account holds no more orders')
  checkFlags(account.flags)
  checkFractions(account.flags, request)
}

/** A stated position intent must equal the intent that the broker infers from the position. */
function checkIntent({ statedIntent }: OrderRequest, inferred: PositionIntent): void {
  if (statedIntent === null || statedIntent === inferred) return
  throw unprocessable(`position intent mismatch, inferred: ${inferred}, specified: ${statedIntent}`)
}

/** @throws {Refusal} with the broker's status, code and message */
export function admit(account: Account, request: OrderRequest, prices: Prices): Admission {
  checkAccount(account, request)
  checkWashTrade(account, request)
  const market = prices.of(request.asset)
  checkStop(request, market)
  const position = positionQty(account, request.asset)
  const closes = request.side === 'buy' ? position.lt(0) : position.gt(0)
  const intent: PositionIntent = `${request.side}_to_${closes ? 'close' : 'open'}`
  checkIntent(request, intent)
  checkGroup(request, closes, market)
  if (closes) {
    checkAvailable(account, request, market)
    return { intent, heldPerUnit: zero }
  }
  if (request.side === 'sell') checkShort(account, request)
  const heldPerUnit = priceHeld(request, market)
  checkFunds(account, request, heldPerUnit, prices)
  return { intent, heldPerUnit }
}

/**
 * The same checks for a replacement of an open order.
 * @throws {Refusal} with the broker's status, code and message
 */
export function admitReplacement(
  account: Account,
  order: Order,
  request: OrderRequest,
  prices: Prices,
): Admission {
  if (!isExit(order)) {
    const openOrders = new Set([...account.openOrders].filter((open) => open !== order))
    return admit(
      { ...account, openOrders, holds: holdsWithout(account.holds, order) },
      request,
      prices,
    )
  }
  // An exit keeps its quantity, and its group already holds the quantity it closes.
  checkAccount(account, request)
  checkStop(request, prices.of(request.asset))
  return { intent: order.intent, heldPerUnit: order.heldPerUnit }
}
