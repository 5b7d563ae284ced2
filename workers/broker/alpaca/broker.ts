import { Alpaca } from '@alpacahq/alpaca-trade-api'
import type { BrokerCredentials } from '#store'
import type { Broker } from '../port.ts'
import {
  listActivities,
  listExecutions,
  readClock,
  readHoldingOf,
  readPortfolio,
  readSessions,
  readStanding,
} from './account.ts'
import type { Endpoint } from './endpoint.ts'
import { cancel, findByBrokerOrderId, findByClientOrderId, findParent, listOrders, replace, submit } from './orders.ts'
import { openTradeStream, type StreamTimers } from './trade-stream.ts'

/** Deadline of one call; well below the queue's lock, so that a silent broker never costs a job its lock (SUB-08). */
export const CALL_TIMEOUT_MS = 8_000

/** Our port on the official SDK. Its retries and its limiter are off: the worker alone decides what is sent again, and when. */
export function createAlpacaBroker(
  credentials: BrokerCredentials,
  endpoint: Endpoint,
  transport: typeof fetch,
  timers: StreamTimers,
): Broker {
  const { trading } = new Alpaca({
    ...('accessToken' in credentials
      ? { accessToken: credentials.accessToken }
      : { keyId: credentials.keyId, secret: credentials.secretKey }),
    paper: endpoint.env !== 'live',
    rateLimit: false,
    retry: false,
    timeoutMs: CALL_TIMEOUT_MS,
    fetchApi: transport,
  })
  const { orders } = trading
  return {
    submit: (ticket) => submit(orders, ticket),
    replace: (ticket) => replace(orders, ticket),
    cancel: (brokerOrderId) => cancel(orders, brokerOrderId),
    findByClientOrderId: (clientOrderId) => findByClientOrderId(orders, clientOrderId),
    findByBrokerOrderId: (brokerOrderId) => findByBrokerOrderId(orders, brokerOrderId),
    findParent: (exit) => findParent(orders, exit),
    listOrders: (filter) => listOrders(orders, filter),
    listExecutions: (since) => listExecutions(trading, since),
    listActivities: (since) => listActivities(trading, since),
    readPortfolio: () => readPortfolio(trading),
    readPosition: (symbol) => readHoldingOf(trading, symbol),
    readAccount: () => readStanding(trading),
    readClock: () => readClock(trading),
    readSessions: (from, to) => readSessions(trading, from, to),
    openTradeStream: (listener) => openTradeStream(() => trading.stream(streamOptions(endpoint)), listener, timers),
    openActivityStream: () => null,
  }
}

/** The SDK's own reconnecting is off: how often an account's socket is opened is our decision (CON-02). */
const streamOptions = (endpoint: Endpoint) => ({ url: endpoint.tradeStreamUrl, reconnect: false })
