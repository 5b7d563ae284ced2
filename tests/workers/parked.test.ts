import { beforeEach, describe, expect, test } from 'vitest'
import { dec, type OrderIntent } from '#domain'
import { cancelOrder } from '../../workers/orders/cancel.ts'
import { orderHandler } from '../../workers/orders/dispatch.ts'
import { intentOf } from '../domain/orders.ts'
import { makeWorker, ref } from './harness.ts'

// A user with a disconnected broker takes an order for not sent: the order is shown, can be
// canceled, and ends.

let worker: ReturnType<typeof makeWorker>
beforeEach(async () => {
  worker = makeWorker()
  await worker.adopted()
})

const revoke = async () => worker.links.suspend((await worker.connections.get(ref))!)
/** Runs the job of an order until it is done, or for as long. */
async function runFor(seconds: number, intent: OrderIntent): Promise<'done' | 'parked'> {
  const { submit, run, clock } = worker
  const handle = orderHandler(submit)
  for (const untilMs = clock.now() + seconds * 1_000; clock.now() < untilMs;) {
    const result = await handle('submitOrder', wireOf(intent), run)
    if (result.kind === 'done') return 'done'
    await clock.advance(result.delayMs ?? 500)
  }
  return 'parked'
}
const wireOf = (intent: OrderIntent) => JSON.parse(JSON.stringify(intent)) as unknown
const told = () =>
  worker.store
    .log('u1')
    .flatMap(({ event, payload }) => (event.startsWith('trade.') ? [{ event, ...payload }] : []))
const cancel = () =>
  cancelOrder(
    worker.submit,
    { ...ref, tradeId: 't1', commandId: 'c', by: 'user', reason: 'no' },
    worker.run,
  )
const limit = () => intentOf({ orderType: 'limit', limitPrice: dec('180') })

describe('an order whose credentials are refused before it is claimed', () => {
  test('is noted with the reason, and sent when the credentials work again', async () => {
    await revoke()
    expect(await runFor(20, intentOf())).toBe('parked')
    expect(worker.parked.notes.get('u1 t1')?.reason).toMatch(/credentials/)
    worker.store.link(ref)
    expect(await runFor(5, intentOf())).toBe('done')
    expect(worker.broker.submissions).toHaveLength(1)
    expect(worker.parked.notes.size).toBe(0)
  })

  test('at the market, is given up half a minute after its first parking, with a reason', async () => {
    await worker.clock.advance(120_000) // in the queue
    await revoke()
    expect(await runFor(29, intentOf())).toBe('parked')
    expect(told()).toEqual([])
    expect(await runFor(3, intentOf())).toBe('done')
    expect(told()).toMatchObject([{ event: 'trade.rejected', code: 'BROKER_DISCONNECTED' }])
    worker.store.link(ref)
    expect(await runFor(5, intentOf())).toBe('done')
    expect(worker.broker.submissions).toHaveLength(0)
  })

  test('with a limit waits on, and one with a deadline of its own keeps it', async () => {
    await revoke()
    expect(await runFor(120, limit())).toBe('parked')
    const notAfter = new Date(worker.clock.now() + 40_000).toISOString()
    const own = intentOf({ tradeId: 't2', notAfter })
    expect(await runFor(39, own)).toBe('parked')
    expect(await runFor(5, own)).toBe('done')
    expect(told()).toMatchObject([
      { tradeId: 't2', event: 'trade.rejected', code: 'EXPIRED_BEFORE_SUBMIT' },
    ])
  })

  test('ends by a cancel, although the broker cannot be asked', async () => {
    await revoke()
    expect(await runFor(5, limit())).toBe('parked')
    await cancel()
    expect(await runFor(2, limit())).toBe('done')
    expect(told()).toMatchObject([{ event: 'trade.cancelled', cancelledBy: 'user' }])
    worker.store.link(ref)
    expect(await runFor(5, limit())).toBe('done')
    expect(worker.broker.submissions).toHaveLength(0)
  })
})

describe('an order that was claimed, and could not be sent', () => {
  /** The request never leaves; then the credentials are refused. */
  async function claimed(intent: OrderIntent): Promise<void> {
    worker.broker.submit = async () => ({
      kind: 'not_sent',
      retryAfterMs: 500,
      why: 'connection refused',
    })
    expect(await runFor(2, intent)).toBe('parked')
    expect(worker.parked.notes.get('u1 t1')?.reason).toBe('connection refused')
  }

  test('at the market, is given up half a minute after it was first parked', async () => {
    await claimed(intentOf())
    expect(await runFor(35, intentOf())).toBe('done')
    expect(told()).toMatchObject([{ event: 'trade.rejected', code: 'BROKER_DISCONNECTED' }])
  })

  test('is given up, and ends by a cancel, although the credentials are refused since', async () => {
    await claimed(intentOf())
    await revoke()
    expect(await runFor(35, intentOf())).toBe('done')
    expect(told()).toMatchObject([{ event: 'trade.rejected', code: 'BROKER_DISCONNECTED' }])
  })

  test('ends by a cancel, although the credentials are refused since', async () => {
    await claimed(limit())
    await revoke()
    await cancel()
    expect(await runFor(5, limit())).toBe('done')
    expect(told()).toMatchObject([{ event: 'trade.cancelled', cancelledBy: 'user' }])
  })
})
