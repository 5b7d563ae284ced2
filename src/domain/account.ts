import { add, type Decimal, mul, sub } from './decimal.ts'
import type { Side } from './intent.ts'

/**
 * The cash of one broker connection: the broker's last settled figure plus every execution booked since, so that a fill changes it
 * in its own commit. The broker's figure replaces it only when it is sure (see reconcile.ts).
 */
export type Account = Readonly<{
  schema: 1
  connectionId: string
  /** The broker's own id of the account; a connection never moves to another one. */
  brokerAccountId: string
  currency: string
  cash: Decimal
  /** Broker time up to which executions have been read back; where the next reading starts. */
  executionsReadTo: string
  /** Our time of the last booked execution, for the settle window. */
  lastBookedAtMs: number
  /** Differences to the broker's figures seen once and not yet believed. */
  doubts: Readonly<Record<string, Doubt>>
}>

/** A broker figure that differs from ours, and since when exactly this figure is seen. */
export type Doubt = Readonly<{ value: string; sinceMs: number }>

/** What an execution does to cash. Fees come as activities of their own. */
export const cashAfter = (cash: Decimal, side: Side, quantity: Decimal, price: Decimal): Decimal =>
  side === 'buy' ? sub(cash, mul(quantity, price)) : add(cash, mul(quantity, price))
