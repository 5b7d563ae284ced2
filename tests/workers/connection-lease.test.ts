import { afterEach, describe, expect, test } from 'vitest'
import { clientOrderIdOf, SETTLE_MS } from '#domain'
import { leaseKey } from '#store'
import { ConnectionUnusableError } from '../../workers/broker/pool.ts'
import { submitOrder } from '../../workers/orders/submit.ts'
import type { ConnectionLease } from '../../workers/accounts/lease.ts'
import { intentOf } from '../domain/orders.ts'
import { settle } from '../support/fake-clock.ts'
import { makeWorker, ref } from './harness.ts'

const id = clientOrderIdOf('u1', 't1')
const owners: ConnectionLease[] = []
afterEach(async () => {
  await Promise.all(owners.splice(0).map((owner) => owner.close()))
})

async function started() {
  const worker = makeWorker()
  owners.push(worker.own())
  await settle()
  return worker
}

test('connection removed while its lease is taken - not read, and the lease is freed', async () => {
  const worker = makeWorker()
  let asked = 0
  const get = (of: typeof ref) =>
    (asked += 1) === 1
      ? worker.brokers.get(of)
      : Promise.reject(new ConnectionUnusableError('It was removed'))
  owners.push(worker.own({ brokers: { get } }))
  await settle()
  expect(worker.events()).toEqual([])
  expect(await worker.leases.take(leaseKey('u1', 'broker_1'), 1_000)).not.toBeNull()
})

describe('an owned connection', () => {
  test('reports at first a resync, and that it is connected', async () => {
    const { events, store } = await started()
    expect(events()).toEqual(['state.resync', 'broker.connected'])
    expect((await store.loadConnection('u1', 'broker_1')).account).toMatchObject({
      cash: '100000',
      brokerAccountId: 'account-1',
    })
  })

  test('turns fills of the stream into events, in order', async () => {
    const { submit, run, broker, events } = await started()
    await submitOrder(submit, intentOf(), run)
    broker.fill(id, '180.5', '40')
    broker.fill(id, '181')
    await settle()
    expect(events().slice(2)).toEqual([
      'trade.submitted',
      'trade.partialFill',
      'portfolio.positionAdded',
      'portfolio.balanceChanged',
      'trade.filled',
      'portfolio.positionUpdated',
      'portfolio.balanceChanged',
    ])
  })

  test('finds a fill that the stream dropped within one reconciliation', async () => {
    const { submit, run, broker, clock, events, store } = await started()
    await submitOrder(submit, intentOf(), run)
    broker.isMute = true
    broker.fill(id, '180.5', '40')
    broker.fill(id, '181')
    await clock.advance(60_001)
    expect(events().slice(2)).toContain('trade.filled')
    expect((await store.loadConnection('u1', 'broker_1')).account?.cash).toBe('81920')
    const told = events().length
    await clock.advance(180_000)
    expect(events()).toHaveLength(told) // a second pass finds nothing
  })

  test('notes the executions from before the first reading, and never books them', async () => {
    const worker = makeWorker()
    worker.broker.placeElsewhere('MSFT', '10')
    worker.broker.fill('elsewhere-0', '400', '6')
    owners.push(worker.own())
    await settle()
    expect(worker.events()).toEqual(['state.resync', 'broker.connected'])
    worker.broker.fill('elsewhere-0', '400')
    await settle()
    const { positions, account } = await worker.store.loadConnection('u1', 'broker_1')
    expect(positions.get('MSFT')?.quantity).toBe('10')
    expect(account?.cash).toBe('96000')
    expect(worker.events().filter((event) => event.startsWith('trade.'))).toEqual([])
  })

  test('adopts an order that a killed worker had sent', async () => {
    const { submit, run, broker, clock, events } = await started()
    broker.faults.push('lose_reply')
    broker.isMute = true
    await submitOrder(submit, intentOf(), run)
    broker.fill(id, '180.5')
    await clock.advance(60_001)
    expect(events().slice(2)).toEqual([
      'trade.submitted',
      'trade.filled',
      'portfolio.positionAdded',
      'portfolio.balanceChanged',
    ])
    await submitOrder(submit, intentOf(), run)
    expect(broker.submissions).toHaveLength(1)
  })

  test('has one owner at a time; the next one starts when the lease is free', async () => {
    const worker = await started()
    const second = worker.own()
    owners.push(second)
    await worker.clock.advance(5_000)
    expect(worker.broker.listeners.size).toBe(1)
    await owners.shift()!.close()
    await worker.clock.advance(2_000)
    expect(worker.broker.listeners.size).toBe(1)
    worker.broker.placeElsewhere('MSFT', '10')
    worker.broker.fill('elsewhere-0', '400')
    await settle()
    expect(worker.events()).toContain('portfolio.positionAdded')
  })

  test('after a store loss, an account that another owner has read is not read again', async () => {
    const { store, clock, events } = await started()
    const [owner] = owners
    store.leases.set('u1 broker_1', 'somebody-else')
    owner!.readopt()
    await clock.advance(3_000)
    store.leases.delete('u1 broker_1') // its holder has read the account, and is gone
    await clock.advance(10_000)
    expect(owner!.isHolding).toBe(true)
    expect(events()).toEqual(['state.resync', 'broker.connected'])
  })

  test('an owner that lost its lease writes no more', async () => {
    const { store, broker, events } = await started()
    store.leases.set('u1 broker_1', 'somebody-else')
    broker.placeElsewhere('MSFT', '10')
    broker.fill('elsewhere-0', '400')
    await settle()
    expect(events()).toEqual(['state.resync', 'broker.connected'])
    expect(broker.listeners.size).toBe(0)
  })

  test('refused credentials - a health check is queued, not a storm of tries', async () => {
    const worker = makeWorker()
    await started()
    worker.broker.isRevoked = true
    owners.push(worker.own())
    await settle()
    await worker.clock.advance(60_000)
    expect(worker.checks[0]).toEqual(ref)
    expect(worker.checks.length).toBeLessThan(4)
  })

  test('cash that moves without a trade is reported once, when it persists', async () => {
    const { broker, clock, store } = await started()
    broker.isMute = true
    broker.placeElsewhere('MSFT', '10')
    broker.fill('elsewhere-0', '400')
    broker.executions.length = 0 // the activity list never shows it
    broker.orders.clear()
    await clock.advance(60_001 + SETTLE_MS * 3)
    const last = store.log('u1').filter(({ event }) => event === 'portfolio.balanceChanged')
    expect(last.at(-1)?.payload).toMatchObject({
      reason: 'EXTERNAL_SYNC',
      newBalance: 96_000,
      change: -4_000,
    })
    expect(last).toHaveLength(1)
  })
})
