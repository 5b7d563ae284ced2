import { Alpaca } from '@alpacahq/alpaca-trade-api'
import { z } from 'zod'
import type { BrokerOrder, BrokerSnapshot } from '#domain'
import type { BrokerCredentials } from '#store'
import {
  type AccountStanding,
  type Broker,
  BrokerError,
  type CancelOutcome,
  type MarketClock,
  type OrderExecution,
  type OrderFilter,
  type OrderTicket,
  type SubmitOutcome,
} from '../port.ts'
import type { Endpoint } from './endpoint.ts'
import { cancelOutcomeOf, failureOf, readErrorOf, submitOutcomeOf } from './failures.ts'
import { orderRequestOf } from './request.ts'
import { openTradeStream, type StreamTimers } from './trade-stream.ts'
import { readAccount, readActivity, readOrder, readPosition } from './wire.ts'

/** Deadline of one call; well below the queue's lock, so that a silent broker never costs a job its lock (SUB-08). */
export const CALL_TIMEOUT_MS = 8_000
/** Alpaca's page sizes. */
const ORDERS_PER_PAGE = 500
const ACTIVITIES_PER_PAGE = 100
/** Pages of one listing; an account with more is read again with a later start. */
const PAGES_MAX = 40

/** Our port on the official SDK. Its retries and its limiter are off: the worker alone decides what is sent again, and when. */
export function createAlpacaBroker(
  credentials: BrokerCredentials,
  endpoint: Endpoint,
  transport: typeof fetch,
  timers: StreamTimers,
): Broker {
  const alpaca = new Alpaca({
    ...('accessToken' in credentials
      ? { accessToken: credentials.accessToken }
      : { keyId: credentials.keyId, secret: credentials.secretKey }),
    paper: endpoint.env !== 'live',
    rateLimit: false,
    retry: false,
    timeoutMs: CALL_TIMEOUT_MS,
    fetchApi: transport,
  })
  const { trading } = alpaca
  return {
    submit: (order) => submit(alpaca, order),
    cancel: (brokerOrderId) => cancel(alpaca, brokerOrderId),
    findByClientOrderId: (clientOrderId) => findByClientOrderId(alpaca, clientOrderId),
    listOrders: (filter) => listOrders(alpaca, filter),
    listExecutions: (since) => listExecutions(alpaca, since),
    readPortfolio: () => read(() => readPortfolio(alpaca)),
    readAccount: () => read(async () => standingOf(readAccount(await trading.account.getAccount()))),
    readClock: () => read(async () => clockOf(await trading.clock.legacyClock())),
    openTradeStream: (listener) => openTradeStream(() => trading.stream(streamOptions(endpoint)), listener, timers),
  }
}

/** The SDK's own reconnecting is off: how often an account's socket is opened is our decision (CON-02). */
const streamOptions = (endpoint: Endpoint) => ({ url: endpoint.tradeStreamUrl, reconnect: false })

async function submit(alpaca: Alpaca, { intent, clientOrderId }: OrderTicket): Promise<SubmitOutcome> {
  let answer: unknown
  try {
    answer = await alpaca.trading.orders.postOrder({ postOrderRequest: orderRequestOf(intent, clientOrderId) })
  } catch (error) {
    return submitOutcomeOf(failureOf(error))
  }
  try {
    return { kind: 'accepted', order: readOrder(answer) }
  } catch {
    return { kind: 'unknown', cause: 'the answer is not an order' } // accepted, most likely; the look-up will tell
  }
}

async function cancel(alpaca: Alpaca, orderId: string): Promise<CancelOutcome> {
  try {
    await alpaca.trading.orders.deleteOrderByOrderID({ orderId })
    return { kind: 'requested' }
  } catch (error) {
    return cancelOutcomeOf(failureOf(error))
  }
}

async function findByClientOrderId(alpaca: Alpaca, clientOrderId: string): Promise<BrokerOrder | null> {
  try {
    return readOrder(await alpaca.trading.orders.getOrderByClientOrderId({ clientOrderId }))
  } catch (error) {
    const failure = failureOf(error)
    if (failure.status === 404) return null
    throw readErrorOf(failure)
  }
}

/** Pages by order id: equal submission times at a page's edge would be lost by time. */
async function listOrders(alpaca: Alpaca, filter: OrderFilter): Promise<readonly BrokerOrder[]> {
  const orders = new Map<string, BrokerOrder>()
  const after = filter.status === 'all' ? { after: filter.since } : {}
  let afterOrderId: string | undefined
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const rows = await read(() =>
      alpaca.trading.orders.getAllOrders({
        ...{ status: filter.status, direction: 'asc', limit: ORDERS_PER_PAGE },
        ...(afterOrderId === undefined ? after : { afterOrderId }),
      }),
    )
    for (const order of readable(rows, readOrder)) orders.set(order.brokerOrderId, order)
    const last = rows.at(-1)?.id
    if (rows.length < ORDERS_PER_PAGE || last === undefined || last === afterOrderId) return [...orders.values()]
    afterOrderId = last
  }
  throw new BrokerError('UNREADABLE', `more than ${PAGES_MAX * ORDERS_PER_PAGE} orders`)
}

async function listExecutions(alpaca: Alpaca, since: string): Promise<readonly OrderExecution[]> {
  const executions: OrderExecution[] = []
  let pageToken: string | undefined
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const rows = await read(() =>
      // Not the call by type: the SDK reads its rows as cash movements and drops the execution's fields.
      alpaca.trading.accountActivities.getAccountActivities({
        ...{ activityTypes: ['FILL'], direction: 'asc', pageSize: ACTIVITIES_PER_PAGE, after: new Date(since) },
        ...(pageToken === undefined ? {} : { pageToken }),
      }),
    )
    executions.push(...readable(rows, readActivity))
    const last = rows.at(-1)?.id
    if (rows.length < ACTIVITIES_PER_PAGE || last === undefined || last === pageToken) return executions
    pageToken = last
  }
  throw new BrokerError('UNREADABLE', `more than ${PAGES_MAX * ACTIVITIES_PER_PAGE} executions`)
}

async function readPortfolio(alpaca: Alpaca): Promise<BrokerSnapshot> {
  const [account, positions] = await Promise.all([
    alpaca.trading.account.getAccount(),
    alpaca.trading.positions.getAllOpenPositions(),
  ])
  const { id, currency, cash } = readAccount(account)
  return { brokerAccountId: id, currency, cash, positions: positions.map(readPosition) }
}

/** A reading call: its answer, or a BrokerError. */
async function read<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (error instanceof BrokerError) throw error
    if (error instanceof z.ZodError)
      throw new BrokerError('UNREADABLE', 'the broker answered in a shape that is not known here')
    throw readErrorOf(failureOf(error))
  }
}

/** Rows that are of a kind known here. Orders of other kinds (multi-leg, say) were not placed by us and must not stop the rest. */
const readable = <T>(rows: readonly unknown[], read: (row: unknown) => T): T[] =>
  rows.flatMap((row) => {
    try {
      return [read(row)]
    } catch {
      return []
    }
  })

function standingOf(account: ReturnType<typeof readAccount>): AccountStanding {
  const reasons = [
    account.status === 'ACTIVE' ? '' : `the account is ${account.status.toLowerCase().replaceAll('_', ' ')}`,
    account.accountBlocked ? 'the account is blocked' : '',
    account.tradingBlocked ? 'trading is blocked' : '',
    account.tradeSuspendedByUser ? 'trading was suspended by its holder' : '',
  ].filter((reason) => reason !== '')
  return { brokerAccountId: account.id, canTrade: reasons.length === 0, why: reasons.join(', ') || null }
}

const clockOf = (clock: { isOpen?: boolean; nextOpen?: Date; nextClose?: Date }): MarketClock => ({
  isOpen: clock.isOpen ?? false,
  nextOpen: clock.nextOpen?.toISOString() ?? '',
  nextClose: clock.nextClose?.toISOString() ?? '',
})
