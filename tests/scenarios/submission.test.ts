import { describe, expect, test } from 'vitest'
import { submitJobId } from '#contract'
import { boundaryNames } from '#runtime'
import { openWorld, type World } from './world.ts'

/** The steps of a submission, in the order in which they are reached. */
const STEPS = boundaryNames.filter((name) => name.startsWith('submit.'))
const job = submitJobId('u1', 't1')
const halt = { allows: 'nothing', by: 'ops', reason: 'drill', at: '2024-03-15T14:00:00Z' } as const
const seeds = [1, 2, 3]

/** The client order ids sent to the broker; the same id twice is one order. */
const sent = (world: World): string[] =>
  world.broker.submissions.map(({ clientOrderId }) => clientOrderId)
const ordersAt = (world: World): number => world.broker.orders.size

/** Executes all of it, once it is there, and lets everything come to its end. */
async function finish(world: World): Promise<void> {
  await world.until(() => ordersAt(world) === 1, 60_000, 'the order at the broker')
  await world.advance(5_000)
  world.fill('t1', '180.5')
  await world.quiesce()
  expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
  expect(ordersAt(world)).toBe(1)
}

describe.each([
  ['SUB-01 reply lost after acceptance', 'lose_reply'],
  ['SUB-02 request lost before acceptance', 'lose_request'],
] as const)('%s', (id, kind) => {
  test.each([1, 2, 3])(
    `${id.slice(0, 6)} %i times in a row - one order, each event sent once`,
    async (times) => {
      const world = await openWorld({ seed: times })
      world.broker.fail('submit', { kind }, { times })
      world.submit()
      await finish(world)
      expect(new Set(sent(world)).size).toBe(1)
      expect(sent(world)).toHaveLength(kind === 'lose_reply' ? 1 : times + 1)
    },
  )
})

describe('SUB-04 the id is taken', () => {
  test('SUB-04 taken by our own first request, not visible at first - adopted', async () => {
    const world = await openWorld({ seed: 4 })
    world.broker.fail('submit', { kind: 'lose_reply' })
    world.broker.fail('findByClientOrderId', { kind: 'error_before' }, { times: 2 })
    world.submit()
    await finish(world)
  })

  test.each([
    ['quantity', { quantity: '99' }],
    ['side', { side: 'sell' }],
    ['symbol', { symbol: 'MSFT' }],
    ['limitPrice', { orderType: 'limit', limitPrice: '10' }],
  ] as const)(
    'SUB-04 taken by an order with another %s - alarmed, neither rejected nor adopted',
    async (what, over) => {
      const world = await openWorld({ seed: 4 })
      const other = await openWorld({ seed: 4 })
      other.submit(over)
      await other.settle()
      const [foreign] = other.broker.orders.values()
      world.broker.orders.set(foreign!.brokerOrderId, foreign!)
      world.submit()
      await world.advance(20_000)
      expect(world.warnings.join('')).toContain('foreign_order_under_our_id')
      expect(world.warnings.join('')).toContain(what)
      expect(world.told('t1')).toEqual([])
      expect((await world.order('t1'))?.status).toBe('submitting')
    },
  )
})

describe('SUB-05 the order is not visible yet', () => {
  test.each([0, 1_000, 30_000, 120_000])(
    'SUB-05 invisible for %i ms, reply lost - no false ending is sent',
    async (ms) => {
      const world = await openWorld({ seed: 5 })
      world.broker.visibleAfterMs = ms
      world.broker.isMute = true
      world.broker.fail('submit', { kind: 'lose_reply' })
      world.submit()
      await world.advance(ms + 60_000)
      world.broker.isMute = false
      await finish(world)
      expect(new Set(sent(world)).size).toBe(1)
    },
  )

  test('SUB-05 refused after a request that may have arrived - retried with pauses', async () => {
    const world = await openWorld({ seed: 5 })
    world.broker.fail('submit', { kind: 'lose_request' })
    world.broker.fail('submit', { kind: 'refuse' }, { times: Infinity })
    world.submit()
    await world.advance(70_000)
    expect(world.broker.submissions.length).toBeGreaterThan(3)
    expect(world.broker.submissions.length).toBeLessThan(15)
    expect(world.told('t1')).toEqual([])
  })

  test('SUB-05 never visible - closed as not received after a quarter of an hour', async () => {
    const world = await openWorld({ seed: 5 })
    world.broker.fail('submit', { kind: 'lose_request' }, { times: Infinity })
    world.submit()
    await world.advance(14 * 60_000)
    expect(world.told('t1')).toEqual([])
    await world.advance(5 * 60_000)
    expect(world.store.log('u1').at(-1)).toMatchObject({
      event: 'trade.rejected',
      payload: { code: 'NOT_RECEIVED' },
    })
  })

  test('SUB-05 visible after it was closed as not received - canceled and alarmed', async () => {
    const world = await openWorld({ seed: 5 })
    world.broker.visibleAfterMs = 30 * 60_000
    world.broker.isMute = true
    world.broker.fail('submit', { kind: 'lose_reply' })
    world.submit({ orderType: 'limit', limitPrice: '150' })
    await world.advance(20 * 60_000)
    expect(world.told('t1')).toEqual(['trade.rejected'])
    await world.advance(15 * 60_000)
    expect(world.anomalies()).toContain('appeared_after_close')
    expect([...world.broker.orders.values()].map(({ status }) => status)).toEqual(['canceled'])
  })
})

describe('SUB-06 two deliveries of one job at once', () => {
  test.each(Array.from({ length: 25 }, (_, seed) => seed))(
    'SUB-06 interleaved by seed %i - one order',
    async (seed) => {
      const world = await openWorld({ seed, workers: 2 })
      world.at(STEPS[seed % STEPS.length]!, () => world.queue.redeliver(job))
      world.submit()
      await finish(world)
      expect(new Set(sent(world)).size).toBe(1)
    },
  )
})

describe('SUB-09 the fill beats the reply', () => {
  test.each([false, true])(
    'SUB-09 fill before the reply, reply lost: %s - booked once',
    async (isLost) => {
      const world = await openWorld({ seed: 9 })
      if (isLost) world.broker.fail('submit', { kind: 'lose_reply' })
      world.at('broker.submit answered', () => world.fill('t1', '180.5'))
      world.submit()
      await world.settle()
      await world.quiesce()
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
    },
  )
})

describe('SUB-10 the same trade id with other parameters', () => {
  test.each(['before', 'during', 'after'])(
    'SUB-10 a conflict %s the first - its job fails, one order is sent',
    async (when) => {
      const world = await openWorld({ seed: 10 })
      const conflict = () =>
        world.queue.add('orders', 'submitOrder', { ...order, quantity: '200' }, 'conflict')
      const order = {
        userId: 'u1',
        connectionId: 'broker_1',
        tradeId: 't1',
        symbol: 'AAPL',
        side: 'buy',
        orderType: 'market',
      }
      if (when === 'during') world.at('submit.answered', conflict)
      world.submit()
      if (when === 'before') await world.until(() => ordersAt(world) === 1, 5_000)
      if (when === 'before') conflict()
      await finish(world)
      if (when === 'after') conflict()
      await world.quiesce()
      expect(world.queue.stateOf('conflict')).toBe('failed')
      expect([...world.broker.orders.values()].map(({ quantity }) => quantity)).toEqual(['100'])
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
    },
  )
})

describe('SUB-11 rate limited', () => {
  test.each([null, 5_000])(
    'SUB-11 limited for a minute, with a wait of %s - one order, filled once',
    async (retryAfterMs) => {
      const world = await openWorld({ seed: 11 })
      const disarm = world.broker.fail(
        'submit',
        { kind: 'rate_limit', retryAfterMs },
        { times: Infinity },
      )
      world.submit()
      await world.advance(60_000)
      expect([ordersAt(world), world.told('t1'), world.queue.stateOf(job)]).toEqual([
        0,
        [],
        'waiting',
      ])
      expect(sent(world).length).toBeLessThanOrEqual(13)
      disarm()
      await finish(world)
    },
  )
})

describe('SUB-12 a stale intent', () => {
  const notAfter = '2024-03-15T14:01:00Z'

  test.each(STEPS)(
    'SUB-12 held at %s past its deadline - no request after the deadline',
    async (step) => {
      const world = await openWorld({ seed: 12 })
      world.freezeAt(step, 120_000)
      world.submit({ notAfter })
      await world.advance(130_000)
      const wasSent = STEPS.indexOf(step) > STEPS.indexOf('submit.sending')
      expect(world.broker.submissions).toHaveLength(wasSent ? 1 : 0)
      if (wasSent) return finish(world)
      await world.quiesce({ withinMs: 1_200_000 })
      expect(world.told('t1')).toEqual(['trade.rejected'])
    },
  )

  test('SUB-12 job one hour late - rejected as EXPIRED_BEFORE_SUBMIT', async () => {
    const world = await openWorld({ seed: 12 })
    world.queue.lateMs = 3_600_000
    world.submit({ notAfter })
    await world.advance(3_600_000)
    expect(world.broker.submissions).toHaveLength(0)
    expect(world.store.log('u1').at(-1)).toMatchObject({
      payload: { code: 'EXPIRED_BEFORE_SUBMIT' },
    })
  })

  test('SUB-12 unknown outcome at its deadline - looked up, not sent again', async () => {
    const world = await openWorld({ seed: 12 })
    world.broker.isMute = true
    world.broker.fail('submit', { kind: 'lose_reply' })
    const disarm = world.broker.fail('read', { kind: 'error_before' }, { times: Infinity })
    world.broker.isMute = true // the stream would be evidence
    world.submit({ notAfter })
    await world.advance(90_000)
    expect([sent(world).length, world.told('t1')]).toEqual([1, []])
    disarm()
    world.broker.isMute = false
    await finish(world)
  })
})

describe('RDQ-02 the job has failed, and its order is open', () => {
  test.each(STEPS)(
    'RDQ-02 job given up at %s - a claimed trade still reaches its end',
    async (step) => {
      const world = await openWorld({ seed: 2 })
      world.broker.fail('submit', { kind: 'lose_reply' })
      world.at(step, (process) => {
        world.queue.giveUp(job)
        world.restart(process)
      })
      world.submit()
      await world.advance(60_000)
      const isClaimed = step !== 'submit.dequeued'
      if (isClaimed) return finish(world)
      // No worker had claimed the trade yet: no order was sent, and a failure of the queue sends no
      // event.
      expect([ordersAt(world), world.told('t1')]).toEqual([0, []])
    },
  )
})

describe('RDQ-03 the job id is free again', () => {
  test('RDQ-03 added again before and after the end - still one order', async () => {
    const world = await openWorld({ seed: 3 })
    const again = async (): Promise<void> => {
      world.queue.forget(job)
      world.submit()
      await world.settle()
    }
    world.submit()
    await world.settle()
    await again()
    await finish(world)
    await again()
    expect([sent(world).length, world.queue.stateOf(job)]).toEqual([1, 'completed'])
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
  })
})

/**
 * A day of virtual time is ten seconds of a busy core; a shared machine may need several times as
 * long.
 */
const A_DAY = { timeout: 120_000 }

describe('RDQ-03 after the trading day, when the intent is archived', () => {
  /** t1 was filled the day before, and has left the hot state. */
  async function nextDay(): Promise<World> {
    const world = await openWorld({ seed: 6 })
    world.submit()
    await finish(world)
    const address = { orderId: 't1', connectionId: 'broker_1', symbol: '' }
    const isHot = async () =>
      (await world.store.loadSlice('u1', address, { archived: false })).slice.order !== null
    for (let hours = 0; hours < 30 && (await isHot()); hours += 1) await world.advance(3_600_000)
    expect(await isHot()).toBe(false)
    world.queue.forget(job)
    return world
  }

  test.each<[string, (world: World) => void, object]>([
    ['the account works', () => {}, {}],
    [
      'all trading is halted',
      (world) => void world.store.controls.setHalt({ scope: 'global' }, halt),
      {},
    ],
    ['its deadline has passed', () => {}, { notAfter: '2024-03-15T14:10:00.000Z' }],
    [
      'the connection is gone',
      (world) => void world.store.controls.remove({ userId: 'u1', connectionId: 'broker_1' }),
      {},
    ],
  ])(
    'RDQ-03 submitted again while %s - no second order, no event',
    A_DAY,
    async (_what, before, over) => {
      const world = await nextDay()
      before(world)
      await world.settle()
      world.submit({ ...over })
      await world.advance(30_000)
      expect([ordersAt(world), sent(world).length]).toEqual([1, 1])
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
      expect((await world.order('t1'))?.status).toBe('filled')
    },
  )

  test('RDQ-03 the same id with other parameters - refused as a conflict', A_DAY, async () => {
    const world = await nextDay()
    world.submit({ quantity: '7' })
    await world.advance(5_000)
    expect([ordersAt(world), world.queue.stateOf(job)]).toEqual([1, 'failed'])
    expect(world.queue.whyOf(job)).toContain('already used with other parameters')
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
  })
})

describe('CRA-01, CRA-02 a crash around the request', () => {
  test.each(STEPS.flatMap((step) => seeds.map((seed) => [step, seed] as const)))(
    'CRA-01 CRA-02 at %s, seed %i - one order, each event sent once',
    async (step, seed) => {
      const world = await openWorld({ seed })
      world.crashAt(step)
      world.submit()
      await world.advance(20_000)
      await finish(world)
      expect(new Set(sent(world)).size).toBe(1)
    },
  )

  test.each(STEPS.flatMap((first) => STEPS.map((second) => [first, second] as const)))(
    'CRA-01 CRA-02 at %s and again at %s - one order',
    async (first, second) => {
      const world = await openWorld({ seed: 5 })
      world.crashAt(first)
      world.crashAt(second)
      world.submit()
      await world.advance(45_000)
      await finish(world)
    },
  )
})
