import type { Account } from '../broker/account.ts'
import { positionSymbol } from '../broker/assets.ts'
import type { Broker } from '../broker/broker.ts'
import { text } from '../broker/decimals.ts'
import { activityJson } from '../http/activity-queries.ts'
import type { JournalEntry, RequestJournal } from '../http/request-journal.ts'
import { fillActivityJson, type Json, orderJson } from '../http/shapes.ts'

/**
 * The complete state of one account, as an oracle for tests: exact, unrounded, without omissions.
 */
export type AccountLedger = Readonly<{
  accountId: string
  accountNumber: string
  cash: string
  deposits: string
  realized: string
  /** Cash + positions at cost + fees = deposits + realized. */
  fees: string
  /** In order of arrival, in the JSON form of the broker. */
  orders: readonly Json[]
  /** Valid executions, in order: the activity rows, with the stream's `execution_id`. */
  executions: readonly Json[]
  /** Busts and corrections, in order: the execution before, and the published amendment. */
  amendments: readonly Json[]
  /** All activities except fills, in order. */
  activities: readonly Json[]
  positions: readonly Readonly<{ symbol: string; qty: string; cost: string }>[]
}>

/**
 * The state of the whole broker. `requestsReceived` counts all; `requests` keeps the last requests.
 */
export type Ledger = Readonly<{
  accounts: Readonly<Record<string, AccountLedger>>
  requestsReceived: number
  requests: readonly JournalEntry[]
}>

const accountLedger = (account: Account): AccountLedger => ({
  accountId: account.id,
  accountNumber: account.number,
  cash: text(account.cash),
  deposits: text(account.deposits),
  realized: text(account.realized),
  fees: text(account.fees),
  orders: [...account.orders.values()].map((order) => orderJson(order, true)),
  executions: account.executions.map((execution) => ({
    ...fillActivityJson(execution),
    execution_id: execution.id,
    position_qty: text(execution.positionQty),
  })),
  amendments: account.amendments.map(({ event, before, told }) => ({
    event,
    at: told.at,
    execution_id: told.id,
    previous_execution_id: before.id,
    order_id: told.orderId,
    symbol: told.symbol,
    side: told.side,
    previous_price: text(before.price),
    previous_qty: text(before.qty),
    price: text(told.price),
    qty: text(told.qty),
  })),
  activities: account.activities.map(activityJson),
  positions: [...account.positions.values()].map(({ asset, qty, cost }) => ({
    symbol: positionSymbol(asset),
    qty: text(qty),
    cost: text(cost),
  })),
})

/** @param keyId limits the ledger to the account of this key */
export function readLedger(broker: Broker, journal: RequestJournal, keyId?: string): Ledger {
  const keys = broker.keyIds().filter((candidate) => keyId === undefined || candidate === keyId)
  const accounts: Record<string, AccountLedger> = {}
  for (const key of keys) {
    const account = broker.accountOfKey(key)
    if (account !== undefined) accounts[key] = accountLedger(account)
  }
  return {
    accounts,
    requestsReceived: journal.received,
    requests: journal.entries().filter((entry) => keyId === undefined || entry.keyId === keyId),
  }
}
