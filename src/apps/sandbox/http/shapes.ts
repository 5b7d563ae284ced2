import type { Account, Position } from '../broker/account.ts'
import { type Asset, positionSymbol } from '../broker/assets.ts'
import { type Decimal, ratio, text } from '../broker/decimals.ts'
import { averagePrice, type Execution, type Order } from '../broker/order.ts'
import type { Prices } from '../broker/prices.ts'
import { fundsOf, heldQty } from '../broker/reservations.ts'
import type { Session } from '../broker/session.ts'

/** The broker's JSON, field for field: snake_case, amounts as strings, absent values as null. */
export type Json = Record<string, unknown>

const orNull = (value: Decimal | null): string | null => (value === null ? null : text(value))
const money = (value: Decimal): string => text(value.round(2))

/** @param nested shows legs inside their parent */
export function orderJson(order: Order, nested = false): Json {
  const { request } = order
  return {
    id: order.id,
    client_order_id: request.clientOrderId,
    created_at: order.createdAt,
    updated_at: order.updatedAt,
    submitted_at: order.submittedAt,
    filled_at: order.filledAt,
    expired_at: order.expiredAt,
    expires_at: order.expiresAt,
    cancel_requested_at: order.cancelRequestedAt,
    canceled_at: order.canceledAt,
    failed_at: order.failedAt,
    replaced_at: order.replacedAt,
    replaced_by: order.replacedBy,
    replaces: order.replaces,
    asset_id: request.asset.id,
    symbol: request.asset.symbol,
    asset_class: request.asset.assetClass,
    notional: orNull(request.notional),
    qty: orNull(order.qty),
    filled_qty: text(order.filledQty),
    filled_avg_price: orNull(averagePrice(order)),
    order_class: request.orderClass,
    order_type: request.type,
    type: request.type,
    side: request.side,
    position_intent: order.intent,
    time_in_force: request.timeInForce,
    limit_price: orNull(request.limitPrice),
    stop_price: orNull(order.stopPrice),
    status: order.status,
    extended_hours: request.extendedHours,
    legs: nested && order.legs !== null ? order.legs.map((leg) => orderJson(leg)) : null,
    trail_percent: orNull(request.trailPercent),
    trail_price: orNull(request.trailPrice),
    hwm: orNull(order.hwm),
    subtag: null,
    source: null,
  }
}

export function accountJson(account: Account, prices: Prices): Json {
  const funds = fundsOf(account, prices)
  const { flags } = account
  return {
    id: account.id,
    account_number: account.number,
    status: flags.status,
    crypto_status: 'ACTIVE',
    currency: 'USD',
    buying_power: money(funds.buyingPower),
    regt_buying_power: money(funds.buyingPower),
    non_marginable_buying_power: money(funds.freeCash),
    options_buying_power: money(funds.freeCash),
    cash: text(account.cash),
    accrued_fees: '0',
    portfolio_value: text(funds.equity),
    trading_blocked: flags.tradingBlocked,
    transfers_blocked: false,
    account_blocked: flags.accountBlocked,
    trade_suspended_by_user: flags.tradeSuspendedByUser,
    created_at: account.createdAt,
    multiplier: String(account.multiplier),
    shorting_enabled: flags.shortingEnabled,
    equity: text(funds.equity),
    last_equity: text(funds.lastEquity),
    long_market_value: text(funds.longValue),
    short_market_value: text(funds.shortValue),
    initial_margin: money(funds.initialMargin),
    maintenance_margin: money(funds.maintenanceMargin),
    last_maintenance_margin: '0',
    sma: '0',
    balance_asof: account.createdAt.slice(0, 10),
    intraday_adjustments: '0',
    pending_reg_taf_fees: '0',
    options_approved_level: 0,
    options_trading_level: 0,
  }
}

export function positionJson(account: Account, position: Position, prices: Prices): Json {
  const { asset, qty, cost } = position
  const { last, previousClose } = prices.of(asset)
  const value = qty.times(last)
  const gain = value.minus(cost)
  const intraday = qty.times(last.minus(previousClose))
  return {
    asset_id: asset.id,
    symbol: positionSymbol(asset),
    exchange: asset.exchange,
    asset_class: asset.assetClass,
    asset_marginable: asset.assetClass === 'us_equity',
    avg_entry_price: text(ratio(cost, qty)),
    qty: text(qty),
    qty_available: text(
      qty
        .abs()
        .minus(heldQty(account, asset))
        .times(qty.gt(0) ? 1 : -1),
    ),
    side: qty.gt(0) ? 'long' : 'short',
    market_value: text(value),
    cost_basis: text(cost),
    unrealized_pl: text(gain),
    unrealized_plpc: text(ratio(gain, cost.abs(), 16)),
    unrealized_intraday_pl: text(intraday),
    unrealized_intraday_plpc: text(ratio(intraday, qty.times(previousClose).abs(), 16)),
    current_price: text(last),
    lastday_price: text(previousClose),
    change_today: text(ratio(last.minus(previousClose), previousClose, 16)),
  }
}

export function fillActivityJson(execution: Execution): Json {
  return {
    id: execution.activityId,
    activity_type: 'FILL',
    transaction_time: execution.at,
    type: execution.leavesQty.eq(0) ? 'fill' : 'partial_fill',
    price: text(execution.price),
    qty: text(execution.qty),
    side: execution.side,
    symbol: execution.symbol,
    leaves_qty: text(execution.leavesQty),
    order_id: execution.orderId,
    cum_qty: text(execution.cumQty),
    order_status: execution.orderStatus,
  }
}

export function assetJson(asset: Asset): Json {
  const equity = asset.assetClass === 'us_equity'
  return {
    id: asset.id,
    class: asset.assetClass,
    exchange: asset.exchange,
    symbol: asset.symbol,
    name: asset.name,
    status: asset.status,
    tradable: asset.tradable,
    marginable: equity,
    maintenance_margin_requirement: equity ? 30 : 100,
    margin_requirement_long: equity ? '30' : '100',
    margin_requirement_short: equity ? '30' : '100',
    shortable: asset.shortable,
    easy_to_borrow: asset.shortable,
    borrow_status: asset.shortable ? 'easy_to_borrow' : 'not_available',
    fractionable: asset.fractionable,
    attributes: equity ? ['fractional_eh_enabled'] : [],
    ...(equity
      ? {}
      : {
          min_order_size: '0.000000001',
          min_trade_increment: '0.000000001',
          price_increment: '0.000000001',
        }),
  }
}

export function clockJson(session: Session): Json {
  const { timestamp, isOpen, nextOpen, nextClose } = session.clock()
  return { timestamp, is_open: isOpen, next_open: nextOpen, next_close: nextClose }
}
