import { describe, expect, test } from 'vitest'
import { clientOrderIdOf, dec } from '#domain'
import { cancelOrder } from '../../workers/orders/cancel.ts'
import { RESEND_MS_MAX, submitOrder, TradeConflictError } from '../../workers/orders/submit.ts'
import { intentOf } from '../domain/orders.ts'
import { makeWorker as makeBareWorker } from './harness.ts'

/** A worker whose account has been read. */
async function makeWorker() {
  const worker = makeBareWorker()
  await worker.adopted()
  return worker
}

const intent = intentOf()
const address = { orderId: 't1', connectionId: 'broker_1', symbol: 'AAPL' }
const cancel = {
  ...{ userId: 'u1', connectionId: 'broker_1', tradeId: 't1', commandId: 'c1' },
  by: 'user',
  reason: 'asked',
} as const

describe('submitOrder', () => {
  test('accepted: one order, trade.submitted once', async () => {
    const { submit, broker, events } = await makeWorker()
    expect(await submitOrder(submit, intent)).toEqual({ kind: 'done' })
    expect(await submitOrder(submit, intent)).toEqual({ kind: 'done' })
    expect(broker.submissions.map((ticket) => ticket.clientOrderId)).toEqual([clientOrderIdOf('u1', 't1')])
    expect(events()).toEqual(['trade.submitted'])
  })

  test('reply lost after acceptance: looked up, never sent again', async () => {
    const { submit, broker, events } = await makeWorker()
    broker.faults.push('lose_reply')
    expect(await submitOrder(submit, intent)).toMatchObject({ kind: 'again' })
    expect(events()).toEqual([])
    expect(await submitOrder(submit, intent)).toEqual({ kind: 'done' })
    expect(broker.submissions).toHaveLength(1)
    expect(events()).toEqual(['trade.submitted'])
  })

  test('request lost before acceptance: looked up, then sent again under the same id', async () => {
    const { submit, broker, events } = await makeWorker()
    broker.faults.push('lose_request')
    await submitOrder(submit, intent)
    await submitOrder(submit, intent)
    expect(new Set(broker.submissions.map((ticket) => ticket.clientOrderId)).size).toBe(1)
    expect(broker.orders.size).toBe(1)
    expect(events()).toEqual(['trade.submitted'])
  })

  test('absent and too old to be sent again: it is looked for, not sent and not rejected', async () => {
    const { submit, broker, clock, events } = await makeWorker()
    broker.faults.push('lose_request')
    await submitOrder(submit, intent)
    await clock.advance(RESEND_MS_MAX + 1)
    expect(await submitOrder(submit, intent)).toMatchObject({ kind: 'again', delayMs: 30_000 })
    expect(broker.submissions).toHaveLength(1)
    expect(events()).toEqual([])
  })

  test('refused with proof: rejected, with the reason of the contract', async () => {
    const { submit, broker, store } = await makeWorker()
    broker.faults.push('refuse')
    expect(await submitOrder(submit, intent)).toEqual({ kind: 'done' })
    expect(store.log('u1')).toMatchObject([
      {
        event: 'trade.rejected',
        payload: { reason: 'INSUFFICIENT_FUNDS', code: 'INSUFFICIENT_BUYING_POWER', brokerCode: '40310000' },
      },
    ])
  })

  test('rate limited: comes back later, nothing is told', async () => {
    const { submit, broker, events } = await makeWorker()
    broker.faults.push('rate_limit')
    expect(await submitOrder(submit, intent)).toMatchObject({ kind: 'again', delayMs: 1_000 })
    expect(events()).toEqual([])
  })

  test('past its deadline: denied, never sent', async () => {
    const { submit, broker, store } = await makeWorker()
    await submitOrder(submit, intentOf({ notAfter: '2024-03-15T13:59:59Z' }))
    expect(broker.submissions).toHaveLength(0)
    expect(store.log('u1')).toMatchObject([{ event: 'trade.rejected', payload: { code: 'EXPIRED_BEFORE_SUBMIT' } }])
  })

  test('a class that is not carried out, or a connection that is not there: denied with what to do', async () => {
    const { submit, broker, store } = await makeWorker()
    await submitOrder(submit, intentOf({ orderClass: 'oto' }))
    await submitOrder(submit, intentOf({ tradeId: 't2', connectionId: 'broker_9' }))
    expect(broker.submissions).toHaveLength(0)
    expect(store.log('u1').map(({ payload }) => (payload as { code: string }).code)).toEqual([
      'UNSUPPORTED',
      'BROKER_DISCONNECTED',
    ])
  })

  test('nothing is sent before the account has been read: waits for it, then sends', async () => {
    const worker = makeBareWorker()
    const submitting = submitOrder(worker.submit, intent)
    await worker.clock.advance(1_000)
    expect(worker.broker.submissions).toHaveLength(0)
    await worker.adopted()
    await worker.clock.advance(1_000)
    expect(await submitting).toEqual({ kind: 'done' })
    expect(worker.events()).toEqual(['trade.submitted'])
  })

  test('an account that cannot be read: denied, never sent', async () => {
    const { submit, broker, clock, store } = makeBareWorker()
    const submitting = submitOrder(submit, intent)
    await clock.advance(10_000)
    expect(await submitting).toEqual({ kind: 'done' })
    expect(broker.submissions).toHaveLength(0)
    expect(store.log('u1')).toMatchObject([{ event: 'trade.rejected', payload: { code: 'BROKER_DISCONNECTED' } }])
  })

  test('the same trade id with other parameters is a conflict and touches nothing', async () => {
    const { submit, broker, events } = await makeWorker()
    await submitOrder(submit, intent)
    await expect(submitOrder(submit, intentOf({ quantity: dec('200') }))).rejects.toThrow(TradeConflictError)
    expect(broker.submissions).toHaveLength(1)
    expect(events()).toEqual(['trade.submitted'])
  })

  test('two deliveries of one job at once: one order, one trade.submitted', async () => {
    const { submit, broker, events } = await makeWorker()
    await Promise.all(Array.from({ length: 5 }, () => submitOrder(submit, intent)))
    await submitOrder(submit, intent)
    expect(broker.orders.size).toBe(1)
    expect(events()).toEqual(['trade.submitted'])
  })

  test('another order under our id is never taken for ours', async () => {
    const { submit, broker, store } = await makeWorker()
    await submitOrder(submit, intentOf({ symbol: 'MSFT' }))
    const [other] = broker.orders.values()
    const fresh = await makeWorker()
    fresh.broker.orders.set('b-1', other!)
    expect(await submitOrder(fresh.submit, intent)).toMatchObject({ kind: 'again' })
    expect(fresh.events()).toEqual([])
    expect(store.log('u1')).toHaveLength(1)
  })
})

describe('cancelOrder', () => {
  test('asks the broker once; the answer alone ends nothing', async () => {
    const { submit, broker, store } = await makeWorker()
    broker.isMute = true
    await submitOrder(submit, intent)
    expect(await cancelOrder(submit, cancel)).toEqual({ kind: 'done' })
    expect(broker.cancels).toHaveLength(1)
    expect((await store.loadSlice('u1', address)).slice.order).toMatchObject({
      status: 'submitted',
      cancel: { by: 'user' },
    })
  })

  test('before its trade: leaves a mark, and the trade is never sent', async () => {
    const { submit, broker, store } = await makeWorker()
    expect(await cancelOrder(submit, cancel)).toEqual({ kind: 'done' })
    expect(await submitOrder(submit, intent)).toEqual({ kind: 'done' })
    expect(broker.submissions).toHaveLength(0)
    expect(store.log('u1')).toMatchObject([
      { event: 'trade.cancelled', payload: { cancelledBy: 'user', filledQuantity: 0 } },
    ])
  })

  test('while its trade is on the way: waits', async () => {
    const { submit, broker } = await makeWorker()
    broker.faults.push('lose_request')
    await submitOrder(submit, intent)
    expect(await cancelOrder(submit, cancel)).toMatchObject({ kind: 'again' })
    expect(broker.cancels).toHaveLength(0)
  })

  test('too late: the order is read, and what it says counts', async () => {
    const { submit, broker, store } = await makeWorker()
    broker.isMute = true
    await submitOrder(submit, intent)
    broker.fill(clientOrderIdOf('u1', 't1'), '180')
    expect(await cancelOrder(submit, cancel)).toEqual({ kind: 'done' })
    expect((await store.loadSlice('u1', address)).slice.order).toMatchObject({
      placements: [{ reportedQuantity: '100', final: { status: 'filled' } }],
    })
  })
})
