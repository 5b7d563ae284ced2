import {
  cancelOrderSchema,
  commandJobId,
  type JobName,
  type SubmitOrder,
  submitJobId,
  submitOrderSchema,
} from '#contract'
import type { ConnectionRef } from '#store'

/** A job as the trade API queues it. */
type Job = [name: JobName, payload: object, jobId: string]

const marketBuy = {
  userId: 'u1',
  connectionId: 'broker_1',
  tradeId: 't1',
  symbol: 'AAPL',
  side: 'buy',
  orderType: 'market',
  quantity: '100',
} as const

/** An order; whatever is not said: a market buy of 100 AAPL. */
export function submissionOf(order: Partial<SubmitOrder>): Job {
  const intent = submitOrderSchema.parse({ ...marketBuy, ...order })
  return ['submitOrder', intent, submitJobId(intent.userId, intent.tradeId)]
}

export const cancelOf = (ref: ConnectionRef, tradeId: string, commandId: string): Job => [
  'cancelOrder',
  cancelOrderSchema.parse({ ...ref, tradeId, commandId }),
  commandJobId('cancelOrder', ref.userId, tradeId, commandId),
]
