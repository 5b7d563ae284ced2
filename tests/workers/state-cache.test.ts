import { describe, expect, test } from 'vitest'
import { adopt, dec } from '#domain'
import { TradeConflictError } from '../../workers/orders/refusal.ts'
import { submitOrder } from '../../workers/orders/submit.ts'
import { applyUpdate } from '../../workers/state/write.ts'
import { StateCache } from '../../workers/state/cache.ts'
import {
  brokerOrder,
  claimed,
  executionOf,
  intentOf,
  orderKey,
  play,
  readingOf,
  seen,
} from '../domain/orders.ts'
import { makeWorker, ref } from './harness.ts'

const target = { orderKey, symbol: 'AAPL', fence: { kind: 'version' } } as const
const at = (orderId: string) => ({
  userId: 'u1',
  orderId,
  connectionId: 'broker_1',
  symbol: 'AAPL',
})

/**
 * A worker that has sent two orders: the load before the second order confirmed its cached state.
 */
async function warmed() {
  const worker = makeWorker()
  await worker.adopted()
  const { store, submit, run } = worker
  let loads = 0
  const load = store.loadSlice.bind(store)
  store.loadSlice = (...args) => {
    loads += 1
    return load(...args)
  }
  const send = (tradeId: string, quantity = '100') =>
    submitOrder(submit, intentOf({ tradeId, quantity: quantity as never }), run)
  await send('t1')
  await send('t2')
  return { ...worker, send, loads: () => loads }
}

/** Another worker writes a record of the user. */
async function writeElsewhere({ store }: Awaited<ReturnType<typeof warmed>>): Promise<void> {
  const health = {
    schema: 2,
    state: 'up',
    cause: null,
    doubts: 0,
    doubtSince: null,
    reason: null,
    since: '',
  } as const
  await store.commit('u1', {
    expectVersion: store.versionOf('u1'),
    fence: { kind: 'version' },
    events: [],
    writes: [{ kind: 'health', connectionId: 'broker_1', health }],
  })
}

describe('the cached state of a worker’s own writes', () => {
  test('saves the load before a submission, and before its outcome', async () => {
    const { send, loads, store, broker, submit } = await warmed()
    const before = loads()
    expect(await send('t3')).toEqual({ kind: 'done' })
    const order = brokerOrder('partially_filled', '40', 3, {
      brokerOrderId: store.orderOf('u1', 't3')!.placements[0]!.brokerOrderId!,
    })
    const filled = seen(order, executionOf('40', '180', '40', 3))
    await applyUpdate(submit.writer, { ...target, orderKey: { ...orderKey, id: 't3' } }, filled)
    expect(loads()).toBe(before)
    expect(broker.submissions).toHaveLength(3)
    expect(store.orderOf('u1', 't3')).toMatchObject({
      status: 'partially_filled',
      cumulativeQuantity: '40',
    })
  })

  test('another worker wrote - the commit is refused, reloaded, and the order sent once', async () => {
    const worker = await warmed()
    await writeElsewhere(worker)
    const before = worker.loads()
    expect(await worker.send('t3')).toEqual({ kind: 'done' })
    expect(worker.loads()).toBeGreaterThan(before)
    expect(worker.broker.submissions).toHaveLength(3)
    expect(worker.store.orderOf('u1', 't3')?.status).toBe('submitted')
  })

  test('is used again only once a load has found the same', async () => {
    const worker = await warmed()
    const needsLoad = async (tradeId: string): Promise<boolean> => {
      const before = worker.loads()
      await worker.send(tradeId)
      return worker.loads() > before
    }
    await writeElsewhere(worker)
    expect([await needsLoad('t3'), await needsLoad('t4'), await needsLoad('t5')]).toEqual([
      true,
      true,
      false,
    ])
  })

  test('holds no ended order: a repeat is found by its claim, and nothing is sent', async () => {
    const { send, store, broker, submit } = await warmed()
    const order = brokerOrder('canceled', '0', 3, {
      brokerOrderId: store.orderOf('u1', 't2')!.placements[0]!.brokerOrderId!,
    })
    await applyUpdate(
      submit.writer,
      { ...target, orderKey: { ...orderKey, id: 't2' } },
      seen(order),
    )
    expect(store.orderOf('u1', 't2')?.status).toBe('canceled')
    expect(await send('t2')).toEqual({ kind: 'done' })
    await expect(send('t2', '7')).rejects.toThrow(TradeConflictError)
    expect(broker.submissions).toHaveLength(2)
  })

  test('does not skip an update: a write that the store lost is written again', async () => {
    const { store, submit } = await warmed()
    const order = brokerOrder('partially_filled', '40', 3, {
      brokerOrderId: store.orderOf('u1', 't1')!.placements[0]!.brokerOrderId!,
    })
    const filled = seen(order, executionOf('40', '180', '40', 3))
    await applyUpdate(submit.writer, target, filled)
    store.loseLast(1)
    expect(store.orderOf('u1', 't1')?.cumulativeQuantity).toBe('0')
    await applyUpdate(submit.writer, target, filled)
    expect(store.orderOf('u1', 't1')?.cumulativeQuantity).toBe('40')
  })

  test('of a connection is checked by the claim: with older credentials nothing is sent', async () => {
    const { send, store, broker, known } = await warmed()
    const stale = known.connection(ref)
    known.connection = () => stale
    store.link(ref) // new credentials, verified
    expect(await send('t3')).toMatchObject({ kind: 'again' })
    expect(broker.submissions).toHaveLength(2)
    expect(store.orderOf('u1', 't3')).toBeNull()
    known.connection = (of) => store.controls.linked(of)
    expect(await send('t3')).toEqual({ kind: 'done' })
  })
})

describe('the held slices', () => {
  const { slice } = play([claimed()])
  const addressOf = (orderId: string, symbol = 'AAPL') => ({
    orderId,
    connectionId: 'broker_1',
    symbol,
  })
  const loaded = {
    at: addressOf('t1'),
    version: '2',
    slice,
    claim: '2 w',
    isArchived: false,
    cancelMark: null,
    tombstone: null,
    cashElsewhere: null,
  }
  const elsewhere = { ...loaded, at: addressOf('', 'MSFT'), slice: { ...slice, order: null } }

  function holding(): StateCache {
    const cache = new StateCache()
    cache.committed('u1', '1', loaded)
    cache.read('u1', '2')
    return cache
  }

  test('is a slice only where every part is held', () => {
    const cache = holding()
    expect(cache.slice(at('t1'))).toEqual(loaded)
    expect(cache.slice(at('t2'), true)).toMatchObject({ version: '2', slice: { order: null } })
    expect(cache.slice({ ...at('t1'), userId: 'u2' })).toBeNull()
    expect(cache.slice({ ...at('t1'), symbol: 'MSFT' })).toBeNull()
    expect(cache.slice({ ...at('t1'), connectionId: 'broker_2' })).toBeNull()
    expect(cache.slice(at('t2'))).toBeNull()
    expect(cache.slice(at('t1'), true)).toBeNull()
  })

  test('moves with every commit on top of it', () => {
    const cache = holding()
    cache.committed('u1', '2', { ...elsewhere, version: '3' })
    expect(cache.slice(at('t1'))).toEqual({ ...loaded, version: '3' })
  })

  test('has the cash of the other accounts, as they move', () => {
    const cache = holding()
    const account = { ...adopt('broker_1', readingOf({ cash: dec('100') })).account }
    const other = { ...adopt('broker_2', readingOf({ cash: dec('7') })).account }
    const atOther = { ...addressOf('t2'), connectionId: 'broker_2' }
    const mine = { ...loaded, slice: { ...slice, account }, cashElsewhere: dec('7') }
    const theirs = { ...elsewhere, at: atOther, slice: { ...elsewhere.slice, account: other } }
    const beside = (connectionId: string) =>
      cache.slice({ ...at('new'), connectionId, symbol: 'AAPL' }, true)?.cashElsewhere
    cache.committed('u1', '2', { ...mine, version: '3' })
    cache.committed('u1', '3', { ...theirs, version: '4', cashElsewhere: dec('100') })
    // By how much the second moved is not known: it was not held before.
    expect([beside('broker_1'), beside('broker_2')]).toEqual([undefined, '100'])
    cache.committed('u1', '4', { ...mine, version: '5' })
    const moved = { ...mine, slice: { ...slice, account: { ...account, cash: dec('90.5') } } }
    cache.committed('u1', '5', { ...moved, version: '6' })
    expect([beside('broker_1'), beside('broker_2')]).toEqual(['7', '90.5'])
  })

  test('stays when another commit of this process was refused that knew less', () => {
    const cache = holding()
    cache.refused('u1', '1')
    expect(cache.slice(at('t1'))).toEqual(loaded)
    cache.refused('u1', '2')
    expect(cache.slice(at('t1'))).toBeNull()
  })

  test('is of one version: a commit on top of another one drops the earlier parts', () => {
    const cache = holding()
    cache.committed('u1', '7', { ...elsewhere, version: '8' })
    cache.read('u1', '8')
    expect(cache.slice(at('t1'))).toBeNull()
    expect(cache.slice({ ...at('t2'), symbol: 'MSFT' }, true)?.version).toBe('8')
  })

  test('is bounded: the oldest of many users and trades are dropped', () => {
    const cache = holding()
    for (let n = 0; n < 32; n += 1) {
      const order = { ...slice.order!, id: `other-${n}` }
      cache.committed('u1', '2', {
        ...loaded,
        at: addressOf(order.id),
        slice: { ...slice, order },
      })
    }
    expect(cache.slice(at('t1'))).toBeNull()
    expect(cache.slice(at('other-31'))).not.toBeNull()
    for (let n = 0; n < 2_000; n += 1) cache.committed(`user-${n}`, '1', loaded)
    expect(cache.slice(at('other-31'))).toBeNull()
  })
})
