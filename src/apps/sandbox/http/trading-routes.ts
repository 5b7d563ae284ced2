import type { Account } from '../broker/account.ts'
import { assets, findAsset } from '../broker/assets.ts'
import type { Broker } from '../broker/broker.ts'
import type { Order } from '../broker/order.ts'
import { invalid, notFound, Refusal } from '../broker/refusal.ts'
import { changedRequest } from '../broker/replacement.ts'
import { readRequest } from '../broker/order-request.ts'
import type { Lag } from '../faults/lag.ts'
import { calendarRoutes } from './calendar-routes.ts'
import { choiceOf, ordersPage } from './order-queries.ts'
import { positionRoutes } from './position-routes.ts'
import type { Call, Reply, Routes } from './router.ts'
import { accountJson, assetJson, clockJson, orderJson } from './shapes.ts'

/** The trading host: orders, positions, account, assets, clock. */

const ok = (body: unknown): Reply => ({ status: 200, body })
const nestedOf = (query: URLSearchParams): boolean => query.get('nested') === 'true'

function orderOf(account: Account, id: string, lag?: Lag): Order {
  const order = account.orders.get(id)
  if (order === undefined || lag?.shows(order) === false)
    throw notFound(`order not found for ${id}`)
  return order
}

function orderByClientId({ account, query }: Call, lag: Lag): Reply {
  const clientOrderId = query.get('client_order_id')
  if (clientOrderId === null || clientOrderId === '') throw invalid('client_order_id is required')
  const order = account.ordersByClientId.get(clientOrderId)
  if (order === undefined || !lag.shows(order))
    throw notFound(`order not found for ${clientOrderId}`)
  return ok(orderJson(order, true))
}

function cancelAll(broker: Broker, account: Account): Reply {
  const results = [...account.openOrders].map((order) => {
    try {
      broker.matcher.cancel(account, order)
      return { id: order.id, status: 200 }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return { id: order.id, status: error.status, body: error.body }
    }
  })
  return { status: 207, body: results }
}

function assetList({ query }: Call): Reply {
  const assetClass = query.get('asset_class') || 'us_equity'
  const status = choiceOf(query, 'status', ['all', 'active', 'inactive'])
  const exchange = query.get('exchange')
  return ok(
    assets
      .filter(
        (asset) => (status === 'all' || asset.status === status) && asset.assetClass === assetClass,
      )
      .filter((asset) => exchange === null || exchange === '' || asset.exchange === exchange)
      .map(assetJson),
  )
}

function oneAsset({ params }: Call): Reply {
  const name = params['name'] ?? ''
  const asset = findAsset(name)
  if (asset === undefined) throw notFound(`asset not found for ${name}`)
  return ok(assetJson(asset))
}

const orderRoutes = (broker: Broker, lag: Lag): Routes => ({
  'POST /v2/orders': ({ account, body }) => {
    const order = broker.matcher.submit(
      account,
      readRequest(body, broker.newClientOrderId, broker.takesNotionalLimits),
    )
    lag.submitted(account, order)
    return ok(orderJson(order, true))
  },
  'GET /v2/orders': ({ account, query }) =>
    ok(ordersPage(account, query, lag.shows).map((order) => orderJson(order, nestedOf(query)))),
  'DELETE /v2/orders': ({ account }) => cancelAll(broker, account),
  'GET /v2/orders:by_client_order_id': (call) => orderByClientId(call, lag),
  'GET /v2/orders/:id': ({ account, params, query }) =>
    ok(orderJson(orderOf(account, params['id'] ?? '', lag), nestedOf(query))),
  'PATCH /v2/orders/:id': ({ account, params, body }) => {
    const order = orderOf(account, params['id'] ?? '')
    const request = changedRequest(order, body, broker.newClientOrderId)
    return ok(orderJson(broker.matcher.replace(account, order, request), true))
  },
  'DELETE /v2/orders/:id': ({ account, params }) => {
    broker.matcher.cancel(account, orderOf(account, params['id'] ?? ''))
    return { status: 204 }
  },
})

export const tradingRoutes = (broker: Broker, lag: Lag): Routes => ({
  ...orderRoutes(broker, lag),
  'GET /v2/account': ({ account }) => ok(accountJson(account, broker.prices)),
  ...positionRoutes(broker, lag),
  'GET /v2/assets': assetList,
  'GET /v2/assets/:name': oneAsset,
  ...calendarRoutes,
  'GET /v2/clock': () => ok(clockJson(broker.session)),
})
