import { Alpaca } from '@alpacahq/alpaca-trade-api'
import type { BrokerCredentials } from '#store'
import type { Permit } from '../guard.ts'
import type { Broker } from '../port.ts'
import {
  listActivities,
  listExecutions,
  readBrokerPositionOf,
  readClock,
  readPortfolio,
  readSessions,
  readStanding,
} from './account.ts'
import { openActivityStream } from './activity-stream.ts'
import { listAssets } from './assets.ts'
import type { Endpoint, Transport } from './endpoint.ts'
import {
  cancel,
  findByBrokerOrderId,
  findByClientOrderId,
  findParent,
  listOrderPage,
  listOrders,
  replace,
  submit,
} from './orders.ts'
import { readQuoteOf } from './quote.ts'
import type { OnUnread } from './read.ts'
import { TokenSocket } from './token-socket.ts'
import { openTradeStream, type StreamTimers, type VendorStream } from './trade-stream.ts'

/**
 * Our port on the official SDK. The SDK's retries and its limiter are off: only the worker decides
 * about repeated requests and their times.
 * @param permit called before each further request of a call that takes several; the caller has the
 *   permit for the first request. Default: always permitted
 * @param onUnread called with rows that were left out as unreadable, and with unreadable fields of
 *   rows that were kept. Default: no action
 */
export function createAlpacaBroker(
  credentials: BrokerCredentials,
  endpoint: Endpoint,
  transport: Pick<Transport, 'fetch' | 'openEvents'>,
  timers: StreamTimers,
  permit: Permit = async () => {},
  onUnread: OnUnread = () => {},
): Broker {
  const { trading, marketData } = new Alpaca({
    ...('accessToken' in credentials
      ? { accessToken: credentials.accessToken }
      : { keyId: credentials.keyId, secret: credentials.secretKey }),
    paper: endpoint.env !== 'live',
    rateLimit: false,
    retry: false,
    timeoutMs: 0, // the transport has a deadline, at a lower cost
    fetchApi: transport.fetch,
  })
  const { orders } = trading
  const openSocket = (): VendorStream =>
    'accessToken' in credentials
      ? new TokenSocket(endpoint.tradeStreamUrl, credentials.accessToken, timers.clock)
      : trading.stream(streamOptions(endpoint))
  return {
    submit: (ticket) => submit(orders, ticket, onUnread),
    replace: (ticket) => replace(orders, ticket, onUnread),
    cancel: (brokerOrderId) => cancel(orders, brokerOrderId),
    findByClientOrderId: (clientOrderId) =>
      findByClientOrderId(orders, clientOrderId, () => permit('resolve'), onUnread),
    findByBrokerOrderId: (brokerOrderId) => findByBrokerOrderId(orders, brokerOrderId, onUnread),
    findParent: (exit) => findParent(orders, exit, () => permit('reconcile'), onUnread),
    listOrders: (filter) => listOrders(orders, filter, () => permit('poll'), onUnread),
    listOrderPage: (since, afterId) => listOrderPage(orders, since, afterId, onUnread),
    listExecutions: (since) => listExecutions(trading, since, () => permit('reconcile'), onUnread),
    listActivities: (since) => listActivities(trading, since, () => permit('refresh'), onUnread),
    readPortfolio: () => readPortfolio(trading, () => permit('refresh')),
    readPosition: (symbol) => readBrokerPositionOf(trading, symbol),
    readQuote: (symbol) => readQuoteOf(marketData, symbol),
    listAssets: () => listAssets(trading, () => permit('refresh'), onUnread),
    readAccount: () => readStanding(trading),
    readClock: () => readClock(trading),
    readSessions: (from, to) => readSessions(trading, from, to),
    openTradeStream: (listener, urgency) =>
      openTradeStream(openSocket, listener, timers, urgency, onUnread),
    openActivityStream: (sinceId, listener) =>
      openActivityStream(transport.openEvents, credentials, sinceId, listener, timers),
  }
}

/**
 * The SDK's own reconnecting is off: we decide how often an account's socket is opened (CON-02).
 */
const streamOptions = (endpoint: Endpoint) => ({ url: endpoint.tradeStreamUrl, reconnect: false })
