import { describe, expect, test } from 'vitest'
import { commandJobId, replaceOrderSchema } from '#contract'
import { openWorld, type World } from './world.ts'
import { Subscriber } from './world/subscriber.ts'

/** Steps of a submission and its execution at which the store is disturbed. */
const STEPS = [
  'submit.dequeued',
  'submit.claimed',
  'broker.submit',
  'broker.submit answered',
  'submit.recorded',
  'update.received',
  'update.committed',
]

/**
 * One order from its job to its execution; `disturb` happens when a worker is about to take `step`.
 */
async function run(seed: number, step: string, disturb: (world: World) => void): Promise<World> {
  const world = await openWorld({ seed })
  for (const tradeId of ['t0', 't00']) {
    world.submit({ tradeId, quantity: '1' })
    await world.advance(2_000)
    world.fill(tradeId, '170')
    await world.advance(2_000)
  }
  let isDisturbed = false
  world.at(step, () => {
    isDisturbed = true
    disturb(world)
  })
  world.submit()
  await world.advance(5_000)
  if (world.broker.orders.size > 2) world.fill('t1', '180')
  await world.advance(5_000)
  expect(isDisturbed).toBe(true)
  return world
}

/**
 * However the store was disturbed: one order at the broker, and everything as the broker has it.
 */
async function expectLevel(world: World): Promise<void> {
  await world.advance(30_000)
  if ([...world.broker.orders.values()].some(({ status }) => status !== 'filled'))
    world.fill('t1', '180')
  await world.quiesce()
  expect(world.broker.orders.size).toBe(3)
  expect((await world.order('t1'))?.status).toBe('filled')
}

describe('RDQ-04 the last second of writes is lost', () => {
  test.each(STEPS.flatMap((step) => [1, 2, 3].map((count) => [step, count] as const)))(
    'RDQ-04 lost at %s, the last %i commits - one order, filled',
    async (step, count) => {
      await expectLevel(await run(41, step, (world) => world.store.loseLast(count)))
    },
  )
})

describe('RDQ-04 the first read of an account is lost, its lease is kept', () => {
  test.each(['nothing happens', 'an order comes', 'something executes elsewhere'] as const)(
    'RDQ-04 %s - the same session reads the account again',
    async (then) => {
      const world = await openWorld({ seed: 42 })
      world.store.loseLast(1_000)
      expect((await world.store.loadConnection('u1', 'broker_1')).account).toBeNull()
      if (then === 'an order comes') world.submit()
      if (then === 'something executes elsewhere') {
        world.broker.placeElsewhere('MSFT', '5')
        world.broker.fill('elsewhere-0', '400')
      }
      await world.advance(15_000)
      expect((await world.store.loadConnection('u1', 'broker_1')).account).not.toBeNull()
      if (then === 'an order comes') world.fill('t1', '180')
      await world.quiesce()
      expect(world.steps.get('leases.take')).toBe(1)
      // It was read before: that it is connected is no news.
      expect(world.events().slice(0, 2)).not.toContain('broker.connected')
      expect(world.events()[0]).toBe('state.resync')
    },
  )
})

describe('RDQ-04 all is lost, and an order has ended when the account is read again', () => {
  const seen: readonly (readonly [string, (world: World) => void])[] = [
    ['nothing else happens', () => undefined],
    [
      'the worker dies between its orders and its account',
      (world) => world.crashAt('store.commit answered'),
    ],
  ]

  test.each(seen)(
    'RDQ-04 %s - clients get state.resync after the events of the job',
    async (_what, happen) => {
      const world = await openWorld({ seed: 47, clients: true })
      world.submit({ orderType: 'limit', limitPrice: '180' })
      await world.settle()
      world.freezeAt('replace.answered', 3_000)
      const of = { userId: 'u1', connectionId: 'broker_1', tradeId: 't1' }
      const command = replaceOrderSchema.parse({ ...of, commandId: 'r1', limitPrice: '181' })
      world.queue.add(
        'commands',
        'replaceOrder',
        command,
        commandJobId('replaceOrder', 'u1', 't1', 'r1'),
      )
      await world.advance(1_000)
      world.store.loseLast(1_000)
      world.broker.fill('b-2', '180')
      world.at('replace.recorded', () => happen(world))
      await world.advance(30_000)
      expect(world.events().slice(0, 3)).toEqual([
        'trade.submitted',
        'trade.replaced',
        'state.resync',
      ])
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.replaced'])
      expect(await world.order('t1')).toMatchObject({ status: 'filled', limitPrice: '181' })
      await world.quiesce()
    },
  )
})

describe('RDQ-05 a worker notices a loss late, and an order has ended in between', () => {
  test.each([
    ['the worker goes on', (): void => undefined],
    [
      'the worker dies with its next commit',
      (world: World) => world.crashAt('store.commit answered'),
    ],
  ])('RDQ-05 %s - the end of the order is sent', async (_what, happen) => {
    const world = await openWorld({ seed: 64, clients: true, isWhole: true })
    world.submit({ orderType: 'limit', limitPrice: '180' })
    await world.advance(1_000)
    world.fill('t1', '180', '40')
    await world.advance(1_000)
    world.at('broker.listOrders', () => {
      world.broker.isMute = true
      world.broker.fill('b-1', '181')
      world.later(0, () => (world.broker.isMute = false))
      happen(world)
    })
    world.store.marker = 'another'
    for (const changed of world.store.controls.onChange) changed('u1')
    await world.advance(60_000)
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.partialFill', 'trade.filled'])
  })
})

describe('RDQ-04 writes of the session that it still has in memory are lost', () => {
  test.each([1, 2, 3])(
    'RDQ-04 an ended order, the last %i commits lost - it ends again',
    async (count) => {
      const world = await openWorld({ seed: 43 })
      world.submit({ orderType: 'limit', limitPrice: '180' })
      await world.advance(5_000)
      world.cancel()
      await world.advance(5_000)
      world.store.loseLast(count)
      await world.advance(60_000)
      await world.quiesce()
      expect((await world.order('t1'))?.status).toBe('canceled')
    },
  )
})

describe('RDQ-04 events already sent to clients are lost', () => {
  /** One client that saw everything, one that is away since the order was placed. */
  async function watched() {
    const world = await openWorld({ seed: 44 })
    const live = new Subscriber(world.store)
    const away = new Subscriber(world.store)
    await live.start()
    world.submit()
    await world.advance(1_000)
    const leftAt = world.store.lastEventId('u1')
    world.fill('t1', '180', '40')
    await world.advance(1_000)
    world.fill('t1', '181', '20')
    await world.advance(1_000)
    live.publish()
    await live.stream.check()
    return { world, live, away, leftAt }
  }
  const told = ({ heard }: Subscriber): string[] => heard.filter((one) => typeof one === 'string')
  const chain = ({ heard }: Subscriber) =>
    heard.flatMap((one) => (typeof one === 'string' ? [] : [one]))

  test.each([1, 2])(
    'RDQ-04 the last %i commits - clients that had them get one resync, others none',
    async (count) => {
      const { world, live, away, leftAt } = await watched()
      const before = live.heard.length
      world.store.loseLast(count)
      const lostTo = world.store.lastEventId('u1')
      expect(lostTo >= leftAt).toBe(true)
      await world.quiesce()
      world.fill('t1', '182')
      await world.quiesce()
      live.publish()
      await live.stream.check()
      await away.start(leftAt)
      expect(live.heard.slice(before, before + 2)).toEqual(['state.resync', 'state.sync'])
      expect(told(live)).toEqual(['state.resync', 'state.sync'])
      expect(told(away)).toEqual([])
      // No event is missing: the executions are sent again after the resync, in order and
      // completely.
      expect(chain(away).at(-1)?.id).toBe(world.store.lastEventId('u1'))
      expect(world.told('t1').at(-1)).toBe('trade.filled')
    },
  )

  test.each([1, 3])(
    'RDQ-04 only the last %i events - clients that lack them get one resync',
    async (count) => {
      const { world, live, away, leftAt } = await watched()
      const before = live.heard.length
      world.store.loseLogEnd('u1', count)
      await live.stream.check()
      await away.start(leftAt)
      expect(live.heard).toHaveLength(before)
      expect(told(away)).toEqual(['state.resync', 'state.sync'])
      const { connectionId, ...rest } = { connectionId: 'broker_1', orderId: 't1', symbol: 'AAPL' }
      const { slice, version } = await world.store.loadSlice('u1', { connectionId, ...rest })
      expect(slice.position?.quantity).toBe('60')
      const notice = {
        brokerType: 'alpaca',
        brokerConnectionId: connectionId,
        timestamp: '2024-03-15T14:00:00.000Z',
      }
      await world.store.commit('u1', {
        expectVersion: version,
        fence: { kind: 'version' },
        writes: [],
        events: [{ event: 'broker.connected', payload: { ...notice, brokerType: 'alpaca' } }],
      })
      const late = new Subscriber(world.store)
      await late.start(leftAt) // the hole is inside the log now
      for (const one of [live, away]) await one.stream.check()
      expect(told(live)).toEqual([])
      for (const one of [away, late]) expect(told(one)).toEqual(['state.resync', 'state.sync'])
      for (const one of [live, away]) expect(chain(one).at(-1)?.event).toBe('broker.connected')
    },
  )
})

describe('RDQ-05 everything is lost', () => {
  test('RDQ-05 the deadline passes before the account is read again - not rejected', async () => {
    const world = await openWorld({ seed: 2 })
    const job = world.submit({ notAfter: new Date(world.nowMs + 3_000).toISOString() })
    await world.settle()
    const known = await world.store.controls.read('u1')
    world.store.wipe()
    await world.advance(1_000)
    await world.store.controls.restore([known], null)
    world.queue.redeliver(job)
    await world.advance(120_000)
    expect(world.told('t1')).not.toContain('trade.rejected')
    world.fill('t1', '180')
    await world.quiesce()
    expect([world.broker.submissions.length, (await world.order('t1'))?.status]).toEqual([
      1,
      'filled',
    ])
  })

  test.each(STEPS)(
    'RDQ-05 lost at %s - one order, and the first event is state.resync',
    async (step) => {
      const world = await run(51, step, (world) => {
        const sets = world.store.controls.read('u1')
        world.store.wipe()
        // A surviving worker restores its control records a little later.
        world.schedule.after({ name: 'survivor', state: 'running' }, 1_500, () => {
          void sets.then(async (set) => {
            await world.store.controls.restore([set], null)
            world.store.marker = 'second'
          })
        })
      })
      await expectLevel(world)
      expect(world.events()[0]).toBe('state.resync')
      expect(world.events().filter((event) => event === 'state.resync')).toHaveLength(1)
      expect(world.events()).not.toContain('broker.connected')
    },
  )
})

describe('RDQ-06 a command is applied twice', () => {
  test.each([0, 1, 2])(
    'RDQ-06 commit %i of a submission twice - each event is sent once',
    async (skip) => {
      const world = await openWorld({ seed: 61 })
      world.faults.plan('twice', 'store.commit', skip)
      world.submit()
      await world.advance(30_000)
      world.fill('t1', '180', '40')
      await world.advance(1_000)
      world.fill('t1', '181')
      await world.advance(10_000)
      await world.quiesce()
      expect(world.faults.met.get('store.commit twice')).toBe(1)
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.partialFill', 'trade.filled'])
    },
  )
})

describe.each(['twice', 'reply_lost'] as const)('RDQ-06 commits of a first read, %s', (fault) => {
  const starts = (world: World) =>
    world.events().filter((event) => event === 'state.resync' || event === 'broker.connected')

  test.each([0, 1])(
    'RDQ-06 commit %i of a new account - broker.connected is sent once',
    async (skip) => {
      const world = await openWorld({ seed: 62, isAdopted: false })
      world.broker.placeElsewhere('MSFT', '7')
      world.faults.plan(fault, 'store.commit', skip)
      await world.advance(30_000)
      await world.quiesce()
      expect(world.faults.met.get(`store.commit ${fault}`)).toBe(1)
      expect(starts(world)).toEqual(['state.resync', 'broker.connected'])
    },
  )

  test.each([0, 1])(
    'RDQ-06 commit %i of a read after a loss - state.resync is sent once',
    async (skip) => {
      const world = await openWorld({ seed: 63, isWhole: true })
      world.broker.placeElsewhere('MSFT', '7')
      await world.advance(10_000)
      world.store.wipe()
      world.faults.plan(fault, 'store.commit', skip)
      await world.advance(60_000)
      await world.quiesce()
      expect(world.faults.met.get(`store.commit ${fault}`)).toBe(1)
      expect(starts(world)).toEqual(['state.resync'])
    },
  )
})

describe('RDQ-07 a write is refused', () => {
  test.each([0, 1])(
    'RDQ-07 commit %i finds no memory - not partly written, a retry completes',
    async (skip) => {
      const world = await openWorld({ seed: 71 })
      world.faults.plan('refused', 'store.commit', skip)
      world.submit()
      await world.advance(10_000)
      world.fill('t1', '180', '40')
      world.fill('t1', '181')
      await world.quiesce()
      expect(world.faults.met.get('store.commit refused')).toBe(1)
      expect(world.broker.orders.size).toBe(1)
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.partialFill', 'trade.filled'])
    },
  )
})
