import type { Account, Position } from '../broker/account.ts'
import { findAsset, positionSymbol } from '../broker/assets.ts'
import type { Broker } from '../broker/broker.ts'
import { type ClosingSize, closingRequest } from '../broker/closing.ts'
import { type Decimal, parseDecimal } from '../broker/decimals.ts'
import { invalid, notFound, Refusal } from '../broker/refusal.ts'
import type { Lag } from '../faults/lag.ts'
import type { Call, Reply, Routes } from './router.ts'
import { type Json, orderJson, positionJson } from './shapes.ts'

/** Positions: reads them, and closes them with market orders. */

function positionIn(positions: ReadonlyMap<string, Position>, { params }: Call): Position {
  const asset = findAsset(params['name'] ?? '')
  const found = asset === undefined ? undefined : positions.get(positionSymbol(asset))
  if (found === undefined) throw notFound('position does not exist')
  return found
}

function amountOf(query: URLSearchParams, name: string): Decimal | null {
  const value = query.get(name)
  if (value === null || value === '') return null
  const amount = parseDecimal(value)
  if (amount === undefined) throw invalid(`${name} must be a decimal number`)
  if (amount.lte(0)) throw invalid(`${name} must be > 0`)
  return amount
}

function closePosition(
  broker: Broker,
  account: Account,
  position: Position,
  size: ClosingSize,
): Json {
  const request = closingRequest(position, size, broker.newClientOrderId())
  return orderJson(broker.matcher.submit(account, request), true)
}

/** Closes all positions. One row per position: the answer to its close, refusals included. */
function closeAll(broker: Broker, { account, query }: Call): Reply {
  const cancelOrders = query.get('cancel_orders') ?? 'false'
  if (!['true', 'false', ''].includes(cancelOrders))
    throw invalid('invalid cancel_orders: must be true or false')
  if (cancelOrders === 'true') broker.matcher.cancelAtOnce(account)
  const rows = [...account.positions.values()].map((position) => {
    const symbol = positionSymbol(position.asset)
    try {
      return {
        symbol,
        status: 200,
        body: closePosition(broker, account, position, { qty: null, percentage: null }),
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return { symbol, status: error.status, body: error.body }
    }
  })
  return { status: 207, body: rows }
}

export const positionRoutes = (broker: Broker, lag: Lag): Routes => ({
  'GET /v2/positions': ({ account }) => ({
    status: 200,
    body: [...lag.positionsOf(account).values()].map((position) =>
      positionJson(account, position, broker.prices),
    ),
  }),
  'GET /v2/positions/:name': (call) => ({
    status: 200,
    body: positionJson(
      call.account,
      positionIn(lag.positionsOf(call.account), call),
      broker.prices,
    ),
  }),
  'DELETE /v2/positions': (call) => closeAll(broker, call),
  'DELETE /v2/positions/:name': (call) => {
    const size = {
      qty: amountOf(call.query, 'qty'),
      percentage: amountOf(call.query, 'percentage'),
    }
    return {
      status: 200,
      body: closePosition(broker, call.account, positionIn(call.account.positions, call), size),
    }
  },
})
