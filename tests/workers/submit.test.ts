import { describe, expect, test } from 'vitest'
import { clientOrderIdOf, dec, NOT_RECEIVED_MS, RESEND_MS_MAX } from '#domain'
import { cancelOrder } from '../../workers/orders/cancel.ts'
import { PARKED_MS_MAX } from '../../workers/orders/denials.ts'
import { TradeConflictError } from '../../workers/orders/refusal.ts'
import { submitOrder } from '../../workers/orders/submit.ts'
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
  userId: 'u1',
  connectionId: 'broker_1',
  tradeId: 't1',
  commandId: 'c1',
  by: 'user',
  reason: 'asked',
} as const

describe('submitOrder', () => {
  test('accepted - one order, trade.submitted once', async () => {
    const { submit, run, broker, events } = await makeWorker()
    expect(await submitOrder(submit, intent, run)).toEqual({ kind: 'done' })
    expect(await submitOrder(submit, intent, run)).toEqual({ kind: 'done' })
    expect(broker.submissions.map((ticket) => ticket.clientOrderId)).toEqual([
      clientOrderIdOf('u1', 't1'),
    ])
    expect(events()).toEqual(['trade.submitted'])
  })

  test('reply lost after acceptance - looked up, never sent again', async () => {
    const { submit, run, broker, events } = await makeWorker()
    broker.faults.push('lose_reply')
    expect(await submitOrder(submit, intent, run)).toMatchObject({ kind: 'again' })
    expect(events()).toEqual([])
    expect(await submitOrder(submit, intent, run)).toEqual({ kind: 'done' })
    expect(broker.submissions).toHaveLength(1)
    expect(events()).toEqual(['trade.submitted'])
  })

  test('request lost before acceptance - looked up, then sent again under the same id', async () => {
    const { submit, run, broker, events } = await makeWorker()
    broker.faults.push('lose_request')
    await submitOrder(submit, intent, run)
    await submitOrder(submit, intent, run)
    expect(new Set(broker.submissions.map((ticket) => ticket.clientOrderId)).size).toBe(1)
    expect(broker.orders.size).toBe(1)
    expect(events()).toEqual(['trade.submitted'])
  })

  test('absent, and the shared time stepped back - its age is unknown, it is not resent', async () => {
    const { submit, run, broker, clock, events } = await makeWorker()
    broker.faults.push('lose_request')
    await submitOrder(submit, intent, run)
    await clock.advance(-3_600_000)
    expect(await submitOrder(submit, intent, run)).toMatchObject({ kind: 'again', delayMs: 30_000 })
    await clock.advance(NOT_RECEIVED_MS)
    expect(await submitOrder(submit, intent, run)).toMatchObject({ kind: 'again', delayMs: 30_000 })
    expect(broker.submissions).toHaveLength(1)
    expect(events()).toEqual([])
  })

  test('present, and the shared time stepped back - it is looked up at once', async () => {
    const { submit, run, at, clock, events } = await makeWorker()
    at.set('submit.answered', () => Promise.reject(new Error('the worker dies')))
    await expect(submitOrder(submit, intent, run)).rejects.toThrow('dies')
    at.clear()
    await clock.advance(-3_600_000)
    expect(await submitOrder(submit, intent, run)).toEqual({ kind: 'done' })
    expect(events()).toEqual(['trade.submitted'])
  })

  test('absent and too old to be sent again - looked up, not sent and not rejected', async () => {
    const { submit, run, broker, clock, events } = await makeWorker()
    broker.faults.push('lose_request')
    await submitOrder(submit, intent, run)
    await clock.advance(RESEND_MS_MAX + 1)
    expect(await submitOrder(submit, intent, run)).toMatchObject({ kind: 'again', delayMs: 30_000 })
    expect(broker.submissions).toHaveLength(1)
    expect(events()).toEqual([])
  })

  test('absent from a complete list after 15 minutes - closed as never received', async () => {
    const { submit, run, broker, clock, store } = await makeWorker()
    broker.faults.push('lose_request')
    await submitOrder(submit, intent, run)
    await clock.advance(NOT_RECEIVED_MS - 1)
    expect(await submitOrder(submit, intent, run)).toMatchObject({ kind: 'again' })
    expect(store.log('u1')).toEqual([])
    await clock.advance(1)
    expect(await submitOrder(submit, intent, run)).toEqual({ kind: 'done' })
    expect(store.log('u1')).toMatchObject([
      { event: 'trade.rejected', payload: { code: 'NOT_RECEIVED' } },
    ])
    expect(broker.submissions).toHaveLength(1)
  })

  test('refused with proof - rejected, with the reason of the contract', async () => {
    const { submit, run, broker, store } = await makeWorker()
    broker.faults.push('refuse')
    expect(await submitOrder(submit, intent, run)).toEqual({ kind: 'done' })
    expect(store.log('u1')).toMatchObject([
      {
        event: 'trade.rejected',
        payload: {
          reason: 'INSUFFICIENT_FUNDS',
          code: 'INSUFFICIENT_BUYING_POWER',
          brokerCode: '40310000',
        },
      },
    ])
  })

  test('rate limited - the job is retried later, and no event is reported', async () => {
    const { submit, run, broker, events } = await makeWorker()
    broker.faults.push('rate_limit')
    expect(await submitOrder(submit, intent, run)).toMatchObject({ kind: 'again', delayMs: 1_000 })
    expect(events()).toEqual([])
  })

  test('past its deadline - denied, never sent', async () => {
    const { submit, run, broker, store } = await makeWorker()
    await submitOrder(submit, intentOf({ notAfter: '2024-03-15T13:59:59Z' }), run)
    expect(broker.submissions).toHaveLength(0)
    expect(store.log('u1')).toMatchObject([
      { event: 'trade.rejected', payload: { code: 'EXPIRED_BEFORE_SUBMIT' } },
    ])
  })

  test('connection absent - denied, and the reason says how to fix it', async () => {
    const { submit, run, broker, store } = await makeWorker()
    await submitOrder(submit, intentOf({ connectionId: 'broker_9' }), run)
    expect(broker.submissions).toHaveLength(0)
    expect(store.log('u1')).toMatchObject([
      { event: 'trade.rejected', payload: { code: 'BROKER_DISCONNECTED' } },
    ])
  })

  test('account not read yet - nothing is sent, and nothing is written', async () => {
    const worker = makeBareWorker()
    expect(await submitOrder(worker.submit, intent, worker.run)).toMatchObject({ kind: 'again' })
    expect((await worker.store.loadSlice('u1', address)).slice.order).toBeNull()
    await worker.adopted()
    expect(await submitOrder(worker.submit, intent, worker.run)).toEqual({ kind: 'done' })
    expect(worker.events()).toEqual(['trade.submitted'])
  })

  test('account unreadable for a quarter of an hour - denied, never sent', async () => {
    const { submit, run, broker, clock, store } = makeBareWorker()
    await clock.advance(PARKED_MS_MAX + 1)
    expect(await submitOrder(submit, intent, run)).toEqual({ kind: 'done' })
    expect(broker.submissions).toHaveLength(0)
    expect(store.log('u1')).toMatchObject([
      { event: 'trade.rejected', payload: { code: 'BROKER_DISCONNECTED' } },
    ])
  })

  test('the same trade id with other parameters is a conflict and changes nothing', async () => {
    const { submit, run, broker, events } = await makeWorker()
    await submitOrder(submit, intent, run)
    await expect(submitOrder(submit, intentOf({ quantity: dec('200') }), run)).rejects.toThrow(
      TradeConflictError,
    )
    expect(broker.submissions).toHaveLength(1)
    expect(events()).toEqual(['trade.submitted'])
  })

  test('two deliveries of one job at once - one order, one trade.submitted', async () => {
    const { submit, run, broker, events } = await makeWorker()
    await Promise.all(Array.from({ length: 5 }, () => submitOrder(submit, intent, run)))
    await submitOrder(submit, intent, run)
    expect(broker.orders.size).toBe(1)
    expect(events()).toEqual(['trade.submitted'])
  })

  test('another order under our id never counts as ours', async () => {
    const { submit, run, broker, store } = await makeWorker()
    await submitOrder(submit, intentOf({ symbol: 'MSFT' }), run)
    const [other] = broker.orders.values()
    const fresh = await makeWorker()
    fresh.broker.orders.set('b-1', other!)
    expect(await submitOrder(fresh.submit, intent, fresh.run)).toEqual({ kind: 'done' })
    expect((await fresh.store.loadSlice('u1', address)).slice.order?.setAsideAt).toBeTypeOf(
      'string',
    )
    expect(fresh.events()).toEqual([])
    expect(store.log('u1')).toHaveLength(1)
  })
})

describe('cancelOrder', () => {
  test('asks the broker once; the answer alone ends nothing', async () => {
    const { submit, run, broker, store } = await makeWorker()
    broker.isMute = true
    await submitOrder(submit, intent, run)
    expect(await cancelOrder(submit, cancel, run)).toMatchObject({ kind: 'again' })
    expect(broker.cancels).toHaveLength(1)
    expect((await store.loadSlice('u1', address)).slice.order).toMatchObject({
      status: 'submitted',
      cancel: { by: 'user' },
    })
  })

  test('before its trade - leaves a mark, and the trade is never sent', async () => {
    const { submit, run, broker, store } = await makeWorker()
    expect(await cancelOrder(submit, cancel, run)).toEqual({ kind: 'done' })
    expect(await submitOrder(submit, intent, run)).toEqual({ kind: 'done' })
    expect(broker.submissions).toHaveLength(0)
    expect(store.log('u1')).toMatchObject([
      { event: 'trade.cancelled', payload: { cancelledBy: 'user', filledQuantity: 0 } },
    ])
  })

  test('while its trade is being sent - waits', async () => {
    const { submit, run, broker } = await makeWorker()
    broker.faults.push('lose_request')
    await submitOrder(submit, intent, run)
    expect(await cancelOrder(submit, cancel, run)).toMatchObject({ kind: 'again' })
    expect(broker.cancels).toHaveLength(0)
  })

  test('too late - the order is read, and its snapshot counts', async () => {
    const { submit, run, broker, store } = await makeWorker()
    broker.isMute = true
    await submitOrder(submit, intent, run)
    broker.fill(clientOrderIdOf('u1', 't1'), '180')
    expect(await cancelOrder(submit, cancel, run)).toEqual({ kind: 'done' })
    expect((await store.loadSlice('u1', address)).slice.order).toMatchObject({
      placements: [{ reportedQuantity: '100', final: { status: 'filled' } }],
    })
  })
})

describe('P1 a first claim that finds an order under its id', () => {
  /** An order of this id was placed and filled long before; no record of it exists here. */
  async function found({ ageMs = 3_600_000, end = true } = {}) {
    const worker = await makeWorker()
    const { broker, clock } = worker
    await broker.submit({ intent, clientOrderId: clientOrderIdOf('u1', 't1'), isBudgeted: true })
    if (end) broker.fill(clientOrderIdOf('u1', 't1'), '180')
    await clock.advance(ageMs)
    const run = { ...worker.run, queuedAtMs: clock.now() }
    const status = async () => (await worker.store.loadSlice('u1', address)).slice.order?.status
    const isHeld = (): boolean => worker.store.positionOf('u1', 'broker_1', 'AAPL') !== null
    return { ...worker, run, status, isHeld }
  }

  test('older than the claim - recorded as it ended, neither booked nor reported', async () => {
    const { submit, run, events, status, isHeld } = await found()
    await submitOrder(submit, intent, run)
    expect([await status(), isHeld(), events()]).toEqual(['filled', false, []])
  })

  test('older, and the store may have lost an earlier claim - adopted', async () => {
    const { submit, run, events, status } = await found()
    await submitOrder({ ...submit, mayHaveLostWrites: () => true }, intent, run)
    expect([await status(), events()]).toEqual(['submitted', ['trade.submitted']])
  })

  test('older, and replaced - its replacement is recorded too', async () => {
    const { submit, run, broker, clock, events, status, isHeld } = await found({
      end: false,
      ageMs: 0,
    })
    const [first] = broker.orders.keys()
    const second = clientOrderIdOf('u1', 't1', '0.1')
    const terms = {
      quantity: dec('60'),
      limitPrice: null,
      stopPrice: null,
      trail: null,
      timeInForce: null,
    }
    await broker.replace({ brokerOrderId: first!, clientOrderId: second, terms })
    broker.fill(second, '180')
    await clock.advance(3_600_000)
    await submitOrder(submit, intent, { ...run, queuedAtMs: clock.now() })
    expect([events(), isHeld(), await status()]).toEqual([[], false, 'filled'])
  })

  test('older, and its parameters differ - refused, with the way to fix it', async () => {
    const { submit, run, store, isHeld } = await found()
    await submitOrder(submit, { ...intent, quantity: dec('7') }, run)
    const message: unknown = expect.stringMatching(
      /used before, with another quantity.*new trade id/,
    )
    expect(store.log('u1')).toMatchObject([
      { event: 'trade.rejected', payload: { code: 'BROKER_REJECTED', message } },
    ])
    expect(isHeld()).toBe(false)
  })

  test('older by no more than clocks may differ - adopted', async () => {
    const { submit, run, events } = await found({ ageMs: 290_000 })
    await submitOrder(submit, intent, run)
    expect(events()).toEqual(['trade.submitted'])
  })

  test('older than the claim, not than the job - maybe of an earlier run, so adopted', async () => {
    const { submit, run, clock, events } = await found()
    await submitOrder(submit, intent, { ...run, queuedAtMs: clock.now() - 3_600_000 })
    expect(events()).toEqual(['trade.submitted'])
  })

  test('older, and still working - adopted', async () => {
    const { submit, run, events, status } = await found({ end: false })
    await submitOrder(submit, intent, run)
    expect([await status(), events()]).toEqual(['submitted', ['trade.submitted']])
  })
})
